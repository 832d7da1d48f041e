"""What a decision is: a choice with everything that explains it, or a refusal."""

from dataclasses import dataclass

from routing.engine.classification import Classification
from routing.engine.inputs import Session


@dataclass(frozen=True)
class Candidate:
    """One model's figures for this request and why it was or was not taken.

    `clears` is the probability that it clears the bar; None for a model that could not be
    considered.
    """

    model: str
    accuracy: float
    low: float
    high: float
    cost_micro_usd: int
    clears: float | None
    verdict: str


@dataclass(frozen=True)
class Choice:
    """A decision and everything that explains it."""

    model: str
    fallback_models: tuple[str, ...]
    reason_code: str
    reason_text: str
    mode: str
    classification: Classification | None
    candidates: tuple[Candidate, ...]
    best_model: str | None
    best_accuracy: float | None
    baseline_cost_micro_usd: int | None
    sticky: bool
    switched: bool
    switch_reason: str | None
    session: Session

    @property
    def chosen(self) -> Candidate | None:
        """The chosen model's figures; None when no table knows it."""
        return next((c for c in self.candidates if c.model == self.model), None)


@dataclass(frozen=True)
class Refusal:
    """No model is left. `param` names the constraint, `message` says how to mend it."""

    code: str
    param: str
    message: str


@dataclass(frozen=True)
class Pick:
    """A model (its place in the field, None when the table does not know it) and why."""

    model: str
    place: int | None
    reason: str
    sticky: bool = False
    switched: bool = False
    switch_reason: str | None = None
    held: str | None = None
