"""Made-up traffic for tests."""

import datetime as dt
from typing import Any

from django.utils import timezone

from leaderboard.models import CatalogModel, Price
from lib.ids import new_id
from routing.actions.recording import do_mark_stale, do_record_decisions
from routing.models import Decision
from teams.models import Project
from usage.actions.holding import do_take_in_held
from usage.actions.recording import do_record_events
from usage.actions.rolling import do_roll_up
from usage.models import UsageEvent

EVIDENCE: dict[str, Any] = {
    "classification": {
        "source": "classifier",
        "version": "test-1",
        "routes": {"debugging/bug_fixing": 0.81, "debugging/test_repair": 0.19},
        "difficulties": {"low": 0.2, "medium": 0.7, "high": 0.1},
    },
    "request": {
        "context_tokens": 1200,
        "modalities": ["text"],
        "tools": True,
        "message_count": 3,
        "in_tool_loop": False,
    },
    "runner_up": "lab/large",
    "bar": {"quality_bar": 0.95, "evidence": 0.5, "best_model": "lab/large", "best_accuracy": 0.8},
    "candidates": [
        {
            "model": "lab/small",
            "accuracy": 0.78,
            "low": 0.7,
            "high": 0.86,
            "cost_micro_usd": 12_000,
            "clears": 0.63,
            "verdict": "chosen",
        },
        {
            "model": "lab/large",
            "accuracy": 0.8,
            "low": 0.75,
            "high": 0.85,
            "cost_micro_usd": 90_000,
            "clears": 0.97,
            "verdict": "dearer",
        },
        {
            "model": "lab/blind",
            "accuracy": None,
            "low": None,
            "high": None,
            "cost_micro_usd": None,
            "clears": None,
            "verdict": "denied",
        },
    ],
}


def catalogue(*model_ids: str) -> None:
    """Put models into the catalogue: $1 per million input tokens, $5 per million output tokens."""
    for model_id in model_ids or ("lab/small", "lab/large"):
        model = CatalogModel.objects.create(model_id=model_id, name=model_id, provider="lab")
        Price.objects.create(
            model=model,
            valid_from=dt.date(2020, 1, 1),
            input_micro_usd=1_000_000,
            output_micro_usd=5_000_000,
            cache_read_micro_usd=100_000,
            source="test",
        )


def decide(project: Project, **fields: Any) -> Decision:
    """Store a decision as the router would have."""
    made_up: dict[str, Any] = {
        "key_id": "key_test",
        "session_id": "session-1",
        "model": "lab/small",
        "reason_code": "cheapest_clearing",
        "reason_text": "lab/small is the cheapest model that clears the bar.",
        "task_type": "debugging",
        "subtask_type": "bug_fixing",
        "difficulty": "medium",
        "confidence": 0.81,
        "accuracy": 0.78,
        "accuracy_low": 0.7,
        "accuracy_high": 0.86,
        "cost_micro_usd": 12_000,
        "baseline_cost_micro_usd": 90_000,
        "mode": "auto_efficient",
        "policy_version": "pol_default",
        "table_version": "t_test",
        "evidence": EVIDENCE,
    }
    # An id tells when it was made.
    at = fields.get("created_at") or timezone.now()
    made_up["public_id"] = new_id("dec", round(at.timestamp() * 1000))
    decision = Decision.objects.create(project=project, **{**made_up, **fields})
    do_mark_stale([(project.pk, decision.created_at)])
    return decision


def report(project: Project, event_id: str, **fields: Any) -> UsageEvent:
    """Store a usage event as a client would have reported it."""
    made_up: dict[str, Any] = {
        "key_id": "key_test",
        "occurred_at": timezone.now(),
        "model": "lab/small",
        "route": "debugging/bug_fixing",
        "mode": "auto_efficient",
        "reason_code": "cheapest_clearing",
        "input_tokens": 1000,
        "output_tokens": 100,
        "cost_micro_usd": 1500,
    }
    event = UsageEvent.objects.create(project=project, event_id=event_id, **{**made_up, **fields})
    do_mark_stale([(project.pk, event.occurred_at)])
    return event


def settle() -> None:
    """Record what waits and roll it up, as the worker does within seconds."""
    assert do_record_decisions()
    assert do_take_in_held()
    assert do_record_events()
    do_roll_up()
