"""The public leaderboard page."""

import json
import re
from typing import Any

import pytest
from django.test import Client

from leaderboard.tests.tables import publish_table, table_bytes
from lib.taxonomy import ROUTES

pytestmark = pytest.mark.django_db
MODELS = {
    "acme/strong": (0.9, 900_000.0),
    "acme/weak": (0.4, 50_000.0),
    "unlisted/ghost": (0.3, 400_000.0),
    "zeta/gone": (0.85, 100_000.0),
}
DETAILS: dict[str, dict[str, Any]] = {
    "zeta/gone": {"available": False},
    "acme/weak": {"context_tokens": None},
}


@pytest.fixture
def version() -> str:
    return publish_table(table_bytes(MODELS, details=DETAILS)).version


def names(html: str) -> list[str]:
    """Return the models in the order of the table's lines."""
    return re.findall(r'<tr id="model-([^"]+)"', html)


def test_anyone_sees_every_model_with_interval_and_dollars(client: Client, version: str) -> None:
    response = client.get("/leaderboard/")

    html = response.content.decode()
    assert response.status_code == 200
    assert names(html) == ["acme-strong", "zeta-gone", "acme-weak", "unlisted-ghost"]
    for text in (
        "90.0%",
        "85.0% to 95.0%",
        "$0.900",
        "$0.720 to $1.12",
        "1–2",
        "200K",
        "$1.00 / $5.00",
    ):
        assert text in html
    assert html.count(">unavailable<") == 1
    assert html.count(">not in catalogue<") == 1


def test_sources_version_and_date_are_credited(client: Client, version: str) -> None:
    html = client.get("/leaderboard/").content.decode()

    assert version in html
    assert "made-up: 3 runs" in html
    assert "newest of 2026-01-31" in html
    assert "licence: CC0-1.0" in html


def test_the_address_holds_filter_and_sort(client: Client, version: str) -> None:
    html = client.get(
        "/leaderboard/?provider=acme&sort=cost&route=debugging/bug_fixing"
    ).content.decode()

    assert names(html) == ["acme-weak", "acme-strong"]
    assert "Debugging / Bug fixing" in html
    assert 'aria-sort="ascending"' in html
    assert "?route=debugging%2Fbug_fixing&amp;provider=acme&amp;sort=n" in html
    assert "leaderboard.csv?route=debugging%2Fbug_fixing&amp;provider=acme&amp;sort=cost" in html


def test_a_route_that_nothing_measured_says_so(client: Client, version: str) -> None:
    inferred = client.get("/leaderboard/?route=refactoring/migration").content.decode()
    measured = client.get("/leaderboard/?route=debugging/bug_fixing").content.decode()

    assert "Inferred, not measured." in inferred
    assert inferred.count(">inferred<") == len(MODELS)
    assert "Inferred, not measured." not in measured


def test_the_route_filter_offers_all_routes_and_marks_the_measured(
    client: Client, version: str
) -> None:
    html = client.get("/leaderboard/").content.decode()

    assert all(f'value="{route}"' in html for route in ROUTES)
    assert html.count("(measured)") == 3
    assert html.count("(inferred)") == len(ROUTES) - 3


@pytest.mark.parametrize(
    ("query", "offered"),
    [
        ("route=debugging", "debugging/bug_fixing"),
        ("provider=nobody", "zeta"),
        ("sort=price", "accuracy_per_dollar"),
        ("sort=%00<script>", "accuracy_per_dollar"),
    ],
)
def test_a_filter_that_does_not_exist_is_refused_with_what_does(
    client: Client, version: str, query: str, offered: str
) -> None:
    response = client.get(f"/leaderboard/?{query}")

    html = response.content.decode()
    assert response.status_code == 400
    assert f">{offered}</a>" in html
    assert "<script>" not in html.split("<main")[1]


def test_empty_values_and_foreign_parameters_are_as_if_absent(client: Client, version: str) -> None:
    response = client.get("/leaderboard/?route=&provider=&sort=&utm_source=mail")

    assert response.status_code == 200
    assert len(names(response.content.decode())) == len(MODELS)


def test_without_a_table_the_page_says_how_to_publish_one(client: Client) -> None:
    response = client.get("/leaderboard/?provider=acme")

    assert response.status_code == 200
    assert "manage.py publish" in response.content.decode()


def test_the_chart_has_every_model_and_joins_the_pareto_ones(client: Client, version: str) -> None:
    html = client.get("/leaderboard/").content.decode()
    script = re.search(r'<script id="board-figure" type="application/json">(.*?)</script>', html)
    assert script
    figure = json.loads(script[1])

    dominated, pareto = figure["data"]
    assert [text.split("<br>")[0] for text in dominated["hovertext"]] == ["ghost"]
    assert pareto["text"] == ["weak", "gone", "strong"]
    assert pareto["x"] == [0.05, 0.1, 0.9]
    assert pareto["error_x"]["array"] == pytest.approx([0.0125, 0.025, 0.225])
    assert pareto["error_y"]["arrayminus"] == pytest.approx([0.05, 0.05, 0.05])
    assert figure["layout"]["xaxis"]["type"] == "log"
    assert pareto["customdata"][0] == "/leaderboard/#model-acme-weak"


def test_a_hostile_model_name_stays_text(client: Client) -> None:
    name = '</script><img src=x onerror="alert(1)">'
    publish_table(table_bytes({"a/b": (0.5, 1000.0)}, details={"a/b": {"name": name}}))

    html = client.get("/leaderboard/").content.decode()

    assert "<img" not in html


def test_only_reading(client: Client, version: str) -> None:
    assert client.post("/leaderboard/").status_code == 405
    assert client.head("/leaderboard/").status_code == 200
