"""Sessions: the newest ones, and one with all that belongs to it."""

from dataclasses import dataclass, field
from datetime import datetime

from routing.models import Decision
from usage.models import UsageEvent
from usage.pricing import Tokens
from usage.queries.prices import price_lists
from usage.timeline import Call, Choice, Timeline, timeline

# So much of a session is shown, from its beginning.
MAX_TURNS = 500
MAX_CALLS = 2000
# The newest sessions are those of so many decisions and calls.
LOOKED_AT = 1000


@dataclass(frozen=True)
class Session:
    """A session with its timeline; `is_cut` tells that it goes on after that."""

    timeline: Timeline
    is_cut: bool


@dataclass
class SessionLine:
    """A session in short, as far as it is among the rows that were looked at."""

    session_id: str
    newest_at: datetime
    decisions: int = 0
    switches: int = 0
    calls: int = 0
    models: dict[str, None] = field(default_factory=dict)


def find_session(project_id: int, session_id: str) -> Session | None:
    """Return a project's session; None when nothing was decided or reported under that id."""
    if not session_id or "\x00" in session_id:
        return None
    decisions = Decision.objects.filter(project_id=project_id, session_id=session_id)
    events = UsageEvent.objects.filter(project_id=project_id, session_id=session_id)
    oldest = decisions.defer("evidence").order_by("created_at", "pk")[: MAX_TURNS + 1]
    choices = [choice_of(decision) for decision in oldest]
    calls = [call_of(event) for event in events.order_by("occurred_at", "pk")[: MAX_CALLS + 1]]
    if not choices and not calls:
        return None
    cut = [*(one.at for one in choices[MAX_TURNS:]), *(one.at for one in calls[MAX_CALLS:])]
    if cut:
        # What is beyond the end of the one would be torn from the other.
        choices = [one for one in choices if one.at < min(cut)]
        calls = [one for one in calls if one.at < min(cut)]
    prices = price_lists(call.model for call in calls)
    return Session(timeline(choices, calls, prices), bool(cut))


def choice_of(decision: Decision) -> Choice:
    """Return a decision as the timeline knows it."""
    return Choice(
        public_id=decision.public_id,
        at=decision.created_at,
        model=decision.model,
        task_type=decision.task_type,
        subtask_type=decision.subtask_type,
        difficulty=decision.difficulty,
        reason_code=decision.reason_code,
        reason_text=decision.reason_text,
        sticky=decision.sticky,
        switched=decision.switched,
        switch_reason=decision.switch_reason,
    )


def call_of(event: UsageEvent) -> Call:
    """Return a usage event as the timeline knows it."""
    return Call(
        event_id=event.event_id,
        decision_id=event.decision_id,
        at=event.occurred_at,
        model=event.model,
        status=event.status,
        tokens=Tokens(
            input=event.input_tokens,
            cache_read=event.cache_read_tokens,
            cache_write=event.cache_write_tokens,
            output=event.output_tokens,
        ),
        reasoning=event.reasoning_tokens,
        latency_ms=event.latency_ms,
        cost_micro_usd=event.cost_micro_usd,
    )


def newest_sessions(project_id: int) -> list[SessionLine]:
    """Return the sessions of the newest `LOOKED_AT` decisions and calls, the newest first."""
    decisions = (
        Decision.objects.filter(project_id=project_id)
        .order_by("-created_at", "-pk")
        .values_list("session_id", "created_at", "model", "switched")[:LOOKED_AT]
    )
    events = (
        UsageEvent.objects.filter(project_id=project_id)
        .order_by("-occurred_at", "-pk")
        .values_list("session_id", "occurred_at", "model")[:LOOKED_AT]
    )
    found: dict[str, SessionLine] = {}
    for name, at, model, switched in decisions:
        line = found.setdefault(name, SessionLine(name, at))
        line.decisions += 1
        line.switches += switched
        line.models[model] = None
    for name, at, model in events:
        line = found.setdefault(name, SessionLine(name, at))
        line.newest_at = max(line.newest_at, at)
        line.calls += 1
        line.models[model] = None
    found.pop("", None)
    return sorted(found.values(), key=lambda line: line.newest_at, reverse=True)
