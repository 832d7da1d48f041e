"""Pages of `leaderboard`."""

from django.urls import URLPattern, path

from leaderboard import views

urlpatterns: list[URLPattern] = [path("leaderboard/", views.leaderboard, name="leaderboard")]
