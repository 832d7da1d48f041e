"""The policy over HTTP, as a program reads, replaces and lists it."""

import json
from typing import Any

import pytest
from django.conf import settings
from django.test import Client
from pytest_django import DjangoCaptureOnCommitCallbacks

from kilo_site.tests.fixtures import SETUP
from leaderboard.tests.tables import publish_table, table_bytes
from routing.actions.policies import do_save_policy
from routing.models import Policy
from routing.queries.policies import SETTINGS, in_force
from teams.models import AuditEvent, Project, User

URL = "/api/v1/policy"
FLEET = {
    "open/weak": (0.30, 10_000.0),
    "open/cheap": (0.78, 50_000.0),
    "open/strong": (0.80, 900_000.0),
}
DEFAULTS = {"balanced_models": ["open/strong"], "baseline_model": "open/strong"}


@pytest.fixture
def api(apollo_key: str) -> Client:
    publish_table(table_bytes(FLEET))
    return Client(headers={"Authorization": f"Bearer {apollo_key}"})


def put(api: Client, body: Any, etag: str | None = "*") -> Any:
    headers = {} if etag is None else {"If-Match": etag}
    data = json.dumps(body)
    return api.put(URL, data, content_type="application/json", headers=headers)


def route(api: Client, text: str = "rename getCwd to getCurrentDir in src/shell") -> Any:
    body = {"messages": [{"role": "user", "content": text}]}
    return api.post("/api/v1/route?explain=1", body, content_type="application/json").json()


def test_the_default_is_read_with_its_tag(api: Client) -> None:
    response = api.get(URL)
    body = response.json()
    assert response.headers["ETag"] == '"0.pol_default"'
    assert (body["version"], body["inherited"], body["number"]) == ("pol_default", True, 0)
    assert SETTINGS.keys() <= body.keys()
    assert body["success_price_micro_usd"] == 50_000_000
    assert body["team_default"]["version"] == "pol_default"


def test_what_was_read_may_be_sent_back_with_changes(api: Client, apollo: Project) -> None:
    read = api.get(URL)
    body = read.json() | DEFAULTS | {"quality_bar": 0.9, "denied_models": ["lab/*"], "note": "why"}
    response = put(api, body, read.headers["ETag"])
    saved = response.json()
    assert response.status_code == 200
    assert response.headers["ETag"] == f'"{in_force(apollo.pk).tag}"' != read.headers["ETag"]
    assert {name: saved[name] for name in SETTINGS} == {name: body[name] for name in SETTINGS}
    assert (saved["number"], saved["inherited"], saved["note"]) == (1, False, "why")
    assert saved["team_default"]["quality_bar"] == 0.95
    assert saved["author"].startswith("key_")
    assert AuditEvent.objects.get(verb="policy.saved").actor == saved["author"]
    assert api.get(URL).json() == saved


def test_what_is_left_out_takes_the_default(api: Client) -> None:
    put(api, {"quality_bar": 0.5, "accuracy_floor": 0.2})
    assert put(api, {"evidence": 0.7}).json()["quality_bar"] == 0.95
    assert api.get(URL).json()["balanced_models"] == [settings.BALANCED_MODEL]


def test_two_editors_cannot_overwrite_each_other_unseen(api: Client, apollo: Project) -> None:
    seen = api.get(URL).headers["ETag"]
    assert put(api, {"quality_bar": 0.9}, seen).status_code == 200
    response = put(api, {"quality_bar": 0.8}, seen)
    error = response.json()["error"]
    assert (response.status_code, error["code"], error["param"]) == (
        412,
        "policy_changed",
        "If-Match",
    )
    assert error["details"]["current"]["quality_bar"] == 0.9
    assert in_force(apollo.pk).policy.quality_bar == 0.9
    assert put(api, {"quality_bar": 0.8}, error["details"]["etag"]).status_code == 200
    weak = f'"other", W/{api.get(URL).headers["ETag"]}'
    assert put(api, {"quality_bar": 0.7}, weak).status_code == 200


