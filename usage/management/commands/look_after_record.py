"""Keep the record in bounds, for sites without Celery beat."""

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from usage.actions.retention import do_forget_old, do_make_room


class Command(BaseCommand):
    """See the module."""

    help = (
        "Make the monthly partitions that are missing and remove decisions and usage events older"
        " than USAGE_RETENTION_DAYS; the figures by hour and by day stay. Celery beat does the same"
        " every hour; an embedded site can call this from cron."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        """Do it and say what was made and removed."""
        made = do_make_room()
        gone = do_forget_old(settings.USAGE_RETENTION_DAYS)
        for name in made:
            self.stdout.write(f"Made {name}.")
        for name in gone.partitions:
            self.stdout.write(f"Dropped {name}.")
        if gone.decisions or gone.events:
            self.stdout.write(f"Removed {gone.decisions} decisions and {gone.events} usage events.")
        if not (made or gone.partitions or gone.decisions or gone.events):
            self.stdout.write("Nothing to make, and nothing past its time.")
