"""The public API: leaderboard, catalogue and routing table, for anyone, cacheable."""

import hashlib
import math
from collections.abc import Iterator
from typing import Any

import msgspec
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.cache import get_conditional_response
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.request import Request
from rest_framework.views import APIView

from leaderboard import board, filters, queries, serializers
from leaderboard.models import CatalogModel, Price
from leaderboard.table import Table, TableModel
from lib.csv_text import to_csv
from lib.errors import ApiError
from lib.paging import read_limit
from lib.taxonomy import DIFFICULTIES, ROUTES

JSON = "application/json"
CSV = "text/csv; charset=utf-8"
CACHE_CONTROL = "public, max-age=60"
ACCURACY_DIGITS = 6

BOARD_PARAMETERS = [
    OpenApiParameter("route", enum=ROUTES, description="Without it: all measured routes."),
    OpenApiParameter("provider", description="Only this provider's models."),
    OpenApiParameter("sort", enum=tuple(board.SORTS), default=filters.BoardFilter.sort),
]
CSV_RESPONSE = {(200, "text/csv"): OpenApiTypes.STR}


class ByPath(BaseContentNegotiation):
    """The path alone says what comes back, whatever the Accept header holds."""

    def select_parser(self, request: Request, parsers: Any) -> Any:
        """Return the only one."""
        return parsers[0]

    def select_renderer(self, request: Request, renderers: Any, format_suffix: Any = None) -> Any:
        """Return the one that errors are written with."""
        return renderers[0], renderers[0].media_type


class PublicView(APIView):
    """Open to anyone, and the same for everyone."""

    authentication_classes = ()
    permission_classes = ()
    content_negotiation_class = ByPath


class LeaderboardView(PublicView):
    """``GET /leaderboard``."""

    @extend_schema(
        operation_id="leaderboard",
        summary="The leaderboard: models by expected accuracy and cost",
        parameters=BOARD_PARAMETERS,
        responses=serializers.LeaderboardSerializer,
        tags=["Public"],
        auth=[],
    )
    def get(self, request: Request) -> HttpResponse:
        """Return ranked models. Empty, and not an error, until a table is published."""
        table, chosen, rows = read_board(request)
        body = {
            "table_version": table.version if table else None,
            "published_at": queries.published_at(),
            "route": chosen.route,
            "measured": table is not None and board.is_measured(table, chosen.route),
            "provider": chosen.provider,
            "sort": chosen.sort,
            "data": [board_row(row) for row in rows],
            "sources": table.sources if table else (),
        }
        return answer(request, msgspec.json.encode(body), JSON)


class LeaderboardCsvView(PublicView):
    """``GET /leaderboard.csv``."""

    @extend_schema(
        operation_id="leaderboard_csv",
        summary="The leaderboard as CSV",
        parameters=BOARD_PARAMETERS,
        responses=CSV_RESPONSE,
        tags=["Public"],
        auth=[],
    )
    def get(self, request: Request) -> HttpResponse:
        """Return one line per model."""
        _, _, rows = read_board(request)
        return csv_answer(request, BOARD_COLUMNS, (board_cells(row) for row in rows))


class ModelsView(PublicView):
    """``GET /models``."""

    @extend_schema(
        operation_id="models",
        summary="The catalogue of models with the prices in force",
        parameters=[
            OpenApiParameter("cursor", description="The `next_cursor` of the page before."),
            OpenApiParameter("limit", int, description="How many models, 1 to 200.", default=50),
        ],
        responses=serializers.ModelListSerializer,
        tags=["Public"],
        auth=[],
    )
    def get(self, request: Request) -> HttpResponse:
        """Return a page of models, by id."""
        params = request.query_params
        filters.refuse_unknown(params, ("limit", "cursor"))
        limit = read_limit(params.get("limit", ""))
        models = list(models_after(params.get("cursor", ""))[: limit + 1])
        prices = queries.prices_on(timezone.now().date())
        shown = models[:limit]
        body = {
            "data": [catalogue_model(model, prices.get(model.pk)) for model in shown],
            "next_cursor": shown[-1].model_id if len(models) > limit else None,
        }
        return answer(request, msgspec.json.encode(body), JSON)


