"""Past decisions."""

from collections.abc import Iterable, Mapping

from django.db.models import QuerySet

from routing.models import Decision

# What a list of decisions can be narrowed by.
FILTERS = ("model", "route", "reason", "session")


def find_decisions(project_id: int, ids: Iterable[str]) -> dict[str, Decision]:
    """Return the project's decisions with these public ids; ids of others are simply absent."""
    rows = Decision.objects.filter(project_id=project_id, public_id__in=set(ids)).defer("evidence")
    return {decision.public_id: decision for decision in rows}


def find_decision(project_id: int, public_id: str) -> Decision | None:
    """Return one of the project's decisions with all its evidence; None for anything else."""
    if "\x00" in public_id:
        return None
    return Decision.objects.filter(project_id=project_id, public_id=public_id).first()


def decisions_of(project_id: int, filters: Mapping[str, str]) -> QuerySet[Decision]:
    """Return a project's decisions without their evidence, narrowed by `FILTERS`, newest first.

    A route may be whole (``debugging/bug_fixing``) or only its task type (``debugging``).
    """
    rows = Decision.objects.filter(project_id=project_id).defer("evidence")
    given = {name: filters[name].replace("\x00", "") for name in FILTERS if filters.get(name)}
    if "model" in given:
        rows = rows.filter(model=given["model"])
    if "reason" in given:
        rows = rows.filter(reason_code=given["reason"])
    if "session" in given:
        rows = rows.filter(session_id=given["session"])
    if "route" in given:
        task_type, _, subtask_type = given["route"].partition("/")
        rows = rows.filter(task_type=task_type)
        if subtask_type:
            rows = rows.filter(subtask_type=subtask_type)
    return rows
