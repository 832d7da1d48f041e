"""Pages of `usage`."""

from django.urls import path

from usage import views

urlpatterns = [
    path("projects/<slug:project>/", views.overview, name="overview"),
    path("projects/<slug:project>/usage/", views.usage, name="usage"),
    path("projects/<slug:project>/usage.csv", views.usage_csv, name="usage_csv"),
    path("projects/<slug:project>/board/", views.project_board, name="project_board"),
    path("projects/<slug:project>/decisions/", views.decisions, name="decisions"),
    path("projects/<slug:project>/decisions/<str:decision_id>/", views.decision, name="decision"),
]
