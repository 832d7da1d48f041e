"""Takes in what clients report."""

from collections.abc import Container, Mapping, Sequence
from datetime import date, datetime
from functools import cache

import msgspec

from lib.store import StoreUnavailable
from routing import failing
from routing.actions.recording import PATIENCE_SECONDS, do_record_decisions
from routing.actions.reporting import (
    Reported,
    do_record_outcomes,
    do_watch,
    milliseconds,
    watched_models,
)
from routing.decided import UNDECIDED, Decided, Judged
from routing.failing import Signal
from routing.queries.decisions import find_decided, find_judged
from routing.queries.live import limits_known
from teams.queries import KeyHolder
from usage import queries
from usage.actions.recording import EventRow, do_keep_events, keys_of, reported, waiting
from usage.models import Status
from usage.pricing import PriceTier, Tokens, cost_micro_usd, differs, in_force
from usage.reports import Fault, Report

# As plain texts, which are quicker to compare.
OK, ERROR, CANCELLED = (status.value for status in Status)
ACCEPTED, DUPLICATE, REJECTED = "accepted", "duplicate", "rejected"


class DecisionsOnTheWay(Exception):
    """Some decisions are not in the database, but may be in the stream, which cannot be recorded
    now.
    """


class Result(msgspec.Struct, gc=False):
    """What became of the event at `index` of a batch; `error` says why it was rejected."""

    index: int
    event_id: str | None
    status: str
    error: Fault | None = None


def do_take_in(
    items: Sequence[Report | Fault], *, holder: KeyHolder, now: datetime
) -> list[Result]:
    """Store the sound events of a batch, each once per project, and tell what became of every one.

    The key that reports is kept with each event, which is its audit trail. What failed counts
    against its model, see docs/routing.md.
    """
    reports = [item for item in items if isinstance(item, Report)]
    keys = keys_of(holder.project_id, [report.event_id for report in reports])
    # What brings an outcome a second time must be known before the outcome is recorded. In this
    # order, since what waits may be recorded in between.
    seen = waiting([keys[report.event_id] for report in reports if report.outcome])
    seen |= reported(list(keys.values()))
    prices = queries.price_lists(report.model for report in reports)
    decisions = decisions_for(reports, holder.project_id)

    @cache
    def prices_on(model: str, day: date) -> list[PriceTier]:
        return in_force(prices[model], day)

    results: list[Result] = []
    rows: dict[str, EventRow] = {}
    accepted: dict[str, Result] = {}
    for index, item in enumerate(items):
        if isinstance(item, Fault):
            results.append(Result(index, None, REJECTED, item))
            continue
        result = Result(index, item.event_id, DUPLICATE)
        results.append(result)
        key = keys[item.event_id]
        if key in seen or key in rows:
            continue
        decision = decisions.get(item.decision_id) if item.decision_id else UNDECIDED
        if decision is None or item.model not in prices:
            result.status, result.error = REJECTED, unknown_reference(index, item, prices)
            continue
        result.status, accepted[key] = ACCEPTED, result
        at = item.occurred_at or now
        listed = prices_on(item.model, at.date())
        rows[key] = row_of(key, item, holder, decision, listed, at, now)
    # Outcomes first: told twice they do no harm, while events that are kept without them would be
    # duplicates when sent again.
    do_record_outcomes(outcomes_in(list(rows.values()), decisions), holder=holder, now=now)
    new = do_keep_events(list(rows.values()), limits_known(holder)) if rows else set()
    for key in rows.keys() - new:
        accepted[key].status = DUPLICATE
    do_watch_calls([rows[key] for key in new], team_id=holder.team_id)
    return results


def do_watch_calls(events: Sequence[EventRow], *, team_id: int) -> None:
    """Count how models work. That a call ended well says nothing while nothing is held against its
    model.
    """
    failed = {event.model for event in events if event.status == ERROR}
    accused = failed | watched_models(team_id)
    telling = [event for event in events if event.model in accused and event.status != CANCELLED]
    do_watch([signal_of(event) for event in telling], team_id=team_id)


