"""Pages of `routing`."""

from django.urls import URLPattern, path

from routing.views.policy import policy

urlpatterns: list[URLPattern] = [
    path("projects/<slug:project>/policy/", policy, name="policy"),
]
