"""``GET /models``: the catalogue, and one model with everything behind its figures."""

from typing import Any

import msgspec
from django.http import HttpResponse
from django.utils import timezone
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
from leaderboard.models import CatalogModel, Price
from lib.errors import ApiError
from lib.paging import read_limit

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


def model_cells(model: CatalogModel, price: Price | None) -> tuple[object, ...]:
    """Return a model of the catalogue in the order of `MODEL_COLUMNS`."""
    shown = catalogue_model(model, price)
    prices = shown.pop("prices")
    shown["input_modalities"] = " ".join(shown["input_modalities"])
    return (*shown.values(), *(prices.values() if prices else [None] * 4))
