"""Usage events find their way into the database."""

import hashlib
import math
from collections.abc import Collection, Iterable, Sequence, Set
from datetime import datetime
from functools import partial
from typing import Annotated

import msgspec
import structlog
from django.conf import settings
from django.db import DataError, IntegrityError, connection, transaction

from lib.bulk import columns_of, copy_json, is_postgresql
from lib.recording import record_stream, write_all
from lib.store import ID_BYTES, USAGE, RedisStore, StoreUnavailable, Waiting, get_store
from routing.actions.recording import do_hold_projects, do_mark_stale
from routing.budgets import Limit, added, known
from usage.actions.counting import do_count_directly
from usage.models import ReportedEvent, UsageEvent

log = structlog.get_logger()
KEY_DIGITS = 2 * ID_BYTES


class EventRow(msgspec.Struct, array_like=True, gc=False):
    """A usage event on its way to the database: its key, and the columns of
    `usage.models.UsageEvent`.
    """

    key: str
    project_id: int
    occurred_at: datetime
    received_at: datetime
    event_id: str
    key_id: str
    decision_id: str
    session_id: str
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


class EventHead(msgspec.Struct, array_like=True, gc=False):
    """What the recorder has to know of a row: how it begins."""

    key: Annotated[str, msgspec.Meta(min_length=KEY_DIGITS, max_length=KEY_DIGITS)]
    project_id: int
    occurred_at: datetime


COLUMNS = EventRow.__struct_fields__
encode = msgspec.json.Encoder().encode
encode_lines = msgspec.json.Encoder().encode_lines
# Each entry of the stream begins with the names of its columns, and so does what is set aside.
HEADER = encode(COLUMNS)
# A row of the table is what stands behind the key: `["<32 digits>",...]`.
BEHIND_KEY = slice(KEY_DIGITS + 4, -1)
read_heads = msgspec.json.Decoder(EventHead).decode_lines


def keys_of(project_id: int, event_ids: Iterable[str]) -> dict[str, str]:
    """Return what events are known by, see `usage.models.ReportedEvent`: digests of 32 digits."""
    begun, keys = hashlib.blake2b(f"{project_id}:".encode(), digest_size=ID_BYTES), {}
    for event_id in event_ids:
        digest = begun.copy()
        digest.update(event_id.encode())
        keys[event_id] = digest.hexdigest()
    return keys


def reported(keys: Collection[str]) -> set[str]:
    """Return those of the keys of events that are in the database already."""
    if not is_postgresql():
        known = ReportedEvent.objects.filter(pk__in=keys).values_list("pk", flat=True)
        return {key.hex for key in known}
    with connection.cursor() as cursor:
        # One array instead of a thousand parameters, which take longer to write than to look up.
        array = "{" + ",".join(keys) + "}"
        cursor.execute("SELECT key FROM usage_reportedevent WHERE key = ANY(%s::uuid[])", [array])
        return {key.hex for (key,) in cursor.fetchall()}


def waiting(keys: Collection[str]) -> set[str]:
    """Return those of the keys of events that are on their way to the database."""
    store = get_store(settings.REDIS_URL)
    if not isinstance(store, RedisStore) or not keys:
        return set()
    try:
        return {one.hex() for one in store.which_wait([bytes.fromhex(key) for key in keys])}
    except StoreUnavailable as away:
        log.warning("store_unavailable", error=str(away))
        return set()


def do_keep_events(rows: Sequence[EventRow], limits: Sequence[Limit] = ()) -> Set[str]:
    """Keep events, each with a key of its own, in the stream or straight in the database, and count
    their cost towards budgets.

    Returns the keys of those that were new, as far as can be told yet: one that was recorded a
    moment ago may count as new again, and is found out when it comes to the database.
    """
    try:
        new = append(rows, limits)
    except StoreUnavailable as away:
        log.warning("store_unavailable", error=str(away))
        new = None
    if new is not None:
        return new
    # Who adds up what is spent meanwhile, sees both or neither.
    with transaction.atomic():
        new = record_rows(rows)
        do_count_directly(spending(limits, [row for row in rows if row.key in new]))
    return new


def append(rows: Sequence[EventRow], limits: Sequence[Limit]) -> Set[str] | None:
    """Append events to the stream, and return the keys of those that were not waiting in it; None
    when it takes none.
    """
    store = get_store(settings.REDIS_URL)
    # What waits is brought into the database with COPY, which only PostgreSQL has.
    if not is_postgresql():
        return None
    while rows:
        ids = [bytes.fromhex(row.key) for row in rows]
        events = HEADER + b"\n" + encode_lines(rows)[:-1]
        amounts = spending(limits, rows)
        there = store.append(ids, events, amounts, known(limits, amounts))
        if there is None:
            return None
        if not there:
            break
        rows = [row for row, one in zip(rows, ids, strict=True) if one not in there]
    return {row.key for row in rows}


