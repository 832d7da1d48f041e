"""The candidates of one policy in one table, prepared once and used for every request."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from leaderboard.table import Floats, Table
from routing.engine.inputs import Rules

Bools = NDArray[np.bool_]
# Of a model whose context the catalogue does not know: small enough not to be found out by failing.
ASSUMED_CONTEXT = 128_000


@dataclass(frozen=True, eq=False)
class Field:
    """The table's models as flat arrays; cells are flattened to 54 = routes x difficulties."""

    ids: tuple[str, ...]
    index: dict[str, int]
    accuracy: Floats
    low: Floats
    high: Floats
    own_sd: Floats
    cost: Floats
    context: NDArray[np.int64]
    modalities: tuple[frozenset[str], ...]
    tools: Bools
    barred: tuple[str, ...]
    open: Bools
    read_cold: Floats
    read_warm: Floats
    standing: tuple[int | None, ...]


@lru_cache(maxsize=512)
def field_of(table: Table, rules: Rules) -> Field:
    """Return the field. A table and a policy version never change, so keeping it is safe."""
    models = table.models
    count = len(models)
    barred = tuple(
        "unavailable"
        if not model.available
        else "denied"
        if model.model_id in rules.denied
        else "not_allowed"
        if not rules.permits(model.model_id)
        else ""
        for model in models
    )
    ids = tuple(model.model_id for model in models)
    cells = table.cells
    # Reading a token for the first time costs the cache-write price where there is one.
    cold = [model.cache_write_micro_usd or model.input_micro_usd or 0 for model in models]
    warm = [
        model.cache_read_micro_usd
        if model.cache_read_micro_usd is not None
        else model.input_micro_usd or 0
        for model in models
    ]
    return Field(
        ids=ids,
        index={model_id: place for place, model_id in enumerate(ids)},
        accuracy=cells.accuracy.reshape(count, -1),
        low=cells.accuracy_low.reshape(count, -1),
        high=cells.accuracy_high.reshape(count, -1),
        own_sd=table.own_sd.reshape(count, -1),
        cost=cells.cost.reshape(count, -1).astype(float),
        context=np.array(
            [model.context_tokens or ASSUMED_CONTEXT for model in models], dtype=np.int64
        ),
        modalities=tuple(frozenset(model.input_modalities) for model in models),
        tools=np.array([model.supports_tools for model in models]),
        barred=barred,
        open=np.array([not code for code in barred]),
        read_cold=np.array(cold, dtype=float) / 1e6,
        read_warm=np.array(warm, dtype=float) / 1e6,
        standing=tuple(table.index_of(name) for name in table.standing),
    )
