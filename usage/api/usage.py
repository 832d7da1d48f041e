"""Usage in the API."""

from collections import Counter
from collections.abc import Iterable
from datetime import datetime
from typing import Any, ClassVar, cast

import msgspec
from django.conf import settings
from django.http import StreamingHttpResponse
from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, extend_schema, inline_serializer
from rest_framework.fields import CharField
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from leaderboard.api.public import CSV_RESPONSE, ByPath
from lib.errors import ApiError
from lib.paging import page_of, read_limit
from lib.parsers import JsonParser, read_leniently
from lib.ranges import LENGTHS
from lib.renderers import JsonRenderer
from routing.api.policy import DraftSerializer, check_models, read_draft
from routing.queries.live import as_rules
from routing.queries.policies import in_force
from teams.keys import Scope
from teams.models import Project
from teams.queries import KeyHolder
from usage import queries, serializers
from usage.actions.alerts import do_check_alerts
from usage.actions.holding import do_record_usage
from usage.actions.reporting import ACCEPTED, DUPLICATE, REJECTED, Result
from usage.actions.rolling import do_catch_up
from usage.export import ROWS, export
from usage.filters import ALLOWED, MAX_VALUES, not_allowed, read_event_filter, read_filter
from usage.pricing import TOLERATED_PERCENT
from usage.question import DEFAULTS, NONE, NOT, NOT_BOTH
from usage.reports import (
    MAX_EVENTS,
    Batch,
    Fault,
    Report,
    checked,
    printable,
    read_batch,
    read_report,
)

TIMES = {
    "from": "Instead of `range`: from this day or moment on, ISO 8601. Days are the team's, and"
    " times without a zone its clock's.",
    "to": "Until the end of this day, or before this moment.",
}
CONDITIONS = [
    OpenApiParameter(NOT * excluded + group, many=True, description=description)
    for excluded in (False, True)
    for group, what in {
        "model": "this model",
        "provider": "models of this provider",
        "route": "this route, or this task type",
        "mode": "this mode",
        "member": "keys that this member made, by e-mail",
        "key": "this key, by its id",
        "session": "this session",
        "reason": "decisions with this reason code",
        "status": "this status",
    }.items()
    for description in [
        f"Not {what}. May be repeated."
        if excluded
        else f"Only {what}. Repeated, any of up to {MAX_VALUES} counts; `{NONE}` is no value."
    ]
] + [
    OpenApiParameter(
        NOT_BOTH,
        many=True,
        description="Not what has both of two values, written as a query string of their groups and"
        " encoded as one value: `model=lab/small&status=error`. May be repeated.",
    )
]
VIEW = [
    OpenApiParameter(
        name, enum=list(ALLOWED[name]), default=DEFAULTS.get(name), description=description
    )
    for name, description in {
        "range": "How far back, up to now.",
        "group": "What to split by; `session` for up to 7 days.",
        "then": "What to split each group by.",
        "metric": "What is measured. The largest groups by it have a series of their own.",
        "bucket": "The width of a point: `hour` up to 31 days, `week` from 14, `month` from 32.",
        "compare": "Also the same length of time just before.",
    }.items()
] + [
    *(OpenApiParameter(name, description=description) for name, description in TIMES.items()),
    OpenApiParameter(
        "cumulative", bool, description="Sums since the start; of metrics that can be added up."
    ),
    *CONDITIONS,
]
EXPORT = [
    OpenApiParameter(
        "rows",
        enum=list(ROWS),
        default=ROWS[0],
        description="One line for each bucket of each series, or one for each event.",
    ),
    *VIEW,
]
PAGING = [
    OpenApiParameter("cursor", description="The `next_cursor` of the page before."),
    OpenApiParameter("limit", int, description="How many rows, 1 to 200.", default=50),
]
EVENT_FILTERS = [
    OpenApiParameter(
        "range", enum=list(LENGTHS), description="Only events of this range, as it is added up."
    ),
    *(OpenApiParameter(name, description=description) for name, description in TIMES.items()),
    OpenApiParameter(
        "cost_differs",
        bool,
        description="Only events whose reported and computed cost are more than"
        f" {TOLERATED_PERCENT}% apart, or only others.",
    ),
    *CONDITIONS,
]
EVENTS = [*EVENT_FILTERS, *PAGING]
EVENT_LIST = inline_serializer(
    "UsageEventList",
    {
        "data": serializers.EventSerializer(many=True),
        "next_cursor": CharField(allow_null=True),
    },
)


class BatchParser(JsonParser):
    """Reads a batch of events straight into reports; one with a fault as the JSON that it is."""

    def read(self, body: bytes) -> Any:
        """Return a `Batch`, or the decoded body. Raises ApiError 400 for anything but JSON."""
        try:
            return read_batch(body)
        except (msgspec.DecodeError, UnicodeDecodeError):
            pass
        try:
            return super().read(body)
        except ApiError:
            # Half a character is the fault of one event.
            found = read_leniently(body)
            if isinstance(found, dict):
                return found
            raise


