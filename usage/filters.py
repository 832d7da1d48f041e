"""Reads what is asked about usage. The names are the same on the page, in CSV and in the API."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import MAXYEAR, MINYEAR, UTC, date, datetime, timedelta
from typing import Final
from urllib.parse import parse_qsl
from zoneinfo import ZoneInfo

from django.utils.datastructures import MultiValueDict

from lib.errors import ApiError
from lib.ranges import LENGTHS
from routing.filters import not_allowed as senseless
from routing.filters import read_flag
from usage import ranges
from usage.question import (
    ADDITIVE,
    DEFAULTS,
    GROUPS,
    METRICS,
    NOT,
    NOT_BOTH,
    OF_DECISIONS,
    Conditions,
    Pair,
    UsageFilter,
)
from usage.ranges import BUCKETS, BUCKETS_OF, MAX_LENGTH, Window, between, offered_between, window

ALLOWED: dict[str, Collection[str]] = {
    "range": LENGTHS,
    "group": GROUPS,
    "then": GROUPS,
    "metric": METRICS,
    "bucket": ("auto", *BUCKETS),
    "compare": ("previous",),
}
# So many values a condition may have.
MAX_VALUES: Final = 50
# Sessions are not in the rollups, and the rows behind longer stretches are too many to add up.
SESSION_DAYS: Final = 7
A_PAIR: Final = "values of two groups such as model=lab/small&status=error, encoded as one value"
A_TIME: Final = "a day such as 2026-03-01, or a moment such as 2026-03-01T12:00:00Z"

# A query dict of Django, where a name may come several times, or a plain mapping.
Params = Mapping[str, str]


@dataclass(frozen=True)
class EventFilter:
    """Which events are asked for; None where there is no bound or condition."""

    start: datetime | None
    end: datetime | None
    conditions: Conditions
    cost_differs: bool | None


def read_filter(
    params: Params, now: datetime, time_zone: str, *, as_events: bool = False
) -> UsageFilter:
    """Return what `params` ask for, with defaults; raise a 400 that lists what is allowed.

    `time_zone` is the team's: its days are meant by dates, and its clock by times without a zone.
    `as_events` tells that nothing is to be added up, so that sessions may be of any length.
    """
    chosen = {name: params.get(name) or DEFAULTS.get(name, "") for name in ALLOWED}
    for name, value in chosen.items():
        if value and value not in ALLOWED[name]:
            raise not_allowed(name, ALLOWED[name])
    asked = UsageFilter(
        window=read_window(params, chosen["bucket"], now, ZoneInfo(time_zone)),
        group=chosen["group"],
        metric=chosen["metric"],
        then=chosen["then"],
        conditions=read_conditions(params),
        compare=bool(chosen["compare"]),
        cumulative=bool(read_flag(params, "cumulative")),
    )
    check(asked)
    if not as_events:
        check_sessions(asked)
    return asked


def check(asked: UsageFilter) -> None:
    """Raise a 400 for what cannot be answered together."""
    if asked.then == asked.group:
        raise not_allowed("then", [name for name in GROUPS if name != asked.group])
    if asked.cumulative and asked.metric not in ADDITIVE:
        raise not_allowed("metric", ADDITIVE, " where cumulative is true")
    if "status" in asked.groups and asked.metric in OF_DECISIONS:
        allowed = [name for name in METRICS if name not in OF_DECISIONS]
        raise not_allowed("metric", allowed, " by status, which decisions do not have")


def check_sessions(asked: UsageFilter) -> None:
    """Raise a 400 for sessions of a longer time than rows are added up of."""
    if asked.is_raw and is_too_long_by_session(asked.window):
        message = (
            f"By session there are figures for up to {SESSION_DAYS} days. Ask for a shorter time."
        )
        param = "session" if asked.conditions.name("session") else "group"
        raise ApiError(400, "invalid_parameter", message, param=param)


def is_too_long_by_session(asked: Window) -> bool:
    """Tell whether rows of so long a time are not added up."""
    # It may have been widened to whole hours.
    longest = timedelta(days=SESSION_DAYS) + ranges.HOUR
    return min(ranges.lengths(asked.start, asked.end, asked.zone)) > longest


def read_event_filter(params: Params, now: datetime, time_zone: str) -> EventFilter:
    """Return which events `params` ask for, all of them by default.

    A named range is the one that the sums are of; `from` and `to` are taken to the microsecond.
    """
    start, end = read_times(params, ZoneInfo(time_zone))
    if name := params.get("range"):
        if name not in LENGTHS:
            raise not_allowed("range", LENGTHS)
        found = window(name, now, ZoneInfo(time_zone))
        start, end = found.start, found.end
    return EventFilter(start, end, read_conditions(params), read_flag(params, "cost_differs"))


def read_window(params: Params, bucket: str, now: datetime, zone: ZoneInfo) -> Window:
    """Return the window that is asked for, or raise a 400."""
    if params.get("from") or params.get("to"):
        return read_stretch(params, bucket, now, zone)
    name = params.get("range") or DEFAULTS["range"]
    check_bucket(bucket, BUCKETS_OF[name])
    return window(name, now, zone, bucket)


def read_stretch(params: Params, bucket: str, now: datetime, zone: ZoneInfo) -> Window:
    """Return the window of `from` and `to`, which is now where it is left out, or raise a 400."""
    start, end = read_times(params, zone)
    if start is None:
        raise senseless("from", "given where to is")
    if end is None and start >= now:
        raise senseless("from", "in the past where to is left out")
    is_open, end = end is None, end or now
    if ranges.clock_length(start, end, zone) > MAX_LENGTH:
        raise senseless("to", f"at most {MAX_LENGTH.days} days after from")
    check_bucket(bucket, offered_between(start, end, zone))
    return between(start, end, zone, bucket, is_open=is_open)


def read_times(params: Params, zone: ZoneInfo) -> tuple[datetime | None, datetime | None]:
    """Return the first moment and the moment after the last; None where there is no bound."""
    if params.get("range") and (params.get("from") or params.get("to")):
        raise senseless("range", "left out where from or to is given")
    start = read_time(params, "from", zone, ranges.midnight)
    end = read_time(params, "to", zone, lambda day, zone: ranges.midnight(day + ranges.DAY, zone))
    if start and end and end <= start:
        raise senseless("to", "after from")
    return start, end


def read_time(
    params: Params, name: str, zone: ZoneInfo, of_day: Callable[[date, ZoneInfo], datetime]
) -> datetime | None:
    """Return a moment, that of a day by `of_day`; None when it is not given."""
    text = params.get(name)
    if not text:
        return None
    try:
        try:
            return in_utc(of_day(date.fromisoformat(text), zone))
        except ValueError:
            found = datetime.fromisoformat(text)
            return in_utc(found if found.tzinfo else found.replace(tzinfo=zone))
    except (ValueError, OverflowError):
        raise senseless(name, A_TIME) from None


def in_utc(moment: datetime) -> datetime:
    """Return a moment in UTC; raise OverflowError near the calendar's ends.

    The window before must be in the calendar too.
    """
    found = moment.astimezone(UTC)
    if not MINYEAR + 1 < found.year < MAXYEAR:
        raise OverflowError
    return found


def read_conditions(params: Params) -> Conditions:
    """Return the conditions on groups; raise a 400 for more values than are allowed."""
    return Conditions(
        include=read_lists(params, {group: group for group in GROUPS}),
        exclude=read_lists(params, {NOT + group: group for group in GROUPS}),
        not_both=tuple(
            read_pair(text) for text in read_lists(params, {NOT_BOTH: NOT_BOTH}).get(NOT_BOTH, ())
        ),
    )


def read_pair(text: str) -> Pair:
    """Return the two groups and values that a text names; raise a 400 for anything else."""
    try:
        (group, value), (other, its) = parse_qsl(text, strict_parsing=True)
    except ValueError:
        raise senseless(NOT_BOTH, A_PAIR) from None
    if group == other or not {group, other} <= {*GROUPS}:
        raise senseless(NOT_BOTH, A_PAIR)
    return (group, value.replace("\x00", "")), (other, its.replace("\x00", ""))


def read_lists(params: Params, groups: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    """Return the values of some parameters by the group that each is about."""
    found = {}
    for name, group in groups.items():
        values = [value.replace("\x00", "") for value in values_of(params, name)]
        if len(values) > MAX_VALUES:
            raise senseless(name, f"given at most {MAX_VALUES} times")
        if values := [value for value in dict.fromkeys(values) if value]:
            found[group] = tuple(values)
    return found


def values_of(params: Params, name: str) -> Sequence[str]:
    """Return all values of a parameter."""
    if isinstance(params, MultiValueDict):
        return [str(value) for value in params.getlist(name)]
    return [params[name]] if name in params else []


def check_bucket(bucket: str, offered: Collection[str]) -> None:
    """Raise a 400 for a bucket that is not offered."""
    if bucket not in ("auto", *offered):
        raise not_allowed("bucket", ("auto", *offered))


def not_allowed(name: str, allowed: Collection[str], where: str = "") -> ApiError:
    """Return the 400 of a parameter with an unknown value."""
    message = f"{name} must be one of {', '.join(allowed)}{where}."
    return ApiError(
        400, "invalid_parameter", message, param=name, details={"allowed": list(allowed)}
    )
