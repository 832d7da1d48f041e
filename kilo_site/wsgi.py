"""WSGI entry point, served by Granian."""

import gc
import os

from django.core.wsgi import get_wsgi_application

from routing.classifier import load_classifier

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "kilo_site.settings")

application = get_wsgi_application()

# Reading the weights takes a moment, which no request should wait for.
load_classifier()
# What is loaded by now stays for good. Looking through it for what can be freed takes longer than
# most requests, and would make one of them wait every now and then.
gc.freeze()
# A large report makes tens of thousands of objects that go by themselves.
gc.set_threshold(20_000, 10, 10)
