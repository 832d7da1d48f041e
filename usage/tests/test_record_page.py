"""The page Record: what waits, what was set aside, and what is kept."""

import datetime as dt
import json
from collections.abc import Iterator
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from pytest_django import Settings

from lib.partitions import do_make_months
from lib.store import DECISIONS, USAGE, RedisStore, get_store
from teams.models import AuditEvent, Project, User
from usage.actions import retention
from usage.models import RollUp, UsageEvent
from usage.tests.traffic import catalogue, decide, report, settle
from usage.views.record import SHOWN_CHARACTERS

pytestmark = pytest.mark.django_db
NOTHING = "Nothing is set aside: the database took everything that came."


@pytest.fixture
def operator() -> Client:
    """The browser of who runs the site."""
    client = Client()
    client.force_login(User.objects.create_superuser("operator@example.org"))
    return client


@pytest.fixture
def store(settings: Settings) -> RedisStore:
    """The store of a production site."""
    found = get_store(settings.REDIS_URL)
    assert isinstance(found, RedisStore)
    return found


@pytest.fixture
def store_away(settings: Settings) -> Iterator[None]:
    """A Redis that cannot be reached."""
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    get_store.cache_clear()
    yield
    get_store.cache_clear()


def text_of(response: Any) -> str:
    """Return what a page says, without its line breaks."""
    assert response.status_code == 200
    return " ".join(response.content.decode().split())


def shown(operator: Client) -> str:
    """Return what the page says."""
    return text_of(operator.get(reverse("record")))


def post(operator: Client, name: str, stream: str, **fields: str) -> str:
    """Send a form and return the page that it leads to."""
    url = reverse(name, kwargs={"stream": stream})
    return text_of(operator.post(url, fields, follow=True))


def downloaded(operator: Client, stream: str) -> list[dict[str, Any]]:
    """Return the lines of the download."""
    answer: Any = operator.get(reverse("set_aside_jsonl", kwargs={"stream": stream}))
    assert f'filename="set-aside-{stream}.jsonl"' in answer.headers["Content-Disposition"]
    return [json.loads(line) for line in answer.getvalue().decode().splitlines()]


# In both modes


def test_operators_find_it_in_their_menu_and_a_member_does_not(
    operator: Client, alice: User
) -> None:
    link = f'href="{reverse("record")}"'
    assert link in operator.get(reverse("feeds")).content.decode()
    member = Client()
    member.force_login(alice)
    assert link not in member.get(reverse("leaderboard")).content.decode()
    assert member.get(reverse("record")).status_code == 404


def test_it_says_how_far_the_figures_go(operator: Client, apollo: Project) -> None:
    assert "Nothing was added up yet" in shown(operator)
    report(apollo, "e1")
    settle()
    rolled = RollUp.objects.get()
    assert f"{rolled.covered_to:%H:%M:%S} UTC" in shown(operator)


def test_it_says_how_long_rows_are_kept(operator: Client, settings: Settings) -> None:
    settings.USAGE_RETENTION_DAYS = 123
    assert "Single decisions and usage events for 123 days" in shown(operator)


def test_an_unknown_stream_is_not_found(operator: Client) -> None:
    for name in ("set_aside_jsonl", "discard_set_aside"):
        assert operator.get(reverse(name, kwargs={"stream": "other"})).status_code == 404
    url = reverse("try_set_aside_again", kwargs={"stream": "other"})
    assert operator.post(url).status_code == 404


def test_with_redis_away_the_page_answers_and_says_so(operator: Client, store_away: None) -> None:
    page = shown(operator)
    assert "Redis cannot be reached." in page
    assert "What is kept" in page
    for answer in (
        post(operator, "try_set_aside_again", "usage"),
        post(operator, "discard_set_aside", "usage", last="1-0"),
        text_of(operator.get(reverse("discard_set_aside", args=["usage"]), follow=True)),
        text_of(operator.get(reverse("set_aside_jsonl", args=["usage"]), follow=True)),
    ):
        assert "nothing was done" in answer
    assert not AuditEvent.objects.filter(verb__startswith="record.").exists()


def test_the_command_forgets_what_is_past_its_time_and_says_so(apollo: Project) -> None:
    retention.do_make_room()
    long_ago = timezone.now() - dt.timedelta(days=500)
    if connection.vendor == "postgresql":
        do_make_months("usage_usageevent", "occurred_at", long_ago, long_ago)
        do_make_months("routing_decision", "created_at", long_ago, long_ago)
    report(apollo, "old", occurred_at=long_ago)
    report(apollo, "new")
    decide(apollo, created_at=long_ago)
    out = StringIO()
    call_command("look_after_record", stdout=out)
    assert UsageEvent.objects.get().event_id == "new"
    if connection.vendor == "postgresql":
        assert f"Dropped usage_usageevent_{long_ago:%Y_%m}." in out.getvalue()
        assert f"Dropped routing_decision_{long_ago:%Y_%m}." in out.getvalue()
    else:
        assert "Removed 1 decisions and 1 usage events." in out.getvalue()
    out = StringIO()
    call_command("look_after_record", stdout=out)
    assert out.getvalue() == "Nothing to make, and nothing past its time.\n"


