"""What changed between two routing tables, in the API."""

from typing import Any

import msgspec
from django.http import Http404, HttpResponse
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request

from leaderboard.api.public import JSON, PublicView, answer, interval, money
from leaderboard.filters import refuse_unknown
from leaderboard.queries import public_tables
from leaderboard.serializers import AccuracyIntervalSerializer, CostIntervalSerializer
from lib.taxonomy import DIFFICULTIES, ROUTES
from routing.comparison import Cell, CellChange, Chosen
from routing.engine.inputs import MODES
from routing.queries.tables import comparison


class TableNameSerializer(serializers.Serializer[Any]):
    """One of the two tables."""

    version = serializers.CharField()
    published_at = serializers.DateTimeField()


class ModelChangeSerializer(serializers.Serializer[Any]):
    """Something that the tables say differently of a model itself, such as a price."""

    model = serializers.CharField()
    field = serializers.CharField()
    before = serializers.JSONField(allow_null=True)
    after = serializers.JSONField(allow_null=True)


class ComparedModelsSerializer(serializers.Serializer[Any]):
    """Models that came, went, or are described differently."""

    added = serializers.ListField(child=serializers.CharField())
    removed = serializers.ListField(child=serializers.CharField())
    changed = ModelChangeSerializer(many=True)


class CellFiguresSerializer(serializers.Serializer[Any]):
    """What one table expects in one cell."""

    accuracy = AccuracyIntervalSerializer()
    cost_micro_usd = CostIntervalSerializer()
    n = serializers.IntegerField()


class CellChangeSerializer(serializers.Serializer[Any]):
    """A cell of a model that both tables know, with other figures in each."""

    model = serializers.CharField()
    route = serializers.ChoiceField(ROUTES)
    difficulty = serializers.ChoiceField(DIFFICULTIES)
    before = CellFiguresSerializer()
    after = CellFiguresSerializer()


class ChosenSerializer(serializers.Serializer[Any]):
    """What a table makes the default policy choose."""

    model = serializers.CharField(allow_null=True, help_text="Null: no model is left.")
    reason = serializers.CharField()
    accuracy = serializers.FloatField(allow_null=True)
    cost_micro_usd = serializers.IntegerField(allow_null=True)
    saving = serializers.FloatField(
        allow_null=True, help_text="Share of the baseline model's cost that is not spent."
    )


class ChoiceChangeSerializer(serializers.Serializer[Any]):
    """A route and mode in which the tables lead to another model or another expected saving."""

    route = serializers.ChoiceField(ROUTES)
    mode = serializers.ChoiceField(MODES)
    before = ChosenSerializer()
    after = ChosenSerializer()


class ComparisonSerializer(serializers.Serializer[Any]):
    """Everything that differs between two routing tables; all lists are empty when nothing does."""

    before = TableNameSerializer()
    after = TableNameSerializer()
    models = ComparedModelsSerializer()
    cells = CellChangeSerializer(many=True)
    choices = ChoiceChangeSerializer(many=True)


class RoutingTablesView(PublicView):
    """``GET /routing-tables/{before}...{after}``."""

    @extend_schema(
        operation_id="compare_routing_tables",
        summary="What changed between two routing tables",
        responses=ComparisonSerializer,
        tags=["Public"],
        auth=[],
    )
    def get(self, request: Request, before: str, after: str) -> HttpResponse:
        """Compare two published tables, newest or not, under the default policy."""
        refuse_unknown(request.query_params, ())
        found = comparison(before, after)
        if found is None:
            raise Http404
        published = dict(public_tables().values_list("version", "published_at"))
        body = {
            "before": {"version": before, "published_at": published[before]},
            "after": {"version": after, "published_at": published[after]},
            "models": {"added": found.added, "removed": found.removed, "changed": found.models},
            "cells": [cell_change(one) for one in found.cells],
            "choices": [
                {
                    "route": one.route,
                    "mode": one.mode,
                    "before": chosen(one.before),
                    "after": chosen(one.after),
                }
                for one in found.choices
            ],
        }
        return answer(request, msgspec.json.encode(body), JSON)


def cell_change(change: CellChange) -> dict[str, Any]:
    """Return a cell's figures in both tables."""
    return {
        "model": change.model,
        "route": change.route,
        "difficulty": change.difficulty,
        "before": figures(change.before),
        "after": figures(change.after),
    }


def figures(cell: Cell) -> dict[str, Any]:
    """Return a cell's figures in one table."""
    accuracy, cost = cell.accuracy, cell.cost
    return {
        "accuracy": interval(accuracy.mean, accuracy.low, accuracy.high),
        "cost_micro_usd": money(cost.mean, cost.low, cost.high),
        "n": cell.n,
    }


def chosen(choice: Chosen) -> dict[str, Any]:
    """Return a choice."""
    accuracy = choice.accuracy
    return {
        "model": choice.model,
        "reason": choice.reason,
        "accuracy": None if accuracy is None else round(accuracy, 4),
        "cost_micro_usd": choice.cost_micro_usd,
        "saving": choice.saving,
    }
