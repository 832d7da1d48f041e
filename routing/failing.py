"""Which models are failing in a team's real use, noticed within minutes. Pure.

For each model two running scores are kept, one of calls (they end well or in an error) and one of
tasks (they are accepted or not). Every report adds the logarithm of how much likelier it is of a
model that succeeds half as often as it should than of one that is well; a score never falls below
zero and is halved every `HALF_LIFE_MS`. That is Page's cumulative sum test (E. S. Page, 1954) with
forgetting. A healthy model reaches the threshold `ln(R)` at most once in R reports on average
(G. Lorden, 1971), and forgetting makes that rarer.
"""

import math
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from operator import attrgetter
from typing import Final

import msgspec
from msgspec import Struct

CALLS: Final = "calls"
TASKS: Final = "tasks"
HALF_LIFE_MS: Final = 10 * 60 * 1000
# One false alarm in so many reports of a healthy model, at most.
REPORTS_PER_ALARM: Final = 10_000
OUT_AT: Final = math.log(REPORTS_PER_ALARM)
# Two thresholds, so that a model does not flicker; the cap ends the longest absence.
BACK_AT: Final = OUT_AT / 2
MOST: Final = OUT_AT * 2
# Failures must come from so many sessions: one that has gone astray accuses no model.
LEAST_SESSIONS: Final = 3
# How often calls end well when nothing is wrong.
CALL_RELIABILITY: Final = 0.9
# How sure a task's success can be at most, and at least.
CERTAINTY: Final = 0.95
# When what is kept of a team or a model is forgotten: long after its scores have faded.
TTL_SECONDS: Final = 2 * 3600


class Signal(Struct, frozen=True, gc=False):
    """How one call or one task of a model ended.

    `kind` is CALLS or TASKS, `expected` the probability of success when nothing is wrong, `origin`
    the session, or whatever tells one task from another.
    """

    model: str
    kind: str
    succeeded: bool
    expected: float
    origin: str
    at_ms: int


class Gauge(Struct, array_like=True):
    """One running score, as of `at_ms`.

    `since_ms` is when the model went out, 0 while it is in. `good` and `bad` are the reports behind
    the score, faded like it; `origins` are some of the sessions that failures came from.
    """

    score: float = 0.0
    at_ms: int = 0
    since_ms: int = 0
    good: float = 0.0
    bad: float = 0.0
    origins: list[str] = []

    def fade(self, at_ms: int) -> None:
        """Bring the score to a later moment."""
        share = faded(at_ms - self.at_ms)
        self.score, self.good, self.bad = self.score * share, self.good * share, self.bad * share
        self.at_ms = max(at_ms, self.at_ms)
        if self.since_ms and self.score < BACK_AT:
            self.since_ms = 0

    def take(self, signal: Signal) -> None:
        """Count one report; one from the past counts as much as is left of it."""
        self.fade(signal.at_ms)
        share = faded(self.at_ms - signal.at_ms)
        self.score = min(max(self.score + share * weight(signal), 0.0), MOST)
        if self.score == 0.0:
            self.good, self.bad, self.origins = 0.0, 0.0, []
        if signal.succeeded:
            self.good += share
        else:
            self.bad += share
            if signal.origin not in self.origins and len(self.origins) < LEAST_SESSIONS:
                self.origins = [*self.origins, signal.origin]
        if self.since_ms and self.score < BACK_AT:
            self.since_ms = 0
        elif not self.since_ms and self.score >= OUT_AT and len(self.origins) >= LEAST_SESSIONS:
            self.since_ms = signal.at_ms

    def is_out(self, now_ms: int) -> bool:
        """Tell whether the model is out at a moment."""
        return bool(self.since_ms) and self.score * faded(now_ms - self.at_ms) >= BACK_AT


class Failing(Struct, frozen=True):
    """A model that is out, since when, and how its latest calls or tasks went."""

    model: str
    kind: str
    since_ms: int
    good: float
    bad: float

    @property
    def since(self) -> datetime:
        """When it went out."""
        return datetime.fromtimestamp(self.since_ms / 1000, UTC)

    @property
    def why(self) -> str:
        """The reason as a clause."""
        share = self.bad / (self.good + self.bad)
        what = "calls ended in an error" if self.kind == CALLS else "tasks failed or were rejected"
        return f"{share:.0%} of its latest {what}"


Gauges = dict[str, dict[str, Gauge]]
encode = msgspec.msgpack.Encoder().encode
decoder = msgspec.msgpack.Decoder(Gauges)


def key(team_id: int) -> str:
    """Return the store's key of a team's scores."""
    return f"failing:{team_id}"


def decode(data: bytes | None) -> Gauges:
    """Return a team's scores; none when they were kept in another version's form."""
    if data is None:
        return {}
    try:
        return decoder.decode(data)
    except msgspec.DecodeError:
        return {}


def with_signals(data: bytes | None, signals: Iterable[Signal]) -> bytes | None:
    """Return what to keep after more reports, None when nothing is against any model."""
    gauges = decode(data)
    for signal in sorted(signals, key=attrgetter("at_ms")):
        kinds = gauges.setdefault(signal.model, {})
        gauge = kinds.get(signal.kind)
        # A success tells nothing where nothing is held against the model, which is nearly always.
        if signal.succeeded and (gauge is None or gauge.score == 0):
            continue
        if gauge is None:
            gauge = kinds[signal.kind] = Gauge()
        gauge.take(signal)
    times = [gauge.at_ms for kinds in gauges.values() for gauge in kinds.values()]
    oldest = max(times, default=0) - 1000 * TTL_SECONDS
    left = {
        model: {
            kind: gauge
            for kind, gauge in kinds.items()
            if gauge.score > 0 and gauge.at_ms >= oldest
        }
        for model, kinds in gauges.items()
    }
    kept = {model: kinds for model, kinds in left.items() if kinds}
    return encode(kept) if kept else None


def failing(gauges: Mapping[str, Mapping[str, Gauge]], now_ms: int) -> list[Failing]:
    """Return the models that are out at a moment, by name; the worse reason where there are two."""
    found = []
    for model, kinds in sorted(gauges.items()):
        out = [(gauge.score, kind) for kind, gauge in kinds.items() if gauge.is_out(now_ms)]
        if out:
            kind = max(out)[1]
            gauge = kinds[kind]
            found.append(Failing(model, kind, gauge.since_ms, gauge.good, gauge.bad))
    return found


def weight(signal: Signal) -> float:
    """Return the log likelihood ratio of a report: succeeding half as often against as expected."""
    expected = min(max(signal.expected, 1 - CERTAINTY), CERTAINTY)
    if signal.succeeded:
        return math.log(0.5)
    return math.log((1 - expected / 2) / (1 - expected))


def faded(age_ms: int) -> float:
    """Return what is left of a report of this age."""
    return 1.0 if age_ms <= 0 else math.exp2(-age_ms / HALF_LIFE_MS)
