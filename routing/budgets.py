"""Whose spend a budget counts, when its period begins anew, and which spent budget rules a request.

Pure. docs/routing.md states the rules in words.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from msgspec import Struct

from lib.money import format_usd
from routing.engine.inputs import Restriction

DAILY, MONTHLY = "daily", "monthly"
# What happens at the limit, the mildest first.
ACTIONS: Final = ("warn", "cheapest", "balanced", "refuse")
DAY: Final = timedelta(days=1)
QUARTER_SECONDS: Final = 15 * 60


@dataclass(frozen=True)
class Limit:
    """A budget as the request path reads it: one of a `scope`, "team", "project" or "key".

    `known_micro_usd` is what was last known to be spent in the period that began on `known_in`.
    """

    budget_id: str
    scope: str
    period: str
    zone: ZoneInfo
    limit_micro_usd: int
    action: str
    known_micro_usd: int = 0
    known_in: date | None = None

    def start(self, at: datetime) -> date:
        """Return the local date on which the period of a moment began."""
        return period_start(at, self.period, self.zone)

    def counter(self, at: datetime) -> str:
        """Return the store's key of the counter that a call made at this moment is counted by."""
        return counter(self.budget_id, self.start(at))

    def known(self, at: datetime) -> int:
        """Return what is known to be spent in the period of a moment, in micro-USD."""
        return self.known_since(self.start(at))

    def known_since(self, start: date) -> int:
        """Return what is known to be spent in the period that began on a date, in micro-USD."""
        return self.known_micro_usd if self.known_in == start else 0


class Spent(Struct, frozen=True):
    """A budget that is spent, as the API tells it; `action` is what that leads to."""

    id: str
    scope: str
    period: str
    action: str
    spent_micro_usd: int
    limit_micro_usd: int
    resets_at: datetime

    @property
    def words(self) -> str:
        """Which budget this is, as the start of a sentence."""
        return f"The {self.scope}'s {self.period} budget of {format_usd(self.limit_micro_usd)}"

    @property
    def restriction(self) -> Restriction | None:
        """What is left of the choice; None when the budget leaves it as it is."""
        if self.action in ("cheapest", "balanced"):
            return Restriction(self.action, f"{self.words} is spent")
        return None


def period_start(at: datetime, period: str, zone: ZoneInfo) -> date:
    """Return the local date on which the period of a moment began."""
    day = at.astimezone(zone).date()
    return day.replace(day=1) if period == MONTHLY else day


def next_start(start: date, period: str) -> date:
    """Return the date on which the period after this one begins."""
    return (start + 31 * DAY).replace(day=1) if period == MONTHLY else start + DAY


def begins_at(day: date, zone: ZoneInfo) -> datetime:
    """Return the moment at which a local date begins, in UTC.

    Of a midnight that the clock shows twice that is the first, and of one that it skips the moment
    of the skip.
    """
    return datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC)


def counter(budget_id: str, start: date) -> str:
    """Return the store's key of what is spent of a budget in the period that began on a date."""
    return f"spent:{budget_id}:{start.isoformat()}"


def read_counter(name: str) -> tuple[str, date]:
    """Return the budget's id and the period's first date of a counter."""
    _, budget_id, start = name.split(":")
    return budget_id, date.fromisoformat(start)


def added(limits: Sequence[Limit], calls: Iterable[tuple[datetime, int]]) -> dict[str, int]:
    """Return what calls add to the counters of budgets, by their times and costs in micro-USD."""
    if not limits:
        return {}
    # A day begins at a quarter of an hour in every zone, so calls of the same one count alike.
    of_quarter: dict[int, int] = {}
    for at, cost in calls:
        quarter = int(at.timestamp()) // QUARTER_SECONDS
        of_quarter[quarter] = of_quarter.get(quarter, 0) + cost
    amounts: dict[str, int] = {}
    for quarter, cost in of_quarter.items():
        at = datetime.fromtimestamp(quarter * QUARTER_SECONDS, UTC)
        for limit in limits:
            name = limit.counter(at)
            amounts[name] = amounts.get(name, 0) + cost
    return amounts


def known(limits: Iterable[Limit], names: Iterable[str]) -> dict[str, int]:
    """Return what is known of some of the counters of budgets, in micro-USD."""
    by_id = {limit.budget_id: limit for limit in limits}
    counters = {name: read_counter(name) for name in names}
    return {name: by_id[one].known_since(start) for name, (one, start) in counters.items()}


def spent_of(limit: Limit, counted: int | None, start: date) -> int:
    """Return what is spent in the period that began on a date, by the counter and what is known.

    The greater of the two: spend only grows within a period, so a counter that is missing, or that
    the store brought back from an older state, does not make it less.
    """
    return max(counted or 0, limit.known_since(start))


def ruling(
    limits: Iterable[Limit], counted: Mapping[str, int | None], now: datetime
) -> Spent | None:
    """Return the spent budget that rules: the one with the strictest action, and of several the one
    that resets last. None when no budget is spent.
    """
    spent = []
    for limit in limits:
        start = limit.start(now)
        amount = spent_of(limit, counted.get(counter(limit.budget_id, start)), start)
        if amount >= limit.limit_micro_usd:
            spent.append(as_spent(limit, amount, start))
    return max(
        spent,
        key=lambda one: (ACTIONS.index(one.action), one.resets_at, one.id),
        default=None,
    )


def as_spent(limit: Limit, amount: int, start: date) -> Spent:
    """Return a spent budget with the moment at which it begins anew."""
    return Spent(
        id=limit.budget_id,
        scope=limit.scope,
        period=limit.period,
        action=limit.action,
        spent_micro_usd=amount,
        limit_micro_usd=limit.limit_micro_usd,
        resets_at=begins_at(next_start(start, limit.period), limit.zone),
    )
