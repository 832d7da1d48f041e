"""Pages of `routing`."""

from django.urls import URLPattern, path

from routing.views.policy import (
    compare_policies,
    compare_team_policies,
    policy,
    restore_policy,
    restore_team_policy,
    team_policy,
)
from routing.views.routes import route
from routing.views.tables import compare_tables, make_table_current, tables

urlpatterns: list[URLPattern] = [
    path("routes/<slug:task_type>/<slug:subtask_type>/", route, name="route"),
    path("projects/<slug:project>/policy/", policy, name="policy"),
    path(
        "projects/<slug:project>/policy/<slug:older>...<slug:newer>/",
        compare_policies,
        name="compare_policies",
    ),
    path(
        "projects/<slug:project>/policy/<slug:earlier>/restore/",
        restore_policy,
        name="restore_policy",
    ),
    path("projects/<slug:project>/team-policy/", team_policy, name="team_policy"),
    path(
        "projects/<slug:project>/team-policy/<slug:older>...<slug:newer>/",
        compare_team_policies,
        name="compare_team_policies",
    ),
    path(
        "projects/<slug:project>/team-policy/<slug:earlier>/restore/",
        restore_team_policy,
        name="restore_team_policy",
    ),
    path("settings/tables/", tables, name="tables"),
    path(
        "settings/tables/<slug:version>/make-current/",
        make_table_current,
        name="make_table_current",
    ),
    path("tables/<slug:before>...<slug:after>/", compare_tables, name="compare_tables"),
]
