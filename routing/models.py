"""Policies and decisions."""

from typing import ClassVar

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.utils import timezone

from lib.ids import new_id
from routing.engine.inputs import SUCCESS_PRICE_MICRO_USD
from teams.models import Project, Team


class Mode(models.TextChoices):
    """What a project wants of its router."""

    DEFAULT = "default", "Default"
    AUTO_EFFICIENT = "auto_efficient", "Auto Efficient"
    ACCURACY_PER_DOLLAR = "accuracy_per_dollar", "Best accuracy per dollar"
    BEST_ACCURACY = "best_accuracy", "Best accuracy"


class Outcome(models.TextChoices):
    """What became of the work, as the client saw it."""

    ACCEPTED = "accepted", "Accepted"
    FAILED = "failed", "Failed"
    REJECTED = "rejected", "Rejected"


def new_policy_id() -> str:
    """Return the public id of a new policy version."""
    return new_id("pol")


def new_budget_id() -> str:
    """Return the public id of a new budget."""
    return new_id("bud")


def new_decision_id() -> str:
    """Return the public id of a new decision."""
    return new_id("dec")


def fraction(default: float) -> "models.FloatField[float, float]":
    """Return a field for a share between 0 and 1."""
    return models.FloatField(
        default=default, validators=[MinValueValidator(0.0), MaxValueValidator(1.0)]
    )


class Policy(models.Model):
    """One immutable version of a team's or a project's settings. The newest is the one in force.

    Without a project it is the team's default. A project follows that default until it saves a
    version of its own, and again from a version on that `inherits`; such a version holds a copy of
    what the default was then. `docs/routing.md` explains the settings.
    """

    public_id = models.CharField(max_length=40, unique=True, default=new_policy_id, editable=False)
    project = models.ForeignKey(Project, models.CASCADE, null=True, related_name="policies")
    team = models.ForeignKey(Team, models.CASCADE, related_name="policies")
    number = models.PositiveIntegerField(help_text="1, 2, 3… of the project, or of the team.")
    inherits = models.BooleanField(default=False)
    mode = models.CharField(max_length=30, choices=Mode, default=Mode.DEFAULT)
    quality_bar = fraction(default=0.95)
    evidence = fraction(default=0.5)
    accuracy_floor = fraction(default=0.0)
    confidence_threshold = fraction(default=0.8)
    allowed_models = models.JSONField(default=list, blank=True)
    denied_models = models.JSONField(default=list, blank=True)
    balanced_models = models.JSONField(
        default=list, blank=True, help_text="In order of preference."
    )
    success_price_micro_usd = models.PositiveBigIntegerField(
        null=True,
        blank=True,
        default=SUCCESS_PRICE_MICRO_USD,
        help_text="What one more solved task may cost, up to the bar. Empty: the bar is strict.",
    )
    price_ceiling_micro_usd = models.PositiveBigIntegerField(
        null=True, blank=True, help_text="Highest expected cost of a task."
    )
    baseline_model = models.CharField(max_length=120)
    route_overrides = models.JSONField(
        default=dict, blank=True, help_text="By route: a mode, or the id of a model."
    )
    live_evidence = models.BooleanField(default=False)
    note = models.CharField(max_length=200, blank=True)
    author = models.CharField(max_length=254)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["project", "number"], name="one_policy_per_number"),
            models.UniqueConstraint(
                fields=["team", "number"],
                condition=models.Q(project=None),
                name="one_team_policy_per_number",
            ),
        ]
        ordering: ClassVar = ["-number"]
        verbose_name_plural = "policies"

    def __str__(self) -> str:
        return f"{self.public_id} ({self.mode})"


class Decision(models.Model):
    """One answer of the router, with the evidence it stood on.

    `accuracy` and `cost_micro_usd` are what was expected, of a ladder of all its models together.
    `evidence` holds the route and difficulty probabilities and every candidate with its figures and
    verdict. No text of the request is kept.

    On PostgreSQL the table is partitioned by month of `created_at`, see `lib.partitions`.
    """

    public_id = models.CharField(
        max_length=40, unique=True, default=new_decision_id, editable=False
    )
    # The recorder looks after it, once for a batch instead of once for each row.
    project = models.ForeignKey(
        Project, models.CASCADE, db_constraint=False, db_index=False, related_name="decisions"
    )
    key_id = models.CharField(max_length=40)
    session_id = models.CharField(max_length=200, blank=True)
    created_at = models.DateTimeField(default=timezone.now)
    model = models.CharField(max_length=120)
    reason_code = models.CharField(max_length=40)
    reason_text = models.CharField(max_length=500)
    task_type = models.CharField(max_length=30, blank=True)
    subtask_type = models.CharField(max_length=30, blank=True)
    difficulty = models.CharField(max_length=10, blank=True)
    confidence = models.FloatField(null=True)
    accuracy = models.FloatField(null=True)
    accuracy_low = models.FloatField(null=True)
    accuracy_high = models.FloatField(null=True)
    cost_micro_usd = models.BigIntegerField(null=True)
    baseline_cost_micro_usd = models.BigIntegerField(null=True)
    mode = models.CharField(max_length=30)
    policy_version = models.CharField(max_length=40)
    table_version = models.CharField(max_length=40, blank=True)
    sticky = models.BooleanField(default=False)
    switched = models.BooleanField(default=False)
    switch_reason = models.CharField(max_length=300, blank=True)
    evidence = models.JSONField(default=dict)

    class Meta:
        indexes: ClassVar = [
            # Read from the end. What grows at its beginning would leave its pages half empty.
            models.Index(fields=["project", "created_at", "id"]),
            models.Index(fields=["project", "session_id", "created_at"]),
        ]
        ordering: ClassVar = ["-created_at", "-id"]

    def __str__(self) -> str:
        return f"{self.public_id}: {self.model}"

    @property
    def route(self) -> str:
        """``task_type/subtask_type``, or empty when the request was not classified."""
        return f"{self.task_type}/{self.subtask_type}" if self.task_type else ""