class UsageView(APIView):
    """Report usage, and read it added up."""

    required_scopes: ClassVar = {"POST": Scope.USAGE_WRITE, "GET": Scope.USAGE_READ}
    parser_classes = [BatchParser]
    renderer_classes = [JsonRenderer]

    @extend_schema(
        operation_id="report_usage",
        request=serializers.BatchSerializer,
        responses={200: serializers.ReceiptSerializer},
    )
    def post(self, request: Request) -> Response:
        """Report model calls. Sending an event twice is harmless: its `event_id` tells."""
        holder = cast(KeyHolder, request.auth)
        now = timezone.now()
        items = reports_in(request.data, now)
        results = do_record_usage(items, holder=holder, now=now)
        if settings.CELERY_TASK_ALWAYS_EAGER:
            do_check_alerts()
        counts = Counter(result.status for result in results)
        receipt = {
            "accepted": counts[ACCEPTED],
            "duplicates": counts[DUPLICATE],
            "rejected": counts[REJECTED],
            "results": results,
        }
        if counts[REJECTED] == len(results):
            raise all_rejected(results, receipt)
        return Response(receipt)

    @extend_schema(
        operation_id="read_usage",
        parameters=VIEW,
        responses={200: serializers.UsageSerializer},
    )
    def get(self, request: Request) -> Response:
        """Read usage over time, split by one or two groups, and in total."""
        check_names(request, VIEW)
        project, now = project_of(request), timezone.now()
        asked = read_filter(request.query_params, now, project.team.time_zone)
        do_catch_up()
        return Response(
            serializers.usage_body(
                asked,
                queries.usage_over_time(project, asked, now),
                queries.totals(project, asked, now),
                queries.covered_to(),
            )
        )


class UsageExportView(APIView):
    """The same as a file."""

    required_scopes: ClassVar = {"GET": Scope.USAGE_READ}
    content_negotiation_class = ByPath

    @extend_schema(
        operation_id="export_usage",
        parameters=EXPORT,
        responses=CSV_RESPONSE,
    )
    def get(self, request: Request) -> StreamingHttpResponse:
        """Download what GET /usage shows as CSV, or the events behind it, however many."""
        check_names(request, EXPORT)
        project, now = project_of(request), timezone.now()
        rows = request.query_params.get("rows") or ROWS[0]
        if rows not in ROWS:
            raise not_allowed("rows", ROWS)
        asked = read_filter(
            request.query_params, now, project.team.time_zone, as_events=rows == "events"
        )
        do_catch_up()
        return export(project, asked, rows, now)


class UsageEventsView(APIView):
    """The rows behind the sums."""

    required_scopes: ClassVar = {"GET": Scope.USAGE_READ}

    @extend_schema(
        operation_id="list_usage_events",
        parameters=EVENTS,
        responses={200: EVENT_LIST},
    )
    def get(self, request: Request) -> Response:
        """List reported model calls, newest first."""
        check_names(request, EVENTS)
        project = project_of(request)
        asked = read_event_filter(request.query_params, timezone.now(), project.team.time_zone)
        events, next_cursor = page_of(
            queries.events_where(
                project.pk, asked.start, asked.end, asked.conditions, asked.cost_differs
            ),
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
        project = project_of(request)
        draft, current = check_models(project, read_draft(request.data)), in_force(project.pk)
        rules = as_rules(draft, current.team_mode)
        preview = queries.policy_preview(project, current, rules, timezone.now())
        return Response(serializers.preview_body(preview, current.policy.public_id))


def check_names(request: Request, known: Iterable[OpenApiParameter]) -> None:
    """Raise a 400 for a parameter that is not known: a misspelt filter would give other figures."""
    names = sorted(parameter.name for parameter in known)
    unknown = next((name for name in request.query_params if name not in names), None)
    if unknown is not None:
        message = f"{unknown[:60]} is not known. Known are {', '.join(names)}."
        raise ApiError(
            400, "unknown_parameter", message, param=unknown[:60], details={"allowed": names}
        )


def project_of(request: Request) -> Project:
    """Return the project of the key, with its team."""
    holder = cast(KeyHolder, request.auth)
    return Project.objects.select_related("team").get(pk=holder.project_id)


def reports_in(body: Any, now: datetime) -> list[Report | Fault]:
    """Return the events of a request body, checked, or raise the 422 that tells its shape."""
    if isinstance(body, Batch):
        return [checked(report, index, now) for index, report in enumerate(body.events)]
    return [read_report(raw, index, now) for index, raw in enumerate(events_in(body))]


def events_in(body: Any) -> list[Any]:
    """Return the events of a request body, or raise the 422 that tells its shape."""
    events = body.get("events") if isinstance(body, dict) else None
    if not isinstance(events, list) or not 1 <= len(events) <= MAX_EVENTS:
        message = f'The body must be {{"events": [...]}} with 1 to {MAX_EVENTS} events.'
        raise ApiError(422, "invalid_parameter", message, param="events")
    if unknown := next((name for name in body if name != "events"), None):
        param = printable(unknown)
        message = f"{param} is not known. The body has one parameter, events."
        raise ApiError(422, "unknown_parameter", message, param=param)
    return events


def all_rejected(results: list[Result], receipt: Any) -> ApiError:
    """Return the error of a batch without a single sound event.

    It has the status that all events have in common, else 422.
    """
    faults = [result.error for result in results if result.error]
    first, statuses = faults[0], {fault.status for fault in faults}
    status = first.status if len(statuses) == 1 else 422
    more = f" All {len(results)} events were rejected, see details." if len(results) > 1 else ""
    return ApiError(status, first.code, first.message + more, param=first.param, details=receipt)
