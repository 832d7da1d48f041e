"""What the catalogue says of models that usage is reported of."""

from collections.abc import Iterable

from leaderboard.models import CatalogModel, Price
from usage.pricing import PriceTier


def known_models(model_ids: Iterable[str]) -> set[str]:
    """Return those of the ids that the catalogue knows."""
    rows = CatalogModel.objects.filter(model_id__in=set(model_ids))
    return set(rows.values_list("model_id", flat=True))


def price_tiers(model_ids: Iterable[str]) -> dict[str, list[PriceTier]]:
    """Return every price list entry of some models, by model id."""
    tiers: dict[str, list[PriceTier]] = {}
    for price in Price.objects.filter(model__model_id__in=set(model_ids)).select_related("model"):
        tier = PriceTier(
            valid_from=price.valid_from,
            above_input_tokens=price.above_input_tokens,
            input=price.input_micro_usd,
            output=price.output_micro_usd,
            cache_read=price.cache_read_micro_usd,
            cache_write=price.cache_write_micro_usd,
        )
        tiers.setdefault(price.model.model_id, []).append(tier)
    return tiers
