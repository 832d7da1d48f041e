"""Reads that aggregate: the figures behind the scorecard, and the table in force."""

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from leaderboard import table as tables
from leaderboard.models import CurrentTable, Price, RoutingTable, Run, RunFigure, TaskResult
from lib.taxonomy import DIFFICULTIES


@dataclass(frozen=True)
class Figure:
    """Counts of one live run in one difficulty third; see `RunFigure` for the fields."""

    run: Run
    difficulty: str
    n: int
    passed: int
    n_cost: int
    cost_micro_usd: int
    cost_cv: float


class Row(NamedTuple):
    """One task result with a known outcome or cost."""

    task: str
    passed: bool | None
    cost_micro_usd: int | None


def live_runs() -> list[Run]:
    """Return the runs that count: the newest report of each."""
    return list(
        Run.objects.filter(superseded_at=None)
        .select_related("model", "benchmark")
        .order_by("benchmark__slug", "model__model_id", "harness", "feed_model_name", "source")
    )


def run_figures() -> Iterator[Figure]:
    """Yield the figures of every live run: detailed ones counted, aggregate ones as reported."""
    runs = live_runs()
    results: dict[int, list[Row]] = defaultdict(list)
    columns = ("run_id", "task", "passed", "cost_micro_usd")
    for run_id, *row in TaskResult.objects.filter(run__superseded_at=None).values_list(*columns):
        results[run_id].append(Row(*row))
    thirds = difficulty_thirds(runs, results)
    reported: dict[int, list[RunFigure]] = defaultdict(list)
    for figure in RunFigure.objects.filter(run__superseded_at=None).order_by("pk"):
        reported[figure.run_id].append(figure)
    for run in runs:
        if run.is_aggregate:
            yield from (as_reported(run, figure) for figure in reported[run.pk])
        else:
            yield from count(run, results[run.pk], thirds[run.benchmark_id])


def difficulty_thirds(
    runs: Iterable[Run], results: dict[int, list[Row]]
) -> dict[int, dict[str, str]]:
    """Put each benchmark's tasks into thirds by the share of runs that solved them.

    Returns difficulty by task, by benchmark id. The easiest third is ``low``. Ties are broken by
    the task's name, so that the same results always give the same thirds.
    """
    outcomes: dict[int, dict[str, list[bool]]] = defaultdict(lambda: defaultdict(list))
    for run in runs:
        for row in results.get(run.pk, ()):
            if row.passed is not None:
                outcomes[run.benchmark_id][row.task].append(row.passed)
    thirds: dict[int, dict[str, str]] = defaultdict(dict)
    for benchmark_id, tasks in outcomes.items():
        ordered = sorted(tasks, key=lambda task: (-sum(tasks[task]) / len(tasks[task]), task))
        for place, task in enumerate(ordered):
            thirds[benchmark_id][task] = DIFFICULTIES[place * 3 // len(ordered)]
    return thirds


def count(run: Run, rows: list[Row], thirds: dict[str, str]) -> Iterator[Figure]:
    """Yield the figures of a detailed run.

    A cost of exactly zero counts as unknown: a model with a price did not solve a task for nothing,
    so the feed's meter was not running.
    """
    for difficulty in DIFFICULTIES:
        inside = [row for row in rows if thirds.get(row.task) == difficulty]
        known = [row.passed for row in inside if row.passed is not None]
        costs = [row.cost_micro_usd for row in inside if row.cost_micro_usd]
        if known or costs:
            mean = sum(costs) / len(costs) if costs else 0.0
            spread = float(np.std(costs, ddof=1)) / mean if len(costs) > 1 else 0.0
            yield Figure(
                run, difficulty, len(known), sum(known), len(costs), sum(costs), round(spread, 6)
            )


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
    return CurrentTable.objects.values_list("table__version", flat=True).first()


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
    return CurrentTable.objects.values_list("table__published_at", flat=True).first()
