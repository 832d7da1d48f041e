"""``POST /api/v1/route`` where a budget is spent."""

import datetime as dt
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.db import OperationalError, connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from leaderboard.tests.tables import publish_table, table_bytes
from routing.budgets import begins_at, next_start, period_start
from routing.models import Budget, Decision
from routing.queries import live
from routing.tests.test_route_api import FLEET, RENAME, ask, recorded, turn
from teams.models import ApiKey, Project, Team

pytestmark = pytest.mark.django_db
DOLLAR = 1_000_000


@pytest.fixture(autouse=True)
def table(db: None) -> str:
    """A published table; returns its version."""
    return publish_table(table_bytes(FLEET | {"open/weak": (0.3, 1_000.0)})).version


def spent_budget(team: Team, at_limit: str = "refuse", **fields: Any) -> Budget:
    """A budget of a dollar of which a dollar is spent today."""
    made_up = {
        "period": "daily",
        "limit_micro_usd": DOLLAR,
        "spent_micro_usd": DOLLAR,
        "spent_in": period_start(timezone.now(), "daily", ZoneInfo(team.time_zone)),
        "author": "alice@example.org",
    }
    return Budget.objects.create(team=team, at_limit=at_limit, **{**made_up, **fields})


def test_a_budget_that_is_not_spent_changes_nothing(apollo: Project, apollo_key: str) -> None:
    spent_budget(apollo.team, spent_micro_usd=DOLLAR - 1)
    answer = ask(apollo_key, turn(RENAME)).json()
    assert (answer["model"], answer["budget"]) == ("open/cheap", None)


@pytest.mark.parametrize(
    ("at_limit", "model", "reason"),
    [
        ("warn", "open/cheap", "cheapest_clearing"),
        ("cheapest", "open/weak", "budget_cheapest"),
        ("balanced", "openai/gpt-5.4", "budget_balanced"),
    ],
)
@pytest.mark.parametrize("query", ["", "?dry_run=1"])
def test_a_spent_budget_decides_and_is_named(
    apollo: Project, apollo_key: str, at_limit: str, model: str, reason: str, query: str
) -> None:
    budget = spent_budget(apollo.team, at_limit, spent_micro_usd=DOLLAR + 5)
    answer = ask(apollo_key, turn(RENAME), query).json()
    assert (answer["model"], answer["reason"]["code"]) == (model, reason)
    told = answer["budget"]
    assert parse_datetime(told.pop("resets_at")) == begins_at(
        next_start(budget.spent_in or dt.date.max, "daily"), ZoneInfo("UTC")
    )
    assert told == {
        "id": budget.public_id,
        "scope": "team",
        "period": "daily",
        "action": at_limit,
        "spent_micro_usd": DOLLAR + 5,
        "limit_micro_usd": DOLLAR,
    }
    if at_limit != "warn":
        assert "The team's daily budget of $1.00 is spent" in answer["reason"]["text"]
    if not query:
        [decision] = recorded()
        assert decision.reason_code == reason
        headers = {"Authorization": f"Bearer {apollo_key}"}
        address = f"/api/v1/decisions/{decision.public_id}"
        told_again = Client().get(address, headers=headers).json()["budget"]
        assert told_again == ask(apollo_key, turn(RENAME), "?dry_run=1").json()["budget"]


@pytest.mark.parametrize("query", ["", "?dry_run=1"])
def test_a_budget_may_refuse_and_says_until_when(
    apollo: Project, apollo_key: str, query: str
) -> None:
    team = apollo.team
    team.time_zone = "Asia/Kathmandu"
    team.save()
    budget = spent_budget(team, project=apollo, spent_micro_usd=DOLLAR + 5)
    before = timezone.now()
    response = ask(apollo_key, turn(RENAME), query)
    assert response.status_code == 402
    error = response.json()["error"]
    assert (error["type"], error["code"]) == ("budget_error", "budget_exhausted")
    assert "The project's daily budget of $1.00 is spent" in error["message"]
    resets_at = parse_datetime(error["details"].pop("resets_at"))
    assert resets_at is not None
    assert error["details"] == {
        "budget": budget.public_id,
        "limit_micro_usd": DOLLAR,
        "spent_micro_usd": DOLLAR + 5,
    }
    local = resets_at.astimezone(ZoneInfo("Asia/Kathmandu"))
    assert (local.hour, local.minute) == (0, 0)
    assert f"{resets_at:%Y-%m-%dT%H:%M:%SZ}" in error["message"]
    wait = int(response.headers["Retry-After"])
    assert 0 <= wait - (resets_at - before).total_seconds() + 60 <= 61
    assert recorded() == []


