"""Reads which decisions are asked for: the same names on the page, in CSV and in the API."""

from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import TypeVar
from zoneinfo import ZoneInfo

from lib.errors import ApiError
from lib.ranges import LENGTHS
from routing.queries.decisions import DecisionFilter

Value = TypeVar("Value")
ORDERS = ("newest", "oldest")
YES_OR_NO = {"true": True, "false": False}
TEXTS = ("model", "route", "reason", "mode", "session", "policy_version", "table_version")
# What each parameter narrows a list to, in words.
FILTERS = {
    "range": f"Only decisions of this long until now: {', '.join(LENGTHS)}.",
    "from": "Only decisions from this day or moment on, ISO 8601. Days and moments without a"
    " zone are those of the team's time zone.",
    "to": "Only decisions until the end of this day, or before this moment.",
    "model": "Only decisions for this model.",
    "route": "Only requests of this route, or of this task type.",
    "reason": "Only decisions with this reason code.",
    "mode": "Only decisions in this mode.",
    "session": "Only decisions of this session.",
    "sticky": "Only decisions that kept their session's model, or only others.",
    "switched": "Only decisions that moved their session to another model, or only others.",
    "min_confidence": "Only requests read with at least this confidence, 0 to 1.",
    "max_confidence": "Only requests read with at most this confidence, 0 to 1.",
    "policy_version": "Only decisions under this policy version.",
    "table_version": "Only decisions that stood on this routing table.",
}


def read_decision_filter(
    params: Mapping[str, str], now: datetime, time_zone: str
) -> DecisionFilter:
    """Return which decisions `params` ask for; raise a 400 that says what is allowed.

    `time_zone` is the team's: its days are meant by dates, and its clock by times without a zone.
    A text that matches nothing is no error: the list is empty.
    """
    start, end = read_times(params, now, ZoneInfo(time_zone))
    texts = {name: params.get(name, "").replace("\x00", "") for name in TEXTS}
    return DecisionFilter(
        start=start,
        end=end,
        sticky=read_flag(params, "sticky"),
        switched=read_flag(params, "switched"),
        min_confidence=parsed(params, "min_confidence", share, "a number from 0 to 1"),
        max_confidence=parsed(params, "max_confidence", share, "a number from 0 to 1"),
        model=texts["model"],
        route=texts["route"],
        reason=texts["reason"],
        mode=texts["mode"],
        session=texts["session"],
        policy_version=texts["policy_version"],
        table_version=texts["table_version"],
    )


def read_times(
    params: Mapping[str, str], now: datetime, zone: ZoneInfo
) -> tuple[datetime | None, datetime | None]:
    """Return the first moment and the moment after the last; None where there is no bound."""
    if not params.get("range"):
        wanted = "a day such as 2026-03-01, or a moment such as 2026-03-01T12:00:00Z"
        start = parsed(params, "from", partial(moment, zone=zone), wanted)
        end = parsed(params, "to", partial(end_of, zone=zone), wanted)
        if start and end and end <= start:
            raise not_allowed("to", "after from")
        return start, end
    if params.get("from") or params.get("to"):
        raise not_allowed("range", "left out where from or to is given")
    length = parsed(params, "range", LENGTHS.__getitem__, f"one of {', '.join(LENGTHS)}")
    assert length is not None
    return now - length, None


def read_order(params: Mapping[str, str]) -> bool:
    """Tell whether the oldest decision is to come first; raise a 400 for an unknown order."""
    return parsed(params, "order", ORDERS.index, f"one of {', '.join(ORDERS)}") == 1


def read_flag(params: Mapping[str, str], name: str) -> bool | None:
    """Return a yes/no parameter, None when it is not given; raise a 400 for anything else."""
    return parsed(params, name, YES_OR_NO.__getitem__, "true or false")


def parsed(
    params: Mapping[str, str], name: str, parse: Callable[[str], Value], wanted: str
) -> Value | None:
    """Return a parameter, None when it is not given; raise a 400 when it is not what is wanted."""
    text = params.get(name)
    if not text:
        return None
    try:
        return parse(text)
    except (KeyError, ValueError, OverflowError):
        raise not_allowed(name, wanted) from None


def share(text: str) -> float:
    """Return a share from 0 to 1."""
    number = float(text)
    if not 0 <= number <= 1:
        raise ValueError(text)
    return number


def moment(text: str, zone: ZoneInfo) -> datetime:
    """Return a moment; a day begins at midnight of the zone."""
    found = datetime.fromisoformat(text)
    return (found if found.tzinfo else found.replace(tzinfo=zone)).astimezone(UTC)


def end_of(text: str, zone: ZoneInfo) -> datetime:
    """Return a moment, for a day the one at which the next day begins."""
    try:
        day = date.fromisoformat(text)
    except ValueError:
        return moment(text, zone)
    return moment(f"{day + timedelta(days=1)}", zone)


def not_allowed(name: str, wanted: str) -> ApiError:
    """Return the 400 of a parameter with a value that makes no sense."""
    return ApiError(400, "invalid_parameter", f"{name} must be {wanted}.", param=name)
