"""What changed from one routing table to another: figures, models, and what would be chosen.

Pure. Choices are made by the engine itself, for a text request with tools that is known to be of
one route, its difficulty being low, medium or high with equal probability.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace

import msgspec
import numpy as np

from leaderboard.table import EstimateArrays, Table
from lib.taxonomy import DIFFICULTIES, ROUTES
from routing.engine.classification import Classification
from routing.engine.decide import decide
from routing.engine.inputs import MODES, Request, Rules
from routing.engine.outcome import Refusal

REQUEST = Request(
    context_tokens=0, modalities=frozenset({"text"}), needs_tools=True, in_tool_loop=False
)


@dataclass(frozen=True)
class Span:
    """An estimate with its 90% interval."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class Cell:
    """What one table expects of a model; `n` counts the task results behind it.

    Accuracy is a probability, cost is micro-USD per task.
    """

    accuracy: Span
    cost: Span
    n: int


@dataclass(frozen=True)
class CellChange:
    """A cell of a model that both tables know, with other figures in each."""

    model: str
    route: str
    difficulty: str
    before: Cell
    after: Cell

    @property
    def accuracy_change(self) -> float:
        """Expected accuracy after, minus before."""
        return self.after.accuracy.mean - self.before.accuracy.mean

    @property
    def cost_ratio(self) -> float:
        """Expected cost after, as a multiple of before."""
        return self.after.cost.mean / self.before.cost.mean


@dataclass(frozen=True)
class ModelChange:
    """Something that the tables say differently of a model itself, such as a price."""

    model: str
    field: str
    before: object
    after: object


@dataclass(frozen=True)
class Chosen:
    """What a table makes the engine choose. Figures are None for a model that it does not know.

    `saving` is the share of the baseline model's cost that is not spent: negative when the choice
    is dearer, None when either cost is unknown.
    """

    model: str | None
    reason: str
    accuracy: float | None
    cost_micro_usd: int | None
    saving: float | None


@dataclass(frozen=True)
class ChoiceChange:
    """A route and mode in which the tables lead to another model, or another expected saving."""

    route: str
    mode: str
    before: Chosen
    after: Chosen

    @property
    def changes_model(self) -> bool:
        """Whether another model is chosen."""
        return self.before.model != self.after.model

    @property
    def changes_saving(self) -> bool:
        """Whether the expected saving differs."""
        return self.before.saving != self.after.saving


@dataclass(frozen=True)
class Comparison:
    """Everything that differs between two tables, each list in the tables' own order."""

    before: str
    after: str
    added: tuple[str, ...]
    removed: tuple[str, ...]
    models: tuple[ModelChange, ...]
    cells: tuple[CellChange, ...]
    choices: tuple[ChoiceChange, ...]

    @property
    def is_empty(self) -> bool:
        """Whether nothing differs."""
        return not (self.added or self.removed or self.models or self.cells or self.choices)

    def largest_accuracy_changes(self, count: int) -> list[CellChange]:
        """Return the cells whose expected accuracy moved most, the largest change first."""
        moved = [cell for cell in self.cells if cell.accuracy_change]
        return sorted(moved, key=lambda cell: -abs(cell.accuracy_change))[:count]

    def largest_cost_changes(self, count: int) -> list[CellChange]:
        """Return the cells whose expected cost moved by the largest factor, up or down."""
        moved = [cell for cell in self.cells if cell.cost_ratio != 1]
        return sorted(moved, key=lambda cell: -abs(math.log(cell.cost_ratio)))[:count]


def compare(before: Table, after: Table, rules: Rules) -> Comparison:
    """Compare two tables, choosing by `rules` in each of the modes."""
    old = {model.model_id: place for place, model in enumerate(before.models)}
    new = {model.model_id: place for place, model in enumerate(after.models)}
    shared = [(name, place, new[name]) for name, place in old.items() if name in new]
    return Comparison(
        before=before.version,
        after=after.version,
        added=tuple(name for name in new if name not in old),
        removed=tuple(name for name in old if name not in new),
        models=tuple(
            change
            for name, place, new_place in shared
            for change in model_changes(name, before, place, after, new_place)
        ),
        cells=tuple(
            change
            for name, place, new_place in shared
            for change in cell_changes(name, before.cells, place, after.cells, new_place)
        ),
        choices=tuple(choice_changes(before, after, rules)),
    )


def model_changes(
    name: str, before: Table, place: int, after: Table, new_place: int
) -> Iterator[ModelChange]:
    """Yield what the tables say differently of one model."""
    old = msgspec.structs.asdict(before.models[place])
    new = msgspec.structs.asdict(after.models[new_place])
    for field, value in old.items():
        if new[field] != value:
            yield ModelChange(name, field, value, new[field])


def cell_changes(
    name: str, before: EstimateArrays, place: int, after: EstimateArrays, new_place: int
) -> Iterator[CellChange]:
    """Yield the cells of one model whose figures differ."""
    names = [field.name for field in fields(EstimateArrays)]
    differs = np.any(
        [getattr(before, one)[place] != getattr(after, one)[new_place] for one in names], axis=0
    )
    for route, difficulty in np.argwhere(differs).tolist():
        yield CellChange(
            name,
            ROUTES[route],
            DIFFICULTIES[difficulty],
            cell(before, (place, route, difficulty)),
            cell(after, (new_place, route, difficulty)),
        )


def cell(figures: EstimateArrays, where: tuple[int, int, int]) -> Cell:
    """Return one cell."""
    return Cell(
        Span(
            float(figures.accuracy[where]),
            float(figures.accuracy_low[where]),
            float(figures.accuracy_high[where]),
        ),
        Span(
            float(figures.cost[where]),
            float(figures.cost_low[where]),
            float(figures.cost_high[where]),
        ),
        int(figures.n[where]),
    )


def choice_changes(before: Table, after: Table, rules: Rules) -> Iterator[ChoiceChange]:
    """Yield the routes and modes in which the tables lead to something else."""
    for route in ROUTES:
        for mode in MODES:
            in_mode = replace(rules, mode=mode)
            old, new = choose(before, route, in_mode), choose(after, route, in_mode)
            if (old.model, old.saving) != (new.model, new.saving):
                yield ChoiceChange(route, mode, old, new)


def choose(table: Table, route: str, rules: Rules) -> Chosen:
    """Return what the engine chooses for a request that is certainly of this route."""
    certain = Classification(
        routes=tuple(float(name == route) for name in ROUTES),
        difficulties=(1 / len(DIFFICULTIES),) * len(DIFFICULTIES),
        source="client",
    )
    made = decide(REQUEST, certain, rules, table, None, 0)
    if isinstance(made, Refusal):
        return Chosen(None, made.code, None, None, None)
    figures, baseline = made.chosen, made.baseline_cost_micro_usd
    if figures is None:
        return Chosen(made.model, made.reason_code, None, None, None)
    saving = round(1 - figures.cost_micro_usd / baseline, 4) if baseline else None
    return Chosen(made.model, made.reason_code, figures.accuracy, figures.cost_micro_usd, saving)
