"""Reads for the page of a route."""

from dataclasses import dataclass

from leaderboard.queries import current_table
from leaderboard.table import Table
from routing.engine.inputs import Rules
from routing.queries.live import as_rules
from routing.queries.policies import default_policy
from routing.winners import Win, winners


@dataclass(frozen=True)
class RouteWinners:
    """Who wins a route under a project's default rules; no wins until a table is published."""

    table: Table | None
    rules: Rules
    wins: tuple[Win, ...]


def route_winners(route: str) -> RouteWinners:
    """Return who wins a route by the public table."""
    table, rules = current_table(), as_rules(default_policy())
    return RouteWinners(table, rules, winners(table, route, rules) if table else ())