class RoutingTableView(PublicView):
    """``GET /routing-table``."""

    @extend_schema(
        operation_id="routing_table",
        summary="The whole routing table in force",
        responses=serializers.RoutingTableSerializer,
        tags=["Public"],
        auth=[],
    )
    def get(self, request: Request) -> HttpResponse:
        """Return every model and cell. 404 `no_table` until one is published."""
        table = read_table(request)
        body = {
            "version": table.version,
            "published_at": queries.published_at(),
            "models": [table_model(model) for model in table.models],
            "cells": list(cells(table)),
            "sources": table.sources,
        }
        return answer(request, msgspec.json.encode(body), JSON)


class RoutingTableCsvView(PublicView):
    """``GET /routing-table.csv``."""

    @extend_schema(
        operation_id="routing_table_csv",
        summary="The whole routing table in force as CSV",
        responses=CSV_RESPONSE,
        tags=["Public"],
        auth=[],
    )
    def get(self, request: Request) -> HttpResponse:
        """Return one line per model, route and difficulty."""
        table = read_table(request)
        rows = (
            (
                table.version,
                cell["model"],
                cell["route"],
                cell["difficulty"],
                *cell["accuracy"].values(),
                *cell["cost_micro_usd"].values(),
                cell["n"],
            )
            for cell in cells(table)
        )
        return csv_answer(request, CELL_COLUMNS, rows)


def read_board(
    request: Request,
) -> tuple[Table | None, filters.BoardFilter, list[board.BoardRow]]:
    """Return the table, the filter and the rows that a request asks for."""
    params = request.query_params
    filters.refuse_unknown(params, filters.BOARD_PARAMS)
    table = queries.current_table()
    chosen = filters.read_board_filter(params, board.providers(table) if table else None)
    if table is None:
        return None, chosen, []
    rows = board.board(table, route=chosen.route, provider=chosen.provider, sort=chosen.sort)
    return table, chosen, rows


def read_table(request: Request) -> Table:
    """Return the table in force, or raise the 404 that says how to get one."""
    filters.refuse_unknown(request.query_params, ())
    table = queries.current_table()
    if table is None:
        raise ApiError(
            404,
            "no_table",
            "No routing table is published yet. The operator publishes one with"
            " 'manage.py publish', after loading or ingesting results.",
        )
    return table


def answer(request: Request, body: bytes, content_type: str) -> HttpResponse:
    """Return the body with its cache headers, or 304 when the caller has it already."""
    http_request: HttpRequest = request._request
    etag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
    response = HttpResponse(body, content_type=content_type)
    response["ETag"] = etag
    response["Cache-Control"] = CACHE_CONTROL
    conditional = get_conditional_response(http_request, etag=etag, response=response)
    return conditional if isinstance(conditional, HttpResponse) else response


def csv_answer(request: Request, columns: tuple[str, ...], rows: Iterator[Any]) -> HttpResponse:
    """Return rows as CSV."""
    return answer(request, to_csv(columns, rows).encode(), CSV)


def models_after(cursor: str) -> QuerySet[CatalogModel]:
    """Return the models that follow the one a cursor names, by id."""
    if "\0" in cursor:
        message = "cursor: pass on `next_cursor` of the page before, unchanged."
        raise ApiError(400, "invalid_parameter", message, param="cursor")
    return CatalogModel.objects.filter(model_id__gt=cursor).order_by("model_id")


def interval(mean: float, low: float, high: float) -> dict[str, float]:
    """Return an accuracy."""
    return {
        "mean": round(mean, ACCURACY_DIGITS),
        "low": round(low, ACCURACY_DIGITS),
        "high": round(high, ACCURACY_DIGITS),
    }


def money(mean: float, low: float, high: float) -> dict[str, int]:
    """Return a cost in whole micro-USD."""
    return {"mean": round(mean), "low": round(low), "high": round(high)}


