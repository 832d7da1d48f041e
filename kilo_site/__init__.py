"""Composition root: settings, urls, wsgi, celery, middleware, and contracts across apps."""

import os

# Before numpy is loaded: web and task processes use the cores already, and BLAS threads that wait
# for one another make publishing many times slower on a busy machine.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from kilo_site.celery import app as celery_app

__all__ = ["celery_app"]
