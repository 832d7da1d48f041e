"""The form of a budget."""

import re
from decimal import Decimal
from typing import Any, cast

from django import forms
from django.core.exceptions import ValidationError

from lib.money import MICRO, to_micro_usd
from routing.actions.budgets import (
    AT_LIMIT_MEANS,
    DEFAULT_THRESHOLDS,
    MAX_LIMIT_MICRO_USD,
    MAX_PERCENT,
    faults,
)
from routing.models import AtLimit, Budget, BudgetPeriod
from teams.access import Access
from teams.models import ApiKey, Project

PROJECT, TEAM, KEY = "project", "team", "key:"
NOT_AN_AMOUNT = "Enter an amount in dollars above 0, such as 200 or 49.50."
NOT_PERCENT = (
    f"Enter whole percent from 1 to {MAX_PERCENT}, separated by commas, such as 50, 80, 100."
)
# The setting that a field of the form is about, where the names differ.
FIELDS = {"limit_micro_usd": "limit"}


class BudgetForm(forms.Form):
    """A new budget, or what may be changed of one: all but what it counts."""

    scope = forms.ChoiceField(
        label="Whose spend",
        error_messages={"invalid_choice": "Choose one of the list: you may not choose this."},
    )
    period = forms.ChoiceField(
        label="Period",
        choices=BudgetPeriod.choices,
        initial=BudgetPeriod.MONTHLY,
    )
    limit = forms.DecimalField(
        label="Limit in dollars",
        decimal_places=6,
        max_value=MAX_LIMIT_MICRO_USD // MICRO,
        widget=forms.NumberInput(attrs={"min": 0, "step": "any", "inputmode": "decimal"}),
        error_messages=dict.fromkeys(
            ["required", "invalid", "max_value", "max_digits", "max_decimal_places"], NOT_AN_AMOUNT
        ),
    )
    at_limit = forms.ChoiceField(
        label="At the limit",
        choices=AtLimit.choices,
        initial=AtLimit.WARN,
        widget=forms.RadioSelect,
    )
    thresholds = forms.CharField(
        label="Alert at",
        required=False,
        initial=", ".join(map(str, DEFAULT_THRESHOLDS)),
        help_text="Percent of the limit, separated by commas. Each is told once in a period.",
        widget=forms.TextInput(attrs={"inputmode": "text"}),
    )
    emails = forms.CharField(
        label="Send e-mails to",
        required=False,
        help_text="Addresses, separated by commas or line breaks. Empty: nobody.",
        widget=forms.Textarea(attrs={"rows": 2}),
    )
    webhook_url = forms.CharField(
        label="Post a webhook to",
        required=False,
        max_length=500,
        help_text="An https:// address that takes signed JSON. Empty: none.",
        widget=forms.URLInput(attrs={"placeholder": "https://"}),
    )
    confirm = forms.BooleanField(required=False)

    def __init__(self, data: Any, *, access: Access, budget: Budget | None = None) -> None:
        initial = values_of(budget) if budget else {"emails": access.actor.email}
        super().__init__(data, initial=initial)
        self.budget = budget
        if budget:
            del self.fields["scope"], self.fields["period"]
        else:
            scope = self.fields["scope"]
            assert isinstance(scope, forms.ChoiceField)
            scope.choices = scope_choices(access)

    def clean_limit(self) -> Decimal:
        """Nothing can be a share of nothing."""
        limit: Decimal = self.cleaned_data["limit"]
        if to_micro_usd(limit) <= 0:
            raise ValidationError(NOT_AN_AMOUNT)
        return limit

    def clean_thresholds(self) -> list[int]:
        """Read whole numbers, with or without a percent sign."""
        parts = [part.rstrip("%") for part in words(self.cleaned_data["thresholds"])]
        if not all(part.isascii() and part.isdecimal() and len(part) < 6 for part in parts):
            raise ValidationError(NOT_PERCENT)
        return [int(part) for part in parts]

    def clean_emails(self) -> list[str]:
        """Read addresses."""
        return words(self.cleaned_data["emails"])

    def clean(self) -> dict[str, Any]:
        """Say what the settings cannot be."""
        cleaned = cast(dict[str, Any], super().clean())
        if not self.errors:
            values = {"period": self.chosen_period, **self.settings()}
            for setting, message in faults(values).items():
                self.add_error(FIELDS.get(setting, setting), message)
        return cleaned

    @property
    def chosen_period(self) -> str:
        """How long the budget lasts."""
        return self.budget.period if self.budget else str(self.cleaned_data["period"])

    def settings(self) -> dict[str, Any]:
        """Return what a budget may be changed to."""
        cleaned = self.cleaned_data
        return {
            "limit_micro_usd": to_micro_usd(cleaned["limit"]),
            **{name: cleaned[name] for name in ("at_limit", "thresholds", "emails", "webhook_url")},
        }

    def scope_of(self, project: Project) -> tuple[Project | None, str]:
        """Return the project and the key whose spend a new budget counts."""
        scope = str(self.cleaned_data["scope"])
        if scope == TEAM:
            return None, ""
        return project, scope.removeprefix(KEY) if scope.startswith(KEY) else ""

    def at_limit_choices(self) -> list[tuple[Any, str]]:
        """Return each radio button with the sentence that explains it."""
        return [
            (option, AT_LIMIT_MEANS[AtLimit(option.data["value"])]) for option in self["at_limit"]
        ]


def values_of(budget: Budget) -> dict[str, Any]:
    """Return what the form shows of a budget."""
    return {
        "limit": f"{Decimal(budget.limit_micro_usd) / MICRO:f}",
        "at_limit": budget.at_limit,
        "thresholds": ", ".join(map(str, budget.thresholds)),
        "emails": "\n".join(budget.emails),
        "webhook_url": budget.webhook_url,
    }


def scope_choices(access: Access) -> list[tuple[str, Any]]:
    """Return what a budget may count, for a person at a project."""
    project = access.project
    choices: list[tuple[str, Any]] = [(PROJECT, f"This project: {project.name}")]
    if access.can_edit_team_policy:
        choices.append((TEAM, f"The whole team: {project.team.name}"))
    keys = ApiKey.objects.filter(project=project, revoked_at=None).order_by("name", "pk")
    if keys:
        choices.append(
            ("One key of this project", [(KEY + key.public_id, str(key)) for key in keys])
        )
    return choices


def words(text: str) -> list[str]:
    """Return what stands between commas, semicolons, spaces and line breaks."""
    return [word for word in re.split(r"[\s,;]+", text) if word]
