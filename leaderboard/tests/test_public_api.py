"""The public API: anyone may read, caches may keep it, and its documentation is true."""

import csv
import datetime as dt
import io
from typing import Any

import pytest
from django.test import Client
from rest_framework.serializers import Serializer

from leaderboard import serializers
from leaderboard.models import CatalogModel, Price
from leaderboard.tests.tables import publish_table, table_bytes
from lib.taxonomy import ROUTES

pytestmark = pytest.mark.django_db
MODELS = {
    "acme/strong": (0.9, 900_000.0),
    "acme/weak": (0.4, 50_000.0),
    "zeta/mid": (0.85, 100_000.0),
}
ALL = ("leaderboard", "leaderboard.csv", "models", "routing-table", "routing-table.csv")


@pytest.fixture
def version() -> str:
    return publish_table(table_bytes(MODELS)).version


@pytest.fixture
def catalogue() -> None:
    for name in ("alpha", "beta", "gamma"):
        CatalogModel.objects.create(
            model_id=f"acme/{name}",
            name=name,
            provider="acme",
            context_tokens=1000,
            input_modalities=["text"],
        )
    alpha = CatalogModel.objects.get(model_id="acme/alpha")
    for valid_from, dollars in (("2025-01-01", 3), ("2025-06-01", 2), ("2999-01-01", 1)):
        Price.objects.create(
            model=alpha,
            valid_from=dt.date.fromisoformat(valid_from),
            input_micro_usd=dollars * 1_000_000,
            output_micro_usd=dollars * 5_000_000,
            source="test",
        )


def get(client: Client, path: str, **headers: str) -> Any:
    return client.get(f"/api/v1/{path}", headers=headers)


def lines(response: Any) -> list[dict[str, str]]:
    assert response["Content-Type"].startswith("text/csv")
    return list(csv.DictReader(io.StringIO(response.content.decode())))


def assert_documented(serializer: type[Serializer[Any]], body: dict[str, Any]) -> None:
    """Hold the body against the documented shape: nothing missing, nothing more, right types."""
    checked = serializer(data=body)
    assert checked.is_valid(), checked.errors
    assert_same_keys(serializer(), body)


def assert_same_keys(serializer: Any, body: Any) -> None:
    if hasattr(serializer, "child"):
        for item in body:
            assert_same_keys(serializer.child, item)
    elif hasattr(serializer, "fields") and body is not None:
        assert set(body) == set(serializer.fields)
        for name, field in serializer.fields.items():
            assert_same_keys(field, body[name])


def test_leaderboard_ranks_models_with_intervals_and_cost(client: Client, version: str) -> None:
    response = get(client, "leaderboard")

    body = response.json()
    assert response.status_code == 200
    assert_documented(serializers.LeaderboardSerializer, body)
    assert body["table_version"] == version
    assert body["published_at"].endswith("Z")
    first = body["data"][0]
    assert first["model"] == "acme/strong"
    assert first["rank"] == {"best": 1, "worst": 2}
    assert first["accuracy"] == {"mean": 0.9, "low": 0.85, "high": 0.95}
    assert first["cost_micro_usd"] == {"mean": 900_000, "low": 720_000, "high": 1_125_000}
    assert first["accuracy_per_dollar"] == 1.0
    assert first["prices"]["output_micro_usd"] == 5_000_000


def test_page_csv_and_json_take_the_same_parameters(client: Client, version: str) -> None:
    query = "?provider=acme&sort=cost&route=refactoring/migration"

    body = get(client, "leaderboard" + query).json()
    rows = lines(get(client, "leaderboard.csv" + query))

    assert [row["model"] for row in body["data"]] == ["acme/weak", "acme/strong"]
    assert [row["model"] for row in rows] == ["acme/weak", "acme/strong"]
    assert (body["measured"], body["route"]) == (False, "refactoring/migration")
    assert {row["n"] for row in rows} == {"0"}


def test_csv_holds_raw_numbers(client: Client, version: str) -> None:
    (row, *_) = lines(get(client, "leaderboard.csv"))

    assert (row["accuracy"], row["cost_micro_usd"], row["n"]) == ("0.9", "900000", "360")


def test_csv_cells_cannot_run_in_a_spreadsheet(client: Client) -> None:
    details = {"a/b": {"name": '=HYPERLINK("http://x")'}}
    publish_table(table_bytes({"a/b": (0.5, 1000.0)}, details=details))

    assert lines(get(client, "leaderboard.csv"))[0]["name"] == '\'=HYPERLINK("http://x")'


def test_before_the_first_table_the_leaderboard_is_empty(client: Client) -> None:
    body = get(client, "leaderboard?provider=acme").json()

    assert_documented(serializers.LeaderboardSerializer, body)
    assert (body["data"], body["table_version"], body["published_at"]) == ([], None, None)
    assert lines(get(client, "leaderboard.csv")) == []


