"""Registers the app."""

from typing import Any

from django.apps import AppConfig
from django.db.models.signals import post_delete, post_save


class LeaderboardConfig(AppConfig):
    """The `leaderboard` app."""

    name = "leaderboard"

    def ready(self) -> None:
        """Let every price that changes, also in the admin, be read afresh by running processes."""
        from leaderboard.models import Price
        from teams.actions import announce_change

        def tell(**_: Any) -> None:
            announce_change()

        for signal in (post_save, post_delete):
            signal.connect(tell, sender=Price, weak=False)
