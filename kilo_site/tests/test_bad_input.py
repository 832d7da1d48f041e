"""Bad input at every URL alike: one error shape, never a crash, never the inside of the site.

What a single call makes of its own parameters is tested beside that call.
"""

import json
from typing import Any
from urllib.parse import quote

import pytest
from django.http import HttpResponseBase
from django.test import Client
from django.urls import reverse
from pytest_django import DjangoCaptureOnCommitCallbacks, Settings

from kilo_site.tests.access_contract import (
    TABLE,
    Call,
    Open,
    Page,
    every_url,
    signed_in,
    text_of,
    with_key,
)
from kilo_site.tests.fixtures import SETUP
from leaderboard.tests.tables import publish_table, table_bytes
from routing.models import Decision
from teams.actions import do_create_key, do_revoke_key
from teams.keys import Scope
from teams.models import Project, User
from usage.models import UsageEvent

pytestmark = pytest.mark.django_db

TYPES = {400: "invalid_request_error", 401: "authentication_error", 403: "permission_error"}
CALLS = [
    (url, method, scope)
    for url in every_url()
    if isinstance(kind := TABLE.get(url.name), Call)
    for method, scope in kind.scopes.items()
]
PUBLIC = [
    url.name
    for url in every_url()
    if isinstance(TABLE.get(url.name), Open) and url.name.startswith("api_")
]
PAGES = [
    url
    for url in every_url()
    if isinstance(TABLE.get(url.name), Page | Open) and url.name not in PUBLIC
]
NUL, HUGE = "\x00", "9" * 400
NONSENSE = [NUL, HUGE, "\ud800", "-1", "../../etc/passwd", "' OR 1=1 --", "<script>", "%"]
PARAMETERS = (
    "range", "group", "metric", "bucket", "cursor", "limit", "model", "route", "reason", "session",
    "provider", "sort", "next", "explain", "dry_run",
)  # fmt: skip


def path_of(name: str, captures: tuple[str, ...], value: str = "nothing") -> str:
    """Return an address with something made up where the URL captures a part."""
    made_up = {capture: "apollo" if capture == "project" else value for capture in captures}
    return reverse(name, kwargs=made_up)


def check_envelope(response: HttpResponseBase, status: int, code: str) -> Any:
    """Hold a failure to the one error shape and return its inside."""
    assert response.status_code == status
    assert response.headers["Content-Type"] == "application/json"
    body = json.loads(text_of(response))
    assert list(body) == ["error"]
    error = body["error"]
    assert set(error) == {"message", "type", "code", "param", "request_id", "details"}
    assert (error["code"], error["type"]) == (code, TYPES.get(status, error["type"]))
    assert error["request_id"] == response.headers["X-Request-ID"]
    assert len(error["message"]) > 20
    return error


@pytest.mark.parametrize(
    ("url", "method", "scope"), CALLS, ids=lambda part: getattr(part, "name", part)
)
def test_a_call_without_a_good_key_is_refused_in_the_one_shape(
    apollo: Project,
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
    url: Any,
    method: str,
    scope: Scope,
) -> None:
    path = path_of(url.name, url.captures)

    def send(client: Client) -> HttpResponseBase:
        return client.generic(method, path, "{", content_type="application/json")

    revoked, revoked_text = do_create_key(apollo, "revoked", Scope, actor=SETUP)
    with django_capture_on_commit_callbacks(execute=True):
        do_revoke_key(revoked, actor=SETUP)
    _, good = do_create_key(apollo, "good", Scope, actor=SETUP)
    tampered = good[:-1] + ("a" if good[-1] != "a" else "b")
    _, lacking = do_create_key(apollo, "lacking", set(Scope) - {scope}, actor=SETUP)

    answers = [check_envelope(send(Client()), 401, "missing_api_key")]
    for key in ("nonsense", tampered, revoked_text, "\x00", "é"):
        response = send(with_key(key))
        answers.append(check_envelope(response, 401, "invalid_api_key"))
        assert response.headers["WWW-Authenticate"] == "Bearer"
    # From outside, a mistyped key and a revoked one cannot be told apart.
    assert len({answer["message"] for answer in answers[1:]}) == 1
    error = check_envelope(send(with_key(lacking)), 403, "missing_scope")
    assert error["details"]["required"] == scope
    assert scope in error["message"]
    assert not Decision.objects.exists()
    assert not UsageEvent.objects.exists()


