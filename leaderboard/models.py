"""The catalogue, the evidence, and the routing tables made from it."""

from typing import ClassVar

from django.core.validators import URLValidator
from django.db import models
from django.db.models import Q
from django.utils import timezone

from lib.taxonomy import DIFFICULTIES, ROUTES
from teams.models import Team

ROUTE_CHOICES = [(route, route) for route in ROUTES]
DIFFICULTY_CHOICES = [(name, name) for name in DIFFICULTIES]


class CatalogModel(models.Model):
    """An LLM. `model_id` is ``provider/name``, as gateways call it.

    A model that a feed measured but the catalogue does not know has `in_catalogue` false: it is
    shown on the leaderboard under ``unlisted/<name>`` and never routed to, because nobody could
    call it by that id.
    """

    model_id = models.CharField(max_length=120, unique=True)
    name = models.CharField(max_length=120)
    provider = models.CharField(max_length=60, db_index=True)
    context_tokens = models.PositiveIntegerField(null=True, blank=True)
    input_modalities = models.JSONField(default=list, help_text='For example ["text", "image"].')
    supports_tools = models.BooleanField(default=True)
    in_catalogue = models.BooleanField(default=True)
    is_available = models.BooleanField(
        default=True, help_text="Unavailable models are not routed to."
    )

    class Meta:
        ordering: ClassVar = ["model_id"]

    def __str__(self) -> str:
        return self.model_id


class Price(models.Model):
    """What a model costs from a date on, in micro-USD per million tokens.

    A model with a long-context premium has one row per tier: the row with the largest
    `above_input_tokens` that the request exceeds applies to the whole request.
    """

    model = models.ForeignKey(CatalogModel, models.CASCADE, related_name="prices")
    valid_from = models.DateField()
    above_input_tokens = models.PositiveIntegerField(default=0)
    input_micro_usd = models.BigIntegerField()
    output_micro_usd = models.BigIntegerField()
    cache_read_micro_usd = models.BigIntegerField(null=True, blank=True)
    cache_write_micro_usd = models.BigIntegerField(null=True, blank=True)
    source = models.CharField(max_length=60)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["model", "valid_from", "above_input_tokens"],
                name="one_price_per_date_and_tier",
            )
        ]
        ordering: ClassVar = ["model", "valid_from", "above_input_tokens"]

    def __str__(self) -> str:
        return f"{self.model} from {self.valid_from}"


class Benchmark(models.Model):
    """A named set of tasks. Which route it measures is declared in `leaderboard.benchmarks`."""

    slug = models.SlugField(unique=True)
    name = models.CharField(max_length=100)
    route = models.CharField(max_length=60, choices=ROUTE_CHOICES)
    needs_images = models.BooleanField(default=False)
    url = models.URLField(blank=True)

    class Meta:
        ordering: ClassVar = ["slug"]

    def __str__(self) -> str:
        return self.slug


