"""API calls of `routing`."""

from django.urls import URLPattern, path

from routing.api.decisions import DecisionsView, DecisionView
from routing.api.route import route

urlpatterns: list[URLPattern] = [
    path("route", route, name="api_route"),
    path("decisions", DecisionsView.as_view(), name="api_decisions"),
    path("decisions/<str:decision_id>", DecisionView.as_view(), name="api_decision"),
]
