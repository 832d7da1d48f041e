"""Budgets in the API."""

from collections.abc import Sequence
from typing import Any, ClassVar, cast

from django.core.exceptions import ValidationError
from django.http import Http404
from django.utils import timezone
from drf_spectacular.utils import extend_schema, inline_serializer
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from lib.errors import ApiError
from routing.actions.budgets import (
    DEFAULT_THRESHOLDS,
    MAX_LIMIT_MICRO_USD,
    do_change_budget,
    do_delete_budget,
)
from routing.budgets import ACTIONS
from routing.models import Budget, BudgetPeriod
from teams.actions import SystemActor
from teams.keys import Scope
from teams.models import Project
from teams.queries import KeyHolder
from usage.actions.opening import do_open_budget
from usage.queries.budgets import Standing, budget_body, budgets_of, standings

PROJECT, KEY, TEAM = "project", "key", "team"
# What a budget counts stays as it is: these may be sent back as they were read, and only so.
FIXED = ("scope", "key_id", "period")
# What GET answers besides: a body that was read may be sent back as it is.
READ_ONLY = ("id", "project", "period_start", "resets_at", "spent_micro_usd")


def one_of(choices: Sequence[str]) -> dict[str, Any]:
    """Return what is said of a choice that there is not."""
    return {"invalid_choice": f"Use one of {', '.join(choices)}."}


class ChangeSerializer(serializers.Serializer[Any]):
    """What may be changed of a budget."""

    limit_micro_usd = serializers.IntegerField(min_value=1, max_value=MAX_LIMIT_MICRO_USD)
    at_limit = serializers.ChoiceField(
        ACTIONS,
        default="warn",
        help_text="What happens to requests once the limit is reached.",
        error_messages=one_of(ACTIONS),
    )
    thresholds = serializers.ListField(
        child=serializers.IntegerField(),
        default=list(DEFAULT_THRESHOLDS),
        help_text="Percent of the limit at which alerts are sent, each once in a period.",
    )
    emails = serializers.ListField(
        child=serializers.CharField(max_length=254),
        required=False,
        help_text="Who is told. Left out of a change, they stay as they are. Never read back.",
    )
    webhook_url = serializers.CharField(
        max_length=500,
        required=False,
        allow_blank=True,
        help_text="Where signed JSON is posted. Left out of a change, it stays. Never read back.",
    )


class NewSerializer(ChangeSerializer):
    """A budget to make."""

    scope = serializers.ChoiceField(
        [PROJECT, KEY, TEAM],
        default=PROJECT,
        help_text="Whose spend it counts. Budgets of a team are made in the browser.",
        error_messages=one_of([PROJECT, KEY]),
    )
    key_id = serializers.CharField(
        max_length=40,
        default=None,
        allow_null=True,
        help_text="With the scope `key`: which of the project's keys.",
    )
    period = serializers.ChoiceField(
        BudgetPeriod.values,
        default=BudgetPeriod.MONTHLY.value,
        error_messages=one_of(BudgetPeriod.values),
    )


class BudgetSerializer(serializers.Serializer[Any]):
    """A budget and where it stands."""

    id = serializers.CharField()
    scope = serializers.ChoiceField([PROJECT, KEY, TEAM])
    project = serializers.CharField(allow_null=True, help_text="Null: of the whole team.")
    key_id = serializers.CharField(allow_null=True)
    period = serializers.ChoiceField(BudgetPeriod.values)
    limit_micro_usd = serializers.IntegerField()
    at_limit = serializers.ChoiceField(ACTIONS)
    thresholds = serializers.ListField(child=serializers.IntegerField())
    period_start = serializers.DateField(help_text="In the team's time zone.")
    resets_at = serializers.DateTimeField(help_text="When it begins anew.")
    spent_micro_usd = serializers.IntegerField(
        help_text="Estimated cost of the calls of this period that were reported."
    )


BUDGET_LIST = inline_serializer("BudgetList", {"data": BudgetSerializer(many=True)})


class BudgetsView(APIView):
    """The budgets that the project's requests count towards."""

    required_scopes: ClassVar = {"GET": Scope.USAGE_READ, "POST": Scope.POLICY_WRITE}

    @extend_schema(operation_id="list_budgets", responses={200: BUDGET_LIST})
    def get(self, request: Request) -> Response:
        """List the budgets of the team, of the project and of its keys."""
        found = standings(budgets_of(project_of(request)), timezone.now())
        return Response({"data": [body_of(one) for one in found]})

    @extend_schema(
        operation_id="create_budget", request=NewSerializer, responses={201: BudgetSerializer}
    )
    def post(self, request: Request) -> Response:
        """Make a budget of the project or of one of its keys."""
        project = project_of(request)
        fields = read(NewSerializer(data=request.data), request.data)
        scope, key_id = fields.pop("scope"), fields.pop("key_id") or ""
        if scope == TEAM:
            raise of_a_team()
        if bool(key_id) != (scope == KEY):
            message = "key_id: Name a key of the project with the scope key, and only with it."
            raise ApiError(422, "invalid_parameter", message, param="key_id")
        try:
            budget = do_open_budget(
                project.team, project, key_id, actor=actor_of(request), **fields
            )
        except ValidationError as error:
            raise invalid(error) from error
        return answer(budget, status=201)


