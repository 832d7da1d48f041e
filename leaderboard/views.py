"""The public pages: the leaderboard, a model, and the documents."""

from functools import lru_cache
from typing import Any
from urllib.parse import urlencode

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone
from django.utils.safestring import SafeString, mark_safe
from django.views.decorators.http import require_safe

from leaderboard import board, queries
from leaderboard.charts import accuracy_against_cost, price_steps
from leaderboard.documents import DOCUMENTS, read_document
from leaderboard.filters import (
    BoardFilter,
    Choices,
    choices_of,
    narrowed,
    read_board_filter,
)
from leaderboard.queries import Origin, Origins
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
    ("accuracy_per_dollar", "Solved / $1", "descending"),
    ("n", "Tasks", "descending"),
)
NEIGHBOURS = 8


@require_safe
def leaderboard(request: HttpRequest) -> HttpResponse:
    """Show the current table's models, ranked. A filter value that does not exist is a 400."""
    table = queries.current_table()
    if table is None:
        return render(request, "leaderboard/unpublished.html")
    origins = queries.origins()
    choices = choices_of(table, origins)
    try:
        chosen = read_board_filter(request.GET, choices)
    except ApiError as error:
        context = {"error": error, **controls(table, choices, BoardFilter())}
        return render(request, "leaderboard/bad_filter.html", context, status=error.status)
    context = {
        **controls(table, choices, chosen),
        "board": board_html(table, origins, chosen),
        "table": table,
        "published_at": queries.published_at(table.version),
    }
    return render(request, "leaderboard/board.html", context)


@lru_cache(maxsize=32)
def board_html(table: Table, origins: Origins, chosen: BoardFilter) -> SafeString:
    """Return what is the same for everyone who asks this of a table: the chart and the rows."""
    rows = narrowed(table, origins, chosen)
    params = chosen.params
    kept = {name: value for name, value in params.items() if name != "compare"}
    context = {
        "chosen": chosen,
        "lines": [line(row, origins.of(row.model.model_id)) for row in rows],
        "route_label": route_label(chosen.route) if chosen.route else None,
        "route_parts": split_route(chosen.route) if chosen.route else None,
        "measured": board.is_measured(table, chosen.route),
        "figure": accuracy_against_cost(rows, page_of(params)),
        "on_pareto": sum(row.on_pareto for row in rows),
        "compared": compared(table, rows) if chosen.compare else None,
        "kept": kept.items(),
        "all_models": page_of(kept),
        "query": asked(params),
        "sort_columns": [
            {
                "title": title,
                "link": f"?{urlencode({**params, 'sort': name})}",
                "direction": direction if name == chosen.sort else None,
            }
            for name, title, direction in SORT_COLUMNS
        ],
    }
    return render_to_string("leaderboard/_board.html", context)


def page_of(params: dict[str, str]) -> str:
    """Return the leaderboard's address with these parameters."""
    return f"{reverse('leaderboard')}{asked(params)}"


def asked(params: dict[str, str]) -> str:
    """Return the part of an address that holds the parameters."""
    return f"?{urlencode(params)}" if params else ""


def line(row: board.BoardRow, origin: Origin) -> dict[str, Any]:
    """Return a row as the table words it."""
    return {
        "row": row,
        "origin": origin,
        **figures(row.accuracy, row.cost),
        "accuracy_per_dollar": f"{row.accuracy_per_dollar:,.2f}",
        "input_price": format_usd(row.model.input_micro_usd),
        "output_price": format_usd(row.model.output_micro_usd),
        "context": tokens(row.model.context_tokens),
    }


def figures(accuracy: board.Interval, cost: board.Interval) -> dict[str, str]:
    """Return an accuracy and a cost in words, and as the ends of a bar."""
    return {
        "accuracy": f"{accuracy.mean:.1%}",
        "accuracy_range": f"{accuracy.low:.1%} to {accuracy.high:.1%}",
        "bar_mean": f"{accuracy.mean * 100:.1f}",
        "bar_low": f"{accuracy.low * 100:.1f}",
        "bar_width": f"{(accuracy.high - accuracy.low) * 100:.1f}",
        "cost": format_usd(cost.mean),
        "cost_range": f"{format_usd(cost.low)} to {format_usd(cost.high)}",
    }


