"""What simulated turns cost, by the models' real prices and the table's cost of a task."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from leaderboard.table import Floats, Table, TableModel
from lib.taxonomy import DIFFICULTIES
from routing.engine.staying import CACHE_LIFETIME_MS
from routing.simulation.traffic import Turn


@dataclass(frozen=True, eq=False)
class Prices:
    """Prices by model in micro-USD per token, and by model and cell how many times the tokens of a
    simulated task a model spends on a task of that cell.

    With that factor a model's simulated tasks cost what the table says, on average: some models
    take more requests, and think more, than others.
    """

    cold: Floats
    warm: Floats
    answer: Floats
    effort: Floats

    @classmethod
    def of(cls, table: Table, sessions: Sequence[Sequence[Turn]]) -> "Prices":
        """Return the prices of a table, with the factors that suit these sessions."""
        cold = np.array([first_read(model) for model in table.models]) / 1e6
        warm = np.array([read_again(model) for model in table.models]) / 1e6
        answer = np.array([model.output_micro_usd or 0 for model in table.models]) / 1e6
        turns = [turn for session in sessions for turn in session]
        tasks = sum(session[-1].task + 1 for session in sessions)
        moved = np.array([(turn.repeated, turn.added, turn.answered) for turn in turns])
        repeated, added, answered = moved.sum(axis=0) / tasks
        usual = np.maximum(warm * repeated + cold * added + answer * answered, 1.0)
        cost = table.cells.cost.reshape(len(table.models), -1)
        return cls(cold, warm, answer, cost / usual[:, None])

    def of_turn(self, model: int, turn: Turn) -> float:
        """Return what a turn costs a model that has its conversation in cache.

        Its own task costs what the table says of it; what was there before is read again with every
        request.
        """
        own = (
            self.warm[model] * turn.repeated
            + self.cold[model] * turn.added
            + self.answer[model] * turn.answered
        )
        effort = self.effort[model, turn.route * len(DIFFICULTIES) + turn.difficulty]
        return float(effort * own + self.warm[model] * turn.carried)

    def of_reading_anew(self, model: int, tokens: int) -> float:
        """Return what tokens cost that are not in the model's cache, over reading them from it."""
        return float((self.cold[model] - self.warm[model]) * tokens)


@dataclass
class Caches:
    """Which model has how much of one session's conversation in its prompt cache."""

    kept: dict[int, tuple[int, int, int]] = field(default_factory=dict)

    def holds(self, model: int, turn: Turn) -> int:
        """Return how many tokens of the conversation a model can read from cache."""
        until, part, tokens = self.kept.get(model, (0, -1, 0))
        if turn.begins_ms > until or part != turn.part_before:
            return 0
        return min(tokens, turn.first_known)

    def after(self, model: int, turn: Turn) -> None:
        """Keep what a turn has left in the model's cache."""
        self.kept[model] = (turn.ends_ms + CACHE_LIFETIME_MS, turn.part, turn.known_after)


def first_read(model: TableModel) -> int:
    """Return the price of a token that a model has not in cache: some charge for writing it."""
    return max(model.input_micro_usd or 0, model.cache_write_micro_usd or 0)


def read_again(model: TableModel) -> int:
    """Return the price of a token that a model has in cache, if it keeps one."""
    if model.cache_read_micro_usd is None:
        return model.input_micro_usd or 0
    return model.cache_read_micro_usd
