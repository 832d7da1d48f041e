"""The words of a decision: what each code means, in sentences that a person can act on."""

from functools import lru_cache
from typing import Final

from lib.money import format_usd
from lib.taxonomy import label, split_route
from routing.engine.outcome import Ladder

REASONS: Final[dict[str, str]] = {
    "cheapest_clearing": "Cheapest model that clears the quality bar",
    "bar_too_dear": "Close to the quality bar, which would cost too much per solved task",
    "standing_choice": "The model that this kind of work stands by",
    "cheapest_ladder": "Start of the cheapest ladder that succeeds as often as the best candidate",
    "best_value": "Most accuracy per dollar among the models that clear the bar",
    "most_accurate": "Most accurate model",
    "route_pinned": "Pinned to this kind of work by the policy",
    "below_floor": "No candidate reaches the accuracy floor, so the most accurate takes it",
    "session_kept": "The session stays on the model that is working",
    "escalated": "Goes past a model that failed on this task",
    "budget_cheapest": "A budget is spent, so the cheapest model takes it",
    "budget_balanced": "A budget is spent, so Balanced takes it",
    "low_confidence": "The request is unclear, so Balanced takes it",
    "nothing_clears": "No candidate clears the bar, so Balanced takes it",
    "no_table": "No routing table is published, so Balanced takes it",
    "classifier_failed": "The request could not be classified, so Balanced takes it",
}
FALLBACKS: Final[frozenset[str]] = frozenset(
    {"low_confidence", "nothing_clears", "no_table", "classifier_failed"}
)

VERDICTS: Final[dict[str, str]] = {
    "chosen": "Chosen",
    "next_rung": "Takes over when the models before it have failed",
    "dearer": "Clears the bar, but costs more",
    "less_value": "Clears the bar, but gives less accuracy per dollar",
    "less_accurate": "Clears the bar, but is less accurate",
    "tied_dearer": "As accurate within the uncertainty, but costs more",
    "not_worth_switching": "Would win afresh, but switching now would cost more than it is worth",
    "not_worth_moving": "Would win afresh, but not by enough to move this kind of work",
    "session_held": "Would win afresh, but the session stays where it is",
    "set_aside": "Clears the bar, but the request is too unclear to trust the reading",
    "overruled": "Would win afresh, but the policy pins another model to this kind of work",
    "over_budget": "Would win afresh, but a budget is spent",
    "passed_over": "Would win afresh, but another promises more per dollar after the failure",
    "below_bar": "Below the quality bar",
    "failed_here": "Failed on this task",
    "failing_now": "Failing in real use at the moment",
    "below_floor": "Below the accuracy floor of the policy",
    "denied": "Denied by the policy",
    "not_allowed": "Not among the models that the policy allows",
    "too_dear": "Expected to cost more than the policy's price ceiling",
    "unavailable": "Not available to call",
    "context_too_small": "The conversation does not fit its context",
    "modality_missing": "Cannot read all of the input, such as images",
    "tools_missing": "Cannot call tools",
}

# Why a session's model cannot go on, as a clause.
WHY_NOT: Final[dict[str, str]] = {
    "denied": "the policy denies it now",
    "not_allowed": "the policy does not allow it now",
    "unavailable": "it is not available to call now",
    "failing_now": "it is failing in real use",
    "context_too_small": "the conversation has outgrown its context",
    "modality_missing": "it cannot read all of the input",
    "tools_missing": "it cannot call tools",
    "too_dear": "it is expected to cost more than the policy's price ceiling",
}

REFUSALS: Final[dict[str, tuple[str, str]]] = {
    "context_too_small": (
        "context_tokens",
        "No allowed model can hold this conversation. Shorten it, or allow a model with a"
        " larger context.",
    ),
    "modality_missing": (
        "required_modalities",
        "No allowed model reads all of these modalities. Drop the attachment, or allow a model"
        " that does.",
    ),
    "tools_missing": (
        "tools",
        "No allowed model can call tools. Send none, or allow a model that can.",
    ),
    "too_dear": (
        "policy",
        "Every model that could take this is expected to cost more than the policy's price"
        " ceiling. Raise it, or allow a cheaper model.",
    ),
    "denied": ("policy", "The policy denies every model. Take one off its denied list."),
    "not_allowed": (
        "policy",
        "None of the models that the policy allows can be used. Allow another.",
    ),
    "unavailable": (
        "policy",
        "None of the models that the policy allows is available to call. Allow another.",
    ),
}


@lru_cache(maxsize=64)
def about(route: str, difficulty: str) -> str:
    """Return the kind of work in words: ``code cleanup (refactoring, low)``."""
    task_type, subtask_type = split_route(route)
    return f"{label(subtask_type).lower()} ({label(task_type).lower()}, {difficulty})"


def sentence(
    code: str,
    model: str,
    *,
    work: str,
    share: float,
    confidence: float,
    cost: float | None,
    ladder: Ladder | None = None,
    clearing: float | None = None,
    pays: int | None = None,
) -> str:
    """Return the plain sentence of a decision.

    `clearing` is what each further success would cost up to the bar, `pays` what the policy pays.
    """
    price = "" if cost is None else f", at about {format_usd(cost)} a task"
    match code:
        case "cheapest_clearing":
            return (
                f"{model} is the cheapest model expected to reach {share:.0%} of the best"
                f" candidate's accuracy on {work}{price}."
            )
        case "bar_too_dear":
            return (
                f"{model} is close to the quality bar on {work}{price}. Clearing the bar would cost"
                f" {format_usd(clearing)} per extra solved task; the policy pays up to"
                f" {format_usd(pays)}."
            )
        case "standing_choice":
            return (
                f"{model} is the model that {work} stands by: it is close to the quality bar, and"
                f" no model that clears it saves enough to move{price}."
            )
        case "cheapest_ladder" if ladder:
            return climbing(ladder, work)
        case "best_value":
            return (
                f"{model} gives the most accuracy per dollar on {work} among the models expected"
                f" to reach {share:.0%} of the best candidate's accuracy{price}."
            )
        case "most_accurate":
            return (
                f"{model} is the most accurate candidate on {work}, or tied with it and"
                f" cheaper{price}."
            )
        case "low_confidence":
            return (
                f"The request reads as {work} with only {confidence:.0%} confidence, so {model}"
                " takes it instead of a model picked on a guess."
            )
        case "route_pinned":
            return f"The policy pins {work} to {model}{price}."
        case "below_floor":
            return (
                f"No candidate reaches the policy's accuracy floor on {work}, so {model}, the most"
                f" accurate of them, takes it{price}."
            )
        case "nothing_clears":
            return f"No measured model that the policy allows can take this, so {model} does."
        case "no_table":
            return f"No routing table is published yet, so {model} takes every request."
        case _:
            return f"The request could not be classified, so {model} takes it."


def saving(code: str, model: str, because: str, cost: float | None) -> str:
    """Return the sentence of a decision that a spent budget made; `because` names the budget."""
    price = "" if cost is None else f", at about {format_usd(cost)} a task"
    if code == "budget_balanced":
        return f"{because}, so Balanced takes every request: {model}{price}."
    return f"{because}, so {model}, the cheapest model that can take this, does{price}."


def climbing(ladder: Ladder, work: str) -> str:
    """Return the sentence of a ladder."""
    first, *others = [rung.model for rung in ladder.rungs]
    then = f", then {' and then '.join(others)} if that fails," if others else ""
    return (
        f"A failure will be noticed, so {first} starts{then} on {work}: together they are expected"
        f" to succeed {ladder.success:.0%} of the time for {format_usd(ladder.cost_micro_usd)} a"
        " task."
    )