def compared(table: Table, rows: list[board.BoardRow]) -> list[dict[str, Any]]:
    """Return each route with the compared models' figures, measured routes first."""
    columns = []
    for row in rows:
        place = table.index_of(row.model.model_id)
        assert place is not None
        columns.append(board.by_route(table, place))
    lines = [
        {
            "label": route_label(cells[0].route),
            "parts": split_route(cells[0].route),
            "measured": board.is_measured(table, cells[0].route),
            "cells": [{**figures(cell.accuracy, cell.cost), "n": cell.n} for cell in cells],
        }
        for cells in zip(*columns, strict=True)
    ]
    return sorted(lines, key=lambda one: not one["measured"])


def tokens(count: int | None) -> str:
    """Return a context length as people read it: "200K", "1.05M"."""
    if count is None:
        return "–"
    return f"{count / 1e6:.3g}M" if count >= 1_000_000 else f"{count / 1e3:.3g}K"


def controls(table: Table, choices: Choices, chosen: BoardFilter) -> dict[str, Any]:
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
        "max_price": chosen.params.get("max_price", ""),
        "routes": routes,
        "choices": choices,
        "sorts": SORT_LABELS,
        "measured_count": len(measured),
        "route_count": len(ROUTES),
    }


def route_label(route: str) -> str:
    """Return a route as people read it: "Debugging / Bug fixing"."""
    return " / ".join(label(part) for part in split_route(route))


@require_safe
def model(request: HttpRequest, model_id: str) -> HttpResponse:
    """Show one model: its figures, its prices, and every public run behind them."""
    listed, table = queries.find_model(model_id), queries.current_table()
    place = table.index_of(model_id) if table else None
    if listed is None and place is None:
        raise Http404
    prices = queries.price_history(model_id)
    runs = queries.public_runs_of(model_id)
    context: dict[str, Any] = {
        "model_id": model_id,
        "listed": listed,
        "prices": prices,
        "price_figure": price_steps(prices, timezone.now().date()),
        "live_runs": [one for one in runs if one.is_live],
        "past_runs": [one for one in runs if not one.is_live],
    }
    if table is not None and place is not None:
        (row,) = [one for one in board.all_rows(table, None) if one.model.model_id == model_id]
        close = board.neighbours(table, model_id)
        context |= {
            "table": table,
            "known": row.model,
            "line": line(row, queries.origins().of(model_id)),
            "of": len(table.models),
            "routes": route_lines(table, place),
            "neighbours": [line(one, queries.NO_ORIGIN) for one in close[:NEIGHBOURS]],
            "more_neighbours": len(close[NEIGHBOURS:]),
            "compare": ",".join(
                [model_id, *(one.model.model_id for one in close[: NEIGHBOURS // 2])]
            ),
        }
    return render(request, "leaderboard/model.html", context)


def route_lines(table: Table, place: int) -> list[dict[str, Any]]:
    """Return a model's figures on each route, the routes that it was measured on first."""
    lines = [
        {
            "route": one.route,
            "label": route_label(one.route),
            "parts": split_route(one.route),
            "n": one.n,
            **figures(one.accuracy, one.cost),
        }
        for one in board.by_route(table, place)
    ]
    return sorted(lines, key=lambda one: not one["n"])


@require_safe
def methodology(request: HttpRequest) -> HttpResponse:
    """Show how the figures come about: docs/methodology.md itself."""
    return document_page(request, "methodology")


@require_safe
def docs(request: HttpRequest, document: str) -> HttpResponse:
    """Show one of the documents for users."""
    if document not in DOCUMENTS:
        raise Http404
    return document_page(request, document)


def document_page(request: HttpRequest, name: str) -> HttpResponse:
    """Return a document as a page, with links to the others."""
    context = {
        "title": DOCUMENTS[name],
        "name": name,
        "documents": DOCUMENTS.items(),
        # Every piece of text in it was escaped when it was read.
        "body": mark_safe(document_body(name)),  # noqa: S308
    }
    return render(request, "leaderboard/document.html", context)


@lru_cache(maxsize=len(DOCUMENTS))
def document_body(name: str) -> str:
    """Return a document as HTML. The files come with the product and change with it alone."""
    text = (settings.BASE_DIR / "docs" / f"{name}.md").read_text(encoding="utf-8")
    addresses = {
        f"{other}.md": reverse("methodology")
        if other == "methodology"
        else reverse("docs", args=[other])
        for other in DOCUMENTS
    }
    return read_document(text, addresses)
