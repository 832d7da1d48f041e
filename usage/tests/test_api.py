"""Usage over the API, as a client sees it."""

import datetime as dt
import json
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pytest_django import DjangoAssertNumQueries

from leaderboard.models import Price
from routing.models import TaskOutcome
from teams.actions import SystemActor, do_create_key
from teams.keys import Scope
from teams.models import Project
from usage.models import UsageEvent
from usage.tests.traffic import EVIDENCE, catalogue, decide, report, settle

pytestmark = pytest.mark.django_db
EVENT = {"event_id": "e1", "model": "lab/small", "input_tokens": 1000, "output_tokens": 100}


@pytest.fixture(autouse=True)
def _models(db: None) -> None:
    catalogue()


def post(key: str, body: Any, client: Client | None = None) -> Any:
    """Report, and let the worker do its part."""
    answer = send(key, body, client)
    settle()
    return answer


def send(key: str, body: Any, client: Client | None = None) -> Any:
    """Report and read the answer, before any worker knows of it."""
    return (client or Client()).post(
        "/api/v1/usage",
        body if isinstance(body, bytes) else json.dumps(body),
        content_type="application/json",
        headers={"Authorization": f"Bearer {key}"},
    )


def get(key: str, address: str, **params: Any) -> Any:
    """Read, once the worker has done its part."""
    settle()
    return read(key, address, **params)


def read(key: str, address: str, **params: Any) -> Any:
    """Read what is there."""
    headers = {"Authorization": f"Bearer {key}"}
    return Client().get(f"/api/v1/{address}", params, headers=headers)


def test_an_event_is_stored_with_its_computed_cost(apollo: Project, apollo_key: str) -> None:
    event = {**EVENT, "cache_read_tokens": 2000, "latency_ms": 1200, "cost_usd": "0.002"}
    answer = post(apollo_key, {"events": [event]})
    assert answer.status_code == 200
    assert answer.json() == {
        "accepted": 1,
        "duplicates": 0,
        "rejected": 0,
        "results": [{"index": 0, "event_id": "e1", "status": "accepted", "error": None}],
    }
    stored = UsageEvent.objects.get(project=apollo)
    assert stored.cost_micro_usd == 1000 + 200 + 500
    assert stored.reported_cost_micro_usd == 2000
    assert (stored.status, stored.latency_ms, stored.decision_id) == ("ok", 1200, "")


def test_an_event_takes_route_mode_reason_and_session_from_its_decision(
    apollo: Project, apollo_key: str
) -> None:
    decision = decide(apollo)
    post(apollo_key, {"events": [{**EVENT, "decision_id": decision.public_id}]})
    stored = UsageEvent.objects.get()
    assert stored.decision_id == decision.public_id
    assert stored.route == "debugging/bug_fixing"
    assert stored.mode == "auto_efficient"
    assert stored.reason_code == "cheapest_clearing"
    assert stored.session_id == "session-1"


def test_reporting_twice_counts_once(apollo_key: str) -> None:
    batch = {"events": [EVENT, {**EVENT, "output_tokens": 7}]}
    assert [row["status"] for row in post(apollo_key, batch).json()["results"]] == [
        "accepted",
        "duplicate",
    ]
    again = post(apollo_key, batch)
    assert again.status_code == 200
    assert again.json()["duplicates"] == 2
    assert UsageEvent.objects.get().output_tokens == 100


def test_the_same_event_id_in_two_projects_is_two_events(
    apollo_key: str, borealis_key: str
) -> None:
    for key in (apollo_key, borealis_key):
        assert post(key, {"events": [EVENT]}).json()["accepted"] == 1
    assert UsageEvent.objects.count() == 2


def test_a_bad_event_does_not_take_down_the_good_ones(apollo_key: str) -> None:
    answer = post(apollo_key, {"events": [{**EVENT, "input_tokens": -1}, EVENT]})
    assert answer.status_code == 200
    assert (answer.json()["accepted"], answer.json()["rejected"]) == (1, 1)
    assert answer.json()["results"][0]["error"]["param"] == "events.0.input_tokens"
    assert UsageEvent.objects.get().input_tokens == 1000


