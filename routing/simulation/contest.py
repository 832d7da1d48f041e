"""Rules for when a session changes its model, each on the same simulated sessions. Pure."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Final, NamedTuple

import numpy as np

from leaderboard.table import Floats, Table
from lib.taxonomy import DIFFICULTIES
from routing.engine.classification import Classification
from routing.engine.decide import decide
from routing.engine.field import Abilities, Field, abilities_for, field_of
from routing.engine.figures import Figures, bar_of, weigh
from routing.engine.inputs import Request, Rules, Session
from routing.engine.outcome import Choice
from routing.engine.staying import CACHE_LIFETIME_MS
from routing.simulation.billing import Caches, Prices
from routing.simulation.traffic import Turn

# The rule that looks at point estimates moves to a model that is cheaper by this factor.
CHEAPER_BY: Final = 1.25
DAY_MS: Final = 8 * 3600 * 1000
TEXT: Final = frozenset({"text"})

Sessions = Sequence[Sequence[Turn]]


class NoModel(Exception):
    """The table and the policy leave no model to simulate with."""


class Answer(NamedTuple):
    """The place of the model that answers a turn, and what a rule remembers of the session."""

    place: int
    session: Session | None = None


# Says who answers a turn, given who answered the turn before and what was remembered.
Rule = Callable[[Turn, int | None, Session | None], Answer]


@dataclass
class Tally:
    """What one rule did with the sessions, each figure by session; money in micro-USD.

    `solved` adds up the expected accuracies of a session's tasks. `lost` is what switches cost in
    tokens that the model before had in its cache.
    """

    switches: list[int] = field(default_factory=list)
    spent: list[float] = field(default_factory=list)
    lost: list[float] = field(default_factory=list)
    solved: list[float] = field(default_factory=list)


class Outcome(NamedTuple):
    """A rule's figures, money in USD; a day is eight hours of a session's time.

    `quality` is the mean expected accuracy of a task. `dearer` and `better` tell by how much a
    session costs more, and solves a larger share of its tasks, than under the session rule: the
    mean over sessions, and its standard error.
    """

    switches_per_session: float
    switches_per_day: float
    spent_per_session: float
    lost_per_session: float
    quality: float
    dearer: tuple[float, float]
    better: tuple[float, float]


class Traffic(NamedTuple):
    """What the sessions were like. Medians, except for `sessions` and the shares.

    `context` is that of a request. `read` is the share of requests that came with new words.
    """

    sessions: int
    requests: float
    context: float
    idle: float
    read: float


class Contest:
    """The rules over one table and policy."""

    def __init__(self, table: Table, rules: Rules) -> None:
        self.table, self.policy = table, rules
        self.field: Field = field_of(table, rules)
        self.accuracy = table.cells.accuracy.reshape(len(table.models), -1)
        self.fresh: dict[tuple[Classification, Abilities], tuple[Figures, int]] = {}

    @property
    def rules(self) -> dict[str, Rule]:
        """The rules by name."""
        return {
            "session rule": self.ours,
            "no stickiness": self.never_stick,
            "always stick": self.always_stick,
            "cheaper by a factor": self.by_a_factor,
        }

    def ours(self, turn: Turn, place: int | None, before: Session | None) -> Answer:
        """The engine's session rule."""
        choice = self.decided(turn, before)
        # Inside the tool loop the model stays, so the engine need not be asked again.
        after = replace(
            choice.session,
            turns=choice.session.turns + turn.requests - 1,
            last_at_ms=turn.ends_ms,
        )
        return Answer(self.field.index[choice.model], after)

    def never_stick(self, turn: Turn, place: int | None, before: Session | None) -> Answer:
        """A fresh choice for every request."""
        return Answer(self.freshly(turn)[1])

    def always_stick(self, turn: Turn, place: int | None, before: Session | None) -> Answer:
        """The first choice for all of the session."""
        return Answer(self.freshly(turn)[1] if place is None else place)

    def by_a_factor(self, turn: Turn, place: int | None, before: Session | None) -> Answer:
        """Keep while the point estimate clears the bar; leave for what is cheaper by a factor."""
        figures, fresh = self.freshly(turn)
        if place is None:
            return Answer(fresh)
        floor = bar_of(self.policy) * figures.accuracy[figures.best]
        cheaper = figures.cost[fresh] * CHEAPER_BY <= figures.cost[place]
        return Answer(fresh if cheaper or figures.accuracy[place] < floor else place)

    def freshly(self, turn: Turn) -> tuple[Figures, int]:
        """Return what is believed of the models, and the choice that knows of no session."""
        request = as_request(turn)
        key = turn.reading, abilities_for(self.field, request)
        if key not in self.fresh:
            choice = self.decided(turn, None)
            figures = weigh(self.field, request, turn.reading, self.policy)
            self.fresh[key] = figures, self.field.index[choice.model]
        return self.fresh[key]

    def decided(self, turn: Turn, before: Session | None) -> Choice:
        """Return the engine's decision on the first request of a turn. Raises NoModel."""
        choice = decide(
            as_request(turn), turn.reading, self.policy, self.table, before, turn.begins_ms
        )
        if not isinstance(choice, Choice) or choice.model not in self.field.index:
            raise NoModel("The table and the policy leave no model to simulate with.")
        return choice

    def run(self, rule: Rule, prices: Prices, sessions: Sessions) -> Tally:
        """Return what a rule does with the sessions."""
        tally = Tally()
        for turns in sessions:
            self.follow(tally, rule, prices, turns)
        return tally

    def follow(self, tally: Tally, rule: Rule, prices: Prices, turns: Sequence[Turn]) -> None:
        """Follow one session under a rule."""
        caches = Caches()
        place: int | None = None
        session: Session | None = None
        switches, spent, lost = 0, 0.0, 0.0
        answered = np.zeros((turns[-1].task + 1, 2))
        for turn in turns:
            before = place
            place, session = rule(turn, before, session)
            unread = turn.first_known - caches.holds(place, turn)
            spent += prices.of_turn(place, turn) + prices.of_reading_anew(place, unread)
            if before is not None and place != before:
                switches += 1
                lost += prices.of_reading_anew(place, min(caches.holds(before, turn), unread))
            caches.after(place, turn)
            accuracy = self.accuracy[place, turn.route * len(DIFFICULTIES) + turn.difficulty]
            answered[turn.task] += (turn.requests * accuracy, turn.requests)
        tally.switches.append(switches)
        tally.spent.append(spent)
        tally.lost.append(lost)
        tally.solved.append(float((answered[:, 0] / answered[:, 1]).sum()))


