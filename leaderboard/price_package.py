"""Models and their prices as the installed genai-prices package lists them, without a network call.

Only what loads the catalogue imports this: the package and what it needs are large.
"""

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from genai_prices.data_snapshot import get_snapshot
from genai_prices.types import (
    ConditionalPrice,
    ModelInfo,
    ModelPrice,
    Provider,
    StartDateConstraint,
    TieredPrices,
)

from leaderboard.models import ALWAYS, PRICE_FIELDS
from lib.money import to_micro_usd

GATEWAY: Final = "openrouter"
# Models that feeds report and the gateway's list lacks, with the first-party list that bills them:
# (provider, id there, name).
EXTRAS: Final[dict[str, tuple[str, str, str]]] = {
    "openai/gpt-5.2-codex": ("openai", "gpt-5.2-codex", "GPT-5.2-Codex"),
    "google/gemini-3-pro-preview": ("google", "gemini-3-pro-preview", "Gemini 3 Pro Preview"),
}
# What the package calls the fields of a price.
NAMES: Final = ("input_mtok", "output_mtok", "cache_read_mtok", "cache_write_mtok")


PriceKey = tuple[dt.date, int]
PriceValues = dict[str, int | None]


@dataclass(frozen=True)
class Listed:
    """A model as the package lists it. `prices` is by (valid from, above input tokens)."""

    model_id: str
    name: str
    context_tokens: int | None
    prices: dict[PriceKey, PriceValues]


def listed_models() -> list[Listed]:
    """Return every model of the package that the gateway's clients could call, with its price."""
    return list_models(get_snapshot().providers)


def list_models(providers: Iterable[Provider]) -> list[Listed]:
    """Return every model that the gateway's clients could call and whose price is known."""
    by_id = {provider.id: provider for provider in providers}
    infos = {
        info.id: info
        for info in by_id[GATEWAY].models
        if info.id.count("/") == 1 and ":" not in info.id and not info.id.startswith("~")
    }
    contexts = stated_contexts(by_id.values())
    names = {model_id: info.name or base_name(model_id) for model_id, info in infos.items()}
    for model_id, (provider, reference, name) in EXTRAS.items():
        info = by_id[provider].find_model(reference)
        if info and model_id not in infos:
            infos[model_id], names[model_id] = info, name
    listed = [
        Listed(
            model_id,
            names[model_id],
            info.context_window or contexts.get(base_name(model_id)),
            list_prices(info),
        )
        for model_id, info in infos.items()
    ]
    return sorted((model for model in listed if model.prices), key=lambda model: model.model_id)


def base_name(model_id: str) -> str:
    """Return a model's name without provider and variant: ``glm-5`` of ``z-ai/glm-5:batch``."""
    return model_id.rpartition("/")[2].partition(":")[0].lower()


def stated_contexts(providers: Iterable[Provider]) -> dict[str, int]:
    """Return the smallest context length that any host states, by base name.

    It fills gaps in the gateway's list: a gateway may send the request to any of these hosts.
    """
    stated: dict[str, list[int]] = defaultdict(list)
    for provider in providers:
        for info in provider.models:
            if info.context_window:
                stated[base_name(info.id)].append(info.context_window)
    return {name: min(contexts) for name, contexts in stated.items()}


def list_prices(info: ModelInfo) -> dict[PriceKey, PriceValues]:
    """Return the prices per token, by date and tier. Prices by time of day are left out."""
    prices = info.prices
    conditional = [ConditionalPrice(prices=prices)] if isinstance(prices, ModelPrice) else prices
    found: dict[PriceKey, PriceValues] = {}
    for entry in conditional:
        match entry.constraint:
            case None:
                valid_from = ALWAYS
            case StartDateConstraint(start_date=valid_from):
                pass
            case _:
                continue
        stated = {
            field: getattr(entry.prices, key, None)
            for field, key in zip(PRICE_FIELDS, NAMES, strict=True)
        }
        if stated["input_micro_usd"] is None or stated["output_micro_usd"] is None:
            continue
        tiered = [value for value in stated.values() if isinstance(value, TieredPrices)]
        for start in sorted({0, *(tier.start for value in tiered for tier in value.tiers)}):
            found[valid_from, start] = {
                field: price_above(value, start) for field, value in stated.items()
            }
    return found


def price_above(value: Any, start: int) -> int | None:
    """Return the micro-USD per million tokens of a request with more than `start` input tokens."""
    if isinstance(value, TieredPrices):
        reached = [tier.price for tier in value.tiers if tier.start <= start]
        value = reached[-1] if reached else value.base
    return None if value is None else to_micro_usd(value)
