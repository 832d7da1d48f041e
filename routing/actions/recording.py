"""Decisions find their way into the database."""

import math
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from operator import attrgetter
from typing import Any

import msgspec
import structlog
from django.conf import settings
from django.db import connection

from lib.bulk import columns_of, is_postgresql, quoted, stage
from lib.recording import record_stream, write_all
from lib.store import DECISIONS, RedisStore, StoreUnavailable, Waiting, get_store
from routing.models import Decision, StaleHour
from routing.queries.decisions import find_decision
from teams.models import Project

log = structlog.get_logger()
# So long a request waits at most for decisions that are on their way.
PATIENCE_SECONDS = 2.0


class DecisionEvent(msgspec.Struct):
    """A decision on its way through the stream: the columns of `routing.models.Decision`.

    `evidence` is anything that can be written as JSON; it is read back as JSON text.
    """

    public_id: str
    project_id: int
    key_id: str
    session_id: str
    created_at: datetime
    model: str
    reason_code: str
    reason_text: str
    task_type: str
    subtask_type: str
    difficulty: str
    confidence: float | None
    accuracy: float | None
    accuracy_low: float | None
    accuracy_high: float | None
    cost_micro_usd: int | None
    baseline_cost_micro_usd: int | None
    mode: str
    policy_version: str
    table_version: str
    sticky: bool
    switched: bool
    switch_reason: str
    evidence: Any


class ReadEvent(DecisionEvent):
    """A decision as it comes out of the stream."""

    evidence: msgspec.Raw


encode = msgspec.json.Encoder().encode
decoder = msgspec.json.Decoder(ReadEvent)
values_of = attrgetter(*(column for column in columns_of(Decision) if column != "evidence"))


def do_keep(event: DecisionEvent, key: str | None, state: bytes) -> None:
    """Keep a session's state and a decision: one trip to the store, or straight into the database.

    The decision is never lost: when the store does not take it, it is written to the database here.
    """
    data = encode(event)
    try:
        taken = get_store(settings.REDIS_URL).commit(key, state, settings.SESSION_TTL_SECONDS, data)
    except StoreUnavailable as away:
        log.warning("store_unavailable", error=str(away))
        taken = False
    if not taken:
        write_all([decoder.decode(data)], write, refused)


def do_announce() -> None:
    """Tell all processes to read keys, policies and the table afresh.

    Without the store they notice by themselves, within `routing.queries.live.MAX_AGE_SECONDS`.
    """
    try:
        get_store(settings.REDIS_URL).bump()
    except StoreUnavailable as away:
        log.warning("store_unavailable", error=str(away))


def do_record_decisions(wait_seconds: float = 2.0, seconds: float = math.inf) -> bool | None:
    """Move what waits in the stream into the database, and return whether that was done.

    It gives up after about so many seconds. None when another recorder is still at it after the
    wait. Embedded there is no stream.
    """
    store = get_store(settings.REDIS_URL)
    if not isinstance(store, RedisStore):
        return True

    def record(entries: Sequence[Waiting]) -> None:
        write_all(
            readable(store, entries),
            write,
            lambda event, error: store.set_aside(DECISIONS, encode(event), str(error)),
        )

    return record_stream(store, DECISIONS, record, wait_seconds=wait_seconds, seconds=seconds)


def do_find_decision(project_id: int, public_id: str) -> Decision | None:
    """Return one of the project's decisions, bringing it in from the stream if it waits there."""
    found = find_decision(project_id, public_id)
    if found is None and public_id.startswith("dec_"):
        try:
            do_record_decisions(wait_seconds=0.5, seconds=PATIENCE_SECONDS)
        except StoreUnavailable as away:
            log.warning("store_unavailable", error=str(away))
        found = find_decision(project_id, public_id)
    return found


def readable(store: RedisStore, entries: Iterable[Waiting]) -> list[ReadEvent]:
    """Decode events; what cannot be read is set aside and reported, never dropped."""
    decoded = []
    for entry in entries:
        try:
            decoded.append(decoder.decode(entry.event))
        except msgspec.DecodeError as error:
            log.error("malformed_event", error=str(error))
            store.set_aside(DECISIONS, entry.event, str(error))
    return decoded


def refused(event: ReadEvent, error: Exception) -> None:
    """Report a decision that the database refuses where there is no store to keep it."""
    log.error("decision_not_recorded", decision=event.public_id, error=str(error))


def write(events: Sequence[ReadEvent]) -> None:
    """Insert decisions; those already there stay, and those of a deleted project go with it."""
    there = do_hold_projects({event.project_id for event in events})
    kept = [event for event in events if event.project_id in there]
    if is_postgresql():
        copy(kept)
    else:
        insert(kept)


def do_hold_projects(project_ids: set[int]) -> set[int]:
    """Return which of these projects there are, and keep them from being deleted until this
    transaction ends: what is inserted for them would be left behind.
    """
    # All recorders in the same order, so that they cannot wait for each other in a circle.
    projects = Project.objects.filter(pk__in=project_ids).order_by("pk")
    if is_postgresql():
        projects = projects.select_for_update(no_key=True)
    return set(projects.values_list("pk", flat=True))


def copy(events: Sequence[ReadEvent]) -> None:
    """Insert decisions with COPY."""
    place = columns_of(Decision).index("evidence")

    def row(event: ReadEvent) -> list[Any]:
        values = list(values_of(event))
        values.insert(place, bytes(event.evidence).decode())
        return values

    staged, columns = stage(Decision, map(row, events)), quoted(columns_of(Decision))
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO routing_decision ({columns})"  # noqa: S608
            f" SELECT {columns} FROM {staged} ON CONFLICT DO NOTHING"
        )
        cursor.execute(
            "INSERT INTO routing_stalehour (project_id, hour)"  # noqa: S608
            f" SELECT DISTINCT project_id, date_trunc('hour', created_at) FROM {staged}"
        )


def insert(events: Sequence[ReadEvent]) -> None:
    """Insert decisions one by one, as a database without COPY does."""
    rows = [
        Decision(
            **{name: getattr(event, name) for name in event.__struct_fields__}
            | {"evidence": msgspec.json.decode(event.evidence)}
        )
        for event in events
    ]
    Decision.objects.bulk_create(rows, ignore_conflicts=True)
    do_mark_stale((row.project_id, row.created_at) for row in rows)


def do_mark_stale(touched: Iterable[tuple[int, datetime]]) -> None:
    """Note in which hours of which projects something was recorded; in the same transaction."""
    hours = {
        (project_id, at.astimezone(UTC).replace(minute=0, second=0, microsecond=0))
        for project_id, at in touched
    }
    StaleHour.objects.bulk_create(StaleHour(project_id=one, hour=hour) for one, hour in hours)
