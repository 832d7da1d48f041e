"""A session's timeline, and the list of sessions."""

import datetime as dt
from urllib.parse import quote

import pytest
from django.test import Client
from django.utils import timezone

from teams.models import Project, User
from usage.queries import sessions as session_queries
from usage.tests.test_pages import text_of
from usage.tests.traffic import catalogue, decide, report

pytestmark = pytest.mark.django_db
PAGE = "/projects/apollo/sessions/"


@pytest.fixture
def browser(bob: User) -> Client:
    """Bob, who may only look."""
    client = Client()
    client.force_login(bob)
    return client


def test_turns_show_what_was_decided_used_lost_and_saved(apollo: Project, browser: Client) -> None:
    catalogue()
    start = timezone.now() - dt.timedelta(minutes=3)
    first = decide(apollo, created_at=start, model="lab/large")
    second = decide(
        apollo,
        created_at=start + dt.timedelta(minutes=1),
        switched=True,
        switch_reason="The saving pays for re-reading.",
    )
    used = {"session_id": "session-1", "output_tokens": 7}
    report(
        apollo,
        "a",
        **used,
        model="lab/large",
        decision_id=first.public_id,
        occurred_at=start + dt.timedelta(seconds=5),
        cache_read_tokens=1_000_000,
        cost_micro_usd=2_000_000,
    )
    report(
        apollo,
        "b",
        **used,
        decision_id=second.public_id,
        occurred_at=start + dt.timedelta(seconds=65),
        input_tokens=400_000,
        cost_micro_usd=1_250_000,
    )
    report(apollo, "c", **used, occurred_at=start + dt.timedelta(seconds=90), cost_micro_usd=None)
    page = text_of(browser.get(f"{PAGE}?session=session-1"))
    # Input costs $1 a million, cached input $0.10.
    assert "Cache saved $0.900" in page
    assert "Cache lost $0.360" in page
    assert "400,000 tokens read afresh that lab/large had in its cache" in page
    assert "The saving pays for re-reading." in page
    assert "$2.00 $2.00" in page  # the turn, and the session so far
    assert "$1.25 $3.25" in page
    assert "A call without a decision of this session" in page
    assert "1 call without a known price not included" in page


def test_a_session_may_be_called_anything(apollo: Project, browser: Client) -> None:
    for name in ("a/b?c#d & é", "..", "=1+1", "x" * 200):
        decide(apollo, session_id=name)
        page = browser.get(f"{PAGE}?session={quote(name, safe='')}")
        assert page.status_code == 200
        listed = browser.get("/projects/apollo/decisions/").content.decode()
        assert f"{PAGE}?session={quote(name, safe='')}" in listed


def test_a_session_is_found_only_in_its_own_project(
    apollo: Project, borealis: Project, browser: Client
) -> None:
    decide(borealis, session_id="theirs")
    for name in ("theirs", "nowhere", "a\x00b"):
        assert browser.get(f"{PAGE}?session={quote(name)}").status_code == 404


def test_a_long_session_is_cut_and_says_so(
    apollo: Project, browser: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session_queries, "MAX_TURNS", 2)
    for minute in range(3):
        at = timezone.now() - dt.timedelta(minutes=10 - minute)
        decision = decide(apollo, created_at=at)
        report(
            apollo,
            f"call-{minute}",
            session_id="session-1",
            decision_id=decision.public_id,
            occurred_at=at,
            cost_micro_usd=1_000_000,
        )
    page = text_of(browser.get(f"{PAGE}?session=session-1"))
    assert "This session is longer" in page
    assert "Cost, estimated $2.00" in page
    assert "without a decision" not in page


def test_the_newest_sessions_are_listed(apollo: Project, browser: Client) -> None:
    assert "No sessions yet" in text_of(browser.get(PAGE))
    decide(apollo, session_id="older", created_at=timezone.now() - dt.timedelta(hours=1))
    decide(apollo, session_id="")
    report(apollo, "a", session_id="only called")
    page = text_of(browser.get(PAGE))
    assert page.index("only called") < page.index("older")


def test_times_are_those_of_the_team(apollo: Project, browser: Client) -> None:
    apollo.team.time_zone = "Asia/Kolkata"
    apollo.team.save()
    decide(apollo, created_at=dt.datetime(2026, 3, 1, 20, 0, tzinfo=dt.UTC))
    page = text_of(browser.get(f"{PAGE}?session=session-1"))
    assert "2 Mar, 01:30:00" in page
    assert "Asia/Kolkata" in page