@pytest.mark.parametrize("path", ["nothing", "route/", "decisions/a/b", "", "route%00"])
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_a_path_that_is_not_there_is_a_404_in_the_one_shape(path: str, method: str) -> None:
    response = Client().generic(method, f"/api/v1/{path}", "{}", content_type="application/json")
    check_envelope(response, 404, "not_found")


def nonsense_at(client: Client, path: str) -> list[str]:
    """Send nonsense in every parameter and return what was answered with a crash."""
    client.raise_request_exception = False
    parts = {value: quote(value, errors="surrogatepass") for value in NONSENSE}
    queries = ["&".join(f"{name}={part}" for name in PARAMETERS) for part in parts.values()]
    # The first fault of a query hides the others.
    queries += [f"{name}={part}" for name in PARAMETERS for part in (parts[NUL], parts[HUGE])]
    crashed = []
    for query in queries:
        response = client.get(f"{path}?{query}")
        if response.status_code >= 500 or "Traceback" in text_of(response):
            crashed.append(query[:80])
    return crashed


@pytest.fixture
def table() -> None:
    """A published table, without which the public calls have nothing to filter."""
    publish_table(table_bytes({"lab/small": (0.78, 50_000.0)}))


@pytest.mark.parametrize(
    "name", [*PUBLIC, *(url.name for url, method, _ in CALLS if method == "GET")]
)
def test_no_parameter_of_the_api_crashes(table: None, apollo_key: str, name: str) -> None:
    [captures] = [url.captures for url in every_url() if url.name == name]
    assert nonsense_at(with_key(apollo_key), path_of(name, captures)) == []


@pytest.mark.parametrize("url", PAGES, ids=lambda url: url.name)
def test_no_parameter_of_a_page_crashes(
    table: None, alice: User, apollo: Project, url: Any
) -> None:
    assert nonsense_at(signed_in(alice), path_of(url.name, url.captures)) == []


@pytest.mark.parametrize("value", NONSENSE)
def test_no_captured_part_of_an_address_crashes(apollo_key: str, alice: User, value: str) -> None:
    people, program = signed_in(alice), with_key(apollo_key)
    text = quote(value, safe="", errors="surrogatepass")
    for path in (
        f"/projects/apollo/decisions/{text}/",
        f"/projects/apollo/keys/{text}/revoke/",
        f"/projects/{text}/",
    ):
        assert people.get(path).status_code == 404
    check_envelope(program.get(f"/api/v1/decisions/{text}"), 404, "not_found")


def test_the_sign_in_form_takes_any_input(client: Client, alice: User) -> None:
    for value in (*NONSENSE, "x" * 100_000):
        text = quote(value, errors="surrogatepass")
        for form in (f"username={text}&password=x", f"username={alice.email}&password={text}"):
            response = client.post(
                "/sign-in/", form, content_type="application/x-www-form-urlencoded"
            )
            assert response.status_code == 200


def test_a_crash_tells_the_caller_nothing_but_an_id(settings: Settings) -> None:
    settings.ROOT_URLCONF = "kilo_site.tests.leaky_urls"
    client = Client(raise_request_exception=False)
    response = client.get("/api/v1/crashes", headers={"X-Request-ID": "quote-me"})
    error = check_envelope(response, 500, "server_error")
    assert error["request_id"] == "quote-me"
    for inside in ("RuntimeError", "the inner workings", "Traceback", ".py"):
        assert inside not in text_of(response)
