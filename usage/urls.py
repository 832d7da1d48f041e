"""Pages of `usage`."""

from django.urls import path

from usage import (
    budget_views,
    decision_views,
    event_views,
    history_views,
    live_views,
    record_views,
    session_views,
    views,
)

urlpatterns = [
    path("projects/<slug:project>/", views.overview, name="overview"),
    path("projects/<slug:project>/usage/", history_views.usage, name="usage"),
    path("projects/<slug:project>/usage.csv", history_views.usage_csv, name="usage_csv"),
    path("projects/<slug:project>/usage/events/", event_views.usage_events, name="usage_events"),
    path(
        "projects/<slug:project>/usage/events.csv",
        event_views.usage_events_csv,
        name="usage_events_csv",
    ),
    path("projects/<slug:project>/usage/live.json", live_views.live, name="usage_live"),
    path("projects/<slug:project>/policy/preview/", views.policy_preview, name="policy_preview"),
    path(
        "projects/<slug:project>/team-policy/preview/",
        views.team_policy_preview,
        name="team_policy_preview",
    ),
    path("projects/<slug:project>/budgets/", budget_views.budgets, name="budgets"),
    path("projects/<slug:project>/budgets/new/", budget_views.new_budget, name="new_budget"),
    path(
        "projects/<slug:project>/budgets/restore/",
        budget_views.restore_budget,
        name="restore_budget",
    ),
    path(
        "projects/<slug:project>/budgets/<slug:budget_id>/",
        budget_views.edit_budget,
        name="edit_budget",
    ),
    path(
        "projects/<slug:project>/budgets/<slug:budget_id>/delete/",
        budget_views.delete_budget,
        name="delete_budget",
    ),
    path(
        "projects/<slug:project>/budgets/<slug:budget_id>/renew-secret/",
        budget_views.renew_budget_secret,
        name="renew_budget_secret",
    ),
    path(
        "projects/<slug:project>/budgets/<slug:budget_id>/test/",
        budget_views.test_budget,
        name="test_budget",
    ),
    path(
        "projects/<slug:project>/budgets/<slug:budget_id>/send-again/",
        budget_views.send_notice_again,
        name="send_notice_again",
    ),
    path("projects/<slug:project>/board/", views.project_board, name="project_board"),
    path("projects/<slug:project>/sessions/", session_views.sessions, name="sessions"),
    path("projects/<slug:project>/decisions/", decision_views.decisions, name="decisions"),
    path(
        "projects/<slug:project>/decisions.csv", decision_views.decisions_csv, name="decisions_csv"
    ),
    path(
        "projects/<slug:project>/decisions/<str:decision_id>/",
        decision_views.decision,
        name="decision",
    ),
    path("settings/record/", record_views.record, name="record"),
    path(
        "settings/record/<slug:stream>/set-aside.jsonl",
        record_views.set_aside_jsonl,
        name="set_aside_jsonl",
    ),
    path(
        "settings/record/<slug:stream>/try-again/",
        record_views.try_set_aside_again,
        name="try_set_aside_again",
    ),
    path(
        "settings/record/<slug:stream>/discard/",
        record_views.discard_set_aside,
        name="discard_set_aside",
    ),
]
