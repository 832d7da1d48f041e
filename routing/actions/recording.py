"""Decisions find their way into the database."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

import msgspec
import structlog
from django.conf import settings
from django.db import DataError, IntegrityError, transaction

from lib.store import RedisStore, StoreUnavailable, get_store
from routing.models import Decision
from routing.queries.decisions import find_decision

log = structlog.get_logger()
BATCH = 1000
# What a database says of a row that it will never take.
REFUSED = (DataError, IntegrityError)


class DecisionEvent(msgspec.Struct):
    """A decision on its way through the stream: the columns of `routing.models.Decision`.

    `evidence` is anything that can be written as JSON; it is read back as a dict.
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


encode = msgspec.json.Encoder().encode
decoder = msgspec.json.Decoder(DecisionEvent)


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
        write([decoder.decode(data)])


def do_announce() -> None:
    """Tell all processes to read keys, policies and the table afresh.

    Without the store they notice by themselves, within `routing.queries.live.MAX_AGE_SECONDS`.
    """
    try:
        get_store(settings.REDIS_URL).bump()
    except StoreUnavailable as away:
        log.warning("store_unavailable", error=str(away))


def do_record_decisions(wait_seconds: float = 2.0) -> int:
    """Move what waits in the stream into the database and return how many decisions that were.

    At least once: an event leaves the stream after the commit, and its own id keeps a second
    try from doubling it. Only one recorder works at a time, so that whoever waits for its turn
    finds everything older in the database. Embedded there is no stream, hence nothing to do.
    """
    store = get_store(settings.REDIS_URL)
    if not isinstance(store, RedisStore):
        return 0
    recorded = 0
    with store.recording(wait_seconds) as mine:
        while mine and (entries := store.oldest_events(BATCH)):
            write(readable(store, [event for _, event in entries]))
            store.forget_events([entry for entry, _ in entries])
            recorded += len(entries)
    return recorded


def do_find_decision(project_id: int, public_id: str) -> Decision | None:
    """Return one of the project's decisions, bringing it in from the stream if it waits there."""
    found = find_decision(project_id, public_id)
    if found is None and public_id.startswith("dec_"):
        try:
            do_record_decisions(wait_seconds=0.5)
        except StoreUnavailable as away:
            log.warning("store_unavailable", error=str(away))
        found = find_decision(project_id, public_id)
    return found


def readable(store: RedisStore, events: Iterable[bytes]) -> list[DecisionEvent]:
    """Decode events; what cannot be read is set aside and reported, never dropped."""
    decoded = []
    for event in events:
        try:
            decoded.append(decoder.decode(event))
        except msgspec.DecodeError as error:
            log.error("malformed_event", error=str(error))
            store.set_aside(event)
    return decoded


def write(events: list[DecisionEvent]) -> None:
    """Insert decisions; those already there stay, those that cannot be kept are dropped.

    A project may be deleted by now; and one decision must not hold up all that wait behind it.
    """
    rows = [
        Decision(**{name: getattr(event, name) for name in event.__struct_fields__})
        for event in events
    ]
    try:
        with transaction.atomic():
            Decision.objects.bulk_create(rows, ignore_conflicts=True)
    except REFUSED:
        for row in rows:
            try:
                with transaction.atomic():
                    row.save(force_insert=True)
            except REFUSED as error:
                log.error("decision_not_recorded", decision=row.public_id, error=str(error))
