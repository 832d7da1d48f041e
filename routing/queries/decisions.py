"""Past decisions."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import QuerySet, TextField, Value
from django.db.models.fields.json import KT
from django.db.models.functions import NullIf

from lib.bulk import Among
from lib.ids import ids_in, made_at
from routing.decided import Decided, Judged
from routing.models import Decision


@dataclass(frozen=True)
class DecisionFilter:
    """Which decisions are asked for; what is empty or None does not matter.

    From `start` (inclusive) to `end` (exclusive). A route may be whole (``debugging/bug_fixing``)
    or only its task type (``debugging``).
    """

    start: datetime | None = None
    end: datetime | None = None
    model: str = ""
    route: str = ""
    reason: str = ""
    mode: str = ""
    session: str = ""
    sticky: bool | None = None
    switched: bool | None = None
    min_confidence: float | None = None
    max_confidence: float | None = None
    policy_version: str = ""
    table_version: str = ""


EVERYTHING = DecisionFilter()
# A decision and its id are made within so long of each other, whatever clocks do.
NEAR = timedelta(hours=1)
DECIDED = Decided.__struct_fields__
# All but the ladder, which lies in the evidence.
JUDGED = Judged.__struct_fields__[:-1]


def find_decided(project_id: int, ids: Iterable[str]) -> dict[str, Decided]:
    """Return the project's decisions with these public ids; ids of others are simply absent."""
    rows = with_ids(project_id, ids).values_list(*DECIDED)
    return {row[0]: Decided(*row) for row in rows}


def find_judged(project_id: int, ids: Iterable[str]) -> dict[str, Judged]:
    """Return the same with more that is known of each, which takes longer."""
    rows = with_ids(project_id, ids).values_list(*JUDGED, "evidence__ladder")
    return {row[0]: Judged(*row) for row in rows}


def find_decision(project_id: int, public_id: str) -> Decision | None:
    """Return one of the project's decisions with all its evidence; None for anything else."""
    return with_ids(project_id, [public_id]).first()


def with_ids(project_id: int, ids: Iterable[str]) -> QuerySet[Decision]:
    """Return those of a project's decisions that have one of some public ids."""
    made = ids_in("dec", ids)
    if not made:
        return Decision.objects.none()
    return Decision.objects.order_by().filter(
        Among("public_id", made),
        project_id=project_id,
        # Ids tell their month, and so where to look for them. They sort by time.
        created_at__gte=made_at(min(made)) - NEAR,
        created_at__lte=made_at(max(made)) + NEAR,
    )


def judged_of(decision: Decision) -> Judged:
    """Return what an outcome needs to know of a decision."""
    fields = {name: getattr(decision, name) for name in JUDGED}
    return Judged(**fields, ladder=decision.evidence.get("ladder"))


def decisions_of(project_id: int, asked: DecisionFilter = EVERYTHING) -> QuerySet[Decision]:
    """Return the decisions that are asked for, newest first, without their evidence.

    Each has a `runner_up`, the id of the model that came second; None where there was none.
    """
    conditions: dict[str, Any] = {
        "created_at__gte": asked.start,
        "created_at__lt": asked.end,
        "model": asked.model or None,
        "reason_code": asked.reason or None,
        "mode": asked.mode or None,
        "session_id": asked.session or None,
        "sticky": asked.sticky,
        "switched": asked.switched,
        "confidence__gte": asked.min_confidence,
        "confidence__lte": asked.max_confidence,
        "policy_version": asked.policy_version or None,
        "table_version": asked.table_version or None,
    }
    if asked.route:
        task_type, _, subtask_type = asked.route.partition("/")
        conditions |= {"task_type": task_type, "subtask_type": subtask_type or None}
    given = {name: value for name, value in conditions.items() if value is not None}
    rows = Decision.objects.filter(project_id=project_id, **given).defer("evidence")
    # SQLite gives the text "null" for a JSON null, PostgreSQL none.
    return rows.annotate(runner_up=NullIf(KT("evidence__runner_up"), Value("null", TextField())))


def neighbours(decision: Decision) -> tuple[Decision | None, Decision | None]:
    """Return the decisions before and after one in its session."""
    if not decision.session_id:
        return None, None
    rows = Decision.objects.filter(
        project_id=decision.project_id, session_id=decision.session_id
    ).defer("evidence")
    moment, place = decision.created_at, decision.pk
    before = rows.filter(created_at__lte=moment).exclude(created_at=moment, pk__gte=place)
    after = rows.filter(created_at__gte=moment).exclude(created_at=moment, pk__lte=place)
    return (
        before.order_by("-created_at", "-pk").first(),
        after.order_by("created_at", "pk").first(),
    )