@pytest.mark.parametrize(
    ("fault", "param"),
    [
        ('"session_id": "cut \\ud83d"', "session_id"),
        ('"latency_ms": 1e400', "latency_ms"),
        ('"cost_usd": 1e400', "cost_usd"),
        ('"\\udc00": 1', "\\udc00"),
    ],
)
def test_half_a_character_does_not_take_down_the_good_ones(
    apollo_key: str, fault: str, param: str
) -> None:
    bad = json.dumps({**EVENT, "event_id": "bad"})[:-1] + f", {fault}}}"
    answer = post(apollo_key, f'{{"events": [{bad}, {json.dumps(EVENT)}]}}'.encode())
    assert (answer.json()["accepted"], answer.json()["rejected"]) == (1, 1)
    assert answer.json()["results"][0]["error"]["param"] == f"events.0.{param}"


def test_elsewhere_half_a_character_is_named(apollo_key: str) -> None:
    body = '{"messages": [{"role": "user", "content": "cut \\ud83d"}]}'
    for address in ("route", "policy/preview"):
        answer = Client().post(
            f"/api/v1/{address}",
            body,
            content_type="application/json",
            headers={"Authorization": f"Bearer {apollo_key}"},
        )
        assert answer.status_code == 400
        assert "such as \\ud83d: it was cut within an emoji" in answer.json()["error"]["message"]


def test_an_event_that_is_reported_again_does_not_change_its_outcome(
    apollo: Project, apollo_key: str
) -> None:
    event = {**EVENT, "decision_id": decide(apollo).public_id, "outcome": "accepted"}
    assert post(apollo_key, {"events": [event]}).json()["accepted"] == 1
    again = post(apollo_key, {"events": [{**event, "outcome": "failed"}]})
    assert again.json()["duplicates"] == 1
    assert TaskOutcome.objects.get().outcome == "accepted"


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"event_id": ""}, "event_id"),
        ({"event_id": "x" * 101}, "event_id"),
        ({"event_id": 7}, "event_id"),
        ({"event_id": "a\x00b"}, "event_id"),
        ({"model": "lab/unknown"}, "model"),
        ({"model": "a\x00"}, "model"),
        ({"model": None}, "model"),
        ({"decision_id": "dec\x00"}, "decision_id"),
        ({"session_id": "s" * 201}, "session_id"),
        ({"status": "fine"}, "status"),
        ({"outcome": "great"}, "outcome"),
        ({"input_tokens": -1}, "input_tokens"),
        ({"input_tokens": "12"}, "input_tokens"),
        ({"input_tokens": 1.5}, "input_tokens"),
        ({"input_tokens": True}, "input_tokens"),
        ({"output_tokens": 10**9 + 1}, "output_tokens"),
        ({"cache_read_tokens": 10**30}, "cache_read_tokens"),
        ({"cache_write_tokens": []}, "cache_write_tokens"),
        ({"reasoning_tokens": -1}, "reasoning_tokens"),
        ({"reasoning_tokens": 101}, "reasoning_tokens"),
        ({"reasoning_tokens": 1, "output_tokens": None}, "reasoning_tokens"),
        ({"latency_ms": -5}, "latency_ms"),
        ({"cost_usd": -0.01}, "cost_usd"),
        ({"cost_usd": "NaN"}, "cost_usd"),
        ({"cost_usd": "Infinity"}, "cost_usd"),
        ({"cost_usd": "a lot"}, "cost_usd"),
        ({"cost_usd": True}, "cost_usd"),
        ({"cost_usd": 10**400}, "cost_usd"),
        ({"occurred_at": "2026-01-01T00:00:00"}, "occurred_at"),
        ({"occurred_at": "yesterday"}, "occurred_at"),
        ({"occurred_at": 1770000000}, "occurred_at"),
        ({"occurred_at": "9999-12-31T23:59:59-14:00"}, "occurred_at"),
        ({"occurred_at": "0001-01-01T00:00:00+14:00"}, "occurred_at"),
        ({"inputTokens": 5}, "inputTokens"),
    ],
)
def test_a_fault_names_its_parameter(apollo_key: str, change: dict[str, Any], field: str) -> None:
    answer = post(apollo_key, {"events": [{**EVENT, **change}]})
    assert answer.status_code == 422
    error = answer.json()["error"]
    assert error["param"] == f"events.0.{field}"
    assert error["param"] in error["message"]
    assert error["details"]["results"][0]["error"]["param"] == f"events.0.{field}"
    assert not UsageEvent.objects.exists()


