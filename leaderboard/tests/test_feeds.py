"""Feeds: what an operator sees and does, and what a scheduled reading leaves behind."""

import csv
import datetime as dt
import io
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.http import HttpResponse
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from pytest_django import Settings

from kilo_site.tests.fixtures import SETUP
from leaderboard.actions import feeds
from leaderboard.actions.feeds import (
    MAX_ATTEMPTS,
    do_collect_due,
    do_delete_feed,
    do_request_ingestion,
    do_run_ingestion,
    do_save_feed,
)
from leaderboard.actions.ingesting import do_ingest
from leaderboard.actions.loading import do_load_catalogue
from leaderboard.actions.withdrawing import CannotRestore, do_restore_run, do_withdraw_run
from leaderboard.fetching import Content, FetchFailed
from leaderboard.models import Feed, Ingestion, IngestionState, Run
from leaderboard.queries import live_runs
from leaderboard.tasks import start_due_ingestions
from leaderboard.tests.feeds import TASKS, make_feed
from teams.models import AuditEvent, User

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def at_hand(settings: Settings, tmp_path: Path) -> None:
    """Readings happen in this process, and nothing is published behind a test's back."""
    settings.CELERY_TASK_ALWAYS_EAGER = True
    settings.AUTO_PUBLISH = False
    settings.FEED_DIRS = [str(tmp_path)]
    settings.FEED_WORK_DIR = tmp_path / "work"


@pytest.fixture
def operator() -> Client:
    """The browser of who runs the site."""
    client = Client()
    client.force_login(User.objects.create_superuser("operator@example.org"))
    return client


def make(location: Path | str, **fields: Any) -> Feed:
    """Save a feed that is read every hour."""
    defaults: dict[str, Any] = {"name": "Index", "format": "openhands-index"}
    feed = Feed(location=str(location), **{**defaults, "interval_minutes": 60, **fields})
    return do_save_feed(feed, actor=SETUP)


def read(feed: Feed, *, as_a_whole: bool = False) -> Ingestion:
    """Read a feed and return how that went."""
    ingestion, _ = do_request_ingestion(feed, actor=SETUP, as_a_whole=as_a_whole)
    do_run_ingestion(ingestion.public_id)
    ingestion.refresh_from_db()
    feed.refresh_from_db()
    return ingestion


def text_of(response: HttpResponse | Any) -> str:
    return str(response.content.decode())


# Readings


def test_a_reading_says_what_it_did(tmp_path: Path) -> None:
    feed = make(make_feed(tmp_path / "feed", swe_bench={**TASKS, "bad": 1}, gaia=TASKS))
    done = read(feed)

    assert done.state == IngestionState.SUCCEEDED
    assert (done.runs_expected, done.runs_done) == (2, 2)
    assert (done.rows_read, done.rows_accepted, done.rows_rejected) == (7, 6, 1)
    assert done.started_at
    assert done.finished_at
    assert done.finished_at >= done.started_at
    row = done.rejected.get()
    assert (row.file, row.row) == ("results/gpt/instance_results/swe-bench.json", "bad")
    assert set(done.runs.all()) == set(Run.objects.all())
    assert not (tmp_path / "work" / done.public_id).exists()


def test_unchanged_content_is_not_read_again_unless_asked_for(tmp_path: Path) -> None:
    feed = make(make_feed(tmp_path / "feed"))
    assert read(feed).state == IngestionState.SUCCEEDED
    again = read(feed)
    assert (again.state, again.rows_read) == (IngestionState.UNCHANGED, 0)
    whole = read(feed, as_a_whole=True)
    assert (whole.state, whole.rows_accepted, whole.runs.count()) == (
        IngestionState.SUCCEEDED,
        3,
        0,
    )
    make_feed(tmp_path / "feed", swe_bench=TASKS, gaia=TASKS)
    assert read(feed).state == IngestionState.SUCCEEDED
    assert Run.objects.count() == 2


def test_the_servers_marks_are_remembered_and_sent_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def server(_url: str, _folder: Path, *, etag: str, **_: Any) -> Content:
        asked.append(etag)
        if etag:
            return Content(None, "")
        return Content(make_feed(tmp_path / "feed"), "hash", etag='"1"')

    monkeypatch.setattr(feeds, "fetch", server)
    feed = make("https://example.org/feed.zip")
    assert [read(feed).state, read(feed).state] == ["succeeded", "unchanged"]
    assert asked == ["", '"1"']


