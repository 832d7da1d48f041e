"""Past decisions in the API."""

from typing import Any, ClassVar, cast

from django.http import Http404
from django.utils import timezone
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

from leaderboard.queries import find_model
from lib.errors import ApiError
from lib.paging import page_of, read_limit
from routing.actions.recording import do_find_decision
from routing.actions.reporting import Reported, do_record_outcomes
from routing.api.policy import PolicyChangeSerializer
from routing.counterfactual import Counterfactual
from routing.engine.outcome import Candidate
from routing.filters import FILTERS, ORDERS, read_decision_filter, read_flag, read_order
from routing.models import Decision, Outcome
from routing.queries.decisions import decisions_of, judged_of
from routing.queries.rerun import Rerun, policy_of, proven, rerun
from teams.keys import Scope
from teams.models import Project
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
    """What was expected of the chosen model, or of the ladder as a whole."""

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
    runner_up = serializers.SerializerMethodField()
    session = SessionSerializer(source="*")
    policy = PolicySerializer(source="*")
    table_version = serializers.SerializerMethodField()

    @extend_schema_field(RouteSerializer(allow_null=True))
    def get_route(self, decision: Decision) -> Any:
        """Return the route; None when the request was not classified."""
        return RouteSerializer(decision).data if decision.task_type else None

    def get_runner_up(self, decision: Decision) -> str | None:
        """Return the model that came second; None when there was none."""
        if "evidence" in decision.get_deferred_fields():
            second: str | None = getattr(decision, "runner_up", None)
        else:
            second = decision.evidence.get("runner_up")
        return second

    def get_table_version(self, decision: Decision) -> str | None:
        """Return the routing table's version; None when none was published."""
        return decision.table_version or None


class SpanSerializer(serializers.Serializer[Any]):
    """The quality bars, both ends included, at which a model would have won."""

    low = serializers.FloatField()
    high = serializers.FloatField()
    model = serializers.CharField()


class PriceSerializer(serializers.Serializer[Any]):
    """The highest expected cost at which a model would have won."""

    model = serializers.CharField()
    cost_micro_usd = serializers.IntegerField()


class TrustSerializer(serializers.Serializer[Any]):
    """The confidence threshold that would have changed whether the reading is trusted."""

    at_most = serializers.FloatField(allow_null=True)
    at_least = serializers.FloatField(allow_null=True)
    model = serializers.CharField(allow_null=True)


class CounterfactualSerializer(serializers.Serializer[Counterfactual]):
    """What the record proves of other bars, prices and thresholds."""

    by_bar = SpanSerializer(many=True)
    by_price = PriceSerializer(many=True)
    by_confidence = TrustSerializer(allow_null=True)


class CandidateSerializer(serializers.Serializer[Candidate]):
    """A model's figures and the verdict on it."""

    model = serializers.CharField()
    accuracy = serializers.FloatField()
    low = serializers.FloatField()
    high = serializers.FloatField()
    cost_micro_usd = serializers.IntegerField()
    clears = serializers.FloatField(allow_null=True)
    verdict = serializers.CharField()


class RefusalSerializer(serializers.Serializer[Any]):
    """Why no model is left."""

    code = serializers.CharField()
    param = serializers.CharField()
    message = serializers.CharField()


class NowSerializer(serializers.Serializer[Any]):
    """The choice as it would be now."""

    model = serializers.CharField()
    reason_code = serializers.CharField()
    reason_text = serializers.CharField()
    mode = serializers.CharField()
    baseline_cost_micro_usd = serializers.IntegerField(allow_null=True)
    candidates = CandidateSerializer(many=True)


class RerunSerializer(serializers.Serializer[Rerun]):
    """The decision made again under the policy and the table in force."""

    choice = NowSerializer(allow_null=True)
    refusal = RefusalSerializer(allow_null=True)
    policy_version = serializers.CharField(source="policy.public_id")
    table_version = serializers.CharField(allow_null=True)
    same_model = serializers.BooleanField()
    same_table = serializers.BooleanField()
    changes = PolicyChangeSerializer(many=True, allow_null=True)


class StepSerializer(serializers.Serializer[Any]):
    """One model of a recorded ladder, when it is reached."""

    model = serializers.CharField()
    success = serializers.FloatField()
    cost_micro_usd = serializers.IntegerField()


class StepsSerializer(serializers.Serializer[Any]):
    """A recorded ladder: the models to try one after the other."""

    rungs = StepSerializer(many=True)
    success = serializers.FloatField()
    cost_micro_usd = serializers.IntegerField()


class SpentSerializer(serializers.Serializer[Any]):
    """A budget that was spent, and what that led to."""

    id = serializers.CharField()
    scope = serializers.CharField(help_text="team, project or key")
    period = serializers.CharField(help_text="daily or monthly")
    action = serializers.CharField(help_text="warn, cheapest, balanced or refuse")
    spent_micro_usd = serializers.IntegerField()
    limit_micro_usd = serializers.IntegerField()
    resets_at = serializers.DateTimeField()


