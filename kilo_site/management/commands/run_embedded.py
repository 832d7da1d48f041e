"""Serve the site from this machine alone: SQLite, tasks in process, nothing else needed."""

import json
import os
import signal
import socket
from typing import Any

from django.conf import settings
from django.core.handlers.wsgi import WSGIHandler
from django.core.management.base import BaseCommand, CommandError
from granian import Granian
from granian.constants import Interfaces
from granian.log import LogLevels

from kilo_site import env
from kilo_site.first_run import Credentials, credentials_path, prepare

TURN = {"role": "user", "content": "fix the off-by-one in paginate() in src/list.py"}
EXAMPLE = {"messages": [TURN]}


class Command(BaseCommand):
    """``manage.py run_embedded``, which ``make run`` calls."""

    help = "Prepare the embedded database and serve on http://localhost:8000 (PORT changes it)."

    def handle(self, *args: Any, **options: Any) -> None:
        """Prepare, say how to get in, serve until Ctrl-C."""
        if settings.PRODUCTION:
            raise CommandError(
                "DATABASE_URL is set, so this is a production site. See docs/operating.md for how"
                " to serve it, or unset DATABASE_URL."
            )
        port = env.number("PORT", 8000)
        refuse_taken_port(port)
        self.welcome(port, prepare())
        server = Granian(
            "kilo_site.wsgi:application",
            address="127.0.0.1",
            port=port,
            interface=Interfaces.WSGI,
            # One process: the embedded store is that process's memory.
            workers=1,
            blocking_threads=2,
            log_level=LogLevels.warning,
        )
        # A closed terminal means stop; Granian would take it for "reload".
        server.on_startup(lambda: signal.signal(signal.SIGHUP, server.signal_handler_interrupt))
        server.serve(target_loader=load_application, wrap_loader=False)
        self.stdout.write("Stopped. The data is kept; start again with: make run")

    def welcome(self, port: int, credentials: Credentials | None) -> None:
        """Print the URL, the sign-in, and a line that returns a decision when pasted."""
        url = f"http://localhost:{port}"
        self.stdout.write(f"\n  {url}\n")
        if credentials is None:
            self.stdout.write(
                "  Sign in with your account (manage.py changepassword EMAIL sets a password).\n"
                f"  Make an API key at {url} under Keys.\n"
            )
        else:
            self.stdout.write(
                f"  Sign in:  {credentials.email}  {credentials.password}\n"
                f"  (kept in {credentials_path()}; remove the file once you have noted them)\n\n"
                "  A routing decision:\n\n"
                f"  curl -s {url}/api/v1/route -H 'Authorization: Bearer {credentials.api_key}'"
                f" -H 'Content-Type: application/json' -d '{json.dumps(EXAMPLE)}'\n"
            )
        self.stdout.write("  Ctrl-C stops it.\n")
        self.stdout.flush()


def load_application() -> WSGIHandler:
    """Load the site in the server's worker, whose process group is then its own.

    Ctrl-C reaches the whole group of the server, which ends its worker by another signal at once.
    A worker that gets both can block for ever.
    """
    os.setpgrp()
    from kilo_site.wsgi import application

    return application


def refuse_taken_port(port: int) -> None:
    """Raise CommandError when something else listens there already."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise CommandError(
                f"Port {port} is taken. Stop what uses it, or choose another:"
                f" PORT={port + 1} make run"
            ) from error
