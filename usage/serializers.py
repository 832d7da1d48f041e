"""The shapes of usage in the API."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, ClassVar

from rest_framework import serializers

from routing.models import Outcome
from usage.models import Status, UsageEvent
from usage.pricing import TOLERATED_PERCENT
from usage.queries import REPLAY_DAYS, History, Preview, Series, Totals
from usage.queries.history import sums_of
from usage.question import METRICS, RATIOS, UsageFilter, stamp
from usage.replay import Outcome as PolicyOutcome
from usage.reports import MAX_COUNT, MAX_EVENTS, MUST_BE
from usage.saving import Saving
from usage.sums import COMPARISON_SUMS, NOTHING, SUMS, Figures
from usage.wording import OTHER

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
            "key_id",
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


class SumsSerializer(serializers.Serializer[Figures]):
    """Sums over some calls or decisions: in a series those that its metric is read off."""

    requests = serializers.IntegerField(help_text="Calls that were reported.")
    errors = serializers.IntegerField(  # type: ignore[assignment]
        help_text="Calls with the status `error`."
    )
    unpriced = serializers.IntegerField(help_text="Calls without a price, so of unknown cost.")
    cost_micro_usd = serializers.IntegerField(
        help_text=f"{ESTIMATE} Only calls that have a price count."
    )
    tokens = serializers.IntegerField(help_text="Tokens of every kind.")
    input_tokens = serializers.IntegerField()
    cache_read_tokens = serializers.IntegerField()
    cache_write_tokens = serializers.IntegerField()
    output_tokens = serializers.IntegerField(help_text="With the reasoning tokens.")
    reasoning_tokens = serializers.IntegerField()
    decisions = serializers.IntegerField()
    fallbacks = serializers.IntegerField(help_text="Decisions that fell back to Balanced.")
    switched = serializers.IntegerField(help_text="Decisions that moved a session to a model.")


def metric_value(what: str) -> serializers.FloatField:
    """Return the field of a metric's value."""
    return serializers.FloatField(
        allow_null=True,
        help_text=f"{what}: micro-USD, a number, a share or ms. Null where there is nothing behind"
        " it.",
    )


class PointSerializer(SumsSerializer):
    """One bucket."""

    start = serializers.DateTimeField()
    value = metric_value("The metric")
    previous_value = metric_value("With `compare`, the metric in the bucket before it in its place")
    unfinished = serializers.BooleanField(help_text="Whether the bucket is still filling.")


class SeriesSerializer(serializers.Serializer[Series]):
    """One group over time. Buckets in which it has nothing are left out, unless `cumulative`."""

    name = serializers.CharField(help_text="`Other` is the rest together, `(none)` no value.")
    then = serializers.CharField(allow_null=True, help_text="The name in the second group.")
    label = serializers.CharField(  # type: ignore[assignment]
        help_text="The same, but keys by their names."
    )
    value = metric_value("The metric of the whole window")
    previous_value = metric_value("With `compare`, that of the period before")
    total = SumsSerializer()
    points = PointSerializer(many=True)


class SavingSerializer(serializers.Serializer[Saving]):
    """What the calls would have cost on the baseline model minus what they did: an estimate.

    The ends are those of a 90% interval; null without a routing table, and of the period before.
    """

    micro_usd = serializers.IntegerField()
    low_micro_usd = serializers.IntegerField(allow_null=True)
    high_micro_usd = serializers.IntegerField(allow_null=True)


class TotalSerializer(SumsSerializer):
    """Everything of a window together."""

    start = serializers.DateTimeField()
    end = serializers.DateTimeField()
    cost_per_request = metric_value("Micro-USD per call that has a price")
    cache_hit_rate = metric_value("The share of tokens read that came from the provider's cache")
    error_rate = metric_value("The share of calls that ended in an error")
    fallback_rate = metric_value("The share of decisions that fell back to Balanced")
    latency_p50 = metric_value("The median latency")
    latency_p95 = metric_value("The latency that 95% of the calls did not exceed")
    saved = SavingSerializer()


class UsageSerializer(serializers.Serializer[Any]):
    """The answer to GET /usage."""

    range = serializers.CharField(help_text="`custom` with `from`.")
    time_zone = serializers.CharField(help_text="The team's: its days, weeks and months are meant.")
    start = serializers.DateTimeField(help_text="`from`, or the beginning of its hour.")
    end = serializers.DateTimeField(help_text="`to`, or the end of its hour.")
    bucket = serializers.CharField()
    group = serializers.CharField()
    then = serializers.CharField(allow_null=True)
    metric = serializers.ChoiceField(METRICS)
    cumulative = serializers.BooleanField()
    covered_to = serializers.DateTimeField(
        allow_null=True, help_text="All that was recorded before this moment is in the figures."
    )
    total = TotalSerializer()
    previous_total = TotalSerializer(
        help_text="The period before, of a running one up to the same elapsed time."
    )
    series = SeriesSerializer(many=True)


def usage_body(
    asked: UsageFilter, history: History, sums: Totals, covered_to: datetime | None
) -> dict[str, Any]:
    """Return the answer to GET /usage."""
    assert sums.previous is not None
    return {
        "range": asked.window.name,
        "time_zone": asked.window.zone.key,
        "start": stamp(asked.window.start),
        "end": stamp(asked.window.end),
        "bucket": asked.window.bucket,
        "group": asked.group,
        "then": asked.then or None,
        "metric": asked.metric,
        "cumulative": asked.cumulative,
        "covered_to": covered_to and stamp(covered_to),
        "total": total_body(sums),
        "previous_total": total_body(sums.previous),
        "series": [series_body(asked, history, series) for series in history.series],
    }


def total_body(sums: Totals) -> dict[str, Any]:
    """Return everything of a window together."""
    return {
        "start": stamp(sums.window.start),
        "end": stamp(sums.window.end),
        **sums_body(sums.used, SUMS),
        **{name: sums.used.metric(name) for name in RATIOS},
        "saved": SavingSerializer(sums.saved).data,
    }


def series_body(asked: UsageFilter, history: History, series: Series) -> dict[str, Any]:
    """Return one group over time."""
    shown, before = sums_of(asked.metric), series.previous
    starts = {*series.buckets, *(before.buckets if before else ())}
    points = []
    for start in sorted(starts):
        figures = series.buckets.get(start, NOTHING)
        point = {"start": stamp(start), "value": figures.metric(asked.metric)}
        if before:
            earlier = before.buckets.get(start, NOTHING)
            point["previous_value"] = earlier.metric(asked.metric)
        unfinished = start == history.unfinished
        points.append(point | {"unfinished": unfinished} | sums_body(figures, shown))
    names = series.names or (OTHER,)
    label = " / ".join(history.key_names.get(name, name) for name in names)
    body = {
        "name": names[0],
        "then": names[1] if len(names) > 1 else None,
        "label": label,
        "value": series.total.metric(asked.metric),
        "total": sums_body(series.total, shown),
        "points": points,
    }
    return body | ({"previous_value": before.total.metric(asked.metric)} if before else {})


def sums_body(figures: Figures, names: Sequence[str]) -> dict[str, int]:
    """Return sums, without those that only the saving is read off."""
    wanted = [name for name in names if name in SUMS and name not in COMPARISON_SUMS]
    found = {name: getattr(figures, name) for name in wanted}
    return found | {"tokens": figures.tokens} if "requests" in found else found


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
