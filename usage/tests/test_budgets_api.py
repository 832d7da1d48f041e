"""Budgets in the API: a key reads those that apply to its project and changes the project's own."""

from typing import Any

import pytest
from django.test import Client

from kilo_site.tests.fixtures import SETUP
from routing.actions.budgets import do_create_budget
from routing.models import Budget
from teams.models import ApiKey, AuditEvent, Project, Team
from usage.tests.traffic import report, settle

URL = "/api/v1/budgets"
DOLLAR = 1_000_000


@pytest.fixture
def program(apollo_key: str) -> Client:
    """A program with a key of apollo."""
    return Client(headers={"Authorization": f"Bearer {apollo_key}"})


def send(program: Client, method: str, url: str, body: Any) -> Any:
    return getattr(program, method)(url, body, content_type="application/json")


def of_team(apollo: Project) -> Budget:
    return do_create_budget(
        apollo.team,
        actor=SETUP,
        period="daily",
        limit_micro_usd=900 * DOLLAR,
        emails=["alice@example.org"],
        webhook_url="https://hooks.example.org/secret",
    )


def test_a_budget_is_made_read_changed_and_deleted(program: Client, apollo: Project) -> None:
    Team.objects.update(time_zone="Europe/Berlin")
    report(apollo, "a", cost_micro_usd=62 * DOLLAR)
    settle()
    response = send(
        program, "post", URL, {"limit_micro_usd": 100 * DOLLAR, "emails": ["a@example.org"]}
    )
    assert response.status_code == 201
    made = response.json()
    assert made == {
        "id": Budget.objects.get().public_id,
        "scope": "project",
        "project": "apollo",
        "key_id": None,
        "period": "monthly",
        "limit_micro_usd": 100 * DOLLAR,
        "at_limit": "warn",
        "thresholds": [50, 80, 100],
        "period_start": made["period_start"],
        "resets_at": made["resets_at"],
        "spent_micro_usd": 62 * DOLLAR,
    }
    assert made["period_start"].endswith("-01")
    assert made["resets_at"][11:] in ("22:00:00Z", "23:00:00Z")
    assert program.get(URL).json() == {"data": [made]}
    url = f"{URL}/{made['id']}"
    assert program.get(url).json() == made
    changed = send(program, "put", url, {**made, "at_limit": "refuse", "thresholds": [90]}).json()
    assert changed == {**made, "at_limit": "refuse", "thresholds": [90]}
    budget = Budget.objects.get()
    assert budget.emails == ["a@example.org"]
    key_id = ApiKey.objects.get().public_id
    assert program.delete(url).json() == changed
    assert program.get(url).status_code == 404
    assert Budget.with_deleted.get().deleted_at, "it can be brought back on the page"
    verbs = AuditEvent.objects.filter(actor=key_id).order_by("pk").values_list("verb", flat=True)
    assert list(verbs) == ["budget.created", "budget.changed", "budget.deleted"]


def test_a_budget_of_one_key(program: Client, apollo: Project) -> None:
    key_id = ApiKey.objects.get().public_id
    body = {"scope": "key", "key_id": key_id, "limit_micro_usd": DOLLAR, "period": "daily"}
    made = send(program, "post", URL, body).json()
    assert (made["scope"], made["key_id"], made["period"]) == ("key", key_id, "daily")


def test_the_teams_budgets_are_read_only_and_tell_no_address(
    program: Client, apollo: Project
) -> None:
    budget = of_team(apollo)
    (found,) = program.get(URL).json()["data"]
    assert (found["scope"], found["project"]) == ("team", None)
    assert "example.org" not in str(found)
    assert budget.webhook_secret not in str(found)
    url = f"{URL}/{budget.public_id}"
    for response in (
        send(program, "put", url, {"limit_micro_usd": 1}),
        program.delete(url),
        send(program, "post", URL, {"scope": "team", "limit_micro_usd": 1}),
    ):
        assert response.status_code == 403
        assert response.json()["error"]["code"] == "permission_denied"
        assert "on the Budgets page" in response.json()["error"]["message"]


def test_what_is_another_teams_is_not_there(program: Client, borealis: Project) -> None:
    budget = do_create_budget(
        borealis.team, borealis, actor=SETUP, period="daily", limit_micro_usd=DOLLAR
    )
    url = f"{URL}/{budget.public_id}"
    assert program.get(URL).json() == {"data": []}
    assert program.get(url).status_code == 404
    assert send(program, "put", url, {"limit_micro_usd": 1}).status_code == 404
    assert program.delete(url).status_code == 404
    assert Budget.objects.exists()


def test_what_may_be_chosen_is_listed(program: Client, apollo: Project) -> None:
    for name, choices in (("period", "daily, monthly"), ("at_limit", "warn, cheapest, balanced")):
        response = send(program, "post", URL, {"limit_micro_usd": DOLLAR, name: "often"})
        assert f"Use one of {choices}" in response.json()["error"]["message"]


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ([], "body"),
        ({}, "limit_micro_usd"),
        ({"limit_micro_usd": 0}, "limit_micro_usd"),
        ({"limit_micro_usd": -1}, "limit_micro_usd"),
        ({"limit_micro_usd": 10**16}, "limit_micro_usd"),
        ({"limit_micro_usd": "much"}, "limit_micro_usd"),
        ({"limit_micro_usd": 1, "at_limit": "explode"}, "at_limit"),
        ({"limit_micro_usd": 1, "period": "yearly"}, "period"),
        ({"limit_micro_usd": 1, "thresholds": [0]}, "thresholds"),
        ({"limit_micro_usd": 1, "thresholds": [1001]}, "thresholds"),
        ({"limit_micro_usd": 1, "thresholds": list(range(1, 12))}, "thresholds"),
        ({"limit_micro_usd": 1, "emails": ["bob"]}, "emails"),
        ({"limit_micro_usd": 1, "webhook_url": "file:///etc/passwd"}, "webhook_url"),
        ({"limit_micro_usd": 1, "scope": "key"}, "key_id"),
        ({"limit_micro_usd": 1, "key_id": "key_x"}, "key_id"),
        ({"limit_micro_usd": 1, "scope": "key", "key_id": "key_x"}, "key_id"),
        ({"limit_micro_usd": 1, "limits": 2}, "limits"),
        ({"limit_micro_usd": 1, "webhook_secret": "mine"}, "webhook_secret"),
    ],
)
def test_what_cannot_be_is_named(program: Client, body: Any, param: str) -> None:
    response = send(program, "post", URL, body)
    assert response.status_code == 422
    assert response.json()["error"]["param"] == param
    assert not Budget.objects.exists()


@pytest.mark.parametrize("change", [{"period": "daily"}, {"scope": "team"}, {"key_id": "key_x"}])
def test_what_a_budget_counts_cannot_be_changed(
    program: Client, apollo: Project, change: dict[str, str]
) -> None:
    made = send(program, "post", URL, {"limit_micro_usd": DOLLAR}).json()
    response = send(program, "put", f"{URL}/{made['id']}", {**made, **change})
    assert response.status_code == 422
    assert "Make another budget instead." in response.json()["error"]["message"]


def test_a_team_has_a_bounded_number_of_budgets(
    program: Client, apollo: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("routing.actions.budgets.MAX_BUDGETS", 1)
    assert send(program, "post", URL, {"limit_micro_usd": DOLLAR}).status_code == 201
    response = send(program, "post", URL, {"limit_micro_usd": DOLLAR})
    assert response.status_code == 422
    assert "Delete one first." in response.json()["error"]["message"]
