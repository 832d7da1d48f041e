"""Costs in a wrong unit: what was reported is held against the tokens at list price.

Cents taken for dollars, or a price per thousand tokens for one per million, shift a cost by a
factor of 100 or more. No discount, cache or retry does.
"""

from dataclasses import replace
from typing import Final

from leaderboard.sources import FeedPrice, ParsedRun, ParsedTask, Rejection
from lib.money import MICRO, format_usd

FACTOR: Final = 100


def listed_range(
    price: FeedPrice, input_tokens: float, cached_tokens: float, output_tokens: float
) -> tuple[float, float]:
    """Return what the tokens cost at list price in micro-USD: at least, at most.

    At least: cached tokens at the price of reading the cache, free where that is not known. At
    most: every input token at the dearest input price. `input_tokens` includes the cached ones.
    """
    dearest = max(price.input_micro_usd, price.cache_write_micro_usd or 0)
    output = output_tokens * price.output_micro_usd
    fresh = max(input_tokens - cached_tokens, 0) * price.input_micro_usd
    cached = cached_tokens * (price.cache_read_micro_usd or 0)
    return (fresh + cached + output) / MICRO, (input_tokens * dearest + output) / MICRO


def doubt(
    price: FeedPrice, cost: float, input_tokens: float, cached_tokens: float, output_tokens: float
) -> str | None:
    """Return why a cost in micro-USD cannot be right; None when it can. A cost of 0 is unknown."""
    least, most = listed_range(price, input_tokens, cached_tokens, output_tokens)
    if cost == 0 or most == 0:
        return None
    if least / FACTOR <= cost <= most * FACTOR:
        return None
    return (
        f"cost is {format_usd(cost)}, more than {FACTOR} times off the {format_usd(most)} that its"
        " tokens cost at list price; it is kept without a cost"
    )


def without_doubtful_costs(
    run: ParsedRun, price: FeedPrice | None
) -> tuple[ParsedRun, list[Rejection]]:
    """Return the run with costs that cannot be right as missing, and a word on each of them."""
    if price is None:
        return run, []
    doubts = {place: why for place, task in enumerate(run.tasks) if (why := of_task(price, task))}
    if not doubts:
        return run, []
    tasks = tuple(
        replace(task, cost_micro_usd=None) if place in doubts else task
        for place, task in enumerate(run.tasks)
    )
    words = [Rejection(run.origin, run.tasks[place].task, why) for place, why in doubts.items()]
    return replace(run, tasks=tasks), words


def of_task(price: FeedPrice, task: ParsedTask) -> str | None:
    """Return the doubt about a task's cost. Without both token counts there can be none."""
    if task.cost_micro_usd is None or task.input_tokens is None or task.output_tokens is None:
        return None
    cached = task.cache_read_tokens or 0
    return doubt(price, task.cost_micro_usd, task.input_tokens, cached, task.output_tokens)
