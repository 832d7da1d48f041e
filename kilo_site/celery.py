"""The Celery application. Embedded, its tasks run in the calling process."""

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "kilo_site.settings")

app = Celery("kilo_site")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
