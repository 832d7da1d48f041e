"""The decision: the cheapest model that still clears its quality bar for this kind of task.

Pure and deterministic. docs/routing.md states the rules in words.
"""

from functools import partial

import numpy as np
from msgspec.structs import replace

from leaderboard.table import Table
from routing.engine.balanced import balanced, usable
from routing.engine.classification import Classification
from routing.engine.escalation import (
    ALL_FAILING,
    NOTHING_REPORTED,
    Reports,
    all_failing,
    escalate,
    failed_on,
    without_failing,
)
from routing.engine.explain import REFUSALS, about, sentence
from routing.engine.field import Field, field_of
from routing.engine.figures import Figures, bar_of, weigh
from routing.engine.inputs import Request, Restriction, Rules, Session, on_route
from routing.engine.ladders import best_ladder
from routing.engine.modes import by_mode, price_of_clearing, standing_place, tie_floor
from routing.engine.outcome import Candidate, Choice, Ladder, Pick, Refusal, Rung, Steps
from routing.engine.restricted import restricted, without_failed
from routing.engine.staying import Belief, believe, remember, switched, with_session

# How many models to name for a client whose first choice fails.
FALLBACK_MODELS = 2


def decide(
    request: Request,
    classification: Classification | None,
    rules: Rules,
    table: Table | None,
    session: Session | None,
    now_ms: int,
    reports: Reports = NOTHING_REPORTED,
    restriction: Restriction | None = None,
) -> Choice | Refusal:
    """Choose a model. `classification` is None when the classifier failed."""
    belief = believe(classification, session, request.in_tool_loop)
    if table is None:
        return without_table(rules, belief, session, now_ms, reports)
    field = field_of(table, rules)
    if rules.overrides and belief.acting:
        rules = on_route(rules, belief.acting.route)
    figures = weigh(field, request, belief.acting, rules)
    figures = without_failing(field, figures, reports.failing)
    failed = failed_on(reports.failures, belief.acting)
    avoided = reports.failing.union(failed)
    if restriction is not None:
        left = without_failed(field, figures, failed)
        spared = restricted(field, left, rules, request, session, avoided, restriction)
        if spared is not None:
            return as_choice(field, left, rules, belief, session, spared, now_ms, reports)
    if failed and figures.able:
        figures, climbed = escalate(
            field, figures, rules, failed, session, verifiable=request.verifiable
        )
        return as_choice(field, figures, rules, belief, session, climbed, now_ms, reports)
    pick = fresh_pick(field, figures, rules, request, belief.acting, avoided)
    if pick is None and avoided:
        pick = fresh_pick(field, figures, rules, request, belief.acting)
    if session is not None and pick and pick.reason == "route_pinned" and not request.in_tool_loop:
        pick = switched(pick, session.model, f"The policy pins this kind of work to {pick.model}.")
    elif session is not None:
        pick = with_session(field, figures, rules, request, belief.acting, session, pick, now_ms)
    if pick is None:
        return refusal(figures)
    return as_choice(field, figures, rules, belief, session, pick, now_ms, reports)


def fresh_pick(
    field: Field,
    figures: Figures,
    rules: Rules,
    request: Request,
    believed: Classification | None,
    avoided: frozenset[str] = frozenset(),
) -> Pick | None:
    """Choose as if there were no session; None when no model is left.

    Of models without figures none is taken that is `avoided`; of others `figures` tells.
    """
    if believed is None:
        return balanced(field, figures, rules, "classifier_failed", avoided)
    if rules.pinned and believed.confidence >= rules.confidence_threshold:
        pick = usable(field, figures, rules, rules.pinned, "route_pinned", avoided)
        if pick is not None:
            return replace(pick, held="overruled")
    if figures.best < 0:
        return balanced(field, figures, rules, "nothing_clears", avoided)
    if believed.confidence < rules.confidence_threshold:
        return balanced(field, figures, rules, "low_confidence", avoided)
    if figures.accuracy[figures.best] < rules.accuracy_floor:
        return Pick(field.ids[figures.best], figures.best, "below_floor")
    if request.verifiable:
        steps = best_ladder(field, figures, rules)
        if steps is not None:
            first = steps.places[0]
            return Pick(field.ids[first], first, "cheapest_ladder", steps=steps)
    place, reason = by_mode(figures, rules)
    kept = standing_place(field, figures, rules, believed, place)
    if kept is not None:
        return Pick(field.ids[kept], kept, "standing_choice", held="not_worth_moving")
    return Pick(field.ids[place], place, reason)


def refusal(figures: Figures) -> Refusal:
    """Name the constraint that shut out most of the models that nothing else had shut out."""
    order = [
        "context_too_small",
        "modality_missing",
        "tools_missing",
        "too_dear",
        "not_allowed",
        "denied",
        "unavailable",
    ]
    code = next((code for code in order if code in figures.verdicts), "not_allowed")
    param, message = REFUSALS[code]
    return Refusal(code, param, message)


def without_table(
    rules: Rules, belief: Belief, session: Session | None, now_ms: int, reports: Reports
) -> Choice | Refusal:
    """Balanced for every request, or the first model that is allowed by name when none may be.

    One that failed on the task or is failing gives way to the next, if there is one.
    """
    permitted = [*rules.balanced_models, *sorted(name for name in rules.allowed if "*" not in name)]
    choices = [name for name in permitted if rules.permits(name)]
    avoided = reports.failing.union(failed_on(reports.failures, belief.acting))
    model = next((name for name in choices if name not in avoided), next(iter(choices), None))
    if model is None:
        param, message = REFUSALS["denied"]
        return Refusal("denied", param, message)
    moved = session is not None and session.model != model
    return Choice(
        model=model,
        fallback_models=(),
        reason_code="no_table",
        reason_text=sentence("no_table", model, work="", share=0, confidence=0, cost=None),
        mode=rules.mode,
        classification=belief.acting,
        best_model=None,
        best_accuracy=None,
        baseline_cost_micro_usd=None,
        sticky=False,
        switched=moved,
        switch_reason="No routing table is published." if moved else None,
        session=remember(model, belief, session, now_ms),
    )


