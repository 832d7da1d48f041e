"""Every URL of the site."""

from django.contrib import admin
from django.urls import include, path
from django.urls.resolvers import URLPattern, URLResolver

from kilo_site import errors

urlpatterns: list[URLPattern | URLResolver] = [
    path("admin/", admin.site.urls),
    path("", include("teams.urls")),
    path("", include("leaderboard.urls")),
    path("", include("routing.urls")),
    path("", include("usage.urls")),
    path("api/v1/", include("leaderboard.api_urls")),
    path("api/v1/", include("routing.api_urls")),
    path("api/v1/", include("usage.api_urls")),
]

handler400 = errors.bad_request
handler403 = errors.permission_denied
handler404 = errors.not_found
handler500 = errors.server_error
