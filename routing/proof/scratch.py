"""Publishes a routing table in a throw-away SQLite database, in a process of its own.

Ingestion and publishing are the product's own. The process gets an environment in which the
operator's database and store do not exist.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import msgspec

from leaderboard import table as tables

ROOT = Path(__file__).resolve().parent.parent.parent


class ScratchFailed(Exception):
    """No table came out; the message is what the process said last."""


class Published(msgspec.Struct):
    """A table as its canonical JSON, and the model that each route stands by."""

    content: bytes
    standing: tuple[str, ...]


def published(folders: Sequence[Path], *, all_available: bool) -> list[tables.Table]:
    """Return the table that each folder of results, in the OpenHands Index layout, gives.

    With `all_available` every model that has results counts as one that can be called. Raises
    ScratchFailed.
    """
    return in_scratch("all" if all_available else "listed", folders)


def bundled() -> tables.Table:
    """Return the table that the bundled figures give. Raises ScratchFailed."""
    return in_scratch("bundled", [Path()])[0]


def in_scratch(which: str, folders: Sequence[Path]) -> list[tables.Table]:
    """Run this module in a process of its own and read back what it published."""
    with tempfile.TemporaryDirectory(prefix="kilo-scratch-") as home:
        env = {
            name: value
            for name, value in os.environ.items()
            if name not in {"DATABASE_URL", "REDIS_URL"}
        }
        env |= {"VAR_DIR": home, "AUTO_PUBLISH": "0"}
        command = [sys.executable, "-m", __name__, which, home]
        done = subprocess.run(
            [*command, *(str(folder.resolve()) for folder in folders)],
            cwd=ROOT,
            env=env,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            said = (done.stderr or done.stdout).strip().splitlines()
            raise ScratchFailed(said[-1] if said else f"It ended with {done.returncode}.")
        found = []
        for number in range(len(folders)):
            one = msgspec.msgpack.decode(
                (Path(home) / f"table-{number}").read_bytes(), type=Published
            )
            found.append(replace(tables.decode(one.content), standing=one.standing))
        return found


def main(which: str, home: Path, folders: Sequence[Path]) -> None:
    """Publish from each folder, starting from an empty database every time."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "kilo_site.settings")
    import django

    django.setup()
    from django.core.management import call_command
    from django.db import connection

    from leaderboard.actions.bundling import do_load_figures
    from leaderboard.actions.ingesting import do_ingest
    from leaderboard.actions.loading import do_load_catalogue
    from leaderboard.actions.publishing import do_publish
    from leaderboard.models import CatalogModel, CurrentTable
    from teams.actions import SystemActor

    actor = SystemActor("scratch")
    call_command("migrate", verbosity=0)
    do_load_catalogue(actor=actor)
    connection.close()
    database = Path(connection.settings_dict["NAME"])
    empty = database.with_name("empty.sqlite3")
    shutil.copy(database, empty)
    for number, folder in enumerate(folders):
        connection.close()
        for leftover in database.parent.glob(f"{database.name}-*"):
            leftover.unlink()
        shutil.copy(empty, database)
        if which == "bundled":
            do_load_figures(actor=actor)
        else:
            do_ingest("openhands-index", folder, actor=actor)
        if which == "all":
            ran = CatalogModel.objects.filter(runs__isnull=False)
            CatalogModel.objects.filter(pk__in=ran.values("pk")).update(
                in_catalogue=True, is_available=True
            )
        table, _ = do_publish(actor=actor)
        standing = CurrentTable.objects.get(team=None).standing
        (home / f"table-{number}").write_bytes(
            msgspec.msgpack.encode(Published(bytes(table.content), tuple(standing)))
        )


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), [Path(name) for name in sys.argv[3:]])
