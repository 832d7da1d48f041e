"""API calls of `leaderboard`."""

from django.urls import URLPattern, path

from leaderboard import api, api_runs

urlpatterns: list[URLPattern] = [
    path("benchmarks/runs", api_runs.RunsView.as_view(), name="api_runs"),
    path("leaderboard", api.LeaderboardView.as_view(), name="api_leaderboard"),
    path("leaderboard.csv", api.LeaderboardCsvView.as_view(), name="api_leaderboard_csv"),
    path("models", api.ModelsView.as_view(), name="api_models"),
    path("models.csv", api.ModelsCsvView.as_view(), name="api_models_csv"),
    path("models/<path:model_id>", api.ModelView.as_view(), name="api_model"),
    path("routing-table", api.RoutingTableView.as_view(), name="api_routing_table"),
    path("routing-table.csv", api.RoutingTableCsvView.as_view(), name="api_routing_table_csv"),
]
