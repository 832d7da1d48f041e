"""Django admin for operators."""

from django.contrib import admin

from teams.admin import ReadOnlyAdmin
from usage.models import UsageEvent


@admin.register(UsageEvent)
class UsageEventAdmin(ReadOnlyAdmin):
    """What clients reported."""

    list_display = ["event_id", "project", "occurred_at", "model", "status", "cost_micro_usd"]
    list_select_related = ["project"]
    list_filter = ["status", "outcome", "cost_differs"]
    search_fields = ["event_id", "decision_id", "session_id", "project__slug"]
    # Counting a table of millions on every page would outlast the operator's patience.
    show_full_result_count = False
