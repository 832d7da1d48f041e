"""Many rows at once: COPY into PostgreSQL, and tables filled from queries on any database."""

import re
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from django.db import DataError, connection
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import BooleanField, F, Func, Model, QuerySet, Value
from django.db.models.sql.compiler import SQLCompiler

# What JSON escapes besides quotes and backslashes: control characters.
ESCAPED = re.compile(rb'\\["\\]|\\(u[0-9a-fA-F]{4}|.)')


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


class Among(Func):
    """Whether a text column holds one of some texts, however many: they are one parameter."""

    output_field = BooleanField()
    arity = 2

    def __init__(self, column: str, texts: Sequence[str]) -> None:
        many = as_array(texts) if is_postgresql() else msgspec.json.encode(texts).decode()
        super().__init__(F(column), Value(many))

    def as_postgresql(
        self, compiler: SQLCompiler, connection: BaseDatabaseWrapper, **_: Any
    ) -> tuple[str, Any]:
        """Return the condition for PostgreSQL."""
        return self.as_sql(
            compiler, connection, template="%(expressions)s::text[])", arg_joiner=" = ANY("
        )

    def as_sqlite(
        self, compiler: SQLCompiler, connection: BaseDatabaseWrapper, **_: Any
    ) -> tuple[str, Any]:
        """Return the condition for SQLite."""
        joiner = " IN (SELECT value FROM json_each("
        return self.as_sql(compiler, connection, template="%(expressions)s))", arg_joiner=joiner)


def as_array(texts: Iterable[str]) -> str:
    """Return texts as PostgreSQL reads an array; many times faster than from a list."""
    quoted = [text.replace("\\", r"\\").replace('"', r"\"") for text in texts]
    return '{"' + '","'.join(quoted) + '"}' if quoted else "{}"


def stage(model: type[Model], rows: Iterable[Sequence[Any]]) -> str:
    """COPY rows into a temporary table like that of the model, and return its name.

    A row holds the values of `columns_of(model)`. The table is emptied when the transaction ends.
    PostgreSQL only.
    """
    table, columns = f"staged_{model._meta.db_table}", quoted(columns_of(model))
    with (
        connection.cursor() as cursor,
        connection.wrap_database_errors,
    ):
        cursor.execute(
            f"CREATE TEMPORARY TABLE IF NOT EXISTS {table} ON COMMIT DELETE ROWS AS"  # noqa: S608
            f" SELECT {columns} FROM {model._meta.db_table} WITH NO DATA"
        )
        cursor.execute(f"DELETE FROM {table}")  # noqa: S608
        with cursor.copy(f"COPY {table} ({columns}) FROM STDIN") as copy:
            for row in rows:
                copy.write_row(row)
    return table


def copy_json(model: type[Model], columns: Sequence[str], lines: bytes, count: int) -> None:
    """COPY so many rows into a table, each a line that is a JSON array but for its brackets.

    No value becomes an object of Python on the way. Raises DataError or IntegrityError. PostgreSQL
    only.
    """
    # Such an array is a line of this kind of CSV.
    kind = "FORMAT csv, QUOTE '\"', ESCAPE '\\', NULL 'null'"
    into = f"COPY {model._meta.db_table} ({quoted(columns)}) FROM STDIN ({kind})"
    with (
        connection.cursor() as cursor,
        # Django knows nothing of COPY, so it does not turn psycopg's errors into its own by itself.
        connection.wrap_database_errors,
    ):
        with cursor.copy(into) as copy:
            copy.write(unescaped(lines))
        if cursor.rowcount != count:
            # An open quotation mark has swallowed a line.
            raise DataError(f"{count} lines were read as {cursor.rowcount} rows.")


def unescaped(lines: bytes) -> bytes:
    """Return JSON with its control characters as they are, which is how CSV has them.

    What is no JSON stays as it is, for the database to refuse.
    """

    def character(found: re.Match[bytes]) -> bytes:
        if not found[1]:
            return found[0]
        try:
            return msgspec.json.decode(b'"%b"' % found[0], type=str).encode()
        except msgspec.DecodeError:
            return found[0]

    return ESCAPED.sub(character, lines) if b"\\" in lines else lines


def fill(model: type[Model], rows: QuerySet[Any, Any], columns: Sequence[str]) -> int:
    """Insert the rows of a query, whose values are those of `columns`, and return how many."""
    sql, params = rows.query.sql_with_params()
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {model._meta.db_table} ({quoted(columns)}) {sql}",
            params,
        )
        return int(cursor.rowcount)
