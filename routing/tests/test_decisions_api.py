"""Past decisions over the API."""

import datetime as dt
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from leaderboard.tests.tables import publish_table, table_bytes
from lib.ids import new_id
from routing.models import Decision, Policy, TaskOutcome
from routing.tests.test_route_api import RENAME, ask, turn
from teams.models import Project

pytestmark = pytest.mark.django_db


def get(key: str, address: str, **params: Any) -> Any:
    headers = {"Authorization": f"Bearer {key}"}
    return Client().get(f"/api/v1/{address}", params, headers=headers)


def decide(project: Project, **fields: Any) -> Decision:
    made_up: dict[str, Any] = {
        "key_id": "key_test",
        "model": "lab/small",
        "reason_code": "cheapest_clearing",
        "reason_text": "lab/small is the cheapest model that clears the bar.",
        "task_type": "debugging",
        "subtask_type": "bug_fixing",
        "difficulty": "medium",
        "confidence": 0.81,
        "accuracy": 0.78,
        "accuracy_low": 0.7,
        "accuracy_high": 0.86,
        "cost_micro_usd": 12_000,
        "mode": "auto_efficient",
        "policy_version": "pol_default",
        "evidence": {"candidates": []},
    }
    return Decision.objects.create(project=project, **{**made_up, **fields})


def test_a_decision_reads_as_it_was_given(apollo: Project, apollo_key: str) -> None:
    evidence = {"candidates": [], "runner_up": "lab/large"}
    decision = decide(apollo, session_id="s1", sticky=True, table_version="t_1", evidence=evidence)
    body = get(apollo_key, f"decisions/{decision.public_id}").json()
    assert body.pop("created_at").endswith("Z")
    assert body == {
        "id": decision.public_id,
        "model": "lab/small",
        "reason": {
            "code": "cheapest_clearing",
            "text": "lab/small is the cheapest model that clears the bar.",
        },
        "route": {
            "task_type": "debugging",
            "subtask_type": "bug_fixing",
            "difficulty": "medium",
            "confidence": 0.81,
        },
        "estimate": {
            "accuracy": {"mean": 0.78, "low": 0.7, "high": 0.86},
            "cost_micro_usd": 12_000,
            "baseline_cost_micro_usd": None,
        },
        "session": {"id": "s1", "sticky": True, "switched": False, "switch_reason": None},
        "policy": {"version": "pol_default", "mode": "auto_efficient"},
        "table_version": "t_1",
        "runner_up": "lab/large",
        "ladder": None,
        "budget": None,
        "evidence": {"candidates": [], "runner_up": "lab/large"},
        "counterfactual": {"by_bar": [], "by_price": [], "by_confidence": None},
        "rerun": None,
    }


def test_what_is_not_known_is_null(apollo: Project, apollo_key: str) -> None:
    unclassified = {"task_type": "", "subtask_type": "", "difficulty": "", "confidence": None}
    decision = decide(apollo, accuracy=None, **unclassified)
    body = get(apollo_key, f"decisions/{decision.public_id}").json()
    assert body["route"] is None
    assert body["estimate"]["accuracy"] is None
    assert body["session"]["id"] is None
    assert body["table_version"] is None


def test_another_teams_decision_is_not_found(borealis: Project, apollo_key: str) -> None:
    foreign = decide(borealis)
    end_of_time = new_id("dec", 253_402_300_799_000)
    for public_id in (foreign.public_id, "dec_nowhere", "a%00b", end_of_time):
        answer = get(apollo_key, f"decisions/{public_id}")
        assert answer.status_code == 404
        assert answer.json()["error"]["code"] == "not_found"
    assert get(apollo_key, "decisions").json()["data"] == []


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        ({"model": "lab/large"}, ["b"]),
        ({"route": "debugging/bug_fixing"}, ["a"]),
        ({"route": "debugging"}, ["b", "a"]),
        ({"reason": "low_confidence"}, ["b"]),
        ({"session": "a"}, ["a"]),
        ({"model": "lab/large", "session": "a"}, []),
        ({"model": "a\x00b"}, []),
        ({"range": "24h"}, ["b"]),
        ({"range": "7d"}, ["b", "a"]),
        ({"from": "2026-03-01", "to": "2026-03-01"}, []),
        ({"mode": "best_accuracy"}, ["b"]),
        ({"mode": "none"}, []),
        ({"sticky": "true"}, ["b"]),
        ({"switched": "false"}, ["b"]),
        ({"switched": "true"}, ["a"]),
        ({"min_confidence": "0.5"}, ["a"]),
        ({"max_confidence": "0.4"}, ["b"]),
        ({"policy_version": "pol_2"}, ["b"]),
        ({"table_version": "tbl_1"}, ["a"]),
        ({"order": "oldest"}, ["a", "b"]),
    ],
)
def test_decisions_can_be_narrowed(
    apollo: Project, apollo_key: str, filters: dict[str, str], found: list[str]
) -> None:
    decide(
        apollo,
        session_id="a",
        created_at=timezone.now() - dt.timedelta(days=2),
        switched=True,
        table_version="tbl_1",
    )
    decide(
        apollo,
        session_id="b",
        model="lab/large",
        subtask_type="test_repair",
        reason_code="low_confidence",
        mode="best_accuracy",
        sticky=True,
        confidence=0.4,
        policy_version="pol_2",
    )
    rows = get(apollo_key, "decisions", **filters).json()["data"]
    assert [row["session"]["id"] for row in rows] == found


