"""Many sums as one column of a query.

Django takes longer to build a query of forty sums, and to read their columns, than the database to
add them up. So they come as one text, and how each is written in SQL is worked out only once.
"""

from functools import cache
from typing import Any, Final

import msgspec
from django.db import connection
from django.db.models import Expression, Model, TextField, Value
from django.db.models.expressions import Combinable
from django.db.models.sql import Query

from routing.models import Decision
from usage.models import UsageEvent
from usage.queries.raw_sums import OF_CALLS, OF_DECISIONS, total

# How the sums of rows are made that are no sums themselves.
OF_ROWS: Final[dict[type[Model], dict[str, Combinable]]] = {
    UsageEvent: OF_CALLS,
    Decision: OF_DECISIONS,
}
read: Final = msgspec.json.Decoder(list[int]).decode


class Sums(Expression):
    """The sums with these names over rows of a model, as a text for `read`; of what the model does
    not know, and over no rows, they are 0.
    """

    contains_aggregate = True
    output_field = TextField()

    def __init__(self, model: type[Model], names: tuple[str, ...]) -> None:
        super().__init__()
        self.model, self.names = model, names

    def as_sql(self, compiler: Any, connection: Any) -> Any:
        """For PostgreSQL."""
        sums, params = compiled(self.model, self.names)
        return f"json_build_array({sums})::text", params

    def as_sqlite(self, compiler: Any, connection: Any) -> Any:
        """For SQLite."""
        sums, params = compiled(self.model, self.names)
        return f"json_array({sums})", params


@cache
def compiled(model: type[Model], names: tuple[str, ...]) -> tuple[str, tuple[Any, ...]]:
    """Return sums as SQL with its parameters."""
    query = Query(model)
    compiler = query.get_compiler(connection=connection)
    parts = [compiler.compile(sum_of(model, name).resolve_expression(query)) for name in names]
    return ", ".join(sql for sql, _ in parts), tuple(one for _, params in parts for one in params)


def sum_of(model: type[Model], name: str) -> Any:
    """Return a sum over rows of a model."""
    known = OF_ROWS.get(model)
    return total(name) if known is None else known.get(name, Value(0))
