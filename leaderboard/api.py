"""The public API: leaderboard, catalogue and routing table, for anyone, cacheable."""

import hashlib
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import msgspec
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
BOARD_LIMIT = 200
BAD_CURSOR = "cursor: pass on `next_cursor` of the page before, unchanged."

MODEL_PARAMETERS = [
    OpenApiParameter("harness", description="Only models with public runs made in this harness."),
    OpenApiParameter("provider", description="Only this provider's models."),
    OpenApiParameter(
        "max_price", float, description="Only models at most this dear, $ per 1M output tokens."
    ),
    OpenApiParameter("modality", description="Only models that read this, such as image."),
]
BOARD_PARAMETERS = [
    OpenApiParameter("route", enum=ROUTES, description="Without it: all measured routes."),
    *MODEL_PARAMETERS,
    OpenApiParameter("sort", enum=tuple(board.SORTS), default=filters.BoardFilter.sort),
    OpenApiParameter("compare", description="Only these models, ids separated by commas."),
]
CURSOR = OpenApiParameter("cursor", description="The `next_cursor` of the page before.")
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
        parameters=[
            *BOARD_PARAMETERS,
            CURSOR,
            OpenApiParameter("limit", int, description="How many, 1 to 200.", default=BOARD_LIMIT),
        ],
        responses=serializers.LeaderboardSerializer,
        tags=["Public"],
        auth=[],
    )
    def get(self, request: Request) -> HttpResponse:
        """Return ranked models. Empty, and not an error, until a table is published."""
        params = request.query_params
        asked = read_board(request, ("limit", "cursor"))
        limit = read_limit(params.get("limit", ""), default=BOARD_LIMIT)
        rows = rows_after(params.get("cursor", ""), asked.rows)
        table, chosen = asked.table, asked.chosen
        body = {
            "table_version": table.version if table else None,
            "published_at": queries.published_at(table.version) if table else None,
            "route": chosen.route,
            "measured": table is not None and board.is_measured(table, chosen.route),
            "harness": chosen.harness,
            "provider": chosen.provider,
            "max_price": chosen.max_price,
            "modality": chosen.modality,
            "sort": chosen.sort,
            "compare": chosen.compare,
            "data": [board_row(row, asked.origins.of(row.model.model_id)) for row in rows[:limit]],
            "next_cursor": rows[limit - 1].model.model_id if len(rows) > limit else None,
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
        asked = read_board(request, ())
        lines = (board_cells(row, asked.origins.of(row.model.model_id)) for row in asked.rows)
        return csv_answer(request, BOARD_COLUMNS, lines)


class ModelsView(PublicView):
    """``GET /models``."""

    @extend_schema(
        operation_id="models",
        summary="The catalogue of models with the prices in force",
        parameters=[
            *MODEL_PARAMETERS,
            CURSOR,
            OpenApiParameter("limit", int, description="How many models, 1 to 200.", default=50),
        ],
        responses=serializers.ModelListSerializer,
        tags=["Public"],
        auth=[],
    )
    def get(self, request: Request) -> HttpResponse:
        """Return a page of models, by id."""
        params = request.query_params
        limit = read_limit(params.get("limit", ""))
        found = read_models(request, ("limit", "cursor"))
        cursor = params.get("cursor", "")
        if "\0" in cursor:
            raise ApiError(400, "invalid_parameter", BAD_CURSOR, param="cursor")
        rest = [one for one in found if one[0].model_id > cursor]
        shown = rest[:limit]
        body = {
            "data": [catalogue_model(model, price) for model, price in shown],
            "next_cursor": shown[-1][0].model_id if len(rest) > limit else None,
        }
        return answer(request, msgspec.json.encode(body), JSON)


class ModelsCsvView(PublicView):
    """``GET /models.csv``."""

    @extend_schema(
        operation_id="models_csv",
        summary="The catalogue of models with the prices in force as CSV",
        parameters=MODEL_PARAMETERS,
        responses=CSV_RESPONSE,
        tags=["Public"],
        auth=[],
    )
    def get(self, request: Request) -> HttpResponse:
        """Return one line per model, by id."""
        found = read_models(request, ())
        return csv_answer(request, MODEL_COLUMNS, (model_cells(*one) for one in found))


class ModelView(PublicView):
    """``GET /models/{model_id}``."""

    @extend_schema(
        operation_id="model",
        summary="One model: its figures, its prices and every public run behind them",
        responses=serializers.ModelDetailSerializer,
        tags=["Public"],
        auth=[],
    )
    def get(self, request: Request, model_id: str) -> HttpResponse:
        """Return a model. 404 for one that neither the catalogue nor the table knows."""
        filters.refuse_unknown(request.query_params, ())
        listed, table = queries.find_model(model_id), queries.current_table()
        place = table.index_of(model_id) if table else None
        if listed is not None:
            price = queries.prices_on(timezone.now().date()).get(listed.pk)
            about = catalogue_model(listed, price)
        elif table is not None and place is not None:
            about = table_model(table.models[place])
        else:
            raise ApiError(
                404, "not_found", "There is no such model. GET /api/v1/models lists them."
            )
        body = {
            **about,
            "table_version": table.version if table else None,
            "overall": None,
            "routes": [],
            "neighbours": [],
            "price_history": [
                {
                    "valid_from": price.valid_from.isoformat(),
                    "above_input_tokens": price.above_input_tokens,
                    **prices_of(price),
                    "source": price.source,
                }
                for price in queries.price_history(model_id)
            ],
            "runs": [run_record(record) for record in queries.public_runs_of(model_id)],
        }
        if table is not None and place is not None:
            (row,) = [one for one in board.all_rows(table, None) if one.model.model_id == model_id]
            body["overall"] = {
                "rank": {"best": row.rank_best, "worst": row.rank_worst},
                **figures_of(row.accuracy, row.cost, row.n),
                "on_pareto": row.on_pareto,
            }
            body["routes"] = [
                {"route": one.route, **figures_of(one.accuracy, one.cost, one.n)}
                for one in board.by_route(table, place)
            ]
            body["neighbours"] = [one.model.model_id for one in board.neighbours(table, model_id)]
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
            "published_at": queries.published_at(table.version),
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


@dataclass(frozen=True)
class Asked:
    """What a request asks of the leaderboard, and the rows that answer it."""

    table: Table | None
    origins: queries.Origins
    chosen: filters.BoardFilter
    rows: list[board.BoardRow]


def read_board(request: Request, also: tuple[str, ...]) -> Asked:
    """Return what a request asks for. It may have the parameters `also` besides the filter's."""
    params = request.query_params
    filters.refuse_unknown(params, (*filters.BOARD_PARAMS, *also))
    table, origins = queries.current_table(), queries.origins()
    choices = filters.choices_of(table, origins) if table else None
    chosen = filters.read_board_filter(params, choices)
    rows = filters.narrowed(table, origins, chosen) if table else []
    return Asked(table, origins, chosen, rows)


def rows_after(cursor: str, rows: list[board.BoardRow]) -> list[board.BoardRow]:
    """Return the rows that follow the model which a cursor names."""
    if not cursor:
        return rows
    for place, row in enumerate(rows):
        if row.model.model_id == cursor:
            return rows[place + 1 :]
    raise ApiError(400, "invalid_parameter", BAD_CURSOR, param="cursor")


def read_models(request: Request, also: tuple[str, ...]) -> list[tuple[CatalogModel, Price | None]]:
    """Return the catalogue's models that a request asks for, by id, at today's base prices."""
    params = request.query_params
    filters.refuse_unknown(params, (*filters.MODEL_PARAMS, *also))
    models = list(CatalogModel.objects.order_by("model_id"))
    prices = queries.prices_on(timezone.now().date())
    origins = queries.origins()
    harness = filters.one_of(params, "harness", origins.harnesses)
    provider = filters.one_of(params, "provider", sorted({one.provider for one in models}))
    known = sorted({name for one in models for name in one.input_modalities})
    modality = filters.one_of(params, "modality", known)
    most = filters.read_price(params)
    among = origins.measured_in(harness) if harness else None
    return [
        (one, price)
        for one in models
        for price in [prices.get(one.pk)]
        if (among is None or one.model_id in among)
        and (provider is None or one.provider == provider)
        and (modality is None or modality in one.input_modalities)
        and (most is None or (price and board.is_within(price.output_micro_usd, most)))
    ]


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
        "prices": price and prices_of(price),
    }


