"""The shapes of usage in the API."""

from typing import Any, ClassVar

from rest_framework import serializers

from usage.models import Outcome, Status, UsageEvent
from usage.queries import Figures, Series, Totals
from usage.ranges import Window
from usage.reports import MAX_COUNT, MAX_EVENTS, MUST_BE


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
            "latency_ms",
            "cost_micro_usd",
            "reported_cost_micro_usd",
        ]


class FiguresSerializer(serializers.Serializer[Figures]):
    """Sums over some events."""

    requests = serializers.IntegerField()
    cost_micro_usd = serializers.IntegerField(help_text="Of the events that have a price.")
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

    range = serializers.CharField(source="window.name")
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
