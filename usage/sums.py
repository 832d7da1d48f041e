"""What calls and decisions add up to, and the metrics that are read off the sums. Pure."""

from collections.abc import Sequence
from typing import Final, NamedTuple

from usage import latency
from usage.question import LATENCIES

# Of calls, and of decisions; the order is that of the fields below.
CALL_SUMS: Final = (
    "requests",
    "errors",
    "unpriced",
    "cost_micro_usd",
    "compared_cost_micro_usd",
    "baseline_cost_micro_usd",
    "input_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "output_tokens",
    "reasoning_tokens",
)
COMPARISON_SUMS: Final = ("compared_cost_micro_usd", "baseline_cost_micro_usd")
DECISION_SUMS: Final = ("decisions", "fallbacks", "switched")
SUMS: Final = (*CALL_SUMS, *DECISION_SUMS)


class Figures(NamedTuple):
    """Sums over some calls and decisions. What was not asked for is 0.

    The cost is of the calls that have a price; the others are `unpriced`. `latencies` are counts by
    class of `usage.latency`, or empty. A ratio is one of sums, and None where it would be over
    nothing.
    """

    requests: int = 0
    errors: int = 0
    unpriced: int = 0
    cost_micro_usd: int = 0
    compared_cost_micro_usd: int = 0
    baseline_cost_micro_usd: int = 0
    input_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    decisions: int = 0
    fallbacks: int = 0
    switched: int = 0
    latencies: tuple[int, ...] = ()

    @property
    def tokens(self) -> int:
        """Tokens of every kind. Reasoning is part of the output."""
        return self.prompt_tokens + self.output_tokens

    @property
    def prompt_tokens(self) -> int:
        """All that models read."""
        return self.input_tokens + self.cached_tokens

    @property
    def cached_tokens(self) -> int:
        """Tokens read from or written to the provider's prompt cache."""
        return self.cache_read_tokens + self.cache_write_tokens

    @property
    def priced(self) -> int:
        """Calls that have a price."""
        return self.requests - self.unpriced

    @property
    def timed(self) -> int:
        """Calls that report how long they took."""
        return sum(self.latencies)

    @property
    def cost_per_request(self) -> float | None:
        """Micro-USD per call that has a price."""
        return ratio(self.cost_micro_usd, self.priced)

    @property
    def cache_hit_rate(self) -> float | None:
        """The share of all that models read that came from the provider's cache."""
        return ratio(self.cache_read_tokens, self.prompt_tokens)

    @property
    def error_rate(self) -> float | None:
        """The share of calls that ended in an error; a cancelled call is none."""
        return ratio(self.errors, self.requests)

    @property
    def fallback_rate(self) -> float | None:
        """The share of decisions that fell back to Balanced."""
        return ratio(self.fallbacks, self.decisions)

    @property
    def latency_p50(self) -> float | None:
        """The median latency in ms of the calls that report one."""
        return latency.quantile(self.latencies, LATENCIES["latency_p50"])

    @property
    def latency_p95(self) -> float | None:
        """The latency in ms that 95% of the calls that report one did not exceed."""
        return latency.quantile(self.latencies, LATENCIES["latency_p95"])

    def metric(self, name: str) -> float | None:
        """Return the figure of a metric; costs are micro-USD, latencies ms."""
        value: float | None = getattr(self, FIELDS.get(name, name))
        return value

    def weight(self, name: str) -> int:
        """Return by what groups are ranked: the metric, or for ratios the volume behind it."""
        value: int = getattr(self, VOLUMES.get(name, FIELDS.get(name, name)))
        return value


NOTHING: Final = Figures()


def figures_of(names: Sequence[str], amounts: Sequence[int]) -> Figures:
    """Return amounts as figures; `names` ends with the classes of latency, if it has them.

    No amounts at all are 0.
    """
    plain = len(names) - len(latency.COLUMNS) if names[-1] in latency.COLUMNS else len(names)
    named = dict(zip(names[:plain], amounts[:plain], strict=bool(amounts)))
    return Figures(**named, latencies=tuple(amounts[plain:]))


FIELDS: Final = {"cost": "cost_micro_usd"}
VOLUMES: Final = {
    "cost_per_request": "priced",
    "cache_hit_rate": "prompt_tokens",
    "error_rate": "requests",
    "latency_p50": "timed",
    "latency_p95": "timed",
    "fallback_rate": "decisions",
}


def ratio(part: int, whole: int) -> float | None:
    """Return a ratio, None over nothing."""
    return part / whole if whole else None
