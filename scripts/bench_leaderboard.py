"""Measure the leaderboard at size (`make bench-leaderboard`): ingest, fit and publish, serve.

Everything runs against a throw-away PostgreSQL and Redis in a production-like environment. The feed
is made up and written to a temporary folder: 200 models, every benchmark that the catalogue of
benchmarks declares, 100,000 task results in all.
"""

import contextlib
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from production_env import production_env
from servers import ROOT, clean_up_on_signals, end_leftovers, postgres, redis_server

MODELS, RESULTS = 200, 100_000
PYTHON = ROOT / ".venv" / "bin" / "python"


def write_feed(folder: Path) -> None:
    """Write a feed in the OpenHands Index layout."""
    draw = random.Random(1)  # noqa: S311
    benchmarks = ("swe-bench", "swt-bench", "gaia", "commit0")
    tasks = RESULTS // MODELS // len(benchmarks)
    for number in range(MODELS):
        home = folder / "results" / f"model-{number}"
        (home / "instance_results").mkdir(parents=True)
        metadata = {"agent_name": "OpenHands", "agent_version": "v1", "model": f"Bench {number}"}
        (home / "metadata.json").write_text(json.dumps({**metadata, "input_price": 1.0}))
        (home / "scores.json").write_text(
            json.dumps([{"benchmark": name, "average_runtime": 60.0} for name in benchmarks])
        )
        for name in benchmarks:
            rows = {
                f"task-{task}": {
                    "resolved": draw.random() < (number + 100) / 400,
                    "cost": round(draw.lognormvariate(-1, 0.8), 6),
                }
                for task in range(tasks)
            }
            (home / "instance_results" / f"{name}.json").write_text(json.dumps(rows))


def timed(name: str, command: list[str], env: dict[str, str]) -> None:
    """Run a command and print how long it took and the most memory it held."""
    before = time.monotonic()
    process = subprocess.Popen([PYTHON, "manage.py", *command], env=env, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    seconds, megabytes = time.monotonic() - before, usage.ru_maxrss / 1024
    print(f"{name:42} {seconds:7.2f} s  {megabytes:6.0f} MB  {'' if status == 0 else 'FAILED'}")
    if os.waitstatus_to_exitcode(status) not in {0, 1}:  # 1: something was rejected
        sys.exit(f"{name} failed")


PUBLISH = """
import time
import numpy as np
from leaderboard.actions.publishing import do_publish
from leaderboard.models import Benchmark, CatalogModel, Run, RunFigure
from lib.taxonomy import DIFFICULTIES, ROUTES
from teams.actions import SystemActor
draw = np.random.default_rng(1)
Run.objects.update(withdrawn_at="2026-01-01T00:00:00Z")
benchmarks = Benchmark.objects.bulk_create(
    Benchmark(slug=f"bench-{i}", name=route, route=route) for i, route in enumerate(ROUTES)
)
models = CatalogModel.objects.bulk_create(
    CatalogModel(model_id=f"p/m{i}", name=f"m{i}", provider="p") for i in range(200)
)
runs = Run.objects.bulk_create(
    Run(benchmark=benchmark, model=model, source="bench", feed_model_name=model.name,
        harness="bench", origin="made up", content_hash="", is_aggregate=True)
    for model in models for benchmark in benchmarks
)
RunFigure.objects.bulk_create(
    RunFigure(run=run, difficulty=level, n=40, passed=int(draw.integers(0, 41)), n_cost=40,
              cost_micro_usd=int(40 * draw.lognormal(12, 1)), cost_cv=0.5)
    for run in runs for level in DIFFICULTIES
)
before = time.perf_counter()
do_publish(actor=SystemActor("bench"))
print(f"{'fit and publish, 200 models x 18 routes':42} {time.perf_counter() - before:7.2f} s")
"""

PAGE = """
import time
from django.test import Client
client = Client(HTTP_HOST="localhost")
client.get("/leaderboard/", secure=True)
times = []
for _ in range(50):
    before = time.perf_counter()
    assert client.get("/leaderboard/", secure=True).status_code == 200
    times.append(time.perf_counter() - before)
times.sort()
print(f"{'leaderboard page, warm, median':42} {times[25] * 1000:7.1f} ms")
print(f"{'leaderboard page, warm, p95':42} {times[47] * 1000:7.1f} ms")
"""


@contextlib.contextmanager
def site(temp: Path) -> Iterator[dict[str, str]]:
    """Run the servers and yield the environment of a production-like site."""
    with postgres(temp) as database, redis_server(temp) as store:
        yield {
            **os.environ,
            **production_env(database, store),
            "VAR_DIR": str(temp / "var"),
            "AUTO_PUBLISH": "0",
        }


def main() -> None:
    """Print one line per measurement."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    clean_up_on_signals()
    with tempfile.TemporaryDirectory(prefix="kilo-bench-") as name:
        temp = Path(name)
        temp.chmod(0o755)
        feed = temp / "feed"
        write_feed(feed)
        with site(temp) as env:
            subprocess.run([PYTHON, "manage.py", "migrate", "-v0"], env=env, check=True)
            timed("load_catalogue", ["load_catalogue"], env)
            timed(f"ingest, {RESULTS:,} results", ["ingest", "openhands-index", str(feed)], env)
            timed("ingest again, unchanged", ["ingest", "openhands-index", str(feed)], env)
            timed("publish, 100,000 results", ["publish"], env)
            for code in (PUBLISH, PAGE):
                subprocess.run(
                    [PYTHON, "manage.py", "shell", "-v0", "-c", code], env=env, check=True
                )


if __name__ == "__main__":
    try:
        main()
    finally:
        end_leftovers()
