"""The page of a route, and the same in the API: who wins, and why."""

from typing import Any

import pytest
from django.test import Client
from pytest_django import Settings

from leaderboard.tests.runs import make_run
from leaderboard.tests.tables import publish_table, table_bytes
from leaderboard.tests.test_public_api import assert_documented
from lib.taxonomy import DIFFICULTIES, ROUTES
from routing.api.routes import RouteWinnersSerializer
from routing.engine.inputs import MODES

pytestmark = pytest.mark.django_db
ROUTE = "debugging/bug_fixing"
MODELS = {
    "acme/strong": (0.9, 900_000.0),
    "acme/cheap": (0.88, 50_000.0),
    "acme/weak": (0.4, 10_000.0),
}


@pytest.fixture
def version(settings: Settings) -> str:
    settings.BALANCED_MODEL = settings.BASELINE_MODEL = "acme/strong"
    return publish_table(table_bytes(MODELS, half_width=0.005)).version


def body(client: Client, query: str = "", route: str = ROUTE) -> Any:
    response = client.get(f"/api/v1/routes/{route}{query}")
    assert response.status_code == 200
    found = response.json()
    assert_documented(RouteWinnersSerializer, found)
    return found


def test_every_mode_and_difficulty_has_its_winner(client: Client, version: str) -> None:
    found = body(client)

    assert found["table_version"] == version
    assert (found["quality_bar"], found["evidence"]) == (0.95, 0.5)
    assert [(win["mode"], win["difficulty"]) for win in found["data"]] == [
        (mode, difficulty) for mode in MODES for difficulty in DIFFICULTIES
    ]
    models = {win["mode"]: win["model"] for win in found["data"]}
    assert models == {
        "auto_efficient": "acme/cheap",
        "accuracy_per_dollar": "acme/cheap",
        "best_accuracy": "acme/strong",
    }


def test_the_runner_up_is_who_would_win_without_the_winner(client: Client, version: str) -> None:
    (win,) = body(client, "?mode=auto_efficient&difficulty=low")["data"]

    assert (win["model"], win["runner_up"]) == ("acme/cheap", "acme/strong")
    assert win["reason"]["code"] == "cheapest_clearing"
    assert "acme/cheap is the cheapest model" in win["reason"]["text"]
    verdicts = {one["model"]: one["verdict"] for one in win["candidates"]}
    assert verdicts == {
        "acme/cheap": "chosen",
        "acme/strong": "dearer",
        "acme/weak": "below_bar",
    }


def test_difficulties_can_have_different_winners(client: Client, settings: Settings) -> None:
    settings.BALANCED_MODEL = settings.BASELINE_MODEL = "acme/strong"
    cells = {("acme/cheap", ROUTE, "high"): (0.3, 50_000.0)}
    publish_table(table_bytes(MODELS, cells=cells, half_width=0.005))

    wins = body(client, "?mode=auto_efficient")["data"]

    assert [win["model"] for win in wins] == ["acme/cheap", "acme/cheap", "acme/strong"]


def test_the_page_shows_winner_reason_and_verdicts(client: Client, version: str) -> None:
    response = client.get(f"/routes/{ROUTE}/?mode=best_accuracy&difficulty=high")

    html = response.content.decode()
    assert response.status_code == 200
    assert "Debugging / Bug fixing" in html
    assert html.count("acme/cheap is the cheapest model expected to reach 95%") == 3
    assert "acme/strong is the most accurate candidate on bug fixing (debugging, low)" in html
    candidates = html.split("Every candidate")[1]
    assert candidates.index("/models/acme/strong/") < candidates.index("/models/acme/cheap/")
    assert 'aria-label="Candidates, Best accuracy, high"' in candidates


def test_the_benchmarks_behind_a_route_are_named(client: Client, version: str) -> None:
    make_run("acme/strong")
    make_run("acme/cheap")
    make_run("acme/cheap", harness="tongs")

    (benchmark,) = body(client)["benchmarks"]
    html = client.get(f"/routes/{ROUTE}/").content.decode()

    assert (benchmark["benchmark"], benchmark["runs"], benchmark["models"]) == ("swe-bench", 3, 2)
    assert "SWE-bench Verified" in html
    assert "3 runs of 2 models" in html


def test_a_route_that_nothing_measures_says_so(client: Client, version: str) -> None:
    html = client.get("/routes/refactoring/migration/").content.decode()

    assert "Inferred: nothing measures this route." in html
    assert body(client, route="refactoring/migration")["benchmarks"] == []


@pytest.mark.parametrize("route", ROUTES)
def test_every_route_has_a_page_before_the_first_table(client: Client, route: str) -> None:
    html = client.get(f"/routes/{route}/").content.decode()

    assert "No routing table is published yet" in html
    assert (body(client, route=route)["data"], body(client, route=route)["table_version"]) == (
        [],
        None,
    )


@pytest.mark.parametrize("route", ["debugging/migration", "nothing/at_all"])
def test_an_unknown_route_is_not_found(client: Client, version: str, route: str) -> None:
    assert client.get(f"/routes/{route}/").status_code == 404
    response = client.get(f"/api/v1/routes/{route}")
    assert response.status_code == 404
    assert ROUTE in response.json()["error"]["message"]


@pytest.mark.parametrize(
    ("query", "param"),
    [("mode=default", "mode"), ("difficulty=hard", "difficulty"), ("sort=cost", "sort")],
)
def test_what_is_not_understood_is_refused(
    client: Client, version: str, query: str, param: str
) -> None:
    response = client.get(f"/api/v1/routes/{ROUTE}?{query}")

    assert (response.status_code, response.json()["error"]["param"]) == (400, param)


def test_unknown_choices_on_the_page_fall_back(client: Client, version: str) -> None:
    html = client.get(f"/routes/{ROUTE}/?mode=<b>&difficulty=%00").content.decode()

    assert 'aria-label="Candidates, Auto Efficient, medium"' in html
    assert "<b>" not in html


def test_when_no_model_can_take_it_the_page_still_answers(
    client: Client, settings: Settings
) -> None:
    settings.BALANCED_MODEL = settings.BASELINE_MODEL = "acme/only"
    details = {"acme/only": {"available": False}}
    publish_table(table_bytes({"acme/only": (0.9, 10.0)}, details=details))

    assert {win["model"] for win in body(client)["data"]} == {None}
    assert "No model of the table can take" in client.get(f"/routes/{ROUTE}/").content.decode()


def test_the_answer_can_be_cached(client: Client, version: str) -> None:
    first = client.get(f"/api/v1/routes/{ROUTE}")

    again = client.get(f"/api/v1/routes/{ROUTE}", headers={"If-None-Match": first["ETag"]})
    assert again.status_code == 304
