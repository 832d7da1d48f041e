"""The decision: the cheapest model that still clears its quality bar for this kind of task.

Pure and deterministic. docs/routing.md states the rules in words.
"""

import numpy as np

from leaderboard import standing
from leaderboard.table import Table
from lib.taxonomy import ROUTE_INDEX
from routing.engine.classification import Classification
from routing.engine.explain import REFUSALS, about, sentence
from routing.engine.field import Field, field_of
from routing.engine.figures import Figures, bar_of, weigh
from routing.engine.inputs import Request, Rules, Session
from routing.engine.outcome import Candidate, Choice, Pick, Refusal
from routing.engine.staying import Belief, believe, remember, with_session

# The evidence at which the estimate itself decides.
THE_ESTIMATE = 0.5
# How many models to name for a client whose first choice fails.
FALLBACK_MODELS = 2


def decide(
    request: Request,
    classification: Classification | None,
    rules: Rules,
    table: Table | None,
    session: Session | None,
    now_ms: int,
) -> Choice | Refusal:
    """Choose a model. `classification` is None when the classifier failed."""
    belief = believe(classification, session, request.in_tool_loop)
    believed = belief.acting
    if table is None:
        return without_table(rules, belief, session, now_ms)
    field = field_of(table, rules)
    figures = weigh(field, request, believed, rules)
    pick = fresh_pick(field, figures, rules, believed)
    if session is not None:
        pick = with_session(field, figures, rules, request, believed, session, pick, now_ms)
    if pick is None:
        return refusal(figures)
    return explained(field, figures, rules, belief, session, pick, now_ms)


def fresh_pick(
    field: Field, figures: Figures, rules: Rules, believed: Classification | None
) -> Pick | None:
    """Choose as if there were no session; None when no model is left."""
    if believed is None:
        return balanced(field, figures, rules, "classifier_failed")
    if figures.best < 0:
        return balanced(field, figures, rules, "nothing_clears")
    if believed.confidence < rules.confidence_threshold:
        return balanced(field, figures, rules, "low_confidence")
    place, reason = by_mode(figures, rules)
    kept = standing_place(field, figures, rules, believed, place)
    if kept is not None:
        return Pick(field.ids[kept], kept, "standing_choice", held="not_worth_moving")
    return Pick(field.ids[place], place, reason)


def standing_place(
    field: Field, figures: Figures, rules: Rules, believed: Classification, fresh: int
) -> int | None:
    """Return the model that the route stands by, when it is not the fresh choice and is kept.

    So that a new table moves a route only for a reason. A policy that asks for more evidence than
    the estimate itself has asked for no such tolerance.
    """
    if rules.mode != "auto_efficient" or rules.evidence > THE_ESTIMATE or not field.standing:
        return None
    place = field.standing[ROUTE_INDEX[believed.route]]
    if place is None or place == fresh or not figures.able[place]:
        return None
    share = rules.quality_bar - standing.TOLERANCE
    good = figures.accuracy[place] >= share * figures.accuracy[figures.best]
    saves = figures.cost[fresh] <= (1 - standing.SAVING) * figures.cost[place]
    return place if good and not saves else None


def by_mode(figures: Figures, rules: Rules) -> tuple[int, str]:
    """Return the place of the mode's choice among the able models, and its reason."""
    clearing_ones = figures.able & (figures.clears >= rules.evidence)
    if rules.mode == "accuracy_per_dollar":
        value = figures.accuracy / np.maximum(figures.cost, 1.0)
        return int(np.argmax(np.where(clearing_ones, value, -1.0))), "best_value"
    if rules.mode == "best_accuracy":
        best = figures.best
        tied = (
            figures.able
            & (figures.accuracy >= figures.low[best])
            & (figures.accuracy[best] <= figures.high)
        )
        tied[best] = True
        return int(np.argmin(np.where(tied, figures.cost, np.inf))), "most_accurate"
    return int(np.argmin(np.where(clearing_ones, figures.cost, np.inf))), "cheapest_clearing"


def balanced(field: Field, figures: Figures, rules: Rules, reason: str) -> Pick | None:
    """Return the fallback: Balanced, or where it may not or cannot be used, the most accurate able
    model.

    That is never below Balanced: when Balanced is able, it is taken; when it is not, nobody
    promised it.
    """
    place = field.index.get(rules.balanced_model)
    if place is None:
        # Not measured, so nothing is known against it.
        if rules.permits(rules.balanced_model):
            return Pick(rules.balanced_model, None, reason)
    elif figures.able[place]:
        return Pick(rules.balanced_model, place, reason)
    if figures.best < 0:
        return None
    return Pick(field.ids[figures.best], figures.best, reason)


