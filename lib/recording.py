"""Events find their way from a stream of the store into the database: at least once, none lost."""

import time
from collections.abc import Callable, Sequence
from typing import TypeVar

import structlog
from django.db import DataError, IntegrityError, transaction

from lib.store import RECORDING_SECONDS, RedisStore, Waiting

log = structlog.get_logger()
# So many entries of a stream are recorded in one transaction.
BATCH = 1000
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
    batch: int = BATCH,
) -> bool:
    """Have everything up to the place `last` recorded, and return whether that was done.

    Without a place that is what waits now: what comes meanwhile would never end under load.
    Events leave the stream after `record` has committed them, so a recorder that is killed in
    between leaves them to the next, who must find that they are there already. Only one recorder
    works at a time, so that whoever waits for its turn finds everything older in the database.
    """
    with store.recording(stream, wait_seconds) as mine:
        if not mine:
            return False
        end = store.backlog(stream).last if last == b"+" else last
        return drain(store, stream, record, last=end, batch=batch)


def drain(
    store: RedisStore,
    stream: str,
    record: Callable[[Sequence[Waiting]], None],
    *,
    last: bytes,
    batch: int = BATCH,
) -> bool:
    """Have everything up to the place `last` recorded, being the one recorder.

    Returns whether that was done: it ends before it is no longer the only one.
    """
    give_up = time.monotonic() + RECORDING_SECONDS / 2
    while entries := store.waiting(stream, batch, last):
        if time.monotonic() > give_up:
            return False
        record(entries)
        store.forget(stream, entries)
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
