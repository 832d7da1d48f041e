"""API calls of `leaderboard`."""

from django.urls import URLPattern, path

from leaderboard.api import boards, catalogue, runs, tables

urlpatterns: list[URLPattern] = [
    path("benchmarks/runs", runs.RunsView.as_view(), name="api_runs"),
    path("leaderboard", boards.LeaderboardView.as_view(), name="api_leaderboard"),
    path("leaderboard.csv", boards.LeaderboardCsvView.as_view(), name="api_leaderboard_csv"),
    path("models", catalogue.ModelsView.as_view(), name="api_models"),
    path("models.csv", catalogue.ModelsCsvView.as_view(), name="api_models_csv"),
    path("models/<path:model_id>", catalogue.ModelView.as_view(), name="api_model"),
    path("routing-table", tables.RoutingTableView.as_view(), name="api_routing_table"),
    path("routing-table.csv", tables.RoutingTableCsvView.as_view(), name="api_routing_table_csv"),
]
