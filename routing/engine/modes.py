"""Which of the able models each mode takes."""

from typing import Final

from leaderboard import standing
from routing.engine.classification import Classification
from routing.engine.field import Field
from routing.engine.figures import Figures
from routing.engine.inputs import Rules

# The evidence at which the estimate itself decides.
THE_ESTIMATE: Final = 0.5
# One standard normal deviation times this reaches either end of a 90% interval.
HALF_90: Final = 1.6448536269514722
# However dear the bar is, nobody is taken who is further below it than this share of the best
# candidate's accuracy.
NEAR: Final = 0.1


def by_mode(figures: Figures, rules: Rules) -> tuple[int, str]:
    """Return the place of the mode's choice among the able models, and its reason.

    Of models that are otherwise equal the more accurate one is taken, then the first of the table.
    """
    accuracy, cost = figures.accuracy, figures.cost
    if rules.mode == "accuracy_per_dollar":
        value = [
            (-accuracy[place] / max(cost[place], 1.0), -accuracy[place], cost[place], place)
            for place in figures.clearing
        ]
        return min(value)[-1], "best_value"
    if rules.mode == "best_accuracy":
        least = tie_floor(figures, rules)
        tied = [place for place in figures.able if accuracy[place] >= least]
        return cheapest(figures, tied), "most_accurate"
    clearing = cheapest(figures, figures.clearing)
    below = just_below(figures, rules, clearing)
    return (clearing, "cheapest_clearing") if below is None else (below, "bar_too_dear")


def cheapest(figures: Figures, places: list[int]) -> int:
    """Return the cheapest of some models."""
    accuracy, cost = figures.accuracy, figures.cost
    return min([(cost[place], -accuracy[place], place) for place in places])[-1]


def just_below(figures: Figures, rules: Rules, clearing: int) -> int | None:
    """Return the model close to the bar that is taken because clearing it is too dear.

    A model below the bar is charged for the successes that it lacks; it wins when it is cheaper all
    the same. A policy that names no price, or asks for other evidence than the estimate, gets what
    it asks for.
    """
    price = rules.success_price_micro_usd
    if price is None or rules.evidence != THE_ESTIMATE:
        return None
    accuracy, cost, highest = figures.accuracy, figures.cost, figures.accuracy[figures.best]
    bar = rules.quality_bar * highest
    least = max((rules.quality_bar - NEAR) * highest, figures.floor)
    charged = [
        (cost[place] + price * (bar - accuracy[place]), -accuracy[place], place)
        for place in figures.able
        if least <= accuracy[place] < bar
    ]
    if not charged:
        return None
    least_charged, _, place = min(charged)
    return place if least_charged < cost[clearing] else None


def price_of_clearing(figures: Figures, rules: Rules, place: int) -> float:
    """Return what each further success would cost that a model below the bar lacks, in micro-USD:
    the price of taking the cheapest that clears instead.
    """
    lacking = rules.quality_bar * figures.accuracy[figures.best] - figures.accuracy[place]
    more = figures.cost[cheapest(figures, figures.clearing)] - figures.cost[place]
    return more / lacking


def tie_floor(figures: Figures, rules: Rules) -> float:
    """Return the accuracy from which on a model counts as accurate as the best.

    It cannot be told from it, and it clears the quality bar and the policy's floor: otherwise this
    mode could end with a less accurate model than `auto_efficient`.
    """
    highest, doubt = figures.accuracy[figures.best], figures.own_sd[figures.best]
    return max(highest - HALF_90 * doubt, rules.quality_bar * highest, figures.floor)


def standing_place(
    field: Field, figures: Figures, rules: Rules, believed: Classification, fresh: int
) -> int | None:
    """Return the model that the route stands by, when it is not the fresh choice and is kept.

    So that a new table moves a route only for a reason. A policy that asks for more evidence than
    the estimate itself has asked for no such tolerance.
    """
    if rules.mode != "auto_efficient" or rules.evidence > THE_ESTIMATE or not field.standing:
        return None
    place = field.standing[believed.route_place]
    if place is None or place == fresh or figures.verdicts[place]:
        return None
    accuracy, cost = figures.accuracy, figures.cost
    least = (rules.quality_bar - standing.TOLERANCE) * accuracy[figures.best]
    if accuracy[place] < max(min(least, accuracy[fresh]), figures.floor):
        return None
    # What is at least as accurate counts as well, though it may not clear either: otherwise a
    # higher bar could bring back a worse model than a lower one.
    limit = (1 - standing.SAVING) * cost[place]
    saves = cost[fresh] <= limit or any(
        cost[other] <= limit and accuracy[other] >= accuracy[place] for other in figures.able
    )
    return None if saves else place
