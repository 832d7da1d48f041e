"""Publishing while requests are served, and whose results move whose decisions."""

import threading
from typing import Any

import pytest
from django.db import OperationalError, connection
from django.test import Client
from msgspec import convert
from pytest_django import DjangoCaptureOnCommitCallbacks

from leaderboard.actions.cataloguing import write_benchmarks
from leaderboard.actions.publishing import do_publish_all, do_roll_back
from leaderboard.models import Run
from leaderboard.queries import load_table
from leaderboard.table import Table
from leaderboard.tests.runs import make_run, tasks
from leaderboard.tests.tables import publish_table, table_bytes
from lib.ids import new_id
from lib.taxonomy import DIFFICULTIES, ROUTES
from routing.actions.routing import Routed, do_route
from routing.api.shapes import Task
from routing.comparison import REQUEST
from routing.queries import live
from routing.tests.test_route_api import ask
from teams.actions import SystemActor
from teams.models import Project, User

ACTOR = SystemActor("test")
TASK = {"task_type": "debugging", "subtask_type": "bug_fixing", "difficulty": "medium"}
BODY = {"messages": [{"role": "user", "content": "The build is red."}], "task": TASK}


# Whose results count


@pytest.fixture
def measured(db: None) -> None:
    """A dear model that solves more, and a cheap one that solves half."""
    write_benchmarks()
    make_run("lab/small", tasks(60, 30, 100_000))
    make_run("lab/large", tasks(60, 42, 900_000))


def decision(key: str) -> dict[str, Any]:
    """Return what is decided on a bug to fix, with every candidate."""
    live.renew(new_id("test"))
    response = ask(key, BODY, "?explain=true&dry_run=true")
    assert response.status_code == 200
    body: dict[str, Any] = response.json()
    return {name: body[name] for name in ("model", "estimate", "candidates", "table_version")}


def submit(key: str, outcomes: dict[str, str]) -> None:
    """Submit own runs of the public benchmark: for each model the outcome of all its tasks."""
    runs = [
        {
            "benchmark": "swe-bench",
            "model": model,
            "harness": "apollo-secret-harness",
            "tasks": [{"task": f"task-{n:03}", "outcome": outcome} for n in range(60)],
        }
        for model, outcome in outcomes.items()
    ]
    response = Client().post(
        "/api/v1/benchmarks/runs",
        {"runs": runs},
        content_type="application/json",
        headers={"Authorization": f"Bearer {key}"},
    )
    assert response.status_code < 300, response.content
    assert [run["status"] for run in response.json()["runs"]] == ["added"] * len(runs)


PUBLIC = (
    "/api/v1/leaderboard",
    "/api/v1/leaderboard.csv",
    "/api/v1/models",
    "/api/v1/routing-table",
    "/api/v1/routing-table.csv",
    "/api/v1/models/lab/small",
    "/api/v1/routes/debugging/bug_fixing",
)


def public_answers() -> list[bytes]:
    """Return what the public API says."""
    responses = [Client().get(path) for path in PUBLIC]
    assert {response.status_code for response in responses} == {200}
    return [response.content for response in responses]


def test_a_teams_own_results_move_its_decisions_and_nobody_elses(
    measured: None, apollo: Project, apollo_key: str, borealis_key: str
) -> None:
    do_publish_all(actor=ACTOR)
    public, before = public_answers(), decision(borealis_key)
    assert decision(apollo_key) == before
    assert before["model"] == "lab/large"

    submit(apollo_key, {"lab/small": "passed", "lab/large": "failed"})

    assert decision(apollo_key)["model"] == "lab/small"
    assert decision(borealis_key) == before
    do_publish_all(actor=ACTOR)
    assert public_answers() == public, "nor with the next public table"
    for page in ("/leaderboard/", "/models/lab/small/"):
        assert "apollo-secret" not in Client().get(page).content.decode()


def test_a_teams_table_is_shown_to_nobody(measured: None, apollo: Project, apollo_key: str) -> None:
    make_run("lab/small", tasks(60, 60, 100_000), team=apollo.team)
    do_publish_all(actor=ACTOR)
    own = decision(apollo_key)["table_version"]
    public = Client().get("/api/v1/routing-table").json()["version"]
    assert own != public
    for before, after in ((own, public), (public, own), (own, own)):
        assert Client().get(f"/api/v1/routing-tables/{before}...{after}").status_code == 404
        assert Client().get(f"/tables/{before}...{after}/").status_code == 404


