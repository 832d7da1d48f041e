"""Local request classification: no network, no Django, three small files of weights."""

from routing.classifier.contributions import top_contributions
from routing.classifier.digest import digest
from routing.classifier.model import Classifier, load_classifier
from routing.classifier.narrowing import narrow
from routing.classifier.request_text import RequestText, read_request

__all__ = [
    "Classifier",
    "RequestText",
    "digest",
    "load_classifier",
    "narrow",
    "read_request",
    "top_contributions",
]