def test_without_if_match_it_is_refused_and_told_how(api: Client) -> None:
    response = put(api, {"quality_bar": 0.9}, None)
    error = response.json()["error"]
    assert (response.status_code, error["code"]) == (428, "precondition_required")
    assert "If-Match" in error["message"]
    assert not Policy.objects.exists()


@pytest.mark.parametrize(
    ("body", "code", "param", "message"),
    [
        ([], "invalid_parameter", "body", "Send one JSON object"),
        ({"bar": 1}, "unknown_parameter", "bar", "is no setting of a policy"),
        ({"quality_bar": 1.2}, "invalid_parameter", "quality_bar", "less than or equal to 1"),
        ({"quality_bar": "x"}, "invalid_parameter", "quality_bar", "valid number"),
        ({"mode": "cheapest"}, "invalid_parameter", "mode", "cheapest"),
        ({"success_price_micro_usd": -1}, "invalid_parameter", "success_price_micro_usd", ""),
        ({"price_ceiling_micro_usd": -1}, "invalid_parameter", "price_ceiling_micro_usd", ""),
        ({"allowed_models": "open/*"}, "invalid_parameter", "allowed_models", "list"),
        ({"allowed_models": ["gpt"]}, "invalid_parameter", "allowed_models", "nor a pattern"),
        ({"balanced_models": []}, "invalid_parameter", "balanced_models", "Name 1 to 10"),
        ({"denied_models": ["openai/*"]}, "invalid_parameter", "balanced_models", "is denied"),
        ({"baseline_model": "no/such"}, "unknown_model", "baseline_model", "no/such"),
        (
            {"route_overrides": {"debugging/bug_fixing": "no/such"}},
            "unknown_model",
            "route_overrides",
            "no/such",
        ),
        (
            {"route_overrides": {"debugging": "best_accuracy"}},
            "invalid_parameter",
            "route_overrides",
            "debugging is no route",
        ),
    ],
)
def test_settings_that_cannot_be_are_refused_with_how_to_mend_them(
    api: Client, body: Any, code: str, param: str, message: str
) -> None:
    for response in (put(api, body), post_preview(api, body)):
        error = response.json()["error"]
        assert (response.status_code, error["code"], error["param"]) == (422, code, param)
        assert message in error["message"]
    assert not Policy.objects.exists()


@pytest.mark.parametrize(
    ("data", "status"),
    [
        ("[" * 100_000, 400),
        ('{"note": "\\ud800"}', 400),
        ("null", 422),
        ('{"note": "\\u0000"}', 422),
        ('{"allowed_models": ["open/\\u0000*"]}', 422),
        ('{"quality_bar": NaN}', 400),
    ],
)
def test_a_body_that_no_database_could_keep_is_refused(api: Client, data: str, status: int) -> None:
    for send, url in ((api.put, URL), (api.post, f"{URL}/preview")):
        response = send(url, data, content_type="application/json", headers={"If-Match": "*"})
        assert response.status_code == status, (url, response.content)
    assert not Policy.objects.exists()


def post_preview(api: Client, body: Any) -> Any:
    data = json.dumps(body)
    return api.post(f"{URL}/preview", data, content_type="application/json")


def test_versions_are_listed_with_what_each_changed(api: Client) -> None:
    put(api, {"quality_bar": 0.9})
    put(api, {"quality_bar": 0.9, "denied_models": ["lab/*"], "note": "no labs"})
    put(api, {"inherit": True})
    first = api.get(f"{URL}/versions?limit=2").json()
    rest = api.get(f"{URL}/versions?cursor={first['next_cursor']}").json()
    rows = [*first["data"], *rest["data"]]
    assert [(row["number"], row["inherited"], row["note"]) for row in rows] == [
        (3, True, ""),
        (2, False, "no labs"),
        (1, False, ""),
    ]
    assert rows[1]["changes"] == [{"setting": "denied_models", "before": [], "after": ["lab/*"]}]
    assert rows[2]["changes"] == [{"setting": "quality_bar", "before": 0.95, "after": 0.9}]
    assert rest["next_cursor"] is None
    assert api.get(URL).json()["inherited"] is True


# What the settings do to decisions


