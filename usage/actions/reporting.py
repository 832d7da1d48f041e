"""Takes in what clients report."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from lib.errors import ApiError
from lib.store import StoreUnavailable
from routing import failing
from routing.actions.recording import do_record_decisions
from routing.actions.reporting import Reported, do_record_outcomes, do_watch, milliseconds
from routing.budgets import counters
from routing.failing import Signal
from routing.models import Decision
from routing.queries.budgets import limits_over
from routing.queries.decisions import find_decisions
from teams.queries import KeyHolder
from usage import queries
from usage.actions.recording import EventRow, do_keep_events, reported_ids
from usage.models import Status
from usage.pricing import PriceTier, Tokens, cost_micro_usd, differs
from usage.reports import Fault, Report

ACCEPTED, DUPLICATE, REJECTED = "accepted", "duplicate", "rejected"


@dataclass(frozen=True)
class Result:
    """What became of the event at `index` of a batch; `fault` says why it was rejected."""

    index: int
    event_id: str | None
    status: str
    fault: Fault | None = None


def do_record_usage(
    items: Sequence[Report | Fault], *, holder: KeyHolder, now: datetime
) -> list[Result]:
    """Store the sound events of a batch, each once per project, and tell what became of every one.

    The key that reports is kept with each event, which is its audit trail. What failed counts
    against its model, see docs/routing.md.
    """
    reports = [item for item in items if isinstance(item, Report)]
    models = queries.known_models(report.model for report in reports)
    prices = queries.price_tiers(models)
    decisions = decisions_for(reports, holder.project_id)
    seen = reported_ids(holder.project_id, (report.event_id for report in reports))
    results: list[Result] = []
    rows: dict[int, EventRow] = {}
    for index, item in enumerate(items):
        if isinstance(item, Fault):
            results.append(Result(index, None, REJECTED, item))
            continue
        fault = unknown_reference(index, item, models, decisions)
        if item.event_id in seen:
            results.append(Result(index, item.event_id, DUPLICATE))
        elif fault:
            results.append(Result(index, item.event_id, REJECTED, fault))
        else:
            seen.add(item.event_id)
            decision = decisions.get(item.decision_id or "")
            rows[index] = row_of(item, holder, decision, prices.get(item.model, []), now)
            results.append(Result(index, item.event_id, ACCEPTED))
    # Outcomes first: told twice they do no harm, while events that are kept without them would be
    # duplicates when sent again.
    do_record_outcomes(outcomes_in(list(rows.values()), decisions), holder=holder, now=now)
    limits = limits_over(holder)
    spent_from = {row.event_id: counters(limits, row.occurred_at) for row in rows.values()}
    kept = do_keep_events(list(rows.values()), spent_from) if rows else []
    new = dict(zip(rows, kept, strict=True))
    do_watch(
        [signal_of(row) for index, row in rows.items() if new[index] and tells(row)],
        team_id=holder.team_id,
    )
    return [one if new.get(one.index, True) else replace(one, status=DUPLICATE) for one in results]


def outcomes_in(events: Sequence[EventRow], decisions: Mapping[str, Decision]) -> list[Reported]:
    """Return what became of decisions, the oldest first."""
    found = [
        Reported(decisions[event.decision_id], event.model, event.outcome, event.occurred_at)
        for event in events
        if event.outcome and event.decision_id
    ]
    return sorted(found, key=lambda one: one.at)


def tells(event: EventRow) -> bool:
    """Tell whether a call says anything of its model: one that was cancelled does not."""
    return event.status != Status.CANCELLED


def signal_of(event: EventRow) -> Signal:
    """Return what a call says of whether its model works."""
    return Signal(
        model=event.model,
        kind=failing.CALLS,
        succeeded=event.status == Status.OK,
        expected=failing.CALL_RELIABILITY,
        origin=event.session_id or event.event_id,
        at_ms=milliseconds(event.occurred_at),
    )


def decisions_for(reports: Sequence[Report], project_id: int) -> dict[str, Decision]:
    """Return the decisions that events name, including those still on their way to the database.

    Raises a 503 when some are missing and may be in the stream, which cannot be recorded now.
    """
    wanted = {report.decision_id for report in reports if report.decision_id}
    if not wanted:
        return {}
    found = find_decisions(project_id, wanted)
    if missing := wanted - found.keys():
        try:
            recorded = do_record_decisions(wait_seconds=0.5)
        except StoreUnavailable:
            recorded = False
        found |= find_decisions(project_id, missing)
        # Those that still wait must not be taken for such that never were.
        if not recorded and not wanted <= found.keys():
            message = (
                "Decisions cannot be looked up at the moment. Send the same events again later."
            )
            raise ApiError(503, "store_unavailable", message)
    return found


def unknown_reference(
    index: int, report: Report, models: set[str], decisions: Mapping[str, Decision]
) -> Fault | None:
    """Return the fault of an event that names a model or a decision that does not exist."""
    if report.model not in models:
        return Fault(
            "unknown_model",
            f"events.{index}.model: unknown model '{report.model}', see GET /api/v1/models.",
            f"events.{index}.model",
        )
    if report.decision_id and report.decision_id not in decisions:
        return Fault(
            "decision_not_found",
            f"events.{index}.decision_id: this project has no decision '{report.decision_id}'."
            " Send the id that POST /api/v1/route returned, or leave it out.",
            f"events.{index}.decision_id",
            status=404,
        )
    return None


def row_of(
    report: Report,
    holder: KeyHolder,
    decision: Decision | None,
    tiers: Sequence[PriceTier],
    now: datetime,
) -> EventRow:
    """Return the row of a sound report, with the route, mode and reason of its decision."""
    occurred_at = report.occurred_at or now
    tokens = Tokens(
        input=report.input_tokens or 0,
        cache_read=report.cache_read_tokens or 0,
        cache_write=report.cache_write_tokens or 0,
        output=report.output_tokens or 0,
    )
    cost = cost_micro_usd(tokens, tiers, occurred_at.date())
    reported_cost = report.reported_cost_micro_usd
    return EventRow(
        project_id=holder.project_id,
        event_id=report.event_id,
        key_id=holder.key_id,
        decision_id=decision.public_id if decision else "",
        session_id=report.session_id or (decision.session_id if decision else ""),
        occurred_at=occurred_at,
        received_at=now,
        model=report.model,
        route=decision.route if decision else "",
        mode=decision.mode if decision else "",
        reason_code=decision.reason_code if decision else "",
        status=report.status or Status.OK,
        outcome=report.outcome or "",
        input_tokens=tokens.input,
        cache_read_tokens=tokens.cache_read,
        cache_write_tokens=tokens.cache_write,
        output_tokens=tokens.output,
        reasoning_tokens=report.reasoning_tokens or 0,
        latency_ms=report.latency_ms,
        cost_micro_usd=cost,
        reported_cost_micro_usd=reported_cost,
        cost_differs=differs(cost, reported_cost),
        baseline_cost_micro_usd=baseline_cost(cost, report.model, decision),
    )


def baseline_cost(cost: int | None, model: str, decision: Decision | None) -> int | None:
    """Return what the baseline model would have cost for a call, in micro-USD; see `UsageEvent`."""
    if cost is None or decision is None or not decision.cost_micro_usd:
        return None
    if model != decision.model and model not in decision.expected_of:
        return None
    if decision.baseline_cost_micro_usd is None:
        return None
    return round(cost * decision.baseline_cost_micro_usd / decision.cost_micro_usd)
