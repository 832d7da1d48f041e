"""How calls and decisions themselves are added up: the sums of `usage.sums` as expressions."""

from datetime import timedelta
from typing import Any, Final

from django.db.models import Case, Count, DateTimeField, F, Func, Q, Sum, Value, When
from django.db.models.expressions import Combinable
from django.db.models.functions import Coalesce, Concat, Greatest

from routing.engine.explain import FALLBACKS
from usage import latency
from usage.models import Status
from usage.ranges import Hours
from usage.sums import CALL_SUMS

FAILED: Final = Q(status=Status.ERROR)
# The route of a decision, as calls have it.
ROUTE: Final = Case(
    When(task_type="", then=Value("")), default=Concat("task_type", Value("/"), "subtask_type")
)
BOUNDS: Final = (None, *latency.BOUNDS_MS, None)


def in_class(place: int) -> Q:
    """Return that a latency is in a class."""
    low, high = BOUNDS[place], BOUNDS[place + 1]
    within = Q(latency_ms__isnull=False) if low is None else Q(latency_ms__gt=low)
    return within if high is None else within & Q(latency_ms__lte=high)


def total(column: str, condition: Q | None = None) -> Combinable:
    """Return a sum that is 0 over nothing."""
    return Coalesce(Sum(column, filter=condition), Value(0))


OF_CALLS: Final[dict[str, Combinable]] = {
    **{name: total(name) for name in CALL_SUMS if name not in ("requests", "errors", "unpriced")},
    "requests": Count("pk"),
    "errors": Count("pk", filter=FAILED),
    "unpriced": Count("pk", filter=Q(cost_micro_usd=None)),
    "compared_cost_micro_usd": total("cost_micro_usd", Q(baseline_cost_micro_usd__isnull=False)),
    **{column: Count("pk", filter=in_class(place)) for place, column in enumerate(latency.COLUMNS)},
}
OF_DECISIONS: Final[dict[str, Combinable]] = {
    "decisions": Count("pk"),
    "fallbacks": Count("pk", filter=Q(reason_code__in=sorted(FALLBACKS))),
    "switched": Count("pk", filter=Q(switched=True)),
}


def hour_of(moment: str, hours: Hours) -> Combinable:
    """Return the beginning of that one of some hours which holds a moment."""
    return Greatest(TruncatedHour(moment, hours.past), Value(hours.first))


class TruncatedHour(Func):
    """A moment cut down to so many minutes past the hour of UTC.

    It is cut in UTC, since a clock that is put back has an hour twice.
    """

    output_field = DateTimeField()

    def __init__(self, moment: str, past: timedelta) -> None:
        super().__init__(F(moment))
        self.minutes = int(past / timedelta(minutes=1))

    def as_sql(self, compiler: Any, connection: Any, *args: Any, **context: Any) -> Any:
        """For PostgreSQL, whose session is in UTC."""
        shift = f"interval '{self.minutes} minutes'"
        template = f"date_trunc('hour', %(expressions)s - {shift}) + {shift}"
        return super().as_sql(compiler, connection, template=template, **context)

    def as_sqlite(self, compiler: Any, connection: Any, **context: Any) -> Any:
        """For SQLite, which keeps times as text in UTC."""
        template = (
            f"datetime(strftime('%%%%Y-%%%%m-%%%%d %%%%H:00:00', %(expressions)s,"
            f" '-{self.minutes} minutes'), '+{self.minutes} minutes')"
        )
        return super().as_sql(compiler, connection, template=template, **context)