def test_the_settings_hold_for_the_next_request(
    api: Client, django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks
) -> None:
    def decided(**fields: Any) -> Any:
        with django_capture_on_commit_callbacks(execute=True):
            assert put(api, DEFAULTS | fields).status_code == 200
        return route(api)

    def verdict(answer: Any, model: str) -> str:
        return str({one["model"]: one["verdict"] for one in answer["candidates"]}[model])

    assert decided()["model"] == "open/cheap"
    floor = decided(accuracy_floor=0.79)
    assert (floor["model"], verdict(floor, "open/cheap")) == ("open/strong", "below_floor")
    high = decided(accuracy_floor=0.99)
    assert (high["model"], high["reason"]["code"]) == ("open/strong", "below_floor")
    ceiling = decided(quality_bar=1.0, price_ceiling_micro_usd=100_000)
    assert (ceiling["model"], verdict(ceiling, "open/strong")) == ("open/cheap", "too_dear")
    # The strong one alone clears a bar of 0.99; that costs $0.85 for 0.012 successes, so $70.83.
    dear = decided(quality_bar=0.99)
    assert (dear["model"], dear["reason"]["code"]) == ("open/cheap", "bar_too_dear")
    assert "$70.83 per extra solved task; the policy pays up to $50.00." in dear["reason"]["text"]
    for price in (71_000_000, None):
        paid = decided(quality_bar=0.99, success_price_micro_usd=price)
        assert (paid["model"], paid["reason"]["code"]) == ("open/strong", "cheapest_clearing")
    pinned = decided(route_overrides={"refactoring/code_cleanup": "open/weak"})
    assert (pinned["model"], pinned["reason"]["code"]) == ("open/weak", "route_pinned")
    assert verdict(pinned, "open/cheap") == "overruled"
    assert "pins code cleanup" in pinned["reason"]["text"]
    mode = decided(route_overrides={"refactoring/code_cleanup": "best_accuracy"})
    assert mode["policy"]["mode"] == "best_accuracy"
    denied = decided(denied_models=["*/cheap"], quality_bar=0.3)
    assert (denied["model"], verdict(denied, "open/cheap")) == ("open/weak", "denied")
    allowed = decided(allowed_models=["*/strong", "later/*"])
    assert (allowed["model"], verdict(allowed, "open/weak")) == ("open/strong", "not_allowed")


def test_the_first_balanced_model_that_can_be_used_takes_what_is_unclear(
    api: Client, django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks
) -> None:
    body = DEFAULTS | {
        "balanced_models": ["open/strong", "open/weak", "open/cheap"],
        "confidence_threshold": 1.0,
        "price_ceiling_micro_usd": 100_000,
    }
    with django_capture_on_commit_callbacks(execute=True):
        put(api, body)
    answer = route(api, "hm")
    assert (answer["model"], answer["reason"]["code"]) == ("open/weak", "low_confidence")


def test_everything_over_the_ceiling_is_a_422_that_names_it(
    api: Client, django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        put(api, DEFAULTS | {"price_ceiling_micro_usd": 1})
    error = route(api)["error"]
    assert (error["code"], error["param"]) == ("no_model_too_dear", "policy")
    assert "price ceiling" in error["message"]


def test_a_change_of_the_team_s_default_counts_at_once_for_projects_that_follow_it(
    api: Client,
    apollo: Project,
    alice: User,
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
) -> None:
    def save(**fields: Any) -> Policy:
        with django_capture_on_commit_callbacks(execute=True):
            return do_save_policy(apollo.team, actor=SETUP, based_on=None, **(DEFAULTS | fields))

    assert route(api)["policy"] == {"version": "pol_default", "mode": "auto_efficient"}
    saved = save(mode="best_accuracy", quality_bar=1.0)
    answer = route(api)
    assert answer["policy"] == {"version": saved.public_id, "mode": "best_accuracy"}
    # A project of its own settings follows only the team's mode, and only by the mode `default`.
    with django_capture_on_commit_callbacks(execute=True):
        put(api, DEFAULTS)
    assert route(api)["policy"]["mode"] == "best_accuracy"
    save(mode="accuracy_per_dollar")
    assert route(api)["policy"]["mode"] == "accuracy_per_dollar"
