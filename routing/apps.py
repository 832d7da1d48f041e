"""Registers the app."""

from django.apps import AppConfig


class RoutingConfig(AppConfig):
    """The `routing` app."""

    name = "routing"

    def ready(self) -> None:
        """Let every change that running processes keep in memory move the generation on."""
        from routing.actions.recording import do_announce
        from teams.actions import changed

        changed.append(do_announce)
