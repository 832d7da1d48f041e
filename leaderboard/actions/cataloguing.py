"""The catalogue: which models there are, what they cost, and which benchmarks are known.

Models and prices come from the installed genai-prices package, without a network call. Where an
operator has put in a price, theirs holds from its date on.
"""

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Final

from django.db import transaction
from genai_prices.data_snapshot import get_snapshot
from genai_prices.types import (
    ConditionalPrice,
    ModelInfo,
    ModelPrice,
    Provider,
    StartDateConstraint,
    TieredPrices,
)

from leaderboard.benchmarks import BENCHMARKS
from leaderboard.models import Benchmark, CatalogModel, Price
from lib.money import to_micro_usd
from teams.actions import Actor, announce_change, audit

GATEWAY: Final = "openrouter"
PACKAGE: Final = "genai-prices"
ADMIN: Final = "admin"
# A price without a stated start has held since before any benchmark here was run.
ALWAYS: Final = dt.date(2020, 1, 1)
# Models that feeds report and the gateway's list lacks, with the first-party list that bills them:
# (provider, id there, name).
EXTRAS: Final[dict[str, tuple[str, str, str]]] = {
    "openai/gpt-5.2-codex": ("openai", "gpt-5.2-codex", "GPT-5.2-Codex"),
    "google/gemini-3-pro-preview": ("google", "gemini-3-pro-preview", "Gemini 3 Pro Preview"),
}
PRICE_FIELDS: Final = {
    "input_micro_usd": "input_mtok",
    "output_micro_usd": "output_mtok",
    "cache_read_micro_usd": "cache_read_mtok",
    "cache_write_micro_usd": "cache_write_mtok",
}

PriceKey = tuple[dt.date, int]
PriceValues = dict[str, int | None]


@dataclass(frozen=True)
class Listed:
    """A model as the package lists it. `prices` is by (valid from, above input tokens)."""

    model_id: str
    name: str
    context_tokens: int | None
    prices: dict[PriceKey, PriceValues]


@dataclass(frozen=True)
class CatalogueReport:
    """What loading the catalogue changed."""

    listed: int
    models_added: int
    models_changed: int
    prices_added: int
    prices_changed: int
    benchmarks_changed: int

    def __str__(self) -> str:
        return (
            f"{self.listed} models listed: {self.models_added} added,"
            f" {self.models_changed} changed; prices: {self.prices_added} added,"
            f" {self.prices_changed} changed;"
            f" {self.benchmarks_changed} benchmarks added or changed."
        )


@transaction.atomic
def do_load_catalogue(*, actor: Actor) -> CatalogueReport:
    """Bring models, prices and benchmarks up to date. Removes nothing, and is idempotent."""
    listed = list_models(get_snapshot().providers)
    models_added, models_changed = write_models(listed)
    prices_added, prices_changed = write_prices(listed)
    report = CatalogueReport(
        listed=len(listed),
        models_added=models_added,
        models_changed=models_changed,
        prices_added=prices_added,
        prices_changed=prices_changed,
        benchmarks_changed=write_benchmarks(),
    )
    if any(count for name, count in asdict(report).items() if name != "listed"):
        audit(actor, "catalogue.loaded", PACKAGE, **asdict(report))
        announce_change()
    return report


@transaction.atomic
def do_save_price(price: Price, *, actor: Actor) -> None:
    """Save a price as an operator's own: from its date on, loading the catalogue adds no other."""
    price.source = ADMIN
    price.save()
    stated = {field: getattr(price, field) for field in PRICE_FIELDS}
    audit(actor, "price.saved", str(price)[:200], above=price.above_input_tokens, **stated)


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
        stated = {field: getattr(entry.prices, key, None) for field, key in PRICE_FIELDS.items()}
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


def write_models(listed: list[Listed]) -> tuple[int, int]:
    """Add and update catalogue models; return how many of each.

    An operator's word on availability, modalities and tools is left alone, as is a context length
    that the package does not state.
    """
    existing = {model.model_id: model for model in CatalogModel.objects.all()}
    added, changed = [], []
    for entry in listed:
        model = existing.get(entry.model_id)
        if model is None:
            added.append(
                CatalogModel(
                    model_id=entry.model_id,
                    name=entry.name,
                    provider=entry.model_id.partition("/")[0],
                    context_tokens=entry.context_tokens,
                    input_modalities=["text"],
                )
            )
            continue
        wanted = (entry.name, entry.context_tokens or model.context_tokens, True)
        if wanted != (model.name, model.context_tokens, model.in_catalogue):
            model.name, model.context_tokens, model.in_catalogue = wanted
            changed.append(model)
    CatalogModel.objects.bulk_create(added, batch_size=500)
    CatalogModel.objects.bulk_update(
        changed, ["name", "context_tokens", "in_catalogue"], batch_size=500
    )
    return len(added), len(changed)


def write_prices(listed: list[Listed]) -> tuple[int, int]:
    """Add and update prices; return how many of each."""
    keys = dict(CatalogModel.objects.values_list("model_id", "pk"))
    existing = {
        (price.model_id, price.valid_from, price.above_input_tokens): price
        for price in Price.objects.all()
    }
    admin_since: dict[int, dt.date] = {}
    for price in existing.values():
        if price.source == ADMIN:
            since = admin_since.get(price.model_id, dt.date.max)
            admin_since[price.model_id] = min(since, price.valid_from)
    added, changed = [], []
    for entry in listed:
        model_key = keys[entry.model_id]
        for (valid_from, above), values in entry.prices.items():
            if valid_from >= admin_since.get(model_key, dt.date.max):
                continue
            wanted = {**values, "source": PACKAGE}
            known = existing.get((model_key, valid_from, above))
            if known is None:
                added.append(
                    Price(
                        model_id=model_key,
                        valid_from=valid_from,
                        above_input_tokens=above,
                        **wanted,
                    )
                )
            elif any(getattr(known, field) != value for field, value in wanted.items()):
                for field, value in wanted.items():
                    setattr(known, field, value)
                changed.append(known)
    Price.objects.bulk_create(added, batch_size=500)
    Price.objects.bulk_update(changed, [*PRICE_FIELDS, "source"], batch_size=100)
    return len(added), len(changed)


def write_benchmarks() -> int:
    """Bring the benchmarks to what `leaderboard.benchmarks` declares; return how many changed."""
    existing = {benchmark.slug: benchmark for benchmark in Benchmark.objects.all()}
    changed = 0
    for slug, declared in BENCHMARKS.items():
        wanted = asdict(declared)
        known = existing.get(slug)
        if known is None or any(getattr(known, field) != value for field, value in wanted.items()):
            Benchmark.objects.update_or_create(slug=slug, defaults=wanted)
            changed += 1
    return changed
