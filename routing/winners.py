"""Who wins one kind of task under each mode, and why: the engine asked about every case. Pure."""

from dataclasses import dataclass, replace
from functools import lru_cache

from leaderboard.table import Table
from lib.taxonomy import DIFFICULTIES, ROUTES
from routing.engine.classification import Classification
from routing.engine.decide import decide
from routing.engine.inputs import MODES, Request, Rules
from routing.engine.outcome import Candidate, Choice

# A short text request with tools: what most requests are, and nearly every model can take.
REQUEST = Request(
    context_tokens=0, modalities=frozenset({"text"}), needs_tools=True, in_tool_loop=False
)


@dataclass(frozen=True)
class Win:
    """What is chosen in one mode at one difficulty. `choice` is None when no model is left.

    `runner_up` is what would be chosen if the winner did not exist.
    """

    mode: str
    difficulty: str
    choice: Choice | None
    runner_up: Candidate | None

    @property
    def candidates(self) -> tuple[Candidate, ...]:
        """Every model of the table with its verdict."""
        return self.choice.candidates if self.choice else ()


@lru_cache(maxsize=64)
def winners(table: Table, route: str, rules: Rules) -> tuple[Win, ...]:
    """Return who wins a route, by mode and difficulty. `rules.mode` does not matter."""
    return tuple(
        win(table, route, difficulty, replace(rules, mode=mode))
        for mode in MODES
        for difficulty in DIFFICULTIES
    )


def win(table: Table, route: str, difficulty: str, rules: Rules) -> Win:
    """Return who wins one case."""
    certain = Classification(
        routes=tuple(float(name == route) for name in ROUTES),
        difficulties=tuple(float(name == difficulty) for name in DIFFICULTIES),
        source="client",
    )
    first = decide(REQUEST, certain, rules, table, None, 0)
    if not isinstance(first, Choice):
        return Win(rules.mode, difficulty, None, None)
    without = replace(rules, denied=rules.denied | {first.model})
    second = decide(REQUEST, certain, without, table, None, 0)
    runner_up = second.chosen if isinstance(second, Choice) else None
    return Win(rules.mode, difficulty, first, runner_up)
