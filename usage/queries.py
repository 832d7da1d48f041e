"""Usage history, added up by the database."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db.models import Count, F, Q, QuerySet, Sum
from django.db.models.functions import TruncDay, TruncHour

from leaderboard.models import CatalogModel, Price
from routing.engine.explain import FALLBACKS
from routing.engine.inputs import Rules
from routing.models import Decision
from routing.queries.live import rules_in_force, table_for
from routing.queries.policies import InForce
from teams.models import Project
from usage import replay
from usage.models import UsageEvent
from usage.pricing import PriceTier
from usage.ranges import Window
from usage.weighting import Traffic

# What usage can be split by, and the column of it.
GROUPS = {
    "model": "model",
    "route": "route",
    "mode": "mode",
    "reason": "reason_code",
    "status": "status",
}
METRICS = ("cost", "requests", "tokens")
MAX_SERIES = 8
# How far back a draft of a policy is replayed, and on how many decisions at most.
REPLAY_DAYS = 7
MAX_REPLAYED = 1000
NONE = "(none)"
OTHER = "Other"


@dataclass
class Figures:
    """Sums over some events. The cost is of those that have a price; the others are `unpriced`."""

    requests: int = 0
    cost_micro_usd: int = 0
    unpriced: int = 0
    input_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    output_tokens: int = 0

    @property
    def tokens(self) -> int:
        """Tokens of every kind."""
        return (
            self.input_tokens
            + self.cache_read_tokens
            + self.cache_write_tokens
            + self.output_tokens
        )

    @property
    def cached_tokens(self) -> int:
        """Tokens read from or written to the provider's prompt cache."""
        return self.cache_read_tokens + self.cache_write_tokens

    def add(self, other: "Figures") -> None:
        """Add other figures to these."""
        for name in SUMS:
            setattr(self, name, getattr(self, name) + getattr(other, name))

    def metric(self, name: str) -> int:
        """Return the figure of a metric: cost in micro-USD, requests, or tokens."""
        return {"cost": self.cost_micro_usd, "requests": self.requests, "tokens": self.tokens}[name]


SUMS = {
    "requests": Count("id"),
    "cost_micro_usd": Sum("cost_micro_usd"),
    "unpriced": Count("id", filter=Q(cost_micro_usd=None)),
    "input_tokens": Sum("input_tokens"),
    "cache_read_tokens": Sum("cache_read_tokens"),
    "cache_write_tokens": Sum("cache_write_tokens"),
    "output_tokens": Sum("output_tokens"),
}
# A sum may not be called like the column that it is of.
SUMS_BY_ALIAS = {f"sum_{name}": expression for name, expression in SUMS.items()}


@dataclass
class Series:
    """One group's figures: the total, and those of the buckets in which it has any."""

    name: str
    total: Figures = field(default_factory=Figures)
    buckets: dict[datetime, Figures] = field(default_factory=dict)

    def add(self, bucket: datetime, figures: Figures) -> None:
        """Add a bucket's figures."""
        self.total.add(figures)
        self.buckets.setdefault(bucket, Figures()).add(figures)


@dataclass(frozen=True)
class Totals:
    """A window in a handful of figures.

    `saved_micro_usd` is an estimate: what the calls would have cost on the policy's baseline model
    minus what they did cost, summed over the calls for which both are known (see `UsageEvent`).
    """

    used: Figures
    decisions: int
    fallbacks: int
    saved_micro_usd: int

    @property
    def fallback_rate(self) -> float | None:
        """The share of decisions that fell back to Balanced; None without decisions."""
        return self.fallbacks / self.decisions if self.decisions else None


def events_in(project_id: int, window: Window) -> QuerySet[UsageEvent]:
    """Return a project's events in a window."""
    return UsageEvent.objects.filter(
        project_id=project_id, occurred_at__gte=window.start, occurred_at__lt=window.end
    )


def figures_of(row: Mapping[str, Any]) -> Figures:
    """Return the figures in a database row; a sum over nothing is zero."""
    return Figures(**{name: row[f"sum_{name}"] or 0 for name in SUMS})


def usage_over_time(
    project_id: int, window: Window, group: str, metric: str = "cost"
) -> list[Series]:
    """Return usage by bucket and group, the largest group first by `metric`.

    At most `MAX_SERIES` groups have a series of their own; the rest is added up as `OTHER`. Events
    that have no value to group by are under `NONE`.
    """
    truncate = TruncHour if window.bucket == "hour" else TruncDay
    rows = (
        events_in(project_id, window)
        .order_by()
        .values(bucket=truncate("occurred_at", tzinfo=UTC), group=F(GROUPS[group]))
        .annotate(**SUMS_BY_ALIAS)
    )
    series: dict[str, Series] = {}
    for row in rows:
        name = row["group"] or NONE
        figures = figures_of(row)
        series.setdefault(name, Series(name)).add(row["bucket"], figures)
    ranked = sorted(
        series.values(),
        key=lambda one: (-one.total.metric(metric), -one.total.requests, one.name),
    )
    return [*ranked[:MAX_SERIES], *fold(ranked[MAX_SERIES:])]


def fold(rest: Collection[Series]) -> list[Series]:
    """Return many small series as one."""
    if not rest:
        return []
    other = Series(OTHER)
    for series in rest:
        for bucket, figures in series.buckets.items():
            other.add(bucket, figures)
    return [other]


