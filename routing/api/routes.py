"""Who wins a route, in the API."""

from typing import Any

import msgspec
from django.http import HttpResponse
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request

from leaderboard.api.public import JSON, PublicView, answer, interval
from leaderboard.filters import one_of, refuse_unknown
from leaderboard.queries import measures_of
from leaderboard.serializers import AccuracyIntervalSerializer
from lib.errors import ApiError
from lib.taxonomy import DIFFICULTIES, ROUTES, SUBTASK_TYPES, TASK_TYPES
from routing.engine.explain import REASONS, VERDICTS
from routing.engine.inputs import MODES
from routing.engine.outcome import Candidate
from routing.queries.routes import route_winners
from routing.winners import Win


class RouteCandidateSerializer(serializers.Serializer[Any]):
    """A model's figures on this route, and why it was or was not taken."""

    model = serializers.CharField()
    accuracy = AccuracyIntervalSerializer()
    cost_micro_usd = serializers.IntegerField()
    clears = serializers.FloatField(allow_null=True, help_text="Probability of clearing the bar.")
    verdict = serializers.ChoiceField(tuple(VERDICTS))


class RouteReasonSerializer(serializers.Serializer[Any]):
    """Why this model."""

    code = serializers.ChoiceField(tuple(REASONS))
    text = serializers.CharField()


class WinSerializer(serializers.Serializer[Any]):
    """What is chosen in one mode at one difficulty; `model` is null when no model is left."""

    mode = serializers.ChoiceField(MODES)
    difficulty = serializers.ChoiceField(DIFFICULTIES)
    model = serializers.CharField(allow_null=True)
    reason = RouteReasonSerializer(allow_null=True)
    runner_up = serializers.CharField(allow_null=True, help_text="Chosen if the winner were not.")
    candidates = RouteCandidateSerializer(many=True)


class MeasureSerializer(serializers.Serializer[Any]):
    """A benchmark that measures the route."""

    benchmark = serializers.CharField()
    name = serializers.CharField()
    url = serializers.CharField(allow_blank=True)
    runs = serializers.IntegerField()
    models = serializers.IntegerField()


class RouteWinnersSerializer(serializers.Serializer[Any]):
    """Who wins a route; `data` is empty until a table is published."""

    route = serializers.ChoiceField(ROUTES)
    table_version = serializers.CharField(allow_null=True)
    quality_bar = serializers.FloatField()
    evidence = serializers.FloatField()
    benchmarks = MeasureSerializer(
        many=True, help_text="Empty: nothing measures the route, its figures are inferred."
    )
    data = WinSerializer(many=True)  # type: ignore[assignment]


class RouteView(PublicView):
    """``GET /routes/{task_type}/{subtask_type}``."""

    @extend_schema(
        operation_id="route_winners",
        summary="Who wins this kind of task in each mode, and why",
        parameters=[
            OpenApiParameter("task_type", location="path", enum=TASK_TYPES),
            OpenApiParameter(
                "subtask_type",
                location="path",
                enum=[name for names in SUBTASK_TYPES.values() for name in names],
            ),
            OpenApiParameter("mode", enum=MODES, description="Only this mode."),
            OpenApiParameter("difficulty", enum=DIFFICULTIES, description="Only this difficulty."),
        ],
        responses=RouteWinnersSerializer,
        tags=["Public"],
        auth=[],
    )
    def get(self, request: Request, task_type: str, subtask_type: str) -> HttpResponse:
        """Return the winners. 404 for a route that the taxonomy does not have."""
        route = f"{task_type}/{subtask_type}"
        if route not in ROUTES:
            message = f"There is no such route. Use one of: {', '.join(ROUTES)}."
            raise ApiError(404, "not_found", message)
        params = request.query_params
        refuse_unknown(params, ("mode", "difficulty"))
        mode = one_of(params, "mode", MODES)
        difficulty = one_of(params, "difficulty", DIFFICULTIES)
        found = route_winners(route)
        table, rules = found.table, found.rules
        body = {
            "route": route,
            "table_version": table.version if table else None,
            "quality_bar": rules.quality_bar,
            "evidence": rules.evidence,
            "benchmarks": [
                {
                    "benchmark": one.benchmark.slug,
                    "name": one.benchmark.name,
                    "url": one.benchmark.url,
                    "runs": one.runs,
                    "models": one.models,
                }
                for one in measures_of(route)
            ],
            "data": [
                win_body(win)
                for win in found.wins
                if mode in (None, win.mode) and difficulty in (None, win.difficulty)
            ],
        }
        return answer(request, msgspec.json.encode(body), JSON)


def win_body(win: Win) -> dict[str, Any]:
    """Return a win."""
    choice = win.choice
    return {
        "mode": win.mode,
        "difficulty": win.difficulty,
        "model": choice and choice.model,
        "reason": choice and {"code": choice.reason_code, "text": choice.reason_text},
        "runner_up": win.runner_up and win.runner_up.model,
        "candidates": [candidate_body(one) for one in win.candidates],
    }


def candidate_body(candidate: Candidate) -> dict[str, Any]:
    """Return a candidate."""
    return {
        "model": candidate.model,
        "accuracy": interval(candidate.accuracy, candidate.low, candidate.high),
        "cost_micro_usd": candidate.cost_micro_usd,
        "clears": None if candidate.clears is None else round(candidate.clears, 4),
        "verdict": candidate.verdict,
    }
