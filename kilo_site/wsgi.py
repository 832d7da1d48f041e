"""WSGI entry point, served by Granian."""

import os

from django.core.wsgi import get_wsgi_application

from lib.memory import keep_loaded
from routing.classifier import load_classifier

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "kilo_site.settings")

application = get_wsgi_application()

# Reading the weights takes a moment, which no request should wait for.
load_classifier()
keep_loaded()
