"""The choice that is left when a budget is spent.

docs/routing.md states the rules in words.
"""

from msgspec.structs import replace

from routing.engine.balanced import first_balanced
from routing.engine.escalation import shut_out
from routing.engine.explain import saving
from routing.engine.field import Field
from routing.engine.figures import Figures
from routing.engine.inputs import Request, Restriction, Rules, Session
from routing.engine.modes import cheapest
from routing.engine.outcome import Pick
from routing.engine.staying import switched


def without_failed(field: Field, figures: Figures, failed: tuple[str, ...]) -> Figures:
    """Return the figures with models shut out that failed on the task, unless that is all."""
    places = [field.index[model] for model in failed if model in field.index]
    left = shut_out(figures, dict.fromkeys(places, "failed_here"))
    return left if left.able else figures


def restricted(
    field: Field,
    figures: Figures,
    rules: Rules,
    request: Request,
    session: Session | None,
    avoided: frozenset[str],
    restriction: Restriction,
) -> Pick | None:
    """Choose what a spent budget leaves; None when that is nobody, so that all other
    rules decide.

    Where Balanced alone is left and cannot be used, that is the cheapest model too. The session
    gives way, except inside a tool loop.
    """
    pick = None
    if restriction.to == "balanced":
        pick = first_balanced(field, figures, rules, "budget_balanced", avoided)
    if pick is None and figures.able:
        place = cheapest(figures, [*figures.able])
        pick = Pick(field.ids[place], place, "budget_cheapest")
    if pick is None:
        return None
    cost = None if pick.place is None else figures.cost[pick.place]
    told = saving(pick.reason, pick.model, restriction.because, cost)
    pick = replace(pick, held="over_budget", told=told)
    if session is None or session.model == pick.model:
        return pick
    place = field.index.get(session.model, -1)
    if request.in_tool_loop and place >= 0 and not figures.verdicts[place]:
        return Pick(
            session.model,
            place,
            "session_kept",
            sticky=True,
            held="session_held",
            switch_reason="A tool call is under way.",
        )
    return switched(pick, session.model, f"{restriction.because}.")
