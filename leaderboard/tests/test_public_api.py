"""The public API: anyone may read, caches may keep it, and its documentation is true."""

import csv
import datetime as dt
import io
import re
from typing import Any

import pytest
from django.test import Client
from rest_framework.serializers import Serializer

from leaderboard import serializers
from leaderboard.models import CatalogModel, Price
from leaderboard.tests.runs import make_run
from leaderboard.tests.tables import publish_table, table_bytes
from lib.taxonomy import ROUTES
from teams.models import Project

pytestmark = pytest.mark.django_db
MODELS = {
    "acme/strong": (0.9, 900_000.0),
    "acme/weak": (0.4, 50_000.0),
    "zeta/mid": (0.85, 100_000.0),
}
ALL = (
    "leaderboard",
    "leaderboard.csv",
    "models",
    "models.csv",
    "routing-table",
    "routing-table.csv",
)


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


@pytest.mark.parametrize(
    ("query", "models"),
    [
        ("harness=tongs", ["zeta/mid", "acme/weak"]),
        ("harness=tongs&provider=acme", ["acme/weak"]),
        ("max_price=5", ["acme/strong", "acme/weak"]),
        ("modality=image", ["acme/strong", "zeta/mid"]),
        ("modality=image&max_price=5", ["acme/strong"]),
        ("compare=acme/weak,acme/strong", ["acme/strong", "acme/weak"]),
        ("compare=acme/weak&compare=zeta/mid&harness=hammer", []),
    ],
)
def test_every_filter_narrows_page_csv_and_json_alike(
    client: Client, query: str, models: list[str]
) -> None:
    details: dict[str, dict[str, Any]] = {
        "acme/weak": {"input_modalities": ("text",)},
        "zeta/mid": {"output_micro_usd": 5_000_001},
    }
    publish_table(table_bytes(MODELS, details=details))
    make_run("acme/strong", harness="hammer")
    make_run("acme/weak", harness="tongs")
    make_run("zeta/mid", harness="tongs")

    body = get(client, f"leaderboard?{query}").json()
    rows = lines(get(client, f"leaderboard.csv?{query}"))
    html = client.get(f"/leaderboard/?{query}").content.decode()

    assert_documented(serializers.LeaderboardSerializer, body)
    assert [row["model"] for row in body["data"]] == models
    assert [row["model"] for row in rows] == models
    shown = re.findall(r'<tr id="model-([^"]+)"', html)
    assert shown == [model.replace("/", "-") for model in models]


def test_a_line_names_its_newest_measurement_sources_and_harnesses(
    client: Client, version: str
) -> None:
    make_run("acme/strong", source="first", harness="tongs")
    make_run("acme/strong", source="second", harness="hammer", measured_at=None)

    (row,) = get(client, "leaderboard?compare=acme/strong").json()["data"]
    (line,) = lines(get(client, "leaderboard.csv?compare=acme/strong"))

    assert row["measured_at"] == "2026-03-01T00:00:00Z"
    assert (row["sources"], row["harnesses"]) == (["first", "second"], ["hammer", "tongs"])
    assert (line["measured_at"], line["sources"]) == ("2026-03-01T00:00:00Z", "first, second")


def test_the_cursor_walks_the_leaderboard_in_its_order(client: Client, version: str) -> None:
    seen: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        body = get(client, f"leaderboard?limit=1&sort=cost&cursor={cursor}").json()
        seen += [row["model"] for row in body["data"]]
        cursor = body["next_cursor"]

    assert seen == ["acme/weak", "zeta/mid", "acme/strong"]


def test_models_can_be_narrowed_and_come_as_csv(client: Client, catalogue: None) -> None:
    make_run("acme/beta", harness="tongs")

    def both(query: str) -> list[str]:
        data = get(client, f"models?{query}").json()["data"]
        rows = lines(get(client, f"models.csv?{query}"))
        assert [row["model"] for row in rows] == [model["model"] for model in data]
        return [model["model"] for model in data]

    assert both("") == ["acme/alpha", "acme/beta", "acme/gamma"]
    assert both("harness=tongs") == ["acme/beta"]
    assert both("max_price=10") == ["acme/alpha"]
    assert both("max_price=9.99") == []
    assert both("modality=text&provider=acme") == ["acme/alpha", "acme/beta", "acme/gamma"]


def test_models_csv_has_prices_under_their_names(client: Client, catalogue: None) -> None:
    alpha, beta, _ = lines(get(client, "models.csv"))

    assert alpha["input_micro_usd_per_million_tokens"] == "2000000"
    assert alpha["output_micro_usd_per_million_tokens"] == "10000000"
    assert alpha["cache_read_micro_usd_per_million_tokens"] == ""
    assert (alpha["context_tokens"], alpha["input_modalities"]) == ("1000", "text")
    assert beta["input_micro_usd_per_million_tokens"] == ""


def test_no_team_is_betrayed_by_the_public_lists(
    client: Client, version: str, apollo: Project
) -> None:
    make_run("acme/strong", team=apollo.team, harness="secret", source="secret")

    for path in ("leaderboard", "leaderboard.csv", "models", "models.csv"):
        assert "secret" not in get(client, path).content.decode()
    assert get(client, "leaderboard?harness=secret").status_code == 400


def test_csv_holds_raw_numbers(client: Client, version: str) -> None:
    (row, *_) = lines(get(client, "leaderboard.csv"))

    assert (row["accuracy"], row["cost_micro_usd"], row["n"]) == ("0.9", "900000", "360")


def test_csv_cells_cannot_run_in_a_spreadsheet(client: Client) -> None:
    details = {"a/b": {"name": '=HYPERLINK("http://x")'}}
    publish_table(table_bytes({"a/b": (0.5, 1000.0)}, details=details))
    make_run("a/b", harness="=cmd()", source="+cmd()")
    CatalogModel.objects.filter(model_id="a/b").update(name="@cmd()")

    (row,) = lines(get(client, "leaderboard.csv"))
    (model,) = lines(get(client, "models.csv"))

    assert row["name"] == '\'=HYPERLINK("http://x")'
    assert (row["harnesses"], row["sources"]) == ("'=cmd()", "'+cmd()")
    assert model["name"] == "'@cmd()"


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
        ("leaderboard?format=csv", "format", "route, harness, provider"),
        ("leaderboard.csv?page=2", "page", "route, harness, provider"),
        ("models?limit=0", "limit", "from 1 to 200"),
        ("models?limit=x", "limit", "from 1 to 200"),
        ("models?cursor=%00", "cursor", "next_cursor"),
        ("leaderboard?harness=nothing", "harness", "hammer"),
        ("leaderboard?modality=smell", "modality", "image"),
        ("leaderboard?max_price=inf", "max_price", "US dollars"),
        ("leaderboard?compare=nobody/here", "compare", "provider/name"),
        ("leaderboard?cursor=nobody/here", "cursor", "next_cursor"),
        ("leaderboard?limit=201", "limit", "from 1 to 200"),
        ("leaderboard.csv?limit=2", "limit", "route, harness, provider"),
        ("models?page=2", "page", "limit"),
        ("models?harness=nothing", "harness", "hammer"),
        ("models?provider=nobody", "provider", "acme"),
        ("models.csv?cursor=a", "cursor", "harness, provider, max_price"),
        ("routing-table?route=debugging/bug_fixing", "route", "takes none"),
        ("routing-table.csv?sort=n", "sort", "takes none"),
    ],
)
def test_what_is_not_understood_is_refused_with_what_is(
    client: Client, version: str, path: str, param: str, mends: str
) -> None:
    make_run("acme/weak")
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