def table_model(model: TableModel) -> dict[str, Any]:
    """Return a model as the table knows it."""
    return {
        "model": model.model_id,
        "name": model.name,
        "provider": model.provider,
        "available": model.available,
        "in_catalogue": board.is_listed(model),
        "context_tokens": model.context_tokens,
        "input_modalities": model.input_modalities,
        "supports_tools": model.supports_tools,
        "prices": {
            "input_micro_usd": model.input_micro_usd,
            "output_micro_usd": model.output_micro_usd,
            "cache_read_micro_usd": model.cache_read_micro_usd,
            "cache_write_micro_usd": model.cache_write_micro_usd,
        },
    }


def catalogue_model(model: CatalogModel, price: Price | None) -> dict[str, Any]:
    """Return a model as the catalogue knows it, at today's base price."""
    return {
        "model": model.model_id,
        "name": model.name,
        "provider": model.provider,
        "available": model.is_available,
        "in_catalogue": model.in_catalogue,
        "context_tokens": model.context_tokens,
        "input_modalities": model.input_modalities,
        "supports_tools": model.supports_tools,
        "prices": price
        and {
            "input_micro_usd": price.input_micro_usd,
            "output_micro_usd": price.output_micro_usd,
            "cache_read_micro_usd": price.cache_read_micro_usd,
            "cache_write_micro_usd": price.cache_write_micro_usd,
        },
    }


def board_row(row: board.BoardRow) -> dict[str, Any]:
    """Return a line of the leaderboard."""
    value = row.accuracy_per_dollar
    return {
        "rank": {"best": row.rank_best, "worst": row.rank_worst},
        **table_model(row.model),
        "accuracy": interval(row.accuracy.mean, row.accuracy.low, row.accuracy.high),
        "cost_micro_usd": money(row.cost.mean, row.cost.low, row.cost.high),
        "accuracy_per_dollar": round(value, 4) if math.isfinite(value) else None,
        "n": row.n,
        "on_pareto": row.on_pareto,
    }


BOARD_COLUMNS = (
    "rank_best",
    "rank_worst",
    "model",
    "name",
    "provider",
    "accuracy",
    "accuracy_low",
    "accuracy_high",
    "cost_micro_usd",
    "cost_low_micro_usd",
    "cost_high_micro_usd",
    "accuracy_per_dollar",
    "n",
    "on_pareto",
    "available",
    "in_catalogue",
    "context_tokens",
    "input_modalities",
    "input_micro_usd_per_million_tokens",
    "output_micro_usd_per_million_tokens",
)


def board_cells(row: board.BoardRow) -> tuple[object, ...]:
    """Return a line of the leaderboard in the order of `BOARD_COLUMNS`."""
    shown = board_row(row)
    return (
        *shown["rank"].values(),
        shown["model"],
        shown["name"],
        shown["provider"],
        *shown["accuracy"].values(),
        *shown["cost_micro_usd"].values(),
        shown["accuracy_per_dollar"],
        shown["n"],
        shown["on_pareto"],
        shown["available"],
        shown["in_catalogue"],
        shown["context_tokens"],
        " ".join(shown["input_modalities"]),
        shown["prices"]["input_micro_usd"],
        shown["prices"]["output_micro_usd"],
    )


CELL_COLUMNS = (
    "table_version",
    "model",
    "route",
    "difficulty",
    "accuracy",
    "accuracy_low",
    "accuracy_high",
    "cost_micro_usd",
    "cost_low_micro_usd",
    "cost_high_micro_usd",
    "n",
)


def cells(table: Table) -> Iterator[dict[str, Any]]:
    """Yield every cell, by model, route and difficulty."""
    figures = table.cells
    for i, model in enumerate(table.models):
        for j, route in enumerate(ROUTES):
            for k, difficulty in enumerate(DIFFICULTIES):
                at = (i, j, k)
                yield {
                    "model": model.model_id,
                    "route": route,
                    "difficulty": difficulty,
                    "accuracy": interval(
                        float(figures.accuracy[at]),
                        float(figures.accuracy_low[at]),
                        float(figures.accuracy_high[at]),
                    ),
                    "cost_micro_usd": money(
                        float(figures.cost[at]),
                        float(figures.cost_low[at]),
                        float(figures.cost_high[at]),
                    ),
                    "n": int(figures.n[at]),
                }
