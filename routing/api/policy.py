"""A project's policy in the API."""

from typing import Any, ClassVar, cast

from django.core.exceptions import ValidationError
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema, inline_serializer
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from lib.errors import ApiError
from lib.paging import page_of, read_limit
from routing.actions.policies import StalePolicyError, do_save_policy, draft_policy
from routing.engine.inputs import SUCCESS_PRICE_MICRO_USD
from routing.models import Mode, Policy
from routing.queries.policies import (
    SETTINGS,
    InForce,
    PolicyVersion,
    in_force,
    named_by,
    policy_versions,
    settings_of,
    unknown_models,
    with_changes,
)
from teams.actions import SystemActor
from teams.keys import Scope
from teams.models import Project
from teams.queries import KeyHolder

# What GET answers besides the settings: a body that was read may be sent back as it is.
READ_ONLY = ("version", "number", "inherited", "author", "created_at", "team_default")
TAKE_PATTERNS = ("allowed_models", "denied_models")


def share(default: float) -> serializers.FloatField:
    """Return the field of a share between 0 and 1."""
    return serializers.FloatField(min_value=0, max_value=1, default=default)


def model_names(help_text: str) -> serializers.ListField:
    """Return the field of a list of models."""
    return serializers.ListField(
        child=serializers.CharField(max_length=120), default=list, help_text=help_text
    )


class SettingsSerializer(serializers.Serializer[Any]):
    """The settings of a policy. One that is left out takes its default."""

    mode = serializers.ChoiceField(
        Mode.choices,
        default=Mode.DEFAULT,
        help_text="`default` stands for the team's mode.",
        error_messages={
            "invalid_choice": f"'{{input}}' is no mode. Use one of {', '.join(Mode.values)}."
        },
    )
    quality_bar = share(0.95)
    evidence = share(0.5)
    accuracy_floor = share(0.0)
    confidence_threshold = share(0.8)
    allowed_models = model_names("Models, or patterns such as `anthropic/*`. Empty means all.")
    denied_models = model_names("Models, or patterns such as `anthropic/*`.")
    balanced_models = serializers.ListField(
        child=serializers.CharField(max_length=120),
        required=False,
        help_text="In order: the first usable one takes what is unclear.",
    )
    success_price_micro_usd = serializers.IntegerField(
        min_value=0,
        max_value=10**15,
        default=SUCCESS_PRICE_MICRO_USD,
        allow_null=True,
        help_text="What one more solved task may cost, up to the bar. Null: the bar is strict.",
    )
    price_ceiling_micro_usd = serializers.IntegerField(
        min_value=0, max_value=10**15, default=None, allow_null=True
    )
    baseline_model = serializers.CharField(max_length=120, required=False)
    route_overrides = serializers.DictField(
        child=serializers.CharField(max_length=120),
        default=dict,
        help_text="By route, such as `debugging/bug_fixing`: a mode, or a model.",
    )
    live_evidence = serializers.BooleanField(default=False)


class DraftSerializer(SettingsSerializer):
    """A policy to save or to preview."""

    inherit = serializers.BooleanField(
        default=False, help_text="Follow the team's default; settings in the body do not count."
    )
    note = serializers.CharField(
        max_length=200, default="", allow_blank=True, help_text="Why it is changed."
    )


class PolicyChangeSerializer(serializers.Serializer[Any]):
    """A setting that has another value in a later version."""

    setting = serializers.ChoiceField(list(SETTINGS), source="name")
    before = serializers.JSONField(allow_null=True)
    after = serializers.JSONField(allow_null=True)


class TeamDefaultSerializer(SettingsSerializer):
    """What projects of the team follow that have no settings of their own."""

    version = serializers.CharField()


class ProjectPolicySerializer(SettingsSerializer):
    """The policy that a project follows."""

    version = serializers.CharField()
    number = serializers.IntegerField(help_text="Of the project's own newest version, else 0.")
    inherited = serializers.BooleanField(help_text="Whether these are the team's settings.")
    author = serializers.CharField()
    note = serializers.CharField()
    created_at = serializers.DateTimeField(allow_null=True)
    team_default = TeamDefaultSerializer()


