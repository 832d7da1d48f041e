"""Registers the app."""

from django.apps import AppConfig


class RoutingConfig(AppConfig):
    """The `routing` app."""

    name = "routing"

    def ready(self) -> None:
        """Let every change that running processes keep in memory move the store's generation on."""
        from django.conf import settings

        from lib.store import get_store
        from teams.actions import changed

        changed.append(lambda: get_store(settings.REDIS_URL).bump())
