"""API calls of `usage`."""

from django.urls import path

from usage.api import budgets, usage

urlpatterns = [
    path("budgets", budgets.BudgetsView.as_view(), name="api_budgets"),
    path("budgets/<slug:budget_id>", budgets.BudgetView.as_view(), name="api_budget"),
    path("policy/preview", usage.PolicyPreviewView.as_view(), name="api_policy_preview"),
    path("usage", usage.UsageView.as_view(), name="api_usage"),
    path("usage/export.csv", usage.UsageExportView.as_view(), name="api_usage_export"),
    path("usage/events", usage.UsageEventsView.as_view(), name="api_usage_events"),
]
