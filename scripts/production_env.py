"""What the settings ask of a production server, with secrets made up for this one run."""

import secrets


def production_env(
    database_url: str = "postgres://localhost/kilo", redis_url: str = "redis://localhost/0"
) -> dict[str, str]:
    """Return the variables that make kilo_site.settings those of a production server."""
    return {
        "DATABASE_URL": database_url,
        "REDIS_URL": redis_url,
        "SECRET_KEY": secrets.token_urlsafe(48),
        "API_KEY_SECRET": secrets.token_urlsafe(48),
        "ALLOWED_HOSTS": "localhost,127.0.0.1,testserver",
    }