@pytest.mark.parametrize("missing", ["event_id", "model"])
def test_required_fields_are_asked_for(apollo_key: str, missing: str) -> None:
    event = {name: value for name, value in EVENT.items() if name != missing}
    answer = post(apollo_key, {"events": [event]})
    assert answer.json()["error"]["param"] == f"events.0.{missing}"


@pytest.mark.parametrize(
    ("age", "status"),
    [
        (dt.timedelta(minutes=-4), 200),
        (dt.timedelta(minutes=-6), 422),
        (dt.timedelta(days=29), 200),
        (dt.timedelta(days=31), 422),
    ],
)
def test_the_time_must_be_plausible(apollo_key: str, age: dt.timedelta, status: int) -> None:
    event = {**EVENT, "occurred_at": (timezone.now() - age).isoformat()}
    assert post(apollo_key, {"events": [event]}).status_code == status


def test_a_call_costs_what_its_price_list_said_at_the_time(apollo_key: str) -> None:
    now = timezone.now()
    base = Price.objects.get(model__model_id="lab/small")
    base.pk, base.valid_from, base.input_micro_usd = None, now.date(), 3_000_000
    base.save()
    base.pk, base.above_input_tokens, base.input_micro_usd = None, 200_000, 6_000_000
    base.save()
    calls: dict[str, dict[str, Any]] = {
        "yesterday": {"occurred_at": (now - dt.timedelta(days=1)).isoformat()},
        "today": {},
        "long": {"input_tokens": 150_000, "cache_read_tokens": 50_001},
    }
    events = [{**EVENT, "event_id": name, **fields} for name, fields in calls.items()]
    assert post(apollo_key, {"events": events}).json()["accepted"] == 3
    costs = dict(UsageEvent.objects.values_list("event_id", "cost_micro_usd"))
    assert costs == {"yesterday": 1000 + 500, "today": 3000 + 500, "long": 900_000 + 5000 + 500}


def test_reasoning_is_kept_and_costs_what_other_output_costs(apollo_key: str) -> None:
    post(apollo_key, {"events": [{**EVENT, "reasoning_tokens": 80}]})
    assert UsageEvent.objects.get().cost_micro_usd == 1000 + 500
    event = get(apollo_key, "usage/events").json()["data"][0]
    assert (event["output_tokens"], event["reasoning_tokens"]) == (100, 80)


def test_a_reported_cost_that_differs_is_flagged_and_can_be_asked_for(apollo_key: str) -> None:
    claims = {"equal": 0.0015, "near": 0.001575, "dear": 0.0016, "cheap": "0.0014", "silent": None}
    events = [{**EVENT, "event_id": name, "cost_usd": cost} for name, cost in claims.items()]
    post(apollo_key, {"events": events})

    def flagged(**params: str) -> set[str]:
        rows = get(apollo_key, "usage/events", **params).json()["data"]
        assert {row["cost_micro_usd"] for row in rows} == {1500}
        return {row["event_id"] for row in rows}

    assert flagged(cost_differs="true") == {"dear", "cheap"}
    assert flagged(cost_differs="false") == {"equal", "near", "silent"}
    assert flagged() == set(claims)
    assert get(apollo_key, "usage/events", cost_differs="maybe").status_code == 400


@pytest.mark.parametrize("status", ["error", "cancelled"])
def test_a_call_that_failed_or_was_cancelled_is_an_event_too(apollo_key: str, status: str) -> None:
    event = {"event_id": "e1", "model": "lab/small", "status": status}
    partly = {**EVENT, "event_id": "e2", "status": status}
    assert post(apollo_key, {"events": [event, partly]}).json()["accepted"] == 2
    rows = get(apollo_key, "usage/events").json()["data"]
    assert {row["event_id"]: row["cost_micro_usd"] for row in rows} == {"e1": 0, "e2": 1500}
    series = get(apollo_key, "usage", group="status").json()["series"]
    assert [(one["name"], one["total"]["requests"]) for one in series] == [(status, 2)]


