"""Reads of usage."""

from usage.queries.conditions import decisions_where, events_of_decision, events_where
from usage.queries.history import (
    MAX_SERIES,
    History,
    Series,
    Totals,
    covered_to,
    totals,
    usage_over_time,
)
from usage.queries.past_traffic import (
    MAX_REPLAYED,
    REPLAY_DAYS,
    Preview,
    has_traffic,
    past_asks,
    policy_preview,
    traffic,
)
from usage.queries.prices import price_lists
from usage.question import GROUPS, METRICS, NONE
from usage.sums import Figures

__all__ = [
    "GROUPS",
    "MAX_REPLAYED",
    "MAX_SERIES",
    "METRICS",
    "NONE",
    "REPLAY_DAYS",
    "Figures",
    "History",
    "Preview",
    "Series",
    "Totals",
    "covered_to",
    "decisions_where",
    "events_of_decision",
    "events_where",
    "has_traffic",
    "past_asks",
    "policy_preview",
    "price_lists",
    "totals",
    "traffic",
    "usage_over_time",
]