class PolicyVersionSerializer(SettingsSerializer):
    """A saved version, which never changes."""

    version = serializers.CharField()
    number = serializers.IntegerField()
    inherited = serializers.BooleanField(help_text="Whether it follows the team's default.")
    author = serializers.CharField()
    note = serializers.CharField()
    created_at = serializers.DateTimeField()
    changes = PolicyChangeSerializer(many=True)


VERSION_LIST = inline_serializer(
    "PolicyVersionList",
    {
        "data": PolicyVersionSerializer(many=True),
        "next_cursor": serializers.CharField(allow_null=True),
    },
)
ETAG = OpenApiParameter(
    "ETag", location="header", response=True, description="Names what is in force."
)


class PolicyView(APIView):
    """Read and replace the policy."""

    required_scopes: ClassVar = {"GET": Scope.USAGE_READ, "PUT": Scope.POLICY_WRITE}

    @extend_schema(
        operation_id="read_policy", parameters=[ETAG], responses={200: ProjectPolicySerializer}
    )
    def get(self, request: Request) -> Response:
        """Read the policy that the project follows."""
        return answer(in_force(cast(KeyHolder, request.auth).project_id))

    @extend_schema(
        operation_id="replace_policy",
        parameters=[
            OpenApiParameter(
                "If-Match",
                location="header",
                required=True,
                description="The ETag of the policy that was edited; `*` overwrites any.",
            ),
            ETAG,
        ],
        request=DraftSerializer,
        responses={200: ProjectPolicySerializer},
    )
    def put(self, request: Request) -> Response:
        """Save a new version, unless somebody else did since it was read."""
        holder = cast(KeyHolder, request.auth)
        based_on = read_if_match(request)
        project = Project.objects.select_related("team").get(pk=holder.project_id)
        fields = read_draft(request.data)
        check_models(project, fields)
        inherits, note = fields.pop("inherit"), fields.pop("note")
        try:
            do_save_policy(
                project,
                actor=SystemActor(holder.key_id),
                based_on=matching(based_on, in_force(project.pk)),
                inherits=inherits,
                note=note,
                **fields,
            )
        except StalePolicyError as error:
            raise overtaken(error.current) from error
        except ValidationError as error:
            raise invalid(error) from error
        return answer(in_force(project.pk))


class PolicyVersionsView(APIView):
    """The project's saved versions."""

    required_scopes: ClassVar = {"GET": Scope.USAGE_READ}

    @extend_schema(
        operation_id="list_policy_versions",
        parameters=[
            OpenApiParameter("cursor", description="The `next_cursor` of the page before."),
            OpenApiParameter(
                "limit", OpenApiTypes.INT, description="How many rows, 1 to 200.", default=50
            ),
        ],
        responses={200: VERSION_LIST},
    )
    def get(self, request: Request) -> Response:
        """List versions, newest first, each with what it changed."""
        holder = cast(KeyHolder, request.auth)
        project = Project.objects.select_related("team").get(pk=holder.project_id)
        versions, next_cursor = page_of(
            policy_versions(project),
            cursor=request.query_params.get("cursor", ""),
            limit=read_limit(request.query_params.get("limit", "")),
            id_field="public_id",
            time_field="created_at",
        )
        rows = [version_body(one) for one in with_changes(project, versions)]
        return Response({"data": rows, "next_cursor": next_cursor})


def read_if_match(request: Request) -> list[str]:
    """Return the tags of the `If-Match` header. Raises 428 without one."""
    header = request.headers.get("If-Match", "").strip()
    if not header:
        raise ApiError(
            428,
            "precondition_required",
            "Send the header If-Match with the ETag that GET /api/v1/policy gave you, so that"
            " nobody's change is overwritten unseen.",
            param="If-Match",
        )
    return [tag.strip().removeprefix("W/").strip('"') for tag in header.split(",")]


