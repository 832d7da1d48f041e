"""Events find their way from a stream of the store into the database: at least once, none lost."""

import math
import time
from collections.abc import Callable, Sequence
from typing import TypeVar

import structlog
from django.db import DataError, IntegrityError, transaction

from lib.store import RedisStore, Turn, Waiting

log = structlog.get_logger()
# About so many events are recorded in one transaction. How many entries that are is learnt on the
# way, since an entry may hold a thousand.
BATCH = 10_000
FIRST_ENTRIES, MOST_ENTRIES = 10, 1000
# What a database says of a row that it will never take.
REFUSED = (DataError, IntegrityError)

Row = TypeVar("Row")


def record_stream(
    store: RedisStore,
    stream: str,
    record: Callable[[Sequence[Waiting]], None],
    *,
    wait_seconds: float,
    last: bytes = b"+",
    seconds: float = math.inf,
    most: int = MOST_ENTRIES,
) -> bool | None:
    """Have everything recorded that waits now, or up to the place `last`, and return whether that
    was done: it gives up after about so many seconds. None while another one is at it.

    `record` is given up to `most` entries of the stream at a time.

    Events leave the stream after `record` has committed them, so a recorder that is killed in
    between leaves them to the next, who must find that they are there already. Only one recorder
    works at a time, so that whoever waits for its turn finds everything older in the database.
    """
    with store.recording(stream, wait_seconds) as mine:
        if mine is None:
            return None
        return drain(store, stream, record, mine, last=last, seconds=seconds, most=most)


def drain(
    store: RedisStore,
    stream: str,
    record: Callable[[Sequence[Waiting]], None],
    turn: Turn,
    *,
    last: bytes,
    seconds: float = math.inf,
    most: int = MOST_ENTRIES,
) -> bool:
    """Do the work of `record_stream`, being the one recorder.

    It also gives up when another one has taken over because one batch took too long. As long as
    more comes than it takes at a time, it goes on.
    """
    give_up = time.monotonic() + seconds
    count = min(FIRST_ENTRIES, most)
    while entries := store.waiting(stream, count, last):
        if time.monotonic() > give_up or not turn.renew():
            return False
        record(entries)
        store.forget(stream, entries)
        if len(entries) < count:
            break
        events = sum(entry.size for entry in entries)
        count = min(max(BATCH * len(entries) // events, 1), most)
    return True


def write_all(
    rows: Sequence[Row],
    write: Callable[[Sequence[Row]], object],
    refuse: Callable[[Row, Exception], None],
) -> None:
    """Write rows in one transaction, or where the database refuses some, in halves without them."""
    try:
        with transaction.atomic():
            write(rows)
    except REFUSED as error:
        if len(rows) == 1:
            refuse(rows[0], error)
            return
        middle = len(rows) // 2
        write_all(rows[:middle], write, refuse)
        write_all(rows[middle:], write, refuse)
