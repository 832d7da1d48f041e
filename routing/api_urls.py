"""API calls of `routing`."""

from django.urls import URLPattern, path

from routing.api.decisions import DecisionsView, DecisionView, OutcomeView
from routing.api.policy import PolicyVersionsView, PolicyView
from routing.api.route import route
from routing.api.routes import RouteView
from routing.api.tables import RoutingTablesView

urlpatterns: list[URLPattern] = [
    path("route", route, name="api_route"),
    path(
        "routes/<slug:task_type>/<slug:subtask_type>",
        RouteView.as_view(),
        name="api_routes",
    ),
    path("policy", PolicyView.as_view(), name="api_policy"),
    path("policy/versions", PolicyVersionsView.as_view(), name="api_policy_versions"),
    path("decisions", DecisionsView.as_view(), name="api_decisions"),
    path("decisions/<str:decision_id>", DecisionView.as_view(), name="api_decision"),
    path("decisions/<str:decision_id>/outcome", OutcomeView.as_view(), name="api_outcome"),
    path(
        "routing-tables/<slug:before>...<slug:after>",
        RoutingTablesView.as_view(),
        name="api_routing_tables",
    ),
]
