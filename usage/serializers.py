"""The shapes of usage in the API."""

from typing import Any, ClassVar

from rest_framework import serializers

from routing.models import Outcome
from usage.models import Status, UsageEvent
from usage.pricing import TOLERATED_PERCENT
from usage.queries import REPLAY_DAYS, Figures, Preview, Series, Totals
from usage.ranges import Window
from usage.replay import Outcome as PolicyOutcome
from usage.reports import MAX_COUNT, MAX_EVENTS, MUST_BE

ESTIMATE = "Computed from tokens and list prices: an estimate, not a bill."


def count(name: str) -> serializers.IntegerField:
    """Return the field of a number that an event may report."""
    return serializers.IntegerField(
        min_value=0, max_value=MAX_COUNT, required=False, allow_null=True, help_text=MUST_BE[name]
    )


class ReportSerializer(serializers.Serializer[Any]):
    """One model call to report. It documents the body; `usage.reports` checks it."""

    event_id = serializers.CharField(max_length=100, help_text=MUST_BE["event_id"])
    model = serializers.CharField(max_length=120, help_text=MUST_BE["model"])
    decision_id = serializers.CharField(max_length=40, required=False, allow_null=True)
    session_id = serializers.CharField(max_length=200, required=False, allow_null=True)
    occurred_at = serializers.DateTimeField(required=False, allow_null=True)
    status = serializers.ChoiceField(Status.choices, required=False, allow_null=True)
    outcome = serializers.ChoiceField(Outcome.choices, required=False, allow_null=True)
    input_tokens = count("input_tokens")
    cache_read_tokens = count("cache_read_tokens")
    cache_write_tokens = count("cache_write_tokens")
    output_tokens = count("output_tokens")
    reasoning_tokens = count("reasoning_tokens")
    latency_ms = count("latency_ms")
    cost_usd = serializers.FloatField(
        min_value=0, required=False, allow_null=True, help_text="What you paid by your own account."
    )


class BatchSerializer(serializers.Serializer[Any]):
    """The body of POST /usage."""

    events = serializers.ListField(
        child=ReportSerializer(), min_length=1, max_length=MAX_EVENTS, help_text="Usage events."
    )


class FaultSerializer(serializers.Serializer[Any]):
    """Why an event was rejected."""

    code = serializers.CharField()
    message = serializers.CharField()
    param = serializers.CharField()
    status = serializers.IntegerField(
        help_text="The HTTP status that the event would have got by itself."
    )


class ResultSerializer(serializers.Serializer[Any]):
    """What became of one event."""

    index = serializers.IntegerField()
    event_id = serializers.CharField(allow_null=True)
    status = serializers.CharField(help_text="accepted, duplicate or rejected.")
    error = FaultSerializer(source="fault", allow_null=True)


class ReceiptSerializer(serializers.Serializer[Any]):
    """The answer to POST /usage."""

    accepted = serializers.IntegerField()
    duplicates = serializers.IntegerField()
    rejected = serializers.IntegerField()
    results = ResultSerializer(many=True)


class EventSerializer(serializers.ModelSerializer[UsageEvent]):
    """A stored usage event."""

    class Meta:
        model = UsageEvent
        fields: ClassVar = [
            "event_id",
            "decision_id",
            "session_id",
            "occurred_at",
            "received_at",
            "model",
            "route",
            "mode",
            "reason_code",
            "status",
            "outcome",
            "input_tokens",
            "cache_read_tokens",
            "cache_write_tokens",
            "output_tokens",
            "reasoning_tokens",
            "latency_ms",
            "cost_micro_usd",
            "reported_cost_micro_usd",
            "cost_differs",
        ]
        extra_kwargs: ClassVar = {
            "cost_micro_usd": {"help_text": ESTIMATE},
            "reported_cost_micro_usd": {"help_text": "What the client says it paid."},
            "cost_differs": {
                "help_text": f"Whether these two are more than {TOLERATED_PERCENT}% apart."
            },
        }


class FiguresSerializer(serializers.Serializer[Figures]):
    """Sums over some events."""

    requests = serializers.IntegerField()
    cost_micro_usd = serializers.IntegerField(
        help_text=f"{ESTIMATE} Only events that have a price count."
    )
    unpriced = serializers.IntegerField(help_text="Events without a price, so of unknown cost.")
    tokens = serializers.IntegerField(help_text="Tokens of every kind.")
    input_tokens = serializers.IntegerField()
    cache_read_tokens = serializers.IntegerField()
    cache_write_tokens = serializers.IntegerField()
    output_tokens = serializers.IntegerField()


class PointSerializer(FiguresSerializer):
    """The sums of one bucket."""

    start = serializers.DateTimeField()


class SeriesSerializer(serializers.Serializer[Series]):
    """One group over time. Buckets in which it has no events are left out."""

    name = serializers.CharField()
    total = FiguresSerializer()
    points = serializers.SerializerMethodField()

    def get_points(self, series: Series) -> list[dict[str, Any]]:
        """Return the buckets, oldest first."""
        return [
            {"start": stamp(start), **FiguresSerializer(figures).data}
            for start, figures in sorted(series.buckets.items())
        ]