def refusal(figures: Figures) -> Refusal:
    """Name the constraint that shut out most of the models that nothing else had shut out."""
    order = [
        "context_too_small",
        "modality_missing",
        "tools_missing",
        "not_allowed",
        "denied",
        "unavailable",
    ]
    code = next((code for code in order if code in figures.verdicts), "not_allowed")
    param, message = REFUSALS[code]
    return Refusal(code, param, message)


def without_table(
    rules: Rules, belief: Belief, session: Session | None, now_ms: int
) -> Choice | Refusal:
    """Balanced for every request, or the first allowed model when Balanced is not allowed."""
    permitted = [rules.balanced_model, *sorted(rules.allowed)]
    model = next((name for name in permitted if rules.permits(name)), None)
    if model is None:
        param, message = REFUSALS["denied"]
        return Refusal("denied", param, message)
    return Choice(
        model=model,
        fallback_models=(),
        reason_code="no_table",
        reason_text=sentence("no_table", model, work="", share=0, confidence=0, cost=None),
        mode=rules.mode,
        classification=belief.acting,
        candidates=(),
        best_model=None,
        best_accuracy=None,
        baseline_cost_micro_usd=None,
        sticky=False,
        switched=session is not None and session.model != model,
        switch_reason=None,
        session=remember(model, belief, session, now_ms),
    )


def explained(
    field: Field,
    figures: Figures,
    rules: Rules,
    belief: Belief,
    session: Session | None,
    pick: Pick,
    now_ms: int,
) -> Choice:
    """Put the pick into a `Choice`, with a verdict on every model of the table."""
    believed = belief.acting
    verdicts = verdicts_on(figures, rules, pick)
    columns = zip(
        field.ids,
        figures.accuracy.tolist(),
        figures.low.tolist(),
        figures.high.tolist(),
        figures.cost.tolist(),
        figures.clears.tolist(),
        figures.able.tolist(),
        verdicts,
        strict=True,
    )
    candidates = [
        Candidate(model, accuracy, low, high, round(cost), clears if able else None, verdict)
        for model, accuracy, low, high, cost, clears, able, verdict in columns
    ]
    candidates.sort(
        key=lambda c: (c.verdict != "chosen", c.clears is None, c.cost_micro_usd, c.model)
    )
    baseline = field.index.get(rules.baseline_model)
    cost = None if pick.place is None else float(figures.cost[pick.place])
    if pick.sticky:
        text = f"The session stays on {pick.model}. {pick.switch_reason}"
    else:
        text = sentence(
            pick.reason,
            pick.model,
            work=about(believed.route, believed.difficulty) if believed else "",
            share=bar_of(rules),
            confidence=believed.confidence if believed else 0.0,
            cost=cost,
        )
    best = figures.best if figures.best >= 0 else None
    return Choice(
        model=pick.model,
        fallback_models=next_best(field, figures, pick),
        reason_code=pick.reason,
        reason_text=text,
        mode=rules.mode,
        classification=belief.acting,
        candidates=tuple(candidates),
        best_model=None if best is None else field.ids[best],
        best_accuracy=None if best is None else float(figures.accuracy[best]),
        baseline_cost_micro_usd=None if baseline is None else round(float(figures.cost[baseline])),
        sticky=pick.sticky,
        switched=pick.switched,
        switch_reason=pick.switch_reason,
        session=remember(pick.model, belief, session, now_ms),
    )


def verdicts_on(figures: Figures, rules: Rules, pick: Pick) -> list[str]:
    """Return why each model was or was not taken."""
    loser = {
        "accuracy_per_dollar": "less_value",
        "best_accuracy": "less_accurate",
    }.get(rules.mode, "dearer")
    winner = by_mode(figures, rules)[0] if figures.best >= 0 else None
    verdicts = list(figures.verdicts)
    for place in np.flatnonzero(figures.able).tolist():
        if place == pick.place:
            verdicts[place] = "chosen"
        elif rules.mode != "best_accuracy" and figures.clears[place] < rules.evidence:
            verdicts[place] = "below_bar"
        elif place == winner:
            verdicts[place] = pick.held or "set_aside"
        elif rules.mode == "best_accuracy" and figures.accuracy[place] >= figures.low[figures.best]:
            verdicts[place] = "tied_dearer"
        else:
            verdicts[place] = loser
    return verdicts


def next_best(field: Field, figures: Figures, pick: Pick) -> tuple[str, ...]:
    """Return whom to try when the call fails.

    First the cheapest that are at least as accurate, then the most accurate of the rest.
    """
    floor = -1.0 if pick.place is None else float(figures.accuracy[pick.place])
    others = [place for place in np.flatnonzero(figures.able).tolist() if place != pick.place]
    others.sort(
        key=lambda place: (
            (0, figures.cost[place])
            if figures.accuracy[place] >= floor
            else (1, -figures.accuracy[place])
        )
    )
    return tuple(field.ids[place] for place in others[:FALLBACK_MODELS])
