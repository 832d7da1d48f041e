"""A worker and its beat outlive the loss of Redis, also in the middle of a task."""

import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from django.db import connection
from servers import NotUsableError, Server, redis_server_of

from kilo_site.celery import app
from kilo_site.tests.processes import celery_worker, kill_with_children
from teams.models import Project
from usage.actions.rolling import LOCK
from usage.models import UsageDay
from usage.tests.traffic import report

pytestmark = [pytest.mark.production, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def redis_server(tmp_path: Path) -> Iterator[Server]:
    """A Redis of the test's own, which keeps nothing when it is killed."""
    try:
        server = redis_server_of(tmp_path)
    except NotUsableError as error:
        pytest.skip(str(error))
    with server:
        yield server


@pytest.fixture
def worker(
    transactional_db: None, redis_server: Server, tmp_path: Path
) -> Iterator["subprocess.Popen[bytes]"]:
    """A worker with its beat on the test's database and that Redis."""
    worker = celery_worker(tmp_path / "worker.log", redis_server.url)
    yield worker
    if worker.poll() is None:
        kill_with_children(worker)


def test_a_worker_goes_on_after_redis_was_killed(
    apollo: Project, worker: "subprocess.Popen[bytes]", redis_server: Server, tmp_path: Path
) -> None:
    def wait_for(condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 30
        while not condition():
            said = (tmp_path / "worker.log").read_text()
            assert worker.poll() is None and time.monotonic() < deadline, said  # noqa: PT018
            time.sleep(0.02)

    children = set()
    for _ in range(3):
        with connection.cursor() as cursor:
            # Until this is released, the task waits in the middle.
            cursor.execute("SELECT pg_advisory_lock(%s)", [LOCK])
            with app.connection_for_write(redis_server.url) as broker:
                name = "usage.tasks.roll_up_team_anew"
                app.send_task(name, [apollo.team.pk], connection=broker)
            wait_for(is_waited_for)
            children |= {child.pid for child in psutil.Process(worker.pid).children()}
            redis_server.kill()
            redis_server.start()
            cursor.execute("SELECT pg_advisory_unlock(%s)", [LOCK])
    report(apollo, "after all that")
    wait_for(UsageDay.objects.exists)
    assert {child.pid for child in psutil.Process(worker.pid).children()} == children
    worker.terminate()
    assert worker.wait(10) == 0


def is_waited_for() -> bool:
    """Tell whether somebody waits to roll up."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")
        return cursor.fetchone() is not None
