"""What clients really used."""

from typing import ClassVar, Final

from django.db import models
from django.db.models.functions import Now
from django.utils import timezone

from routing.models import Budget, Outcome
from teams.models import Project
from usage import latency


class Status(models.TextChoices):
    """How the model call ended."""

    OK = "ok", "OK"
    ERROR = "error", "Error"
    CANCELLED = "cancelled", "Cancelled"


class UsageEvent(models.Model):
    """One model call. `event_id` is the client's own and makes reporting it twice harmless.

    `cost_micro_usd` is an estimate, computed from tokens and the list price valid at the time; what
    the client says it paid is kept beside it, and `cost_differs` tells when the two are too far
    apart (see `usage.pricing.differs`). `baseline_cost_micro_usd` estimates what the policy's
    baseline model would have cost for the same call: the cost, times the ratio of that model's
    expected cost to the decision's. It is missing where a model was used that the decision did not
    name.
    `input_tokens` excludes cached tokens, which are counted on their own; `output_tokens` includes
    the `reasoning_tokens`.

    On PostgreSQL the table is partitioned by month of `occurred_at`, see `lib.partitions`. That
    each id comes once is therefore kept by `ReportedEvent`.
    """

    # The recorder looks after it, once for a batch instead of once for each row.
    project = models.ForeignKey(
        Project,
        models.CASCADE,
        db_constraint=False,
        db_index=False,
        related_name="usage_events",
    )
    event_id = models.CharField(max_length=100)
    key_id = models.CharField(max_length=40)
    decision_id = models.CharField(max_length=40, blank=True)
    session_id = models.CharField(max_length=200, blank=True)
    occurred_at = models.DateTimeField()
    received_at = models.DateTimeField(default=timezone.now)
    model = models.CharField(max_length=120)
    route = models.CharField(max_length=60, blank=True)
    mode = models.CharField(max_length=30, blank=True)
    reason_code = models.CharField(max_length=40, blank=True)
    status = models.CharField(max_length=10, choices=Status, default=Status.OK)
    outcome = models.CharField(max_length=10, choices=Outcome, blank=True)
    input_tokens = models.BigIntegerField(default=0)
    cache_read_tokens = models.BigIntegerField(default=0)
    cache_write_tokens = models.BigIntegerField(default=0)
    output_tokens = models.BigIntegerField(default=0)
    reasoning_tokens = models.BigIntegerField(default=0)
    latency_ms = models.BigIntegerField(null=True)
    cost_micro_usd = models.BigIntegerField(null=True)
    reported_cost_micro_usd = models.BigIntegerField(null=True)
    cost_differs = models.BooleanField(default=False)
    baseline_cost_micro_usd = models.BigIntegerField(null=True)

    class Meta:
        indexes: ClassVar = [
            # Read from the end. What grows at its beginning would leave its pages half empty.
            models.Index(fields=["project", "occurred_at", "id"]),
            models.Index(
                fields=["project", "decision_id"],
                condition=~models.Q(decision_id=""),
                name="usage_decision_idx",
            ),
            models.Index(
                fields=["project", "session_id", "occurred_at"],
                condition=~models.Q(session_id=""),
                name="usage_session_idx",
            ),
            models.Index(
                fields=["project", "occurred_at", "id"],
                condition=models.Q(cost_differs=True),
                name="usage_cost_differs_idx",
            ),
        ]
        ordering: ClassVar = ["-occurred_at", "-id"]

    def __str__(self) -> str:
        return f"{self.event_id}: {self.model}"

    @property
    def cached_tokens(self) -> int:
        """Tokens read from or written to the provider's prompt cache."""
        return self.cache_read_tokens + self.cache_write_tokens


class ReportedEvent(models.Model):
    """An event id that was taken: `key` is the digest of a project and an `event_id`.

    Whoever inserts the row first has the event; see `usage.actions.recording`.
    """

    key = models.UUIDField(primary_key=True)
    taken_at = models.DateTimeField(db_default=Now())

    def __str__(self) -> str:
        return str(self.key)


class RollUp(models.Model):
    """How far the rollups go; one row. All that was reported before `covered_to` is in them.

    The last time they were brought up to date took `took_ms`, until `done_at`.
    """

    covered_to = models.DateTimeField()
    done_at = models.DateTimeField()
    took_ms = models.BigIntegerField(default=0)

    def __str__(self) -> str:
        return f"to {self.covered_to}"


