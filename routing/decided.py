"""What reports of usage and outcomes need to know of the decision that they name. Pure."""

from datetime import datetime
from typing import Any

from msgspec import Struct


class Decided(Struct, frozen=True, gc=False):
    """A decision as a call has to know it that went to the model which was chosen.

    Costs are what was expected, of a ladder of all its models together.
    """

    public_id: str
    session_id: str
    model: str
    reason_code: str
    task_type: str
    subtask_type: str
    mode: str
    cost_micro_usd: int | None
    baseline_cost_micro_usd: int | None

    @property
    def route(self) -> str:
        """``task_type/subtask_type``, or empty when the request was not classified."""
        return f"{self.task_type}/{self.subtask_type}" if self.task_type else ""

    def names(self, model: str) -> bool:
        """Tell whether a model was to be used."""
        return model == self.model


class Judged(Decided, frozen=True):
    """A decision as an outcome has to know it, or a call that went to another model.

    `accuracy` is what was expected, of a ladder of all its models together.
    """

    created_at: datetime
    difficulty: str
    accuracy: float | None
    ladder: dict[str, Any] | None

    @property
    def expected_of(self) -> dict[str, float]:
        """The success expected of each model that the decision named, once it is reached."""
        if self.ladder:
            return {rung["model"]: rung["success"] for rung in self.ladder["rungs"]}
        return {} if self.accuracy is None else {self.model: self.accuracy}

    def names(self, model: str) -> bool:
        """Tell whether a model was to be used, at once or when others fail."""
        return model == self.model or model in self.expected_of


# What is known of a call that names no decision.
UNDECIDED = Decided("", "", "", "", "", "", "", None, None)
