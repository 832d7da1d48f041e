"""What is reported counts towards budgets at once, and exactly."""

import datetime as dt
import json
import threading
import time
from collections.abc import Callable, Iterator
from itertools import count
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.conf import settings as site_settings
from django.db import connections
from django.db.models import Sum
from django.test import Client, TestCase
from django.utils import timezone

from lib.store import PREFIX, RedisStore, get_store
from routing.budgets import period_start
from routing.models import Budget
from routing.queries import live
from routing.queries.budgets import limit_of
from teams.actions import SystemActor, do_create_key
from teams.keys import Scope
from teams.models import Project, Team
from usage.actions import recording
from usage.actions.budgets import do_reconcile_budgets
from usage.actions.opening import do_open_budget
from usage.actions.recording import do_record_events
from usage.models import UsageDay, UsageEvent
from usage.tests.traffic import catalogue, report, settle

pytestmark = pytest.mark.django_db
# What a million input tokens cost.
DOLLAR = 1_000_000
SETUP = SystemActor("test setup")
event_ids = (f"e{number}" for number in count())


@pytest.fixture(autouse=True)
def models(db: None) -> None:
    """Two models with prices."""
    catalogue()


def budget_of(team: Team, project: Project | None = None, **fields: Any) -> Budget:
    """A daily budget of two dollars that refuses, as it is a minute after it was made."""
    made_up = {
        "period": "daily",
        "limit_micro_usd": 2 * DOLLAR,
        "at_limit": "refuse",
        "author": "alice@example.org",
    }
    budget = Budget.objects.create(team=team, project=project, **{**made_up, **fields})
    assert do_reconcile_budgets()
    live.renew(f"as after {budget.public_id} was made")
    return budget


def post(key: str, *dollars: int, **fields: Any) -> Any:
    """Report calls of so many dollars."""
    events = [
        {
            "event_id": next(event_ids),
            "model": "lab/small",
            "input_tokens": cost * DOLLAR,
            "output_tokens": 0,
            **fields,
        }
        for cost in dollars
    ]
    with TestCase.captureOnCommitCallbacks(execute=True):
        return Client().post(
            "/api/v1/usage",
            json.dumps({"events": events}),
            content_type="application/json",
            headers={"Authorization": f"Bearer {key}"},
        )


def route(key: str) -> Any:
    """Ask for a decision."""
    return Client().post(
        "/api/v1/route?dry_run=1",
        json.dumps({"messages": [{"role": "user", "content": "fix the loop"}]}),
        content_type="application/json",
        headers={"Authorization": f"Bearer {key}"},
    )


def counted(budget: Budget) -> int | None:
    """What the counter says."""
    name = limit_of(budget).counter(timezone.now())
    [value] = get_store(site_settings.REDIS_URL).fetch(name).values
    return None if value is None else int(value)


def known(budget: Budget) -> int:
    """What is written down of a budget."""
    budget.refresh_from_db()
    return budget.spent_micro_usd


def test_a_budget_refuses_as_soon_as_what_spends_it_is_reported(
    apollo: Project, apollo_key: str
) -> None:
    budget = budget_of(apollo.team)
    assert route(apollo_key).status_code == 200
    assert post(apollo_key, 1).json()["accepted"] == 1
    assert route(apollo_key).status_code == 200
    assert post(apollo_key, 1, 1).json()["accepted"] == 2
    refused = route(apollo_key)
    assert refused.status_code == 402
    assert refused.json()["error"]["details"]["spent_micro_usd"] == 3 * DOLLAR
    settle()
    assert do_reconcile_budgets()
    assert known(budget) == 3 * DOLLAR
    assert route(apollo_key).status_code == 402


