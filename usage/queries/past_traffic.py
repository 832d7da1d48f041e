"""What a project asked for: its decisions, counted, and asked again of a draft of its policy."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Count, QuerySet

from routing.engine.inputs import Rules
from routing.models import Decision
from routing.queries.live import rules_in_force, table_for
from routing.queries.policies import InForce
from teams.models import Project
from usage import replay
from usage.models import UsageEvent
from usage.weighting import Traffic

# How far back a draft of a policy is replayed, and on how many decisions at most.
REPLAY_DAYS = 7
MAX_REPLAYED = 1000


def has_traffic(project_id: int) -> bool:
    """Tell whether a project ever asked for a decision or reported usage."""
    return (
        Decision.objects.filter(project_id=project_id).exists()
        or UsageEvent.objects.filter(project_id=project_id).exists()
    )


def traffic(project_id: int, since: datetime) -> list[Traffic]:
    """Return a project's decisions since a moment, counted by model, route and difficulty."""
    rows = (
        Decision.objects.filter(project_id=project_id, created_at__gte=since)
        .order_by("model", "task_type", "subtask_type", "difficulty")
        .values_list("model", "task_type", "subtask_type", "difficulty")
        .annotate(Count("id"))
    )
    return [
        Traffic(model, f"{task_type}/{subtask_type}" if task_type else "", difficulty, count)
        for model, task_type, subtask_type, difficulty, count in rows
    ]


@dataclass(frozen=True)
class Preview:
    """A draft of a policy beside the policy in force.

    `source` is ``decisions``, the newest of the last `REPLAY_DAYS` days, of which there are
    `decisions`; or ``benchmarks``, the tasks that the table's results come from, where there are
    none. Without a table there is nothing to replay by: `replay` is None.
    """

    source: str
    decisions: int
    table_version: str | None
    replay: replay.Replay | None


def policy_preview(project: Project, current: InForce, draft: Rules, now: datetime) -> Preview:
    """Replay a draft on a project's past decisions, or on benchmark tasks while there are none."""
    before = rules_in_force(current)
    tables = table_for(before, project.team_id), table_for(draft, project.team_id)
    recent = Decision.objects.filter(
        project=project, created_at__gte=now - timedelta(days=REPLAY_DAYS), created_at__lte=now
    )
    count = recent.count()
    if tables[0] is None or tables[1] is None:
        return Preview("decisions" if count else "benchmarks", count, None, None)
    asks = past_asks(recent) if count else replay.benchmark_asks(tables[0])
    return Preview(
        source="decisions" if count else "benchmarks",
        decisions=count,
        table_version=tables[0].version,
        replay=replay.replay(asks, (before, tables[0]), (draft, tables[1])) if asks else None,
    )


def past_asks(decisions: QuerySet[Decision]) -> list[replay.Ask]:
    """Return the newest requests in the order of time. Only what a replay needs is read."""
    rows = decisions.order_by("-created_at", "-id").values_list(
        "public_id",
        "session_id",
        "created_at",
        "evidence__classification",
        "evidence__request",
    )[:MAX_REPLAYED]
    asks = [
        replay.recorded_ask(name, session_id, at, {"classification": reading, "request": asked})
        for name, session_id, at, reading, asked in reversed(rows)
    ]
    return [ask for ask in asks if ask is not None]
