"""What a draft of a policy would have chosen for past requests, beside the policy in force. Pure.

Both are asked anew, by the engine itself and from the same table, so that nothing but the policy
makes the difference. A session is followed: what a policy chose for one of its requests is the
session's model when the next one comes.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np

from leaderboard.board import Interval
from leaderboard.table import Table
from lib.taxonomy import DIFFICULTIES, ROUTES
from routing.engine.classification import Classification
from routing.engine.decide import decide
from routing.engine.inputs import Request, Rules, Session
from routing.engine.outcome import Choice
from routing.recorded import classification_of, request_of

MAX_EXAMPLES = 3


@dataclass(frozen=True)
class Ask:
    """A request as it was recorded, without its text; `weight` tells for how many it stands.

    `name` is the decision's public id, or the route of a benchmark's tasks.
    """

    name: str
    request: Request
    reading: Classification | None
    session_id: str = ""
    at_ms: int = 0
    weight: int = 1


@dataclass(frozen=True)
class Answer:
    """What a policy chose: `model` is None when it left none, figures when none are known."""

    model: str | None
    accuracy: Interval | None = None
    cost_micro_usd: float | None = None
    baseline_cost_micro_usd: int | None = None


@dataclass(frozen=True)
class Outcome:
    """What a policy makes of all the requests together; means are over those with figures.

    The ends of `accuracy` are the means of the ends of the single 90% intervals, as if all doubts
    moved together: rather too wide than too narrow. `refused` counts the requests for which no
    model is left, `unmeasured` those whose model has no figures.
    """

    accuracy: Interval | None
    cost_micro_usd: float | None
    saving: float | None
    refused: int
    unmeasured: int


@dataclass(frozen=True)
class Change:
    """Requests that would move from one model to another. None: no model is left.

    `cost_micro_usd` is the change of the expected cost per task, None where it is not known.
    """

    before: str | None
    after: str | None
    count: int
    cost_micro_usd: float | None
    examples: tuple[str, ...]


@dataclass(frozen=True)
class Replay:
    """A draft beside the policy in force, over `requests` requests."""

    requests: int
    changed: int
    current: Outcome
    draft: Outcome
    changes: tuple[Change, ...]


def replay(
    asks: Sequence[Ask], current: tuple[Rules, Table | None], draft: tuple[Rules, Table | None]
) -> Replay:
    """Ask both policies, each with its table, about the same requests."""
    before, after = answers(asks, *current), answers(asks, *draft)
    changes = changes_between(asks, before, after)
    return Replay(
        requests=sum(ask.weight for ask in asks),
        changed=sum(change.count for change in changes),
        current=outcome(asks, before),
        draft=outcome(asks, after),
        changes=changes,
    )


def answers(asks: Iterable[Ask], rules: Rules, table: Table | None) -> list[Answer]:
    """Return what a policy chooses for each request; they come in the order of time."""
    sessions: dict[str, Session] = {}
    found = []
    for ask in asks:
        session = sessions.get(ask.session_id) if ask.session_id else None
        choice = decide(ask.request, ask.reading, rules, table, session, ask.at_ms)
        if not isinstance(choice, Choice):
            found.append(Answer(None))
            continue
        if ask.session_id:
            # The recorded reading is what the session was believed to be about already.
            turns = session.turns + 1 if session else 1
            sessions[ask.session_id] = Session(choice.model, (), (), turns, ask.at_ms)
        found.append(as_answer(choice))
    return found


def as_answer(choice: Choice) -> Answer:
    """Return a choice with what is expected of it; of a ladder what is expected of the whole."""
    expected, baseline = choice.estimate, choice.baseline_cost_micro_usd
    if expected is None:
        return Answer(choice.model, baseline_cost_micro_usd=baseline)
    accuracy = Interval(expected.accuracy, expected.low, expected.high)
    return Answer(choice.model, accuracy, expected.cost_micro_usd, baseline)


def outcome(asks: Sequence[Ask], found: Sequence[Answer]) -> Outcome:
    """Add up what a policy chose."""
    refused = sum(ask.weight for ask, one in zip(asks, found, strict=True) if one.model is None)
    known = [
        (ask.weight, one.accuracy, one.cost_micro_usd, one.baseline_cost_micro_usd)
        for ask, one in zip(asks, found, strict=True)
        if one.accuracy is not None and one.cost_micro_usd is not None
    ]
    unmeasured = sum(ask.weight for ask in asks) - refused - sum(one[0] for one in known)
    if not known:
        return Outcome(None, None, None, refused, unmeasured)
    weights = np.array([one[0] for one in known], dtype=float)
    spans = np.array([(one[1].mean, one[1].low, one[1].high) for one in known])
    costs = np.array([one[2] for one in known])
    mean, low, high = (weights @ spans / weights.sum()).tolist()
    beside = [(weight, cost, base) for weight, _, cost, base in known if base is not None]
    baseline = sum(weight * base for weight, _, base in beside)
    spent = sum(weight * cost for weight, cost, _ in beside)
    return Outcome(
        accuracy=Interval(mean, low, high),
        cost_micro_usd=float(weights @ costs / weights.sum()),
        saving=1 - spent / baseline if baseline else None,
        refused=refused,
        unmeasured=unmeasured,
    )


def changes_between(
    asks: Sequence[Ask], before: Sequence[Answer], after: Sequence[Answer]
) -> tuple[Change, ...]:
    """Return the requests that change their model, by the two models, the most frequent first."""
    groups: dict[tuple[str | None, str | None], list[tuple[Ask, Answer, Answer]]] = {}
    for ask, old, new in zip(asks, before, after, strict=True):
        if old.model != new.model:
            groups.setdefault((old.model, new.model), []).append((ask, old, new))
    changes = [
        Change(
            before=pair[0],
            after=pair[1],
            count=sum(ask.weight for ask, _, _ in group),
            cost_micro_usd=mean_change(group),
            # The newest are the likeliest to be remembered.
            examples=tuple(dict.fromkeys(ask.name for ask, _, _ in reversed(group)))[:MAX_EXAMPLES],
        )
        for pair, group in groups.items()
    ]
    return tuple(sorted(changes, key=lambda one: (-one.count, one.before or "", one.after or "")))


def mean_change(group: Sequence[tuple[Ask, Answer, Answer]]) -> float | None:
    """Return how the expected cost of a task changes, in micro-USD."""
    known = [
        (ask.weight, new.cost_micro_usd - old.cost_micro_usd)
        for ask, old, new in group
        if old.cost_micro_usd is not None and new.cost_micro_usd is not None
    ]
    weights = sum(weight for weight, _ in known)
    return sum(weight * change for weight, change in known) / weights if weights else None


def recorded_ask(
    name: str, session_id: str, at: datetime, evidence: Mapping[str, Any]
) -> Ask | None:
    """Return a recorded request; None where its evidence does not tell what it asked of a model."""
    request = request_of(evidence)
    if request is None:
        return None
    return Ask(
        name=name,
        request=request,
        reading=classification_of(evidence),
        session_id=session_id,
        at_ms=int(at.timestamp() * 1000),
    )


def benchmark_asks(table: Table) -> list[Ask]:
    """Return the tasks that the table's results come from, one request per route and difficulty.

    Each is a text request with tools that is known to be of its route, and stands for as many tasks
    as any one model has results of.
    """
    tasks = table.cells.n.max(axis=0, initial=0)
    return [
        Ask(
            name=ROUTES[route],
            request=Request(0, frozenset({"text"}), needs_tools=True, in_tool_loop=False),
            reading=Classification(
                tuple(float(place == route) for place in range(len(ROUTES))),
                tuple(float(place == level) for place in range(len(DIFFICULTIES))),
                "client",
            ),
            weight=int(tasks[route, level]),
        )
        for route, level in np.argwhere(tasks > 0).tolist()
    ]