def outcomes_in(events: Sequence[EventRow], decisions: Mapping[str, Decided]) -> list[Reported]:
    """Return what became of decisions, the oldest first."""
    found = [
        Reported(decision, event.model, event.outcome, event.occurred_at)
        for event in events
        if event.outcome and isinstance(decision := decisions.get(event.decision_id), Judged)
    ]
    return sorted(found, key=lambda one: one.at)


def signal_of(event: EventRow) -> Signal:
    """Return what a call says of whether its model works."""
    return Signal(
        model=event.model,
        kind=failing.CALLS,
        succeeded=event.status == OK,
        expected=failing.CALL_RELIABILITY,
        origin=event.session_id or event.event_id,
        at_ms=milliseconds(event.occurred_at),
    )


def decisions_for(reports: Sequence[Report], project_id: int) -> dict[str, Decided]:
    """Return the decisions that events name, including those still on their way to the database.

    Raises DecisionsOnTheWay.
    """
    wanted = {report.decision_id for report in reports if report.decision_id}
    if not wanted:
        return {}
    found = find_decided(project_id, wanted)
    if missing := wanted - found.keys():
        try:
            recorded = do_record_decisions(wait_seconds=0.5, seconds=PATIENCE_SECONDS)
        except StoreUnavailable:
            recorded = False
        found |= find_decided(project_id, missing)
        # Those that still wait must not be taken for such that never were.
        if not recorded and not wanted <= found.keys():
            raise DecisionsOnTheWay("Decisions still wait in the stream.")
    # Most calls went to the model that was chosen, and say no more than that.
    judged = {
        report.decision_id
        for report in reports
        if report.decision_id in found
        and (report.outcome or report.model != found[report.decision_id].model)
    }
    return found | find_judged(project_id, judged)


def unknown_reference(index: int, report: Report, models: Container[str]) -> Fault:
    """Return the fault of an event that names a model or else a decision that does not exist."""
    if report.model not in models:
        return Fault(
            "unknown_model",
            f"events.{index}.model: unknown model '{report.model}', see GET /api/v1/models.",
            f"events.{index}.model",
        )
    return Fault(
        "decision_not_found",
        f"events.{index}.decision_id: this project has no decision '{report.decision_id}'."
        " Send the id that POST /api/v1/route returned, or leave it out.",
        f"events.{index}.decision_id",
        status=404,
    )


def row_of(
    key: str,
    report: Report,
    holder: KeyHolder,
    decision: Decided,
    prices: Sequence[PriceTier],
    at: datetime,
    now: datetime,
) -> EventRow:
    """Return the row of a sound report, with the route, mode and reason of its decision."""
    tokens = Tokens(
        report.input_tokens or 0,
        report.cache_read_tokens or 0,
        report.cache_write_tokens or 0,
        report.output_tokens or 0,
    )
    cost = cost_micro_usd(tokens, prices)
    reported_cost = report.reported_cost_micro_usd
    return EventRow(
        key=key,
        project_id=holder.project_id,
        occurred_at=at,
        received_at=now,
        event_id=report.event_id,
        key_id=holder.key_id,
        decision_id=decision.public_id,
        session_id=report.session_id or decision.session_id,
        model=report.model,
        route=decision.route,
        mode=decision.mode,
        reason_code=decision.reason_code,
        status=report.status or OK,
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


def baseline_cost(cost: int | None, model: str, decision: Decided) -> int | None:
    """Return what the baseline model would have cost for a call, in micro-USD; see `UsageEvent`."""
    baseline, expected = decision.baseline_cost_micro_usd, decision.cost_micro_usd
    if cost is None or baseline is None or not expected or not decision.names(model):
        return None
    return round(cost * baseline / expected)