def test_bad_input_and_a_missing_scope_are_told_before_the_budget(
    apollo: Project, apollo_key: str
) -> None:
    spent_budget(apollo.team)
    assert ask(apollo_key, {"messages": []}).status_code == 422
    assert ask("kr_live_nobody", turn(RENAME)).status_code == 401


def test_the_strictest_of_all_that_are_spent_wins(apollo: Project, apollo_key: str) -> None:
    spent_budget(apollo.team, "warn")
    assert ask(apollo_key, turn(RENAME)).json()["budget"]["action"] == "warn"
    key_id = ApiKey.objects.get().public_id
    strict = spent_budget(apollo.team, "balanced", project=apollo, key_id=key_id)
    spent_budget(apollo.team, "cheapest", project=apollo)
    spent_budget(apollo.team, "refuse", spent_micro_usd=0)
    live.renew("as after any change of a budget")
    answer = ask(apollo_key, turn(RENAME)).json()
    assert answer["budget"]["id"] == strict.public_id
    assert answer["budget"]["scope"] == "key"


def test_a_budget_of_another_team_project_or_key_never_applies(
    apollo: Project, apollo_key: str, borealis: Project, borealis_key: str
) -> None:
    other = Project.objects.create(team=apollo.team, slug="artemis", name="Artemis")
    spent_budget(borealis.team)
    spent_budget(borealis.team, project=borealis)
    spent_budget(apollo.team, project=other)
    spent_budget(apollo.team, project=apollo, key_id="key_of_somebody_else")
    answer = ask(apollo_key, turn(RENAME))
    assert (answer.status_code, answer.json()["budget"]) == (200, None)
    assert ask(borealis_key, turn(RENAME)).status_code == 402


def test_what_was_spent_in_an_earlier_period_does_not_count(
    apollo: Project, apollo_key: str
) -> None:
    budget = spent_budget(apollo.team)
    assert budget.spent_in is not None
    budget.spent_in -= dt.timedelta(days=1)
    budget.save()
    assert ask(apollo_key, turn(RENAME)).json()["budget"] is None


def test_a_session_moves_and_says_why(apollo: Project, apollo_key: str) -> None:
    body = {**turn(RENAME), "session_id": "s1"}
    assert ask(apollo_key, body).json()["model"] == "open/cheap"
    spent_budget(apollo.team, "cheapest")
    live.renew("as after any change of a budget")
    in_loop = {**body, "messages": [*body["messages"], {"role": "tool", "content": "ok"}]}
    assert ask(apollo_key, in_loop).json()["model"] == "open/cheap"
    answer = ask(apollo_key, body).json()
    assert (answer["model"], answer["session"]["switched"]) == ("open/weak", True)
    assert answer["session"]["switch_reason"] == "The team's daily budget of $1.00 is spent."
    assert Decision._meta.get_field("switch_reason").max_length == 300


def test_a_warm_request_with_budgets_asks_the_database_nothing(
    apollo: Project, apollo_key: str
) -> None:
    spent_budget(apollo.team, "warn")
    spent_budget(apollo.team, "cheapest", project=apollo, spent_micro_usd=0)
    body = {**turn(RENAME), "session_id": "s1"}
    ask(apollo_key, body)
    generation = live._memory.generation
    with CaptureQueriesContext(connection) as queries:
        answer = ask(apollo_key, body, "?dry_run=1").json()
    assert answer["budget"]["action"] == "warn"
    if live._memory.generation == generation:  # else two seconds have just gone by
        assert [query["sql"] for query in queries] == []


@pytest.mark.production
def test_with_redis_a_warm_recorded_request_with_budgets_asks_the_database_nothing(
    apollo: Project, apollo_key: str
) -> None:
    spent_budget(apollo.team, "warn")
    body = {**turn(RENAME), "session_id": "s1"}
    ask(apollo_key, body)
    with CaptureQueriesContext(connection) as queries:
        assert ask(apollo_key, body).json()["budget"]["action"] == "warn"
    assert [query["sql"] for query in queries] == []


def test_with_the_database_away_what_is_known_of_budgets_still_holds(
    apollo: Project, apollo_key: str
) -> None:
    def away(*args: Any) -> None:
        raise OperationalError("connection refused")

    spent_budget(apollo.team)
    assert ask(apollo_key, turn(RENAME)).status_code == 402
    live.renew("the next generation, of which nothing is known")
    with connection.execute_wrapper(away):
        assert ask(apollo_key, turn(RENAME)).status_code == 402


def test_with_the_store_away_what_is_known_of_budgets_still_holds(
    apollo: Project, apollo_key: str, settings: Any
) -> None:
    spent_budget(apollo.team)
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    assert ask(apollo_key, turn(RENAME)).status_code == 402
