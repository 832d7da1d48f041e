"""API calls of `usage`."""

from django.urls import path

from usage import api, budget_api

urlpatterns = [
    path("budgets", budget_api.BudgetsView.as_view(), name="api_budgets"),
    path("budgets/<slug:budget_id>", budget_api.BudgetView.as_view(), name="api_budget"),
    path("policy/preview", api.PolicyPreviewView.as_view(), name="api_policy_preview"),
    path("usage", api.UsageView.as_view(), name="api_usage"),
    path("usage/export.csv", api.UsageExportView.as_view(), name="api_usage_export"),
    path("usage/events", api.UsageEventsView.as_view(), name="api_usage_events"),
]
