"""Reads what is asked about usage. The names are the same on the page, in CSV and in the API."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime

from lib.errors import ApiError
from lib.ranges import LENGTHS
from usage.queries import GROUPS, METRICS
from usage.ranges import BUCKETS, BUCKETS_OF, Window, window

DEFAULTS = {"range": "7d", "group": "model", "metric": "cost", "bucket": "auto"}
ALLOWED: dict[str, Collection[str]] = {
    "range": LENGTHS,
    "group": GROUPS,
    "metric": METRICS,
    "bucket": ("auto", *BUCKETS),
}


@dataclass(frozen=True)
class UsageFilter:
    """A question about usage: when, split by what, measured how."""

    window: Window
    group: str
    metric: str


def read_filter(params: Mapping[str, str], now: datetime) -> UsageFilter:
    """Return what `params` ask for, with defaults; raise a 400 that lists what is allowed."""
    chosen = {name: params.get(name) or default for name, default in DEFAULTS.items()}
    for name, value in chosen.items():
        if value not in ALLOWED[name]:
            raise not_allowed(name, ALLOWED[name])
    if chosen["bucket"] not in ("auto", *BUCKETS_OF[chosen["range"]]):
        raise not_allowed("bucket", ("auto", *BUCKETS_OF[chosen["range"]]))
    return UsageFilter(
        window(chosen["range"], now, chosen["bucket"]), chosen["group"], chosen["metric"]
    )


def not_allowed(name: str, allowed: Collection[str]) -> ApiError:
    """Return the 400 of a parameter with an unknown value."""
    message = f"{name} must be one of {', '.join(allowed)}."
    return ApiError(
        400, "invalid_parameter", message, param=name, details={"allowed": list(allowed)}
    )