def test_a_time_with_another_zone_is_kept_as_the_same_moment(apollo_key: str) -> None:
    moment = timezone.now() - dt.timedelta(hours=1)
    zone = dt.timezone(dt.timedelta(hours=5, minutes=30))
    post(apollo_key, {"events": [{**EVENT, "occurred_at": moment.astimezone(zone).isoformat()}]})
    assert UsageEvent.objects.get().occurred_at == moment


def test_another_teams_decision_is_as_unknown_as_none(borealis: Project, apollo_key: str) -> None:
    foreign = decide(borealis).public_id
    answers = []
    for decision_id in (foreign, "dec_nowhere", "dec_" + "z" * 26, "dec_6" + "z" * 25, "{,}"):
        event = {**EVENT, "decision_id": decision_id, "status": "error", "outcome": "failed"}
        answer = post(apollo_key, {"events": [event]})
        assert answer.status_code == 404
        error = answer.json()["error"]
        assert (error["code"], error["type"]) == ("decision_not_found", "not_found_error")
        error.pop("request_id")
        answers.append(json.dumps(error).replace(decision_id, "?"))
    assert len(set(answers)) == 1
    assert not UsageEvent.objects.exists()
    assert not TaskOutcome.objects.exists()


def test_an_event_of_another_projects_decision_is_a_404_among_others(
    borealis: Project, apollo_key: str
) -> None:
    foreign = {**EVENT, "event_id": "foreign", "decision_id": decide(borealis).public_id}
    bad = {**EVENT, "event_id": "bad", "input_tokens": -1}
    results = post(apollo_key, {"events": [foreign, bad, EVENT]}).json()["results"]
    assert [one["error"] and one["error"]["status"] for one in results] == [404, 422, None]
    assert UsageEvent.objects.get().event_id == "e1"
    answer = post(apollo_key, {"events": [foreign, bad]})
    assert answer.status_code == 422


