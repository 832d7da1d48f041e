"""The cards on top of a page: a figure, how it has changed, and what to know of it."""

from dataclasses import dataclass
from typing import Final

from lib.money import format_usd
from usage.latency import LONGEST_MS
from usage.queries import Totals
from usage.significance import medians_differ, shares_differ
from usage.sums import Figures
from usage.wording import SHARES, counted, short, written

# Of which figures less is better. Of the cache-hit rate more is, but it is of tokens: a single call
# can have most of them, so that no number of calls tells whether a change may be chance.
LESS_IS_BETTER: Final = ("fallback_rate", "error_rate", "latency_p50")
UNCHANGED: Final = "no change"
# From here on a percentage is harder to read than how many times as much it is.
MULTIPLE: Final = 10
TITLES: Final = {
    "cost": "Spend, estimated",
    "requests": "Requests",
    "tokens": "Tokens",
    "cache_hit_rate": "Cache-hit rate",
    "fallback_rate": "Fallback rate",
    "error_rate": "Error rate",
    "latency_p50": "Latency, median",
}


@dataclass(frozen=True)
class Card:
    """A figure in words. `change` is that since the period before, and `tone` how to take it:
    ``good``, ``bad`` or empty.
    """

    title: str
    value: str
    note: str
    change: str = ""
    tone: str = ""


def cards(totals: Totals, *, of_calls_alone: bool = False) -> list[Card]:
    """Return the figures of a window, each with its change if there is a period before.

    `of_calls_alone` tells that a condition is on something that decisions do not have.
    """
    used, before = totals.used, totals.previous
    found = [
        card(metric, used, before.used if before else None, of_calls_alone=of_calls_alone)
        for metric in TITLES
    ]
    return [*found, saved_card(totals)]


def card(metric: str, used: Figures, before: Figures | None, *, of_calls_alone: bool) -> Card:
    """Return the card of a metric."""
    now, then = used.metric(metric), before.metric(metric) if before else None
    return Card(
        title=TITLES[metric],
        value=short(int(now or 0)) if metric in ("requests", "tokens") else written(metric, now),
        note=note_on(metric, used, of_calls_alone=of_calls_alone),
        change=change(metric, now, then),
        tone=tone(metric, used, before) if before else "",
    )


def note_on(metric: str, used: Figures, *, of_calls_alone: bool) -> str:
    """Return what to know of a figure."""
    match metric:
        case "cost" if used.unpriced:
            return f"{counted(used.unpriced, 'call')} without a known price not included"
        case "cost":
            return "from reported tokens and list prices, not a bill"
        case "requests" | "fallback_rate" if of_calls_alone:
            return "decisions have no status"
        case "requests":
            return counted(used.decisions, "decision")
        case "tokens":
            return f"{short(used.output_tokens)} of them output"
        case "cache_hit_rate":
            return "of the input was read from a prompt cache"
        case "fallback_rate" if not used.decisions:
            return "no decision was made"
        case "fallback_rate":
            return f"{used.fallbacks:,} of {counted(used.decisions, 'decision')} went to Balanced"
        case "error_rate" if not used.requests:
            return "no call was reported"
        case "error_rate":
            return f"{used.errors:,} of {counted(used.requests, 'call')} failed"
    if used.latency_p95 is None:
        return "no call told how long it took"
    slowest = written("latency_p95", used.latency_p95)
    return f"95% took at most {slowest}" if used.latency_p95 < LONGEST_MS else f"5% took {slowest}"


def saved_card(totals: Totals) -> Card:
    """Return what was saved against the baseline, with its interval."""
    title = "Saved, estimated"
    saved, before = totals.saved, totals.previous.saved if totals.previous else None
    if not totals.used.baseline_cost_micro_usd:
        return Card(title, "–", "no call with a decision to compare with")
    note = "against the baseline model"
    if saved.low_micro_usd is not None and saved.high_micro_usd is not None:
        low, high = format_usd(saved.low_micro_usd), format_usd(saved.high_micro_usd)
        note = f"90% interval {low} to {high}, {note}"
    then = before.micro_usd if before else None
    return Card(title, format_usd(saved.micro_usd), note, change("cost", saved.micro_usd, then))


def change(metric: str, now: float | None, before: float | None) -> str:
    """Return how a figure has changed: shares in points, all others in percent, and from ten times
    as much up as a multiple.
    """
    if now is None or before is None or (not before and metric not in SHARES):
        return ""
    if metric in SHARES:
        return signed((now - before) * 100, 1, " points")
    if now >= MULTIPLE * before > 0:
        return f"{now / before:,.0f}× as much"
    return signed((now - before) / abs(before) * 100, 0, "%")


def signed(value: float, digits: int, unit: str) -> str:
    """Return a rounded change with its sign, or that there is none."""
    size = round(abs(value), digits)
    if not size:
        return UNCHANGED
    return f"{'+' if value > 0 else '−'}{size:,.{digits}f}{unit}"


def tone(metric: str, used: Figures, before: Figures) -> str:
    """Return whether a change is good or bad; empty where it is neither, or may be chance."""
    now, then = used.metric(metric), before.metric(metric)
    if metric not in LESS_IS_BETTER or now is None or then is None:
        return ""
    if change(metric, now, then) in ("", UNCHANGED) or not is_told(metric, used, before):
        return ""
    return "good" if now < then else "bad"


def is_told(metric: str, used: Figures, before: Figures) -> bool:
    """Tell whether there are enough calls or decisions behind a change to judge it."""
    match metric:
        case "error_rate":
            return shares_differ(used.errors, used.requests, before.errors, before.requests)
        case "fallback_rate":
            return shares_differ(used.fallbacks, used.decisions, before.fallbacks, before.decisions)
    return medians_differ(used.latencies, before.latencies)
