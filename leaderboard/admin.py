"""The operators' view of catalogue, evidence and tables.

Evidence and tables are for reading: they come from feeds and from publishing. An operator edits
what the feeds cannot know: prices of their own contract, and what a model is able to do.
"""

from typing import Any, ClassVar, cast

from django.contrib import admin
from django.db import models
from django.db.models import Count, QuerySet
from django.http import HttpRequest
from django.utils import timezone

from leaderboard.actions.cataloguing import do_save_price
from leaderboard.models import (
    Benchmark,
    CatalogModel,
    CurrentTable,
    Price,
    RoutingTable,
    Run,
    RunFigure,
)
from lib.money import format_usd
from teams.models import User


class ReadOnly(admin.ModelAdmin[Any]):
    """Shows rows and lets nobody add, change or delete one."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Nobody."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nobody."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nobody."""
        return False


class PriceInline(admin.TabularInline[Price, CatalogModel]):
    """A model's prices, for reading; they are edited on their own page."""

    model = Price
    extra = 0
    can_delete = False

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nobody."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nobody."""
        return False


@admin.register(CatalogModel)
class CatalogModelAdmin(admin.ModelAdmin[CatalogModel]):
    """Models: the catalogue names them, the operator says what they may be used for."""

    list_display = (
        "model_id",
        "name",
        "provider",
        "context_tokens",
        "in_catalogue",
        "is_available",
        "supports_tools",
    )
    list_filter = ("in_catalogue", "is_available", "supports_tools", "provider")
    search_fields = ("model_id", "name")
    readonly_fields = ("model_id", "name", "provider", "in_catalogue")
    inlines: ClassVar = [PriceInline]

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Nobody: models come from the catalogue and from feeds."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nobody: runs point to models."""
        return False


@admin.register(Price)
class PriceAdmin(admin.ModelAdmin[Price]):
    """Prices. Whatever an operator saves counts as theirs, and loading the catalogue keeps it."""

    list_display = ("model", "valid_from", "above_input_tokens", "input", "output", "source")
    list_filter = ("source", "valid_from")
    list_select_related = ("model",)
    search_fields = ("model__model_id",)
    autocomplete_fields = ("model",)
    readonly_fields = ("source",)
    formfield_overrides: ClassVar = {
        models.BigIntegerField: {
            "min_value": 0,
            "help_text": "Micro-USD per million tokens: $2.50 is 2500000.",
        }
    }

    @admin.display(description="Input, per million", ordering="input_micro_usd")
    def input(self, price: Price) -> str:
        """Return the input price in dollars."""
        return format_usd(price.input_micro_usd)

    @admin.display(description="Output, per million", ordering="output_micro_usd")
    def output(self, price: Price) -> str:
        """Return the output price in dollars."""
        return format_usd(price.output_micro_usd)

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        """Start a new price today."""
        return {"valid_from": timezone.now().date(), **super().get_changeform_initial_data(request)}

    def save_model(self, request: HttpRequest, obj: Price, form: Any, change: bool) -> None:
        """Mark the price as an operator's."""
        do_save_price(obj, actor=cast(User, request.user))


@admin.register(Benchmark)
class BenchmarkAdmin(ReadOnly):
    """Benchmarks and the routes they measure."""

    list_display = ("slug", "name", "route", "needs_images")


class RunFigureInline(admin.TabularInline[RunFigure, Run]):
    """The counts of an aggregate run."""

    model = RunFigure
    extra = 0


@admin.register(Run)
class RunAdmin(ReadOnly):
    """Runs, with how many task results each has."""

    list_display = (
        "feed_model_name",
        "model",
        "benchmark",
        "harness",
        "source",
        "is_aggregate",
        "results",
        "measured_at",
        "superseded_at",
    )
    list_filter = (
        "source",
        "benchmark",
        "harness",
        "is_aggregate",
        ("superseded_at", admin.EmptyFieldListFilter),
        "model__in_catalogue",
    )
    list_select_related = ("model", "benchmark")
    search_fields = ("feed_model_name", "model__model_id", "origin")
    inlines: ClassVar = [RunFigureInline]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Run]:
        """Count task results in the same query."""
        runs: QuerySet[Run] = super().get_queryset(request)
        return runs.annotate(result_count=Count("task_results"))

    @admin.display(description="Task results", ordering="result_count")
    def results(self, run: Any) -> int:
        """Return the number of task results."""
        return int(run.result_count)


@admin.register(RoutingTable)
class RoutingTableAdmin(ReadOnly):
    """Published tables; the content itself is served by the API."""

    list_display = ("version", "published_at", "published_by")
    fields = ("version", "content_hash", "published_at", "published_by")


@admin.register(CurrentTable)
class CurrentTableAdmin(ReadOnly):
    """The table that routes."""

    list_display = ("table", "moved_at")