# Embedded


@pytest.mark.embedded
def test_embedded_it_says_that_everything_is_written_directly(
    operator: Client, apollo: Project
) -> None:
    assert "nothing recorded yet" in shown(operator)
    oldest = report(apollo, "e1", occurred_at=timezone.now() - dt.timedelta(days=40))
    report(apollo, "e2")
    page = shown(operator)
    assert "Everything is written directly." in page
    assert f"{oldest.occurred_at:%b %Y, %H:%M} UTC" in page
    assert '<th scope="row">Usage events</th> <td class="num">2</td>' in page
    assert "manage.py look_after_record" in page


@pytest.mark.embedded
def test_embedded_there_is_nothing_to_discard_or_try_again(operator: Client) -> None:
    url = reverse("discard_set_aside", kwargs={"stream": "usage"})
    assert "Nothing to discard" in text_of(operator.get(url))
    assert "Nothing was set aside any more." in post(operator, "try_set_aside_again", "usage")
    assert downloaded(operator, "usage") == []
    assert not AuditEvent.objects.filter(verb__startswith="record.").exists()


# Production


@pytest.mark.production
def test_an_empty_stream_is_in_order(operator: Client, store: RedisStore) -> None:
    page = shown(operator)
    assert page.count("In order") == 3
    assert page.count(NOTHING) == 3
    assert 'role="alert"' not in page


@pytest.mark.production
def test_what_waits_is_counted_and_what_waits_too_long_is_an_alarm(
    operator: Client, store: RedisStore
) -> None:
    now_ms = int(timezone.now().timestamp() * 1000)
    store.client.xadd(USAGE, {"event": b"{}"}, id=f"{now_ms - 10_000}-0")
    page = shown(operator)
    assert 'Usage events</th> <td class="num">1</td>' in page
    assert "are late" not in page
    store.client.delete(USAGE)
    store.client.xadd(USAGE, {"event": b"{}"}, id=f"{now_ms - 720_000}-0")
    assert "Usage events are late: the oldest has waited for 12\xa0minutes." in (
        operator.get(reverse("record")).content.decode()
    )


@pytest.mark.production
def test_a_stream_that_fills_is_an_alarm(operator: Client, settings: Settings) -> None:
    settings.STREAM_ROOM = 4
    get_store.cache_clear()
    store = get_store(settings.REDIS_URL)
    assert isinstance(store, RedisStore)
    store.client.xadd(DECISIONS, {"event": b"{}"})
    assert "is filling" not in shown(operator)
    store.client.xadd(DECISIONS, {"event": b"{}"})
    store.client.xadd(DECISIONS, {"event": b"{}"})
    assert "The stream of decisions is filling: 75% of its room is taken." in shown(operator)
    get_store.cache_clear()


@pytest.mark.production
def test_figures_that_lag_are_an_alarm(operator: Client) -> None:
    now = timezone.now()
    RollUp.objects.create(covered_to=now - dt.timedelta(minutes=1), done_at=now)
    assert "The figures are late" not in shown(operator)
    RollUp.objects.update(covered_to=now - dt.timedelta(minutes=10))
    assert "The figures are late" in shown(operator)


@pytest.mark.production
def test_what_was_set_aside_is_shown_with_its_reason_and_downloads_whole(
    operator: Client, store: RedisStore
) -> None:
    long = "x" * (2 * SHOWN_CHARACTERS)
    store.set_aside(USAGE, b"<script>no JSON \xff", "not <b>readable</b>")
    store.set_aside(USAGE, json.dumps({"event_id": "e1", "model": long}).encode(), "too long")
    page = shown(operator)
    assert "2 of the usage events were set aside," in page
    assert "not &lt;b&gt;readable&lt;/b&gt;" in page
    assert "&lt;script&gt;no JSON \\xff" in page
    assert "<script>no JSON" not in page
    assert "&quot;event_id&quot;: &quot;e1&quot;," in page
    assert long not in page
    assert "more characters are in the download" in page
    newest, oldest = downloaded(operator, "usage")
    assert newest["event"] == {"event_id": "e1", "model": long}
    assert newest["reason"] == "too long"
    assert oldest["event"] == "<script>no JSON \\xff"
    assert dt.datetime.fromisoformat(oldest["set_aside_at"]) <= timezone.now()
    assert downloaded(operator, "decisions") == []


