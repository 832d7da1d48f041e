"""The session rule: stay on a model that is already working, leave it only when that pays."""

from dataclasses import dataclass

from msgspec.structs import replace

from lib.money import format_usd
from routing.engine.classification import Classification
from routing.engine.explain import WHY_NOT
from routing.engine.field import Field
from routing.engine.figures import Figures, bar_of
from routing.engine.inputs import Request, Rules, Session
from routing.engine.ladders import best_ladder
from routing.engine.modes import THE_ESTIMATE
from routing.engine.outcome import Pick

# How far below the bar a session's model may be before the session leaves it.
TOLERANCE = 0.03
# Beyond that it is left where one more solved task costs at most this share of what the policy pays
# in a fresh choice: what a session is about is seldom sure enough to read its conversation anew.
WORTH_LEAVING = 0.55
# A better model is left for a cheaper one only if the successes lost on the way, at this share of
# the same price, do not eat up what that saves.
WORTH_KEEPING = 0.36
# Probability that a turn begins other work than the one before, and that its reading says nothing.
# Together they keep one stray reading from outweighing what a session is sure of.
CHANGE = 0.05
MISREAD = 0.2
# Providers keep a prompt cache for about five minutes after its last use.
CACHE_LIFETIME_MS = 5 * 60 * 1000
# What is still to come of a task when a session asks again: the share of its cost, half on average,
# and how many requests will read again what the conversation holds by now.
REMAINING_SHARE = 0.5
REMAINING_REQUESTS = 8


@dataclass(frozen=True)
class Belief:
    """What to act on now, and what the session should remember; None when nothing is known."""

    acting: Classification | None
    remembered: Classification | None


def believe(fresh: Classification | None, session: Session | None, in_tool_loop: bool) -> Belief:
    """Weigh the newest turn against what the session has been about.

    A client's own task is taken at its word. Inside a tool loop there is no new turn to learn from.
    A turn that seems to be about another task type is remembered, but acted on only once it has
    carried the session's probabilities with it: one flipped label moves nothing.
    """
    if session is None or not session.knows or (fresh and fresh.source == "client"):
        return Belief(fresh, fresh)
    before = Classification(session.routes, session.difficulties)
    if fresh is None or in_tool_loop:
        return Belief(before, before)
    running = Classification(
        updated(before.routes, fresh.routes), updated(before.difficulties, fresh.difficulties)
    )
    flipped = fresh.leading != before.leading and running.leading == before.leading
    return Belief(before if flipped else running, running)


def updated(before: tuple[float, ...], newest: tuple[float, ...]) -> tuple[float, ...]:
    """Return what is believed after one more reading, by Bayes' rule.

    The filter of a hidden Markov model whose state changes to any other with probability `CHANGE`,
    and whose readings say nothing with probability `MISREAD`. An even reading changes little, and
    one that agrees makes surer.
    """
    even = 1 / len(before)
    joint = [
        ((1 - CHANGE) * kept + CHANGE * even) * ((1 - MISREAD) * fresh + MISREAD * even)
        for kept, fresh in zip(before, newest, strict=True)
    ]
    total = sum(joint)
    return tuple([share / total for share in joint])


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
    if place is None or figures.verdicts[place]:
        if pick is None:
            return None
        why = (
            "it is not in the routing table" if place is None else WHY_NOT[figures.verdicts[place]]
        )
        return switched(pick, session.model, f"{session.model} cannot go on: {why}.")
    if pick is None or pick.place == place:
        return pick
    # With a ladder to take instead, staying means the best ladder that starts here.
    from_here = None if pick.steps is None else best_ladder(field, figures, rules, first=place)
    kept = Pick(session.model, place, "session_kept", sticky=True, steps=from_here)
    if request.in_tool_loop:
        return replace(kept, held="session_held", switch_reason="A tool call is under way.")
    if believed is None:
        return replace(
            kept, held="session_held", switch_reason="The request could not be classified."
        )
    if pick.steps is None:
        least = (bar_of(rules) - TOLERANCE) * figures.accuracy[figures.best]
        if pick.place is not None:
            least = min(least, figures.accuracy[pick.place])
        good_enough = figures.accuracy[place] >= max(least, figures.floor)
    else:
        good_enough = from_here is not None
    if not good_enough:
        if too_dear(field, figures, rules, request, session, place, pick, now_ms):
            return replace(
                kept,
                held="not_worth_switching",
                switch_reason=f"It falls short of the quality bar, but moving to {pick.model} would"
                " cost more than what it solves besides is worth.",
            )
        return switched(
            pick,
            session.model,
            f"{session.model} falls short of the quality bar for what is asked now.",
        )
    if pick.reason == "low_confidence" or pick.place is None:
        return replace(kept, held="session_held", switch_reason="The newest turn is unclear.")
    staying = figures.cost[place] if from_here is None else from_here.cost
    going = figures.cost[pick.place] if pick.steps is None else pick.steps.cost
    saving = REMAINING_SHARE * (staying - going - lost_successes(figures, rules, place, pick))
    price = price_of_switching(field, place, pick.place, request, session, now_ms)
    if saving > price:
        return switched(
            pick,
            session.model,
            f"{pick.model} is expected to save {format_usd(saving)} on what remains, more than the"
            f" {format_usd(price)} of reading the conversation anew.",
        )
    return replace(
        kept,
        held="not_worth_switching",
        switch_reason=f"Moving to {pick.model} would cost {format_usd(price)} for reading the"
        f" conversation anew and save {format_usd(max(saving, 0.0))}.",
    )


