"""A team's own benchmark results, over the API."""

import io
from collections import Counter
from collections.abc import Iterator
from itertools import chain
from typing import Any, ClassVar, Final, cast

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiRequest, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from leaderboard.actions.submitting import Submission, do_submit_runs
from leaderboard.sources import ParsedRun, Rejection
from leaderboard.sources.own import read_lines, read_submission
from leaderboard.sources.reading import BadFile
from lib.errors import ApiError
from lib.parsers import BoundedParser
from teams.actions import SystemActor
from teams.keys import Scope
from teams.models import Team
from teams.queries import KeyHolder

MAX_SHOWN_REJECTIONS: Final = 1000
NDJSON: Final = "application/x-ndjson"

Items = Iterator[ParsedRun | Rejection]


class SubmittedTaskSerializer(serializers.Serializer[Any]):
    """One trial of one task; see docs/results.schema.json."""

    task = serializers.CharField(max_length=200)
    trial = serializers.IntegerField(min_value=1, required=False, default=1)
    outcome = serializers.CharField(required=False, help_text="`passed`, `failed` or `unknown`.")
    score = serializers.FloatField(min_value=0, max_value=1, required=False, allow_null=True)
    cost_usd = serializers.FloatField(min_value=0, required=False, allow_null=True)
    input_tokens = serializers.IntegerField(min_value=0, required=False, allow_null=True)
    cache_read_tokens = serializers.IntegerField(min_value=0, required=False, allow_null=True)
    output_tokens = serializers.IntegerField(min_value=0, required=False, allow_null=True)
    latency_ms = serializers.IntegerField(min_value=0, required=False, allow_null=True)


class SubmittedRunSerializer(serializers.Serializer[Any]):
    """One model in one harness over one benchmark, with its tasks."""

    benchmark = serializers.CharField(max_length=60)
    route = serializers.CharField(
        required=False, allow_null=True, help_text="Needed for a benchmark that is new."
    )
    model = serializers.CharField(max_length=100, help_text="provider/name of the catalogue.")
    harness = serializers.CharField(max_length=60)
    harness_version = serializers.CharField(max_length=40, required=False)
    measured_at = serializers.DateTimeField(required=False, allow_null=True)
    url = serializers.CharField(max_length=500, required=False)
    command = serializers.CharField(max_length=500, required=False)
    n_tasks = serializers.IntegerField(
        required=False, allow_null=True, help_text="How many tasks there must be."
    )
    tasks = SubmittedTaskSerializer(many=True)


class SubmissionSerializer(serializers.Serializer[Any]):
    """Results in the project's own format, in one object."""

    runs = SubmittedRunSerializer(many=True)


class RunReceiptSerializer(serializers.Serializer[Any]):
    """What became of one run."""

    row = serializers.CharField(help_text="Where in the body it is.")
    benchmark = serializers.CharField()
    model = serializers.CharField()
    harness = serializers.CharField()
    status = serializers.CharField(help_text="`added`, `superseded`, `unchanged` or `rejected`.")
    id = serializers.CharField(allow_null=True, help_text="Of a run that was written.")
    tasks = serializers.IntegerField(help_text="Usable task results in it.")


class RejectedRowSerializer(serializers.Serializer[Any]):
    """Something that could not be used."""

    row = serializers.CharField()
    reason = serializers.CharField()


class SubmissionReceiptSerializer(serializers.Serializer[Any]):
    """What became of a submission."""

    id = serializers.CharField(help_text="Of the submission.")
    added = serializers.IntegerField()
    superseded = serializers.IntegerField(help_text="Runs that took the place of an earlier one.")
    unchanged = serializers.IntegerField(help_text="Runs that were there already.")
    rejected = serializers.IntegerField(help_text="Runs that could not be used.")
    runs = RunReceiptSerializer(many=True)
    rejections = RejectedRowSerializer(many=True)


class RunsParser(BoundedParser):
    """Reads submitted runs."""

    max_bytes: ClassVar = 8 * 1024 * 1024
    advice: ClassVar = "Send fewer runs at a time."


class JsonRuns(RunsParser):
    """``{"runs": [...]}``."""

    media_type = "application/json"

    def read(self, body: bytes) -> Items:
        """See `BoundedParser.read`."""
        return read_submission(body)


class LinesOfRuns(RunsParser):
    """The file format."""

    media_type = NDJSON

    def read(self, body: bytes) -> Items:
        """See `BoundedParser.read`."""
        return read_lines(io.BytesIO(body), "body")


class RunsView(APIView):
    """``POST /benchmarks/runs``."""

    required_scopes: ClassVar = {"POST": Scope.BENCHMARKS_WRITE}
    parser_classes = [JsonRuns, LinesOfRuns]

    @extend_schema(
        operation_id="submit_runs",
        summary="Submit your team's own benchmark results",
        request={
            "application/json": SubmissionSerializer,
            NDJSON: OpenApiRequest(OpenApiTypes.STR),
        },
        responses={200: SubmissionReceiptSerializer},
    )
    def post(self, request: Request) -> Response:
        """Take in runs. They count in the routing of the key's team, and nobody else sees them."""
        holder = cast(KeyHolder, request.auth)
        submission = do_submit_runs(
            read(request.data),
            team=Team.objects.get(pk=holder.team_id),
            actor=SystemActor(holder.key_id),
        )
        body = receipt(submission)
        if not any(run.status != "rejected" for run in submission.runs):
            first = submission.rejections[0]
            message = f"No run could be used. First: {first}."
            raise ApiError(422, "no_usable_run", message, param=first.row or None, details=body)
        return Response(body)


def read(items: Any) -> Items:
    """Return the items of a body; raise the 400 or 422 of one that holds nothing to read."""
    try:
        # Without a content type, or without a body, no parser is asked.
        first = next(items, None) if isinstance(items, Iterator) else None
    except BadFile as error:
        raise ApiError(400, "invalid_json", f"The body {error}.") from error
    if first is None:
        raise ApiError(422, "no_usable_run", "The body holds no run.", param="runs")
    return chain([first], items)


def receipt(submission: Submission) -> dict[str, Any]:
    """Return the answer to a submission."""
    statuses = Counter(run.status for run in submission.runs)
    return {
        "id": submission.ingestion.public_id,
        **{name: statuses[name] for name in ("added", "superseded", "unchanged", "rejected")},
        "runs": [
            {
                "row": one.run.origin,
                "benchmark": one.run.benchmark,
                "model": one.run.model.name,
                "harness": one.run.harness,
                "status": one.status,
                "id": one.run_id or None,
                "tasks": len(one.run.tasks),
            }
            for one in submission.runs
        ],
        "rejections": [
            {"row": " ".join(filter(None, (one.file, one.row))), "reason": one.reason}
            for one in submission.rejections[:MAX_SHOWN_REJECTIONS]
        ],
    }