@pytest.mark.parametrize("path", ["routing-table", "routing-table.csv"])
def test_before_the_first_table_there_is_none_to_read(client: Client, path: str) -> None:
    response = get(client, path)

    error = response.json()["error"]
    assert (response.status_code, error["code"]) == (404, "no_table")
    assert "manage.py publish" in error["message"]


def test_the_routing_table_has_every_cell(client: Client, version: str) -> None:
    body = get(client, "routing-table").json()
    rows = lines(get(client, "routing-table.csv"))

    assert_documented(serializers.RoutingTableSerializer, body)
    assert body["version"] == version
    assert len(body["cells"]) == len(rows) == len(MODELS) * 18 * 3
    cells = {(cell["model"], cell["route"], cell["difficulty"]) for cell in body["cells"]}
    assert len(cells) == len(rows)
    bug_fixing = [cell for cell in body["cells"] if cell["route"] == "debugging/bug_fixing"]
    assert {cell["n"] for cell in bug_fixing} == {40}
    assert (rows[0]["table_version"], rows[0]["accuracy"]) == (version, "0.9")


def test_models_come_with_the_price_in_force(client: Client, catalogue: None) -> None:
    body = get(client, "models").json()

    assert_documented(serializers.ModelListSerializer, body)
    assert body["next_cursor"] is None
    prices = {model["model"]: model["prices"] for model in body["data"]}
    assert prices["acme/alpha"]["input_micro_usd"] == 2_000_000
    assert prices["acme/beta"] is None


def test_the_cursor_walks_all_models_once(client: Client, catalogue: None) -> None:
    seen: list[str] = []
    cursor: str | None = ""
    pages = 0
    while cursor is not None:
        body = get(client, f"models?limit=2&cursor={cursor}").json()
        seen += [model["model"] for model in body["data"]]
        cursor, pages = body["next_cursor"], pages + 1

    assert seen == ["acme/alpha", "acme/beta", "acme/gamma"]
    assert pages == 2


@pytest.mark.parametrize("path", ALL)
def test_caches_may_keep_an_answer_until_it_changes(
    client: Client, version: str, catalogue: None, path: str
) -> None:
    first = get(client, path)
    assert first.status_code == 200
    assert first["Cache-Control"] == "public, max-age=60"
    assert "Set-Cookie" not in first
    again = get(client, path, if_none_match=first["ETag"])
    assert (again.status_code, again.content, again["ETag"]) == (304, b"", first["ETag"])

    publish_table(table_bytes({"acme/new": (0.5, 1000.0)}))
    CatalogModel.objects.filter(model_id="acme/beta").update(is_available=False)

    assert get(client, path, if_none_match=first["ETag"]).status_code == 200


def test_each_question_has_its_own_etag(client: Client, version: str) -> None:
    tags = [get(client, f"leaderboard?route={route}")["ETag"] for route in ROUTES]

    assert len(set(tags)) == len(ROUTES)


@pytest.mark.parametrize(
    ("path", "param", "mends"),
    [
        ("leaderboard?route=debugging", "route", "debugging/bug_fixing"),
        ("leaderboard?provider=nobody", "provider", "zeta"),
        ("leaderboard?sort=price", "sort", "accuracy_per_dollar"),
        ("leaderboard?sort=%00", "sort", "accuracy_per_dollar"),
        ("leaderboard?format=csv", "format", "route, provider, sort"),
        ("leaderboard.csv?page=2", "page", "route, provider, sort"),
        ("models?limit=0", "limit", "from 1 to 200"),
        ("models?limit=x", "limit", "from 1 to 200"),
        ("models?cursor=%00", "cursor", "next_cursor"),
        ("models?page=2", "page", "limit"),
        ("routing-table?route=debugging/bug_fixing", "route", "takes none"),
        ("routing-table.csv?sort=n", "sort", "takes none"),
    ],
)
def test_what_is_not_understood_is_refused_with_what_is(
    client: Client, version: str, path: str, param: str, mends: str
) -> None:
    response = get(client, path)

    error = response.json()["error"]
    assert (response.status_code, error["param"]) == (400, param)
    assert mends in error["message"]


@pytest.mark.parametrize("path", ALL)
def test_only_reading_is_offered(client: Client, version: str, path: str) -> None:
    for method in (client.post, client.put, client.patch, client.delete):
        response = method(f"/api/v1/{path}")
        assert response.status_code == 405
        assert response.json()["error"]["message"]


@pytest.mark.parametrize("accept", ["text/csv", "application/xml", "*/*"])
@pytest.mark.parametrize("path", ALL)
def test_the_path_alone_decides_the_format(
    client: Client, version: str, path: str, accept: str
) -> None:
    kind = "text/csv" if path.endswith(".csv") else "application/json"

    assert get(client, path, accept=accept)["Content-Type"].startswith(kind)


@pytest.mark.parametrize("path", ALL)
def test_a_wrong_key_does_not_close_what_is_public(client: Client, version: str, path: str) -> None:
    assert get(client, path, authorization="Bearer nonsense").status_code == 200
