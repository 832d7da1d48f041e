"""A reading outlives its worker: a real one is killed in the middle, a second one finishes."""

import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from django.db.models import Count
from pytest_django import Settings

from kilo_site.tests.fixtures import SETUP
from kilo_site.tests.processes import celery_worker, kill_with_children
from leaderboard.actions.feeds import do_save_feed
from leaderboard.models import CurrentTable, Feed, Ingestion, IngestionState, Run, TaskResult
from leaderboard.tests.feeds import METADATA, make_feed

pytestmark = [pytest.mark.production, pytest.mark.django_db(transaction=True)]

RUNS = 24
TASKS_PER_RUN = 4_000

Start = Callable[[], "subprocess.Popen[bytes]"]


@pytest.fixture
def start_worker(transactional_db: None, settings: Settings, tmp_path: Path) -> Iterator[Start]:
    """Start workers with their beat on the test's database; those left at the end are ended."""
    env = {"FEED_DIRS": str(tmp_path), "FEED_CHECK_SECONDS": "1", "INGESTION_STALE_SECONDS": "3"}
    workers: list[subprocess.Popen[bytes]] = []

    def start() -> subprocess.Popen[bytes]:
        log = tmp_path / f"worker-{len(workers) + 1}.log"
        workers.append(celery_worker(log, settings.REDIS_URL, **env))
        return workers[-1]

    yield start
    for worker in workers:
        if worker.poll() is None:
            kill_with_children(worker)


def wait_for(condition: Callable[[], bool], folder: Path, seconds: float = 60) -> None:
    """Wait until something is so; fail with what the workers said."""
    deadline = time.monotonic() + seconds
    while not condition():
        said = "".join(log.read_text() for log in folder.glob("worker-*.log"))
        assert time.monotonic() < deadline, said
        time.sleep(0.02)


def test_a_killed_worker_loses_and_doubles_nothing(start_worker: Start, tmp_path: Path) -> None:
    tasks = {f"task-{n:05}": {"resolved": n % 3 == 0, "cost": 0.25} for n in range(TASKS_PER_RUN)}
    for number in range(RUNS):
        make_feed(
            tmp_path / "feed",
            f"model-{number:02}",
            metadata={**METADATA, "model": f"Model {number:02}"},
            swe_bench={**tasks, "bad": 1},
        )
    feed = Feed(name="Big", format="openhands-index", location=str(tmp_path / "feed"))
    feed.interval_minutes = 60
    do_save_feed(feed, actor=SETUP)

    first = start_worker()
    wait_for(lambda: Run.objects.count() >= 3, tmp_path)
    kill_with_children(first)  # SIGKILL, to the worker and to its children
    ingestion = Ingestion.objects.get()
    landed = Run.objects.annotate(rows=Count("task_results"))
    assert ingestion.state == IngestionState.RUNNING
    assert 3 <= landed.count() < RUNS
    assert {run.rows for run in landed} == {TASKS_PER_RUN}
    before = set(Run.objects.values_list("public_id", flat=True))

    start_worker()
    wait_for(
        lambda: Ingestion.objects.get().state not in (IngestionState.QUEUED, ingestion.state),
        tmp_path,
    )
    ingestion.refresh_from_db()
    assert (ingestion.state, ingestion.attempts) == (IngestionState.SUCCEEDED, 2)
    assert (ingestion.runs_done, ingestion.runs_expected) == (RUNS, RUNS)
    assert ingestion.rows_accepted == RUNS * TASKS_PER_RUN
    assert (ingestion.rows_rejected, ingestion.rejected.count()) == (RUNS, RUNS)
    runs = Run.objects.filter(superseded_at=None)
    assert runs.count() == Run.objects.count() == RUNS
    assert before < set(runs.values_list("public_id", flat=True))
    assert TaskResult.objects.count() == RUNS * TASKS_PER_RUN
    assert CurrentTable.objects.exists()
