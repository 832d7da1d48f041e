"""One routing decision: read the request, decide, keep what has to be remembered."""

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from operator import itemgetter
from typing import Any, Protocol

import structlog
from msgspec import Struct

from leaderboard.table import Table
from lib.errors import ApiError
from lib.ids import new_id
from lib.money import format_usd
from lib.taxonomy import DIFFICULTIES, ROUTES
from routing import sessions
from routing.actions.recording import DecisionEvent, do_keep
from routing.budgets import Spent
from routing.classifier import digest, load_classifier, narrow, read_request
from routing.counterfactual import runner_up
from routing.engine.classification import Classification
from routing.engine.decide import decide
from routing.engine.escalation import failed_on
from routing.engine.inputs import LastReading, Request, Session
from routing.engine.outcome import Candidate, Choice, Ladder, Refusal
from routing.queries.live import Situation

log = structlog.get_logger()


class TaskHint(Protocol):
    """What a client says of its task."""

    @property
    def task_type(self) -> str:
        """One of the six task types."""

    @property
    def subtask_type(self) -> str | None:
        """One of its three subtypes, if known."""

    @property
    def difficulty(self) -> str | None:
        """One of the three difficulties, if known."""


class Reading(Struct):
    """What the request was taken to be about; shares by name, the likeliest route first."""

    source: str
    version: str
    routes: dict[str, float]
    difficulties: dict[str, float]


class Asked(Struct):
    """What the request asked of any model."""

    context_tokens: int
    modalities: list[str]
    tools: bool
    message_count: int
    in_tool_loop: bool
    verifiable: bool


class Bar(Struct):
    """What had to be reached, who sets the mark, and what this kind of work stood by."""

    quality_bar: float
    evidence: float
    best_model: str | None
    best_accuracy: float | None
    standing: str | None


class Evidence(Struct):
    """What a decision stood on, in the form in which it is recorded as JSON."""

    classification: Reading | None
    request: Asked
    bar: Bar
    runner_up: str | None
    ladder: Ladder | None
    failed: list[str]
    live_evidence: bool
    candidates: tuple[Candidate, ...]
    budget: Spent | None = None


@dataclass(frozen=True)
class Routed:
    """A decision with its versions. `decision_id` is None when nothing was recorded."""

    decision_id: str | None
    choice: Choice
    session_id: str | None
    policy_version: str
    table_version: str | None
    evidence: Evidence


def do_route(
    known: Situation,
    messages: Sequence[Mapping[str, Any]],
    request: Request,
    *,
    mode: str | None,
    tools: Sequence[str],
    task: TaskHint | None,
    session_id: str | None,
    record: bool,
) -> Routed:
    """Decide, and unless told otherwise record the decision and the session.

    Raises ApiError 422 when the constraints leave no model, and 402 when a spent budget refuses.
    """
    now_ms = time.time_ns() // 1_000_000
    if known.spent and known.spent.action == "refuse":
        raise exhausted(known.spent, now_ms)
    fresh, version, read = classify(messages, mode, tools, task, known.session)
    choice = decide(
        request,
        fresh,
        known.rules,
        known.table,
        known.session,
        now_ms,
        known.reports,
        known.spent.restriction if known.spent else None,
    )
    if isinstance(choice, Refusal):
        raise ApiError(422, f"no_model_{choice.code}", choice.message, param=choice.param)
    evidence = evidence_of(choice, request, known, version, len(messages))
    table_version = known.table.version if known.table else None
    routed = Routed(
        decision_id=new_id("dec") if record else None,
        choice=choice,
        session_id=session_id,
        policy_version=known.rules.version,
        table_version=table_version,
        evidence=evidence,
    )
    if routed.decision_id:
        key = sessions.key(known.holder.project_id, session_id) if session_id else None
        state = replace(choice.session, last_reading=read)
        do_keep(as_event(routed, known, now_ms), key, sessions.encode(state))
    return routed


def exhausted(spent: Spent, now_ms: int) -> ApiError:
    """Return the 402 of a spent budget that refuses."""
    seconds = math.ceil(spent.resets_at.timestamp() - now_ms / 1000)
    return ApiError(
        402,
        "budget_exhausted",
        f"{spent.words} is spent: {format_usd(spent.spent_micro_usd)} so far. It begins anew at"
        f" {spent.resets_at:%Y-%m-%dT%H:%M:%SZ}. Wait until then, or have its limit raised.",
        details={
            "budget": spent.id,
            "limit_micro_usd": spent.limit_micro_usd,
            "spent_micro_usd": spent.spent_micro_usd,
            "resets_at": spent.resets_at,
        },
        retry_after_seconds=max(seconds, 1),
    )


