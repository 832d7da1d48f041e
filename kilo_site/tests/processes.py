"""Helpers for tests that start real processes."""

import os
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

import psutil
from django.conf import settings
from django.db import connection


def outlives(process: psutil.Process, seconds: float = 5) -> bool:
    """Tell whether a process is still at work after so long.

    One that ended may stay a zombie until whoever inherited it looks: that counts as ended.
    """
    deadline = time.monotonic() + seconds
    while process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
        if time.monotonic() > deadline:
            return True
        time.sleep(0.05)
    return False


def kill_with_children(process: subprocess.Popen[bytes]) -> None:
    """End a process that a failed test left at work."""
    for child in psutil.Process(process.pid).children(recursive=True):
        child.kill()
    process.kill()
    process.wait()


def celery_worker(log: Path, redis_url: str, **env: str) -> subprocess.Popen[bytes]:
    """Start a worker and its beat on the test's database, beside its log."""
    name = connection.settings_dict["NAME"]
    url = urlsplit(os.environ["DATABASE_URL"])._replace(path=f"/{name}").geturl()
    command = [
        *(sys.executable, "-m", "celery", "-A", "kilo_site", "worker", "-B"),
        *("--concurrency=2", "--loglevel=warning", f"--schedule={log.with_suffix('.beat')}"),
        "--without-mingle",  # looking for other workers takes a second
    ]
    with log.open("wb") as output:
        return subprocess.Popen(
            command,
            cwd=settings.BASE_DIR,
            env=os.environ | {"DATABASE_URL": url, "REDIS_URL": redis_url} | env,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
