"""API calls of `leaderboard`."""

from django.urls import URLPattern, path

from leaderboard import api

urlpatterns: list[URLPattern] = [
    path("leaderboard", api.LeaderboardView.as_view(), name="api_leaderboard"),
    path("leaderboard.csv", api.LeaderboardCsvView.as_view(), name="api_leaderboard_csv"),
    path("models", api.ModelsView.as_view(), name="api_models"),
    path("routing-table", api.RoutingTableView.as_view(), name="api_routing_table"),
    path("routing-table.csv", api.RoutingTableCsvView.as_view(), name="api_routing_table_csv"),
]
