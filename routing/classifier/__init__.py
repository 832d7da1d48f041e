"""Local request classification: no network, no Django, one file of weights."""

from routing.classifier.model import Classifier, load_classifier
from routing.classifier.narrowing import narrow
from routing.classifier.request_text import RequestText, read_request

__all__ = ["Classifier", "RequestText", "load_classifier", "narrow", "read_request"]
