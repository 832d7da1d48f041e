"""Usage events find their way into the database."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from functools import partial
from operator import attrgetter
from uuid import UUID

import msgspec
import structlog
from django.conf import settings
from django.db import connection

from lib.bulk import columns_of, is_postgresql, quoted, stage
from lib.recording import record_stream, write_all
from lib.store import USAGE, Entry, RedisStore, StoreUnavailable, Waiting, get_store
from routing.actions.recording import do_hold_projects, do_mark_stale
from usage.actions.counting import do_count_directly
from usage.models import ReportedEvent, UsageEvent

log = structlog.get_logger()
# Each entry of the stream holds a whole batch of up to a thousand.
BATCH = 10
NO_COUNTERS: Mapping[str, Sequence[str]] = {}


class EventRow(msgspec.Struct):
    """A usage event on its way through the stream: the columns of `usage.models.UsageEvent`."""

    project_id: int
    event_id: str
    key_id: str
    decision_id: str
    session_id: str
    occurred_at: datetime
    received_at: datetime
    model: str
    route: str
    mode: str
    reason_code: str
    status: str
    outcome: str
    input_tokens: int
    cache_read_tokens: int
    cache_write_tokens: int
    output_tokens: int
    reasoning_tokens: int
    latency_ms: int | None
    cost_micro_usd: int | None
    reported_cost_micro_usd: int | None
    cost_differs: bool
    baseline_cost_micro_usd: int | None

    @property
    def key(self) -> bytes:
        """What the event is known by, see `usage.models.ReportedEvent`."""
        return key_of(self.project_id, self.event_id)


encode = msgspec.json.Encoder().encode
decoder = msgspec.json.Decoder(EventRow)
values_of = attrgetter(*columns_of(UsageEvent))


def key_of(project_id: int, event_id: str) -> bytes:
    """Return the digest of a project and an event id: 16 bytes."""
    return hashlib.blake2b(f"{project_id}:{event_id}".encode(), digest_size=16).digest()


def reported_ids(project_id: int, event_ids: Iterable[str]) -> set[str]:
    """Return those of the event ids that the project has reported before."""
    keys = {UUID(bytes=key_of(project_id, name)): name for name in event_ids}
    if not is_postgresql():
        known = ReportedEvent.objects.filter(pk__in=keys).values_list("pk", flat=True)
        return {keys[key] for key in known}
    with connection.cursor() as cursor:
        # One array instead of a thousand parameters, which take longer to write than to look up.
        cursor.execute("SELECT key FROM usage_reportedevent WHERE key = ANY(%s)", [list(keys)])
        return {keys[key] for (key,) in cursor.fetchall()}


def do_keep_events(
    rows: Sequence[EventRow], counters: Mapping[str, Sequence[str]] = NO_COUNTERS
) -> list[bool]:
    """Keep events, each with an id of its own: in the stream, or straight in the database.

    `counters` names the counters that an event's cost is added to, by its id. Returns which events
    were new, as far as can be told yet: one that was recorded a moment ago may count as new again,
    and is found out when it comes to the database.
    """
    store = get_store(settings.REDIS_URL)
    try:
        taken = store.append(
            [
                Entry(
                    row.key,
                    encode(row),
                    row.cost_micro_usd or 0,
                    tuple(counters.get(row.event_id, ())),
                )
                for row in rows
            ]
        )
    except StoreUnavailable as away:
        log.warning("store_unavailable", error=str(away))
        taken = None
    if taken is not None:
        return taken
    new = record_rows(rows)
    amounts: dict[str, int] = {}
    for row in rows:
        if row.key in new:
            for name in counters.get(row.event_id, ()):
                amounts[name] = amounts.get(name, 0) + (row.cost_micro_usd or 0)
    do_count_directly(amounts)
    return [row.key in new for row in rows]


def do_record_events(wait_seconds: float = 2.0, last: bytes = b"+") -> bool:
    """Move what waits in the stream, up to a place in it, into the database.

    Returns whether that was done: it is not when another recorder is still at it after the wait.
    Embedded there is no stream.
    """
    store = get_store(settings.REDIS_URL)
    if not isinstance(store, RedisStore):
        return True

    return record_stream(
        store, USAGE, partial(record, store), wait_seconds=wait_seconds, last=last, batch=BATCH
    )


def record(store: RedisStore, entries: Sequence[Waiting]) -> None:
    """Write batches of events to the database; what it would not take is set aside."""
    write_all(
        readable(store, entries),
        write,
        lambda row, error: store.set_aside(USAGE, encode(row), str(error)),
    )


def readable(store: RedisStore, entries: Iterable[Waiting]) -> list[EventRow]:
    """Decode batches of events; what cannot be read is set aside and reported, never dropped."""
    rows = []
    for entry in entries:
        for line in entry.event.splitlines():
            try:
                rows.append(decoder.decode(line))
            except msgspec.DecodeError as error:
                log.error("malformed_event", error=str(error))
                store.set_aside(USAGE, line, str(error))
    return rows


def record_rows(rows: Sequence[EventRow]) -> set[bytes]:
    """Write events to the database here and now, and return the keys of those that were new."""
    new: set[bytes] = set()

    def refused(row: EventRow, error: Exception) -> None:
        log.error("event_not_recorded", event=row.event_id, error=str(error))

    write_all(rows, lambda some: new.update(write(some)), refused)
    return new


def write(rows: Sequence[EventRow]) -> set[bytes]:
    """Insert events that are not there yet, and return their keys.

    Those of a deleted project go with it.
    """
    there = do_hold_projects({row.project_id for row in rows})
    by_key = {row.key: row for row in rows if row.project_id in there}
    return copy(by_key) if is_postgresql() else insert(by_key)


def copy(rows: Mapping[bytes, EventRow]) -> set[bytes]:
    """Insert events with COPY."""
    staged = stage(
        UsageEvent, ((*values_of(row), key.hex()) for key, row in rows.items()), "key uuid"
    )
    columns = quoted(columns_of(UsageEvent))
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO usage_reportedevent (key, received_at)"  # noqa: S608
            f" SELECT key, received_at FROM {staged} ON CONFLICT DO NOTHING RETURNING key"
        )
        new = {found.bytes for (found,) in cursor.fetchall()}
        if known := [UUID(bytes=key) for key in rows.keys() - new]:
            cursor.execute(f"DELETE FROM {staged} WHERE key = ANY(%s)", [known])  # noqa: S608
        cursor.execute(
            f"INSERT INTO usage_usageevent ({columns}) SELECT {columns} FROM {staged}"  # noqa: S608
        )
        cursor.execute(
            "INSERT INTO routing_stalehour (project_id, hour)"  # noqa: S608
            f" SELECT DISTINCT project_id, date_trunc('hour', occurred_at) FROM {staged}"
        )
    return new


def insert(rows: Mapping[bytes, EventRow]) -> set[bytes]:
    """Insert events as a database without COPY does."""
    keys = [UUID(bytes=key) for key in rows]
    known = set(ReportedEvent.objects.filter(pk__in=keys).values_list("pk", flat=True))
    fresh = {key: row for key, row in rows.items() if UUID(bytes=key) not in known}
    ReportedEvent.objects.bulk_create(
        ReportedEvent(key=UUID(bytes=key), received_at=row.received_at)
        for key, row in fresh.items()
    )
    UsageEvent.objects.bulk_create(
        UsageEvent(**msgspec.structs.asdict(row)) for row in fresh.values()
    )
    do_mark_stale((row.project_id, row.occurred_at) for row in fresh.values())
    return set(fresh)