class DecisionDetailSerializer(DecisionSerializer):
    """A stored decision with the evidence it stood on, and what follows from it.

    The context has the `counterfactual` and the `rerun`, which is None unless asked for.
    """

    ladder = serializers.SerializerMethodField()
    budget = serializers.SerializerMethodField()
    evidence = serializers.JSONField()
    counterfactual = serializers.SerializerMethodField()
    rerun = serializers.SerializerMethodField()

    @extend_schema_field(StepsSerializer(allow_null=True))
    def get_ladder(self, decision: Decision) -> Any:
        """Return the ladder that was given, None when there was none."""
        return decision.evidence.get("ladder")

    @extend_schema_field(SpentSerializer(allow_null=True))
    def get_budget(self, decision: Decision) -> Any:
        """Return the spent budget that the decision was made under, None when there was none."""
        return decision.evidence.get("budget")

    @extend_schema_field(CounterfactualSerializer)
    def get_counterfactual(self, _: Decision) -> Any:
        """Return what the record proves."""
        return CounterfactualSerializer(self.context["counterfactual"]).data

    @extend_schema_field(RerunSerializer(allow_null=True))
    def get_rerun(self, _: Decision) -> Any:
        """Return what would be decided now."""
        found = self.context["rerun"]
        return None if found is None else RerunSerializer(found).data


class OutcomeSerializer(serializers.Serializer[Any]):
    """What became of a decision's work, as the client saw it."""

    outcome = serializers.ChoiceField(
        Outcome.choices,
        error_messages=dict.fromkeys(
            ["invalid_choice", "required", "null"], f"Send one of {', '.join(Outcome.values)}."
        ),
    )
    model = serializers.CharField(
        required=False, help_text="The model that was used, if not the decision's."
    )


class OutcomeAnswerSerializer(serializers.Serializer[Any]):
    """The outcome as it is kept; `changed` tells whether it was news."""

    decision_id = serializers.CharField()
    model = serializers.CharField()
    outcome = serializers.CharField()
    changed = serializers.BooleanField()


DECISION_LIST = inline_serializer(
    "DecisionList",
    {
        "data": DecisionSerializer(many=True),
        "next_cursor": serializers.CharField(allow_null=True),
    },
)
PARAMETERS = [
    *(OpenApiParameter(name, description=meaning) for name, meaning in FILTERS.items()),
    OpenApiParameter("order", enum=ORDERS, description="Which come first.", default="newest"),
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
        """List decisions, newest first unless `order` says otherwise."""
        holder = cast(KeyHolder, request.auth)
        zone = Project.objects.values_list("team__time_zone", flat=True).get(pk=holder.project_id)
        decisions, next_cursor = page_of(
            decisions_of(
                holder.project_id,
                read_decision_filter(request.query_params, timezone.now(), zone),
            ),
            cursor=request.query_params.get("cursor", ""),
            limit=read_limit(request.query_params.get("limit", "")),
            id_field="public_id",
            time_field="created_at",
            oldest_first=read_order(request.query_params),
        )
        rows = [DecisionSerializer(decision).data for decision in decisions]
        return Response({"data": rows, "next_cursor": next_cursor})


class DecisionView(APIView):
    """One decision."""

    required_scopes: ClassVar = {"GET": Scope.USAGE_READ}

    @extend_schema(
        operation_id="read_decision",
        parameters=[
            OpenApiParameter(
                "rerun",
                OpenApiTypes.BOOL,
                description="Decide again from the recorded evidence, under the policy and the"
                " table in force. Records nothing.",
            )
        ],
        responses={200: DecisionDetailSerializer},
    )
    def get(self, request: Request, decision_id: str) -> Response:
        """Read a decision with its evidence."""
        holder = cast(KeyHolder, request.auth)
        again = read_flag(request.query_params, "rerun")
        decision = do_find_decision(holder.project_id, decision_id)
        if decision is None:
            raise Http404
        project = Project.objects.select_related("team").get(pk=holder.project_id)
        policy = policy_of(project, decision)
        found = rerun(project, decision, policy, timezone.now()) if again else None
        if again and found is None:
            message = "This decision's record does not tell what the request asked of a model."
            raise ApiError(422, "not_repeatable", message, param="rerun")
        context = {"counterfactual": proven(decision, policy), "rerun": found}
        return Response(DecisionDetailSerializer(decision, context=context).data)


class OutcomeView(APIView):
    """What became of one decision's work."""

    required_scopes: ClassVar = {"POST": Scope.USAGE_WRITE}

    @extend_schema(
        operation_id="report_outcome",
        request=OutcomeSerializer,
        responses={200: OutcomeAnswerSerializer},
    )
    def post(self, request: Request, decision_id: str) -> Response:
        """Report an outcome. A failure makes the session go past the model."""
        holder = cast(KeyHolder, request.auth)
        decision = do_find_decision(holder.project_id, decision_id)
        if decision is None:
            raise Http404
        body = OutcomeSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        if unknown := next((name for name in request.data if name not in body.fields), None):
            message = f"{unknown[:60]} is not known. Use {', '.join(body.fields)}."
            raise ApiError(422, "unknown_parameter", message, param=unknown[:60])
        outcome, model = body.validated_data["outcome"], body.validated_data.get("model")
        if model is not None and find_model(model) is None:
            message = f"Unknown model '{model[:80]}', see GET /api/v1/models."
            raise ApiError(422, "unknown_model", message, param="model")
        now = timezone.now()
        reported = Reported(judged_of(decision), model or decision.model, outcome, now)
        changed = do_record_outcomes([reported], holder=holder, now=now)
        return Response(
            {
                "decision_id": decision.public_id,
                "model": reported.model,
                "outcome": outcome,
                "changed": bool(changed),
            }
        )
