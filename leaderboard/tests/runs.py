"""Made-up runs for tests, public ones unless a team is given."""

import datetime as dt
from collections.abc import Sequence
from typing import Any

from leaderboard.models import Benchmark, CatalogModel, Run, RunFigure, TaskResult

DAY = dt.datetime(2026, 3, 1, tzinfo=dt.UTC)


def make_model(model_id: str, **changes: Any) -> CatalogModel:
    """Return the catalogue's model of that id, made if it is not there."""
    provider, _, name = model_id.partition("/")
    model, _ = CatalogModel.objects.get_or_create(
        model_id=model_id,
        defaults={"name": name, "provider": provider, "input_modalities": ["text"], **changes},
    )
    return model


def make_run(
    model_id: str,
    results: Sequence[tuple[str, float | None, int | None]] | None = None,
    **fields: Any,
) -> Run:
    """Store a run of SWE-bench. Without `results` (task, score, cost) it is an aggregate one.

    The same task twice is two trials of it.
    """
    benchmark, _ = Benchmark.objects.get_or_create(
        slug=fields.pop("benchmark", "swe-bench"),
        defaults={"name": "SWE-bench Verified", "route": "debugging/bug_fixing"},
    )
    made_up: dict[str, Any] = {
        "source": "made-up",
        "feed_model_name": model_id,
        "harness": "hammer",
        "origin": "results.jsonl",
        "content_hash": "0" * 64,
        "measured_at": DAY,
    }
    run = Run.objects.create(
        benchmark=benchmark,
        model=make_model(model_id),
        is_aggregate=results is None,
        **{**made_up, **fields},
    )
    if results is None:
        RunFigure.objects.create(
            run=run, n=100, passed=61.5, n_cost=50, cost_micro_usd=5_000_000, cost_cv=1.0
        )
    trials: dict[str, int] = {}
    rows = []
    for task, score, cost in results or ():
        trials[task] = trials.get(task, 0) + 1
        rows.append(
            TaskResult(run=run, task=task, trial=trials[task], score=score, cost_micro_usd=cost)
        )
    TaskResult.objects.bulk_create(rows)
    return run


def tasks(
    count: int, solved: int, cost_micro_usd: int = 200_000
) -> list[tuple[str, float | None, int | None]]:
    """Return results of which the first `solved` are solved, each a little dearer than the last."""
    return [
        (f"task-{number:03}", float(number < solved), cost_micro_usd + 1_000 * number)
        for number in range(count)
    ]