def compare(contest: Contest, sessions: Sessions) -> dict[str, Outcome]:
    """Return every rule's figures on the same sessions. Raises NoModel."""
    prices = Prices.of(contest.table, sessions)
    tallies = {name: contest.run(rule, prices, sessions) for name, rule in contest.rules.items()}
    first = next(iter(tallies.values()))
    days = sum(turns[-1].ends_ms for turns in sessions) / DAY_MS
    tasks = np.array([turns[-1].task + 1 for turns in sessions])
    return {
        name: Outcome(
            switches_per_session=float(np.mean(tally.switches)),
            switches_per_day=sum(tally.switches) / days,
            spent_per_session=float(np.mean(tally.spent)) / 1e6,
            lost_per_session=float(np.mean(tally.lost)) / 1e6,
            quality=sum(tally.solved) / int(tasks.sum()),
            dearer=mean_and_error((np.array(tally.spent) - first.spent) / 1e6),
            better=mean_and_error((np.array(tally.solved) - first.solved) / tasks.mean()),
        )
        for name, tally in tallies.items()
    }


def mean_and_error(values: Floats) -> tuple[float, float]:
    """Return the mean with its standard error, which is not known of fewer than two values."""
    error = values.std(ddof=1) / len(values) ** 0.5 if len(values) > 1 else float("nan")
    return float(values.mean()), float(error)


def traffic_of(sessions: Sessions) -> Traffic:
    """Return what the sessions are like."""
    turns = [turn for session in sessions for turn in session]
    requests = np.array([turn.requests for turn in turns])
    sizes = np.array([(turn.repeated + turn.carried + turn.added) for turn in turns]) / requests
    gaps = [
        after.begins_ms - before.ends_ms > CACHE_LIFETIME_MS
        for session in sessions
        for before, after in pairwise(session)
    ]
    return Traffic(
        sessions=len(sessions),
        requests=float(np.median([sum(turn.requests for turn in one) for one in sessions])),
        context=float(np.median(np.repeat(sizes, requests))),
        idle=float(np.mean(gaps)) if gaps else 0.0,
        read=len(turns) / int(requests.sum()),
    )


def as_request(turn: Turn) -> Request:
    """Return the first request of a turn."""
    return Request(turn.context, TEXT, needs_tools=True, in_tool_loop=False)
