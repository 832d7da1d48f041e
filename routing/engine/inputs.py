"""What a decision is made from, besides the classification and the routing table."""

import re
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Final

from lib.taxonomy import DIFFICULTIES, ROUTES

MODES = ("auto_efficient", "accuracy_per_dollar", "best_accuracy")
# What one more solved task may cost up to the bar, unless a policy says otherwise.
SUCCESS_PRICE_MICRO_USD: Final = 50_000_000


@dataclass(frozen=True)
class Request:
    """What the request asks of any model.

    `context_tokens` is the size of the conversation. `in_tool_loop` tells that the last message is
    a tool's result: the model is in the middle of a turn. `verifiable` tells that a failure will be
    noticed, so that another model can be tried.
    """

    context_tokens: int
    modalities: frozenset[str]
    needs_tools: bool
    in_tool_loop: bool
    verifiable: bool = False


@dataclass(frozen=True)
class Rules:
    """A policy as the engine reads it; docs/routing.md explains each. `mode` is one of MODES.

    `allowed` and `denied` name models, or many at once where ``*`` stands for any text. Of
    `balanced_models` the first usable one takes what is unclear. `overrides` maps routes to a mode
    or to a model; `pinned` is the model of the route at hand, see `on_route`. Up to the bar, one
    more solved task may cost `success_price_micro_usd`; None makes the bar strict.
    With `live_evidence` the table has the team's own outcomes in it.
    """

    version: str
    mode: str
    quality_bar: float
    evidence: float
    confidence_threshold: float
    allowed: frozenset[str]
    denied: frozenset[str]
    balanced_models: tuple[str, ...]
    baseline_model: str
    accuracy_floor: float = 0.0
    success_price_micro_usd: int | None = SUCCESS_PRICE_MICRO_USD
    price_ceiling_micro_usd: int | None = None
    overrides: tuple[tuple[str, str], ...] = ()
    pinned: str = ""
    live_evidence: bool = False

    def permits(self, model_id: str) -> bool:
        """Tell whether the policy lets a model be used. An empty allow-list means all."""
        return not names(self.denied, model_id) and (
            not self.allowed or names(self.allowed, model_id)
        )


def names(listed: frozenset[str], model_id: str) -> bool:
    """Tell whether a list of models and patterns names a model."""
    return model_id in listed or any(
        "*" in pattern and compiled(pattern).fullmatch(model_id) for pattern in listed
    )


@lru_cache(maxsize=1024)
def compiled(pattern: str) -> re.Pattern[str]:
    """Return a pattern of model ids, with at least one ``*``, which stands for any text.

    Each part between two stars is looked for once: where it comes first, whatever follows has the
    most left. So no pattern takes longer than its length times that of the text.
    """
    head, *middle, tail = (re.escape(part) for part in pattern.split("*"))
    found = "".join(f"(?>.*?{part})" for part in middle)
    return re.compile(f"{head}{found}.*{tail}", re.DOTALL)


@dataclass(frozen=True)
class Restriction:
    """What a spent budget leaves of the choice: only the "cheapest" model, or only "balanced" ones.

    `because` says so, as the start of a sentence.
    """

    to: str
    because: str


@lru_cache(maxsize=1024)
def on_route(rules: Rules, route: str) -> Rules:
    """Return the rules for one route: with the mode that is set for it, or the model pinned to it.

    A target that is no mode is a model.
    """
    target = dict(rules.overrides).get(route, "")
    if target in MODES:
        return replace(rules, mode=target, overrides=())
    return replace(rules, pinned=target, overrides=())


@dataclass(frozen=True)
class LastReading:
    """What the classifier of a version said of the words with this digest."""

    digest: str
    version: str
    routes: tuple[float, ...]
    difficulties: tuple[float, ...]


@dataclass(frozen=True)
class Session:
    """What is remembered between the requests of one session.

    `routes` and `difficulties` are the running probabilities; both empty when nothing has been
    classified yet. `last_reading` spares the same words a second reading. Times are milliseconds
    since the epoch.
    """

    model: str
    routes: tuple[float, ...]
    difficulties: tuple[float, ...]
    turns: int
    last_at_ms: int
    last_reading: LastReading | None = None

    @property
    def knows(self) -> bool:
        """Whether anything is known of what the session is about."""
        return len(self.routes) == len(ROUTES) and len(self.difficulties) == len(DIFFICULTIES)
