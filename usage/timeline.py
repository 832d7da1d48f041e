"""A session in the order of time: what each turn used and cost, what its cache saved and lost.

Pure. Prices are those in force on the day of a call, for a call of that size.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from fractions import Fraction
from itertools import accumulate
from typing import Final

from routing.engine.staying import CACHE_LIFETIME_MS
from usage.pricing import PER, PriceTier, Tokens, in_force, tier_for

CACHE_LIFETIME: Final = timedelta(milliseconds=CACHE_LIFETIME_MS)
Prices = Mapping[str, Sequence[PriceTier]]


@dataclass(frozen=True)
class Choice:
    """What the router decided for a turn; see `routing.models.Decision` for the fields."""

    public_id: str
    at: datetime
    model: str
    task_type: str
    subtask_type: str
    difficulty: str
    reason_code: str
    reason_text: str
    sticky: bool
    switched: bool
    switch_reason: str


@dataclass(frozen=True)
class Call:
    """A reported call. `tokens.output` includes the `reasoning` tokens.

    `cost_micro_usd` is None where no price was known. Durations are in milliseconds.
    """

    event_id: str
    decision_id: str
    at: datetime
    model: str
    status: str
    tokens: Tokens
    reasoning: int
    latency_ms: int | None
    cost_micro_usd: int | None


@dataclass(frozen=True)
class Line:
    """A call with what its cache reads saved and what moving to its model lost, in micro-USD.

    Either is None where a price that it takes is not known. `moved_from` is the model of the call
    before, where that was another one.
    """

    call: Call
    moved_from: str | None
    lost_tokens: int
    saved_micro_usd: int | None
    lost_micro_usd: int | None


@dataclass(frozen=True)
class Turn:
    """A decision with the calls that were reported for it, or a call that named none.

    `total_micro_usd` is the cost of the session up to and with this turn.
    """

    at: datetime
    choice: Choice | None
    lines: tuple[Line, ...]
    cost_micro_usd: int
    total_micro_usd: int

    @property
    def unpriced(self) -> int:
        """How many calls have no known price and are not part of the cost."""
        return sum(line.call.cost_micro_usd is None for line in self.lines)

    @property
    def saved_micro_usd(self) -> int:
        """What the cache reads of the turn saved, as far as prices are known."""
        return sum(line.saved_micro_usd or 0 for line in self.lines)

    @property
    def lost_micro_usd(self) -> int:
        """What moving between models lost in the turn, as far as prices are known."""
        return sum(line.lost_micro_usd or 0 for line in self.lines)


@dataclass(frozen=True)
class Timeline:
    """The turns of a session, the oldest first."""

    turns: tuple[Turn, ...]

    @property
    def lines(self) -> list[Line]:
        """All calls."""
        return [line for turn in self.turns for line in turn.lines]

    @property
    def cost_micro_usd(self) -> int:
        """The cost of all calls whose price is known."""
        return sum(turn.cost_micro_usd for turn in self.turns)

    @property
    def unpriced(self) -> int:
        """How many calls have no known price."""
        return sum(turn.unpriced for turn in self.turns)

    @property
    def saved_micro_usd(self) -> int:
        """What all cache reads saved."""
        return sum(turn.saved_micro_usd for turn in self.turns)

    @property
    def lost_micro_usd(self) -> int:
        """What all moves between models lost."""
        return sum(turn.lost_micro_usd for turn in self.turns)

    @property
    def switches(self) -> int:
        """How often the router moved the session to another model."""
        return sum(turn.choice is not None and turn.choice.switched for turn in self.turns)

    @property
    def models(self) -> list[str]:
        """Every model that was chosen or called, in the order of its first appearance."""
        names = []
        for turn in self.turns:
            names += [turn.choice.model] if turn.choice else []
            names += [line.call.model for line in turn.lines]
        return list(dict.fromkeys(names))


def timeline(choices: Iterable[Choice], calls: Iterable[Call], prices: Prices) -> Timeline:
    """Return the turns of one session. A call that names none of the choices is its own turn."""
    by_choice: dict[str, list[Line]] = {choice.public_id: [] for choice in choices}
    parts: list[tuple[datetime, Choice | None, list[Line]]] = [
        (choice.at, choice, by_choice[choice.public_id]) for choice in choices
    ]
    for line in lines_of(calls, prices):
        if line.call.decision_id in by_choice:
            by_choice[line.call.decision_id].append(line)
        else:
            parts.append((line.call.at, None, [line]))
    parts.sort(key=lambda part: part[0])
    costs = [sum(line.call.cost_micro_usd or 0 for line in lines) for _, _, lines in parts]
    return Timeline(
        tuple(
            Turn(at, choice, tuple(lines), cost, total)
            for (at, choice, lines), cost, total in zip(
                parts, costs, accumulate(costs), strict=True
            )
        )
    )


def lines_of(calls: Iterable[Call], prices: Prices) -> list[Line]:
    """Return calls in the order of time, each with what its cache saved and lost."""
    found: list[Line] = []
    before: Call | None = None
    for call in sorted(calls, key=lambda one: one.at):
        moved = before if before and before.model != call.model else None
        lost = lost_tokens(moved, call) if moved else 0
        found.append(
            Line(
                call=call,
                moved_from=moved.model if moved else None,
                lost_tokens=lost,
                saved_micro_usd=saved_by(call, prices),
                lost_micro_usd=lost_by(moved, call, lost, prices) if moved else 0,
            )
        )
        # What read nothing, such as a call that failed at once, neither fills a cache nor needs it.
        if call.tokens.total_input:
            before = call
    return found


def saved_by(call: Call, prices: Prices) -> int | None:
    """Return what cache reads cost less than fresh input would have, in micro-USD.

    That is the tokens read from cache, times the model's input price minus its cache-read price.
    What it cost to fill the cache is not taken off. None where no price was in force.
    """
    if not call.tokens.cache_read:
        return 0
    tier = tier_of(call.model, call, prices)
    if tier is None:
        return None
    return micro_usd(call.tokens.cache_read, tier.input - cache_read_price(tier))


def lost_tokens(before: Call, call: Call) -> int:
    """Return how many tokens a call read afresh that the model before would have had in its cache.

    That model's last call tells what is in its cache: all that it read from there or wrote to it;
    nothing once a cache has outlived `CACHE_LIFETIME`. Of that as much as the call's input can have
    in common with it, minus what the call found in a cache of its own. So it is a lower bound where
    a provider caches without reporting what it wrote.
    """
    if call.at - before.at > CACHE_LIFETIME:
        return 0
    kept = before.tokens.cache_read + before.tokens.cache_write
    return max(0, min(kept, call.tokens.total_input) - call.tokens.cache_read)


def lost_by(before: Call, call: Call, tokens: int, prices: Prices) -> int | None:
    """Return what `lost_tokens` cost more than on the model before, in micro-USD; never below zero.

    That is the tokens, times the new model's input price minus the cache-read price of the model
    before. None where one of the two was not in force.
    """
    if not tokens:
        return 0
    new, old = tier_of(call.model, call, prices), tier_of(before.model, call, prices)
    if new is None or old is None:
        return None
    return max(0, micro_usd(tokens, new.input - cache_read_price(old)))


def tier_of(model: str, call: Call, prices: Prices) -> PriceTier | None:
    """Return what a model charged for a call of this size on this day."""
    return tier_for(in_force(prices.get(model, ()), call.at.date()), call.tokens.total_input)


def cache_read_price(tier: PriceTier) -> int:
    """Return the price of cached input, which without one of its own is that of other input."""
    return tier.input if tier.cache_read is None else tier.cache_read


def micro_usd(tokens: int, price: int) -> int:
    """Return what tokens cost at a price per million, half to even."""
    return round(Fraction(tokens * price, PER))
