"""Sign in, home, a project's keys, and its team's settings."""

from django.contrib.auth.views import LogoutView
from django.urls import URLPattern, path

from teams import views

urlpatterns: list[URLPattern] = [
    path("", views.home, name="home"),
    path("sign-in/", views.SignInView.as_view(), name="sign_in"),
    path("sign-out/", LogoutView.as_view(), name="sign_out"),
    path("projects/<slug:project>/keys/", views.keys, name="keys"),
    path("projects/<slug:project>/keys/<slug:key_id>/revoke/", views.revoke_key, name="revoke_key"),
    path("projects/<slug:project>/settings/", views.team_settings, name="team_settings"),
]
