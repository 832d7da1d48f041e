"""Readers of the process environment. A secret may come from a file named by ``<NAME>_FILE``."""

import os
import secrets
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

from django.core.exceptions import ImproperlyConfigured

MAIL_PORTS = {"smtp": 25, "smtp+tls": 587, "smtps": 465}
TRUE, FALSE = {"1", "true", "yes", "on"}, {"0", "false", "no", "off", ""}


def text(name: str, default: str = "") -> str:
    """Return the variable, or the content of the file that ``<name>_FILE`` names, or `default`.

    Raises ImproperlyConfigured when both are set or the file cannot be read.
    """
    value, path = os.environ.get(name), os.environ.get(f"{name}_FILE")
    if value is not None and path:
        raise ImproperlyConfigured(f"Set either {name} or {name}_FILE, not both.")
    if path:
        try:
            return Path(path).read_text(encoding="utf-8").strip()
        except OSError as error:
            raise ImproperlyConfigured(f"{name}_FILE: cannot read {path}: {error}") from error
    return default if value is None else value


def flag(name: str, *, default: bool) -> bool:
    """Return a yes/no variable."""
    value = text(name, "1" if default else "0").lower()
    if value in TRUE:
        return True
    if value in FALSE:
        return False
    raise ImproperlyConfigured(f"{name} must be 1 or 0, not {value!r}.")


def number(name: str, default: int) -> int:
    """Return a whole number."""
    value = text(name, str(default))
    try:
        return int(value)
    except ValueError as error:
        raise ImproperlyConfigured(f"{name} must be a whole number, not {value!r}.") from error


def listing(name: str, default: str = "") -> list[str]:
    """Return a comma-separated list without empty entries."""
    return [part.strip() for part in text(name, default).split(",") if part.strip()]


def secret(name: str, *, production: bool, kept_in: Path) -> str:
    """Return a secret of at least 32 characters.

    In production it must be given. Embedded, one is generated at the first start and kept in the
    folder `kept_in`, readable by its owner alone.
    """
    value = text(name)
    if value:
        if len(value) < 32:
            raise ImproperlyConfigured(f"{name} is too short: give at least 32 random characters.")
        return value
    if production:
        raise ImproperlyConfigured(
            f"{name} is not set. Production needs it: set {name}, or {name}_FILE to a file that"
            " holds it. One way to make one:"
            " python -c 'import secrets; print(secrets.token_urlsafe(48))'"
        )
    path = kept_in / name.lower()
    kept_in.mkdir(parents=True, exist_ok=True)
    try:
        # Exclusive creation: of two processes that start together, one writes and both read the
        # same.
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        pass
    else:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            stream.write(secrets.token_urlsafe(48))
    return path.read_text(encoding="utf-8").strip()


def database(url: str) -> dict[str, object]:
    """Return Django's settings for a ``postgresql://user:password@host:port/name?option=x`` URL."""
    parts = urlsplit(url)
    if parts.scheme not in {"postgres", "postgresql"}:
        raise ImproperlyConfigured(
            f"DATABASE_URL must begin with postgresql://, not {parts.scheme}://."
            " Leave it unset for the embedded SQLite database."
        )
    # A database that is away must fail a request soon, so that it can be answered from memory.
    # Compiling a query of many sums takes longer than running it.
    options = {"connect_timeout": "3", "options": "-c jit=off"}
    options |= dict(parse_qsl(parts.query, keep_blank_values=True))
    # libpq allows the socket directory as ?host=/path, which urlsplit leaves in the query.
    host = options.pop("host", None) or unquote(parts.hostname or "")
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": unquote(parts.path.lstrip("/")),
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": host,
        "PORT": str(parts.port or ""),
        "CONN_MAX_AGE": 600,
        "CONN_HEALTH_CHECKS": True,
        "OPTIONS": options,
    }


@dataclass(frozen=True)
class Mail:
    """How mail leaves: Django's backend, and the server that it talks to."""

    backend: str = "django.core.mail.backends.console.EmailBackend"
    host: str = ""
    port: int = 0
    user: str = ""
    password: str = ""
    starts_tls: bool = False
    begins_with_tls: bool = False


def mail(url: str) -> Mail:
    """Read the address of a mail server: ``smtp://user:password@host:port``.

    ``smtp+tls://`` starts encryption on a plain connection (STARTTLS), ``smtps://`` begins with it.
    Without an address mail is written to the log.
    """
    if not url:
        return Mail()
    parts = urlsplit(url)
    if parts.scheme not in MAIL_PORTS or not parts.hostname:
        raise ImproperlyConfigured(
            "EMAIL_URL must name a mail server, such as"
            f" smtp+tls://user:password@mail.example.org, by one of {', '.join(MAIL_PORTS)}."
        )
    return Mail(
        "django.core.mail.backends.smtp.EmailBackend",
        parts.hostname,
        parts.port or MAIL_PORTS[parts.scheme],
        unquote(parts.username or ""),
        unquote(parts.password or ""),
        starts_tls=parts.scheme == "smtp+tls",
        begins_with_tls=parts.scheme == "smtps",
    )
