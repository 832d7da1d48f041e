"""Reads that aggregate: the figures behind the scorecard, and the table in force."""

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache

from django.db.models import Avg, Count, Exists, F, Max, OuterRef, Q, QuerySet, Subquery

from leaderboard import figures
from leaderboard import table as tables
from leaderboard.models import (
    PUBLIC,
    Benchmark,
    CatalogModel,
    CurrentTable,
    Feed,
    Ingestion,
    Price,
    RoutingTable,
    Run,
    RunFigure,
    TaskResult,
)
from teams.models import Team

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
            "benchmark__slug",
            "model__model_id",
            "harness",
            "feed_model_name",
            "source",
            F("team_id").asc(nulls_first=True),
        )
    )


def run_figures(team_id: int | None = None) -> Iterator[Figure]:
    """Yield the figures of every live run, detailed ones counted here, aggregate ones as reported.

    With a team, its own runs are included. Difficulty thirds always come from the public runs
    where there are any, so that a team's figures can be compared with the board's.
    """
    runs = live_runs(team_id)
    results: dict[int, list[figures.Result]] = defaultdict(list)
    rows = TaskResult.objects.filter(run__in=[run.pk for run in runs]).order_by(
        "run_id", "task", "trial"
    )
    columns = ("run_id", "task", "score", "cost_micro_usd")
    for run_id, task, score, cost in rows.values_list(*columns).iterator():
        results[run_id].append(figures.Result(task, score, cost))
    tasks = {run_id: figures.by_task(found) for run_id, found in results.items()}
    difficulties = difficulties_of(runs, tasks)
    reported: dict[int, list[RunFigure]] = defaultdict(list)
    for figure in RunFigure.objects.filter(run__in=[run.pk for run in runs]).order_by("pk"):
        reported[figure.run_id].append(figure)
    for run in runs:
        if run.is_aggregate:
            yield from (as_reported(run, figure) for figure in reported[run.pk])
        else:
            thirds = difficulties[run.benchmark_id].thirds(run.model.model_id)
            counted = figures.count(tasks.get(run.pk, {}), thirds)
            yield from (Figure(run, *counts) for counts in counted)


def difficulties_of(
    runs: Iterable[Run], tasks: Mapping[int, Mapping[str, figures.Result]]
) -> dict[int, figures.Difficulties]:
    """Return each benchmark's difficulties: by the public runs where there are any."""
    detailed = [run for run in runs if not run.is_aggregate]
    public = {run.benchmark_id for run in detailed if run.team_id is None}
    found: dict[int, figures.Difficulties] = defaultdict(figures.Difficulties)
    for run in detailed:
        if run.team_id is None or run.benchmark_id not in public:
            found[run.benchmark_id].add(run.model.model_id, tasks.get(run.pk, {}))
    return found


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


def current_version(team_id: int | None = None) -> str | None:
    """Return the version of the table that routes, or None before the first is published.

    That is the public table; for a team whose own results count, it is that team's.
    """
    return current_pointers(team_id).values_list("table__version", flat=True).first()


def current_pointers(team_id: int | None) -> QuerySet[CurrentTable]:
    """Return the pointers that a team may be routed by, its own first."""
    pointers = CurrentTable.objects.filter(Q(team=None) | Q(team_id=team_id))
    return pointers.order_by(F("team_id").asc(nulls_last=True))


def current_table(team_id: int | None = None) -> tables.Table | None:
    """Return the table that routes, decoded once per process; see `current_version`."""
    pointer = current_pointers(team_id).values_list("table__version", "standing").first()
    return standing_table(pointer[0], tuple(pointer[1])) if pointer else None


@lru_cache(maxsize=32)
def standing_table(version: str, standing: tuple[str, ...]) -> tables.Table:
    """Return a table with the models that its routes stand by."""
    return replace(load_table(version), standing=standing)


@lru_cache(maxsize=32)
def load_table(version: str) -> tables.Table:
    """Return a table by version. Tables never change, so a copy in memory cannot go stale."""
    return tables.decode(bytes(RoutingTable.objects.get(version=version).content))


