"""The Celery application. Embedded, its tasks run in the calling process."""

import os

from celery import Celery
from kombu.transport import TRANSPORT_ALIASES

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "kilo_site.settings")
# What the schemes of broker URLs stand for.
TRANSPORT_ALIASES |= dict.fromkeys(("redis", "rediss"), "kilo_site.broker:Transport")

app = Celery("kilo_site")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