class BudgetView(APIView):
    """One budget."""

    required_scopes: ClassVar = {
        "GET": Scope.USAGE_READ,
        "PUT": Scope.POLICY_WRITE,
        "DELETE": Scope.POLICY_WRITE,
    }

    @extend_schema(operation_id="read_budget", responses={200: BudgetSerializer})
    def get(self, request: Request, budget_id: str) -> Response:
        """Read a budget and where it stands."""
        return answer(find(request, budget_id))

    @extend_schema(
        operation_id="change_budget", request=ChangeSerializer, responses={200: BudgetSerializer}
    )
    def put(self, request: Request, budget_id: str) -> Response:
        """Change a budget; what it counts, its scope and its period, stays."""
        budget = find_own(request, budget_id)
        fields = read(ChangeSerializer(data=request.data), request.data, like=budget)
        try:
            do_change_budget(budget, actor=actor_of(request), **fields)
        except ValidationError as error:
            raise invalid(error) from error
        return answer(budget)

    @extend_schema(operation_id="delete_budget", responses={200: BudgetSerializer})
    def delete(self, request: Request, budget_id: str) -> Response:
        """Delete a budget, and return it as it was. For 30 days its page can bring it back."""
        budget = find_own(request, budget_id)
        was = answer(budget)
        do_delete_budget(budget, actor=actor_of(request))
        return was


def project_of(request: Request) -> Project:
    """Return the project of the key."""
    holder = cast(KeyHolder, request.auth)
    return Project.objects.select_related("team").get(pk=holder.project_id)


def actor_of(request: Request) -> SystemActor:
    """Return the key as the one who acts."""
    return SystemActor(cast(KeyHolder, request.auth).key_id)


def find(request: Request, budget_id: str) -> Budget:
    """Return a budget that the project's requests count towards. Raises Http404."""
    budget = budgets_of(project_of(request)).filter(public_id=budget_id).first()
    if budget is None:
        raise Http404
    return budget


def find_own(request: Request, budget_id: str) -> Budget:
    """Return a budget of the project or of its keys. Raises Http404, or 403 for the team's."""
    budget = find(request, budget_id)
    if budget.project_id is None:
        raise of_a_team()
    return budget


def read(
    serializer: serializers.Serializer[Any], body: Any, *, like: Budget | None = None
) -> dict[str, Any]:
    """Return the fields of a request body. Raises 422.

    `like` is the budget that they change.
    """
    if not isinstance(body, dict):
        message = "Send one JSON object with the budget."
        raise ApiError(422, "invalid_parameter", message, param="body")
    facts = budget_body(like) if like else {}
    for name, value in body.items():
        if name in facts and name in FIXED and value != facts[name]:
            message = f"{name}: It stays {facts[name]}. Make another budget instead."
            raise ApiError(422, "invalid_parameter", message, param=name)
        if name not in serializer.fields and not (like and name in (*FIXED, *READ_ONLY)):
            message = f"{name[:60]} is not known. Use {', '.join(serializer.fields)}."
            raise ApiError(422, "unknown_parameter", message, param=name[:60])
    serializer.is_valid(raise_exception=True)
    return dict(serializer.validated_data)


def answer(budget: Budget, status: int = 200) -> Response:
    """Return a budget as the API shows it."""
    (stands,) = standings([budget], timezone.now())
    return Response(body_of(stands), status=status)


def body_of(stands: Standing) -> Any:
    """Return a budget and where it stands, without addresses and secrets."""
    return BudgetSerializer(
        {
            **budget_body(stands.budget),
            "period_start": stands.period_start,
            "resets_at": stands.resets_at,
            "spent_micro_usd": stands.spent_micro_usd,
        }
    ).data


def of_a_team() -> ApiError:
    """Return the 403 of a budget that a key of one project may not change."""
    message = "A key may change budgets of its project only. Change a team's on the Budgets page."
    return ApiError(403, "permission_denied", message)


def invalid(error: ValidationError) -> ApiError:
    """Return the 422 of settings that cannot be."""
    found = error.message_dict
    param = next(iter(found))
    message = f"{param}: {found[param][0]}"
    return ApiError(422, "invalid_parameter", message, param=param, details=found)
