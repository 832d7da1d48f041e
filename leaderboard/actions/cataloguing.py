"""The catalogue: an operator's prices, and which benchmarks are known."""

from dataclasses import asdict
from typing import Final

from django.db import transaction

from leaderboard.benchmarks import BENCHMARKS
from leaderboard.models import PRICE_FIELDS, Benchmark, Price
from teams.actions import Actor, audit

# Where a price is from.
PACKAGE: Final = "genai-prices"
ADMIN: Final = "admin"


@transaction.atomic
def do_save_price(price: Price, *, actor: Actor) -> None:
    """Save a price as an operator's own: from its date on, loading the catalogue adds no other."""
    price.source = ADMIN
    price.save()
    stated = {field: getattr(price, field) for field in PRICE_FIELDS}
    audit(actor, "price.saved", str(price)[:200], above=price.above_input_tokens, **stated)


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
