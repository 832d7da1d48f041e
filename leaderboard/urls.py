"""Pages of `leaderboard`."""

from django.urls import URLPattern, path

from leaderboard import operator_views, views

urlpatterns: list[URLPattern] = [
    path("leaderboard/", views.leaderboard, name="leaderboard"),
    path("models/<path:model_id>/", views.model, name="model"),
    path("methodology/", views.methodology, name="methodology"),
    path("docs/<slug:document>/", views.docs, name="docs"),
    path("settings/feeds/", operator_views.feeds, name="feeds"),
    path("settings/feeds/new/", operator_views.edit_feed, name="new_feed"),
    path("settings/feeds/<slug:feed_id>/", operator_views.edit_feed, name="edit_feed"),
    path("settings/feeds/<slug:feed_id>/delete/", operator_views.delete_feed, name="delete_feed"),
    path("settings/feeds/<slug:feed_id>/run/", operator_views.run_feed, name="run_feed"),
    path(
        "settings/feeds/ingestions/<slug:ingestion_id>/",
        operator_views.ingestion,
        name="ingestion",
    ),
    path(
        "settings/feeds/ingestions/<slug:ingestion_id>/progress/",
        operator_views.ingestion_progress,
        name="ingestion_progress",
    ),
    path(
        "settings/feeds/ingestions/<slug:ingestion_id>/rejected.csv",
        operator_views.ingestion_rejected_csv,
        name="ingestion_rejected_csv",
    ),
    path(
        "settings/feeds/runs/<slug:run_id>/withdraw/",
        operator_views.withdraw_run,
        name="withdraw_run",
    ),
    path(
        "settings/feeds/runs/<slug:run_id>/restore/",
        operator_views.restore_run,
        name="restore_run",
    ),
]
