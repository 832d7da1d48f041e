"""What a decision is made from, besides the classification and the routing table."""

from dataclasses import dataclass

MODES = ("auto_efficient", "accuracy_per_dollar", "best_accuracy")


@dataclass(frozen=True)
class Request:
    """What the request asks of any model.

    `context_tokens` is the size of the conversation. `in_tool_loop` tells that the last message is
    a tool's result: the model is in the middle of a turn.
    """

    context_tokens: int
    modalities: frozenset[str]
    needs_tools: bool
    in_tool_loop: bool


@dataclass(frozen=True)
class Rules:
    """A policy as the engine reads it; docs/routing.md explains each. `mode` is one of MODES."""

    version: str
    mode: str
    quality_bar: float
    evidence: float
    confidence_threshold: float
    allowed: frozenset[str]
    denied: frozenset[str]
    balanced_model: str
    baseline_model: str

    def permits(self, model_id: str) -> bool:
        """Tell whether the policy lets a model be used. An empty allow-list means all."""
        return model_id not in self.denied and (not self.allowed or model_id in self.allowed)


@dataclass(frozen=True)
class Session:
    """What is remembered between the requests of one session.

    `routes` and `difficulties` are the running probabilities; both empty when nothing has been
    classified yet. Times are milliseconds since the epoch.
    """

    model: str
    routes: tuple[float, ...]
    difficulties: tuple[float, ...]
    turns: int
    last_at_ms: int
