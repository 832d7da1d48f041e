"""The shapes of the public API's answers, for its documentation and the tests that keep it true."""

from typing import Any

from rest_framework import serializers

from leaderboard.board import SORTS
from lib.taxonomy import DIFFICULTIES, ROUTES


class AccuracyIntervalSerializer(serializers.Serializer[Any]):
    """Expected share of tasks solved, with its 90% interval."""

    mean = serializers.FloatField(min_value=0, max_value=1)
    low = serializers.FloatField(min_value=0, max_value=1)
    high = serializers.FloatField(min_value=0, max_value=1)


class CostIntervalSerializer(serializers.Serializer[Any]):
    """Expected cost of one task in micro-USD, with its 90% interval."""

    mean = serializers.IntegerField(min_value=0)
    low = serializers.IntegerField(min_value=0)
    high = serializers.IntegerField(min_value=0)


class PricesSerializer(serializers.Serializer[Any]):
    """Micro-USD per million tokens; null where no price is known."""

    input_micro_usd = serializers.IntegerField(allow_null=True)
    output_micro_usd = serializers.IntegerField(allow_null=True)
    cache_read_micro_usd = serializers.IntegerField(allow_null=True)
    cache_write_micro_usd = serializers.IntegerField(allow_null=True)


class ListedModelSerializer(serializers.Serializer[Any]):
    """A model and what it costs."""

    model = serializers.CharField(help_text="provider/name")
    name = serializers.CharField()
    provider = serializers.CharField()
    available = serializers.BooleanField()
    in_catalogue = serializers.BooleanField(
        help_text="False: measured, but not callable by this id."
    )
    context_tokens = serializers.IntegerField(allow_null=True)
    input_modalities = serializers.ListField(child=serializers.CharField())
    supports_tools = serializers.BooleanField()
    prices = PricesSerializer(allow_null=True)


class RankSerializer(serializers.Serializer[Any]):
    """Best and worst rank that the interval leaves open."""

    best = serializers.IntegerField(min_value=1)
    worst = serializers.IntegerField(min_value=1)


class BoardRowSerializer(ListedModelSerializer):
    """One model's line on the leaderboard."""

    rank = RankSerializer()
    accuracy = AccuracyIntervalSerializer()
    cost_micro_usd = CostIntervalSerializer()
    accuracy_per_dollar = serializers.FloatField(allow_null=True)
    n = serializers.IntegerField(help_text="Task results behind the estimate; 0 means inferred.")
    on_pareto = serializers.BooleanField(help_text="No other model is as accurate and as cheap.")
    measured_at = serializers.DateTimeField(allow_null=True, help_text="Of its newest public run.")
    sources = serializers.ListField(child=serializers.CharField())
    harnesses = serializers.ListField(child=serializers.CharField())


class SourceSerializer(serializers.Serializer[Any]):
    """A feed behind the figures."""

    name = serializers.CharField()
    licence = serializers.CharField(allow_blank=True)
    runs = serializers.IntegerField()
    newest_measured_at = serializers.CharField(allow_null=True)
    url = serializers.CharField(
        allow_blank=True, help_text="Where the feed is published; empty when not known."
    )


class LeaderboardSerializer(serializers.Serializer[Any]):
    """The leaderboard; `data` is empty and `table_version` null until a table is published."""

    table_version = serializers.CharField(allow_null=True)
    published_at = serializers.DateTimeField(allow_null=True)
    route = serializers.ChoiceField(ROUTES, allow_null=True, help_text="Null: all measured routes.")
    measured = serializers.BooleanField(help_text="False: the figures are inferred.")
    harness = serializers.CharField(allow_null=True)
    provider = serializers.CharField(allow_null=True)
    max_price = serializers.FloatField(
        allow_null=True, help_text="US dollars per million output tokens."
    )
    modality = serializers.CharField(allow_null=True)
    sort = serializers.ChoiceField(tuple(SORTS))
    compare = serializers.ListField(child=serializers.CharField())
    data = BoardRowSerializer(many=True)  # type: ignore[assignment]
    next_cursor = serializers.CharField(allow_null=True, help_text="Null on the last page.")
    sources = SourceSerializer(many=True)


class ModelListSerializer(serializers.Serializer[Any]):
    """A page of the catalogue."""

    data = ListedModelSerializer(many=True)  # type: ignore[assignment]
    next_cursor = serializers.CharField(allow_null=True, help_text="Null on the last page.")


class FiguresSerializer(serializers.Serializer[Any]):
    """What is expected of a model somewhere."""

    accuracy = AccuracyIntervalSerializer()
    cost_micro_usd = CostIntervalSerializer()
    n = serializers.IntegerField(help_text="Task results behind the estimate; 0 means inferred.")


class OverallSerializer(FiguresSerializer):
    """What is expected of a model over all measured routes."""

    rank = RankSerializer()
    on_pareto = serializers.BooleanField()


class RouteFiguresSerializer(FiguresSerializer):
    """What is expected of a model on one route."""

    route = serializers.ChoiceField(ROUTES)


class DatedPriceSerializer(PricesSerializer):
    """A price with the day from which it holds, and the prompts that it holds for."""

    valid_from = serializers.DateField()
    above_input_tokens = serializers.IntegerField(
        help_text="Holds for requests with more input tokens than this."
    )
    source = serializers.CharField()  # type: ignore[assignment]


class RunSerializer(serializers.Serializer[Any]):
    """A public run; one that was superseded or withdrawn no longer counts."""

    id = serializers.CharField()
    benchmark = serializers.CharField()
    route = serializers.ChoiceField(ROUTES)
    harness = serializers.CharField()
    harness_version = serializers.CharField(allow_blank=True)
    n = serializers.IntegerField(help_text="Tasks with a known outcome.")
    passed = serializers.FloatField(help_text="Sum of the tasks' scores.")
    mean_cost_micro_usd = serializers.IntegerField(allow_null=True)
    measured_at = serializers.DateTimeField(allow_null=True)
    source = serializers.CharField()  # type: ignore[assignment]
    origin = serializers.CharField(help_text="File or URL within the feed.")
    url = serializers.CharField(
        allow_blank=True, help_text="Where the run, or else its feed, can be looked at."
    )
    command = serializers.CharField(allow_blank=True, help_text="What reproduces it.")
    superseded_at = serializers.DateTimeField(allow_null=True)
    withdrawn_at = serializers.DateTimeField(allow_null=True)


class ModelDetailSerializer(ListedModelSerializer):
    """A model with everything behind its figures."""

    table_version = serializers.CharField(allow_null=True)
    overall = OverallSerializer(allow_null=True, help_text="Null when the table has no such model.")
    routes = RouteFiguresSerializer(many=True)
    neighbours = serializers.ListField(
        child=serializers.CharField(),
        help_text="Models whose overall accuracy intervals overlap with its own, nearest first.",
    )
    price_history = DatedPriceSerializer(many=True)
    runs = RunSerializer(many=True)


class CellSerializer(serializers.Serializer[Any]):
    """What is expected of one model on one route at one difficulty."""

    model = serializers.CharField()
    route = serializers.ChoiceField(ROUTES)
    difficulty = serializers.ChoiceField(DIFFICULTIES)
    accuracy = AccuracyIntervalSerializer()
    cost_micro_usd = CostIntervalSerializer()
    n = serializers.IntegerField()


class RoutingTableSerializer(serializers.Serializer[Any]):
    """The whole table that routes."""

    version = serializers.CharField()
    published_at = serializers.DateTimeField()
    models = ListedModelSerializer(many=True)
    cells = CellSerializer(many=True)
    sources = SourceSerializer(many=True)