def classify(
    messages: Sequence[Mapping[str, Any]],
    mode: str | None,
    tools: Sequence[str],
    task: TaskHint | None,
    session: Session | None,
) -> tuple[Classification | None, str, LastReading | None]:
    """Return what the request is about, the classifier's version, and what it read.

    None when the classifier failed, which must never fail the request. Words that the session came
    with last, as in every request of a tool loop, are not read again. A client's own task narrows
    the reading, and settles it where the reading failed.
    """
    fresh, version, read = None, "", None
    try:
        classifier = load_classifier()
        version = classifier.version
        text = read_request(messages, mode, tools)
        words = digest(text)
        read = sessions.last_reading(session, words, version)
        if read is None:
            fresh = classifier.classify(text)
            read = LastReading(words, version, fresh.routes, fresh.difficulties)
        else:
            fresh = Classification(read.routes, read.difficulties)
    except Exception:  # the router must answer whatever the text did to the classifier
        log.exception("classifier_failed")
    if task is not None:
        fresh = narrow(fresh, task.task_type, task.subtask_type, task.difficulty)
    return fresh, version, read


def evidence_of(
    choice: Choice, request: Request, known: Situation, classifier_version: str, message_count: int
) -> Evidence:
    """Return what the decision stood on, without any text of the request."""
    believed = choice.classification
    return Evidence(
        classification=None if believed is None else reading_of(believed, classifier_version),
        request=Asked(
            context_tokens=request.context_tokens,
            modalities=sorted(request.modalities),
            tools=request.needs_tools,
            message_count=message_count,
            in_tool_loop=request.in_tool_loop,
            verifiable=request.verifiable,
        ),
        bar=Bar(
            quality_bar=known.rules.quality_bar,
            evidence=known.rules.evidence,
            best_model=choice.best_model,
            best_accuracy=choice.best_accuracy,
            standing=stood_by(known.table, believed),
        ),
        runner_up=runner_up(choice.candidates),
        ladder=choice.ladder,
        failed=list(failed_on(known.reports.failures, believed)),
        live_evidence=known.rules.live_evidence,
        candidates=choice.candidates,
        budget=known.spent,
    )


def stood_by(table: Table | None, believed: Classification | None) -> str | None:
    """Return the model that the request's route stands by, None when there is none."""
    if table is None or believed is None or not table.standing:
        return None
    return table.standing[believed.route_place] or None


def reading_of(believed: Classification, version: str) -> Reading:
    """Return the probabilities with their names, the likeliest route first."""
    shares = sorted(zip(believed.routes, ROUTES, strict=True), key=itemgetter(0), reverse=True)
    return Reading(
        source=believed.source,
        version=version,
        routes={route: round(share, 4) for share, route in shares},
        difficulties={
            name: round(share, 4)
            for name, share in zip(DIFFICULTIES, believed.difficulties, strict=True)
        },
    )


def as_event(routed: Routed, known: Situation, now_ms: int) -> DecisionEvent:
    """Return the decision as it is recorded."""
    choice, expected = routed.choice, routed.choice.estimate
    believed = choice.classification
    assert routed.decision_id is not None
    return DecisionEvent(
        public_id=routed.decision_id,
        project_id=known.holder.project_id,
        key_id=known.holder.key_id,
        session_id=routed.session_id or "",
        created_at=datetime.fromtimestamp(now_ms / 1000, UTC),
        model=choice.model,
        reason_code=choice.reason_code,
        reason_text=choice.reason_text,
        task_type=believed.task_type if believed else "",
        subtask_type=believed.subtask_type if believed else "",
        difficulty=believed.difficulty if believed else "",
        confidence=round(believed.confidence, 4) if believed else None,
        accuracy=expected.accuracy if expected else None,
        accuracy_low=expected.low if expected else None,
        accuracy_high=expected.high if expected else None,
        cost_micro_usd=expected.cost_micro_usd if expected else None,
        baseline_cost_micro_usd=choice.baseline_cost_micro_usd,
        mode=choice.mode,
        policy_version=routed.policy_version,
        table_version=routed.table_version or "",
        sticky=choice.sticky,
        switched=choice.switched,
        switch_reason=choice.switch_reason or "",
        evidence=routed.evidence,
    )
