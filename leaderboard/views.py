"""The public leaderboard page."""

from typing import Any
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from leaderboard import board, queries
from leaderboard.charts import accuracy_against_cost
from leaderboard.filters import BOARD_PARAMS, BoardFilter, read_board_filter
from leaderboard.table import Table
from lib.errors import ApiError
from lib.money import format_usd
from lib.taxonomy import ROUTES, SUBTASK_TYPES, label, split_route

SORT_LABELS = {
    "accuracy": "Accuracy",
    "cost": "Cost per task",
    "accuracy_per_dollar": "Solved per dollar",
    "n": "Tasks measured",
}
# The columns that sort: parameter, heading, direction.
SORT_COLUMNS = (
    ("accuracy", "Accuracy, 90% interval", "descending"),
    ("cost", "Cost per task", "ascending"),
    ("accuracy_per_dollar", "Solved per $1", "descending"),
    ("n", "Tasks", "descending"),
)


@require_safe
def leaderboard(request: HttpRequest) -> HttpResponse:
    """Show the current table's models, ranked. A filter value that does not exist is a 400."""
    table = queries.current_table()
    if table is None:
        return render(request, "leaderboard/unpublished.html")
    try:
        chosen = read_board_filter(request.GET, board.providers(table))
    except ApiError as error:
        context = {"error": error, **controls(table, BoardFilter())}
        return render(request, "leaderboard/bad_filter.html", context, status=error.status)
    rows = board.board(table, route=chosen.route, provider=chosen.provider, sort=chosen.sort)
    params = {name: getattr(chosen, name) for name in BOARD_PARAMS if getattr(chosen, name)}
    context = {
        **controls(table, chosen),
        "lines": [line(row) for row in rows],
        "route_label": route_label(chosen.route) if chosen.route else None,
        "measured": board.is_measured(table, chosen.route),
        "figure": accuracy_against_cost(rows, request.get_full_path()),
        "on_pareto": sum(row.on_pareto for row in rows),
        "table": table,
        "published_at": queries.published_at(),
        "query": urlencode(params),
        "sort_columns": [
            {
                "title": title,
                "link": f"?{urlencode({**params, 'sort': name})}",
                "direction": direction if name == chosen.sort else None,
            }
            for name, title, direction in SORT_COLUMNS
        ],
    }
    return render(request, "leaderboard/board.html", context)


def line(row: board.BoardRow) -> dict[str, Any]:
    """Return a row as the table words it."""
    accuracy, cost, model = row.accuracy, row.cost, row.model
    return {
        "row": row,
        "accuracy": f"{accuracy.mean:.1%}",
        "accuracy_range": f"{accuracy.low:.1%} to {accuracy.high:.1%}",
        "bar_mean": f"{accuracy.mean * 100:.1f}",
        "bar_low": f"{accuracy.low * 100:.1f}",
        "bar_width": f"{(accuracy.high - accuracy.low) * 100:.1f}",
        "cost": format_usd(cost.mean),
        "cost_range": f"{format_usd(cost.low)} to {format_usd(cost.high)}",
        "accuracy_per_dollar": f"{row.accuracy_per_dollar:,.2f}",
        "input_price": format_usd(model.input_micro_usd),
        "output_price": format_usd(model.output_micro_usd),
        "context": tokens(model.context_tokens),
    }


def tokens(count: int | None) -> str:
    """Return a context length as people read it: "200K", "1.05M"."""
    if count is None:
        return "–"
    return f"{count / 1e6:.3g}M" if count >= 1_000_000 else f"{count / 1e3:.3g}K"


def controls(table: Table, chosen: BoardFilter) -> dict[str, Any]:
    """Return what the filter bar offers."""
    measured = {ROUTES[index] for index in table.measured_routes}
    routes = [
        (
            label(task_type),
            [
                (route, label(subtask), route in measured)
                for subtask in subtasks
                for route in [f"{task_type}/{subtask}"]
            ],
        )
        for task_type, subtasks in SUBTASK_TYPES.items()
    ]
    return {
        "chosen": chosen,
        "routes": routes,
        "providers": board.providers(table),
        "sorts": SORT_LABELS,
        "measured_count": len(measured),
        "route_count": len(ROUTES),
    }


def route_label(route: str) -> str:
    """Return a route as people read it: "Debugging / Bug fixing"."""
    return " / ".join(label(part) for part in split_route(route))
