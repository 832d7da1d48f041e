"""What a decision is: a choice with everything that explains it, or a refusal."""

from collections.abc import Callable
from dataclasses import dataclass, field

from msgspec import Struct

from routing.engine.classification import Classification
from routing.engine.inputs import Session
from routing.engine.lazy import lazy


class Candidate(Struct, frozen=True):
    """One model's figures for this request and why it was or was not taken.

    Shares are given to four decimals. `clears` is the probability that it clears the bar; None for
    a model that could not be considered.
    """

    model: str
    accuracy: float
    low: float
    high: float
    cost_micro_usd: int
    clears: float | None
    verdict: str


class Rung(Struct, frozen=True):
    """One model of a ladder: what it is expected to do with what those before it have failed."""

    model: str
    success: float
    cost_micro_usd: int


class Estimate(Struct, frozen=True):
    """What a decision is expected to achieve and cost, with the 90% interval of its accuracy."""

    accuracy: float
    low: float
    high: float
    cost_micro_usd: int


class Ladder(Struct, frozen=True):
    """The models to try one after the other until one succeeds.

    `success` is the probability that one of them does, `cost_micro_usd` what all that are tried are
    expected to cost together.
    """

    rungs: tuple[Rung, ...]
    success: float
    cost_micro_usd: int


@dataclass(frozen=True)
class Choice:
    """A decision and everything that explains it.

    `explain` gives a verdict on every model, worked out when `candidates` is first read.
    """

    model: str
    fallback_models: tuple[str, ...]
    reason_code: str
    reason_text: str
    mode: str
    classification: Classification | None
    best_model: str | None
    best_accuracy: float | None
    baseline_cost_micro_usd: int | None
    sticky: bool
    switched: bool
    switch_reason: str | None
    session: Session
    ladder: Ladder | None = None
    explain: Callable[[], tuple[Candidate, ...]] = field(default=tuple, compare=False, repr=False)

    @lazy
    def candidates(self) -> tuple[Candidate, ...]:
        """Every model of the table: the chosen one, then the other able ones by cost."""
        return self.explain()

    @property
    def chosen(self) -> Candidate | None:
        """The chosen model's figures; None when no table knows it."""
        return next((c for c in self.candidates if c.model == self.model), None)

    @property
    def estimate(self) -> Estimate | None:
        """What is expected of the chosen model, or where there is a ladder of the whole ladder.

        A ladder's interval is that of its first model, moved to where the ladder is. None for a
        model without figures.
        """
        one = self.chosen
        if one is None:
            return None
        if self.ladder is None:
            return Estimate(one.accuracy, one.low, one.high, one.cost_micro_usd)
        whole = self.ladder.success
        more = max(whole - one.accuracy, 0.0)
        low, high = min(round(one.low + more, 4), whole), min(round(one.high + more, 4), 1.0)
        return Estimate(whole, low, max(high, whole), self.ladder.cost_micro_usd)


@dataclass(frozen=True)
class Refusal:
    """No model is left. `param` names the constraint, `message` says how to mend it."""

    code: str
    param: str
    message: str


class Steps(Struct, frozen=True):
    """A ladder by places of the field.

    `successes` and `costs` are each rung's own once it is reached, so after those before it failed;
    `success` and `cost` are those of the whole.
    """

    places: tuple[int, ...]
    successes: tuple[float, ...]
    costs: tuple[float, ...]
    success: float
    cost: float


class Pick(Struct, frozen=True):
    """A model (its place in the field, None when the table does not know it) and why.

    `told` is the sentence of a reason that needs its own.
    """

    model: str
    place: int | None
    reason: str
    sticky: bool = False
    switched: bool = False
    switch_reason: str | None = None
    held: str | None = None
    steps: Steps | None = None
    told: str = ""