def prices_of(price: Price) -> dict[str, int | None]:
    """Return a price."""
    return {
        "input_micro_usd": price.input_micro_usd,
        "output_micro_usd": price.output_micro_usd,
        "cache_read_micro_usd": price.cache_read_micro_usd,
        "cache_write_micro_usd": price.cache_write_micro_usd,
    }


def figures_of(accuracy: board.Interval, cost: board.Interval, n: int) -> dict[str, Any]:
    """Return what is expected of a model somewhere."""
    return {
        "accuracy": interval(accuracy.mean, accuracy.low, accuracy.high),
        "cost_micro_usd": money(cost.mean, cost.low, cost.high),
        "n": n,
    }


def run_record(record: queries.RunRecord) -> dict[str, Any]:
    """Return a public run."""
    run, cost = record.run, record.mean_cost_micro_usd
    return {
        "id": run.public_id,
        "benchmark": run.benchmark.slug,
        "route": run.benchmark.route,
        "harness": run.harness,
        "harness_version": run.harness_version,
        "n": record.n,
        "passed": round(record.passed, 3),
        "mean_cost_micro_usd": None if cost is None else round(cost),
        "measured_at": run.measured_at,
        "source": run.source,
        "origin": run.origin,
        "url": record.link,
        "command": run.command,
        "superseded_at": run.superseded_at,
        "withdrawn_at": run.withdrawn_at,
    }


