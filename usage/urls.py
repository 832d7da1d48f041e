"""Pages of `usage`."""

from django.urls import path

from usage import decision_views, views

urlpatterns = [
    path("projects/<slug:project>/", views.overview, name="overview"),
    path("projects/<slug:project>/usage/", views.usage, name="usage"),
    path("projects/<slug:project>/usage.csv", views.usage_csv, name="usage_csv"),
    path("projects/<slug:project>/policy/preview/", views.policy_preview, name="policy_preview"),
    path(
        "projects/<slug:project>/team-policy/preview/",
        views.team_policy_preview,
        name="team_policy_preview",
    ),
    path("projects/<slug:project>/board/", views.project_board, name="project_board"),
    path("projects/<slug:project>/decisions/", decision_views.decisions, name="decisions"),
    path(
        "projects/<slug:project>/decisions.csv", decision_views.decisions_csv, name="decisions_csv"
    ),
    path(
        "projects/<slug:project>/decisions/<str:decision_id>/",
        decision_views.decision,
        name="decision",
    ),
]
