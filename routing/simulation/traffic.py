"""Agent sessions as coding clients have them: tasks, turns, tool loops, pauses, growing contexts.

A *session* works on one task after the other. A *turn* is one message of the person with the tool
loop that follows it; only its first request can be classified. Every figure here is an assumption
about traffic, stated in docs/routing.md.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from leaderboard.table import Floats
from lib.taxonomy import DIFFICULTIES, ROUTES
from routing.engine.classification import Classification

UNCLEAR: Final = "unclear"
# Tasks of a session, and turns of a task, beyond the first: geometric with these means.
MORE_TASKS: Final = 1.5
MORE_TURNS: Final = 1.0
# Tool results that a turn reads: log-normal median and spread.
TOOL_CALLS: Final = (7.0, 0.9)
MOST_TOOL_CALLS: Final = 80
# The next task of a session is often of the same route.
SAME_ROUTE: Final = 0.4
# Tokens: the client's own prompt with its tools; what a request adds; what a model answers.
PROMPT_TOKENS: Final = (16_000, 0.4)
ADDED_TOKENS: Final = (1_500, 1.0)
ANSWER_TOKENS: Final = (250, 0.8)
# A client condenses a conversation of this size to so many tokens, which are then read anew.
CONDENSED_AT: Final = 150_000
CONDENSED_TO: Final = 25_000
# Pauses in ms: between requests of a tool loop, before a further turn, before the next task.
TOOL_PAUSE: Final = (9_000, 0.7)
TURN_PAUSE: Final = (110_000, 1.1)
TASK_PAUSE: Final = (240_000, 1.3)
# A further turn of a task often says only "go on" or "no, the other one".
VAGUE_FURTHER_TURN: Final = 0.3
# Other further turns are read like the turn before as often as this, else anew: the classifier sees
# the first turn with each later one, so that its mistakes last.
READ_ALIKE: Final = 0.5
# How often a difficulty is taken for each other one: right about as often as the classifier.
DIFFICULTY_CONFUSION: Final = ((0.75, 0.21, 0.04), (0.14, 0.72, 0.14), (0.04, 0.22, 0.74))

Confusion = Mapping[str, Mapping[str, float]]


@dataclass(frozen=True, eq=False)
class Turn:
    """One turn: what it truly is about, what it is taken for, and the tokens that it moves.

    `context` is the conversation so far, of which `first_known` tokens were sent before: nothing
    when the client has just condensed it. Over all its requests a turn reads `repeated` tokens of
    its own task and `carried` tokens from before it once more, reads `added` for the first time and
    writes `answered`. `known_after` tokens have been sent when it ends. `part` changes when the
    client condenses.
    """

    task: int
    route: int
    difficulty: int
    reading: Classification
    requests: int
    context: int
    first_known: int
    repeated: int
    carried: int
    added: int
    answered: int
    known_after: int
    part_before: int
    part: int
    begins_ms: int
    ends_ms: int


class Readings:
    """What a classifier says that confuses routes and difficulties like this, and is calibrated.

    A request that is taken for a route gets the probabilities that requests so taken really have,
    by Bayes' rule over evenly frequent routes and difficulties.
    """

    def __init__(self, confusion: Confusion) -> None:
        self.names = (*ROUTES, UNCLEAR)
        self.by_true: Floats = np.array(
            [[confusion[route].get(name, 0.0) for name in self.names] for route in ROUTES]
        )
        self.by_true /= self.by_true.sum(axis=1, keepdims=True)
        levels = np.array(DIFFICULTY_CONFUSION)
        even = (1 / len(DIFFICULTIES),) * len(DIFFICULTIES)
        self.by_level = levels.cumsum(axis=1)
        self.taken = self.by_true.cumsum(axis=1)
        self.made: list[list[Classification]] = []
        for column in range(len(self.names)):
            routes = self.by_true[:, column]
            total = routes.sum()
            shares = tuple((routes / total if total else np.full(18, 1 / 18)).tolist())
            unclear = column == len(ROUTES)
            self.made.append(
                [
                    Classification(
                        shares,
                        even if unclear else tuple((levels[:, k] / levels[:, k].sum()).tolist()),
                    )
                    for k in range(len(DIFFICULTIES))
                ]
            )

    def draw(
        self, rng: np.random.Generator, route: int, difficulty: int, vague: bool
    ) -> Classification:
        """Return what a request of this kind is taken for."""
        at = [rng.random(), rng.random()]
        column = len(ROUTES) if vague else int(np.searchsorted(self.taken[route], at[0]))
        level = int(np.searchsorted(self.by_level[difficulty], at[1]))
        return self.made[min(column, len(ROUTES))][min(level, len(DIFFICULTIES) - 1)]


def simulate(rng: np.random.Generator, count: int, readings: Readings) -> list[list[Turn]]:
    """Return the turns of so many sessions."""
    return [session(rng, readings) for _ in range(count)]


def session(rng: np.random.Generator, readings: Readings) -> list[Turn]:
    """Return the turns of one session."""
    turns: list[Turn] = []
    now = 0.0
    known = 0
    context = int(around(rng, PROMPT_TOKENS))
    part = 0
    route = -1
    for task in range(rng.geometric(1 / (1 + MORE_TASKS))):
        if route < 0 or rng.random() >= SAME_ROUTE:
            route = int(rng.integers(len(ROUTES)))
        difficulty = int(rng.integers(len(DIFFICULTIES)))
        from_before = known
        for turn in range(rng.geometric(1 / (1 + MORE_TURNS))):
            if turns:
                now += around(rng, TURN_PAUSE if turn else TASK_PAUSE)
            vague = turn > 0 and rng.random() < VAGUE_FURTHER_TURN
            if turn == 0 or vague or rng.random() >= READ_ALIKE:
                reading = readings.draw(rng, route, difficulty, vague)
            requests = 1 + min(int(around(rng, TOOL_CALLS)), MOST_TOOL_CALLS)
            new = np.exp(rng.normal(np.log(ADDED_TOKENS[0]), ADDED_TOKENS[1], requests))
            said = np.exp(rng.normal(np.log(ANSWER_TOKENS[0]), ANSWER_TOKENS[1], requests))
            begins, part_before, start = now, part, -1
            repeated = carried = added = first_known = 0
            for adds, says in zip(new.astype(int).tolist(), said.astype(int).tolist(), strict=True):
                context += adds
                if context > CONDENSED_AT:
                    context, known, from_before = CONDENSED_TO, 0, 0
                    part += 1
                if start < 0:
                    start, first_known, part_before = context, known, part
                carried += from_before
                repeated += known - from_before
                added += context - known
                known = context
                context += says
            now += requests * around(rng, TOOL_PAUSE)
            turns.append(
                Turn(
                    task=task,
                    route=route,
                    difficulty=difficulty,
                    reading=reading,
                    requests=requests,
                    context=start,
                    first_known=first_known,
                    repeated=repeated,
                    carried=carried,
                    added=added,
                    answered=int(said.sum()),
                    known_after=known,
                    part_before=part_before,
                    part=part,
                    begins_ms=int(begins),
                    ends_ms=int(now),
                )
            )
    return turns


def around(rng: np.random.Generator, shape: tuple[float, float]) -> float:
    """Return a log-normal draw with this median and spread."""
    return float(np.exp(rng.normal(np.log(shape[0]), shape[1])))
