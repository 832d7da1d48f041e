"""What an embedded site needs before it can answer its first request."""

import json
import os
import secrets
from dataclasses import asdict, dataclass
from pathlib import Path

from django.conf import settings
from django.core.management import call_command
from django.db import transaction

from leaderboard.actions.publishing import do_publish
from leaderboard.models import CurrentTable
from teams.actions import SystemActor, do_create_key, do_create_project, do_create_team
from teams.keys import Scope
from teams.models import User

ACTOR = SystemActor("first run")


@dataclass(frozen=True)
class Credentials:
    """The first admin's sign-in and the first API key."""

    email: str
    password: str
    api_key: str


def credentials_path() -> Path:
    """Return where the first credentials are kept, readable by their owner alone."""
    return Path(settings.VAR_DIR) / "first-sign-in.json"


def prepare() -> Credentials | None:
    """Bring the database up to date and fill it if it is empty; doing it again changes nothing.

    Returns the first credentials, or None when their file has been removed since.
    """
    call_command("migrate", verbosity=0, interactive=False)
    if not CurrentTable.objects.exists():
        call_command("load_catalogue")
        call_command("load_figures")
        do_publish(actor=ACTOR)
    if not User.objects.exists():
        keep(create_first_project())
    return kept()


@transaction.atomic
def create_first_project() -> Credentials:
    """Create the admin, the team, the project and a key with every scope, all secrets generated."""
    email, password = "admin@localhost.localdomain", secrets.token_urlsafe(12)
    admin = User.objects.create_superuser(email, password, name="Admin")
    team = do_create_team("My team", admin, actor=ACTOR)
    project = do_create_project(team, "My project", actor=ACTOR)
    _, api_key = do_create_key(project, "First key", list(Scope), actor=ACTOR)
    return Credentials(email, password, api_key)


def keep(credentials: Credentials) -> None:
    """Write the credentials to their file."""
    handle = os.open(credentials_path(), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as stream:
        json.dump(asdict(credentials), stream, indent=2)


def kept() -> Credentials | None:
    """Read the credentials back; None when the file is gone or not ours."""
    try:
        return Credentials(**json.loads(credentials_path().read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None
