"""Usage in the API."""

from collections import Counter
from typing import Any, ClassVar, cast

from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, extend_schema, inline_serializer
from rest_framework.fields import CharField
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from lib.errors import ApiError
from lib.paging import page_of, read_limit
from lib.ranges import LENGTHS
from routing.api.policy import DraftSerializer, check_models, read_draft
from routing.filters import read_flag, read_times
from routing.queries.live import as_rules
from routing.queries.policies import in_force
from teams.keys import Scope
from teams.models import Project
from teams.queries import KeyHolder
from usage import queries, serializers
from usage.actions import ACCEPTED, DUPLICATE, REJECTED, Result, do_record_usage
from usage.filters import ALLOWED, DEFAULTS, read_filter
from usage.pricing import TOLERATED_PERCENT
from usage.ranges import MAX_LENGTH
from usage.reports import MAX_EVENTS, read_report

FILTERS = [
    OpenApiParameter(
        name, enum=list(ALLOWED[name]), default=DEFAULTS[name], description=description
    )
    for name, description in {
        "range": "How far back, up to now.",
        "group": "What to split by.",
        "metric": "By which figure the largest groups are chosen for a series of their own.",
        "bucket": "The width of a point; `hour` is offered up to 30 days.",
    }.items()
] + [
    OpenApiParameter(name, description=description)
    for name, description in {
        "from": "Instead of `range`: from this day or moment on, ISO 8601. Without a zone it is"
        " UTC.",
        "to": "Until the end of this day, or before this moment; now if left out. At most"
        f" {MAX_LENGTH.days} days after `from`.",
    }.items()
]
PAGING = [
    OpenApiParameter("cursor", description="The `next_cursor` of the page before."),
    OpenApiParameter("limit", int, description="How many rows, 1 to 200.", default=50),
]
EVENT_FILTERS = [
    OpenApiParameter(name, description=description)
    for name, description in {
        "range": f"Only events of this long until now: {', '.join(LENGTHS)}.",
        "from": "Only events from this day or moment on, ISO 8601. Without a zone it is UTC.",
        "to": "Only events until the end of this day, or before this moment.",
    }.items()
] + [
    OpenApiParameter(
        "cost_differs",
        bool,
        description="Only events whose reported and computed cost are more than"
        f" {TOLERATED_PERCENT}% apart, or only others.",
    )
]
EVENT_LIST = inline_serializer(
    "UsageEventList",
    {
        "data": serializers.EventSerializer(many=True),
        "next_cursor": CharField(allow_null=True),
    },
)


class UsageView(APIView):
    """Report usage, and read it added up."""

    required_scopes: ClassVar = {"POST": Scope.USAGE_WRITE, "GET": Scope.USAGE_READ}

    @extend_schema(
        operation_id="report_usage",
        request=serializers.BatchSerializer,
        responses={200: serializers.ReceiptSerializer},
    )
    def post(self, request: Request) -> Response:
        """Report model calls. Sending an event twice is harmless: its `event_id` tells."""
        holder = cast(KeyHolder, request.auth)
        now = timezone.now()
        items = [read_report(raw, index, now) for index, raw in enumerate(events_in(request.data))]
        results = do_record_usage(items, holder=holder, now=now)
        counts = Counter(result.status for result in results)
        receipt = serializers.ReceiptSerializer(
            {
                "accepted": counts[ACCEPTED],
                "duplicates": counts[DUPLICATE],
                "rejected": counts[REJECTED],
                "results": results,
            }
        ).data
        if counts[REJECTED] == len(results):
            raise all_rejected(results, receipt)
        return Response(receipt)

    @extend_schema(
        operation_id="read_usage",
        parameters=FILTERS,
        responses={200: serializers.UsageSerializer},
    )
    def get(self, request: Request) -> Response:
        """Read usage over time, split by model, route, mode, reason or status."""
        holder = cast(KeyHolder, request.auth)
        asked = read_filter(request.query_params, timezone.now())
        series = queries.usage_over_time(holder.project_id, asked.window, asked.group, asked.metric)
        sums = queries.totals(holder.project_id, asked.window)
        return Response(serializers.usage_body(asked.window, asked.group, sums, series))


class UsageEventsView(APIView):
    """The rows behind the sums."""

    required_scopes: ClassVar = {"GET": Scope.USAGE_READ}

    @extend_schema(
        operation_id="list_usage_events",
        parameters=[*EVENT_FILTERS, *PAGING],
        responses={200: EVENT_LIST},
    )
    def get(self, request: Request) -> Response:
        """List reported model calls, newest first."""
        holder = cast(KeyHolder, request.auth)
        start, end = read_times(request.query_params, timezone.now())
        differs = read_flag(request.query_params, "cost_differs")
        events, next_cursor = page_of(
            queries.events_of(holder.project_id, start, end, differs),
            cursor=request.query_params.get("cursor", ""),
            limit=read_limit(request.query_params.get("limit", "")),
            id_field="event_id",
            time_field="occurred_at",
        )
        rows = serializers.EventSerializer(events, many=True).data
        return Response({"data": rows, "next_cursor": next_cursor})


class PolicyPreviewView(APIView):
    """Replay a draft of the policy before it is saved."""

    required_scopes: ClassVar = {"POST": Scope.USAGE_READ}

    @extend_schema(
        operation_id="preview_policy",
        request=DraftSerializer,
        responses={200: serializers.PreviewSerializer},
    )
    def post(self, request: Request) -> Response:
        """Show what a draft would have chosen, beside the policy in force. Nothing is saved."""
        holder = cast(KeyHolder, request.auth)
        project = Project.objects.select_related("team").get(pk=holder.project_id)
        draft, current = check_models(project, read_draft(request.data)), in_force(project.pk)
        rules = as_rules(draft, current.team_mode)
        preview = queries.policy_preview(project, current, rules, timezone.now())
        return Response(serializers.preview_body(preview, current.policy.public_id))


def events_in(body: Any) -> list[Any]:
    """Return the events of a request body, or raise the 422 that tells its shape."""
    events = body.get("events") if isinstance(body, dict) else None
    if not isinstance(events, list) or not 1 <= len(events) <= MAX_EVENTS:
        message = f'The body must be {{"events": [...]}} with 1 to {MAX_EVENTS} events.'
        raise ApiError(422, "invalid_parameter", message, param="events")
    if unknown := next((name for name in body if name != "events"), None):
        message = f"{unknown[:60]} is not known. The body has one parameter, events."
        raise ApiError(422, "unknown_parameter", message, param=unknown[:60])
    return events


def all_rejected(results: list[Result], receipt: Any) -> ApiError:
    """Return the error of a batch without a single sound event.

    It has the status that all events have in common, else 422.
    """
    faults = [result.fault for result in results if result.fault]
    first, statuses = faults[0], {fault.status for fault in faults}
    status = first.status if len(statuses) == 1 else 422
    more = f" All {len(results)} events were rejected, see details." if len(results) > 1 else ""
    return ApiError(status, first.code, first.message + more, param=first.param, details=receipt)