def test_pages_follow_each_other_without_gap_or_repeat(apollo: Project, apollo_key: str) -> None:
    newest_first = [decide(apollo).public_id for _ in range(5)][::-1]
    seen: list[str] = []
    cursor = ""
    while True:
        body = get(apollo_key, "decisions", limit=2, cursor=cursor).json()
        seen += [row["id"] for row in body["data"]]
        if not body["next_cursor"]:
            break
        cursor = body["next_cursor"]
    assert seen == newest_first


def test_a_foreign_cursor_is_refused(borealis: Project, apollo_key: str) -> None:
    for cursor in (decide(borealis).public_id, "nonsense", "a\x00"):
        answer = get(apollo_key, "decisions", cursor=cursor)
        assert answer.status_code == 400
        assert answer.json()["error"]["param"] == "cursor"


def test_a_full_page_takes_three_queries(
    apollo: Project, apollo_key: str, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    for _ in range(20):
        decide(apollo)
    with django_assert_max_num_queries(3):
        assert len(get(apollo_key, "decisions").json()["data"]) == 20


@pytest.mark.parametrize(
    ("wrong", "param"),
    [
        ({"range": "1y"}, "range"),
        ({"range": "7d", "from": "2026-03-01"}, "range"),
        ({"from": "yesterday"}, "from"),
        ({"to": "9999-12-31"}, "to"),
        ({"from": "0001-01-01T00:00:00+14:00"}, "from"),
        ({"sticky": "perhaps"}, "sticky"),
        ({"switched": "1"}, "switched"),
        ({"min_confidence": "2"}, "min_confidence"),
        ({"max_confidence": "nan"}, "max_confidence"),
        ({"order": "random"}, "order"),
    ],
)
def test_a_filter_that_makes_no_sense_is_refused(
    apollo_key: str, wrong: dict[str, str], param: str
) -> None:
    answer = get(apollo_key, "decisions", **wrong)
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == param


def test_a_day_counts_whole_and_a_moment_to_the_second(apollo: Project, apollo_key: str) -> None:
    noon = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)
    decide(apollo, created_at=noon)
    for inside in (
        {"from": "2026-03-01", "to": "2026-03-01"},
        {"from": "2026-03-01T12:00:00Z"},
        {"to": "2026-03-01T13:00:01+01:00"},
    ):
        assert len(get(apollo_key, "decisions", **inside).json()["data"]) == 1
    for outside in (
        {"from": "2026-03-02"},
        {"to": "2026-02-28"},
        {"to": "2026-03-01T12:00:00Z"},
    ):
        assert get(apollo_key, "decisions", **outside).json()["data"] == []


def test_a_day_is_one_of_the_teams_time_zone(apollo: Project, apollo_key: str) -> None:
    apollo.team.time_zone = "Asia/Kolkata"
    apollo.team.save()
    decide(apollo, created_at=dt.datetime(2026, 3, 1, 20, tzinfo=dt.UTC))
    found = {
        day: len(get(apollo_key, "decisions", **{"from": day, "to": day}).json()["data"])
        for day in ("2026-03-01", "2026-03-02")
    }
    assert found == {"2026-03-01": 0, "2026-03-02": 1}


def test_the_oldest_come_first_page_by_page(apollo: Project, apollo_key: str) -> None:
    in_order = [decide(apollo).public_id for _ in range(5)]
    seen: list[str] = []
    cursor = ""
    while True:
        body = get(apollo_key, "decisions", limit=2, cursor=cursor, order="oldest").json()
        seen += [row["id"] for row in body["data"]]
        if not body["next_cursor"]:
            break
        cursor = body["next_cursor"]
    assert seen == in_order


FLEET = {
    "lab/cheap": (0.70, 10_000.0),
    "lab/middle": (0.78, 60_000.0),
    "lab/best": (0.80, 900_000.0),
}


