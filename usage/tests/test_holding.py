"""Usage that is reported while the database is away is taken in once it is back."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from django.db import OperationalError, connection
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from leaderboard.models import Price
from lib.ids import new_id
from lib.store import DECISIONS, REPORTS, RedisStore, get_store
from routing.models import TaskOutcome
from routing.queries import live
from teams.actions import SystemActor, do_revoke_key
from teams.models import Project
from usage.actions.holding import do_take_in_held
from usage.models import UsageEvent
from usage.tests.traffic import catalogue, decide, settle

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _models(db: None) -> None:
    catalogue()


@pytest.fixture
def store(settings: Settings) -> RedisStore:
    """The store of a production site."""
    found = get_store(settings.REDIS_URL)
    assert isinstance(found, RedisStore)
    return found


@contextmanager
def database_away() -> Iterator[None]:
    """Let every query fail as it does when PostgreSQL does not answer, and then no more."""

    def away(*args: Any) -> None:
        raise OperationalError("connection refused")

    with connection.execute_wrapper(away):
        yield
    live.renew(new_id("back"))


def send(key: str, *events: dict[str, Any]) -> Any:
    """Report calls."""
    return Client().post(
        "/api/v1/usage",
        json.dumps({"events": [{"model": "lab/small", **event} for event in events]}),
        content_type="application/json",
        headers={"Authorization": f"Bearer {key}"},
    )


def statuses(answer: Any) -> list[str]:
    """What became of the events of a batch."""
    assert answer.status_code == 200, answer.content
    return [result["status"] for result in json.loads(answer.content)["results"]]


@pytest.mark.production
def test_what_is_reported_meanwhile_is_there_afterwards_as_if_nothing_had_been(
    apollo: Project, apollo_key: str
) -> None:
    decision = decide(apollo, session_id="s1")
    assert statuses(send(apollo_key, {"event_id": "before", "input_tokens": 1000})) == ["accepted"]
    decided = {"decision_id": decision.public_id, "outcome": "failed", "input_tokens": 1000}
    with database_away():
        assert statuses(send(apollo_key, {"event_id": "e1", **decided})) == ["accepted"]
        # The same again, as a client does that missed the answer, and one from before.
        again = send(apollo_key, {"event_id": "e1", **decided}, {"event_id": "before"})
        assert statuses(again) == ["accepted", "accepted"]
    back_at = timezone.now()
    assert not UsageEvent.objects.filter(event_id="e1").exists()
    settle()
    assert sorted(UsageEvent.objects.values_list("event_id", flat=True)) == ["before", "e1"]
    event = UsageEvent.objects.get(event_id="e1")
    assert (event.route, event.session_id) == (decision.route, "s1")
    assert event.cost_micro_usd == UsageEvent.objects.get(event_id="before").cost_micro_usd
    assert event.occurred_at == event.received_at < back_at
    assert TaskOutcome.objects.get().outcome == "failed"
    assert statuses(send(apollo_key, {"event_id": "e1", **decided})) == ["duplicate"]


@pytest.mark.production
def test_what_only_the_database_can_tell_to_be_wrong_is_set_aside_with_the_reason(
    apollo_key: str, borealis: Project, store: RedisStore
) -> None:
    foreign = decide(borealis).public_id
    assert statuses(send(apollo_key, {"event_id": "before"})) == ["accepted"]
    with database_away():
        answer = send(
            apollo_key,
            {"event_id": "good"},
            {"event_id": "foreign", "decision_id": foreign},
            {"event_id": "odd", "model": "nobody/nothing"},
        )
        assert statuses(answer) == ["accepted"] * 3
    settle()
    assert sorted(UsageEvent.objects.values_list("event_id", flat=True)) == ["before", "good"]
    aside = store.aside(REPORTS, 10)
    assert [json.loads(one.event)["reports"][0]["event_id"] for one in aside] == ["odd", "foreign"]
    assert "unknown model 'nobody/nothing'" in aside[0].reason
    assert f"this project has no decision '{foreign}'" in aside[1].reason
    # Nothing of it is lost: once the catalogue knows the model it is recorded.
    catalogue("nobody/nothing")
    store.try_again(REPORTS)
    settle()
    assert UsageEvent.objects.filter(event_id="odd").exists()
    [left] = store.aside(REPORTS, 10)
    assert json.loads(left.event)["reports"] == json.loads(aside[1].event)["reports"]


@pytest.mark.production
def test_it_is_held_however_long_that_lasts_and_whatever_changes_meanwhile(
    apollo_key: str, store: RedisStore
) -> None:
    send(apollo_key, {"event_id": "before"})
    with database_away():
        for number in range(4):
            store.bump()
            live._memory.made_at -= 2 * live.MAX_AGE_SECONDS
            assert statuses(send(apollo_key, {"event_id": f"e{number}"})) == ["accepted"]
    settle()
    assert UsageEvent.objects.count() == 5


@pytest.mark.production
def test_a_key_that_was_found_to_be_revoked_stays_so(
    apollo: Project, apollo_key: str, store: RedisStore
) -> None:
    assert send(apollo_key, {"event_id": "before"}).status_code == 200
    do_revoke_key(apollo.api_keys.get(), actor=SystemActor("test"))
    for _ in range(3):
        store.bump()
        assert send(apollo_key, {"event_id": "e1"}).status_code == 401
    with database_away():
        assert send(apollo_key, {"event_id": "e1"}).status_code == 401


@pytest.mark.production
def test_what_came_with_a_key_that_had_been_revoked_is_not_recorded(
    apollo: Project, apollo_key: str, store: RedisStore
) -> None:
    send(apollo_key, {"event_id": "before"})
    with database_away():
        assert statuses(send(apollo_key, {"event_id": "e1"})) == ["accepted"]
    # By another process, of which this one had not heard.
    apollo.api_keys.update(revoked_at=timezone.now() - timedelta(minutes=1))
    settle()
    assert UsageEvent.objects.get().event_id == "before"
    assert "revoked" in store.aside(REPORTS, 1)[0].reason


@pytest.mark.production
def test_what_was_held_for_a_deleted_project_goes_with_it(
    apollo: Project, apollo_key: str, store: RedisStore
) -> None:
    send(apollo_key, {"event_id": "before"})
    with database_away():
        send(apollo_key, {"event_id": "e1", "decision_id": new_id("dec")})
    apollo.delete()
    settle()
    assert store.backlog(REPORTS).waiting == store.backlog(REPORTS).aside == 0
    assert not UsageEvent.objects.exists()


@pytest.mark.production
def test_it_is_priced_by_what_is_known_when_it_is_taken_in(
    apollo_key: str, store: RedisStore
) -> None:
    send(apollo_key, {"event_id": "before", "input_tokens": 1000})
    with database_away():
        send(apollo_key, {"event_id": "e1", "input_tokens": 1000})
    Price.objects.update(input_micro_usd=7_000_000)
    store.bump()
    settle()
    costs = dict(UsageEvent.objects.values_list("event_id", "cost_micro_usd"))
    assert costs == {"before": 1000, "e1": 7000}


@pytest.mark.production
def test_what_was_done_of_it_is_not_done_again(apollo_key: str, store: RedisStore) -> None:
    send(apollo_key, {"event_id": "before"})
    with database_away():
        send(apollo_key, {"event_id": "odd", "model": "nobody/nothing"})
        send(apollo_key, {"event_id": "e1", "decision_id": new_id("dec")})
    with store.recording(DECISIONS, 0):
        assert [do_take_in_held(), do_take_in_held()] == [False, False]
    backlog = store.backlog(REPORTS)
    assert (backlog.waiting, backlog.aside) == (1, 1)


@pytest.mark.production
def test_a_query_that_fails_does_not_make_the_database_away(apollo_key: str) -> None:
    send(apollo_key, {"event_id": "before"})

    def deadlock(*args: Any) -> None:
        raise OperationalError from psycopg.errors.DeadlockDetected

    with connection.execute_wrapper(deadlock):
        assert statuses(send(apollo_key, {"event_id": "before"})) == ["accepted"]
    assert statuses(send(apollo_key, {"event_id": "before"})) == ["duplicate"]


@pytest.mark.production
def test_what_is_wrong_in_itself_is_told_at_once(apollo_key: str, store: RedisStore) -> None:
    send(apollo_key, {"event_id": "before"})
    bad = {"event_id": "bad", "input_tokens": -1}
    with database_away():
        assert statuses(send(apollo_key, {"event_id": "good"}, bad)) == ["accepted", "rejected"]
        assert send(apollo_key, bad).status_code == 422
    assert store.backlog(REPORTS).waiting == 1


@pytest.mark.production
def test_a_decision_that_may_still_wait_is_not_told_to_be_unknown(
    apollo_key: str, store: RedisStore
) -> None:
    missing = {"event_id": "e1", "decision_id": new_id("dec")}
    # As a recorder that was killed leaves it for a while.
    with store.recording(DECISIONS, 0):
        assert statuses(send(apollo_key, missing)) == ["accepted"]
        assert not do_take_in_held()
        assert store.backlog(REPORTS).waiting == 1
    assert send(apollo_key, missing).status_code == 404
    settle()
    assert not UsageEvent.objects.exists()
    assert "this project has no decision" in store.aside(REPORTS, 1)[0].reason


@pytest.mark.production
def test_what_cannot_be_read_is_set_aside(store: RedisStore) -> None:
    store.hold(REPORTS, b"not a batch")
    settle()
    assert store.aside(REPORTS, 1)[0].event == b"not a batch"


@pytest.mark.production
def test_without_room_the_client_is_told_to_send_again(apollo_key: str, settings: Settings) -> None:
    send(apollo_key, {"event_id": "before"})
    settings.STREAM_ROOM = 0
    get_store.cache_clear()
    with database_away():
        answer = send(apollo_key, {"event_id": "e1"})
    assert answer.status_code == 503
    assert answer.headers["Retry-After"] == "5"
    get_store.cache_clear()


def test_without_a_store_the_client_is_told_to_send_again(
    apollo_key: str, settings: Settings
) -> None:
    send(apollo_key, {"event_id": "before"})
    settings.REDIS_URL = ""
    with database_away():
        answer = send(apollo_key, {"event_id": "e1"})
    assert answer.status_code == 503
    assert json.loads(answer.content)["error"]["code"] == "database_unavailable"
