"""API calls of `usage`."""

from django.urls import path

from usage import api

urlpatterns = [
    path("policy/preview", api.PolicyPreviewView.as_view(), name="api_policy_preview"),
    path("usage", api.UsageView.as_view(), name="api_usage"),
    path("usage/events", api.UsageEventsView.as_view(), name="api_usage_events"),
]
