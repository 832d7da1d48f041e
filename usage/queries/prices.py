"""What the catalogue says of models that usage is reported of."""

from collections.abc import Iterable
from functools import partial

from leaderboard.models import CatalogModel, Price
from routing.queries.live import remembered
from usage.pricing import PriceTier


def price_lists(model_ids: Iterable[str]) -> dict[str, list[PriceTier]]:
    """Return every price list entry of models, by model id; without those that the catalogue does
    not know.

    What is known is remembered, as all that the request path stands on.
    """
    found = {}
    for model_id in set(model_ids):
        try:
            found[model_id] = remembered(("prices", model_id), partial(price_list, model_id))
        except CatalogModel.DoesNotExist:
            continue
    return found


def price_list(model_id: str) -> list[PriceTier]:
    """Return every price list entry of a model. Raises CatalogModel.DoesNotExist."""
    model = CatalogModel.objects.get(model_id=model_id)
    return [tier_of(price) for price in model.prices.all()]


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
