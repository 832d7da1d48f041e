"""Composition root: settings, urls, wsgi, celery, middleware, and contracts across apps."""

from kilo_site.celery import app as celery_app

__all__ = ["celery_app"]
