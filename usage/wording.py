"""How metrics, groups, buckets and figures are called and written. Pure."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final

from lib import taxonomy
from lib.money import format_usd
from routing.engine.explain import REASONS
from usage.latency import LONGEST_MS
from usage.question import NONE
from usage.ranges import Window, is_midnight

# The groups that have no series of their own, together.
OTHER: Final = "Other"
# The metrics as a person picks them, by kind.
METRICS: Final[dict[str, dict[str, str]]] = {
    "Spend and volume": {
        "cost": "Cost",
        "cost_per_request": "Cost per request",
        "requests": "Requests",
    },
    "Tokens": {
        "tokens": "All tokens",
        "input_tokens": "Input tokens, not cached",
        "cache_read_tokens": "Tokens read from cache",
        "cache_write_tokens": "Tokens written to cache",
        "output_tokens": "Output tokens",
        "reasoning_tokens": "Reasoning tokens",
    },
    "Quality": {
        "cache_hit_rate": "Cache-hit rate",
        "error_rate": "Error rate",
        "latency_p50": "Median latency",
        "latency_p95": "95th percentile latency",
    },
    "Routing": {
        "decisions": "Decisions",
        "fallback_rate": "Fallback rate",
        "switched": "Decisions that switched",
    },
}
METRIC_NAMES: Final = {name: text for kind in METRICS.values() for name, text in kind.items()}
GROUPS: Final[dict[str, str]] = {
    "model": "Model",
    "provider": "Provider",
    "route": "Route",
    "mode": "Mode",
    "member": "Member",
    "key": "API key",
    "session": "Session",
    "reason": "Reason",
    "status": "Status",
}
# What is behind `NONE`.
WITHOUT: Final[dict[str, str]] = {
    "route": "Not classified",
    "member": "Unknown member",
    "session": "Without a session",
}
# These names are ids or addresses, which are written as they are.
AS_THEY_ARE: Final = ("model", "provider", "member", "session")
BUCKETS: Final = {"hour": "Hour", "day": "Day", "week": "Week", "month": "Month"}
LENGTHS: Final = {"24h": "24 hours", "7d": "7 days", "30d": "30 days", "90d": "90 days"}
USD: Final = ("cost", "cost_per_request")
SHARES: Final = ("cache_hit_rate", "error_rate", "fallback_rate")
# Short names for the columns of a table.
COLUMNS: Final = METRIC_NAMES | {
    "input_tokens": "Input",
    "cached_tokens": "Cached",
    "output_tokens": "Output",
    "cache_hit_rate": "Cache hits",
    "error_rate": "Errors",
    "cost": "Estimated cost",
    "latency_p50": "Median",
    "latency_p95": "95th percentile",
    "fallbacks": "Fallbacks",
    "switched": "Switched",
}
# What each count counts; all other metrics have another unit.
COUNTS: Final = {
    "requests": "request",
    **dict.fromkeys(METRICS["Tokens"], "token"),
    "decisions": "decision",
    "switched": "decision",
}
# The end of a window is no part of it.
RESOLUTION: Final = timedelta(microseconds=1)
MS: Final = ("latency_p50", "latency_p95")


STEPS: Final = (
    (1_000_000_000, "B", 1_000_000_000),
    (1_000_000, "M", 1_000_000),
    (1_000, "k", 10_000),
)


def phrase(group: str) -> str:
    """Return a group's name as it stands in a sentence."""
    return "API key" if group == "key" else GROUPS[group].lower()


def name_of(group: str, value: str, key_names: Mapping[str, str]) -> str:
    """Return how a value of a group is called."""
    if value == NONE:
        return WITHOUT.get(group, "Without a decision")
    if group in AS_THEY_ARE:
        return value
    match group:
        case "key":
            return key_names.get(value, value)
        case "route":
            return " / ".join(taxonomy.label(part) for part in value.split("/") if part)
        case "reason":
            return REASONS.get(value, taxonomy.label(value))
        case "status" if value == "ok":
            return "OK"
    return taxonomy.label(value)


def written(metric: str, value: float | None) -> str:
    """Return the figure of a metric as people read it; a dash for None."""
    if value is None:
        return "–"
    if metric in USD:
        return format_usd(value)
    if metric in SHARES:
        return share(value)
    if metric in MS:
        return duration(value) if value < LONGEST_MS else f"{duration(LONGEST_MS)} or more"
    return f"{value:,}"


def counted(number: int, thing: str) -> str:
    """Return a number of things: ``1 call``, ``1,200 calls``."""
    return f"{number:,} {thing}{'' if number == 1 else 's'}"


def short(number: int) -> str:
    """Return a count shortly: 9,999 in full, then 12.3k, 4.5M."""
    for step, unit, least in STEPS:
        if number >= least:
            return f"{number / step:.1f}{unit}"
    return f"{number:,}"


def share(value: float) -> str:
    """Return a share as a percentage: whole, or with a decimal below ten."""
    return f"{value:.0%}" if value == 0 or value >= 0.1 else f"{value:.1%}"


def duration(ms: float) -> str:
    """Return a duration with two or three digits and its unit."""
    if ms < 1000:
        return f"{ms:.0f}\u00a0ms"
    if ms >= 600_000:
        return f"{ms / 60_000:,.0f}\u00a0min"
    return f"{ms / 1000:.{1 if ms < 100_000 else 0}f}\u00a0s"


def bucket_name(window: Window, start: datetime) -> str:
    """Return how the bucket that begins at `start` is called, in the window's time zone. The hour
    that a clock goes through twice is told with the zone's abbreviation.
    """
    local = start.astimezone(window.zone)
    day = f"{local:%a} {local.day} {local:%b}"
    match window.bucket:
        case "hour":
            is_twice = local.utcoffset() != local.replace(fold=1 - local.fold).utcoffset()
            return f"{day}, {local:%H:%M}{f' {local:%Z}' if is_twice else ''}"
        case "week":
            return f"Week from {day}"
        case "month":
            return f"{local:%B %Y}"
    return day


def stretch(window: Window) -> str:
    """Return the time of a window in words: ``1 Mar to 3 Mar 2026``, or with its hours."""
    start, end = window.start.astimezone(window.zone), window.end.astimezone(window.zone)
    if is_midnight(window.start, window.zone) and is_midnight(window.end, window.zone):
        last = (window.end - RESOLUTION).astimezone(window.zone)
        first = date_text(start, year=start.year != last.year)
        until = date_text(last, year=True)
        return until if start.date() == last.date() else f"{first} to {until}"
    first = date_text(start, year=start.year != end.year or start.date() == end.date())
    until = "" if start.date() == end.date() else f"{date_text(end, year=True)}, "
    return f"{first}, {start:%H:%M} to {until}{end:%H:%M}"


def date_text(moment: datetime, *, year: bool) -> str:
    """Return a day."""
    return f"{moment.day} {moment:%b}{f' {moment.year}' if year else ''}"
