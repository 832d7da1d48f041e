"""Reporting what became of a decision, and what the session makes of it."""

import json
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from leaderboard.tests.tables import publish_table, table_bytes
from routing.actions import reporting
from routing.actions.routing import do_route
from routing.engine.inputs import Request
from routing.failing import Signal
from routing.models import TaskOutcome
from routing.queries import live
from routing.tests.test_route_api import RENAME, ask, turn
from teams.actions import SystemActor, do_create_key
from teams.models import Project

pytestmark = pytest.mark.django_db
FLEET = {
    "open/cheap": (0.78, 50_000.0),
    "openai/gpt-5.4": (0.79, 400_000.0),
    "anthropic/claude-opus-4.8": (0.80, 900_000.0),
}
RESEARCH = (
    "find out which of the three job queues others use with this framework, and what they say"
)


@pytest.fixture(autouse=True)
def _table(db: None) -> None:
    publish_table(table_bytes(FLEET))


def told(key: str, decision_id: str, **body: Any) -> Any:
    """Report an outcome and return the response."""
    return Client().post(
        f"/api/v1/decisions/{decision_id}/outcome",
        json.dumps(body),
        content_type="application/json",
        headers={"Authorization": f"Bearer {key}"},
    )


def route(key: str, session: str = "s1", text: str = RENAME, query: str = "", **more: Any) -> Any:
    """Ask for a decision in a session."""
    return ask(key, {**turn(text), "session_id": session, **more}, query).json()


def test_after_a_failure_the_session_goes_past_the_model_and_stays_past_it(apollo_key: str) -> None:
    first = route(apollo_key)
    assert first["model"] == "open/cheap"
    answer = told(apollo_key, first["id"], outcome="failed")
    assert answer.status_code == 200
    assert answer.json() == {
        "decision_id": first["id"],
        "model": "open/cheap",
        "outcome": "failed",
        "changed": True,
    }
    second = route(apollo_key, query="?explain=true")
    assert second["model"] == "openai/gpt-5.4"
    assert second["reason"]["code"] == "escalated"
    assert "open/cheap failed on this task" in second["reason"]["text"]
    assert second["session"]["switched"]
    assert "open/cheap" not in second["fallback_models"]
    verdicts = {one["model"]: one["verdict"] for one in second["candidates"]}
    assert verdicts["open/cheap"] == "failed_here"
    for _ in range(3):
        later = route(apollo_key)
        assert (later["model"], later["reason"]["code"]) == ("openai/gpt-5.4", "escalated")
        assert later["session"]["sticky"]
    assert route(apollo_key, session="another")["model"] == "open/cheap"


def test_failures_climb_on_and_the_last_model_is_never_taken_away(apollo_key: str) -> None:
    taken = []
    for _ in range(4):
        decision = route(apollo_key)
        taken.append(decision["model"])
        told(apollo_key, decision["id"], outcome="rejected")
    assert taken == [*FLEET, "anthropic/claude-opus-4.8"]
    assert "has failed on it" in decision["reason"]["text"]


def test_a_decision_that_is_under_way_does_not_overwrite_a_failure(apollo_key: str) -> None:
    first = route(apollo_key)
    known = live.situation(apollo_key, "s1")
    assert known is not None
    told(apollo_key, first["id"], outcome="failed")
    do_route(
        known,
        turn(RENAME)["messages"],
        Request(100, frozenset({"text"}), needs_tools=False, in_tool_loop=False),
        mode=None,
        tools=[],
        task=None,
        session_id="s1",
        record=True,
    )
    assert route(apollo_key)["reason"]["code"] == "escalated"


def test_inside_a_tool_loop_a_failure_counts_as_well(apollo_key: str) -> None:
    told(apollo_key, route(apollo_key)["id"], outcome="failed")
    loop = [*turn(RENAME)["messages"], {"role": "tool", "content": "done"}]
    later = ask(apollo_key, {"messages": loop, "session_id": "s1"}).json()
    assert later["model"] == "openai/gpt-5.4"


