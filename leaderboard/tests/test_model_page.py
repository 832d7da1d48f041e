"""The page of a model, and the same in the API."""

import datetime as dt
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from leaderboard import serializers
from leaderboard.models import Price
from leaderboard.tests.runs import make_model, make_run
from leaderboard.tests.tables import publish_table, table_bytes
from leaderboard.tests.test_public_api import assert_documented
from lib.taxonomy import ROUTES
from teams.models import Project

pytestmark = pytest.mark.django_db
MODELS = {
    "acme/strong": (0.9, 900_000.0),
    "acme/weak": (0.4, 50_000.0),
    "zeta/mid": (0.85, 100_000.0),
}
HOSTILE = "<script>alert(1)</script>"
MILLION = 1_000_000


@pytest.fixture
def version() -> str:
    return publish_table(table_bytes(MODELS)).version


def page(client: Client, model_id: str) -> str:
    response = client.get(f"/models/{model_id}/")
    assert response.status_code == 200
    html: str = response.content.decode().split("<main")[1]
    return html


def body(client: Client, model_id: str) -> Any:
    response = client.get(f"/api/v1/models/{model_id}")
    assert response.status_code == 200
    found = response.json()
    assert_documented(serializers.ModelDetailSerializer, found)
    return found


def add_price(model_id: str, day: str, dollars: int, **fields: Any) -> None:
    Price.objects.create(
        model=make_model(model_id),
        valid_from=dt.date.fromisoformat(day),
        input_micro_usd=dollars * MILLION,
        output_micro_usd=dollars * 5 * MILLION,
        source="list",
        **fields,
    )


def test_accuracy_and_cost_by_route_say_what_was_measured(client: Client, version: str) -> None:
    html = page(client, "acme/strong")

    assert all(f"/routes/{route}/" in html for route in ROUTES)
    assert html.count(">measured<") == 3
    assert html.count(">inferred<") == len(ROUTES) - 3
    assert "85.0% to 95.0%" in html
    assert "$0.900" in html


def test_the_api_has_the_same_figures(client: Client, version: str) -> None:
    found = body(client, "acme/strong")

    assert found["table_version"] == version
    assert found["overall"]["rank"] == {"best": 1, "worst": 2}
    assert found["overall"]["accuracy"] == {"mean": 0.9, "low": 0.85, "high": 0.95}
    assert [one["route"] for one in found["routes"]] == list(ROUTES)
    assert sum(one["n"] > 0 for one in found["routes"]) == 3
    assert found["neighbours"] == ["zeta/mid"]


def test_neighbours_are_linked_and_offered_for_comparison(client: Client, version: str) -> None:
    html = page(client, "acme/strong")

    neighbours = html.split("Compared with")[1]
    assert 'href="/models/zeta/mid/"' in neighbours
    assert "/models/acme/weak/" not in neighbours
    assert "/leaderboard/?compare=acme/strong%2Czeta/mid" in html


def test_every_run_is_shown_with_what_it_takes_to_check_it(client: Client, version: str) -> None:
    make_run(
        "acme/strong",
        [("a", 1.0, 2 * MILLION), ("b", 0.0, None), ("c", None, 4 * MILLION), ("d", 0.5, 0)],
        harness="hammer",
        harness_version="1.2",
        url="https://example.org/run/7",
        command="bench run --model strong",
    )
    make_run("acme/weak", command="of another model")

    html = page(client, "acme/strong")
    (run,) = body(client, "acme/strong")["runs"]

    for text in ("hammer 1.2", "$3.00", "1 Mar 2026", "bench run --model strong"):
        assert text in html
    assert 'href="https://example.org/run/7"' in html
    assert "of another model" not in html
    assert (run["benchmark"], run["route"]) == ("swe-bench", "debugging/bug_fixing")
    assert (run["n"], run["passed"], run["mean_cost_micro_usd"]) == (3, 1.5, 3 * MILLION)


def test_a_run_without_an_address_leads_to_its_feed(client: Client, version: str) -> None:
    make_run("acme/strong", origin="https://example.org/feed")

    assert 'href="https://example.org/feed"' in page(client, "acme/strong")


def test_repeated_trials_of_a_task_are_one_task(client: Client, version: str) -> None:
    make_run("acme/strong", [("a", 1.0, 10), ("a", 0.0, 30), ("b", 1.0, 20)])

    (run,) = body(client, "acme/strong")["runs"]

    assert (run["n"], run["passed"], run["mean_cost_micro_usd"]) == (2, 1.5, 20)


def test_an_aggregate_run_shows_what_it_reported(client: Client, version: str) -> None:
    make_run("acme/strong")

    (run,) = body(client, "acme/strong")["runs"]

    assert (run["n"], run["passed"], run["mean_cost_micro_usd"]) == (100, 61.5, 100_000)