def test_failures_in_a_row_are_counted_and_a_success_ends_them(tmp_path: Path) -> None:
    feed = make(tmp_path / "feed")
    for count in (1, 2, 3):
        failed = read(feed)
        assert (failed.state, feed.failures) == (IngestionState.FAILED, count)
        assert "cannot be read" in failed.error
    make_feed(tmp_path / "feed")
    assert read(feed).state == IngestionState.SUCCEEDED
    assert feed.failures == 0
    assert AuditEvent.objects.filter(verb="ingestion.failed").count() == 3


def test_something_unexpected_is_a_failure_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(*_: Any) -> Content:
        raise ZeroDivisionError("oops")

    monkeypatch.setattr(feeds, "bring", crash)
    failed = read(make(tmp_path))
    assert (failed.state, failed.error) == (
        IngestionState.FAILED,
        "Unexpected ZeroDivisionError: oops. The log has more.",
    )


def test_a_path_that_is_no_longer_allowed_is_not_read(tmp_path: Path, settings: Settings) -> None:
    feed = make(make_feed(tmp_path / "feed"))
    settings.FEED_DIRS = []
    assert "FEED_DIRS" in read(feed).error
    assert not Run.objects.exists()


def test_what_is_rejected_is_counted_to_the_end_and_kept_up_to_a_bound(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("leaderboard.actions.ingesting.MAX_KEPT_REJECTIONS", 5)
    done = read(make(make_feed(tmp_path / "feed", swe_bench={str(n): 1 for n in range(30)})))
    assert (done.rows_rejected, done.rejected.count()) == (30, 5)


def test_the_publishing_comes_before_the_end(tmp_path: Path) -> None:
    seen: list[str] = []
    for _ in range(2):
        do_ingest(
            "openhands-index",
            make_feed(tmp_path / "feed"),
            actor=SETUP,
            then=lambda one: seen.append(Ingestion.objects.get(pk=one.pk).state),
        )
    assert seen == ["running"]  # the second time nothing has changed


def test_a_feed_that_is_deleted_while_it_is_read_leaves_its_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    feed = make(make_feed(tmp_path / "feed"))
    bring = feeds.bring

    def delete_meanwhile(one: Feed, folder: Path) -> Content:
        do_delete_feed(Feed.objects.get(), actor=SETUP)
        return bring(one, folder)

    monkeypatch.setattr(feeds, "bring", delete_meanwhile)
    ingestion, _ = do_request_ingestion(feed, actor=SETUP)
    do_run_ingestion(ingestion.public_id)
    done = Ingestion.objects.get()
    assert (done.feed, done.state, done.runs.count()) == (None, IngestionState.SUCCEEDED, 1)


# The schedule


def test_what_is_due_is_read_and_has_its_next_time(tmp_path: Path) -> None:
    feed = make(make_feed(tmp_path / "feed"))
    make(tmp_path, interval_minutes=None)
    make(tmp_path, is_enabled=False)
    assert start_due_ingestions() == 1
    feed.refresh_from_db()
    assert feed.ingestions.get().state == IngestionState.SUCCEEDED
    assert feed.next_at
    assert dt.timedelta(minutes=59) < feed.next_at - timezone.now() <= dt.timedelta(minutes=60)
    assert start_due_ingestions() == 0


def test_the_command_reads_what_is_due(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make(make_feed(tmp_path / "feed"))
    call_command("run_due_feeds")
    assert "Feeds started: 1" in capsys.readouterr().out
    assert Run.objects.count() == 1


def test_a_feed_is_read_once_at_a_time(tmp_path: Path) -> None:
    feed = make(make_feed(tmp_path / "feed"))
    first, is_new = do_request_ingestion(feed, actor=SETUP)
    assert is_new
    assert do_request_ingestion(feed, actor=SETUP) == (first, False)
    do_run_ingestion(first.public_id)
    do_run_ingestion(first.public_id)  # delivered twice
    assert Ingestion.objects.get().attempts == 1
    assert do_request_ingestion(feed, actor=SETUP)[1]


def test_a_reading_without_a_sign_of_life_is_taken_up_and_at_last_given_up(tmp_path: Path) -> None:
    feed = make(make_feed(tmp_path / "feed"), interval_minutes=None)
    ingestion, _ = do_request_ingestion(feed, actor=SETUP)
    rows = Ingestion.objects.filter(pk=ingestion.pk)
    long_ago = timezone.now() - dt.timedelta(days=1)

    rows.update(state=IngestionState.RUNNING, attempts=1)
    assert do_collect_due(actor=SETUP) == []
    rows.update(heartbeat_at=long_ago)
    assert do_collect_due(actor=SETUP) == [ingestion.public_id]
    assert do_collect_due(actor=SETUP) == []
    do_run_ingestion(ingestion.public_id)
    ingestion.refresh_from_db()
    assert (ingestion.state, ingestion.attempts) == (IngestionState.SUCCEEDED, 2)

    rows.update(state=IngestionState.RUNNING, attempts=MAX_ATTEMPTS, heartbeat_at=long_ago)
    assert do_collect_due(actor=SETUP) == []
    ingestion.refresh_from_db()
    assert ingestion.state == IngestionState.FAILED
    assert "broke off 3 times" in ingestion.error


# Withdrawing


def test_a_withdrawn_run_stays_out_until_it_says_something_new(tmp_path: Path) -> None:
    feed = make(make_feed(tmp_path / "feed"))
    read(feed)
    run = Run.objects.get()
    do_withdraw_run(run, actor=SETUP)
    do_withdraw_run(run, actor=SETUP)
    assert live_runs() == []
    read(feed, as_a_whole=True)
    assert live_runs() == []
    do_restore_run(run, actor=SETUP)
    assert live_runs() == [run]

    do_withdraw_run(run, actor=SETUP)
    make_feed(tmp_path / "feed", swe_bench={"other": {"resolved": True, "cost": 1}})
    read(feed)
    assert len(live_runs()) == 1
    with pytest.raises(CannotRestore, match="later report"):
        do_restore_run(run, actor=SETUP)
    verbs = AuditEvent.objects.filter(target=run.public_id).values_list("verb", flat=True)
    assert list(verbs) == ["run.withdrawn", "run.restored", "run.withdrawn"]


# Pages


def test_an_operator_adds_changes_and_deletes_a_feed(operator: Client, tmp_path: Path) -> None:
    form = {
        "name": "Index",
        "format": "openhands-index",
        "location": str(tmp_path),
        "interval_minutes": "60",
        "is_enabled": "on",
    }
    assert operator.post(reverse("new_feed"), form).status_code == 302
    feed = Feed.objects.get()
    assert (feed.interval_minutes, feed.created_by) == (60, "operator@example.org")
    assert feed.next_at
    address = {"feed_id": feed.public_id}
    changed = {**form, "name": "Renamed", "is_enabled": ""}
    assert operator.post(reverse("edit_feed", kwargs=address), changed).status_code == 302
    feed = Feed.objects.get()
    assert (feed.name, feed.is_enabled, feed.next_at) == ("Renamed", False, None)
    assert "Renamed" in text_of(operator.get(reverse("feeds")))

    assert "Delete “Renamed”?" in text_of(operator.get(reverse("delete_feed", kwargs=address)))
    operator.post(reverse("delete_feed", kwargs=address))
    assert not Feed.objects.exists()
    verbs = list(AuditEvent.objects.values_list("verb", flat=True))
    assert verbs == ["feed.deleted", "feed.changed", "feed.created"]


@pytest.mark.parametrize(
    ("location", "reason"),
    [
        ("/etc", "FEED_DIRS"),
        ("results", "absolute path"),
        ("ftp://example.org/x", "absolute path"),
        ("https://user:secret@example.org/x", "password"),
        ("http://", "name a host"),
    ],
)
def test_a_location_that_cannot_be_read_is_refused_at_once(
    operator: Client, location: str, reason: str
) -> None:
    form = {"name": "x", "format": "openhands-index", "location": location}
    response = operator.post(reverse("new_feed"), form)
    assert response.status_code == 422
    assert reason in text_of(response)
    assert not Feed.objects.exists()


def test_run_now_leads_to_the_finished_reading(operator: Client, tmp_path: Path) -> None:
    feed = make(make_feed(tmp_path / "feed", swe_bench={**TASKS, "=HYPERLINK(1)": 1}))
    response = operator.post(reverse("run_feed", kwargs={"feed_id": feed.public_id}), follow=True)
    text = text_of(response)
    ingestion = Ingestion.objects.get()
    assert response.redirect_chain[0][0].endswith(f"{ingestion.public_id}/")
    assert "Succeeded" in text
    assert "GPT-5.4" in text
    assert "data-progress-url" not in text

    address = {"ingestion_id": ingestion.public_id}
    progress = operator.get(reverse("ingestion_progress", kwargs=address)).json()
    assert (progress["rows_read"], progress["rows_accepted"], progress["rows_rejected"]) == (
        4,
        3,
        1,
    )
    assert progress["finished"]
    report = operator.get(reverse("ingestion_rejected_csv", kwargs=address))
    assert "attachment" in report["Content-Disposition"]
    rows = list(csv.reader(io.StringIO(text_of(report))))
    assert rows[0] == ["file", "row", "reason"]
    assert rows[1][1] == "'=HYPERLINK(1)"


def test_a_running_reading_says_how_long_it_will_take(operator: Client, tmp_path: Path) -> None:
    ingestion, _ = do_request_ingestion(make(tmp_path), actor=SETUP)
    address = {"ingestion_id": ingestion.public_id}
    waiting = operator.get(reverse("ingestion_progress", kwargs=address)).json()
    assert (waiting["label"], waiting["seconds_left"]) == ("Queued", None)
    ingestion.state, ingestion.runs_done, ingestion.runs_expected = "running", 10, 40
    ingestion.started_at = timezone.now() - dt.timedelta(seconds=10)
    ingestion.save()
    running = operator.get(reverse("ingestion_progress", kwargs=address)).json()
    assert 29 <= running["seconds_left"] <= 32
    assert "data-progress-url" in text_of(operator.get(reverse("ingestion", kwargs=address)))


def test_three_failures_in_a_row_are_an_alert(operator: Client, tmp_path: Path) -> None:
    feed = make(tmp_path / "nowhere")
    for count in (2, 3):
        while feed.failures < count:
            read(feed)
        shown = "has failed 3 times in a row" in text_of(operator.get(reverse("feeds")))
        assert shown is (count == 3)


def test_an_operator_withdraws_and_restores_a_run(operator: Client, tmp_path: Path) -> None:
    done = read(make(make_feed(tmp_path / "feed")))
    run = Run.objects.get()
    address = {"run_id": run.public_id}
    assert "Withdraw this run?" in text_of(operator.get(reverse("withdraw_run", kwargs=address)))
    response = operator.post(reverse("withdraw_run", kwargs=address), follow=True)
    assert response.redirect_chain[0][0] == reverse(
        "ingestion", kwargs={"ingestion_id": done.public_id}
    )
    run.refresh_from_db()
    assert run.withdrawn_by == "operator@example.org"
    assert "Restore" in text_of(response)
    operator.post(reverse("restore_run", kwargs=address))
    run.refresh_from_db()
    assert run.withdrawn_at is None


def test_names_from_feeds_are_shown_as_text(operator: Client, tmp_path: Path) -> None:
    bad = {**TASKS, "<script>alert(1)</script>": 1}
    done = read(make(make_feed(tmp_path / "feed", swe_bench=bad), name="<b>bold</b>"))
    text = text_of(operator.get(reverse("ingestion", kwargs={"ingestion_id": done.public_id})))
    assert "<script>alert" not in text
    assert "<b>bold" not in text + text_of(operator.get(reverse("feeds")))


def test_a_teams_own_reading_is_not_on_the_operators_pages(
    operator: Client, tmp_path: Path, apollo: Any
) -> None:
    do_load_catalogue(actor=SETUP)
    do_ingest("openhands-index", make_feed(tmp_path / "feed"), actor=SETUP, team=apollo.team)
    own = Ingestion.objects.get()
    assert (own.team, Run.objects.get().team) == (apollo.team, apollo.team)
    assert own.public_id not in text_of(operator.get(reverse("feeds")))
    address = reverse("ingestion", kwargs={"ingestion_id": own.public_id})
    assert operator.get(address).status_code == 404


def test_only_operators_have_the_link(operator: Client, alice: User) -> None:
    assert reverse("feeds") in text_of(operator.get(reverse("feeds")))
    member = Client()
    member.force_login(alice)
    assert reverse("feeds") not in text_of(member.get(reverse("home"), follow=True))


def test_a_refusal_of_the_network_is_shown(tmp_path: Path) -> None:
    done = read(make("http://127.0.0.1:1/feed.json"))
    assert "own network" in done.error
    with pytest.raises(FetchFailed):
        feeds.bring(make("http://127.0.0.1:1/", allow_private_address=True), tmp_path)
