"""What the catalogue says of models that usage is reported of."""

from collections.abc import Iterable

from leaderboard.models import CatalogModel, Price
from lib.bulk import Among
from routing.queries.live import remembered
from usage.pricing import PriceTier


def price_lists(model_ids: Iterable[str]) -> dict[str, list[PriceTier]]:
    """Return every price list entry of models, by model id; without those that the catalogue does
    not know.

    What is known is remembered, as all that the request path stands on.
    """
    return remembered("prices", model_ids, listed)


def listed(model_ids: set[str]) -> dict[str, list[PriceTier]]:
    """Return the price list entries of those of some models that the catalogue knows."""
    models = CatalogModel.objects.filter(Among("model_id", sorted(model_ids)))
    return {
        model.model_id: [tier_of(price) for price in model.prices.all()]
        for model in models.prefetch_related("prices")
    }


def tier_of(price: Price) -> PriceTier:
    """Return an entry as costs are computed from it."""
    return PriceTier(
        valid_from=price.valid_from,
        above_input_tokens=price.above_input_tokens,
        input=price.input_micro_usd,
        output=price.output_micro_usd,
        cache_read=price.cache_read_micro_usd,
        cache_write=price.cache_write_micro_usd,
    )