class UsageSums(models.Model):
    """Sums over the calls and decisions of a project that have all of these in common.

    Decisions are counted in rows of their own, without a `status`, by their own model, route, mode,
    reason and key. `compared_cost_micro_usd` is the cost of those calls whose
    `baseline_cost_micro_usd` is known, so that the difference of the two is what was saved. Calls
    whose latency is known are counted by class, see `usage.latency`.
    """

    project_id = models.BigIntegerField()
    model = models.CharField(max_length=120)
    route = models.CharField(max_length=60, blank=True)
    mode = models.CharField(max_length=30, blank=True)
    reason_code = models.CharField(max_length=40, blank=True)
    key_id = models.CharField(max_length=40)
    status = models.CharField(max_length=10, blank=True)
    requests = models.BigIntegerField(db_default=0)
    errors = models.BigIntegerField(db_default=0)
    unpriced = models.BigIntegerField(db_default=0)
    cost_micro_usd = models.BigIntegerField(db_default=0)
    compared_cost_micro_usd = models.BigIntegerField(db_default=0)
    baseline_cost_micro_usd = models.BigIntegerField(db_default=0)
    input_tokens = models.BigIntegerField(db_default=0)
    cache_read_tokens = models.BigIntegerField(db_default=0)
    cache_write_tokens = models.BigIntegerField(db_default=0)
    output_tokens = models.BigIntegerField(db_default=0)
    reasoning_tokens = models.BigIntegerField(db_default=0)
    decisions = models.BigIntegerField(db_default=0)
    fallbacks = models.BigIntegerField(db_default=0)
    switched = models.BigIntegerField(db_default=0)

    class Meta:
        abstract = True


for column in latency.COLUMNS:
    UsageSums.add_to_class(column, models.IntegerField(db_default=0))


class UsageHour(UsageSums):
    """The sums of an hour of the team's clock: where that is half an hour off UTC, so are these."""

    hour = models.DateTimeField()

    class Meta:
        indexes: ClassVar = [models.Index(fields=["project_id", "hour"])]

    def __str__(self) -> str:
        return f"{self.project_id}: {self.hour}"


class UsageDay(UsageSums):
    """The sums of a day in the team's time zone."""

    day = models.DateField()

    class Meta:
        indexes: ClassVar = [models.Index(fields=["project_id", "day"])]

    def __str__(self) -> str:
        return f"{self.project_id}: {self.day}"


# What sums are kept by alone as well, whatever the rest: the margins of the full rollups, which
# are many times larger. Those of the fewest rows come first.
MARGINS: Final[dict[str, tuple[str, ...]]] = {
    "mode": ("mode",),
    "status": ("status",),
    "reason": ("reason_code",),
    "key": ("key_id",),
    "model": ("model",),
    "route": ("route",),
    "work": ("model", "route"),
}


class HourMargin(UsageSums):
    """The sums of an hour by the columns of one of `MARGINS`; the others are empty."""

    hour = models.DateTimeField()
    margin = models.CharField(max_length=10)

    class Meta:
        indexes: ClassVar = [models.Index(fields=["project_id", "margin", "hour"])]

    def __str__(self) -> str:
        return f"{self.project_id}: {self.hour} by {self.margin}"


class DayMargin(UsageSums):
    """The sums of a day by the columns of one of `MARGINS`; the others are empty."""

    day = models.DateField()
    margin = models.CharField(max_length=10)

    class Meta:
        indexes: ClassVar = [models.Index(fields=["project_id", "margin", "day"])]

    def __str__(self) -> str:
        return f"{self.project_id}: {self.day} by {self.margin}"


class BudgetAlert(models.Model):
    """That a budget passed one of its thresholds, told once in a period."""

    budget = models.ForeignKey(Budget, models.CASCADE, related_name="alerts")
    period_start = models.DateField()
    threshold = models.PositiveIntegerField(help_text="Percent of the limit.")
    spent_micro_usd = models.BigIntegerField()
    limit_micro_usd = models.BigIntegerField()
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["budget", "period_start", "threshold"], name="one_alert_per_threshold"
            )
        ]
        ordering: ClassVar = ["-created_at", "-id"]

    def __str__(self) -> str:
        return f"{self.budget_id}: {self.threshold}%"


class Notice(models.Model):
    """An alert on its way to one address, by e-mail or webhook, until it is delivered.

    It is tried again at `next_at`; None once it is delivered or given up.
    """

    alert = models.ForeignKey(BudgetAlert, models.CASCADE, related_name="notices")
    channel = models.CharField(max_length=10, choices=[("email", "E-mail"), ("webhook", "Webhook")])
    address = models.CharField(max_length=500)
    attempts = models.PositiveIntegerField(default=0)
    next_at = models.DateTimeField(null=True, default=timezone.now)
    delivered_at = models.DateTimeField(null=True)
    last_error = models.CharField(max_length=500, blank=True)

    class Meta:
        indexes: ClassVar = [models.Index(fields=["next_at"])]

    def __str__(self) -> str:
        return f"{self.channel} to {self.address}"
