"""``GET /routing-table``: the whole table in force."""

from collections.abc import Iterator
from typing import Any

import msgspec
from django.http import HttpResponse
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request

from leaderboard import board, filters, queries, serializers
from leaderboard.api.public import (
    CSV_RESPONSE,
    JSON,
    PublicView,
    answer,
    csv_answer,
    interval,
    money,
)
from leaderboard.table import Table, TableModel
from lib.errors import ApiError
from lib.taxonomy import DIFFICULTIES, ROUTES

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