def test_accepted_work_ends_the_task_and_a_new_task_begins_afresh(apollo_key: str) -> None:
    told(apollo_key, route(apollo_key)["id"], outcome="failed")
    second = route(apollo_key)
    told(apollo_key, second["id"], outcome="accepted")
    third = route(apollo_key, query="?explain=true")
    verdicts = {one["model"]: one["verdict"] for one in third["candidates"]}
    assert third["reason"]["code"] != "escalated"
    assert "failed_here" not in verdicts.values()


def test_a_first_rung_is_judged_by_what_was_expected_of_it_alone(
    apollo_key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept: list[Signal] = []
    monkeypatch.setattr(reporting, "do_watch", lambda signals, **_: kept.extend(signals))
    decision = route(apollo_key, verifiable=True)
    told(apollo_key, decision["id"], outcome="failed")
    [signal] = kept
    assert signal.expected == decision["ladder"]["rungs"][0]["success"]
    assert signal.expected < decision["estimate"]["accuracy"]["mean"]


def test_another_task_type_is_another_task(apollo_key: str) -> None:
    told(apollo_key, route(apollo_key)["id"], outcome="failed")
    assert route(apollo_key)["reason"]["code"] == "escalated"
    other = route(apollo_key, text=RESEARCH, task={"task_type": "investigation"})
    assert other["reason"]["code"] != "escalated"


def test_an_acceptance_of_earlier_work_does_not_undo_a_later_failure(apollo_key: str) -> None:
    first, second = route(apollo_key), route(apollo_key)
    told(apollo_key, second["id"], outcome="failed")
    told(apollo_key, first["id"], outcome="accepted")
    assert route(apollo_key)["reason"]["code"] == "escalated"


def test_saying_it_again_changes_nothing_and_the_newest_word_counts(apollo_key: str) -> None:
    decision = route(apollo_key)["id"]
    assert told(apollo_key, decision, outcome="failed").json()["changed"]
    again = told(apollo_key, decision, outcome="failed")
    assert (again.status_code, again.json()["changed"]) == (200, False)
    assert told(apollo_key, decision, outcome="accepted").json()["changed"]
    assert TaskOutcome.objects.get().outcome == "accepted"
    assert route(apollo_key)["reason"]["code"] != "escalated"


def test_a_stranger_cannot_report_and_changes_nothing(
    apollo_key: str, borealis_key: str, apollo: Project
) -> None:
    decision = route(apollo_key)["id"]
    route(borealis_key)
    assert told(borealis_key, decision, outcome="failed").status_code == 404
    assert told(apollo_key, "dec_nothing", outcome="failed").status_code == 404
    _, reader = do_create_key(apollo, "reader", ["usage:read"], actor=SystemActor("test setup"))
    assert told(reader, decision, outcome="failed").status_code == 403
    assert route(apollo_key)["model"] == "open/cheap"
    told(apollo_key, decision, outcome="failed")
    assert route(borealis_key)["model"] == "open/cheap"
    assert TaskOutcome.objects.count() == 1


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "outcome"),
        ({"outcome": "fine"}, "outcome"),
        ({"outcome": "failed", "model": "x/y"}, "model"),
        ({"outcome": "failed", "modle": "x/y"}, "modle"),
    ],
)
def test_bad_input_names_the_parameter(apollo_key: str, body: dict[str, Any], param: str) -> None:
    answer = told(apollo_key, route(apollo_key)["id"], **body)
    assert answer.status_code == 422
    assert answer.json()["error"]["param"] == param


@pytest.mark.parametrize(("body", "status"), [("[" * 100_000, 400), ("", 422), ("[1]", 422)])
def test_a_body_that_is_no_outcome_is_refused(apollo_key: str, body: str, status: int) -> None:
    response = Client().post(
        f"/api/v1/decisions/{route(apollo_key)['id']}/outcome",
        body,
        content_type="application/json",
        headers={"Authorization": f"Bearer {apollo_key}"},
    )
    assert response.status_code == status


def test_a_warm_decision_of_an_escalated_session_asks_the_database_nothing(
    apollo_key: str,
) -> None:
    told(apollo_key, route(apollo_key)["id"], outcome="failed")
    route(apollo_key)
    generation = live._memory.generation
    with CaptureQueriesContext(connection) as queries:
        assert route(apollo_key, query="?dry_run=true")["reason"]["code"] == "escalated"
    if live._memory.generation == generation:  # else two seconds have just gone by
        assert [query["sql"] for query in queries] == []
