"""Reads that aggregate: the figures behind the scorecard, and the table in force."""

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache

from django.db.models import Q

from leaderboard import figures
from leaderboard import table as tables
from leaderboard.models import PUBLIC, CurrentTable, Price, RoutingTable, Run, RunFigure, TaskResult

LIVE = Q(superseded_at=None, withdrawn_at=None)


@dataclass(frozen=True)
class Figure:
    """Counts of one live run in one difficulty third; see `RunFigure` for the fields."""

    run: Run
    difficulty: str
    n: int
    passed: float
    n_cost: int
    cost_micro_usd: int
    cost_cv: float


def live_runs(team_id: int | None = None) -> list[Run]:
    """Return the runs that count: the newest report of each, neither superseded nor withdrawn.

    Public runs, and with a team also that team's own.
    """
    return list(
        Run.objects.filter(LIVE, Q(team=None) | Q(team_id=team_id))
        .select_related("model", "benchmark")
        .order_by(
            "benchmark__slug", "model__model_id", "harness", "feed_model_name", "source", "pk"
        )
    )


def run_figures(team_id: int | None = None) -> Iterator[Figure]:
    """Yield the figures of every live run, detailed ones counted here, aggregate ones as reported.

    With a team, its own runs are included. Difficulty thirds always come from the public runs
    where there are any, so that a team's figures can be compared with the board's.
    """
    runs = live_runs(team_id)
    results: dict[int, list[figures.Result]] = defaultdict(list)
    rows = TaskResult.objects.filter(run__in=[run.pk for run in runs]).order_by("pk")
    columns = ("run_id", "task", "score", "cost_micro_usd")
    for run_id, task, score, cost in rows.values_list(*columns).iterator():
        results[run_id].append(figures.Result(task, score, cost))
    tasks = {run_id: figures.by_task(found) for run_id, found in results.items()}
    thirds = difficulty_thirds(runs, tasks)
    reported: dict[int, list[RunFigure]] = defaultdict(list)
    for figure in RunFigure.objects.filter(run__in=[run.pk for run in runs]).order_by("pk"):
        reported[figure.run_id].append(figure)
    for run in runs:
        if run.is_aggregate:
            yield from (as_reported(run, figure) for figure in reported[run.pk])
        else:
            counted = figures.count(tasks.get(run.pk, {}), thirds[run.benchmark_id])
            yield from (Figure(run, *counts) for counts in counted)


def difficulty_thirds(
    runs: Iterable[Run], tasks: Mapping[int, Mapping[str, figures.Result]]
) -> dict[int, dict[str, str]]:
    """Return each benchmark's difficulty by task; see `figures.thirds`."""
    public: dict[int, list[Mapping[str, figures.Result]]] = defaultdict(list)
    own: dict[int, list[Mapping[str, figures.Result]]] = defaultdict(list)
    for run in runs:
        if run.pk in tasks:
            (public if run.team_id is None else own)[run.benchmark_id].append(tasks[run.pk])
    return {
        benchmark: figures.thirds(public[benchmark] or own[benchmark])
        for benchmark in public.keys() | own.keys()
    }


def as_reported(run: Run, figure: RunFigure) -> Figure:
    """Return a stored figure in the common form."""
    return Figure(
        run,
        figure.difficulty,
        figure.n,
        figure.passed,
        figure.n_cost,
        figure.cost_micro_usd,
        figure.cost_cv,
    )


def prices_on(day: dt.date) -> dict[int, Price]:
    """Return each model's base price (no long-context premium) in force on a day, by model pk."""
    prices = Price.objects.filter(valid_from__lte=day, above_input_tokens=0).order_by("valid_from")
    return {price.model_id: price for price in prices}


def current_version() -> str | None:
    """Return the version of the table that routes, or None before the first is published."""
    return (
        CurrentTable.objects.filter(scope=PUBLIC).values_list("table__version", flat=True).first()
    )


def current_table() -> tables.Table | None:
    """Return the table that routes, decoded once per process."""
    version = current_version()
    return load_table(version) if version else None


@lru_cache(maxsize=4)
def load_table(version: str) -> tables.Table:
    """Return a table by version. Tables never change, so a copy in memory cannot go stale."""
    return tables.decode(bytes(RoutingTable.objects.get(version=version).content))


def published_at() -> dt.datetime | None:
    """Return when the current table was published."""
    return (
        CurrentTable.objects.filter(scope=PUBLIC)
        .values_list("table__published_at", flat=True)
        .first()
    )
