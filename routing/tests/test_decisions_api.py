"""Past decisions over the API."""

from typing import Any

import pytest
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from routing.models import Decision
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
    decision = decide(apollo, session_id="s1", sticky=True, table_version="t_1")
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
        "evidence": {"candidates": []},
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
    for public_id in (foreign.public_id, "dec_nowhere", "a%00b"):
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
    ],
)
def test_decisions_can_be_narrowed(
    apollo: Project, apollo_key: str, filters: dict[str, str], found: list[str]
) -> None:
    decide(apollo, session_id="a")
    decide(
        apollo,
        session_id="b",
        model="lab/large",
        subtask_type="test_repair",
        reason_code="low_confidence",
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


def test_a_full_page_takes_two_queries(
    apollo: Project, apollo_key: str, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    for _ in range(20):
        decide(apollo)
    with django_assert_max_num_queries(2):
        assert len(get(apollo_key, "decisions").json()["data"]) == 20
