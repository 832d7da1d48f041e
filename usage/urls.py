"""Pages of `usage`."""

from django.urls import path

from usage.views import (
    board,
    budgets,
    decisions,
    events,
    history,
    live,
    overview,
    preview,
    record,
    sessions,
)

urlpatterns = [
    path("projects/<slug:project>/", overview.overview, name="overview"),
    path("projects/<slug:project>/usage/", history.usage, name="usage"),
    path("projects/<slug:project>/usage.csv", history.usage_csv, name="usage_csv"),
    path("projects/<slug:project>/usage/events/", events.usage_events, name="usage_events"),
    path(
        "projects/<slug:project>/usage/events.csv",
        events.usage_events_csv,
        name="usage_events_csv",
    ),
    path("projects/<slug:project>/usage/live.json", live.live, name="usage_live"),
    path("projects/<slug:project>/policy/preview/", preview.policy_preview, name="policy_preview"),
    path(
        "projects/<slug:project>/team-policy/preview/",
        preview.team_policy_preview,
        name="team_policy_preview",
    ),
    path("projects/<slug:project>/budgets/", budgets.budgets, name="budgets"),
    path("projects/<slug:project>/budgets/new/", budgets.new_budget, name="new_budget"),
    path(
        "projects/<slug:project>/budgets/<slug:budget_id>/restore/",
        budgets.restore_budget,
        name="restore_budget",
    ),
    path(
        "projects/<slug:project>/budgets/<slug:budget_id>/",
        budgets.edit_budget,
        name="edit_budget",
    ),
    path(
        "projects/<slug:project>/budgets/<slug:budget_id>/delete/",
        budgets.delete_budget,
        name="delete_budget",
    ),
    path(
        "projects/<slug:project>/budgets/<slug:budget_id>/renew-secret/",
        budgets.renew_budget_secret,
        name="renew_budget_secret",
    ),
    path(
        "projects/<slug:project>/budgets/<slug:budget_id>/test/",
        budgets.test_budget,
        name="test_budget",
    ),
    path(
        "projects/<slug:project>/budgets/<slug:budget_id>/send-again/",
        budgets.send_notice_again,
        name="send_notice_again",
    ),
    path("projects/<slug:project>/board/", board.project_board, name="project_board"),
    path("projects/<slug:project>/sessions/", sessions.sessions, name="sessions"),
    path("projects/<slug:project>/decisions/", decisions.decisions, name="decisions"),
    path("projects/<slug:project>/decisions.csv", decisions.decisions_csv, name="decisions_csv"),
    path(
        "projects/<slug:project>/decisions/<str:decision_id>/",
        decisions.decision,
        name="decision",
    ),
    path("settings/record/", record.record, name="record"),
    path(
        "settings/record/<slug:stream>/set-aside.jsonl",
        record.set_aside_jsonl,
        name="set_aside_jsonl",
    ),
    path(
        "settings/record/<slug:stream>/try-again/",
        record.try_set_aside_again,
        name="try_set_aside_again",
    ),
    path(
        "settings/record/<slug:stream>/discard/",
        record.discard_set_aside,
        name="discard_set_aside",
    ),
]
