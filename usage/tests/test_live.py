"""The live counter: cheap, and right about the last minutes."""

import datetime as dt
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from teams.models import Project, User
from usage.queries import live as live_queries
from usage.tests.traffic import decide, report

pytestmark = pytest.mark.django_db


def asked(bob: User) -> dict[str, Any]:
    """Return what the counter says to a member."""
    client = Client()
    client.force_login(bob)
    response = client.get("/projects/apollo/usage/live.json")
    assert response["Cache-Control"] == "no-store"
    return dict(response.json())


def test_a_project_without_calls_has_not_started(apollo: Project, bob: User) -> None:
    assert asked(bob) == {
        "calls": 0,
        "is_capped": False,
        "seconds_ago": None,
        "model": None,
        "started": False,
        "decided": False,
    }


def test_a_decision_alone_is_told_from_a_call(apollo: Project, bob: User) -> None:
    decide(apollo)
    found = asked(bob)
    assert (found["started"], found["decided"]) == (False, True)


def test_only_the_last_minutes_are_counted(apollo: Project, bob: User) -> None:
    report(apollo, "old", occurred_at=timezone.now() - dt.timedelta(minutes=6))
    before = asked(bob)
    assert (before["calls"], before["started"]) == (0, True)
    report(apollo, "new", occurred_at=timezone.now() - dt.timedelta(seconds=90))
    report(
        apollo,
        "fast clock",
        occurred_at=timezone.now() + dt.timedelta(minutes=2),
        model="lab/large",
    )
    now = asked(bob)
    assert (now["calls"], now["seconds_ago"], now["model"]) == (2, 0, "lab/large")


def test_counting_ends_where_it_would_take_long(
    apollo: Project,
    bob: User,
    monkeypatch: pytest.MonkeyPatch,
    django_assert_max_num_queries: DjangoAssertNumQueries,
) -> None:
    monkeypatch.setattr(live_queries, "MOST", 2)
    for number in range(4):
        report(apollo, str(number))
    with django_assert_max_num_queries(1):
        found = live_queries.recent_calls(apollo.pk, timezone.now())
    assert (found.calls, found.is_capped) == (2, True)
