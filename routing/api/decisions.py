"""Past decisions in the API."""

from typing import Any, ClassVar, cast

from django.http import Http404
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import (
    OpenApiParameter,
    extend_schema,
    extend_schema_field,
    inline_serializer,
)
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from lib.paging import page_of, read_limit
from routing.actions.recording import do_find_decision
from routing.models import Decision
from routing.queries.decisions import FILTERS, decisions_of
from teams.keys import Scope
from teams.queries import KeyHolder


class ReasonSerializer(serializers.Serializer[Decision]):
    """Why this model."""

    code = serializers.CharField(source="reason_code")
    text = serializers.CharField(source="reason_text")


class RouteSerializer(serializers.Serializer[Decision]):
    """What the request was taken for."""

    task_type = serializers.CharField()
    subtask_type = serializers.CharField()
    difficulty = serializers.CharField()
    confidence = serializers.FloatField(allow_null=True)


class AccuracySerializer(serializers.Serializer[Decision]):
    """Expected accuracy with its 90% interval."""

    mean = serializers.FloatField(source="accuracy")
    low = serializers.FloatField(source="accuracy_low")
    high = serializers.FloatField(source="accuracy_high")


class EstimateSerializer(serializers.Serializer[Decision]):
    """What was expected of the chosen model."""

    accuracy = serializers.SerializerMethodField()
    cost_micro_usd = serializers.IntegerField(allow_null=True)
    baseline_cost_micro_usd = serializers.IntegerField(allow_null=True)

    @extend_schema_field(AccuracySerializer(allow_null=True))
    def get_accuracy(self, decision: Decision) -> Any:
        """Return the interval; None for a model without figures."""
        return None if decision.accuracy is None else AccuracySerializer(decision).data


class SessionSerializer(serializers.Serializer[Decision]):
    """What the session had to do with it."""

    id = serializers.SerializerMethodField()
    sticky = serializers.BooleanField()
    switched = serializers.BooleanField()
    switch_reason = serializers.SerializerMethodField()

    def get_id(self, decision: Decision) -> str | None:
        """Return the client's session id, if it gave one."""
        return decision.session_id or None

    def get_switch_reason(self, decision: Decision) -> str | None:
        """Return why the session moved to another model, if it did."""
        return decision.switch_reason or None


class PolicySerializer(serializers.Serializer[Decision]):
    """The policy that was in force."""

    version = serializers.CharField(source="policy_version")
    mode = serializers.CharField()


class DecisionSerializer(serializers.Serializer[Decision]):
    """A stored decision, in the shape in which it was given."""

    id = serializers.CharField(source="public_id")
    created_at = serializers.DateTimeField()
    model = serializers.CharField()
    reason = ReasonSerializer(source="*")
    route = serializers.SerializerMethodField()
    estimate = EstimateSerializer(source="*")
    session = SessionSerializer(source="*")
    policy = PolicySerializer(source="*")
    table_version = serializers.SerializerMethodField()

    @extend_schema_field(RouteSerializer(allow_null=True))
    def get_route(self, decision: Decision) -> Any:
        """Return the route; None when the request was not classified."""
        return RouteSerializer(decision).data if decision.task_type else None

    def get_table_version(self, decision: Decision) -> str | None:
        """Return the routing table's version; None when none was published."""
        return decision.table_version or None


class DecisionDetailSerializer(DecisionSerializer):
    """A stored decision with the evidence it stood on."""

    evidence = serializers.JSONField()


DECISION_LIST = inline_serializer(
    "DecisionList",
    {
        "data": DecisionSerializer(many=True),
        "next_cursor": serializers.CharField(allow_null=True),
    },
)
PARAMETERS = [
    *(OpenApiParameter(name, description=f"Only decisions with this {name}.") for name in FILTERS),
    OpenApiParameter("cursor", description="The `next_cursor` of the page before."),
    OpenApiParameter("limit", OpenApiTypes.INT, description="How many rows, 1 to 200.", default=50),
]


class DecisionsView(APIView):
    """A project's decisions."""

    required_scopes: ClassVar = {"GET": Scope.USAGE_READ}

    @extend_schema(
        operation_id="list_decisions",
        parameters=PARAMETERS,
        responses={200: DECISION_LIST},
    )
    def get(self, request: Request) -> Response:
        """List decisions, newest first."""
        holder = cast(KeyHolder, request.auth)
        decisions, next_cursor = page_of(
            decisions_of(holder.project_id, request.query_params),
            cursor=request.query_params.get("cursor", ""),
            limit=read_limit(request.query_params.get("limit", "")),
            id_field="public_id",
            time_field="created_at",
        )
        rows = [DecisionSerializer(decision).data for decision in decisions]
        return Response({"data": rows, "next_cursor": next_cursor})


class DecisionView(APIView):
    """One decision."""

    required_scopes: ClassVar = {"GET": Scope.USAGE_READ}

    @extend_schema(operation_id="read_decision", responses={200: DecisionDetailSerializer})
    def get(self, request: Request, decision_id: str) -> Response:
        """Read a decision with its evidence."""
        holder = cast(KeyHolder, request.auth)
        decision = do_find_decision(holder.project_id, decision_id)
        if decision is None:
            raise Http404
        return Response(DecisionDetailSerializer(decision).data)