def as_choice(
    field: Field,
    figures: Figures,
    rules: Rules,
    belief: Belief,
    session: Session | None,
    pick: Pick,
    now_ms: int,
    reports: Reports,
) -> Choice:
    """Put the pick into a `Choice` with everything that explains it."""
    believed = belief.acting
    best = figures.best if figures.best >= 0 else None
    baseline = field.index.get(rules.baseline_model)
    ladder = None if pick.steps is None else as_ladder(field, pick.steps)
    clearing = None
    if pick.reason == "bar_too_dear" and pick.place is not None:
        clearing = price_of_clearing(figures, rules, pick.place)
    if pick.sticky:
        text = f"The session stays on {pick.model}. {pick.switch_reason}"
    elif pick.told:
        text = pick.told
    else:
        text = sentence(
            pick.reason,
            pick.model,
            work=about(believed.route, believed.difficulty) if believed else "",
            share=bar_of(rules),
            confidence=believed.confidence if believed else 0.0,
            cost=None if pick.place is None else figures.cost[pick.place],
            ladder=ladder,
            clearing=clearing,
            pays=rules.success_price_micro_usd,
        )
    if all_failing(field, figures, reports.failing):
        text = f"{text} {ALL_FAILING}"
    return Choice(
        model=pick.model,
        fallback_models=next_best(field, figures, pick),
        reason_code=pick.reason,
        reason_text=text,
        mode=rules.mode,
        classification=believed,
        best_model=None if best is None else field.ids[best],
        best_accuracy=None if best is None else figures.accuracy[best],
        baseline_cost_micro_usd=None if baseline is None else round(figures.cost[baseline]),
        sticky=pick.sticky,
        switched=pick.switched,
        switch_reason=pick.switch_reason,
        session=remember(pick.model, belief, session, now_ms),
        ladder=ladder,
        explain=partial(explained, field, figures, rules, pick),
    )


def as_ladder(field: Field, steps: Steps) -> Ladder:
    """Return a ladder by the names of its models."""
    return Ladder(
        rungs=tuple(
            Rung(field.ids[place], round(success, 4), round(cost))
            for place, success, cost in zip(steps.places, steps.successes, steps.costs, strict=True)
        ),
        success=round(steps.success, 4),
        cost_micro_usd=round(steps.cost),
    )


def explained(field: Field, figures: Figures, rules: Rules, pick: Pick) -> tuple[Candidate, ...]:
    """Return every model of the table with its figures and the verdict on it."""
    shares = np.round([figures.accuracy, figures.low, figures.high, figures.probabilities()], 4)
    accuracy, low, high, clears = shares.tolist()
    able = [not verdict for verdict in figures.verdicts]
    verdicts = verdicts_on(figures, rules, pick)
    order = sorted(range(len(able)), key=figures.cost.__getitem__)
    order.sort(key=able.__getitem__, reverse=True)
    if pick.place is not None:
        order.remove(pick.place)
        order.insert(0, pick.place)
    return tuple(
        [
            Candidate(
                field.ids[place],
                accuracy[place],
                low[place],
                high[place],
                round(figures.cost[place]),
                clears[place] if able[place] else None,
                verdicts[place],
            )
            for place in order
        ]
    )


def verdicts_on(figures: Figures, rules: Rules, pick: Pick) -> list[str]:
    """Return why each model was or was not taken."""
    loser = {
        "accuracy_per_dollar": "less_value",
        "best_accuracy": "less_accurate",
    }.get(rules.mode, "dearer")
    verdicts = [verdict or loser for verdict in figures.verdicts]
    if figures.best >= 0:
        if rules.mode == "best_accuracy":
            floor = tie_floor(figures, rules)
            for place in figures.able:
                if figures.accuracy[place] >= floor:
                    verdicts[place] = "tied_dearer"
        else:
            for place in set(figures.able).difference(figures.clearing):
                verdicts[place] = "below_bar"
        for place in figures.able:
            if figures.accuracy[place] < figures.floor:
                verdicts[place] = "below_floor"
        if pick.steps is None:
            winner, reason = by_mode(figures, rules)
            if pick.held or reason != "bar_too_dear":
                verdicts[winner] = pick.held or "set_aside"
    if pick.steps is not None:
        for place in pick.steps.places:
            verdicts[place] = "next_rung"
    if pick.place is not None:
        verdicts[pick.place] = "chosen"
    return verdicts


def next_best(field: Field, figures: Figures, pick: Pick) -> tuple[str, ...]:
    """Return whom to try when the call fails.

    First the cheapest that are at least as accurate, then the most accurate of the rest. Where a
    budget is spent, the cheapest.
    """
    accuracy, cost = figures.accuracy, figures.cost
    floor = -1.0
    if pick.place is not None and pick.held != "over_budget":
        floor = accuracy[pick.place]
    ranked = [place for place in figures.able if accuracy[place] >= floor]
    ranked.sort(key=cost.__getitem__)
    if len(ranked) <= FALLBACK_MODELS:
        rest = [place for place in figures.able if accuracy[place] < floor]
        ranked += sorted(rest, key=accuracy.__getitem__, reverse=True)
    others = [place for place in ranked[: FALLBACK_MODELS + 1] if place != pick.place]
    return tuple([field.ids[place] for place in others[:FALLBACK_MODELS]])
