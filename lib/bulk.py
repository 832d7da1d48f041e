"""Many rows at once: COPY into PostgreSQL, and tables filled from queries on any database."""

from collections.abc import Iterable, Sequence
from typing import Any

from django.db import connection
from django.db.models import Model, QuerySet


def is_postgresql() -> bool:
    """Tell whether the database is PostgreSQL rather than the embedded SQLite."""
    return connection.vendor == "postgresql"


def quoted(names: Iterable[str]) -> str:
    """Return names as a list for SQL."""
    return ", ".join(connection.ops.quote_name(name) for name in names)


def columns_of(model: type[Model]) -> list[str]:
    """Return the columns of a table but for its own number, in their order."""
    fields = [field for field in model._meta.concrete_fields if not field.primary_key]
    return [str(field.column) for field in fields]


def stage(model: type[Model], rows: Iterable[Sequence[Any]], extra: str = "") -> str:
    """COPY rows into a temporary table like that of the model, and return its name.

    A row holds the values of `columns_of(model)`, and then those of the columns that `extra`
    declares. The table is emptied when the transaction ends. PostgreSQL only.
    """
    table, columns = f"staged_{model._meta.db_table}", columns_of(model)
    declared = [*columns, *(part.split()[0] for part in extra.split(",") if part)]
    with connection.cursor() as cursor:
        cursor.execute(
            f"CREATE TEMPORARY TABLE IF NOT EXISTS {table} ON COMMIT DELETE ROWS AS"  # noqa: S608
            f" SELECT {quoted(columns)}{', ' + nulls(extra) if extra else ''}"
            f" FROM {model._meta.db_table} WITH NO DATA"
        )
        cursor.execute(f"DELETE FROM {table}")  # noqa: S608
        statement = f"COPY {table} ({quoted(declared)}) FROM STDIN"
        # Django knows nothing of COPY, so it does not turn psycopg's errors into its own by itself.
        with connection.wrap_database_errors, cursor.copy(statement) as copy:
            for row in rows:
                copy.write_row(row)
    return table


def nulls(extra: str) -> str:
    """Return declared columns, as in ``key uuid``, as values of a query."""
    parts = [part.split() for part in extra.split(",")]
    return ", ".join(f"NULL::{kind} AS {name}" for name, kind in parts)


def fill(model: type[Model], rows: QuerySet[Any, Any], columns: Sequence[str]) -> int:
    """Insert the rows of a query, whose values are those of `columns`, and return how many."""
    sql, params = rows.query.sql_with_params()
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {model._meta.db_table} ({quoted(columns)}) {sql}",
            params,
        )
        return int(cursor.rowcount)
