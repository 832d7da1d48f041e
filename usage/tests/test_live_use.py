"""What is reported over the API counts against models, and is shown to the team alone."""

import contextlib
import datetime as dt
import json
from typing import Any

import pytest
from django.db import OperationalError, connection
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoCaptureOnCommitCallbacks, Settings

from leaderboard.tests.tables import publish_table, table_bytes
from lib.ids import new_id
from routing.actions.policies import do_save_policy
from routing.actions.recording import do_record_decisions
from routing.models import TaskOutcome
from teams.actions import SystemActor, do_create_key, do_create_project
from teams.keys import Scope
from teams.models import Project, User
from usage.models import UsageEvent
from usage.tests.test_pages import text_of
from usage.tests.traffic import catalogue, decide, settle

pytestmark = pytest.mark.django_db
SETUP = SystemActor("test setup")
FLEET = {
    "open/cheap": (0.78, 50_000.0),
    "openai/gpt-5.4": (0.79, 400_000.0),
    "anthropic/claude-opus-4.8": (0.80, 900_000.0),
}
FIX = {"task_type": "debugging", "subtask_type": "bug_fixing", "difficulty": "medium"}
ROUTE = "debugging/bug_fixing"


@pytest.fixture(autouse=True)
def _world(db: None) -> None:
    catalogue(*FLEET)
    publish_table(table_bytes(FLEET))


@pytest.fixture
def browser_of_bob(client: Client, bob: User) -> Client:
    client.force_login(bob)
    return client


def post(key: str, path: str, body: Any) -> Any:
    response = Client().post(
        f"/api/v1/{path}",
        json.dumps(body),
        content_type="application/json",
        headers={"Authorization": f"Bearer {key}"},
    )
    assert response.status_code == 200, response.content
    return response.json()


def route(key: str, session: str | None = None) -> Any:
    body = {"messages": [{"role": "user", "content": "fix the date bug"}], "task": FIX}
    return post(key, "route?explain=true", body | ({"session_id": session} if session else {}))


def report(key: str, count: int, **fields: Any) -> Any:
    events = [
        {"event_id": new_id("evt"), "model": "open/cheap", "session_id": f"s{n}", **fields}
        for n in range(count)
    ]
    return post(key, "usage", {"events": events})


def verdict(answer: Any, model: str) -> str:
    return next(str(one["verdict"]) for one in answer["candidates"] if one["model"] == model)


# Failures in a session