@pytest.mark.production
def test_the_newest_fifty_are_listed_and_the_download_has_all(
    operator: Client, store: RedisStore
) -> None:
    with store.client.pipeline() as pipe:
        for number in range(1100):
            pipe.xadd(f"{USAGE}:aside", {"event": b'{"n":%d}' % number, "reason": "refused"})
        pipe.execute()
    page = shown(operator)
    assert page.count("Show the event") == 50
    assert "The newest 50 of 1,100 are listed." in page
    assert [line["event"]["n"] for line in downloaded(operator, "usage")] == [*range(1099, -1, -1)]
    assert "1,100 usage events" in post(operator, "try_set_aside_again", "usage")
    assert store.backlog(USAGE).waiting == 1100


@pytest.mark.production
def test_once_the_cause_is_mended_it_is_recorded_when_tried_again(
    operator: Client, apollo_key: str, store: RedisStore
) -> None:
    catalogue()
    Client().post(
        "/api/v1/usage",
        json.dumps({"events": [{"event_id": "e1", "model": "lab/small"}]}),
        content_type="application/json",
        headers={"Authorization": f"Bearer {apollo_key}"},
    )
    [waiting] = store.waiting(USAGE, 1)
    store.forget(USAGE, [waiting])
    store.set_aside(USAGE, waiting.event, "refused for a while")
    [line] = downloaded(operator, "usage")
    assert (line["event"]["event_id"], line["event"]["model"]) == ("e1", "lab/small")
    page = post(operator, "try_set_aside_again", "usage")
    assert "To be recorded again: 1 usage event." in page
    assert page.count(NOTHING) == 3
    settle()
    assert UsageEvent.objects.get().event_id == "e1"
    audited = AuditEvent.objects.get(verb="record.tried_again")
    assert (audited.actor, audited.target) == ("operator@example.org", "usage")
    assert audited.details == {"events": 1}


@pytest.mark.production
def test_what_is_still_refused_comes_back(operator: Client, store: RedisStore) -> None:
    store.set_aside(DECISIONS, b"no decision", "malformed")
    post(operator, "try_set_aside_again", "decisions")
    settle()
    assert store.backlog(DECISIONS).waiting == 0
    assert "1 of the decisions was set aside," in shown(operator)


@pytest.mark.production
def test_discarding_asks_first_and_spares_what_came_since(
    operator: Client, store: RedisStore
) -> None:
    url = reverse("discard_set_aside", kwargs={"stream": "usage"})
    store.set_aside(USAGE, b"one", "refused")
    store.set_aside(USAGE, b"two", "refused")
    asked = operator.get(url)
    page = text_of(asked)
    assert "Discard 2 usage events?" in page
    assert reverse("set_aside_jsonl", kwargs={"stream": "usage"}) in page
    assert store.backlog(USAGE).aside == 2
    store.set_aside(USAGE, b"three", "refused")
    store.set_aside(DECISIONS, b"four", "refused")
    assert "Discarded 2 usage events." in post(
        operator, "discard_set_aside", "usage", last=asked.context["last"]
    )
    assert [event.event for event in store.aside(USAGE, 10)] == [b"three"]
    assert store.backlog(DECISIONS).aside == 1
    audited = AuditEvent.objects.get(verb="record.discarded")
    assert (audited.actor, audited.target) == ("operator@example.org", "usage")


@pytest.mark.production
@pytest.mark.parametrize("last", ["", "everything", "-1-0", "9" * 40 + "-0"])
def test_a_discard_that_does_not_say_up_to_where_asks_again(
    operator: Client, store: RedisStore, last: str
) -> None:
    store.set_aside(USAGE, b"one", "refused")
    assert "Discard 1 usage event?" in post(operator, "discard_set_aside", "usage", last=last)
    assert store.backlog(USAGE).aside == 1


@pytest.mark.production
def test_months_are_listed_with_their_size_and_which_goes_next(
    operator: Client, apollo: Project, settings: Settings
) -> None:
    settings.USAGE_RETENTION_DAYS = 400
    first = dt.datetime(2020, 11, 5, tzinfo=dt.UTC)
    do_make_months("usage_usageevent", "occurred_at", first, first)
    report(apollo, "e1", occurred_at=first)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE usage_usageevent_2020_11")
    page = shown(operator)
    assert "Next to go: November 2020, on 5 January 2022." in page
    assert "Any other time" in page
    row = page[page.index('class="nowrap"> November 2020') :].partition("</tr>")[0]
    assert row.count("–") == 2
    assert '<td class="num nowrap"> 1 </td>' in row
    assert "KB" in row
