"""The decision: the cheapest model that still clears its quality bar for this kind of task.

Pure and deterministic. docs/decisions.md states the rules in words.
"""

import math
from dataclasses import dataclass, replace

import numpy as np

from leaderboard.table import Floats, Table
from routing.engine.classification import Classification
from routing.engine.explain import REFUSALS, about, sentence
from routing.engine.field import Bools, Field, field_of
from routing.engine.inputs import Request, Rules, Session

# How far below the bar a session's model may be before the session leaves it.
TOLERANCE = 0.03
# Weight of the newest turn in a session's running probabilities. Below one half, so that a label that
# flips for a single turn does not carry the session with it.
NEWEST_WEIGHT = 0.4
# Providers keep a prompt cache for about five minutes after its last use.
CACHE_LIFETIME_MS = 5 * 60 * 1000
# Share of a task's cost that is still to come when a session asks again: on average, half.
REMAINING_SHARE = 0.5
# How many models to name for a client whose first choice fails.
FALLBACK_MODELS = 2


@dataclass(frozen=True)
class Candidate:
    """One model's figures for this request and why it was or was not taken.

    `clears` is the probability that it clears the bar; None for a model that could not be considered.
    """

    model: str
    accuracy: float
    low: float
    high: float
    cost_micro_usd: int
    clears: float | None
    verdict: str


@dataclass(frozen=True)
class Choice:
    """A decision and everything that explains it."""

    model: str
    fallback_models: tuple[str, ...]
    reason_code: str
    reason_text: str
    mode: str
    classification: Classification | None
    candidates: tuple[Candidate, ...]
    best_model: str | None
    best_accuracy: float | None
    baseline_cost_micro_usd: int | None
    sticky: bool
    switched: bool
    switch_reason: str | None
    session: Session

    @property
    def chosen(self) -> Candidate | None:
        """The chosen model's figures; None when no table knows it."""
        return next((c for c in self.candidates if c.model == self.model), None)


@dataclass(frozen=True)
class Refusal:
    """No model is left. `param` names the constraint, `message` says how to mend it."""

    code: str
    param: str
    message: str


@dataclass(frozen=True, eq=False)
class Figures:
    """The candidates' figures for one request; arrays over the field's models."""

    accuracy: Floats
    low: Floats
    high: Floats
    cost: Floats
    clears: Floats
    able: Bools
    verdicts: list[str]
    best: int


@dataclass(frozen=True)
class Pick:
    """A model (its place in the field, None when the table does not know it) and why."""

    model: str
    place: int | None
    reason: str
    sticky: bool = False
    switched: bool = False
    switch_reason: str | None = None
    held: str | None = None


def decide(
    request: Request,
    classification: Classification | None,
    rules: Rules,
    table: Table | None,
    session: Session | None,
    now_ms: int,
) -> Choice | Refusal:
    """Choose a model. `classification` is None when the classifier failed."""
    believed = believe(classification, session, request.in_tool_loop)
    if table is None:
        return without_table(rules, believed, session, now_ms)
    field = field_of(table, rules)
    figures = weigh(field, request, believed, rules)
    pick = fresh_pick(field, figures, rules, believed)
    if session is not None:
        pick = with_session(field, figures, rules, request, believed, session, pick, now_ms)
    if pick is None:
        return refusal(field, figures)
    return explained(field, figures, rules, believed, session, pick, now_ms)


def believe(
    classification: Classification | None, session: Session | None, in_tool_loop: bool
) -> Classification | None:
    """Return the probabilities to act on: the session's running ones, moved by the newest turn.

    A client's own task is taken at its word. Inside a tool loop there is no new turn to learn from.
    """
    if session is None or not session.routes:
        return classification
    if classification is not None and classification.source == "client":
        return classification
    if classification is None or in_tool_loop:
        return Classification(session.routes, session.difficulties)
    new, old = NEWEST_WEIGHT, 1 - NEWEST_WEIGHT
    pairs = zip(classification.routes, session.routes, strict=True)
    levels = zip(classification.difficulties, session.difficulties, strict=True)
    return Classification(
        tuple(new * fresh + old * kept for fresh, kept in pairs),
        tuple(new * fresh + old * kept for fresh, kept in levels),
    )


