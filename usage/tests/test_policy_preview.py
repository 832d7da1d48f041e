"""A draft of a policy replayed on past requests before it is saved."""

import json
from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings
from django.test import Client
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from leaderboard.board import Interval
from leaderboard.tests.tables import make_table, publish_table, table_bytes
from lib.taxonomy import ROUTES
from routing.actions.policies import do_save_policy
from routing.engine.inputs import Request
from routing.models import Decision, Policy
from routing.queries.live import as_rules
from routing.queries.policies import default_policy, in_force, team_in_force
from teams.models import Project, User
from usage.queries import past_traffic
from usage.replay import Ask, benchmark_asks, replay
from usage.tests.traffic import EVIDENCE, decide

FLEET = {
    "lab/small": (0.78, 50_000.0),
    "lab/large": (0.80, 900_000.0),
    settings.BASELINE_MODEL: (0.70, 1_000_000.0),
}
API, PAGE = "/api/v1/policy/preview", "/projects/apollo/policy/preview/"


@pytest.fixture
def api(apollo_key: str) -> Client:
    return Client(headers={"Authorization": f"Bearer {apollo_key}"})


def ask(api: Client, **draft: Any) -> Any:
    response = api.post(API, json.dumps(draft), content_type="application/json")
    assert response.status_code == 200
    return response.json()


def test_a_draft_is_replayed_on_the_last_seven_days(api: Client, apollo: Project) -> None:
    publish_table(table_bytes(FLEET))
    new = [decide(apollo, session_id="") for _ in range(3)]
    decide(apollo, created_at=timezone.now() - timedelta(days=8))
    body = ask(api, quality_bar=1.0)
    assert (body["based_on"], body["days"]) == ("decisions", 7)
    assert (body["decisions"], body["replayed"], body["changed"]) == (3, 3, 3)
    assert body["current"]["cost_micro_usd"] == 50_000
    assert body["current"]["accuracy"] == {"mean": 0.78, "low": 0.73, "high": 0.83}
    assert body["current"]["saving"] == 0.95
    assert body["draft"]["cost_micro_usd"] == 900_000
    assert body["changes"] == [
        {
            "before": "lab/small",
            "after": "lab/large",
            "count": 3,
            "cost_micro_usd": 850_000,
            "examples": [one.public_id for one in reversed(new)],
        }
    ]
    assert not Policy.objects.exists()
    assert Decision.objects.count() == 4


def test_a_draft_that_changes_nothing_says_so(api: Client, apollo: Project) -> None:
    publish_table(table_bytes(FLEET))
    decide(apollo)
    body = ask(api)
    assert (body["changed"], body["changes"]) == (0, [])
    assert body["current"] == body["draft"]


def test_requests_that_no_model_is_left_for_are_counted(api: Client, apollo: Project) -> None:
    publish_table(table_bytes(FLEET))
    decide(apollo, evidence={**EVIDENCE, "request": {**EVIDENCE["request"], "tools": False}})
    body = ask(api, price_ceiling_micro_usd=1, balanced_models=["lab/large"])
    assert body["draft"]["refused"] == 1
    assert body["draft"]["accuracy"] is None
    assert body["changes"][0]["after"] is None


def test_while_there_is_no_traffic_benchmark_tasks_stand_in(api: Client, apollo: Project) -> None:
    publish_table(table_bytes(FLEET, n=10))
    body = ask(api, mode="best_accuracy", quality_bar=1.0)
    # Three measured routes of three difficulties, ten tasks each.
    assert (body["based_on"], body["decisions"], body["replayed"]) == ("benchmarks", 0, 90)
    assert body["changed"] == 90
    assert set(body["changes"][0]["examples"]) <= set(ROUTES)


def test_without_a_table_there_is_nothing_to_replay_by(api: Client, apollo: Project) -> None:
    decide(apollo)
    body = ask(api)
    assert (body["table_version"], body["current"], body["draft"]) == (None, None, None)


