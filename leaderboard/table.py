"""A routing table in memory: what every model is expected to achieve, and at what cost.

Pure: it is made by `leaderboard.scorecard` from runs, written as canonical JSON, and read back into
numpy arrays that the decision engine, the leaderboard and the evaluation share.
"""

import hashlib
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from lib.taxonomy import DIFFICULTIES, ROUTES

FORMAT = 1
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class TableModel(msgspec.Struct, frozen=True):
    """What the table says of a model itself. Prices are micro-USD per million tokens."""

    model_id: str
    name: str
    provider: str
    available: bool
    context_tokens: int | None
    input_modalities: tuple[str, ...]
    supports_tools: bool
    input_micro_usd: int | None
    output_micro_usd: int | None
    cache_read_micro_usd: int | None
    cache_write_micro_usd: int | None


class Source(msgspec.Struct, frozen=True):
    """One feed behind the table, for the page that credits it."""

    name: str
    licence: str
    runs: int
    newest_measured_at: str | None
    url: str = ""


class Estimates(msgspec.Struct, frozen=True):
    """Estimates with 90% intervals, as nested lists of one common shape.

    Accuracy is a probability; cost is micro-USD per task; `n` counts the task results behind it.
    """

    accuracy: list[Any]
    accuracy_low: list[Any]
    accuracy_high: list[Any]
    cost: list[Any]
    cost_low: list[Any]
    cost_high: list[Any]
    n: list[Any]


class TableContent(msgspec.Struct, frozen=True):
    """Everything that the content hash covers. `scope` says whose results were counted."""

    format: int
    routes: tuple[str, ...]
    difficulties: tuple[str, ...]
    models: tuple[TableModel, ...]
    cells: Estimates
    by_route: Estimates
    overall: Estimates
    sources: tuple[Source, ...]
    own_sd: list[Any] = []
    scope: str = "public"


@dataclass(frozen=True, eq=False)
class EstimateArrays:
    """`Estimates` as numpy arrays. `accuracy_sd` is read off the 90% interval."""

    accuracy: Floats
    accuracy_low: Floats
    accuracy_high: Floats
    cost: Floats
    cost_low: Floats
    cost_high: Floats
    n: Ints

    @property
    def accuracy_sd(self) -> Floats:
        """Standard deviation that a normal with this 90% interval would have."""
        return (self.accuracy_high - self.accuracy_low) / (2 * 1.6448536269514722)


@dataclass(frozen=True, eq=False)
class Table:
    """A published table. First axis: `models`; then `ROUTES`; then `DIFFICULTIES`.

    `cells` has shape (models, 18, 3); `by_route` (models, 18), a route's figure being the mean over
    its difficulties; `overall` (models,), the mean over the routes that any run measured.

    `standing` names the model that each route stands by while this is the current table; see
    `leaderboard.standing`. It is not part of the content.
    """

    version: str
    models: tuple[TableModel, ...]
    cells: EstimateArrays
    by_route: EstimateArrays
    overall: EstimateArrays
    own_sd: Floats
    sources: tuple[Source, ...]
    standing: tuple[str, ...] = ()

    def index_of(self, model_id: str) -> int | None:
        """Return a model's place on the first axis, or None when the table does not know it."""
        return next((i for i, model in enumerate(self.models) if model.model_id == model_id), None)

    @property
    def measured_routes(self) -> list[int]:
        """Indexes of the routes that any run measured."""
        return [int(route) for route in np.flatnonzero(self.by_route.n.sum(axis=0))]


def encode(content: TableContent) -> bytes:
    """Return the canonical bytes: same content, same bytes, same hash."""
    return msgspec.json.encode(content, order="deterministic")


def content_hash(data: bytes) -> str:
    """Return the SHA-256 of canonical bytes, as hex."""
    return hashlib.sha256(data).hexdigest()


def version_of(hash_hex: str) -> str:
    """Return the short name of a table, which starts with its content hash."""
    return f"tbl_{hash_hex[:16]}"


def decode(data: bytes) -> Table:
    """Read canonical bytes back. Raises msgspec.ValidationError or ValueError on anything else."""
    content = msgspec.json.decode(data, type=TableContent)
    if (content.format, content.routes, content.difficulties) != (FORMAT, ROUTES, DIFFICULTIES):
        raise ValueError(
            "This routing table was made for another taxonomy or format: publish anew."
        )
    cells = arrays(content.cells)
    return Table(
        version=version_of(content_hash(data)),
        models=content.models,
        cells=cells,
        own_sd=np.array(content.own_sd) if content.own_sd else cells.accuracy_sd,
        by_route=arrays(content.by_route),
        overall=arrays(content.overall),
        sources=content.sources,
    )


def arrays(estimates: Estimates) -> EstimateArrays:
    """Return the lists as arrays."""
    return EstimateArrays(
        accuracy=np.array(estimates.accuracy),
        accuracy_low=np.array(estimates.accuracy_low),
        accuracy_high=np.array(estimates.accuracy_high),
        cost=np.array(estimates.cost),
        cost_low=np.array(estimates.cost_low),
        cost_high=np.array(estimates.cost_high),
        n=np.array(estimates.n, dtype=np.int64),
    )
