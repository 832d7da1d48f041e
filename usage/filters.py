"""Reads what is asked about usage. The names are the same on the page, in CSV and in the API."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime

from lib.errors import ApiError
from lib.ranges import LENGTHS
from routing.filters import not_allowed as senseless
from routing.filters import read_times
from usage.queries import GROUPS, METRICS
from usage.ranges import (
    BUCKETS,
    BUCKETS_OF,
    CUSTOM,
    MAX_LENGTH,
    Window,
    between,
    offered_between,
    window,
)

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

    @property
    def range(self) -> str | None:
        """The named range; None for a stretch of one's own."""
        return None if self.window.name == CUSTOM else self.window.name


def read_filter(params: Mapping[str, str], now: datetime) -> UsageFilter:
    """Return what `params` ask for, with defaults; raise a 400 that lists what is allowed."""
    chosen = {name: params.get(name) or default for name, default in DEFAULTS.items()}
    for name, value in chosen.items():
        if value not in ALLOWED[name]:
            raise not_allowed(name, ALLOWED[name])
    if params.get("from") or params.get("to"):
        asked = read_stretch(params, chosen["bucket"], now)
    else:
        check_bucket(chosen["bucket"], BUCKETS_OF[chosen["range"]])
        asked = window(chosen["range"], now, chosen["bucket"])
    return UsageFilter(asked, chosen["group"], chosen["metric"])


def read_stretch(params: Mapping[str, str], bucket: str, now: datetime) -> Window:
    """Return the window of `from` and `to`, which is now where it is left out, or raise a 400."""
    start, end = read_times(params, now)
    if start is None:
        raise senseless("from", "given where to is")
    if end is None and start >= now:
        raise senseless("from", "in the past where to is left out")
    end = end or now
    if end - start > MAX_LENGTH:
        raise senseless("to", f"at most {MAX_LENGTH.days} days after from")
    check_bucket(bucket, offered_between(start, end))
    return between(start, end, bucket)


def check_bucket(bucket: str, offered: Collection[str]) -> None:
    """Raise a 400 for a bucket that is not offered."""
    if bucket not in ("auto", *offered):
        raise not_allowed("bucket", ("auto", *offered))


def not_allowed(name: str, allowed: Collection[str]) -> ApiError:
    """Return the 400 of a parameter with an unknown value."""
    message = f"{name} must be one of {', '.join(allowed)}."
    return ApiError(
        400, "invalid_parameter", message, param=name, details={"allowed": list(allowed)}
    )