def spending(limits: Sequence[Limit], rows: Iterable[EventRow]) -> dict[str, int]:
    """Return what calls add to the counters of budgets, in micro-USD."""
    return added(limits, ((row.occurred_at, row.cost_micro_usd or 0) for row in rows))


def do_record_events(
    wait_seconds: float = 2.0, last: bytes = b"+", seconds: float = math.inf
) -> bool | None:
    """Move what waits in the stream, up to a place in it, into the database.

    Returns whether that was done: it gives up after about so many seconds. None when another
    recorder is still at it after the wait. Embedded there is no stream.
    """
    store = get_store(settings.REDIS_URL)
    if not isinstance(store, RedisStore):
        return True

    return record_stream(
        store,
        USAGE,
        partial(record, store),
        wait_seconds=wait_seconds,
        last=last,
        seconds=seconds,
    )


def record(store: RedisStore, entries: Sequence[Waiting]) -> None:
    """Write batches of events to the database; what it would not take is set aside."""

    def refused(line: bytes, error: Exception) -> None:
        store.set_aside(USAGE, HEADER + b"\n" + line, str(error))

    write_all(lines_of(store, entries), copy, refused)


def lines_of(store: RedisStore, entries: Iterable[Waiting]) -> list[bytes]:
    """Return the events of batches, a line each; what is no batch is set aside and reported."""
    lines: list[bytes] = []
    for entry in entries:
        header, _, events = entry.event.partition(b"\n")
        if header == HEADER:
            lines += events.split(b"\n")
        else:
            error = f"This is no list of events with the columns {', '.join(COLUMNS)}."
            log.error("malformed_event", error=error)
            store.set_aside(USAGE, entry.event, error)
    return lines


def record_rows(rows: Sequence[EventRow]) -> Set[str]:
    """Write events to the database here and now, in a transaction of the caller's, and return the
    keys of those that were new.
    """
    if not is_postgresql():
        return insert(rows)
    return copy([encode(row) for row in rows])


def copy(lines: Sequence[bytes]) -> Set[str]:
    """Insert events that are not there yet with COPY, and return their keys.

    Those of a deleted project go with it.
    """
    try:
        heads = read_heads(b"\n".join(lines))
    except msgspec.DecodeError as error:
        raise DataError(str(error)) from error
    if len(heads) != len(lines):
        raise DataError("There is an empty line.")
    there = do_hold_projects({head.project_id for head in heads})
    # The same event may come twice at once, as after the store has lost which of them wait.
    line_of = {
        head.key: line for head, line in zip(heads, lines, strict=True) if head.project_id in there
    }
    fresh = do_claim(line_of.keys())
    rows = [line[BEHIND_KEY] for key, line in line_of.items() if key in fresh]
    copy_json(UsageEvent, COLUMNS[1:], b"\n".join(rows), len(rows))
    do_mark_stale({(head.project_id, head.occurred_at) for head in heads if head.key in fresh})
    return fresh


def do_claim(keys: Set[str]) -> Set[str]:
    """Take those keys of events that are not taken yet, and return them.

    Whoever wants the same ones waits until this transaction has ended.
    """
    while keys:
        try:
            with transaction.atomic():
                # Everyone takes them in the same order, so that no two wait for each other.
                copy_json(ReportedEvent, ["key"], "\n".join(sorted(keys)).encode(), len(keys))
        except IntegrityError:
            keys = keys - reported(keys)
        else:
            break
    return keys


def insert(rows: Sequence[EventRow]) -> set[str]:
    """Insert events that are not there yet as a database without COPY does; return their keys."""
    there = do_hold_projects({row.project_id for row in rows})
    known = reported([row.key for row in rows])
    fresh = [row for row in rows if row.project_id in there and row.key not in known]
    ReportedEvent.objects.bulk_create(ReportedEvent(key=row.key) for row in fresh)
    columns = columns_of(UsageEvent)
    UsageEvent.objects.bulk_create(
        UsageEvent(**{name: getattr(row, name) for name in columns}) for row in fresh
    )
    do_mark_stale((row.project_id, row.occurred_at) for row in fresh)
    return {row.key for row in fresh}
