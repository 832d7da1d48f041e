"""What a client reports about one model call, checked field by field."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Annotated, Any, Literal

import msgspec

from lib.money import to_micro_usd

MAX_EVENTS = 1000
MAX_COUNT = 10**9
MAX_COST_USD = 10**6
MAX_AGE = timedelta(days=30)
MAX_CLOCK_SKEW = timedelta(minutes=5)

# PostgreSQL stores no NUL, and no other control character belongs into an id either. Half of a
# surrogate pair is no character.
CONTROL = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")
TEXTS = ("event_id", "model", "decision_id", "session_id")
Id = Annotated[str, msgspec.Meta(min_length=1, max_length=100)]
ModelId = Annotated[str, msgspec.Meta(min_length=1, max_length=120)]
DecisionId = Annotated[str, msgspec.Meta(max_length=40)]
SessionId = Annotated[str, msgspec.Meta(max_length=200)]
Count = Annotated[int, msgspec.Meta(ge=0, le=MAX_COUNT)]
Moment = Annotated[datetime, msgspec.Meta(tz=True)]

COUNT = f"a whole number from 0 to {MAX_COUNT}"
MUST_BE = {
    "event_id": "a text of 1 to 100 characters without control characters, unique in the project",
    "model": "a model id such as 'provider/name'",
    "decision_id": "the id of one of this project's decisions, 'dec_...'",
    "session_id": "a text of at most 200 characters without control characters",
    "occurred_at": "an ISO 8601 time with its zone, such as '2026-01-31T12:00:00Z'",
    "status": "one of ok, error, cancelled",
    "outcome": "one of accepted, failed, rejected",
    "input_tokens": COUNT,
    "cache_read_tokens": COUNT,
    "cache_write_tokens": COUNT,
    "output_tokens": COUNT,
    "reasoning_tokens": f"{COUNT}, at most output_tokens, which they are part of",
    "latency_ms": COUNT,
    "cost_usd": f"an amount of dollars from 0 to {MAX_COST_USD}, as a number or a text",
}


class Report(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, gc=False):
    """One model call as the client tells it. Null means the same as leaving a field out."""

    event_id: Id
    model: ModelId
    decision_id: DecisionId | None = None
    session_id: SessionId | None = None
    occurred_at: Moment | None = None
    status: Literal["ok", "error", "cancelled"] | None = None
    outcome: Literal["accepted", "failed", "rejected"] | None = None
    input_tokens: Count | None = None
    cache_read_tokens: Count | None = None
    cache_write_tokens: Count | None = None
    output_tokens: Count | None = None
    reasoning_tokens: Count | None = None
    latency_ms: Count | None = None
    cost_usd: int | float | str | None = None

    @property
    def reported_cost_micro_usd(self) -> int | None:
        """`cost_usd` in micro-USD. Raises ValueError when it is no sensible amount."""
        if self.cost_usd is None:
            return None
        text = str(self.cost_usd)
        try:
            dollars = Decimal(text)
        except InvalidOperation as error:
            raise ValueError("not a number") from error
        if len(text) > 40 or not dollars.is_finite() or not 0 <= dollars <= MAX_COST_USD:
            raise ValueError("out of range")
        return to_micro_usd(dollars)


class Batch(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of `POST /usage` where nothing is wrong with its shape."""

    events: Annotated[list[Report], msgspec.Meta(min_length=1, max_length=MAX_EVENTS)]


read_batch = msgspec.json.Decoder(Batch).decode


@dataclass(frozen=True)
class Fault:
    """Why an event was not taken, and which parameter to mend.

    `status` is the HTTP status that the event would have got by itself.
    """

    code: str
    message: str
    param: str
    status: int = 422


def printable(name: str) -> str:
    """Return the beginning of a name that was made up, as it can be written."""
    return name[:60].encode(errors="backslashreplace").decode()


def field_fault(index: int, field: str, detail: str = "") -> Fault:
    """Return the fault of a field that is missing or of the wrong kind."""
    param = f"events.{index}.{field}" if field else f"events.{index}"
    return Fault("invalid_parameter", f"{param} must be {detail or MUST_BE[field]}.", param)


def read_report(raw: Any, index: int, now: datetime) -> Report | Fault:
    """Check the event at `index` of a batch that came in at `now`."""
    if not isinstance(raw, dict):
        return field_fault(index, "", "an object")
    if unknown := next((name for name in raw if name not in MUST_BE), None):
        param = f"events.{index}.{printable(unknown)}"
        known = ", ".join(MUST_BE)
        return Fault(
            "unknown_parameter", f"{param} is not known. An event may have: {known}.", param
        )
    try:
        report = msgspec.convert(raw, Report)
    except msgspec.ValidationError as error:
        named = re.search(r"`\$\.(\w+)`|missing required field `(\w+)`", str(error))
        return field_fault(index, (named[1] or named[2]) if named else "event_id")
    return checked(report, index, now)


def checked(report: Report, index: int, now: datetime) -> Report | Fault:
    """Check of a report what its types do not tell."""
    texts = f"{report.event_id}{report.model}{report.decision_id}{report.session_id}"
    if not texts.isprintable():
        for name in TEXTS:
            if CONTROL.search(getattr(report, name) or ""):
                return field_fault(index, name)
    try:
        _ = report.reported_cost_micro_usd
    except ValueError:
        return field_fault(index, "cost_usd")
    if (report.reasoning_tokens or 0) > (report.output_tokens or 0):
        return field_fault(index, "reasoning_tokens")
    if report.occurred_at is not None:
        if report.occurred_at > now + MAX_CLOCK_SKEW:
            return field_fault(
                index, "occurred_at", f"in the past (it is {now:%Y-%m-%dT%H:%M:%SZ} here)"
            )
        if report.occurred_at < now - MAX_AGE:
            return field_fault(index, "occurred_at", f"within the last {MAX_AGE.days} days")
        if report.occurred_at.tzinfo is not UTC:
            return msgspec.structs.replace(report, occurred_at=report.occurred_at.astimezone(UTC))
    return report
