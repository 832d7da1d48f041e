"""Which model a route stands by from one table to the next. Pure.

New results move every estimate a little, and between models that are nearly as good and nearly as
cheap the cheapest that clears the bar changes with each publication. A route therefore stays with
its model until the evidence against it is strong or another saves much. A table is made from its
runs alone; what a route stands by belongs to the pointer that makes a table the current one.
"""

from collections.abc import Sequence

import numpy as np

from leaderboard.table import Floats, Table
from lib.taxonomy import ROUTES

QUALITY_BAR = 0.95
# A standing model may be this far below the bar, as a share of the best model's accuracy...
TOLERANCE = 0.05
# ...and is left for one that costs at least this much less.
SAVING = 0.25


def stand(
    accuracy: Floats, cost: Floats, available: Floats, before: int | None, bar: float = QUALITY_BAR
) -> int:
    """Return the place of the model that a route stands by, given the one it stood by.

    All arrays are over models; at least one must be available.
    """
    usable = available.astype(bool)
    best = np.where(usable, accuracy, -1.0).max()
    fresh = int(np.argmin(np.where(usable & (accuracy >= bar * best), cost, np.inf)))
    if before is None or not usable[before]:
        return fresh
    good = accuracy[before] >= (bar - TOLERANCE) * best
    return before if good and cost[fresh] > (1 - SAVING) * cost[before] else fresh


def standing_models(table: Table, before: Sequence[str]) -> tuple[str, ...]:
    """Return the model that each route of a table stands by; empty strings where none can be used.

    `before` are the models that the routes stood by, in the order of `ROUTES`; empty the first
    time.
    """
    available = np.array([model.available for model in table.models])
    if not available.any():
        return ("",) * len(ROUTES)
    kept = [table.index_of(name) for name in before] or [None] * len(ROUTES)
    accuracy, cost = table.by_route.accuracy, table.by_route.cost.astype(float)
    return tuple(
        table.models[stand(accuracy[:, route], cost[:, route], available, kept[route])].model_id
        for route in range(len(ROUTES))
    )
