"""Policies and decisions."""

from typing import ClassVar

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.utils import timezone

from lib.ids import new_id
from teams.models import Project


class Mode(models.TextChoices):
    """What a project wants of its router."""

    DEFAULT = "default", "Default"
    AUTO_EFFICIENT = "auto_efficient", "Auto Efficient"
    ACCURACY_PER_DOLLAR = "accuracy_per_dollar", "Best accuracy per dollar"
    BEST_ACCURACY = "best_accuracy", "Best accuracy"


def new_policy_id() -> str:
    """Return the public id of a new policy version."""
    return new_id("pol")


def new_decision_id() -> str:
    """Return the public id of a new decision."""
    return new_id("dec")


def fraction(default: float) -> "models.FloatField[float, float]":
    """Return a field for a share between 0 and 1."""
    return models.FloatField(
        default=default, validators=[MinValueValidator(0.0), MaxValueValidator(1.0)]
    )


class Policy(models.Model):
    """One immutable version of a project's settings. The newest is the one in force."""

    public_id = models.CharField(max_length=40, unique=True, default=new_policy_id, editable=False)
    project = models.ForeignKey(Project, models.CASCADE, related_name="policies")
    number = models.PositiveIntegerField(help_text="1, 2, 3… within the project.")
    mode = models.CharField(max_length=30, choices=Mode, default=Mode.DEFAULT)
    quality_bar = fraction(default=0.95)
    evidence = fraction(default=0.5)
    confidence_threshold = fraction(default=0.5)
    allowed_models = models.JSONField(default=list, blank=True)
    denied_models = models.JSONField(default=list, blank=True)
    balanced_model = models.CharField(max_length=120)
    baseline_model = models.CharField(max_length=120)
    note = models.CharField(max_length=200, blank=True)
    author = models.CharField(max_length=254)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["project", "number"], name="one_policy_per_number")
        ]
        ordering: ClassVar = ["-number"]
        verbose_name_plural = "policies"

    def __str__(self) -> str:
        return f"{self.public_id} ({self.mode})"


class Decision(models.Model):
    """One answer of the router, with the evidence it stood on.

    `evidence` holds the route and difficulty probabilities and every candidate with its figures and
    verdict. No text of the request is kept.
    """

    public_id = models.CharField(
        max_length=40, unique=True, default=new_decision_id, editable=False
    )
    project = models.ForeignKey(Project, models.CASCADE, related_name="decisions")
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
            models.Index(fields=["project", "-created_at", "-id"]),
            models.Index(fields=["project", "session_id", "created_at"]),
        ]
        ordering: ClassVar = ["-created_at", "-id"]

    def __str__(self) -> str:
        return f"{self.public_id}: {self.model}"

    @property
    def route(self) -> str:
        """``task_type/subtask_type``, or empty when the request was not classified."""
        return f"{self.task_type}/{self.subtask_type}" if self.task_type else ""