class StaleHour(models.Model):
    """An hour (UTC) in which something of a project's was recorded since it was added up last.

    One row for each batch that touched it, never updated: whoever adds the hour up removes the rows
    that it saw before it begins to read, and whatever comes meanwhile leaves another.
    """

    project_id = models.BigIntegerField()
    hour = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.project_id}: {self.hour}"


class TaskOutcome(models.Model):
    """What became of one decision's work with one model: the newest word of the client.

    `after_failure` tells that another model had failed on the task before, so that the task is
    harder than its kind: such an outcome is no evidence of the model.
    """

    project = models.ForeignKey(Project, models.CASCADE, related_name="task_outcomes")
    decision_id = models.CharField(max_length=40)
    model = models.CharField(max_length=120)
    route = models.CharField(max_length=60, blank=True)
    difficulty = models.CharField(max_length=10, blank=True)
    outcome = models.CharField(max_length=10, choices=Outcome)
    after_failure = models.BooleanField(default=False)
    key_id = models.CharField(max_length=40)
    reported_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["project", "decision_id", "model"], name="one_outcome_per_decision"
            )
        ]
        indexes: ClassVar = [models.Index(fields=["project", "reported_at"])]
        ordering: ClassVar = ["-reported_at", "-id"]

    def __str__(self) -> str:
        return f"{self.decision_id}: {self.outcome}"


class BudgetPeriod(models.TextChoices):
    """How long a budget lasts; it begins anew at midnight in the team's time zone."""

    DAILY = "daily", "Daily"
    MONTHLY = "monthly", "Monthly"


class AtLimit(models.TextChoices):
    """What happens to requests once a budget is spent, the mildest first."""

    WARN = "warn", "Only warn"
    CHEAPEST = "cheapest", "Cheapest model only"
    BALANCED = "balanced", "Balanced only"
    REFUSE = "refuse", "Refuse"


class PresentBudgets(models.Manager["Budget"]):
    """All budgets but those that were deleted."""

    def get_queryset(self) -> models.QuerySet["Budget"]:
        return super().get_queryset().filter(deleted_at=None)


class Budget(models.Model):
    """What a team, one of its projects or one key may spend in a day or a month.

    One that was deleted is kept for a while, so that it can be brought back.

    Spend is the estimated cost of reported calls, by the time at which they happened.
    `spent_micro_usd` is what the rollups said of the period that began on `spent_in`, at
    `spent_at`; the counter in the store is ahead of it by what was reported since.
    """

    public_id = models.CharField(max_length=40, unique=True, default=new_budget_id, editable=False)
    team = models.ForeignKey(Team, models.CASCADE, related_name="budgets")
    project = models.ForeignKey(Project, models.CASCADE, null=True, related_name="budgets")
    key_id = models.CharField(max_length=40, blank=True, help_text="Of one key of the project.")
    period = models.CharField(max_length=10, choices=BudgetPeriod, default=BudgetPeriod.MONTHLY)
    limit_micro_usd = models.PositiveBigIntegerField()
    at_limit = models.CharField(max_length=10, choices=AtLimit, default=AtLimit.WARN)
    thresholds = models.JSONField(default=list, help_text="Percent of the limit, ascending.")
    emails = models.JSONField(default=list)
    webhook_url = models.CharField(max_length=500, blank=True)
    webhook_secret = models.CharField(max_length=64, blank=True)
    spent_micro_usd = models.BigIntegerField(default=0)
    spent_in = models.DateField(null=True)
    spent_at = models.DateTimeField(null=True)
    author = models.CharField(max_length=254)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    deleted_at = models.DateTimeField(null=True, editable=False)

    objects = PresentBudgets()
    with_deleted: ClassVar[models.Manager["Budget"]] = models.Manager()

    class Meta:
        ordering: ClassVar = ["created_at", "id"]

    def __str__(self) -> str:
        return f"{self.public_id}: {self.period}"
