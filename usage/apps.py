"""Registers the app."""

from django.apps import AppConfig
from django.db.models.signals import post_delete


class UsageConfig(AppConfig):
    """The `usage` app."""

    name = "usage"

    def ready(self) -> None:
        """Have a team's days added up anew when its clock changes, and nothing left of a project
        that is deleted.
        """
        from teams.actions import time_zone_changed
        from teams.models import Project
        from usage.tasks import when_project_deleted, when_time_zone_changed

        time_zone_changed.append(when_time_zone_changed)
        # However it is deleted: with its team, and by whom.
        post_delete.connect(when_project_deleted, sender=Project)
