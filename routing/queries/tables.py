"""Reads of published tables."""

from leaderboard.queries import public_table
from routing.comparison import Comparison, compare
from routing.queries.live import as_rules
from routing.queries.policies import default_policy


def comparison(before: str, after: str) -> Comparison | None:
    """Compare two public tables under the default policy; None when either does not exist."""
    old, new = public_table(before), public_table(after)
    if old is None or new is None:
        return None
    return compare(old, new, as_rules(default_policy()))
