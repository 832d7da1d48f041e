"""One routing decision: read the request, decide, keep what has to be remembered."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

import structlog

from lib.errors import ApiError
from lib.ids import new_id
from lib.taxonomy import DIFFICULTIES, ROUTES
from routing import sessions
from routing.actions.recording import DecisionEvent, do_keep
from routing.classifier import load_classifier, narrow, read_request
from routing.engine.classification import Classification
from routing.engine.decide import decide
from routing.engine.inputs import Request
from routing.engine.outcome import Choice, Refusal
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


@dataclass(frozen=True)
class Routed:
    """A decision with its versions. `decision_id` is None when nothing was recorded."""

    decision_id: str | None
    choice: Choice
    session_id: str | None
    policy_version: str
    table_version: str | None
    evidence: dict[str, Any]


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

    Raises ApiError 422 when the constraints leave no model.
    """
    fresh, version = classify(messages, mode, tools, task)
    now_ms = time.time_ns() // 1_000_000
    choice = decide(request, fresh, known.rules, known.table, known.session, now_ms)
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
        do_keep(as_event(routed, known, now_ms), key, sessions.encode(choice.session))
    return routed


def classify(
    messages: Sequence[Mapping[str, Any]],
    mode: str | None,
    tools: Sequence[str],
    task: TaskHint | None,
) -> tuple[Classification | None, str]:
    """Read the request; None when the classifier failed, which must never fail the request.

    A client's own task narrows the reading, and settles it where the reading failed.
    """
    reading, version = None, ""
    try:
        classifier = load_classifier()
        version = classifier.version
        reading = classifier.classify(read_request(messages, mode, tools))
    except Exception:  # the router must answer whatever the text did to the classifier
        log.exception("classifier_failed")
    if task is not None:
        reading = narrow(reading, task.task_type, task.subtask_type, task.difficulty)
    return reading, version


def evidence_of(
    choice: Choice, request: Request, known: Situation, classifier_version: str, message_count: int
) -> dict[str, Any]:
    """Return what the decision stood on, without any text of the request."""
    believed = choice.classification
    return {
        "classification": None
        if believed is None
        else {
            "source": believed.source,
            "version": classifier_version,
            "routes": {
                route: round(share, 4)
                for route, share in sorted(
                    zip(ROUTES, believed.routes, strict=True), key=lambda pair: -pair[1]
                )
            },
            "difficulties": {
                name: round(share, 4)
                for name, share in zip(DIFFICULTIES, believed.difficulties, strict=True)
            },
        },
        "request": {
            "context_tokens": request.context_tokens,
            "modalities": sorted(request.modalities),
            "tools": request.needs_tools,
            "message_count": message_count,
            "in_tool_loop": request.in_tool_loop,
        },
        "bar": {
            "quality_bar": known.rules.quality_bar,
            "evidence": known.rules.evidence,
            "best_model": choice.best_model,
            "best_accuracy": choice.best_accuracy,
        },
        "candidates": [
            {
                "model": candidate.model,
                "accuracy": round(candidate.accuracy, 4),
                "low": round(candidate.low, 4),
                "high": round(candidate.high, 4),
                "cost_micro_usd": candidate.cost_micro_usd,
                "clears": None if candidate.clears is None else round(candidate.clears, 4),
                "verdict": candidate.verdict,
            }
            for candidate in choice.candidates
        ],
    }


def as_event(routed: Routed, known: Situation, now_ms: int) -> DecisionEvent:
    """Return the decision as it is recorded."""
    choice, chosen = routed.choice, routed.choice.chosen
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
        accuracy=round(chosen.accuracy, 4) if chosen else None,
        accuracy_low=round(chosen.low, 4) if chosen else None,
        accuracy_high=round(chosen.high, 4) if chosen else None,
        cost_micro_usd=chosen.cost_micro_usd if chosen else None,
        baseline_cost_micro_usd=choice.baseline_cost_micro_usd,
        mode=choice.mode,
        policy_version=routed.policy_version,
        table_version=routed.table_version or "",
        sticky=choice.sticky,
        switched=choice.switched,
        switch_reason=choice.switch_reason or "",
        evidence=routed.evidence,
    )
