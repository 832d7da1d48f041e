"""What clients really used."""

from typing import ClassVar

from django.db import models
from django.utils import timezone

from routing.models import Outcome
from teams.models import Project


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
    """

    project = models.ForeignKey(Project, models.CASCADE, related_name="usage_events")
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
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["project", "event_id"], name="one_usage_event_per_id")
        ]
        indexes: ClassVar = [
            models.Index(fields=["project", "-occurred_at", "-id"]),
            models.Index(fields=["project", "decision_id"]),
            models.Index(
                fields=["project", "-occurred_at", "-id"],
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
