"""The catalogue, the evidence, and the routing tables made from it."""

import datetime as dt
from typing import ClassVar, Final

from django.core.validators import URLValidator
from django.db import models
from django.db.models import Q
from django.utils import timezone

from lib.ids import new_id
from lib.taxonomy import DIFFICULTIES, ROUTES
from teams.models import Team

ROUTE_CHOICES = [(route, route) for route in ROUTES]
DIFFICULTY_CHOICES = [(name, name) for name in DIFFICULTIES]


def new_feed_id() -> str:
    """Return the public id of a new feed."""
    return new_id("feed")


def new_ingestion_id() -> str:
    """Return the public id of a new ingestion."""
    return new_id("ing")


def new_run_id() -> str:
    """Return the public id of a new run."""
    return new_id("run")


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


# From here on holds a price without a stated start: since before any benchmark here was run.
ALWAYS: Final = dt.date(2020, 1, 1)
PRICE_FIELDS: Final = (
    "input_micro_usd",
    "output_micro_usd",
    "cache_read_micro_usd",
    "cache_write_micro_usd",
)


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

    slug = models.SlugField(unique=True, max_length=120)
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

    public_id = models.CharField(max_length=40, unique=True, default=new_run_id, editable=False)
    ingestion = models.ForeignKey(
        "Ingestion", models.SET_NULL, null=True, blank=True, related_name="runs"
    )
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
    withdrawn_by = models.CharField(max_length=254, blank=True)

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


PUBLIC = "public"


def scope_of(team: Team | None) -> str:
    """Return whose table it is: ``public``, or ``team:<slug>`` with a team's own results."""
    return f"team:{team.slug}" if team else PUBLIC


class RoutingTable(models.Model):
    """An immutable snapshot of all scorecard cells. `version` is its content hash, shortened.

    The public table is made from public runs; a team that has results of its own also has tables
    that count them, which route only for that team. The scope is part of the content.
    """

    version = models.CharField(max_length=40, unique=True)
    content_hash = models.CharField(max_length=64, unique=True)
    content = models.BinaryField(help_text="Canonical JSON; the hash is over these bytes.")
    scope = models.CharField(max_length=60, default=PUBLIC, db_index=True)
    team = models.ForeignKey(Team, models.CASCADE, null=True, related_name="routing_tables")
    published_at = models.DateTimeField(default=timezone.now)
    published_by = models.CharField(max_length=254)

    class Meta:
        ordering: ClassVar = ["-published_at"]

    def __str__(self) -> str:
        return self.version


class CurrentTable(models.Model):
    """The one pointer of a scope to the table that routes. Moving it is publishing."""

    scope = models.CharField(max_length=60, unique=True, default=PUBLIC)
    team = models.ForeignKey(Team, models.CASCADE, null=True, related_name="+")
    table = models.ForeignKey(RoutingTable, models.RESTRICT, related_name="+")
    moved_at = models.DateTimeField(default=timezone.now)
    standing = models.JSONField(
        default=list, help_text="The model that each route stands by; see leaderboard.standing."
    )

    def __str__(self) -> str:
        return str(self.table)


class Feed(models.Model):
    """A source of results that is read again and again. Public: only operators manage feeds."""

    public_id = models.CharField(max_length=40, unique=True, default=new_feed_id, editable=False)
    name = models.CharField(max_length=100)
    format = models.CharField(max_length=40)
    location = models.CharField(max_length=500, help_text="A path on the server, or a URL.")
    interval_minutes = models.PositiveIntegerField(
        null=True, blank=True, help_text="How often to read it; empty: only when asked to."
    )
    allow_private_address = models.BooleanField(
        default=False, help_text="Let the URL point into this server's own network."
    )
    is_enabled = models.BooleanField(default=True)
    etag = models.CharField(max_length=200, blank=True)
    last_modified = models.CharField(max_length=60, blank=True)
    content_hash = models.CharField(max_length=64, blank=True)
    next_at = models.DateTimeField(null=True, blank=True)
    failures = models.PositiveIntegerField(default=0, help_text="Failed readings in a row.")
    created_by = models.CharField(max_length=254)
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering: ClassVar = ["name", "pk"]

    def __str__(self) -> str:
        return self.name


class IngestionState(models.TextChoices):
    """How far a reading has come."""

    QUEUED = "queued", "Queued"
    RUNNING = "running", "Running"
    SUCCEEDED = "succeeded", "Succeeded"
    UNCHANGED = "unchanged", "Unchanged"
    FAILED = "failed", "Failed"


class Ingestion(models.Model):
    """One reading of a feed or a submission, with progress that a person can watch."""

    public_id = models.CharField(
        max_length=40, unique=True, default=new_ingestion_id, editable=False
    )
    feed = models.ForeignKey(Feed, models.SET_NULL, null=True, related_name="ingestions")
    team = models.ForeignKey(Team, models.CASCADE, null=True, related_name="ingestions")
    format = models.CharField(max_length=40)
    location = models.CharField(max_length=500)
    actor = models.CharField(max_length=254)
    state = models.CharField(
        max_length=10, choices=IngestionState, default=IngestionState.QUEUED, db_index=True
    )
    requested_at = models.DateTimeField(default=timezone.now)
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    heartbeat_at = models.DateTimeField(
        default=timezone.now, help_text="The last sign of life of whoever is to do it."
    )
    attempts = models.PositiveSmallIntegerField(default=0)
    runs_expected = models.PositiveIntegerField(default=0)
    runs_done = models.PositiveIntegerField(default=0)
    rows_read = models.PositiveBigIntegerField(default=0)
    rows_accepted = models.PositiveBigIntegerField(default=0)
    rows_rejected = models.PositiveBigIntegerField(default=0)
    error = models.CharField(max_length=1000, blank=True)

    class Meta:
        ordering: ClassVar = ["-requested_at", "-id"]

    def __str__(self) -> str:
        return f"{self.public_id}: {self.state}"


class RejectedRow(models.Model):
    """Something that an ingestion could not use, by file, row and reason."""

    ingestion = models.ForeignKey(Ingestion, models.CASCADE, related_name="rejected")
    file = models.CharField(max_length=300)
    row = models.CharField(max_length=200, blank=True)
    reason = models.CharField(max_length=500)

    def __str__(self) -> str:
        return f"{self.file} [{self.row}]: {self.reason}"
