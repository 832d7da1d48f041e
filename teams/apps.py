"""Registers the app."""

from typing import Any

from django.apps import AppConfig
from django.db.models.signals import post_delete, post_save


class TeamsConfig(AppConfig):
    """The `teams` app."""

    name = "teams"

    def ready(self) -> None:
        """Let running processes forget keys that are deleted, also with their project or team, and
        projects that change.
        """
        from teams.actions import announce_change
        from teams.models import ApiKey, Project

        def tell(**_: Any) -> None:
            announce_change()

        for model in (ApiKey, Project):
            for signal in (post_save, post_delete):
                signal.connect(tell, sender=model, weak=False)
