"""Tables of PostgreSQL that are partitioned by month, so that old months are dropped at once.

To Django such a table is like any other. It has no primary key of its own, since that would have to
name the time: rows are found by their times and public ids. A default partition takes whatever no
month was made for, so that nothing is ever refused for its time. SQLite has no partitions: there,
old rows are deleted.
"""

import re
from datetime import UTC, datetime
from typing import Any

from django.db import connection
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.backends.utils import CursorWrapper


def partition_by_month(
    editor: BaseDatabaseSchemaEditor, table: str, column: str, unique: str = ""
) -> None:
    """Turn an empty table into a partitioned one with the same columns and indexes.

    `unique` names a column whose values come once at any one time. For use in migrations.
    """
    if editor.connection.vendor != "postgresql":
        return
    plain = f"{table}_plain"
    with editor.connection.cursor() as cursor:
        cursor.execute("SELECT indexdef FROM pg_indexes WHERE tablename = %s", [table])
        found = [definition for (definition,) in cursor.fetchall()]
    indexes = [definition for definition in found if "UNIQUE" not in definition]
    # What only helps to search a unique text by its beginning.
    indexes = [definition for definition in indexes if "_pattern_ops" not in definition]
    for statement in (
        f"ALTER TABLE {table} RENAME TO {plain}",
        f"CREATE TABLE {table} (LIKE {plain} INCLUDING DEFAULTS) PARTITION BY RANGE ({column})",
        f"DROP TABLE {plain}",
        f"CREATE SEQUENCE {table}_number OWNED BY {table}.id",
        f"ALTER TABLE {table} ALTER COLUMN id SET DEFAULT nextval('{table}_number')",
        f"CREATE TABLE {table}_default PARTITION OF {table} DEFAULT",
        *indexes,
        # Numbers grow with time, so that a few bytes for each block are enough to find one.
        f"CREATE INDEX {table}_number_idx ON {table} USING brin (id)",
        *([f"CREATE UNIQUE INDEX {table}_once ON {table} ({unique}, {column})"] if unique else []),
    ):
        editor.execute(statement)


def months_between(first: datetime, last: datetime) -> list[datetime]:
    """Return the beginnings of the months, UTC, from that of `first` to that of `last`."""
    months = [datetime(first.year, first.month, 1, tzinfo=UTC)]
    while (after := next_month(months[-1])) <= last:
        months.append(after)
    return months


def next_month(month: datetime) -> datetime:
    """Return the beginning of the month after the one that begins then."""
    return month.replace(year=month.year + month.month // 12, month=month.month % 12 + 1)


def do_make_months(table: str, column: str, first: datetime, last: datetime) -> list[str]:
    """Make the partitions of some months that are missing, and return their names.

    Rows of such a month that lie in the default partition move into it.
    """
    there = set(partitions(table))
    made = []
    for month in months_between(first, last):
        name = f"{table}_{month:%Y_%m}"
        if name in there:
            continue
        start, end = month.isoformat(), next_month(month).isoformat()
        default = f"{table}_default"
        with connection.cursor() as cursor:
            wait_briefly(cursor)
            cursor.execute(f"CREATE TABLE {name} (LIKE {table} INCLUDING DEFAULTS)")
            cursor.execute(
                f"WITH moved AS (DELETE FROM {default}"  # noqa: S608
                f" WHERE {column} >= %s AND {column} < %s RETURNING *)"
                f" INSERT INTO {name} SELECT * FROM moved",
                [start, end],
            )
            cursor.execute(
                f"ALTER TABLE {table} ATTACH PARTITION {name}"
                f" FOR VALUES FROM ('{start}') TO ('{end}')"
            )
        made.append(name)
    return made


def do_drop_months(table: str, before: datetime) -> list[str]:
    """Drop the partitions of the months that ended by then, and return their names."""
    dropped = []
    for name in partitions(table):
        month = month_of(name)
        if month and next_month(month) <= before:
            with connection.cursor() as cursor:
                wait_briefly(cursor)
                cursor.execute(f"DROP TABLE {name}")
            dropped.append(name)
    return dropped


def wait_briefly(cursor: CursorWrapper) -> None:
    """Rather fail, for the next time, than have readers queue behind a waiting change for long."""
    cursor.execute("SET LOCAL lock_timeout = '5s'")


def month_of(name: str) -> datetime | None:
    """Return the beginning of a partition's month; None for a default partition."""
    found = re.search(r"_(\d{4})_(\d\d)$", name)
    return datetime(int(found[1]), int(found[2]), 1, tzinfo=UTC) if found else None


def oldest_left_over(table: str, column: str) -> datetime | None:
    """Return the time of the oldest row in the default partition; None when it is empty."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT min({column}) FROM {table}_default")  # noqa: S608
        (found,) = cursor.fetchone() or (None,)
    return found if isinstance(found, datetime) else None


def partitions(table: str) -> list[str]:
    """Return the names of a table's partitions, sorted."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = %s::regclass",
            [table],
        )
        rows: list[tuple[Any, ...]] = cursor.fetchall()
    return sorted(str(name) for (name,) in rows)