@pytest.fixture
def routed(apollo_key: str) -> dict[str, Any]:
    """A decision that the router made, as it reads."""
    publish_table(table_bytes(FLEET))
    made = ask(apollo_key, {**turn(RENAME), "task": {"task_type": "refactoring"}}).json()
    body: dict[str, Any] = get(apollo_key, f"decisions/{made['id']}").json()
    return body


@pytest.mark.parametrize("evidence", [{}, {"runner_up": None}])
def test_a_list_says_null_where_no_other_model_cleared_the_bar(
    apollo: Project, apollo_key: str, evidence: dict[str, Any]
) -> None:
    decide(apollo, evidence=evidence)
    (row,) = get(apollo_key, "decisions").json()["data"]
    assert row["runner_up"] is None


def test_a_decision_tells_what_would_have_changed_it(
    apollo_key: str, routed: dict[str, Any]
) -> None:
    assert routed["runner_up"] in FLEET.keys() - {routed["model"]}
    (row,) = get(apollo_key, "decisions").json()["data"]
    assert row["runner_up"] == routed["runner_up"]
    spans = routed["counterfactual"]["by_bar"]
    assert [span["model"] for span in spans] == list(FLEET)
    assert spans[0]["low"] == 0.0
    assert spans[-1]["high"] == 1.0
    own = next(span for span in spans if span["model"] == routed["model"])
    assert own["low"] <= routed["evidence"]["bar"]["quality_bar"] <= own["high"]


def test_deciding_again_with_nothing_changed_gives_the_same(
    apollo_key: str, routed: dict[str, Any]
) -> None:
    decisions = Decision.objects.count()
    again = get(apollo_key, f"decisions/{routed['id']}", rerun="true").json()["rerun"]
    assert (again["same_model"], again["same_table"], again["changes"]) == (True, True, [])
    assert again["choice"]["reason_code"] == routed["reason"]["code"]
    for before, after in zip(
        routed["evidence"]["candidates"], again["choice"]["candidates"], strict=True
    ):
        assert after["model"] == before["model"]
        assert after["verdict"] == before["verdict"]
        assert after["accuracy"] == pytest.approx(before["accuracy"], abs=2e-4)
    assert (Decision.objects.count(), TaskOutcome.objects.count()) == (decisions, 0)


def test_deciding_again_tells_what_changed(
    apollo: Project, apollo_key: str, routed: dict[str, Any]
) -> None:
    Policy.objects.create(
        project=apollo,
        team=apollo.team,
        number=1,
        quality_bar=0.95,
        denied_models=[routed["model"]],
        balanced_models=["lab/best"],
        baseline_model="lab/best",
        author="test",
    )
    publish_table(table_bytes({**FLEET, "lab/new": (0.79, 20_000.0)}))
    again = get(apollo_key, f"decisions/{routed['id']}", rerun="true").json()["rerun"]
    assert (again["same_model"], again["same_table"]) == (False, False)
    assert again["choice"]["model"] == "lab/new"
    verdicts = {one["model"]: one["verdict"] for one in again["choice"]["candidates"]}
    assert verdicts[routed["model"]] == "denied"
    changed = {one["setting"]: one["after"] for one in again["changes"]}
    assert changed["denied_models"] == [routed["model"]]
    assert "quality_bar" not in changed


def test_deciding_again_may_leave_no_model(
    apollo: Project, apollo_key: str, routed: dict[str, Any]
) -> None:
    Policy.objects.create(
        project=apollo,
        team=apollo.team,
        number=1,
        denied_models=["*"],
        balanced_models=["lab/best"],
        baseline_model="lab/best",
        author="test",
    )
    again = get(apollo_key, f"decisions/{routed['id']}", rerun="true").json()["rerun"]
    assert again["choice"] is None
    assert again["refusal"]["code"] == "denied"


def test_a_decision_that_cannot_be_made_again_says_so(apollo: Project, apollo_key: str) -> None:
    decision = decide(apollo)
    answer = get(apollo_key, f"decisions/{decision.public_id}", rerun="true")
    assert answer.status_code == 422
    assert answer.json()["error"]["code"] == "not_repeatable"
    answer = get(apollo_key, f"decisions/{decision.public_id}", rerun="perhaps")
    assert answer.json()["error"]["param"] == "rerun"


def test_one_decision_takes_few_queries(
    apollo_key: str,
    routed: dict[str, Any],
    django_assert_max_num_queries: DjangoAssertNumQueries,
) -> None:
    # The key, the decision, its project; again: the policies, the table.
    with django_assert_max_num_queries(3):
        get(apollo_key, f"decisions/{routed['id']}")
    with django_assert_max_num_queries(7):
        assert get(apollo_key, f"decisions/{routed['id']}", rerun="true").json()["rerun"]
