"""The candidates of one policy in one table, prepared once and used for every request."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from leaderboard.table import Floats, Table
from lib.taxonomy import DIFFICULTIES, ROUTES
from routing.engine.inputs import Request, Rules, names

# Of a model whose context the catalogue does not know: small enough not to be found out by failing.
ASSUMED_CONTEXT = 128_000
CELLS = len(ROUTES) * len(DIFFICULTIES)


@dataclass(frozen=True, eq=False)
class Field:
    """The table's models, one entry each, and their figures by cell, a route's difficulty.

    `cells` has a row of 54 cells per model for accuracy, then for its low and high, cost, and the
    model's own doubt. `barred` is why the policy or the catalogue shuts a model out, else empty.
    Prices are micro-USD per token.
    """

    ids: tuple[str, ...]
    index: dict[str, int]
    cells: Floats
    context: tuple[int, ...]
    smallest_context: int
    modalities: tuple[frozenset[str], ...]
    tools: tuple[bool, ...]
    barred: tuple[str, ...]
    read_cold: tuple[float, ...]
    read_warm: tuple[float, ...]
    standing: tuple[int | None, ...]
    table: Table


class Abilities(NamedTuple):
    """Who can take a request: the places of those who can, and for each model why it cannot."""

    able: tuple[int, ...]
    verdicts: tuple[str, ...]


@lru_cache(maxsize=128)
def field_of(table: Table, rules: Rules) -> Field:
    """Return the field. A table and a policy version never change, so keeping it is safe."""
    models = table.models
    ids = tuple(model.model_id for model in models)
    context = tuple(model.context_tokens or ASSUMED_CONTEXT for model in models)
    return Field(
        ids=ids,
        index={model_id: place for place, model_id in enumerate(ids)},
        cells=cells_of(table),
        context=context,
        smallest_context=min(context, default=0),
        modalities=tuple(frozenset(model.input_modalities) for model in models),
        tools=tuple(model.supports_tools for model in models),
        barred=tuple(
            "unavailable" if not model.available else why_barred(rules, model.model_id)
            for model in models
        ),
        # Reading a token for the first time costs the cache-write price where there is one; a list
        # that has less there than for input states only what keeping it in the cache adds.
        read_cold=tuple(
            max(model.cache_write_micro_usd or 0, model.input_micro_usd or 0) / 1e6
            for model in models
        ),
        read_warm=tuple(
            (
                model.input_micro_usd or 0
                if model.cache_read_micro_usd is None
                else model.cache_read_micro_usd
            )
            / 1e6
            for model in models
        ),
        standing=tuple(table.index_of(name) for name in table.standing),
        table=table,
    )


@lru_cache(maxsize=64)
def cells_of(table: Table) -> Floats:
    """Return the rows of `Field.cells`, which all policies share."""
    cells = table.cells
    return np.concatenate(
        [
            np.asarray(figures, dtype=float).reshape(len(table.models), CELLS)
            for figures in (
                cells.accuracy,
                cells.accuracy_low,
                cells.accuracy_high,
                cells.cost,
                table.own_sd,
            )
        ]
    )


def why_barred(rules: Rules, model_id: str) -> str:
    """Return why the policy shuts a model out; empty when it does not."""
    if rules.permits(model_id):
        return ""
    return "denied" if names(rules.denied, model_id) else "not_allowed"


def abilities_for(field: Field, request: Request) -> Abilities:
    """Return who can take a request."""
    needed = request.context_tokens
    known = abilities(field, request.modalities, request.needs_tools)
    if needed <= field.smallest_context:
        return known
    return as_abilities(
        "context_too_small" if needed > context and not barred else verdict
        for context, barred, verdict in zip(
            field.context, field.barred, known.verdicts, strict=True
        )
    )


@lru_cache(maxsize=256)
def abilities(field: Field, modalities: frozenset[str], needs_tools: bool) -> Abilities:
    """Return who can take a short conversation."""
    return as_abilities(
        barred
        or ("" if modalities <= readable else "modality_missing")
        or ("tools_missing" if needs_tools and not tools else "")
        for barred, readable, tools in zip(field.barred, field.modalities, field.tools, strict=True)
    )


def within_ceiling(known: Abilities, costs: Sequence[float], ceiling: int) -> Abilities:
    """Return who can take a request for an expected cost of at most the ceiling, in micro-USD."""
    if all(costs[place] <= ceiling for place in known.able):
        return known
    return as_abilities(
        verdict or ("too_dear" if cost > ceiling else "")
        for verdict, cost in zip(known.verdicts, costs, strict=True)
    )


def as_abilities(verdicts: Iterable[str]) -> Abilities:
    """Return the verdicts with the places that have none."""
    kept = tuple(verdicts)
    return Abilities(tuple(place for place, verdict in enumerate(kept) if not verdict), kept)
