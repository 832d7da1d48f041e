"""The OpenAPI description is the committed one, names every call, and tells what really comes."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest
import yaml
from django.conf import settings
from django.core.management import call_command
from django.test import Client
from django.urls import get_resolver
from django.urls.resolvers import URLPattern, URLResolver

from leaderboard.tests.tables import publish_table, table_bytes
from routing.actions.recording import do_record_decisions

DOCUMENT = Path(settings.BASE_DIR) / "docs" / "openapi.yaml"
BODY = {"messages": [{"role": "user", "content": "rename getCwd to getCurrentDir in src/shell"}]}


@pytest.fixture(scope="module")
def schema() -> Any:
    """The committed description."""
    return yaml.safe_load(DOCUMENT.read_text(encoding="utf-8"))


def paths(resolver: URLResolver, prefix: str = "/") -> Iterator[str]:
    """Yield the path of every URL, with parameters as OpenAPI writes them."""
    for pattern in resolver.url_patterns:
        whole = prefix + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            yield from paths(pattern, whole)
        elif isinstance(pattern, URLPattern):
            yield re.sub(r"<\w+:(\w+)>", r"{\1}", whole)


def test_the_committed_description_is_the_generated_one(tmp_path: Path) -> None:
    generated = tmp_path / "openapi.yaml"
    call_command("spectacular", validate=True, fail_on_warn=True, file=str(generated))
    assert generated.read_text() == DOCUMENT.read_text(), "run `make openapi`"


def test_every_url_of_the_api_is_described(schema: Any) -> None:
    served = {path for path in paths(get_resolver()) if path.startswith("/api/v1/")}
    assert served
    assert served == set(schema["paths"])


def test_every_call_can_answer_with_the_error_envelope_and_says_who_may_call(schema: Any) -> None:
    public = tuple(
        f"/api/v1/{name}" for name in ("leaderboard", "models", "routes/", "routing-table")
    )
    for path, calls in schema["paths"].items():
        for call in calls.values():
            assert call["responses"]["default"] == {"$ref": "#/components/responses/Error"}
            needs_key = call.get("security") == [{"apiKey": []}]
            assert needs_key == (not path.startswith(public)), path


def validate(schema: Any, component: str, value: Any) -> None:
    """Raise unless `value` is what the component describes, without anything beside it."""
    closed = json.loads(json.dumps(schema))
    for known in closed["components"]["schemas"].values():
        if known.get("type") == "object" and "additionalProperties" not in known:
            known["additionalProperties"] = False
    root = {"$ref": f"#/components/schemas/{component}", "components": closed["components"]}
    jsonschema.Draft202012Validator(root).validate(value)


def test_a_real_decision_fits_its_description(schema: Any, client: Client, apollo_key: str) -> None:
    headers = {"Authorization": f"Bearer {apollo_key}"}
    for query in ("", "?explain=true", "?dry_run=true"):
        answer = client.post(
            f"/api/v1/route{query}", BODY, content_type="application/json", headers=headers
        )
        assert answer.status_code == 200
        validate(schema, "Routed", answer.json())


def test_a_decision_with_evidence_fits_its_description(
    schema: Any, client: Client, apollo_key: str
) -> None:
    publish_table(table_bytes({"openai/gpt-5.4": (0.9, 900_000), "b/cheap": (0.88, 90_000)}))
    headers = {"Authorization": f"Bearer {apollo_key}"}
    answer = client.post(
        "/api/v1/route?explain=true", BODY, content_type="application/json", headers=headers
    ).json()
    assert answer["candidates"]
    validate(schema, "Routed", answer)
    do_record_decisions()
    stored = client.get(f"/api/v1/decisions/{answer['id']}", headers=headers).json()
    validate(schema, "DecisionDetail", stored)


def test_a_refusal_fits_its_description(schema: Any, client: Client) -> None:
    answer = client.post("/api/v1/route", BODY, content_type="application/json")
    assert answer.status_code == 401
    validate(schema, "Error", answer.json())


def test_a_body_that_is_refused_does_not_fit_the_description(schema: Any) -> None:
    validate_body = jsonschema.Draft202012Validator(
        {"$ref": "#/components/schemas/RouteBody", "components": schema["components"]}
    )
    assert validate_body.is_valid(BODY)
    assert not validate_body.is_valid({"messages": []})
    assert not validate_body.is_valid(BODY | {"mode": "nonsense"})
    assert not validate_body.is_valid(BODY | {"task": {"task_type": "nonsense"}})