MODEL_COLUMNS = (
    "model",
    "name",
    "provider",
    "available",
    "in_catalogue",
    "context_tokens",
    "input_modalities",
    "supports_tools",
    "input_micro_usd_per_million_tokens",
    "output_micro_usd_per_million_tokens",
    "cache_read_micro_usd_per_million_tokens",
    "cache_write_micro_usd_per_million_tokens",
)


def model_cells(model: CatalogModel, price: Price | None) -> tuple[object, ...]:
    """Return a model of the catalogue in the order of `MODEL_COLUMNS`."""
    shown = catalogue_model(model, price)
    prices = shown.pop("prices")
    shown["input_modalities"] = " ".join(shown["input_modalities"])
    return (*shown.values(), *(prices.values() if prices else [None] * 4))


def board_row(row: board.BoardRow, origin: queries.Origin) -> dict[str, Any]:
    """Return a line of the leaderboard."""
    value = row.accuracy_per_dollar
    return {
        "rank": {"best": row.rank_best, "worst": row.rank_worst},
        **table_model(row.model),
        **figures_of(row.accuracy, row.cost, row.n),
        "accuracy_per_dollar": round(value, 4) if math.isfinite(value) else None,
        "on_pareto": row.on_pareto,
        "measured_at": origin.measured_at,
        "sources": origin.sources,
        "harnesses": origin.harnesses,
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
    "measured_at",
    "sources",
    "harnesses",
)


def board_cells(row: board.BoardRow, origin: queries.Origin) -> tuple[object, ...]:
    """Return a line of the leaderboard in the order of `BOARD_COLUMNS`."""
    shown = board_row(row, origin)
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
        origin.measured_at and f"{origin.measured_at:%Y-%m-%dT%H:%M:%SZ}",
        ", ".join(origin.sources),
        ", ".join(origin.harnesses),
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
