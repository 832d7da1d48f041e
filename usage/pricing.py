"""What a model call cost, from its tokens and the prices in force at the time."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date

from msgspec import Struct

PER = 1_000_000
# How far a reported cost may be from the computed one, in percent of the latter.
TOLERATED_PERCENT = 5


class Tokens(Struct, frozen=True, gc=False):
    """How many tokens a call used.

    `input` excludes the cached ones. `output` includes reasoning, which costs the same.
    """

    input: int = 0
    cache_read: int = 0
    cache_write: int = 0
    output: int = 0

    @property
    def total_input(self) -> int:
        """All that the model read; this decides the price tier."""
        return self.input + self.cache_read + self.cache_write


@dataclass(frozen=True)
class PriceTier:
    """A price list entry, in micro-USD per million tokens.

    It holds from `valid_from` on, for calls that read more than `above_input_tokens`. A cache price
    of None means that the provider charges cached tokens like any other input.
    """

    valid_from: date
    above_input_tokens: int
    input: int
    output: int
    cache_read: int | None = None
    cache_write: int | None = None


def in_force(tiers: Iterable[PriceTier], day: date) -> list[PriceTier]:
    """Return the price list of a day, the tier for the longest inputs first; empty without one.

    The newest list of that day counts as a whole: a tier that it no longer has is gone.
    """
    begun = [tier for tier in tiers if tier.valid_from <= day]
    newest = max((tier.valid_from for tier in begun), default=None)
    listed = [tier for tier in begun if tier.valid_from == newest]
    return sorted(listed, key=lambda tier: tier.above_input_tokens, reverse=True)


def tier_for(prices: Sequence[PriceTier], total_input: int) -> PriceTier | None:
    """Return the entry of a price list `in_force` for a call of `total_input` tokens, if any."""
    for tier in prices:
        if total_input > tier.above_input_tokens or tier.above_input_tokens == 0:
            return tier
    return None


def cost_micro_usd(tokens: Tokens, prices: Sequence[PriceTier]) -> int | None:
    """Return the cost of a call in micro-USD, half to even, by the price list `in_force` on its
    day; None where that has none for it.
    """
    tier = tier_for(prices, tokens.total_input)
    if tier is None:
        return None
    cache_read = tier.input if tier.cache_read is None else tier.cache_read
    cache_write = tier.input if tier.cache_write is None else tier.cache_write
    total = (
        tokens.input * tier.input
        + tokens.cache_read * cache_read
        + tokens.cache_write * cache_write
        + tokens.output * tier.output
    )
    whole, rest = divmod(total, PER)
    return whole + (2 * rest > PER or (2 * rest == PER and whole % 2 == 1))


def differs(computed: int | None, reported: int | None) -> bool:
    """Tell whether a reported cost is more than `TOLERATED_PERCENT` off the computed one.

    Both are in micro-USD. One micro-USD is rounding, and an unknown cost differs from nothing.
    """
    if computed is None or reported is None:
        return False
    gap = abs(reported - computed)
    return gap > 1 and gap * 100 > computed * TOLERATED_PERCENT