def test_only_what_is_in_its_scope_counts(
    apollo: Project, apollo_key: str, borealis: Project, borealis_key: str
) -> None:
    made, other_key = do_create_key(apollo, "other", Scope, actor=SETUP)
    other = Project.objects.create(team=apollo.team, slug="artemis", name="Artemis")
    _, artemis_key = do_create_key(other, "artemis", Scope, actor=SETUP)
    mine = {
        "team": budget_of(apollo.team),
        "project": budget_of(apollo.team, apollo),
        "key": budget_of(apollo.team, apollo, key_id=made.public_id),
        "other": budget_of(apollo.team, other),
    }
    theirs = budget_of(borealis.team, limit_micro_usd=10 * DOLLAR)
    post(apollo_key, 1)
    post(other_key, 10)
    post(artemis_key, 100)
    post(borealis_key, 1000)
    spent = {"team": 111, "project": 11, "key": 10, "other": 100}
    for _ in range(2):
        for name, budget in mine.items():
            if site_settings.REDIS_URL:
                assert counted(budget) == spent[name] * DOLLAR
            else:
                assert known(budget) == spent[name] * DOLLAR
        settle()
        assert do_reconcile_budgets()
    assert {name: known(budget) // DOLLAR for name, budget in mine.items()} == spent
    assert known(theirs) == 1000 * DOLLAR


def test_a_duplicate_and_a_rejected_event_count_nothing(apollo: Project, apollo_key: str) -> None:
    budget = budget_of(apollo.team)
    for _ in range(3):
        post(apollo_key, 1, event_id="the-same")
    post(apollo_key, 1, model="lab/unknown")
    assert route(apollo_key).status_code == 200
    assert do_reconcile_budgets()
    assert known(budget) == DOLLAR
    # Known to the database by now, no longer to the stream.
    post(apollo_key, 1, event_id="the-same")
    assert do_reconcile_budgets()
    assert known(budget) == DOLLAR


def test_a_call_counts_in_the_period_in_which_it_happened(apollo: Project, apollo_key: str) -> None:
    budget = budget_of(apollo.team)
    yesterday = (timezone.now() - dt.timedelta(days=1, hours=1)).isoformat()
    post(apollo_key, 50, occurred_at=yesterday)
    assert route(apollo_key).status_code == 200
    assert do_reconcile_budgets()
    assert known(budget) == 0
    assert route(apollo_key).status_code == 200


def test_a_budget_that_is_made_in_the_middle_of_a_period_counts_all_of_it(
    apollo: Project, apollo_key: str
) -> None:
    report(apollo, "before", cost_micro_usd=5 * DOLLAR)
    budget = budget_of(apollo.team, period="monthly")
    assert known(budget) == 5 * DOLLAR
    assert route(apollo_key).status_code == 402


def test_a_new_budget_and_a_new_period_count_at_once(apollo: Project, apollo_key: str) -> None:
    report(apollo, "before", cost_micro_usd=DOLLAR)
    settle()
    fields: dict[str, Any] = {
        "period": "daily",
        "limit_micro_usd": 2 * DOLLAR,
        "at_limit": "refuse",
    }
    do_open_budget(apollo.team, actor=SETUP, **fields)
    live.renew("as after any change of a budget")
    assert route(apollo_key).status_code == 200
    post(apollo_key, 1)
    assert route(apollo_key).status_code == 402
    # A day later nothing was reconciled yet.
    Budget.objects.update(spent_in=timezone.now().date() - dt.timedelta(days=1))
    if isinstance(store := get_store(site_settings.REDIS_URL), RedisStore):
        store.client.delete(*store.client.keys(PREFIX + "spent:*"))
    live.renew("a day later")
    assert route(apollo_key).status_code == 200
    post(apollo_key, 2)
    assert route(apollo_key).status_code == 402


def test_what_is_written_directly_is_recorded_and_counted_or_neither(
    apollo: Project, apollo_key: str, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    budget = budget_of(apollo.team)
    settings.REDIS_URL = settings.REDIS_URL and "redis://127.0.0.1:1/0"

    def ended(_amounts: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(recording, "do_count_directly", ended)
        with pytest.raises(KeyboardInterrupt):
            post(apollo_key, 1, event_id="again")
    assert not UsageEvent.objects.exists()
    assert post(apollo_key, 1, event_id="again").json()["accepted"] == 1
    assert known(budget) == DOLLAR


def test_another_time_zone_is_another_day(apollo: Project, apollo_key: str) -> None:
    budget = budget_of(apollo.team)
    now = timezone.now()
    # Local days begin at one o'clock UTC at the latest somewhere: pick a zone where it is another
    # date than in UTC.
    away = next(
        name
        for name in ("Pacific/Kiritimati", "Pacific/Pago_Pago")
        if now.astimezone(ZoneInfo(name)).date() != now.date()
    )
    apollo.team.time_zone = away
    apollo.team.save()
    post(apollo_key, 5)
    settle()
    assert do_reconcile_budgets()
    budget.refresh_from_db()
    assert budget.spent_in == period_start(now, "daily", ZoneInfo(away)) != now.date()
    assert budget.spent_micro_usd == 5 * DOLLAR


def test_a_deleted_budget_no_longer_applies(apollo: Project, apollo_key: str) -> None:
    budget = budget_of(apollo.team)
    post(apollo_key, 5)
    assert route(apollo_key).status_code == 402
    budget.delete()
    live.renew("as after any change of a budget")
    assert route(apollo_key).status_code == 200
    post(apollo_key, 5)
    assert do_reconcile_budgets()


@pytest.mark.embedded
def test_embedded_what_is_spent_outlives_a_restart(apollo: Project, apollo_key: str) -> None:
    budget = budget_of(apollo.team)
    post(apollo_key, 1)
    get_store.cache_clear()
    live.renew("another process")
    post(apollo_key, 1)
    assert known(budget) == 2 * DOLLAR
    assert route(apollo_key).status_code == 402


@pytest.mark.production
def test_with_redis_away_spend_is_counted_and_put_right_when_it_is_back(
    apollo: Project, apollo_key: str, settings: Any
) -> None:
    budget = budget_of(apollo.team)
    post(apollo_key, 1)
    here, settings.REDIS_URL = settings.REDIS_URL, "redis://127.0.0.1:1/0"
    assert post(apollo_key, 1).json()["accepted"] == 1
    assert known(budget) == DOLLAR, "the first dollar is still in the stream"
    settings.REDIS_URL = here
    assert do_reconcile_budgets()
    assert counted(budget) == known(budget) == 2 * DOLLAR
    assert route(apollo_key).status_code == 402


@pytest.mark.production
def test_after_redis_is_lost_nothing_gets_past_a_spent_budget(
    apollo: Project, apollo_key: str
) -> None:
    budget = budget_of(apollo.team)
    post(apollo_key, 2)
    assert do_reconcile_budgets()
    store = get_store(site_settings.REDIS_URL)
    assert isinstance(store, RedisStore)
    store.client.flushdb()
    assert counted(budget) is None
    assert route(apollo_key).status_code == 402
    post(apollo_key, 1)
    assert route(apollo_key).status_code == 402
    assert do_reconcile_budgets()
    assert counted(budget) == known(budget) == 3 * DOLLAR
    assert route(apollo_key).status_code == 402


@pytest.mark.production
def test_a_counter_that_is_wrong_is_put_right(apollo: Project, apollo_key: str) -> None:
    budget = budget_of(apollo.team)
    store = get_store(site_settings.REDIS_URL)
    assert isinstance(store, RedisStore)
    post(apollo_key, 1)
    store.client.incrby(PREFIX + limit_of(budget).counter(timezone.now()), 17)
    assert do_reconcile_budgets()
    assert counted(budget) == DOLLAR
    assert store.client.ttl(PREFIX + limit_of(budget).counter(timezone.now())) > 24 * 3600


@pytest.mark.production
def test_while_another_one_records_budgets_are_left_alone(apollo: Project, apollo_key: str) -> None:
    budget = budget_of(apollo.team)
    post(apollo_key, 1)
    store = get_store(site_settings.REDIS_URL)
    assert isinstance(store, RedisStore)
    with store.recording("kilo:usage", 0):
        assert not do_reconcile_budgets(wait_seconds=0.1)
    assert counted(budget) == DOLLAR


# Many writers

WRITERS = 64


def slowly(execute: Callable[..., Any], sql: str, *args: Any) -> Any:
    """Take a while to look for what has to be rolled up."""
    if "routing_stalehour" in sql:
        time.sleep(0.1)
    return execute(sql, *args)


@pytest.fixture
def crowd(apollo_key: str) -> Iterator[Callable[[Callable[[int], None]], list[threading.Thread]]]:
    """Start so many threads, each with its number, and see that none of them failed."""
    failures: list[BaseException] = []

    def start(work: Callable[[int], None]) -> list[threading.Thread]:
        def run(number: int) -> None:
            try:
                work(number)
            except BaseException as error:
                failures.append(error)
            finally:
                connections.close_all()

        threads = [
            threading.Thread(target=run, args=(number,), daemon=True) for number in range(WRITERS)
        ]
        for thread in threads:
            thread.start()
        return threads

    yield start
    assert failures == []


@pytest.mark.production
@pytest.mark.django_db(transaction=True)
def test_64_writers_are_counted_exactly_while_budgets_are_reconciled(
    apollo: Project,
    apollo_key: str,
    crowd: Callable[[Callable[[int], None]], list[threading.Thread]],
) -> None:
    budgets = [
        budget_of(apollo.team, limit_micro_usd=10**15),
        budget_of(apollo.team, apollo, limit_micro_usd=10**15, period="monthly"),
    ]
    store = get_store(site_settings.REDIS_URL)
    assert isinstance(store, RedisStore)
    accepted: list[int] = []
    # Somebody records all the time, as the worker does.
    done = threading.Event()

    def send(events: list[dict[str, Any]]) -> None:
        answer = Client().post(
            "/api/v1/usage",
            json.dumps({"events": events}),
            content_type="application/json",
            headers={"Authorization": f"Bearer {apollo_key}"},
        )
        assert answer.status_code == 200
        accepted.extend(
            event["input_tokens"]
            for event, told in zip(events, answer.json()["results"], strict=True)
            if told["status"] == "accepted"
        )

    def work(number: int) -> None:
        if number == 0:
            while not done.is_set():
                do_record_events(wait_seconds=0.0)
                done.wait(0.01)
            return
        for turn in count():
            if turn >= 2 and done.wait(1.0):
                return
            send(
                [
                    {
                        "event_id": f"w{number}-{turn}-{place}",
                        "model": "lab/small",
                        "input_tokens": 1 + 1000 * number + 10 * turn + place,
                    }
                    for place in range(3)
                ]
            )

    threads = crowd(work)
    # Three times while the number of events goes up, and slowly, so that much comes meanwhile.
    seen: set[int] = set()
    give_up = time.monotonic() + 60
    with connections["default"].execute_wrapper(slowly):
        while len(seen) < 3 and time.monotonic() < give_up:
            if do_reconcile_budgets():
                seen.add(len(accepted))
    done.set()
    for thread in threads:
        thread.join()
    assert len(seen) == 3
    total = sum(accepted)
    assert len(accepted) >= (WRITERS - 1) * 2 * 3
    # Nothing has to be put right: no reconciliation moved a counter from where it should be.
    assert [counted(budget) for budget in budgets] == [total, total]
    assert do_reconcile_budgets()
    assert [counted(budget) for budget in budgets] == [total, total]
    assert [known(budget) for budget in budgets] == [total, total]
    for model in (UsageDay, UsageEvent):
        assert model.objects.aggregate(cost=Sum("cost_micro_usd"))["cost"] == total

    # Redis is lost while all write: what was not recorded yet is gone with it, the rest is right.
    writers = crowd(lambda number: work(number + WRITERS))
    store.client.flushdb()
    for thread in writers:
        thread.join()
    assert do_reconcile_budgets()
    there = UsageEvent.objects.aggregate(cost=Sum("cost_micro_usd"))["cost"]
    assert total < there <= sum(accepted)
    assert [counted(budget) for budget in budgets] == [there, there]
    assert [known(budget) for budget in budgets] == [there, there]
