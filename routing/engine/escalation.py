"""What clients have reported counts against models: one that failed on the task at hand is not
asked again, and one that is failing everywhere is left out. Pure.

docs/routing.md states the rules in words.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace

import numpy as np
from msgspec import Struct
from msgspec.structs import replace as struct_replace

from lib.money import format_usd
from routing.engine.classification import Classification
from routing.engine.field import CELLS, Field
from routing.engine.figures import Figures
from routing.engine.inputs import Rules, Session
from routing.engine.ladders import best_ladder, failing, quadrature
from routing.engine.outcome import Pick


class Failure(Struct, frozen=True, array_like=True):
    """A model failed on a task; `task_type` is empty where it is not known.

    `decided_at_ms` is when the model was chosen, in milliseconds since the epoch.
    """

    model: str
    task_type: str
    decided_at_ms: int


class Reports(Struct, frozen=True):
    """What counts against models now: failures in the session, and models that fail everywhere."""

    failures: tuple[Failure, ...] = ()
    failing: frozenset[str] = frozenset()


NOTHING_REPORTED = Reports()
ALL_FAILING = "Every model that could take this is failing in real use, so that does not count."


def failed_on(failures: Iterable[Failure], believed: Classification | None) -> tuple[str, ...]:
    """Return the models that failed on the task at hand, each once.

    Failures of another task type belong to another task.
    """
    return tuple(
        dict.fromkeys(
            failure.model
            for failure in failures
            if believed is None or failure.task_type in ("", believed.task_type)
        )
    )


def without_failing(field: Field, figures: Figures, models: frozenset[str]) -> Figures:
    """Return the figures with failing models shut out, unless that would shut out all."""
    if not models:
        return figures
    places = [field.index[model] for model in models if model in field.index]
    left = shut_out(figures, dict.fromkeys(places, "failing_now"))
    return left if left.able else figures


def shut_out(figures: Figures, why: Mapping[int, str]) -> Figures:
    """Return the figures without those able models that have a verdict in `why`."""
    why = {place: verdict for place, verdict in why.items() if not figures.verdicts[place]}
    if not why:
        return figures
    able = tuple([place for place in figures.able if place not in why])
    best = min(
        able, key=lambda place: (-figures.accuracy[place], figures.cost[place], place), default=-1
    )
    return replace(
        figures,
        able=able,
        verdicts=tuple([why.get(place, verdict) for place, verdict in enumerate(figures.verdicts)]),
        best=best,
        floor=min(figures.floor, figures.accuracy[best]) if able else 0.0,
    )


def all_failing(field: Field, figures: Figures, models: frozenset[str]) -> bool:
    """Tell whether every able model is failing, so that none was shut out for it."""
    return bool(models and figures.able) and all(
        field.ids[place] in models for place in figures.able
    )


def escalate(
    field: Field,
    figures: Figures,
    rules: Rules,
    failed: tuple[str, ...],
    session: Session | None,
    *,
    verifiable: bool,
) -> tuple[Figures, Pick]:
    """Go past the models that failed: return the figures without them, and who takes over.

    Of a `verifiable` request that is the next rung of the ladder that those which failed began.
    Else, of the models that are expected to be at least as accurate, the one with the most expected
    successes per dollar given that the others failed (in `best_accuracy` the one with the most
    successes); where none is as accurate, the likeliest to succeed. The session stays with it. At
    least one model must be able.
    """
    places = [field.index[model] for model in failed if model in field.index]
    left = shut_out(figures, dict.fromkeys(places, "failed_here"))
    before = session.model if session else None
    names = listed(failed)
    if not left.able:
        model = field.ids[figures.best]
        told = (
            f"Every model that could take this has failed on it, so {model}, the most accurate,"
            " tries again."
        )
        again = Pick(model, figures.best, "escalated", held="failed_here", told=told)
        return figures, moved(again, before, names)
    known = [figures.accuracy[place] for place in places]
    floor = max(left.floor, max(known, default=left.bar * figures.accuracy[figures.best]))
    past = [place for place in left.able if figures.accuracy[place] >= floor]
    rung = next_rung(field, figures, rules, places) if verifiable else None
    incumbent = field.index.get(before) if before else None
    if incumbent is not None and (
        incumbent == rung or incumbent in past or (not past and incumbent in left.able)
    ):
        kept = Pick(field.ids[incumbent], incumbent, "escalated", sticky=True, held="session_held")
        return left, struct_replace(kept, switch_reason=f"It goes on where {names} failed.")
    success, cost = given_failures(field, figures, places)
    if rung is not None:
        place = rung
    elif past and rules.mode != "best_accuracy":
        place = max(past, key=lambda one: (success[one] / max(cost[one], 1.0), success[one], -one))
    else:
        place = max(past or left.able, key=lambda one: (success[one], -cost[one], -one))
    model = field.ids[place]
    told = (
        f"{names} failed on this task, so {model} takes over: after that it is expected to succeed"
        f" {success[place]:.0%} of the time, at about {format_usd(cost[place])} a task."
    )
    pick = Pick(model, place, "escalated", held="passed_over", told=told)
    return left, moved(pick, before, names)


def next_rung(field: Field, figures: Figures, rules: Rules, failed: list[int]) -> int | None:
    """Return who follows those that failed, in their order, on the best ladder that they began.

    It was announced with the first of them; that may have been a session's model, with which the
    best ladder of all does not begin. None when no such ladder goes on.
    """
    for first in (None, failed[0]) if failed else ():
        steps = best_ladder(field, figures, rules, first=first)
        if steps is not None and steps.places[: len(failed)] == tuple(failed):
            return next(iter(steps.places[len(failed) :]), None)
    return None


def moved(pick: Pick, before: str | None, names: str) -> Pick:
    """Return the pick marked as a switch where the session had another model."""
    if before in (None, pick.model):
        return pick
    return struct_replace(pick, switched=True, switch_reason=f"{names} failed on this task.")


def listed(models: tuple[str, ...]) -> str:
    """Return models as people list them, two by name: a sentence has to end."""
    match models:
        case (one,):
            return one
        case (one, other):
            return f"{one} and {other}"
    return f"{models[0]}, {models[1]} and {len(models) - 2} more"


def given_failures(
    field: Field, figures: Figures, failed: list[int]
) -> tuple[list[float], list[float]]:
    """Return every model's probability of success and cost, given that some have failed.

    By Bayes' rule over the cells that the task may be in and the ease that all models share there;
    see `routing.engine.ladders`.
    """
    count = len(field.ids)
    cells = np.flatnonzero(figures.weights)
    fails = failing(field.table)[:, cells]
    belief = figures.weights[cells, None] * quadrature()[1]
    for place in failed:
        belief = belief * fails[place]
        belief = belief / belief.sum()
    success = 1 - np.einsum("ijk,jk->i", fails, belief) / belief.sum()
    rows = field.cells.reshape(5, count, CELLS)[3]
    cost = np.einsum("ij,j->i", rows[:, cells], belief.sum(axis=1) / belief.sum())
    return success.tolist(), cost.tolist()
