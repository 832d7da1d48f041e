"""``manage.py run_embedded`` as somebody meets it who has just cloned the repository."""

import http.cookiejar
import json
import os
import re
import shlex
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import psutil
import pytest
from django.core.management import CommandError, call_command
from pytest_django import Settings

from kilo_site.tests.processes import kill_with_children, outlives

ROOT = Path(__file__).resolve().parents[2]
SITE_VARIABLES = (
    "DATABASE_URL", "REDIS_URL", "SECRET_KEY", "API_KEY_SECRET", "ALLOWED_HOSTS", "HTTPS",
    "DJANGO_ALLOW_ASYNC_UNSAFE",
)  # fmt: skip


class Site:
    """A running site, its address and what it printed at its start."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self.process, self.log = process, log

    @property
    def printed(self) -> str:
        """Everything printed so far."""
        return self.log.read_text()

    @property
    def sign_in(self) -> tuple[str, str]:
        """The e-mail and the password that were printed."""
        found = re.search(r"Sign in:  (\S+)  (\S+)", self.printed)
        assert found, self.printed
        return found[1], found[2]

    def paste(self) -> Any:
        """Send what the printed curl line would send, and return the decoded answer."""
        [line] = [line for line in self.printed.splitlines() if line.strip().startswith("curl")]
        arguments = shlex.split(line)
        options = list(pairwise(arguments))
        headers = dict(value.split(": ", 1) for name, value in options if name == "-H")
        [body] = [value for name, value in options if name == "-d"]
        [address] = [value for value in arguments if value.startswith("http")]
        request = urllib.request.Request(address, body.encode(), headers)
        with urllib.request.urlopen(request, timeout=10) as response:
            return json.load(response)

    def interrupt(self) -> None:
        """Press Ctrl-C, which reaches the whole process group; everything must end, and well."""
        family = psutil.Process(self.process.pid).children(recursive=True)
        os.killpg(self.process.pid, signal.SIGINT)
        assert self.process.wait(10) == 0, self.printed
        assert "Traceback" not in self.printed
        assert "Stopped. The data is kept" in self.printed
        assert [child for child in family if outlives(child)] == []


@contextmanager
def run_embedded(folder: Path, port: int) -> Iterator[Site]:
    """Start the site on its folder, and give it once it answers."""
    log = folder / "output"
    env = {name: value for name, value in os.environ.items() if name not in SITE_VARIABLES}
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "manage.py", "run_embedded"],
            cwd=ROOT,
            env={**env, "VAR_DIR": str(folder / "var"), "PORT": str(port)},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        deadline = time.monotonic() + 60
        while not answers(port):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.05)
        yield Site(process, log)
    finally:
        if process.poll() is None:
            kill_with_children(process)


def answers(port: int) -> bool:
    """Tell whether the site serves its first page."""
    try:
        with urllib.request.urlopen(f"http://localhost:{port}/leaderboard/", timeout=10):
            return True
    except urllib.error.URLError:
        return False


def signs_in(port: int, email: str, password: str) -> bool:
    """Send the sign-in form as a browser would, and tell whether the overview came back."""
    cookies = http.cookiejar.CookieJar()
    opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(cookies))
    address = f"http://localhost:{port}/sign-in/"
    page = opener.open(address, timeout=10).read().decode()
    token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page)
    assert token
    form = {"csrfmiddlewaretoken": token[1], "username": email, "password": password}
    with opener.open(address, urllib.parse.urlencode(form).encode(), timeout=10) as response:
        return bool(urllib.parse.urlsplit(response.url).path.startswith("/projects/"))


def free_port() -> int:
    """Return a TCP port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def decisions_kept(folder: Path) -> int:
    """Count the decisions in the database file."""
    with closing(sqlite3.connect(folder / "var" / "kilo.sqlite3")) as database:
        [count] = database.execute("SELECT count(*) FROM routing_decision").fetchone()
        return int(count)


@pytest.mark.embedded
def test_a_fresh_clone_serves_a_decision_ends_cleanly_and_keeps_its_data(tmp_path: Path) -> None:
    port = free_port()
    with run_embedded(tmp_path, port) as site:
        assert f"http://localhost:{port}" in site.printed
        first = site.paste()
        assert first["id"].startswith("dec_")
        assert first["reason"]["code"] in {"cheapest_clearing", "bar_too_dear"}
        assert first["estimate"]["cost_micro_usd"] > 0
        credentials = site.sign_in
        assert signs_in(port, *credentials)
        assert not signs_in(port, credentials[0], "another password")
        site.interrupt()
    assert decisions_kept(tmp_path) == 1
    secrets = ["secret_key", "api_key_secret", "first-sign-in.json"]
    assert {(tmp_path / "var" / name).stat().st_mode & 0o777 for name in secrets} == {0o600}

    started = time.monotonic()
    with run_embedded(tmp_path, port) as site:
        assert time.monotonic() - started < 15
        assert site.sign_in == credentials
        again = site.paste()
        assert (again["model"], again["table_version"]) == (first["model"], first["table_version"])
        site.interrupt()
    assert decisions_kept(tmp_path) == 2


def test_a_production_site_is_not_run_embedded(settings: Settings) -> None:
    settings.PRODUCTION = True
    with pytest.raises(CommandError, match="DATABASE_URL is set"):
        call_command("run_embedded")


def test_a_taken_port_is_named_with_another_to_try(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.PRODUCTION = False
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        monkeypatch.setenv("PORT", str(port))
        with pytest.raises(CommandError, match=rf"Port {port} is taken.*PORT={port + 1} make run"):
            call_command("run_embedded")