def test_half_a_batch_may_be_bad(apollo_key: str) -> None:
    faults: list[dict[str, Any]] = [
        {"input_tokens": -1},
        {"model": "lab/unknown"},
        {"decision_id": "dec_x"},
        {"x": 1},
    ]
    events = [
        {**EVENT, "event_id": f"e{index // 2}", **(faults[index // 2 % 4] if index % 2 else {})}
        for index in range(1000)
    ]
    # The bad half has the ids of the good one, and comes first.
    events = events[1::2] + events[::2]
    body = post(apollo_key, {"events": events}).json()
    assert (body["accepted"], body["duplicates"], body["rejected"]) == (500, 0, 500)
    assert [one["index"] for one in body["results"]] == list(range(1000))
    for index, one in enumerate(body["results"]):
        assert one["status"] == ("rejected" if index < 500 else "accepted")
        if one["error"]:
            assert one["error"]["param"].startswith(f"events.{index}.")
    assert UsageEvent.objects.count() == 500
    again = post(apollo_key, {"events": events[500:]}).json()
    assert (again["accepted"], again["duplicates"]) == (0, 500)
    assert UsageEvent.objects.count() == 500


@pytest.mark.parametrize(
    ("body", "status", "param"),
    [
        ([], 422, "events"),
        ({}, 422, "events"),
        (None, 422, "events"),
        ({"events": {}}, 422, "events"),
        ({"events": []}, 422, "events"),
        ({"events": [EVENT] * 1001}, 422, "events"),
        ({"events": [EVENT], "source": "x"}, 422, "source"),
        ({"events": [3]}, 422, "events.0"),
        (b"{", 400, None),
        (b"\xff\xfe", 400, None),
        (b'"\\ud800"', 400, None),
        (b"[" * 50_000, 400, None),
        (b"1" * 5000, 400, None),
        (b"", 422, "events"),
    ],
)
def test_a_malformed_body_is_answered_in_the_envelope(
    apollo_key: str, body: Any, status: int, param: str | None
) -> None:
    answer = post(apollo_key, body)
    assert answer.status_code == status
    assert answer.json()["error"]["param"] == param
    assert answer.json()["error"]["request_id"]


def test_another_content_type_is_refused(apollo_key: str) -> None:
    headers = {"Authorization": f"Bearer {apollo_key}"}
    assert Client().post("/api/v1/usage", {"events": "x"}, headers=headers).status_code == 415


@pytest.mark.parametrize(
    ("size", "status"), [(1024**2, 200), (1024**2 + 1, 413), (10 * 1024**2, 413)]
)
def test_a_body_over_the_limit_is_refused(apollo_key: str, size: int, status: int) -> None:
    answer = post(apollo_key, json.dumps({"events": [EVENT]}).encode().ljust(size))
    assert answer.status_code == status
    if status != 200:
        assert answer.json()["error"]["code"] == "body_too_large"
    assert UsageEvent.objects.exists() == (status == 200)


def test_scopes_are_asked_for(apollo: Project) -> None:
    actor = SystemActor("test")
    reader = do_create_key(apollo, "reader", [Scope.USAGE_READ], actor=actor)[1]
    writer = do_create_key(apollo, "writer", [Scope.USAGE_WRITE], actor=actor)[1]
    assert post(reader, {"events": [EVENT]}).status_code == 403
    assert post(writer, {"events": [EVENT]}).status_code == 200
    assert post("kr_live_wrong", {"events": [EVENT]}).status_code == 401
    for address in ("usage", "usage/events", "decisions"):
        assert get(reader, address).status_code == 200
        assert get(writer, address).status_code == 403


def test_a_large_batch_takes_few_queries(
    apollo: Project, apollo_key: str, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    decisions = [decide(apollo).public_id for _ in range(5)]
    events = [
        {**EVENT, "event_id": f"e{index}", "decision_id": decisions[index % 5]}
        for index in range(200)
    ]
    # Key, models, prices, decisions, duplicates, budgets, project, ids, hours, and SQLite's inserts
    # of 40 or so rows at once.
    with django_assert_max_num_queries(18):
        assert send(apollo_key, {"events": events}).json()["accepted"] == 200


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(list(EVENT)) | st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=8,
)
fields = st.sampled_from([*EVENT, "decision_id", "occurred_at", "cost_usd", "status", "latency_ms"])
events = st.fixed_dictionaries(
    {"event_id": st.text(max_size=5) | json_values, "model": st.just("lab/small") | json_values}
).flatmap(lambda event: st.dictionaries(fields, json_values).map(lambda more: {**event, **more}))


@given(
    body=json_values | st.fixed_dictionaries({"events": st.lists(events | json_values, max_size=3)})
)
@settings(
    max_examples=100,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_no_json_whatsoever_is_a_server_error(apollo_key: str, body: Any) -> None:
    answer = post(apollo_key, body, Client(raise_request_exception=True))
    assert answer.status_code in (200, 400, 422)
    if answer.status_code != 200:
        assert answer.json()["error"]["message"]


def test_every_rung_of_a_ladder_counts_for_what_the_ladder_saves(
    apollo: Project, apollo_key: str
) -> None:
    rungs = [
        {"model": "lab/small", "success": 0.78, "cost_micro_usd": 12_000},
        {"model": "lab/large", "success": 0.4, "cost_micro_usd": 90_000},
    ]
    ladder = {"rungs": rungs, "success": 0.87, "cost_micro_usd": 31_800}
    routed = decide(
        apollo, accuracy=0.87, cost_micro_usd=31_800, evidence={**EVIDENCE, "ladder": ladder}
    )
    models = ["lab/small", "lab/large"]
    events = [
        {**EVENT, "event_id": model, "decision_id": routed.public_id, "model": model}
        for model in models
    ]
    assert post(apollo_key, {"events": events}).json()["accepted"] == 2
    for event in UsageEvent.objects.all():
        assert event.cost_micro_usd
        # The decision expected 90,000 on the baseline and 31,800 on the ladder.
        assert event.baseline_cost_micro_usd == round(event.cost_micro_usd * 90_000 / 31_800)


def test_events_are_listed_newest_first_page_by_page(apollo: Project, apollo_key: str) -> None:
    moment = timezone.now()
    for index in range(5):
        # Two share a moment, so that the order must not hang on the time alone.
        report(apollo, f"e{index}", occurred_at=moment - dt.timedelta(minutes=index // 2))
    expected = ["e1", "e0", "e3", "e2", "e4"]
    seen: list[str] = []
    cursor = ""
    while True:
        body = get(apollo_key, "usage/events", limit=2, cursor=cursor).json()
        seen += [event["event_id"] for event in body["data"]]
        if not body["next_cursor"]:
            break
        cursor = body["next_cursor"]
        report(apollo, f"new after {cursor}", occurred_at=timezone.now())
    assert seen == expected


def test_events_of_a_stretch_of_time_are_listed(apollo: Project, apollo_key: str) -> None:
    now = timezone.now()
    for days in (0, 3, 20):
        report(apollo, f"{days} days", occurred_at=now - dt.timedelta(days=days))

    def listed(**params: str) -> list[str]:
        body = get(apollo_key, "usage/events", **params).json()
        return [event["event_id"] for event in body["data"]]

    assert listed(range="7d") == ["0 days", "3 days"]
    since = (now - dt.timedelta(days=4)).isoformat()
    assert listed(**{"from": since, "to": (now - dt.timedelta(days=1)).isoformat()}) == ["3 days"]
    assert listed(**{"from": "1926-01-01", "to": "2126-01-01"}) == ["0 days", "3 days", "20 days"]


@pytest.mark.parametrize("address", ["usage", "usage/events", "decisions"])
@pytest.mark.parametrize(
    ("params", "param"),
    [
        ({"from": "2026-03-02", "to": "2026-03-01"}, "to"),
        ({"from": "2026-03-01T12:00:00Z", "to": "2026-03-01T12:00:00Z"}, "to"),
        ({"from": "soon"}, "from"),
        ({"to": "9999-12-31"}, "to"),
        ({"range": "100y"}, "range"),
        ({"range": "7d", "to": "2026-03-01"}, "range"),
    ],
)
def test_a_stretch_that_makes_no_sense_is_refused(
    apollo_key: str, address: str, params: dict[str, str], param: str
) -> None:
    answer = get(apollo_key, address, **params)
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == param


@pytest.mark.parametrize("limit", ["0", "201", "-1", "ten", "1e3", "²"])
def test_a_limit_out_of_bounds_is_refused(apollo_key: str, limit: str) -> None:
    for address in ("usage/events", "decisions"):
        answer = get(apollo_key, address, limit=limit)
        assert answer.status_code == 400
        assert answer.json()["error"]["param"] == "limit"


def test_one_project_never_sees_anothers_usage(
    apollo: Project, borealis: Project, borealis_key: str
) -> None:
    event = report(apollo, "secret")
    assert get(borealis_key, "usage").json()["total"]["requests"] == 0
    assert get(borealis_key, "usage/events").json()["data"] == []
    answer = get(borealis_key, "usage/events", cursor=event.event_id)
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == "cursor"


@pytest.mark.production
def test_a_decision_still_in_the_stream_is_found(apollo: Project, apollo_key: str) -> None:
    answer = Client().post(
        "/api/v1/route",
        json.dumps({"messages": [{"role": "user", "content": "Fix the failing test"}]}),
        content_type="application/json",
        headers={"Authorization": f"Bearer {apollo_key}"},
    )
    assert answer.status_code == 200
    decision_id = answer.json()["id"]
    answer = post(apollo_key, {"events": [{**EVENT, "decision_id": decision_id}]})
    assert answer.json()["accepted"] == 1


@pytest.mark.parametrize("address", ["usage", "usage/events", "decisions", "decisions/dec_x"])
@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "OPTIONS"])
def test_other_methods_are_refused(apollo_key: str, address: str, method: str) -> None:
    headers = {"Authorization": f"Bearer {apollo_key}"}
    answer = Client().generic(method, f"/api/v1/{address}", headers=headers)
    assert answer.status_code == 405
    assert answer.json()["error"]["code"] == "method_not_allowed"