def matching(tags: list[str], current: InForce) -> str | None:
    """Return the tag that the save has to find in force; None for whatever there is."""
    if "*" in tags:
        return None
    return current.tag if current.tag in tags else tags[0]


def read_draft(body: Any) -> dict[str, Any]:
    """Return the settings, `inherit` and `note` of a request body. Raises 422."""
    if not isinstance(body, dict):
        raise ApiError(
            422, "invalid_parameter", "Send one JSON object with the settings.", param="body"
        )
    known = DraftSerializer().fields.keys() | set(READ_ONLY)
    if unknown := next((name for name in body if name not in known), None):
        message = f"{unknown[:60]} is no setting of a policy. Use {', '.join(SETTINGS)}."
        raise ApiError(422, "unknown_parameter", message, param=unknown[:60])
    serializer = DraftSerializer(data=body)
    serializer.is_valid(raise_exception=True)
    return dict(serializer.validated_data)


def check_models(project: Project, fields: dict[str, Any]) -> Policy:
    """Return the unsaved policy of a draft. Raises 422 also for a model that does not exist."""
    current = in_force(project.pk)
    if fields["inherit"]:
        return current.team
    try:
        draft = draft_policy(project, fields)
    except ValidationError as error:
        raise invalid(error) from error
    named = named_by(settings_of(draft))
    for model in unknown_models(project.team_id, named, current.policy, current.team):
        param = next(name for name in SETTINGS if names_model(fields.get(name), model))
        text = f"Unknown model '{model}', see GET /api/v1/models."
        if param in TAKE_PATTERNS:
            text += " To name what is not there yet, use a pattern with *."
        raise ApiError(422, "unknown_model", text, param=param)
    return draft


def names_model(value: Any, model: str) -> bool:
    """Tell whether a setting names a model."""
    if isinstance(value, dict):
        return model in value.values()
    return model in value if isinstance(value, list) else bool(value == model)


def invalid(error: ValidationError) -> ApiError:
    """Return the 422 of settings that cannot be."""
    messages = error.message_dict
    param = next(iter(messages))
    return ApiError(
        422, "invalid_parameter", f"{param}: {messages[param][0]}", param=param, details=messages
    )


def overtaken(current: InForce) -> ApiError:
    """Return the 412 of a save that somebody else was faster than."""
    policy = current.policy
    return ApiError(
        412,
        "policy_changed",
        f"Another policy came into force since you read it: {policy.public_id}"
        f"{f' by {policy.author}' if policy.author else ''}. Look at it in details.current, or read"
        " GET /api/v1/policy again, and send your change with its ETag as If-Match.",
        param="If-Match",
        details={"current": policy_body(current), "etag": f'"{current.tag}"'},
    )


def answer(found: InForce) -> Response:
    """Return the policy in force with its ETag."""
    return Response(policy_body(found), headers={"ETag": f'"{found.tag}"'})


def policy_body(found: InForce) -> dict[str, Any]:
    """Return what is in force, as the API shows it."""
    policy, team = found.policy, found.team
    return {
        "version": policy.public_id,
        "number": found.number,
        "inherited": found.inherited,
        "author": policy.author,
        "note": policy.note,
        "created_at": moment(policy) if policy.pk else None,
        **settings_of(policy),
        "team_default": {"version": team.public_id, **settings_of(team)},
    }


def version_body(version: PolicyVersion) -> dict[str, Any]:
    """Return a saved version with what it changed."""
    policy = version.policy
    return {
        "version": policy.public_id,
        "number": policy.number,
        "inherited": policy.inherits,
        "author": policy.author,
        "note": policy.note,
        "created_at": moment(policy),
        **settings_of(policy),
        "changes": PolicyChangeSerializer(version.changes, many=True).data,
    }


def moment(policy: Policy) -> Any:
    """Return when a version was saved, as the API writes times."""
    return serializers.DateTimeField().to_representation(policy.created_at)
