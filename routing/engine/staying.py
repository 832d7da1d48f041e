"""The session rule: stay on a model that is already working, leave it only when that pays."""

from dataclasses import dataclass, replace

from lib.money import format_usd
from routing.engine.classification import Classification
from routing.engine.explain import WHY_NOT
from routing.engine.field import Field
from routing.engine.figures import Figures, bar_of
from routing.engine.inputs import Request, Rules, Session
from routing.engine.outcome import Pick

# How far below the bar a session's model may be before the session leaves it.
TOLERANCE = 0.03
# Weight of the newest turn in a session's running probabilities. Below one half, so that a label
# that flips for a single turn does not carry the session with it.
NEWEST_WEIGHT = 0.4
# Providers keep a prompt cache for about five minutes after its last use.
CACHE_LIFETIME_MS = 5 * 60 * 1000
# Share of a task's cost that is still to come when a session asks again: on average, half.
REMAINING_SHARE = 0.5


@dataclass(frozen=True)
class Belief:
    """What to act on now, and what the session should remember; None when nothing is known."""

    acting: Classification | None
    remembered: Classification | None


def believe(fresh: Classification | None, session: Session | None, in_tool_loop: bool) -> Belief:
    """Weigh the newest turn against what the session has been about.

    A client's own task is taken at its word. Inside a tool loop there is no new turn to learn from.
    A turn that seems to be about another task type is remembered, but acted on only once it has
    carried the session's running probabilities with it: one flipped label moves nothing.
    """
    if session is None or not session.routes or (fresh and fresh.source == "client"):
        return Belief(fresh, fresh)
    before = Classification(session.routes, session.difficulties)
    if fresh is None or in_tool_loop:
        return Belief(before, before)
    running = Classification(
        blend(fresh.routes, before.routes), blend(fresh.difficulties, before.difficulties)
    )
    flipped = fresh.task_type != before.task_type and running.task_type == before.task_type
    return Belief(before if flipped else running, running)


def blend(new: tuple[float, ...], old: tuple[float, ...]) -> tuple[float, ...]:
    """Return the running probabilities after one more turn."""
    return tuple(
        NEWEST_WEIGHT * fresh + (1 - NEWEST_WEIGHT) * kept
        for fresh, kept in zip(new, old, strict=True)
    )


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
        still_usable = (
            place is None and rules.permits(session.model) and pick and pick.place is None
        )
        if still_usable or pick is None:
            return pick
        why = (
            "it is not in the routing table" if place is None else WHY_NOT[figures.verdicts[place]]
        )
        return switched(pick, session.model, f"{session.model} cannot go on: {why}.")
    if pick is None or pick.place == place:
        return pick
    kept = Pick(session.model, place, "session_kept", sticky=True)
    if request.in_tool_loop:
        return replace(kept, held="session_held", switch_reason="A tool call is under way.")
    if believed is None:
        return replace(
            kept, held="session_held", switch_reason="The request could not be classified."
        )
    margin = figures.accuracy[place] - (bar_of(rules) - TOLERANCE) * figures.accuracy[figures.best]
    if margin < 0:
        return switched(
            pick,
            session.model,
            f"{session.model} falls short of the quality bar for what is asked now.",
        )
    if pick.reason == "low_confidence" or pick.place is None:
        return replace(kept, held="session_held", switch_reason="The newest turn is unclear.")
    saving = REMAINING_SHARE * float(figures.cost[place] - figures.cost[pick.place])
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
