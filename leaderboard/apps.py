"""Registers the app."""

from django.apps import AppConfig


class LeaderboardConfig(AppConfig):
    """The `leaderboard` app."""

    name = "leaderboard"
