"""``GET /leaderboard``: models by expected accuracy and cost."""

import math
from dataclasses import dataclass
from typing import Any

import msgspec
from django.http import HttpResponse
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request

from leaderboard import board, filters, queries, serializers
from leaderboard.api.public import (
    BAD_CURSOR,
    CSV_RESPONSE,
    CURSOR,
    JSON,
    MODEL_PARAMETERS,
    PublicView,
    answer,
    csv_answer,
    figures_of,
)
from leaderboard.api.tables import table_model
from leaderboard.table import Table
from lib.errors import ApiError
from lib.paging import read_limit
from lib.taxonomy import ROUTES

BOARD_LIMIT = 200


BOARD_PARAMETERS = [
    OpenApiParameter("route", enum=ROUTES, description="Without it: all measured routes."),
    *MODEL_PARAMETERS,
    OpenApiParameter("sort", enum=tuple(board.SORTS), default=filters.BoardFilter.sort),
    OpenApiParameter("compare", description="Only these models, ids separated by commas."),
]


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
