"""The Celery application. Embedded, its tasks run in the calling process."""

import os
from typing import Any

from celery import Celery
from celery.signals import worker_process_init
from kombu.transport import TRANSPORT_ALIASES

from lib.memory import keep_loaded

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "kilo_site.settings")
# What the schemes of broker URLs stand for.
TRANSPORT_ALIASES |= dict.fromkeys(("redis", "rediss"), "kilo_site.broker:Transport")

app = Celery("kilo_site")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@worker_process_init.connect
def when_process_starts(**_: Any) -> None:
    """Get one of a worker's processes ready, which has loaded all tasks by then."""
    keep_loaded()