def lost_successes(figures: Figures, rules: Rules, place: int, pick: Pick) -> float:
    """Return what the successes are worth that the fresh choice lacks, in micro-USD a task."""
    success_price = rules.success_price_micro_usd
    if success_price is None or pick.place is None or pick.steps is not None:
        return 0.0
    lost = figures.accuracy[place] - figures.accuracy[pick.place]
    return WORTH_KEEPING * success_price * max(0.0, lost)


def too_dear(
    field: Field,
    figures: Figures,
    rules: Rules,
    request: Request,
    session: Session,
    place: int,
    pick: Pick,
    now_ms: int,
) -> bool:
    """Tell whether leaving a model below the bar costs more than the successes it lacks are worth.

    A policy that asks for a strict bar, for proof, for the best model, or for a floor that the
    session's model does not reach, gets what it asks for.
    """
    success_price = rules.success_price_micro_usd
    if (
        success_price is None
        or pick.place is None
        or pick.steps is not None
        or pick.reason == "low_confidence"
        or rules.mode != "auto_efficient"
        or rules.evidence != THE_ESTIMATE
        or figures.accuracy[place] < figures.floor
    ):
        return False
    gained = figures.accuracy[pick.place] - figures.accuracy[place]
    worth = WORTH_LEAVING * success_price * gained
    extra = figures.cost[pick.place] - figures.cost[place]
    price = price_of_switching(field, place, pick.place, request, session, now_ms)
    return REMAINING_SHARE * (worth - extra) < price


def switched(pick: Pick, before: str, why: str) -> Pick:
    """Return the pick marked as a switch, unless it is the session's own model."""
    return pick if pick.model == before else replace(pick, switched=True, switch_reason=why)


def price_of_switching(
    field: Field, old: int, new: int, request: Request, session: Session, now_ms: int
) -> float:
    """Return what the conversation so far costs more with the new model, in micro-USD.

    The new model reads all of it for the first time, the old one from its cache, unless the session
    has been idle for longer than a cache lives. Every later request reads it from cache, at the
    price that either model charges for that. What the task adds to the conversation is part of what
    a task costs.
    """
    cold = now_ms - session.last_at_ms > CACHE_LIFETIME_MS
    first = field.read_cold[new] - (field.read_cold[old] if cold else field.read_warm[old])
    later = field.read_warm[new] - field.read_warm[old]
    return max(0.0, request.context_tokens * (first + REMAINING_REQUESTS * later))


def remember(model: str, belief: Belief, session: Session | None, now_ms: int) -> Session:
    """Return the session as it stands after this decision."""
    kept = belief.remembered
    return Session(
        model=model,
        routes=kept.routes if kept else (),
        difficulties=kept.difficulties if kept else (),
        turns=session.turns + 1 if session else 1,
        last_at_ms=now_ms,
    )