def published_at(version: str) -> dt.datetime:
    """Return when the table of that version was published."""
    return RoutingTable.objects.values_list("published_at", flat=True).get(version=version)


def public_tables() -> QuerySet[RoutingTable]:
    """Return the tables that anyone may see, newest first, without their content."""
    return RoutingTable.objects.filter(scope=PUBLIC).defer("content")


def public_table(version: str) -> tables.Table | None:
    """Return a public table by version; None when there is none, or when it is a team's."""
    return load_table(version) if public_tables().filter(version=version).exists() else None


def teams_with_tables() -> QuerySet[Team]:
    """Return the teams that have live results of their own, or a table that counted some."""
    has_runs = Run.objects.filter(LIVE, team=OuterRef("pk"))
    has_table = CurrentTable.objects.filter(team=OuterRef("pk"))
    return Team.objects.filter(Exists(has_runs) | Exists(has_table)).order_by("slug")


@dataclass(frozen=True)
class Origin:
    """Where a model's figures come from: its live public runs, in short."""

    measured_at: dt.datetime | None
    sources: tuple[str, ...]
    harnesses: tuple[str, ...]


NO_ORIGIN = Origin(None, (), ())


@dataclass(frozen=True, eq=False)
class Origins:
    """The origin of every model that has live public runs."""

    by_model: Mapping[str, Origin]
    harnesses: tuple[str, ...]

    def of(self, model_id: str) -> Origin:
        """Return a model's origin, an empty one when it has no runs."""
        return self.by_model.get(model_id, NO_ORIGIN)

    def measured_in(self, harness: str) -> set[str]:
        """Return the models that have runs in a harness."""
        return {name for name, origin in self.by_model.items() if harness in origin.harnesses}


def origins() -> Origins:
    """Return where the models' figures come from, read anew only when a public run has changed."""
    state = Run.objects.filter(team=None).aggregate(
        live=Count("pk", filter=LIVE),
        newest=Max("public_id"),
        ingested=Max("ingested_at"),
        superseded=Max("superseded_at"),
        withdrawn=Max("withdrawn_at"),
    )
    return origins_at(tuple(state.values()))


@lru_cache(maxsize=1)
def origins_at(_state: tuple[object, ...]) -> Origins:
    """Return the origins. `_state` tells one set of public runs from another."""
    rows = (
        Run.objects.filter(LIVE, team=None)
        .order_by("source", "harness")
        .values_list("model__model_id", "source", "harness")
        .annotate(Max("measured_at"))
    )
    found: dict[str, list[tuple[str, str, dt.datetime | None]]] = defaultdict(list)
    for model_id, *origin in rows:
        found[model_id].append((origin[0], origin[1], origin[2]))
    by_model = {
        model_id: Origin(
            max((when for *_, when in parts if when), default=None),
            tuple(dict.fromkeys(source for source, *_ in parts)),
            tuple(sorted({harness for _, harness, _ in parts})),
        )
        for model_id, parts in found.items()
    }
    names = {harness for origin in by_model.values() for harness in origin.harnesses}
    return Origins(by_model, tuple(sorted(names)))


@dataclass(frozen=True)
class RunRecord:
    """A public run with its counts over all difficulties; see `RunFigure` for the fields."""

    run: Run
    n: int
    passed: float
    n_cost: int
    cost_micro_usd: int

    @property
    def is_live(self) -> bool:
        """Whether it counts, being neither superseded nor withdrawn."""
        return self.run.superseded_at is None and self.run.withdrawn_at is None

    @property
    def mean_cost_micro_usd(self) -> float | None:
        """The mean of the known costs, None where there is none."""
        return self.cost_micro_usd / self.n_cost if self.n_cost else None

    @property
    def link(self) -> str:
        """Where the run, or else its feed, can be looked at; empty without a web address."""
        places = (self.run.url, self.run.origin)
        return next((one for one in places if one.startswith(("https://", "http://"))), "")


