"""What reports of usage and outcomes need to know of the decision that they name. Pure."""

from datetime import UTC, datetime
from typing import Any

from msgspec import Struct


class Decided(Struct):
    """A decision without its evidence, but for the `ladder` where somebody asked for that.

    `accuracy` and `cost_micro_usd` are what was expected, of a ladder of all its models together.
    """

    public_id: str
    session_id: str
    created_at: datetime
    model: str
    reason_code: str
    task_type: str
    subtask_type: str
    difficulty: str
    mode: str
    accuracy: float | None
    cost_micro_usd: int | None
    baseline_cost_micro_usd: int | None
    ladder: dict[str, Any] | None = None

    @property
    def route(self) -> str:
        """``task_type/subtask_type``, or empty when the request was not classified."""
        return f"{self.task_type}/{self.subtask_type}" if self.task_type else ""

    @property
    def expected_of(self) -> dict[str, float]:
        """The success expected of each model that the decision named, once it is reached."""
        if self.ladder:
            return {rung["model"]: rung["success"] for rung in self.ladder["rungs"]}
        return {} if self.accuracy is None else {self.model: self.accuracy}


# What is known of a call that names no decision.
UNDECIDED = Decided(
    "", "", datetime.min.replace(tzinfo=UTC), "", "", "", "", "", "", None, None, None
)
