"""What is asked about usage. Pure: `usage.filters` reads it from a URL, `usage.queries` answers."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final
from urllib.parse import quote, urlencode

from usage.ranges import CUSTOM, Window, floor, is_midnight

# Sums of calls, ratios of them, and quantiles; then what is counted of decisions.
ADDITIVE_OF_CALLS: Final = (
    "cost",
    "requests",
    "tokens",
    "input_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "output_tokens",
    "reasoning_tokens",
)
LATENCIES: Final[dict[str, float]] = {"latency_p50": 0.5, "latency_p95": 0.95}
ADDITIVE_OF_DECISIONS: Final = ("decisions", "switched")
OF_DECISIONS: Final = (*ADDITIVE_OF_DECISIONS, "fallback_rate")
ADDITIVE: Final = (*ADDITIVE_OF_CALLS, *ADDITIVE_OF_DECISIONS)
METRICS: Final = (
    *ADDITIVE_OF_CALLS,
    "cost_per_request",
    "cache_hit_rate",
    "error_rate",
    *LATENCIES,
    *OF_DECISIONS,
)
RATIOS: Final = tuple(name for name in METRICS if name not in ADDITIVE)
GROUPS: Final = (
    "model",
    "provider",
    "route",
    "mode",
    "member",
    "key",
    "session",
    "reason",
    "status",
)
# In front of a group's name: all but these.
NOT: Final = "not_"
# All but those that have both of two values.
NOT_BOTH: Final = "not_both"
# The name of those that have no value to group by, in answers and in conditions.
NONE: Final = "(none)"
DEFAULTS: Final = {"range": "7d", "group": "model", "metric": "cost", "bucket": "auto"}


# Two groups with a value each.
Pair = tuple[tuple[str, str], tuple[str, str]]


@dataclass(frozen=True)
class Conditions:
    """Which calls and decisions count: by group, any of the values included, none excluded, and of
    no pair in `not_both` both values together.

    A route may be given whole or by its task type alone, a member by e-mail, a key by its id, and
    `NONE` stands for no value. Decisions have no status, so under a condition on it none count.
    """

    include: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    exclude: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    not_both: tuple[Pair, ...] = ()

    @property
    def groups(self) -> set[str]:
        """The groups that there are conditions on."""
        return {
            *self.include,
            *self.exclude,
            *(group for pair in self.not_both for group, _ in pair),
        }

    def name(self, group: str) -> bool:
        """Tell whether there is a condition on a group."""
        return group in self.groups

    def as_params(self) -> dict[str, list[str]]:
        """Return the conditions as URL parameters."""
        wanted = {group: list(values) for group, values in self.include.items()}
        unwanted = {NOT + group: list(values) for group, values in self.exclude.items()}
        apart = {NOT_BOTH: [*map(pair_text, self.not_both)]} if self.not_both else {}
        return wanted | unwanted | apart


def pair_text(pair: Pair) -> str:
    """Return a pair as one value of a URL parameter: ``model=lab/small&status=error``."""
    return urlencode(pair, quote_via=quote, safe="/")


@dataclass(frozen=True)
class UsageFilter:
    """A question about usage: when, split by what and `then` by what, measured how, of which calls.

    `compare` asks for the period before as well, `cumulative` for sums since the start.
    """

    window: Window
    group: str = DEFAULTS["group"]
    metric: str = DEFAULTS["metric"]
    then: str = ""
    conditions: Conditions = Conditions()
    compare: bool = False
    cumulative: bool = False

    @property
    def range(self) -> str | None:
        """The named range; None for a stretch of one's own."""
        return None if self.window.name == CUSTOM else self.window.name

    @property
    def groups(self) -> tuple[str, ...]:
        """The one or two names of groups."""
        return (self.group, self.then) if self.then else (self.group,)

    @property
    def is_raw(self) -> bool:
        """Tell whether the rollups cannot answer this, since they do not know sessions."""
        return "session" in self.groups or self.conditions.name("session")

    def as_params(self) -> dict[str, str | list[str]]:
        """Return the question as URL parameters; what is left out is the default."""
        chosen = {
            "group": self.group,
            "then": self.then,
            "metric": self.metric,
            "bucket": self.window.bucket,
            "compare": "previous" if self.compare else "",
            "cumulative": "true" if self.cumulative else "",
        }
        automatic = self.window.automatic
        defaults = {"group": DEFAULTS["group"], "metric": DEFAULTS["metric"], "bucket": automatic}
        params: dict[str, str | list[str]] = dict(time_params(self.window))
        params |= {
            name: value for name, value in chosen.items() if value and value != defaults.get(name)
        }
        return params | self.conditions.as_params()


def time_params(window: Window) -> dict[str, str]:
    """Return the URL parameters of a window: its range, or days where it is made of whole ones."""
    if window.name != CUSTOM:
        return {"range": window.name}
    start, end, zone = window.start, window.end, window.zone
    if not (is_midnight(start, zone) and (window.is_open or is_midnight(end, zone))):
        params = {"from": stamp(start), "to": stamp(end)}
    else:
        # The last day counts as a whole, so it is the one before the midnight of the end.
        last = floor(end - (end - start) / 10**6, "day", zone)
        params = {
            "from": f"{start.astimezone(zone):%Y-%m-%d}",
            "to": f"{last.astimezone(zone):%Y-%m-%d}",
        }
    return {"from": params["from"]} if window.is_open else params


def stamp(moment: datetime) -> str:
    """Return a moment as the API writes it."""
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
