"""The public leaderboard page."""

import datetime as dt
import json
import re
from typing import Any
from urllib.parse import urlencode

import pytest
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from leaderboard.tests.runs import DAY, make_run
from leaderboard.tests.tables import publish_table, table_bytes
from lib.taxonomy import ROUTES
from teams.models import Project

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
        ("harness=nothing", "hammer"),
        ("modality=smell", "image"),
    ],
)
def test_a_filter_that_does_not_exist_is_refused_with_what_does(
    client: Client, version: str, query: str, offered: str
) -> None:
    make_run("acme/weak")
    response = client.get(f"/leaderboard/?{query}")

    html = response.content.decode()
    assert response.status_code == 400
    assert f">{offered}</a>" in html
    assert "<script>" not in html.split("<main")[1]


def test_empty_values_and_foreign_parameters_are_as_if_absent(client: Client, version: str) -> None:
    response = client.get("/leaderboard/?route=&provider=&sort=&utm_source=mail")

    assert response.status_code == 200
    assert len(names(response.content.decode())) == len(MODELS)


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("max_price=cheap", "must be a number of US dollars"),
        ("max_price=nan", "must be a number of US dollars"),
        ("max_price=-1", "must be a number of US dollars"),
        ("compare=acme/strong,nobody/here", "no model &#x27;nobody/here&#x27;"),
        ("compare=a,b,c,d,e,f,g", "at most 6 models"),
    ],
)
def test_a_value_that_makes_no_sense_is_refused_with_what_would(
    client: Client, version: str, query: str, says: str
) -> None:
    response = client.get(f"/leaderboard/?{query}")

    assert response.status_code == 400
    assert says in response.content.decode()


def test_the_harness_filter_narrows_to_models_measured_in_it_and_says_so(
    client: Client, version: str
) -> None:
    make_run("acme/strong", harness="hammer")
    make_run("acme/weak", harness="tongs")
    make_run("zeta/gone", harness="tongs", withdrawn_at=timezone.now())

    html = client.get("/leaderboard/?harness=tongs").content.decode()

    assert names(html) == ["acme-weak"]
    assert "Only models with runs made in tongs." in html
    assert "count the runs of every harness" in html


def test_a_line_says_when_and_by_whom_it_was_measured_last(client: Client, version: str) -> None:
    make_run("acme/weak", source="first", measured_at=DAY)
    make_run("acme/weak", source="second", measured_at=DAY + dt.timedelta(days=9))

    html = client.get("/leaderboard/?compare=acme/weak").content.decode()

    assert "10 Mar 2026" in html
    assert "first, second" in html


def test_a_teams_own_run_leaves_no_trace(client: Client, version: str, apollo: Project) -> None:
    make_run("acme/weak", team=apollo.team, harness="secret-harness", source="secret-source")

    html = client.get("/leaderboard/").content.decode()

    assert "secret" not in html


def test_what_is_shown_follows_a_change_of_runs_at_once(client: Client, version: str) -> None:
    run = make_run("acme/weak", source="first-source")
    assert "first-source" in client.get("/leaderboard/").content.decode()

    run.withdrawn_at = timezone.now()
    run.save()

    assert "first-source" not in client.get("/leaderboard/").content.decode()


def test_compared_models_stand_side_by_side_alone(client: Client, version: str) -> None:
    by_commas = client.get("/leaderboard/?compare=acme/strong,acme/weak").content.decode()
    by_boxes = client.get("/leaderboard/?compare=acme/strong&compare=acme/weak").content.decode()

    assert names(by_boxes) == names(by_commas)
    assert names(by_commas) == ["acme-strong", "acme-weak"]
    side_by_side = by_commas.split("Side by side")[1]
    assert all(f"/routes/{route}/" in side_by_side for route in ROUTES)
    assert side_by_side.count(">inferred<") == 2 * (len(ROUTES) - 3)
    assert '<input type="checkbox"' not in by_commas


def test_filters_survive_the_choice_of_models_to_compare(client: Client, version: str) -> None:
    html = client.get("/leaderboard/?provider=acme&max_price=5&sort=cost").content.decode()

    form = html.split('<form id="compare"')[1].split("</form>")[0]
    for name, value in (("provider", "acme"), ("max_price", "5"), ("sort", "cost")):
        assert f'name="{name}" value="{value}"' in form
    assert 'value="acme/weak"' in html


def test_a_warm_page_asks_the_database_little(
    client: Client, version: str, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    make_run("acme/weak")
    client.get("/leaderboard/")

    with django_assert_max_num_queries(3):
        client.get("/leaderboard/")


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
    make_run("a/b", harness=name[:60], source=name[:40])

    for query in ("", "?compare=a/b", f"?{urlencode({'harness': name[:60]})}"):
        html = client.get(f"/leaderboard/{query}").content.decode()
        assert names(html) == ["a-b"]
        assert "<img" not in html


def test_only_reading(client: Client, version: str) -> None:
    assert client.post("/leaderboard/").status_code == 405
    assert client.head("/leaderboard/").status_code == 200