def weigh(field: Field, request: Request, believed: Classification | None, rules: Rules) -> Figures:
    """Compute every model's expected accuracy and cost, and its probability of clearing the bar."""
    if believed is None:
        weights = np.full(field.accuracy.shape[1], 1 / field.accuracy.shape[1])
    else:
        weights = np.outer(believed.routes, believed.difficulties).ravel()
    accuracy, cost = field.accuracy @ weights, field.cost @ weights
    verdicts = list(field.barred)
    able = field.open.copy()
    for place in np.flatnonzero(able):
        verdicts[place] = missing_ability(field, int(place), request)
        able[place] = not verdicts[place]
    clears = np.zeros(len(field.ids))
    best = -1
    if able.any():
        best = int(np.argmax(np.where(able, accuracy, -1.0)))
        bar = bar_of(rules)
        # Deviations within one model move together, so they add up; between models they do not.
        sd = field.own_sd @ weights
        clears = clearing(accuracy - bar * accuracy[best], np.hypot(sd, bar * sd[best]))
        clears[best] = 1.0
    return Figures(
        accuracy, field.low @ weights, field.high @ weights, cost, clears, able, verdicts, best
    )


def bar_of(rules: Rules) -> float:
    """Return the share of the best candidate's accuracy that is asked for."""
    return 1.0 if rules.mode == "best_accuracy" else rules.quality_bar


def clearing(margin: Floats, deviation: Floats) -> Floats:
    """Return the probability that a normal with this mean and deviation is not negative."""
    ratio = margin / np.maximum(deviation, 1e-9)
    return np.array([0.5 * math.erfc(-value / math.sqrt(2)) for value in ratio.tolist()])


def missing_ability(field: Field, place: int, request: Request) -> str:
    """Return why a model cannot take the request; empty when it can."""
    if request.context_tokens > field.context[place]:
        return "context_too_small"
    if not request.modalities <= field.modalities[place]:
        return "modality_missing"
    if request.needs_tools and not field.tools[place]:
        return "tools_missing"
    return ""


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
    return Pick(field.ids[place], place, reason)


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
    """Return the fallback: Balanced, or where it may not or cannot be used, the most accurate able model.

    That is never below Balanced: when Balanced is able, it is taken; when it is not, nobody promised it.
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


def with_session(
    field: Field,
    figures: Figures,
    rules: Rules,
    request: Request,
    believed: Classification | None,
    session: Session,
    pick: Pick | None,
    now_ms: int,
) -> Pick | None:
    """Keep the session's model, unless it cannot go on, is not good enough, or leaving it pays."""
    place = field.index.get(session.model)
    if place is None or not figures.able[place]:
        still_usable = place is None and rules.permits(session.model) and pick and pick.place is None
        if still_usable or pick is None:
            return pick
        why = "it is not in the routing table" if place is None else VERDICT_AS_CLAUSE[figures.verdicts[place]]
        return switched(pick, session.model, f"{session.model} cannot go on: {why}.")
    if pick is None or pick.place == place:
        return pick
    kept = Pick(session.model, place, "session_kept", sticky=True)
    if request.in_tool_loop:
        return replace(kept, held="session_held", switch_reason="A tool call is under way.")
    if believed is None:
        return replace(kept, held="session_held", switch_reason="The request could not be classified.")
    margin = figures.accuracy[place] - (bar_of(rules) - TOLERANCE) * figures.accuracy[figures.best]
    if margin < 0:
        return switched(
            pick, session.model, f"{session.model} falls short of the quality bar for what is asked now."
        )
    if pick.reason == "low_confidence" or pick.place is None:
        return replace(kept, held="session_held", switch_reason="The newest turn is unclear.")
    saving = REMAINING_SHARE * float(figures.cost[place] - figures.cost[pick.place])
    price = price_of_switching(field, place, pick.place, request, session, now_ms)
    if saving > price:
        return switched(
            pick,
            session.model,
            f"{pick.model} is expected to save {saving / 1e6:.4f} USD on what remains, more than the"
            f" {price / 1e6:.4f} USD of reading the conversation anew.",
        )
    return replace(
        kept,
        held="not_worth_switching",
        switch_reason=f"Moving to {pick.model} would cost {price / 1e6:.4f} USD for reading the"
        f" conversation anew and save {max(saving, 0.0) / 1e6:.4f} USD.",
    )