def totals(project_id: int, window: Window) -> Totals:
    """Return what a project used, and how its decisions went, in a window."""
    used = events_in(project_id, window).aggregate(
        **SUMS_BY_ALIAS,
        # The difference of a row without one of the two costs is null, and null is left out.
        saved=Sum(F("baseline_cost_micro_usd") - F("cost_micro_usd")),
    )
    decided = Decision.objects.filter(
        project_id=project_id, created_at__gte=window.start, created_at__lt=window.end
    ).aggregate(
        decisions=Count("id"),
        fallbacks=Count("id", filter=Q(reason_code__in=FALLBACKS)),
    )
    return Totals(
        used=figures_of(used),
        decisions=decided["decisions"],
        fallbacks=decided["fallbacks"],
        saved_micro_usd=used["saved"] or 0,
    )


def events_of(
    project_id: int,
    start: datetime | None = None,
    end: datetime | None = None,
    cost_differs: bool | None = None,
) -> QuerySet[UsageEvent]:
    """Return a project's events from `start` until before `end`, newest first."""
    bounds = {"occurred_at__gte": start, "occurred_at__lt": end, "cost_differs": cost_differs}
    wanted = {name: value for name, value in bounds.items() if value is not None}
    return UsageEvent.objects.filter(project_id=project_id, **wanted)


def events_of_decision(decision: Decision) -> QuerySet[UsageEvent]:
    """Return what was reported for one decision, oldest first."""
    return UsageEvent.objects.filter(
        project_id=decision.project_id, decision_id=decision.public_id
    ).order_by("occurred_at", "id")


def has_traffic(project_id: int) -> bool:
    """Tell whether a project ever asked for a decision or reported usage."""
    return (
        Decision.objects.filter(project_id=project_id).exists()
        or UsageEvent.objects.filter(project_id=project_id).exists()
    )


def known_models(model_ids: Iterable[str]) -> set[str]:
    """Return those of the ids that the catalogue knows."""
    rows = CatalogModel.objects.filter(model_id__in=set(model_ids))
    return set(rows.values_list("model_id", flat=True))


def price_tiers(model_ids: Iterable[str]) -> dict[str, list[PriceTier]]:
    """Return every price list entry of some models, by model id."""
    tiers: dict[str, list[PriceTier]] = {}
    for price in Price.objects.filter(model__model_id__in=set(model_ids)).select_related("model"):
        tier = PriceTier(
            valid_from=price.valid_from,
            above_input_tokens=price.above_input_tokens,
            input=price.input_micro_usd,
            output=price.output_micro_usd,
            cache_read=price.cache_read_micro_usd,
            cache_write=price.cache_write_micro_usd,
        )
        tiers.setdefault(price.model.model_id, []).append(tier)
    return tiers


def reported_ids(project_id: int, event_ids: Iterable[str]) -> set[str]:
    """Return those of the event ids that the project has reported before."""
    rows = UsageEvent.objects.filter(project_id=project_id, event_id__in=set(event_ids))
    return set(rows.values_list("event_id", flat=True))


def traffic(project_id: int, since: datetime) -> list[Traffic]:
    """Return a project's decisions since a moment, counted by model, route and difficulty."""
    rows = (
        Decision.objects.filter(project_id=project_id, created_at__gte=since)
        .order_by("model", "task_type", "subtask_type", "difficulty")
        .values_list("model", "task_type", "subtask_type", "difficulty")
        .annotate(Count("id"))
    )
    return [
        Traffic(model, f"{task_type}/{subtask_type}" if task_type else "", difficulty, count)
        for model, task_type, subtask_type, difficulty, count in rows
    ]


@dataclass(frozen=True)
class Preview:
    """A draft of a policy beside the policy in force.

    `source` is ``decisions``, the newest of the last `REPLAY_DAYS` days, of which there are
    `decisions`; or ``benchmarks``, the tasks that the table's results come from, where there are
    none. Without a table there is nothing to replay by: `replay` is None.
    """

    source: str
    decisions: int
    table_version: str | None
    replay: replay.Replay | None


def policy_preview(project: Project, current: InForce, draft: Rules, now: datetime) -> Preview:
    """Replay a draft on a project's past decisions, or on benchmark tasks while there are none."""
    before = rules_in_force(current)
    tables = table_for(before, project.team_id), table_for(draft, project.team_id)
    recent = Decision.objects.filter(
        project=project, created_at__gte=now - timedelta(days=REPLAY_DAYS), created_at__lte=now
    )
    count = recent.count()
    if tables[0] is None or tables[1] is None:
        return Preview("decisions" if count else "benchmarks", count, None, None)
    asks = past_asks(recent) if count else replay.benchmark_asks(tables[0])
    return Preview(
        source="decisions" if count else "benchmarks",
        decisions=count,
        table_version=tables[0].version,
        replay=replay.replay(asks, (before, tables[0]), (draft, tables[1])) if asks else None,
    )


def past_asks(decisions: QuerySet[Decision]) -> list[replay.Ask]:
    """Return the newest requests in the order of time. Only what a replay needs is read."""
    rows = decisions.order_by("-created_at", "-id").values_list(
        "public_id",
        "session_id",
        "created_at",
        "evidence__classification",
        "evidence__request",
    )[:MAX_REPLAYED]
    asks = [
        replay.recorded_ask(name, session_id, at, {"classification": reading, "request": asked})
        for name, session_id, at, reading, asked in reversed(rows)
    ]
    return [ask for ask in asks if ask is not None]
