"""Pages of `routing`."""

from django.urls import URLPattern, path

from routing.views.policy import policy
from routing.views.routes import route
from routing.views.tables import compare_tables, make_table_current, tables

urlpatterns: list[URLPattern] = [
    path("routes/<slug:task_type>/<slug:subtask_type>/", route, name="route"),
    path("projects/<slug:project>/policy/", policy, name="policy"),
    path("settings/tables/", tables, name="tables"),
    path(
        "settings/tables/<slug:version>/make-current/",
        make_table_current,
        name="make_table_current",
    ),
    path("tables/<slug:before>...<slug:after>/", compare_tables, name="compare_tables"),
]