VERDICT_AS_CLAUSE = {
    "denied": "the policy denies it now",
    "not_allowed": "the policy does not allow it now",
    "unavailable": "it is not available to call now",
    "context_too_small": "the conversation has outgrown its context",
    "modality_missing": "it cannot read all of the input",
    "tools_missing": "it cannot call tools",
}


def switched(pick: Pick, before: str, why: str) -> Pick:
    """Return the pick marked as a switch, unless it is the session's own model."""
    return pick if pick.model == before else replace(pick, switched=True, switch_reason=why)


def price_of_switching(
    field: Field, old: int, new: int, request: Request, session: Session, now_ms: int
) -> float:
    """Return what leaving the old model's prompt cache costs, in micro-USD.

    The new model reads the whole conversation for the first time. Staying would read it from cache,
    unless the session has been idle for longer than a cache lives.
    """
    cold = now_ms - session.last_at_ms > CACHE_LIFETIME_MS
    staying = field.read_cold[old] if cold else field.read_warm[old]
    return max(0.0, request.context_tokens * float(field.read_cold[new] - staying))


def refusal(field: Field, figures: Figures) -> Refusal:
    """Name the constraint that shut out most of the models that nothing else had shut out."""
    order = ["context_too_small", "modality_missing", "tools_missing", "not_allowed", "denied", "unavailable"]
    code = next((code for code in order if code in figures.verdicts), "not_allowed")
    param, message = REFUSALS[code]
    return Refusal(code, param, message)


def without_table(
    rules: Rules, believed: Classification | None, session: Session | None, now_ms: int
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
        classification=believed,
        candidates=(),
        best_model=None,
        best_accuracy=None,
        baseline_cost_micro_usd=None,
        sticky=False,
        switched=session is not None and session.model != model,
        switch_reason=None,
        session=remember(model, believed, session, now_ms),
    )


def remember(
    model: str, believed: Classification | None, session: Session | None, now_ms: int
) -> Session:
    """Return the session as it stands after this decision."""
    return Session(
        model=model,
        routes=believed.routes if believed else (),
        difficulties=believed.difficulties if believed else (),
        turns=session.turns + 1 if session else 1,
        last_at_ms=now_ms,
    )


def explained(
    field: Field,
    figures: Figures,
    rules: Rules,
    believed: Classification | None,
    session: Session | None,
    pick: Pick,
    now_ms: int,
) -> Choice:
    """Put the pick into a `Choice`, with a verdict on every model of the table."""
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
    candidates.sort(key=lambda c: (c.verdict != "chosen", c.clears is None, c.cost_micro_usd, c.model))
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
        classification=believed,
        candidates=tuple(candidates),
        best_model=None if best is None else field.ids[best],
        best_accuracy=None if best is None else float(figures.accuracy[best]),
        baseline_cost_micro_usd=None if baseline is None else round(float(figures.cost[baseline])),
        sticky=pick.sticky,
        switched=pick.switched,
        switch_reason=pick.switch_reason,
        session=remember(pick.model, believed, session, now_ms),
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
            (0, figures.cost[place]) if figures.accuracy[place] >= floor else (1, -figures.accuracy[place])
        )
    )
    return tuple(field.ids[place] for place in others[:FALLBACK_MODELS])
