"""Registers the app."""

from django.apps import AppConfig


class UsageConfig(AppConfig):
    """The `usage` app."""

    name = "usage"

    def ready(self) -> None:
        """Have a team's days added up anew when its clock changes."""
        from teams.actions import time_zone_changed
        from usage.tasks import when_time_zone_changed

        time_zone_changed.append(when_time_zone_changed)