def public_runs_of(model_id: str) -> list[RunRecord]:
    """Return every public run of a model, those that count and those that once did, newest first.

    A detailed run's repeated trials count as one task, by their mean.
    """
    runs = list(
        Run.objects.filter(team=None, model__model_id=model_id)
        .select_related("benchmark", "model")
        .order_by("benchmark__slug", "-ingested_at", "-pk")
    )
    tasks = (
        TaskResult.objects.filter(run__in=[run.pk for run in runs if not run.is_aggregate])
        .order_by()
        .values("run_id", "task")
        .annotate(
            mean_score=Avg("score"), mean_cost=Avg("cost_micro_usd", filter=Q(cost_micro_usd__gt=0))
        )
    )
    counts: dict[int, list[float]] = defaultdict(lambda: [0, 0.0, 0, 0.0])
    for run_id, score, cost in tasks.values_list("run_id", "mean_score", "mean_cost"):
        add(counts[run_id], 0 if score is None else 1, score or 0.0, 1 if cost else 0, cost or 0)
    reported = RunFigure.objects.filter(run__in=[run.pk for run in runs if run.is_aggregate])
    columns = ("run_id", "n", "passed", "n_cost", "cost_micro_usd")
    for run_id, *figures_of_run in reported.values_list(*columns):
        add(counts[run_id], *figures_of_run)
    return [
        RunRecord(run, int(n), passed, int(n_cost), round(cost))
        for run in runs
        for n, passed, n_cost, cost in [counts[run.pk]]
    ]


def add(sums: list[float], *values: float) -> None:
    """Add values to sums, place by place."""
    for place, value in enumerate(values):
        sums[place] += value


def price_history(model_id: str) -> list[Price]:
    """Return every price of a model, the newest first, base prices before long-context ones."""
    rows = Price.objects.filter(model__model_id=model_id)
    return list(rows.order_by("-valid_from", "above_input_tokens"))


def find_model(model_id: str) -> CatalogModel | None:
    """Return a model of the catalogue; None for anything else."""
    return None if "\x00" in model_id else CatalogModel.objects.filter(model_id=model_id).first()


@dataclass(frozen=True)
class Measure:
    """A benchmark with the number of live public runs over it, and of the models in them."""

    benchmark: Benchmark
    runs: int
    models: int


def measures_of(route: str) -> list[Measure]:
    """Return the benchmarks that measure a route, those with live public runs."""
    rows = (
        Run.objects.filter(LIVE, team=None, benchmark__route=route)
        .order_by("benchmark")
        .values_list("benchmark")
        .annotate(Count("pk"), Count("model", distinct=True))
    )
    benchmarks = Benchmark.objects.in_bulk([pk for pk, *_ in rows])
    return [Measure(benchmarks[pk], runs, models) for pk, runs, models in rows]


def has_live_runs(team: Team) -> bool:
    """Tell whether any result of a team's own counts."""
    return Run.objects.filter(LIVE, team=team).exists()


def feeds_with_readings() -> list[tuple[Feed, Ingestion | None]]:
    """Return every feed with its newest reading."""
    readings = Ingestion.objects.filter(feed=OuterRef("pk")).values("pk")[:1]
    feeds = list(Feed.objects.annotate(newest=Subquery(readings)))
    newest = Ingestion.objects.in_bulk([feed.newest for feed in feeds if feed.newest])
    return [(feed, newest.get(feed.newest)) for feed in feeds]


def public_ingestions() -> QuerySet[Ingestion]:
    """Return the readings of public results, newest first; a team's submissions are its own."""
    return Ingestion.objects.filter(team=None).select_related("feed")


def runs_of_ingestion(ingestion: Ingestion) -> QuerySet[Run]:
    """Return the runs that a reading brought."""
    return ingestion.runs.select_related("model", "benchmark").order_by(
        "benchmark__slug", "feed_model_name", "harness", "pk"
    )
