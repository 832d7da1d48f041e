"""Small made-up routing tables for tests."""

from collections.abc import Collection, Mapping
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from leaderboard.models import PUBLIC, CurrentTable, RoutingTable
from leaderboard.table import (
    FORMAT,
    Estimates,
    Source,
    Table,
    TableContent,
    TableModel,
    content_hash,
    decode,
    encode,
    version_of,
)
from lib.taxonomy import DIFFICULTIES, ROUTES

MEASURED = (
    "implementation/test_creation",
    "debugging/bug_fixing",
    "investigation/external_research",
)
SOURCE = Source(
    name="made-up", licence="CC0-1.0", runs=3, newest_measured_at="2026-01-31T00:00:00Z"
)


def table_model(model_id: str, **changes: Any) -> TableModel:
    """Return a model that can do everything, priced $1 in and $5 out."""
    model = TableModel(
        model_id=model_id,
        name=model_id.split("/")[-1],
        provider=model_id.split("/")[0],
        available=True,
        context_tokens=200_000,
        input_modalities=("text", "image"),
        supports_tools=True,
        input_micro_usd=1_000_000,
        output_micro_usd=5_000_000,
        cache_read_micro_usd=100_000,
        cache_write_micro_usd=1_250_000,
    )
    return msgspec.structs.replace(model, **changes)


def table_bytes(
    models: Mapping[str, tuple[float, float]],
    *,
    cells: Mapping[tuple[str, str, str], tuple[float, float]] | None = None,
    half_width: float = 0.05,
    cost_factor: float = 1.25,
    n: int = 40,
    measured: Collection[str] = MEASURED,
    details: Mapping[str, Mapping[str, Any]] | None = None,
) -> bytes:
    """Return the canonical bytes of a table.

    `models` gives each model's accuracy (0..1) and cost (micro-USD per task) in every cell;
    `cells` replaces it for single cells ``(model, route, difficulty)``. Accuracy intervals reach
    `half_width` to both sides, cost intervals a factor `cost_factor`. Every cell of a `measured`
    route has `n` task results. `details` changes fields of a model's `TableModel`.
    """
    shape = (len(models), len(ROUTES), len(DIFFICULTIES))
    accuracy, cost = np.empty(shape), np.empty(shape)
    for i, (model_id, pair) in enumerate(models.items()):
        for j, route in enumerate(ROUTES):
            for k, difficulty in enumerate(DIFFICULTIES):
                key = (model_id, route, difficulty)
                accuracy[i, j, k], cost[i, j, k] = (cells or {}).get(key, pair)
    counts = np.zeros(shape, dtype=np.int64)
    is_measured = [route in measured for route in ROUTES]
    counts[:, is_measured] = n

    def estimates(
        accuracy: NDArray[np.float64], cost: NDArray[np.float64], n: NDArray[np.int64]
    ) -> Estimates:
        return Estimates(
            accuracy=accuracy.tolist(),
            accuracy_low=np.clip(accuracy - half_width, 0, 1).tolist(),
            accuracy_high=np.clip(accuracy + half_width, 0, 1).tolist(),
            cost=cost.tolist(),
            cost_low=(cost / cost_factor).tolist(),
            cost_high=(cost * cost_factor).tolist(),
            n=n.tolist(),
        )

    by_route = accuracy.mean(axis=2), cost.mean(axis=2), counts.sum(axis=2)
    overall = [figures[:, is_measured] for figures in by_route]
    content = TableContent(
        format=FORMAT,
        routes=ROUTES,
        difficulties=DIFFICULTIES,
        models=tuple(table_model(m, **(details or {}).get(m, {})) for m in models),
        cells=estimates(accuracy, cost, counts),
        by_route=estimates(*by_route),
        overall=estimates(overall[0].mean(axis=1), overall[1].mean(axis=1), overall[2].sum(axis=1)),
        sources=(SOURCE,),
    )
    return encode(content)


def make_table(models: Mapping[str, tuple[float, float]], **options: Any) -> Table:
    """Return `table_bytes` of the same arguments, decoded."""
    return decode(table_bytes(models, **options))


def publish_table(data: bytes) -> RoutingTable:
    """Store a table and make it the current one."""
    hash_hex = content_hash(data)
    table, _ = RoutingTable.objects.get_or_create(
        content_hash=hash_hex,
        defaults={"version": version_of(hash_hex), "content": data, "published_by": "test"},
    )
    CurrentTable.objects.update_or_create(scope=PUBLIC, defaults={"table": table})
    return table