def test_only_so_many_decisions_are_replayed(
    api: Client, apollo: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish_table(table_bytes(FLEET))
    for _ in range(4):
        decide(apollo)
    monkeypatch.setattr(past_traffic, "MAX_REPLAYED", 3)
    body = ask(api)
    assert (body["decisions"], body["replayed"]) == (4, 3)


def test_the_page_and_the_api_say_the_same(
    api: Client, client: Client, alice: User, apollo: Project
) -> None:
    publish_table(table_bytes(FLEET))
    found = decide(apollo)
    client.force_login(alice)
    form = {
        "based_on": in_force(apollo.pk).tag,
        "mode": "best_accuracy",
        "quality_bar": "1",
        "evidence": "0.5",
        "success_price": "50",
        "confidence_threshold": "0.8",
        "balanced_models": settings.BALANCED_MODEL,
        "baseline_model": settings.BASELINE_MODEL,
        "note": "typed before the preview",
    }
    response = client.post(PAGE, form)
    page = response.content.decode()
    assert response.status_code == 200
    assert "Preview of your draft" in page
    assert "1 of 1 decisions would go to another model" in " ".join(page.split())
    assert f"/projects/apollo/decisions/{found.public_id}/" in page
    assert "+$0.850" in page
    assert 'value="typed before the preview"' in page
    same = ask(api, mode="best_accuracy", quality_bar=1.0)
    assert response.context["preview"].replay.changed == same["changed"] == 1
    assert not Policy.objects.exists()
    # What is still typed can be saved from there, and a faulty draft is not replayed.
    assert client.post("/projects/apollo/policy/", form).status_code == 302
    assert client.post(PAGE, form | {"quality_bar": "7"}).status_code == 422


def test_a_team_s_default_is_previewed_by_who_may_change_it(
    client: Client, alice: User, bob: User, apollo: Project
) -> None:
    publish_table(table_bytes(FLEET))
    decide(apollo)
    url = "/projects/apollo/team-policy/preview/"
    client.force_login(bob)
    assert client.post(url, {}).status_code == 403
    assert "You may look but not change" in client.get(url).content.decode()
    client.force_login(alice)
    assert client.post(url, {}).status_code == 422
    assert client.get(url).status_code == 200


def test_the_default_mode_of_a_team_is_not_the_mode_it_has_now(
    client: Client, alice: User, apollo: Project
) -> None:
    publish_table(table_bytes(FLEET | {"lab/small": (0.5, 50_000.0)}))
    decide(apollo)
    do_save_policy(apollo.team, actor=alice, based_on=None, mode="best_accuracy", quality_bar=0.5)
    client.force_login(alice)
    form = {
        "based_on": team_in_force(apollo.team_id).tag,
        "mode": "default",
        "quality_bar": "0.5",
        "evidence": "0.5",
        "success_price": "50",
        "confidence_threshold": "0.8",
        "balanced_models": [settings.BALANCED_MODEL],
        "baseline_model": settings.BASELINE_MODEL,
    }
    response = client.post("/projects/apollo/team-policy/preview/", form)
    (change,) = response.context["preview"].replay.changes
    assert (change.before, change.after) == ("lab/large", "lab/small")


def test_a_session_is_followed(api: Client, apollo: Project) -> None:
    """What a policy chose for a session's first request is the session's model at the second."""
    publish_table(table_bytes(FLEET))
    long = {**EVIDENCE, "request": {**EVIDENCE["request"], "in_tool_loop": True}}
    decide(apollo, session_id="s")
    decide(apollo, session_id="s", evidence=long)
    do_save_policy(apollo, actor=User.objects.get(email="alice@example.org"), based_on=None)
    body = ask(api, quality_bar=1.0)
    assert [(one["after"], one["count"]) for one in body["changes"]] == [("lab/large", 2)]


requests = st.builds(
    Request,
    context_tokens=st.sampled_from([0, 10_000, 10**7]),
    modalities=st.just(frozenset({"text"})),
    needs_tools=st.booleans(),
    in_tool_loop=st.booleans(),
    verifiable=st.booleans(),
)
asks = st.lists(
    st.builds(
        Ask,
        name=st.sampled_from(["a", "b"]),
        request=requests,
        reading=st.none()
        | st.sampled_from([one.reading for one in benchmark_asks(make_table(FLEET))]),
        session_id=st.sampled_from(["", "s"]),
        at_ms=st.integers(0, 10**9),
        weight=st.integers(1, 5),
    ),
    max_size=8,
)


@given(asks, st.sampled_from([0.5, 0.95, 1.0]), st.none() | st.sampled_from([1, 100_000]))
def test_every_request_is_counted_once(asked: list[Ask], bar: float, ceiling: int | None) -> None:
    table = make_table(FLEET)
    draft = default_policy()
    draft.quality_bar, draft.price_ceiling_micro_usd = bar, ceiling
    found = replay(asked, (as_rules(default_policy()), table), (as_rules(draft), table))
    assert found.requests == sum(one.weight for one in asked)
    assert found.changed == sum(change.count for change in found.changes) <= found.requests
    for outcome in (found.current, found.draft):
        assert 0 <= outcome.refused + outcome.unmeasured <= found.requests
        if isinstance(outcome.accuracy, Interval):
            assert 0 <= outcome.accuracy.low <= outcome.accuracy.mean <= outcome.accuracy.high <= 1
    assert all(change.before != change.after for change in found.changes)