class Run(models.Model):
    """One model in one harness over one benchmark, as one feed reported it.

    A run is either *detailed* (it has task results) or *aggregate* (it has only figures). A later
    report of the same run supersedes the earlier one, which stays as history.
    """

    team = models.ForeignKey(
        Team,
        models.CASCADE,
        null=True,
        blank=True,
        related_name="runs",
        help_text="Whose own results these are; empty for public ones.",
    )
    benchmark = models.ForeignKey(Benchmark, models.PROTECT, related_name="runs")
    model = models.ForeignKey(CatalogModel, models.PROTECT, related_name="runs")
    source = models.CharField(max_length=40, help_text="The feed's format, e.g. openhands-index.")
    feed_model_name = models.CharField(max_length=120)
    harness = models.CharField(max_length=60)
    harness_version = models.CharField(max_length=40, blank=True)
    origin = models.CharField(max_length=300, help_text="File or URL within the feed.")
    licence = models.CharField(max_length=60, blank=True)
    url = models.CharField(
        max_length=500,
        blank=True,
        validators=[URLValidator(["http", "https"])],
        help_text="Where the run can be looked at.",
    )
    command = models.CharField(max_length=500, blank=True, help_text="What reproduces it.")
    content_hash = models.CharField(max_length=64)
    is_aggregate = models.BooleanField(default=False)
    mean_latency_ms = models.PositiveBigIntegerField(null=True, blank=True)
    measured_at = models.DateTimeField(null=True, blank=True)
    ingested_at = models.DateTimeField(default=timezone.now)
    superseded_at = models.DateTimeField(null=True, blank=True)
    withdrawn_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["source", "harness", "feed_model_name", "benchmark"],
                condition=Q(superseded_at=None, withdrawn_at=None, team=None),
                name="one_live_public_run",
            ),
            models.UniqueConstraint(
                fields=["team", "source", "harness", "feed_model_name", "benchmark"],
                condition=Q(superseded_at=None, withdrawn_at=None, team__isnull=False),
                name="one_live_run_of_a_team",
            ),
        ]
        indexes: ClassVar = [models.Index(fields=["model", "benchmark"])]

    def __str__(self) -> str:
        return f"{self.feed_model_name} on {self.benchmark_id}"


class TaskResult(models.Model):
    """What became of one trial of one task in one run. Missing stays missing: null is never zero.

    `score` is 1 for solved, 0 for not, between for benchmarks that grade. `input_tokens` includes
    the cached ones, as feeds count them.
    """

    run = models.ForeignKey(Run, models.CASCADE, related_name="task_results")
    task = models.CharField(max_length=200)
    trial = models.PositiveSmallIntegerField(default=1)
    score = models.FloatField(null=True)
    cost_micro_usd = models.BigIntegerField(null=True)
    input_tokens = models.BigIntegerField(null=True)
    cache_read_tokens = models.BigIntegerField(null=True)
    output_tokens = models.BigIntegerField(null=True)
    latency_ms = models.BigIntegerField(null=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["run", "task", "trial"], name="one_result_per_trial")
        ]

    def __str__(self) -> str:
        return f"{self.task}: {self.score}"


class RunFigure(models.Model):
    """The counts of an aggregate run in one difficulty third, or over all of them (empty)."""

    run = models.ForeignKey(Run, models.CASCADE, related_name="figures")
    difficulty = models.CharField(max_length=10, choices=DIFFICULTY_CHOICES, blank=True)
    n = models.PositiveIntegerField(help_text="Tasks with a known outcome.")
    passed = models.FloatField(help_text="Sum of the tasks' scores.")
    n_cost = models.PositiveIntegerField(help_text="Tasks with a known cost.")
    cost_micro_usd = models.BigIntegerField(help_text="Sum of the known costs.")
    cost_cv = models.FloatField(help_text="Coefficient of variation of cost over tasks.")

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["run", "difficulty"], name="one_figure_per_difficulty")
        ]

    def __str__(self) -> str:
        return f"{self.run_id} {self.difficulty}: {self.passed}/{self.n}"


class RoutingTable(models.Model):
    """An immutable snapshot of all scorecard cells. `version` is its content hash, shortened."""

    version = models.CharField(max_length=40, unique=True)
    content_hash = models.CharField(max_length=64, unique=True)
    content = models.BinaryField(help_text="Canonical JSON; the hash is over these bytes.")
    published_at = models.DateTimeField(default=timezone.now)
    published_by = models.CharField(max_length=254)

    class Meta:
        ordering: ClassVar = ["-published_at"]

    def __str__(self) -> str:
        return self.version


class CurrentTable(models.Model):
    """The one pointer to the table that routes. Moving it is publishing."""

    table = models.ForeignKey(RoutingTable, models.PROTECT, related_name="+")
    moved_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(pk=1), name="one_current_table")
        ]

    def __str__(self) -> str:
        return str(self.table)
