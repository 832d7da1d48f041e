"""Django admin for operators."""

from django.contrib import admin

from routing.models import Decision, Policy, TaskOutcome
from teams.admin import ReadOnlyAdmin


@admin.register(Policy)
class PolicyAdmin(ReadOnlyAdmin):
    """Policy versions, which never change once saved."""

    list_display = ["public_id", "team", "project", "number", "mode", "author", "created_at"]
    list_select_related = ["team", "project"]
    list_filter = ["mode"]
    search_fields = ["public_id", "project__slug", "author"]


@admin.register(Decision)
class DecisionAdmin(ReadOnlyAdmin):
    """What the router decided."""

    list_display = ["public_id", "project", "created_at", "model", "reason_code", "difficulty"]
    list_select_related = ["project"]
    list_filter = ["reason_code", "difficulty"]
    search_fields = ["public_id", "session_id", "project__slug"]
    # Counting a table of millions on every page would outlast the operator's patience.
    show_full_result_count = False


@admin.register(TaskOutcome)
class TaskOutcomeAdmin(ReadOnlyAdmin):
    """What clients said became of decisions."""

    list_display = ["decision_id", "project", "model", "outcome", "after_failure", "reported_at"]
    list_select_related = ["project"]
    list_filter = ["outcome"]
    search_fields = ["decision_id", "project__slug"]
    show_full_result_count = False
