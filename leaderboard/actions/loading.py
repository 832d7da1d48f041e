"""Loads the catalogue: models and prices from the installed price list, and the benchmarks.

Where an operator has put in a price, theirs holds from its date on.
"""

import datetime as dt
from dataclasses import asdict, dataclass

from django.db import transaction

from leaderboard.actions.cataloguing import ADMIN, PACKAGE, write_benchmarks
from leaderboard.models import PRICE_FIELDS, CatalogModel, Price
from leaderboard.price_package import Listed, listed_models
from teams.actions import Actor, announce_change, audit


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
    listed = listed_models()
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
