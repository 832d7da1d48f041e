"""What operators see of the record: what was set aside, and the tables that it lies in."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from django.conf import settings
from django.db import connection

from lib.partitions import month_of, next_month
from lib.store import RedisStore, SetAside, get_store

# So many events are read from the store at a time.
PAGE: Final = 500


@dataclass(frozen=True)
class Part:
    """A partition. `rows` is PostgreSQL's estimate; None until it has counted once."""

    rows: int | None
    size_bytes: int


@dataclass(frozen=True)
class Month:
    """The partitions of a month, one for each table that has it; `None` is any other time.

    The month is dropped as a whole once `goes_at` is past.
    """

    month: datetime | None
    goes_at: datetime | None
    parts: Sequence[Part | None]


def newest_set_aside(stream: str, count: int) -> list[SetAside]:
    """Return the newest events that were set aside; none embedded. Raises StoreUnavailable."""
    store = get_store(settings.REDIS_URL)
    return store.aside(stream, count) if isinstance(store, RedisStore) else []


def every_set_aside(stream: str) -> Iterator[SetAside]:
    """Yield all events that were set aside, the newest first. Raises StoreUnavailable."""
    store = get_store(settings.REDIS_URL)
    if not isinstance(store, RedisStore):
        return
    page = store.aside(stream, PAGE)
    while page:
        yield from page
        page = store.aside(stream, PAGE, page[-1].place)


def months_of(tables: Sequence[str], retention: timedelta) -> list[Month]:
    """Return the months of partitioned tables, the newest first and any other time last."""
    parts: dict[datetime | None, list[Part | None]] = {}
    for place, table in enumerate(tables):
        for name, part in parts_of(table):
            parts.setdefault(month_of(name), [None] * len(tables))[place] = part
    return [
        Month(month, next_month(month) + retention if month else None, parts[month])
        for month in sorted(
            parts, key=lambda one: one or datetime.min.replace(tzinfo=UTC), reverse=True
        )
    ]


def parts_of(table: str) -> list[tuple[str, Part]]:
    """Return the partitions of a table by name."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT part.relname, part.reltuples::bigint, pg_total_relation_size(part.oid)"
            " FROM pg_inherits JOIN pg_class part ON part.oid = inhrelid"
            " WHERE inhparent = %s::regclass",
            [table],
        )
        return [
            (name, Part(None if rows < 0 else rows, size)) for name, rows, size in cursor.fetchall()
        ]