def test_without_results_of_its_own_a_team_is_routed_by_the_public_table(
    measured: None, apollo: Project, apollo_key: str, borealis_key: str
) -> None:
    make_run("lab/small", tasks(60, 60, 100_000), team=apollo.team)
    do_publish_all(actor=ACTOR)
    assert decision(apollo_key) != decision(borealis_key)
    Run.objects.filter(team=apollo.team).delete()
    do_publish_all(actor=ACTOR)
    assert decision(apollo_key) == decision(borealis_key)


def test_a_policy_can_name_what_its_own_team_measured(
    measured: None, alice: User, apollo: Project, charlie: User, borealis: Project
) -> None:
    make_run("lab/own", tasks(60, 50, 100_000), team=apollo.team)
    do_publish_all(actor=ACTOR)
    offered = {}
    for person, project in ((alice, apollo), (charlie, borealis)):
        client = Client()
        client.force_login(person)
        page = client.get(f"/projects/{project.slug}/policy/").content.decode()
        offered[project.slug] = "lab/own" in page
    assert offered == {"apollo": True, "borealis": False}


def test_requests_follow_a_publication_and_a_rollback(
    db: None,
    apollo_key: str,
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
) -> None:
    first = publish_table(table_bytes({"lab/small": (0.7, 1000.0)}))
    second = publish_table(table_bytes({"lab/large": (0.7, 1000.0)}))
    assert ask(apollo_key, BODY).json()["table_version"] == second.version
    with django_capture_on_commit_callbacks(execute=True):
        do_roll_back(first.version, actor=ACTOR)
    assert ask(apollo_key, BODY).json()["table_version"] == first.version


# While requests are served


def expected(table: Table) -> dict[str, tuple[float, int]]:
    """Return each model's figures on `TASK`, as a decision from this table shows them."""
    where = ROUTES.index("debugging/bug_fixing"), DIFFICULTIES.index("medium")
    return {
        model.model_id: (
            round(float(table.cells.accuracy[place][where]), 4),
            round(float(table.cells.cost[place][where])),
        )
        for place, model in enumerate(table.models)
    }


@pytest.mark.django_db(transaction=True)
def test_no_decision_mixes_two_tables(apollo_key: str) -> None:
    versions = [
        publish_table(table_bytes(fleet)).version
        for fleet in (
            {"lab/small": (0.7, 1000.0), "lab/large": (0.72, 2000.0)},
            {"lab/large": (0.5, 300.0), "lab/other": (0.52, 700.0), "lab/small": (0.3, 900.0)},
        )
    ]
    figures = {version: expected(load_table(version)) for version in versions}
    made: list[Routed] = []
    failures: list[Exception] = []
    done = threading.Event()

    def keep_routing() -> None:
        """Route as fast as it goes, as a thread of the server does."""
        try:
            while not done.is_set():
                try:
                    known = live.situation(apollo_key, None)
                except OperationalError:
                    continue  # a table that is being written cannot be read in SQLite's memory
                assert known is not None
                made.append(
                    do_route(
                        known,
                        BODY["messages"],  # type: ignore[arg-type]
                        REQUEST,
                        mode=None,
                        tools=(),
                        task=convert(TASK, Task),
                        session_id=None,
                        record=False,
                    )
                )
        except Exception as error:
            failures.append(error)
        finally:
            connection.close()

    assert live.situation(apollo_key, None) is not None
    threads = [threading.Thread(target=keep_routing) for _ in range(4)]
    for thread in threads:
        thread.start()
    moves = 0
    for _ in range(400):
        try:
            do_roll_back(versions[moves % 2], actor=ACTOR)
        except OperationalError:
            continue  # nor written while it is being read
        moves += 1
        if moves == 40:
            break
    done.set()
    for thread in threads:
        thread.join()
    assert failures == []
    assert moves == 40
    assert {routed.table_version for routed in made} == set(versions)
    for routed in made:
        assert routed.table_version is not None
        shown = {
            one.model: (one.accuracy, one.cost_micro_usd) for one in routed.evidence.candidates
        }
        assert shown == figures[routed.table_version]
