"""Writes of what clients report: outcomes of decisions, and whether models work."""

from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass
from datetime import datetime

import structlog
from django.conf import settings
from django.db import transaction

from lib.store import StoreUnavailable, get_store
from routing import failing, session_failures
from routing.decided import Judged
from routing.engine.escalation import Failure
from routing.failing import Signal
from routing.models import Outcome, TaskOutcome
from routing.queries.outcomes import outcomes_of
from teams.queries import KeyHolder

log = structlog.get_logger()
# Of a decision whose model had no figures.
UNKNOWN_ACCURACY = 0.5


@dataclass(frozen=True)
class Reported:
    """An outcome of a decision's work with a model, and when it came about."""

    decision: Judged
    model: str
    outcome: str
    at: datetime

    @property
    def as_failure(self) -> Failure:
        """What it says of the session's task."""
        decided_at_ms = milliseconds(self.decision.created_at)
        return Failure(self.model, self.decision.task_type, decided_at_ms)

    @property
    def after_failure(self) -> bool:
        """Whether another model had failed on the task before."""
        return self.decision.reason_code == "escalated" or self.model != self.decision.model


def do_record_outcomes(reports: Sequence[Reported], *, holder: KeyHolder, now: datetime) -> int:
    """Keep outcomes of the holder's project and return how many are news.

    A failure makes the session go past the model from its next decision on. The newest outcome of a
    decision and model counts; the same again changes nothing.
    """
    if not reports:
        return 0
    latest = {(one.decision.public_id, one.model): one for one in reports}
    known = outcomes_of(holder.project_id, {decision_id for decision_id, _ in latest})
    news = [one for pair, one in latest.items() if known.get(pair) != one.outcome]
    if not news:
        return 0
    with transaction.atomic():
        TaskOutcome.objects.bulk_create(
            [
                TaskOutcome(
                    project_id=holder.project_id,
                    decision_id=one.decision.public_id,
                    model=one.model,
                    route=one.decision.route,
                    difficulty=one.decision.difficulty,
                    outcome=one.outcome,
                    after_failure=one.after_failure,
                    key_id=holder.key_id,
                    reported_at=one.at,
                )
                for one in news
            ],
            update_conflicts=True,
            unique_fields=["project", "decision_id", "model"],
            update_fields=["outcome", "key_id", "reported_at"],
        )
    do_tell_sessions(news, holder.project_id, now)
    do_watch([signal_of(one) for one in news if not one.after_failure], team_id=holder.team_id)
    return len(news)


def do_tell_sessions(news: Iterable[Reported], project_id: int, now: datetime) -> None:
    """Let each session's next decision know what became of those before.

    Without the store the outcomes are kept all the same, only sessions do not hear of them.
    """
    sessions: dict[str, list[Reported]] = {}
    for one in news:
        age = (now - one.decision.created_at).total_seconds()
        if one.decision.session_id and age <= settings.SESSION_TTL_SECONDS:
            sessions.setdefault(one.decision.session_id, []).append(one)
    if not sessions:
        return
    store = get_store(settings.REDIS_URL)
    try:
        keys = [session_failures.key(project_id, session) for session in sessions]
        kept = store.fetch(*keys).values
        for key, before, told in zip(keys, kept, sessions.values(), strict=True):
            failed = [one.as_failure for one in told if one.outcome != Outcome.ACCEPTED]
            accepted = [one.as_failure for one in told if one.outcome == Outcome.ACCEPTED]
            if failed or before is not None:
                do_keep_failures(key, failed, accepted)
    except StoreUnavailable as away:
        log.warning("store_unavailable", error=str(away))


def do_keep_failures(key: str, failed: list[Failure], accepted: list[Failure]) -> None:
    """Bring one session's failures up to date. Raises StoreUnavailable."""
    get_store(settings.REDIS_URL).update(
        key,
        lambda data: session_failures.with_outcomes(data, failed, accepted),
        settings.SESSION_TTL_SECONDS,
    )


def do_watch(signals: Sequence[Signal], *, team_id: int) -> None:
    """Count how models work for a team; what is reported while the store is away is not counted."""
    if not signals:
        return
    try:
        get_store(settings.REDIS_URL).update(
            failing.key(team_id),
            lambda data: failing.with_signals(data, signals),
            failing.TTL_SECONDS,
        )
    except StoreUnavailable as away:
        log.warning("store_unavailable", error=str(away))


def watched_models(team_id: int) -> Set[str]:
    """Return the models of a team that anything is held against at the moment."""
    try:
        scores = get_store(settings.REDIS_URL).fetch(failing.key(team_id)).values[0]
    except StoreUnavailable:
        return frozenset()
    return failing.decode(scores).keys()


def signal_of(one: Reported) -> Signal:
    """Return what an outcome says of whether the model works."""
    decision = one.decision
    return Signal(
        model=one.model,
        kind=failing.TASKS,
        succeeded=one.outcome == Outcome.ACCEPTED,
        expected=decision.expected_of.get(one.model, UNKNOWN_ACCURACY),
        origin=decision.session_id or decision.public_id,
        at_ms=milliseconds(one.at),
    )


def milliseconds(moment: datetime) -> int:
    """Return a time as milliseconds since the epoch."""
    return round(moment.timestamp() * 1000)