def test_what_no_longer_counts_is_kept_as_history(client: Client, version: str) -> None:
    now = timezone.now()
    make_run("acme/strong", origin="in-force.jsonl")
    make_run("acme/strong", origin="older.jsonl", superseded_at=now)
    make_run("acme/strong", origin="wrong.jsonl", withdrawn_at=now)

    live, past = page(client, "acme/strong").split("Runs that no longer count", 1)

    assert "in-force.jsonl" in live
    assert "older.jsonl" in past
    assert "wrong.jsonl" in past
    assert ">withdrawn " in past
    assert ">superseded " in past
    states = {
        run["origin"]: (run["superseded_at"] is not None, run["withdrawn_at"] is not None)
        for run in body(client, "acme/strong")["runs"]
    }
    assert states == {
        "in-force.jsonl": (False, False),
        "older.jsonl": (True, False),
        "wrong.jsonl": (False, True),
    }


def test_a_teams_own_runs_are_shown_to_nobody_here(
    client: Client, version: str, apollo: Project
) -> None:
    make_run("acme/strong", team=apollo.team, origin="secret.jsonl", harness="secret")
    client.force_login(apollo.team.memberships.get().user)

    assert "secret" not in page(client, "acme/strong")
    assert body(client, "acme/strong")["runs"] == []


def test_the_price_history_has_every_price_and_a_chart_of_its_changes(
    client: Client, version: str
) -> None:
    add_price("acme/strong", "2025-01-01", 3)
    assert "price-figure" not in page(client, "acme/strong")
    add_price("acme/strong", "2025-06-01", 2)
    add_price("acme/strong", "2025-06-01", 4, above_input_tokens=200_000)

    html = page(client, "acme/strong")
    history = body(client, "acme/strong")["price_history"]

    assert "price-figure" in html
    assert "above 200,000 input tokens" in html
    assert [
        (one["valid_from"], one["above_input_tokens"], one["input_micro_usd"]) for one in history
    ] == [
        ("2025-06-01", 0, 2 * MILLION),
        ("2025-06-01", 200_000, 4 * MILLION),
        ("2025-01-01", 0, 3 * MILLION),
    ]


def test_a_model_of_the_catalogue_that_nothing_measured(client: Client, version: str) -> None:
    make_model("acme/new")

    html = page(client, "acme/new")
    found = body(client, "acme/new")

    assert "Not in the published table." in html
    assert (found["overall"], found["routes"], found["neighbours"]) == (None, [], [])


def test_before_the_first_table_a_model_has_its_page(client: Client) -> None:
    make_model("acme/new")

    assert "Not in the published table." in page(client, "acme/new")
    assert body(client, "acme/new")["table_version"] is None


@pytest.mark.parametrize("model_id", ["nobody/here", "acme", "acme/strong/more", "%00", "a/%3Cb"])
def test_an_unknown_model_is_not_found(client: Client, version: str, model_id: str) -> None:
    assert client.get(f"/models/{model_id}/").status_code == 404
    response = client.get(f"/api/v1/models/{model_id}")
    assert (response.status_code, response.json()["error"]["code"]) == (404, "not_found")


def test_hostile_names_stay_text_and_lead_nowhere(client: Client) -> None:
    details = {"a/b": {"name": HOSTILE}}
    publish_table(table_bytes({"a/b": (0.5, 1000.0)}, details=details))
    make_run(
        "a/b",
        harness=HOSTILE,
        harness_version=HOSTILE,
        source=HOSTILE,
        origin=HOSTILE,
        command=HOSTILE,
        url="javascript:alert(1)",
    )

    html = page(client, "a/b")

    assert "<script>alert" not in html
    assert "javascript:" not in html
    assert body(client, "a/b")["runs"][0]["url"] == ""


def test_a_hostile_id_has_a_page_that_its_links_reach(client: Client) -> None:
    model_id = 'x/"><b>?y#z'
    publish_table(table_bytes({model_id: (0.5, 1000.0)}))

    board = client.get("/leaderboard/").content.decode()

    address = board.split('<a class="nowrap" href="')[1].split('"')[0]
    response = client.get(address)
    assert response.status_code == 200
    assert "<b>" not in response.content.decode()


def test_the_api_answer_can_be_cached(client: Client, version: str) -> None:
    first = client.get("/api/v1/models/acme/strong")

    again = client.get("/api/v1/models/acme/strong", headers={"If-None-Match": first["ETag"]})
    assert again.status_code == 304
    make_run("acme/strong")
    changed = client.get("/api/v1/models/acme/strong", headers={"If-None-Match": first["ETag"]})
    assert changed.status_code == 200