def test_an_outcome_that_could_not_be_kept_is_not_lost(apollo_key: str, settings: Settings) -> None:
    def away(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if TaskOutcome._meta.db_table in sql:
            raise OperationalError("the connection was lost")
        return execute(sql, params, many, context)

    decision = route(apollo_key, "s1")
    event = {
        "event_id": "evt_1",
        "model": decision["model"],
        "decision_id": decision["id"],
        "outcome": "failed",
    }
    # With a store it is held there, without one the client is told to send it again.
    told = contextlib.nullcontext() if settings.REDIS_URL else pytest.raises(AssertionError)
    with connection.execute_wrapper(away), told:
        post(apollo_key, "usage", {"events": [event]})
    if settings.REDIS_URL:
        settle()
    else:
        post(apollo_key, "usage", {"events": [event]})
    assert TaskOutcome.objects.get().outcome == "failed"
    assert route(apollo_key, "s1")["model"] != decision["model"]


def test_a_failed_outcome_in_a_usage_event_escalates_the_session_once(apollo_key: str) -> None:
    first = route(apollo_key, "s1")
    assert first["model"] == "open/cheap"
    event = {
        "event_id": "e1",
        "model": "open/cheap",
        "decision_id": first["id"],
        "outcome": "failed",
    }
    post(apollo_key, "usage", {"events": [event]})
    second = route(apollo_key, "s1")
    assert (second["model"], second["reason"]["code"]) == ("openai/gpt-5.4", "escalated")
    accepted = {"event_id": "e2", "model": second["model"], "decision_id": second["id"]}
    post(apollo_key, "usage", {"events": [{**accepted, "outcome": "accepted"}]})
    # A batch that is sent again must not bring the failure back.
    post(apollo_key, "usage", {"events": [event]})
    assert route(apollo_key, "s1")["reason"]["code"] != "escalated"


def test_outcomes_after_a_failure_are_kept_but_are_no_evidence(apollo_key: str) -> None:
    first = route(apollo_key, "s1")
    rungs = [("open/cheap", "failed"), ("openai/gpt-5.4", "accepted")]
    events = [
        {"event_id": model, "model": model, "decision_id": first["id"], "outcome": outcome}
        for model, outcome in rungs
    ]
    post(apollo_key, "usage", {"events": events})
    second = route(apollo_key, "s1")
    post(apollo_key, f"decisions/{second['id']}/outcome", {"outcome": "accepted"})
    marks = TaskOutcome.objects.values_list("decision_id", "model", "after_failure")
    assert set(marks) == {
        (first["id"], "open/cheap", False),
        (first["id"], "openai/gpt-5.4", True),
        (second["id"], second["model"], second["model"] != "open/cheap"),
    }


# Models that fail in real use


def test_a_model_whose_calls_fail_loses_its_place_and_gets_it_back(
    apollo_key: str, browser_of_bob: Client
) -> None:
    assert route(apollo_key)["model"] == "open/cheap"
    report(apollo_key, 4, status="error")
    assert route(apollo_key)["model"] == "open/cheap"
    report(apollo_key, 4, status="error")
    answer = route(apollo_key)
    assert answer["model"] == "openai/gpt-5.4"
    assert verdict(answer, "open/cheap") == "failing_now"
    for page in ("", "board/"):
        text = text_of(browser_of_bob.get(f"/projects/apollo/{page}"))
        assert "open/cheap is out since" in text
        assert "(UTC)" in text
        assert "100% of its latest calls ended in an error" in text
    report(apollo_key, 16)
    assert route(apollo_key)["model"] == "open/cheap"
    assert "is out since" not in text_of(browser_of_bob.get("/projects/apollo/"))


def test_a_session_leaves_a_failing_model_and_says_why(apollo_key: str) -> None:
    assert route(apollo_key, "mine")["model"] == "open/cheap"
    report(apollo_key, 8, status="error")
    answer = route(apollo_key, "mine")
    assert answer["model"] == "openai/gpt-5.4"
    assert answer["session"]["switched"]
    assert "failing in real use" in answer["session"]["switch_reason"]


def test_one_session_takes_no_model_from_the_others(apollo_key: str) -> None:
    report(apollo_key, 50, status="error", session_id="one and the same")
    assert route(apollo_key)["model"] == "open/cheap"


def test_errors_of_an_hour_ago_count_no_more(apollo_key: str) -> None:
    then = (timezone.now() - dt.timedelta(hours=1)).isoformat()
    report(apollo_key, 8, status="error", occurred_at=then)
    assert route(apollo_key)["model"] == "open/cheap"


def test_when_all_fail_it_counts_against_none(apollo_key: str) -> None:
    for model in FLEET:
        report(apollo_key, 9, status="error", model=model)
    answer = route(apollo_key)
    assert answer["model"] == "open/cheap"
    assert "Every model that could take this is failing in real use" in answer["reason"]["text"]


def test_another_teams_errors_change_and_show_nothing(
    apollo_key: str, borealis_key: str, client: Client, charlie: User, apollo: Project
) -> None:
    report(apollo_key, 9, status="error")
    assert route(borealis_key)["model"] == "open/cheap"
    client.force_login(charlie)
    for page in ("", "board/"):
        assert "is out since" not in text_of(client.get(f"/projects/borealis/{page}"))
    sister = do_create_project(apollo.team, "Sister", actor=SETUP)
    _, key = do_create_key(sister, "all", Scope, actor=SETUP)
    assert route(key)["model"] == "openai/gpt-5.4"


def test_rejected_work_takes_a_model_out_as_well_but_not_a_handful(
    apollo_key: str, browser_of_bob: Client
) -> None:
    for n in range(10):
        answer = route(apollo_key, f"s{n}")
        assert answer["model"] == "open/cheap", n
        post(apollo_key, f"decisions/{answer['id']}/outcome", {"outcome": "rejected"})
    assert route(apollo_key)["model"] == "openai/gpt-5.4"
    page = text_of(browser_of_bob.get("/projects/apollo/"))
    assert "100% of its latest tasks failed or were rejected" in page


def test_without_the_store_reports_are_kept_all_the_same(
    apollo: Project, apollo_key: str, settings: Any
) -> None:
    decision = decide(apollo, model="open/cheap")
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    report(apollo_key, 1, decision_id=decision.public_id, outcome="failed")
    assert (UsageEvent.objects.count(), TaskOutcome.objects.count()) == (1, 1)


# Outcomes as evidence


def outcomes(project: Project, count: int, outcome: str, model: str = "open/cheap") -> None:
    """Store outcomes as if they had been reported lately."""
    TaskOutcome.objects.bulk_create(
        TaskOutcome(
            project=project,
            decision_id=new_id("dec"),
            model=model,
            route=ROUTE,
            difficulty="medium",
            outcome=outcome,
            key_id="key_test",
        )
        for _ in range(count)
    )


def follow(project: Project, actor: User, *, live_evidence: bool) -> None:
    """Save a policy that is the default but for one setting."""
    do_save_policy(
        project,
        actor=actor,
        based_on=None,
        balanced_models=["openai/gpt-5.4"],
        baseline_model="anthropic/claude-opus-4.8",
        live_evidence=live_evidence,
    )


@pytest.mark.parametrize(("counts", "taken"), [(False, "open/cheap"), (True, "openai/gpt-5.4")])
def test_outcomes_count_when_the_policy_says_so(
    apollo: Project,
    alice: User,
    apollo_key: str,
    borealis_key: str,
    counts: bool,
    taken: str,
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
) -> None:
    outcomes(apollo, 200, "failed")
    with django_capture_on_commit_callbacks(execute=True):
        follow(apollo, alice, live_evidence=counts)
    answer = route(apollo_key)
    assert answer["model"] == taken
    mean = next(one["accuracy"] for one in answer["candidates"] if one["model"] == "open/cheap")
    assert (mean < 0.6) == counts
    assert route(borealis_key)["model"] == "open/cheap"


def test_old_outcomes_and_those_after_a_failure_do_not_count(
    apollo: Project,
    alice: User,
    apollo_key: str,
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
) -> None:
    outcomes(apollo, 100, "failed")
    TaskOutcome.objects.update(reported_at=timezone.now() - dt.timedelta(days=200))
    outcomes(apollo, 100, "failed")
    TaskOutcome.objects.filter(reported_at__gt=timezone.now() - dt.timedelta(days=1)).update(
        after_failure=True
    )
    with django_capture_on_commit_callbacks(execute=True):
        follow(apollo, alice, live_evidence=True)
    assert route(apollo_key)["model"] == "open/cheap"


def test_the_teams_own_board_shows_them_beside_the_benchmarks(
    apollo: Project, borealis: Project, charlie: User, browser_of_bob: Client
) -> None:
    for project in (apollo, borealis):
        for _ in range(20):
            decide(project, model="open/cheap")
    outcomes(apollo, 30, "accepted")
    outcomes(apollo, 10, "failed")
    page = text_of(browser_of_bob.get("/projects/apollo/board/"))
    assert "open/cheap Debugging / Bug fixing 40 75%" in page
    assert "only shows them" in page
    other = Client()
    other.force_login(charlie)
    assert "No outcome was reported yet" in text_of(other.get("/projects/borealis/board/"))
    public = text_of(Client().get("/leaderboard/"))
    assert "real use" not in public.lower()


def test_the_decision_says_that_live_use_counted(
    apollo: Project,
    alice: User,
    apollo_key: str,
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        follow(apollo, alice, live_evidence=True)
    decision_id = route(apollo_key)["id"]
    do_record_decisions()
    evidence = (
        Client()
        .get(f"/api/v1/decisions/{decision_id}", headers={"Authorization": f"Bearer {apollo_key}"})
        .json()["evidence"]
    )
    assert (evidence["live_evidence"], evidence["failed"]) == (True, [])
