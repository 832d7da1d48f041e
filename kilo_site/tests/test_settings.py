"""What the settings ask of a production server, and how they read the environment."""

import os
import runpy
import secrets
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured

from kilo_site import env

ROOT = Path(__file__).resolve().parents[2]
PRODUCTION = {
    "DATABASE_URL": "postgresql://someone:p%40ss@db.example:5433/site?sslmode=require",
    "REDIS_URL": "redis://redis.example/0",
    "SECRET_KEY": secrets.token_urlsafe(48),
    "API_KEY_SECRET": secrets.token_urlsafe(48),
    "ALLOWED_HOSTS": "router.example, www.router.example",
}
OTHERS = ("DEBUG", "HTTPS", "BEHIND_PROXY", "CSRF_TRUSTED_ORIGINS", "EMAIL_URL", "SITE_URL")


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nothing set but where files go."""
    for name in (*PRODUCTION, *OTHERS):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(f"{name}_FILE", raising=False)
    monkeypatch.setenv("VAR_DIR", str(tmp_path / "var"))


@pytest.fixture
def production(monkeypatch: pytest.MonkeyPatch) -> None:
    """All that a production server needs."""
    for name, value in PRODUCTION.items():
        monkeypatch.setenv(name, value)


def load() -> dict[str, Any]:
    """Return the settings as a new process would have them."""
    return runpy.run_path(str(ROOT / "kilo_site" / "settings.py"))


def test_embedded_needs_nothing_and_makes_its_own_secrets(tmp_path: Path) -> None:
    first, again = load(), load()
    assert (first["PRODUCTION"], first["DEBUG"], first["HTTPS"]) == (False, False, False)
    assert first["DATABASES"]["default"]["NAME"] == tmp_path / "var" / "kilo.sqlite3"
    assert len(first["SECRET_KEY"]) >= 32
    assert first["SECRET_KEY"] != first["API_KEY_SECRET"]
    assert first["SECRET_KEY"] == again["SECRET_KEY"]
    assert (tmp_path / "var" / "secret_key").stat().st_mode & 0o777 == 0o600


def test_production_is_strict_by_default(production: None, tmp_path: Path) -> None:
    site = load()
    assert (site["PRODUCTION"], site["DEBUG"]) == (True, False)
    assert site["ALLOWED_HOSTS"] == ["router.example", "www.router.example"]
    assert site["SESSION_COOKIE_SECURE"] is site["CSRF_COOKIE_SECURE"] is True
    assert site["SECURE_SSL_REDIRECT"] is True
    assert site["SECURE_HSTS_SECONDS"] > 0
    assert site["CELERY_BROKER_URL"] == PRODUCTION["REDIS_URL"]
    assert not (tmp_path / "var" / "secret_key").exists()


@pytest.mark.parametrize("name", sorted(set(PRODUCTION) - {"DATABASE_URL"}))
def test_production_does_not_start_without(
    production: None, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.delenv(name)
    with pytest.raises(ImproperlyConfigured, match=f"^{name} is not set"):
        load()


@pytest.mark.parametrize("name", ["SECRET_KEY", "API_KEY_SECRET"])
def test_a_short_secret_is_refused(
    production: None, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, "x" * 31)
    with pytest.raises(ImproperlyConfigured, match=f"^{name} is too short"):
        load()


@pytest.mark.parametrize("name", sorted(PRODUCTION))
def test_a_value_may_come_from_a_file(
    production: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str
) -> None:
    expected = load()
    file = tmp_path / "value"
    file.write_text(f"{PRODUCTION[name]}\n")
    monkeypatch.delenv(name)
    monkeypatch.setenv(f"{name}_FILE", str(file))
    watched = (*PRODUCTION, "DATABASES")
    assert {key: load()[key] for key in watched} == {key: expected[key] for key in watched}


def test_a_file_that_is_not_there_and_a_value_given_twice_are_named(
    production: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SECRET_KEY_FILE", str(tmp_path / "missing"))
    with pytest.raises(ImproperlyConfigured, match="either SECRET_KEY or SECRET_KEY_FILE"):
        load()
    monkeypatch.delenv("SECRET_KEY")
    with pytest.raises(ImproperlyConfigured, match="SECRET_KEY_FILE: cannot read"):
        load()


def test_the_command_line_tells_what_is_missing() -> None:
    given = {name: value for name, value in PRODUCTION.items() if name != "API_KEY_SECRET"}
    command = [sys.executable, "manage.py", "check"]
    done = subprocess.run(
        command, cwd=ROOT, env={**os.environ, **given}, capture_output=True, text=True, check=False
    )
    assert done.returncode != 0
    assert "API_KEY_SECRET is not set. Production needs it" in done.stderr
    assert PRODUCTION["SECRET_KEY"] not in done.stderr + done.stdout


def test_a_database_url_is_taken_apart() -> None:
    database = env.database(PRODUCTION["DATABASE_URL"])
    assert {name: database[name] for name in ("NAME", "USER", "PASSWORD", "HOST", "PORT")} == {
        "NAME": "site",
        "USER": "someone",
        "PASSWORD": "p@ss",
        "HOST": "db.example",
        "PORT": "5433",
    }
    assert database["OPTIONS"] == {
        "sslmode": "require",
        "connect_timeout": "3",
        "options": "-c jit=off",
    }
    patient = env.database("postgres://db/site?connect_timeout=30&options=")
    assert patient["OPTIONS"] == {"connect_timeout": "30", "options": ""}
    assert env.database("postgres:///site?host=/run/postgresql")["HOST"] == "/run/postgresql"
    with pytest.raises(ImproperlyConfigured, match=r"not mysql://.*Leave it unset"):
        env.database("mysql://db/site")


def test_without_a_mail_server_mail_is_written_to_the_log() -> None:
    assert load()["EMAIL_BACKEND"] == "django.core.mail.backends.console.EmailBackend"


@pytest.mark.parametrize(
    ("url", "port", "starts_tls", "begins_with_tls"),
    [
        ("smtp://mail.example", 25, False, False),
        ("smtp+tls://me:p%40ss@mail.example", 587, True, False),
        ("smtps://me:p%40ss@mail.example:4465", 4465, False, True),
    ],
)
def test_a_mail_server_is_one_address(
    monkeypatch: pytest.MonkeyPatch, url: str, port: int, starts_tls: bool, begins_with_tls: bool
) -> None:
    monkeypatch.setenv("EMAIL_URL", url)
    site = load()
    assert (site["EMAIL_HOST"], site["EMAIL_PORT"]) == ("mail.example", port)
    assert (site["EMAIL_USE_TLS"], site["EMAIL_USE_SSL"]) == (starts_tls, begins_with_tls)
    assert site["EMAIL_HOST_PASSWORD"] == ("p@ss" if "me:" in url else "")


def test_what_is_no_mail_server_stops_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMAIL_URL", "mail.example:25")
    with pytest.raises(ImproperlyConfigured, match="EMAIL_URL must name a mail server"):
        load()


def test_webhooks_reach_the_own_network_only_where_the_operator_owns_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert load()["WEBHOOK_PRIVATE_ADDRESSES"] is True
    for name, value in PRODUCTION.items():
        monkeypatch.setenv(name, value)
    site = load()
    assert (site["WEBHOOK_PRIVATE_ADDRESSES"], site["SITE_URL"]) == (
        False,
        "https://router.example",
    )


def test_flags_numbers_and_lists(monkeypatch: pytest.MonkeyPatch) -> None:
    assert env.flag("X", default=True) is True
    assert (env.number("X", 7), env.listing("X", "a")) == (7, ["a"])
    monkeypatch.setenv("X", " a, ,b ")
    assert env.listing("X") == ["a", "b"]
    for value, meant in {"1": True, "TRUE": True, "on": True, "0": False, "no": False}.items():
        monkeypatch.setenv("X", value)
        assert env.flag("X", default=not meant) is meant
    monkeypatch.setenv("X", "maybe")
    with pytest.raises(ImproperlyConfigured, match="X must be 1 or 0, not 'maybe'"):
        env.flag("X", default=False)
    with pytest.raises(ImproperlyConfigured, match="X must be a whole number, not 'maybe'"):
        env.number("X", 1)