class DecisionTotalsSerializer(serializers.Serializer[Totals]):
    """How decisions went."""

    count = serializers.IntegerField(source="decisions")
    fallbacks = serializers.IntegerField()
    fallback_rate = serializers.FloatField(allow_null=True)
    estimated_saving_micro_usd = serializers.IntegerField(
        source="saved_micro_usd",
        help_text="What the calls would have cost on the baseline model minus what they did cost:"
        " an estimate.",
    )


class UsageSerializer(serializers.Serializer[Any]):
    """The answer to GET /usage."""

    range = serializers.CharField(source="window.name", help_text="`custom` with `from`.")
    group = serializers.CharField()
    bucket = serializers.CharField(source="window.bucket")
    start = serializers.DateTimeField(source="window.start")
    end = serializers.DateTimeField(source="window.end")
    total = FiguresSerializer(source="totals.used")
    decisions = DecisionTotalsSerializer(source="totals")
    series = SeriesSerializer(many=True)


def stamp(moment: Any) -> str:
    """Return a time as the API writes it."""
    return str(serializers.DateTimeField().to_representation(moment))


def usage_body(window: Window, group: str, sums: Totals, series: list[Series]) -> Any:
    """Return the answer to GET /usage."""
    question = {"window": window, "group": group, "totals": sums, "series": series}
    return UsageSerializer(question).data


class PreviewIntervalSerializer(serializers.Serializer[Any]):
    """A mean with its 90% interval."""

    mean = serializers.FloatField()
    low = serializers.FloatField()
    high = serializers.FloatField()


class PreviewOutcomeSerializer(serializers.Serializer[Any]):
    """What a policy makes of all replayed requests together; means are over the measured ones."""

    accuracy = PreviewIntervalSerializer(allow_null=True)
    cost_micro_usd = serializers.IntegerField(allow_null=True, help_text="Mean of a task.")
    saving = serializers.FloatField(
        allow_null=True, help_text="Share of its own baseline model's cost that is not spent."
    )
    refused = serializers.IntegerField(help_text="Requests for which no model is left.")
    unmeasured = serializers.IntegerField(help_text="Requests whose model has no figures.")


class PreviewChangeSerializer(serializers.Serializer[Any]):
    """Requests that would move from one model to another; null stands for no model."""

    before = serializers.CharField(allow_null=True)
    after = serializers.CharField(allow_null=True)
    count = serializers.IntegerField()
    cost_micro_usd = serializers.IntegerField(
        allow_null=True, help_text="Mean change of the expected cost of a task."
    )
    examples = serializers.ListField(
        child=serializers.CharField(), help_text="Decisions, or routes of benchmark tasks."
    )


class PreviewSerializer(serializers.Serializer[Any]):
    """A draft of a policy beside the policy in force, on the same requests."""

    based_on = serializers.ChoiceField(["decisions", "benchmarks"])
    days = serializers.IntegerField()
    decisions = serializers.IntegerField(help_text="Decisions of the project in these days.")
    replayed = serializers.IntegerField(help_text="The newest of them, or benchmark tasks.")
    table_version = serializers.CharField(allow_null=True, help_text="Null: nothing to replay by.")
    policy_version = serializers.CharField(help_text="The one in force.")
    current = PreviewOutcomeSerializer(allow_null=True)
    draft = PreviewOutcomeSerializer(allow_null=True)
    changed = serializers.IntegerField()
    changes = PreviewChangeSerializer(many=True)


def preview_body(preview: Preview, policy_version: str) -> dict[str, Any]:
    """Return a preview as the API shows it."""
    found = preview.replay
    return {
        "based_on": preview.source,
        "days": REPLAY_DAYS,
        "decisions": preview.decisions,
        "replayed": found.requests if found else 0,
        "table_version": preview.table_version,
        "policy_version": policy_version,
        "current": outcome_body(found.current) if found else None,
        "draft": outcome_body(found.draft) if found else None,
        "changed": found.changed if found else 0,
        "changes": [
            {
                "before": one.before,
                "after": one.after,
                "count": one.count,
                "cost_micro_usd": rounded(one.cost_micro_usd),
                "examples": one.examples,
            }
            for one in (found.changes if found else ())
        ],
    }


def outcome_body(outcome: PolicyOutcome) -> dict[str, Any]:
    """Return what a policy makes of all requests."""
    accuracy = outcome.accuracy
    return {
        "accuracy": None
        if accuracy is None
        else {
            "mean": round(accuracy.mean, 4),
            "low": round(accuracy.low, 4),
            "high": round(accuracy.high, 4),
        },
        "cost_micro_usd": rounded(outcome.cost_micro_usd),
        "saving": None if outcome.saving is None else round(outcome.saving, 4),
        "refused": outcome.refused,
        "unmeasured": outcome.unmeasured,
    }


def rounded(micro_usd: float | None) -> int | None:
    """Return whole micro-USD."""
    return None if micro_usd is None else round(micro_usd)
