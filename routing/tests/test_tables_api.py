"""``GET /api/v1/routing-tables/{before}...{after}``."""

from typing import Any

import pytest
from django.test import Client

from leaderboard.tests.tables import publish_table, table_bytes
from lib.taxonomy import DIFFICULTIES
from routing.api.tables import ComparisonSerializer

pytestmark = pytest.mark.django_db

FLEET = {
    "open/cheap": (0.78, 50_000.0),
    "openai/gpt-5.4": (0.79, 400_000.0),
    "anthropic/claude-opus-4.8": (0.80, 900_000.0),
}
ROUTE = "debugging/bug_fixing"


@pytest.fixture
def versions(db: None) -> tuple[str, str]:
    """Two tables: in the second the cheap model fixes fewer bugs and one model is gone."""
    worse = {("open/cheap", ROUTE, name): (0.5, 60_000.0) for name in DIFFICULTIES}
    return (
        publish_table(table_bytes({**FLEET, "old/model": (0.3, 10_000.0)})).version,
        publish_table(table_bytes(FLEET, cells=worse)).version,
    )


def fetch(before: str, after: str, **headers: str) -> Any:
    """Ask for the comparison."""
    return Client().get(f"/api/v1/routing-tables/{before}...{after}", headers=headers)


def test_tells_everything_that_differs(versions: tuple[str, str]) -> None:
    body = fetch(*versions).json()
    assert (body["before"]["version"], body["after"]["version"]) == versions
    assert body["models"] == {"added": [], "removed": ["old/model"], "changed": []}
    assert len(body["cells"]) == 3
    assert body["cells"][0] == {
        "model": "open/cheap",
        "route": ROUTE,
        "difficulty": "low",
        "before": {
            "accuracy": {"mean": 0.78, "low": 0.73, "high": 0.83},
            "cost_micro_usd": {"mean": 50_000, "low": 40_000, "high": 62_500},
            "n": 40,
        },
        "after": {
            "accuracy": {"mean": 0.5, "low": 0.45, "high": 0.55},
            "cost_micro_usd": {"mean": 60_000, "low": 48_000, "high": 75_000},
            "n": 40,
        },
    }
    [efficient] = [one for one in body["choices"] if one["mode"] == "auto_efficient"]
    assert efficient["route"] == ROUTE
    assert efficient["before"] == {
        "model": "open/cheap",
        "reason": "cheapest_clearing",
        "accuracy": 0.78,
        "cost_micro_usd": 50_000,
        "saving": 0.9444,
    }
    assert efficient["after"]["model"] == "openai/gpt-5.4"


def test_is_what_its_documentation_says(versions: tuple[str, str]) -> None:
    def check(shape: Any, value: Any) -> None:
        """Compare the keys of an answer with those of its serializer, all the way down."""
        if hasattr(shape, "child") and hasattr(shape.child, "fields"):
            assert value, "an empty list proves nothing"
            for one in value:
                check(shape.child, one)
        elif hasattr(shape, "fields"):
            assert set(value) == set(shape.fields)
            for name, field in shape.fields.items():
                if name != "changed":
                    check(field, value[name])

    check(ComparisonSerializer(), fetch(*versions).json())


def test_says_no_more_than_the_names_when_nothing_differs(versions: tuple[str, str]) -> None:
    body = fetch(versions[1], versions[1]).json()
    assert body["models"] == {"added": [], "removed": [], "changed": []}
    assert body["cells"] == body["choices"] == []


def test_is_cacheable_and_answers_304(versions: tuple[str, str]) -> None:
    first = fetch(*versions)
    assert first.headers["Cache-Control"].startswith("public")
    again = fetch(*versions, **{"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert fetch(*reversed(versions)).headers["ETag"] != first.headers["ETag"]


@pytest.mark.parametrize("place", [0, 1])
def test_a_version_that_does_not_exist_is_not_found(versions: tuple[str, str], place: int) -> None:
    asked = [*versions]
    asked[place] = "tbl_none"
    response = fetch(*asked)
    assert response.status_code == 404
    assert response.json()["error"]["code"] == "not_found"


def test_an_unknown_parameter_is_refused(versions: tuple[str, str]) -> None:
    response = Client().get(f"/api/v1/routing-tables/{versions[0]}...{versions[1]}?rute=x")
    assert response.status_code == 400


def test_who_published_is_not_told(versions: tuple[str, str]) -> None:
    assert "published_by" not in fetch(*versions).content.decode()
