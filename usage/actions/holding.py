"""Reports that come while the database is away, or behind with decisions, are held in the store and
taken in later.

They are answered like any others then, but for what only the database can tell: whether it knows
the model and the decision, and whether the event was reported before. What turns out to be wrong is
set aside for operators to see.
"""

from collections.abc import Sequence
from datetime import datetime
from functools import partial

import msgspec
import structlog
from django.conf import settings

from lib.errors import ApiError, database_away
from lib.recording import record_stream
from lib.store import REPORTS, RedisStore, StoreUnavailable, Waiting, get_store
from routing.queries.live import AWAY, ask_database, refresh
from teams.queries import KeyHolder, project_exists, was_valid
from usage.actions.reporting import ACCEPTED, REJECTED, DecisionsOnTheWay, Result, do_take_in
from usage.reports import Fault, Report

log = structlog.get_logger()


class Held(msgspec.Struct):
    """Reports of one key as they came in at `received_at`."""

    holder: KeyHolder
    received_at: datetime
    reports: list[Report]


encode = msgspec.json.Encoder().encode
decoder = msgspec.json.Decoder(Held)


def do_record_usage(
    items: Sequence[Report | Fault], *, holder: KeyHolder, now: datetime
) -> list[Result]:
    """Take in the sound events of a batch, or hold them for later.

    Returns what became of every one. Raises a 503 where they cannot be held either: embedded,
    without the store, or when it has no room.
    """
    take_in = partial(do_take_in, items, holder=holder, now=now)
    try:
        # Only what can be held is put off because another request found the database away.
        return ask_database(take_in) if settings.REDIS_URL else take_in()
    except (*AWAY, DecisionsOnTheWay) as cause:
        if not do_hold(items, holder=holder, now=now):
            on_the_way = isinstance(cause, DecisionsOnTheWay)
            raise (decisions_away() if on_the_way else database_away(cause)) from cause
    return [
        Result(index, None, REJECTED, item)
        if isinstance(item, Fault)
        else Result(index, item.event_id, ACCEPTED)
        for index, item in enumerate(items)
    ]


def decisions_away() -> ApiError:
    """Return the 503 of reports whose decisions wait in the store, which cannot be reached."""
    message = "Decisions cannot be looked up at the moment. Send the same events again later."
    return ApiError(503, "store_unavailable", message, retry_after_seconds=5)


def do_hold(items: Sequence[Report | Fault], *, holder: KeyHolder, now: datetime) -> bool:
    """Hold the sound events of a batch, and return whether that was possible."""
    reports = [item for item in items if isinstance(item, Report)]
    if not reports:
        return True
    try:
        return get_store(settings.REDIS_URL).hold(REPORTS, encode(Held(holder, now, reports)))
    except StoreUnavailable as away:
        log.warning("store_unavailable", error=str(away))
        return False


def do_take_in_held(wait_seconds: float = 2.0) -> bool | None:
    """Take in what was held, and return whether that was all: it is not while the cause lasts.

    None when another one is still at it after the wait. Embedded nothing is ever held.
    """
    store = get_store(settings.REDIS_URL)
    if not isinstance(store, RedisStore):
        return True
    try:
        # One at a time, since each may be large, and what was done of one is not to be done again.
        return record_stream(
            store, REPORTS, partial(take_in_again, store), wait_seconds=wait_seconds, most=1
        )
    except DecisionsOnTheWay:
        log.warning("reports_still_held")
        return False


def take_in_again(store: RedisStore, entries: Sequence[Waiting]) -> None:
    """Take in batches that were held; what cannot be read or is rejected is set aside.

    Those of a deleted project go with it.
    """
    refresh()
    for entry in entries:
        try:
            held = decoder.decode(entry.event)
        except msgspec.DecodeError as error:
            log.error("malformed_event", error=str(error))
            store.set_aside(REPORTS, entry.event, str(error))
            continue
        if not project_exists(held.holder.project_id):
            continue
        if not was_valid(held.holder.key_id, held.received_at):
            store.set_aside(REPORTS, entry.event, "The API key had been revoked by then.")
            continue
        for result in do_take_in(held.reports, holder=held.holder, now=held.received_at):
            if result.error:
                alone = msgspec.structs.replace(held, reports=[held.reports[result.index]])
                store.set_aside(REPORTS, encode(alone), result.error.message)
