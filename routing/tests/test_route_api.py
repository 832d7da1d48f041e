"""``POST /api/v1/route`` as a program meets it."""

import json
from typing import Any

import pytest
from django.conf import settings
from django.db import OperationalError, connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from pytest_django import DjangoCaptureOnCommitCallbacks

from leaderboard.actions.bundling import do_load_figures
from leaderboard.actions.loading import do_load_catalogue
from leaderboard.actions.publishing import do_publish
from leaderboard.tests.tables import publish_table, table_bytes
from lib.store import DECISIONS, RedisStore, get_store
from routing import sessions
from routing.actions.policies import do_save_policy
from routing.actions.recording import do_record_decisions
from routing.models import Decision
from routing.queries import live
from teams.actions import SystemActor, do_create_key, do_revoke_key
from teams.models import ApiKey, Project, User

pytestmark = pytest.mark.django_db

SETUP = SystemActor("test setup")
RENAME = "getCwd should be called getCurrentDir in all of src/shell, nothing else changes"
REGIONS = (
    "we have to get the billing database from one region to three without downtime, lay out the"
    " options and the order of work"
)
FLEET = {
    "open/cheap": (0.78, 50_000.0),
    "openai/gpt-5.4": (0.79, 400_000.0),
    "anthropic/claude-opus-4.8": (0.80, 900_000.0),
}


@pytest.fixture
def table(db: None) -> str:
    """A published table; returns its version."""
    return publish_table(table_bytes(FLEET)).version


def ask(key: str, body: Any, query: str = "", **headers: str) -> Any:
    """POST a body, JSON or raw, and return the response."""
    data = body if isinstance(body, bytes | str) else json.dumps(body)
    return Client().post(
        f"/api/v1/route{query}",
        data,
        content_type="application/json",
        headers={"Authorization": f"Bearer {key}", **headers},
    )


def turn(text: str) -> dict[str, Any]:
    """A request of one user turn."""
    return {"messages": [{"role": "user", "content": text}]}


def recorded() -> list[Decision]:
    """All decisions, once the stream is in the database."""
    do_record_decisions()
    return list(Decision.objects.order_by("created_at"))


def test_answers_with_the_documented_decision(apollo_key: str, table: str) -> None:
    response = ask(apollo_key, {**turn(RENAME), "session_id": "s1"})
    assert response.status_code == 200
    body = response.json()
    assert body["id"].startswith("dec_")
    assert body["model"] == "open/cheap"
    assert body["fallback_models"] == ["openai/gpt-5.4", "anthropic/claude-opus-4.8"]
    assert body["reason"]["code"] == "cheapest_clearing"
    assert body["route"]["task_type"] == "refactoring"
    assert body["route"]["subtask_type"] == "code_cleanup"
    assert body["route"]["difficulty"] == "low"
    assert 0.5 <= body["route"]["confidence"] <= 1
    accuracy = body["estimate"]["accuracy"]
    assert accuracy["low"] < accuracy["mean"] < accuracy["high"]
    assert body["estimate"]["cost_micro_usd"] == 50_000
    assert body["estimate"]["baseline_cost_micro_usd"] == 900_000
    assert body["session"] == {
        "id": "s1",
        "sticky": False,
        "switched": False,
        "switch_reason": None,
    }
    assert body["policy"] == {"version": "pol_default", "mode": "auto_efficient"}
    assert body["table_version"] == table
    assert "candidates" not in body


def test_records_the_decision_with_its_evidence_and_no_text(
    apollo_key: str, apollo: Project, table: str
) -> None:
    answer = ask(apollo_key, {**turn(f"{RENAME} SECRETWORD"), "session_id": "s1"}).json()
    [decision] = recorded()
    assert decision.public_id == answer["id"]
    assert decision.project == apollo
    assert decision.model == "open/cheap"
    assert (decision.task_type, decision.subtask_type) == ("refactoring", "code_cleanup")
    assert decision.table_version == table
    assert [c["model"] for c in decision.evidence["candidates"]] == [
        "open/cheap",
        "openai/gpt-5.4",
        "anthropic/claude-opus-4.8",
    ]
    assert sum(decision.evidence["classification"]["routes"].values()) == pytest.approx(1, abs=0.01)
    everything = json.dumps({name: str(value) for name, value in vars(decision).items()})
    assert "SECRETWORD" not in everything


def test_words_of_a_request_are_neither_logged_nor_kept_in_the_session(
    apollo_key: str,
    table: str,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
    apollo: Project,
) -> None:
    caplog.set_level("DEBUG")
    body = {**turn("why does zanzibarquux leak"), "session_id": "s-1", "tools": ["flurbotool"]}
    assert ask(apollo_key, body, "?explain=true").status_code == 200
    assert ask(apollo_key, {**body, "mode": "zanzibarquux"}).status_code == 422

    state = get_store(settings.REDIS_URL).fetch(sessions.key(apollo.pk, "s-1"))
    assert state.values[0]
    assert b"zanzibar" not in state.values[0]
    assert b"flurbo" not in state.values[0]
    written = "".join(capfd.readouterr()) + caplog.text
    assert "zanzibar" not in written
    assert "flurbo" not in written


def test_explain_tells_the_caller_which_words_spoke_and_keeps_none_of_them(
    apollo_key: str, table: str
) -> None:
    words = "rename zanzibarQuux to listQuux in the flurbo helpers"
    body = ask(apollo_key, turn(words), "?explain=true").json()
    spoke = [one["feature"] for one in body["contributions"]]
    assert "rename" in spoke
    weights = [one["weight"] for one in body["contributions"]]
    assert weights == sorted(weights, reverse=True)
    recorded()
    stored = json.dumps(Decision.objects.values().get(public_id=body["id"]), default=str)
    assert "contributions" not in stored
    assert not [word for word in words.split() if word.lower() in stored.lower() and len(word) > 5]

    hinted = ask(
        apollo_key,
        {**turn(words), "task": {"task_type": "debugging"}},
        "?explain=true",
    ).json()
    assert hinted["contributions"] == [], "the client said so, not the words"


def test_explain_adds_candidates_and_probabilities(apollo_key: str, table: str) -> None:
    body = ask(apollo_key, turn(RENAME), "?explain=true").json()
    assert {c["model"]: c["verdict"] for c in body["candidates"]} == {
        "open/cheap": "chosen",
        "openai/gpt-5.4": "dearer",
        "anthropic/claude-opus-4.8": "dearer",
    }
    assert len(body["probabilities"]["routes"]) == 18


def test_verifiable_answers_with_a_ladder_and_records_it(apollo_key: str, table: str) -> None:
    assert ask(apollo_key, turn(RENAME)).json()["ladder"] is None
    body = ask(apollo_key, {**turn(RENAME), "verifiable": True}, "?explain=1").json()
    ladder = body["ladder"]
    assert body["reason"]["code"] == "cheapest_ladder"
    assert [rung["model"] for rung in ladder["rungs"]] == ["open/cheap", "openai/gpt-5.4"]
    assert body["model"] == "open/cheap"
    assert ladder["success"] > ladder["rungs"][0]["success"]
    assert 50_000 < ladder["cost_micro_usd"] < 450_000
    assert {c["model"]: c["verdict"] for c in body["candidates"]}["openai/gpt-5.4"] == "next_rung"
    decision = next(one for one in recorded() if one.public_id == body["id"])
    assert decision.evidence["ladder"] == ladder
    estimate = body["estimate"]
    assert estimate["accuracy"]["mean"] == decision.accuracy == ladder["success"]
    assert estimate["cost_micro_usd"] == decision.cost_micro_usd == ladder["cost_micro_usd"]
    assert decision.accuracy_low == estimate["accuracy"]["low"] < decision.accuracy
    assert decision.evidence["request"]["verifiable"] is True


def test_a_dry_run_leaves_no_trace(apollo_key: str, table: str) -> None:
    body = {**turn(RENAME), "session_id": "s1"}
    answer = ask(apollo_key, body, "?dry_run=true").json()
    assert (answer["id"], answer["model"]) == (None, "open/cheap")
    assert recorded() == []
    # Nor in the session: an unclear turn would otherwise stay on the model.
    assert ask(apollo_key, {**turn("hm"), "session_id": "s1"}).json()["reason"]["code"] == (
        "low_confidence"
    )


def test_a_session_stays_and_another_project_does_not_share_it(
    apollo_key: str, borealis_key: str, table: str
) -> None:
    first = ask(apollo_key, {**turn(RENAME), "session_id": "s1"}).json()
    later = {
        "messages": [
            {"role": "user", "content": RENAME},
            {"role": "assistant", "content": None},
            {"role": "tool", "content": "ok"},
        ],
        "session_id": "s1",
    }
    assert ask(apollo_key, later).json()["model"] == first["model"]
    unclear = {**turn("hm"), "session_id": "s1"}
    assert ask(apollo_key, unclear).json()["model"] == "open/cheap"
    assert ask(borealis_key, unclear).json()["model"] == "openai/gpt-5.4"


def test_two_different_requests_are_different_tasks(apollo_key: str, table: str) -> None:
    rename = ask(apollo_key, turn(RENAME)).json()["route"]
    regions = ask(apollo_key, turn(REGIONS)).json()["route"]
    assert (rename["task_type"], rename["difficulty"]) == ("refactoring", "low")
    assert (regions["task_type"], regions["difficulty"]) == ("planning_design", "high")


def test_with_the_bundled_table_a_rename_and_a_migration_plan_go_to_different_models(
    apollo_key: str,
) -> None:
    do_load_catalogue(actor=SETUP)
    do_load_figures(actor=SETUP)
    do_publish(actor=SETUP)
    rename, plan = (ask(apollo_key, turn(text)).json() for text in (RENAME, REGIONS))
    by_the_bar = {"cheapest_clearing", "bar_too_dear"}
    assert {rename["reason"]["code"], plan["reason"]["code"]} <= by_the_bar, (rename, plan)
    assert rename["model"] != plan["model"]
    costs = [answer["estimate"]["cost_micro_usd"] for answer in (rename, plan)]
    assert costs[0] < costs[1] / 2
    assert rename["estimate"]["baseline_cost_micro_usd"] > costs[0]


def test_a_client_is_taken_at_its_word(apollo_key: str, table: str) -> None:
    task = {"task_type": "debugging", "subtask_type": "test_repair", "difficulty": "high"}
    answer = ask(apollo_key, {**turn("hm"), "task": task}, "?explain=1").json()
    assert answer["route"] == {**task, "confidence": 1.0}
    assert answer["probabilities"]["source"] == "client"


def test_without_a_table_balanced_takes_it(apollo_key: str) -> None:
    answer = ask(apollo_key, turn(RENAME)).json()
    assert (answer["model"], answer["reason"]["code"]) == ("openai/gpt-5.4", "no_table")
    assert (answer["estimate"], answer["table_version"]) == (None, None)


def test_a_new_policy_and_a_new_table_count_at_once(
    apollo_key: str,
    apollo: Project,
    alice: User,
    table: str,
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
) -> None:
    assert ask(apollo_key, turn(RENAME)).json()["model"] == "open/cheap"
    with django_capture_on_commit_callbacks(execute=True):
        policy = do_save_policy(
            apollo,
            actor=alice,
            based_on=None,
            mode="auto_efficient",
            quality_bar=1.0,
            evidence=0.5,
            confidence_threshold=0.5,
            allowed_models=[],
            denied_models=[],
            balanced_models=["openai/gpt-5.4"],
            baseline_model="anthropic/claude-opus-4.8",
            note="",
        )
    answer = ask(apollo_key, turn(RENAME)).json()
    assert answer["model"] == "anthropic/claude-opus-4.8"
    assert answer["policy"]["version"] == policy.public_id


def test_a_warm_request_asks_the_database_nothing_it_knows(apollo_key: str, table: str) -> None:
    body = {**turn(RENAME), "session_id": "s1"}
    ask(apollo_key, body)
    live_generation = live._memory.generation
    with CaptureQueriesContext(
        connection,
    ) as queries:
        ask(apollo_key, body, "?dry_run=1")
    if live._memory.generation == live_generation:  # else two seconds have just gone by
        assert [query["sql"] for query in queries] == []


@pytest.mark.production
def test_with_redis_a_warm_recorded_request_asks_the_database_nothing(
    apollo_key: str, table: str
) -> None:
    body = {**turn(RENAME), "session_id": "s1"}
    ask(apollo_key, body)
    with CaptureQueriesContext(connection) as queries:
        assert ask(apollo_key, body).status_code == 200
    assert [query["sql"] for query in queries] == []


@pytest.mark.production
def test_a_decision_can_be_read_before_a_worker_has_recorded_it(
    apollo_key: str, table: str
) -> None:
    answer = ask(apollo_key, turn(RENAME)).json()
    headers = {"Authorization": f"Bearer {apollo_key}"}
    response = Client().get(f"/api/v1/decisions/{answer['id']}", headers=headers)
    assert response.status_code == 200
    assert response.json()["model"] == answer["model"]


@pytest.mark.production
def test_what_cannot_be_recorded_is_set_aside_and_the_rest_lands(
    apollo_key: str, table: str, settings: Any
) -> None:
    store = get_store(settings.REDIS_URL)
    assert isinstance(store, RedisStore)
    store.commit(None, b"", 1, b"not a decision")
    ask(apollo_key, turn(RENAME))
    assert len(recorded()) == 1
    assert [one.event for one in store.aside(DECISIONS, 10)] == [b"not a decision"]
    assert recorded() == recorded()


@pytest.mark.production
def test_a_decision_that_the_database_refuses_does_not_hold_up_the_rest(
    apollo_key: str, table: str, settings: Any
) -> None:
    store = get_store(settings.REDIS_URL)
    assert isinstance(store, RedisStore)
    ask(apollo_key, turn(RENAME))
    [waiting] = store.waiting(DECISIONS, 1)
    store.commit(None, b"", 1, waiting.event.replace(b'"mode":"', b'"mode":"' + b"x" * 500))
    ask(apollo_key, turn(RENAME))
    assert len(recorded()) == 2
    assert store.backlog(DECISIONS).waiting == 0
    assert "too long" in store.aside(DECISIONS, 1)[0].reason


def test_with_the_store_away_requests_are_answered_and_recorded(
    apollo_key: str, table: str, settings: Any
) -> None:
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    answer = ask(apollo_key, {**turn(RENAME), "session_id": "s1"}).json()
    assert answer["model"] == "open/cheap"
    assert Decision.objects.get().public_id == answer["id"]


def test_with_the_database_away_a_known_key_is_answered_from_memory(
    apollo_key: str, borealis_key: str, table: str
) -> None:
    def away(*args: Any) -> None:
        raise OperationalError("connection refused")

    known = ask(apollo_key, turn(RENAME), "?dry_run=1").json()
    live.renew("the next generation, of which nothing is known")
    with connection.execute_wrapper(away):
        assert ask(apollo_key, turn(RENAME), "?dry_run=1").json() == known
        response = ask(borealis_key, turn(RENAME), "?dry_run=1")
    assert response.status_code == 503
    assert response.headers["Retry-After"] == "5"
    assert response.json()["error"]["code"] == "database_unavailable"
    live.renew("and the one after")
    assert ask(borealis_key, turn(RENAME), "?dry_run=1").status_code == 200


# Who may ask


@pytest.mark.parametrize("header", [None, "", "Bearer", "Basic abc", "Bearer nonsense"])
def test_no_key_or_a_wrong_one_is_401(header: str | None, db: None) -> None:
    headers = {} if header is None else {"Authorization": header}
    response = Client().post("/api/v1/route", "{}", "application/json", headers=headers)
    assert response.status_code == 401
    assert response.headers["WWW-Authenticate"] == "Bearer"
    assert response.json()["error"]["type"] == "authentication_error"


def test_a_revoked_key_is_401_from_the_next_request_on(
    apollo_key: str,
    alice: User,
    table: str,
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
) -> None:
    assert ask(apollo_key, turn(RENAME)).status_code == 200
    with django_capture_on_commit_callbacks(execute=True):
        do_revoke_key(ApiKey.objects.get(), actor=alice)
    response = ask(apollo_key, turn(RENAME))
    assert response.status_code == 401
    assert response.json()["error"]["code"] == "invalid_api_key"


def test_a_key_without_the_scope_is_403(apollo: Project) -> None:
    _, key = do_create_key(apollo, "reader", ["usage:read"], actor=SETUP)
    response = ask(key, turn(RENAME))
    assert response.status_code == 403
    error = response.json()["error"]
    assert error["details"] == {"required": "route:write", "granted": ["usage:read"]}
    assert "route:write" in error["message"]


# Bad input


@pytest.mark.parametrize(
    ("body", "status", "param"),
    [
        (b"{", 400, None),
        (b"\xff\xfe", 400, None),
        (b"", 400, None),
        (b"[]", 422, "body"),
        (b"[" * 100_000, 422, "body"),
        (b'{"messages":' + b"[" * 100_000, 422, "messages.0"),
        (b'{"messages":[],"x":' + b"[" * 100_000, 422, "messages"),
        ({}, 422, "messages"),
        ({"messages": []}, 422, "messages"),
        ({"messages": "hello"}, 422, "messages"),
        ({"messages": [{"content": "x"}]}, 422, "messages.0.role"),
        ({"messages": [{"role": "boss", "content": "x"}]}, 422, "messages.0.role"),
        ({"messages": [{"role": "user", "content": 5}]}, 422, "messages.0.content"),
        ({**turn("x"), "mode": "warp"}, 422, "mode"),
        ({**turn("x"), "mode": "best_accuracy"}, 422, "mode"),
        ({**turn("x"), "session_id": ""}, 422, "session_id"),
        ({**turn("x"), "session_id": "a\x00b"}, 422, "session_id"),
        ({**turn("x"), "session_id": "s" * 201}, 422, "session_id"),
        ({**turn("x"), "context_tokens": -1}, 422, "context_tokens"),
        ({**turn("x"), "context_tokens": 1.5}, 422, "context_tokens"),
        ({**turn("x"), "context_tokens": 10**30}, 422, "context_tokens"),
        ({**turn("x"), "tools": "all"}, 422, "tools"),
        ({**turn("x"), "verifiable": "yes"}, 422, "verifiable"),
        ({**turn("x"), "task": {"task_type": "cooking"}}, 422, "task.task_type"),
        (
            {**turn("x"), "task": {"task_type": "debugging", "subtask_type": "migration"}},
            422,
            "task.subtask_type",
        ),
        (
            {**turn("x"), "task": {"task_type": "debugging", "difficulty": "hard"}},
            422,
            "task.difficulty",
        ),
        ({**turn("x"), "required_modalities": ["smell"]}, 422, "required_modalities.0"),
        ({**turn("x"), "required_modalities": ["video"]}, 422, "required_modalities"),
        ({**turn("x"), "context_tokens": 9_000_000}, 422, "context_tokens"),
    ],
)
def test_bad_input_names_the_parameter_and_how_to_mend_it(
    apollo_key: str, table: str, body: Any, status: int, param: str | None
) -> None:
    response = ask(apollo_key, body, **{"X-Request-ID": "my-id-1"})
    error = response.json()["error"]
    assert (response.status_code, error["param"]) == (status, param), error
    assert error["request_id"] == response.headers["X-Request-ID"] == "my-id-1"
    assert error["type"] == "invalid_request_error"
    assert len(error["message"]) > 20
    assert recorded() == []


@pytest.mark.parametrize(
    ("body", "choices"),
    [
        ({"messages": [{"role": "boss", "content": "x"}]}, "developer, user, assistant"),
        (
            {**turn("x"), "task": {"task_type": "debugging", "difficulty": "hard"}},
            "low, medium, high",
        ),
    ],
)
def test_a_wrong_name_is_answered_with_the_right_ones(
    apollo_key: str, table: str, body: Any, choices: str
) -> None:
    assert choices in ask(apollo_key, body).json()["error"]["message"]


@pytest.mark.parametrize("query", ["?explain=maybe", "?dry_run=2"])
def test_a_flag_is_true_or_false(apollo_key: str, query: str) -> None:
    response = ask(apollo_key, turn("x"), query)
    assert response.status_code == 400
    assert response.json()["error"]["param"] in query


def test_a_body_over_the_limit_is_413(apollo_key: str, settings: Any) -> None:
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = settings.API_MAX_BODY_BYTES = 1_000
    response = ask(apollo_key, turn("x" * 2_000))
    assert response.status_code == 413
    assert "1,000 bytes" in response.json()["error"]["message"]


def test_other_methods_are_405_in_the_same_shape(apollo_key: str) -> None:
    response = Client().get("/api/v1/route", headers={"Authorization": f"Bearer {apollo_key}"})
    assert (response.status_code, response.headers["Allow"]) == (405, "POST")
    assert response.json()["error"]["code"] == "method_not_allowed"


def test_an_unknown_api_path_is_a_404_in_the_same_shape(db: None) -> None:
    response = Client().get("/api/v1/nothing")
    assert response.status_code == 404
    assert response.json()["error"]["code"] == "not_found"


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda children: (
        st.lists(children, max_size=4) | st.dictionaries(st.text(max_size=8), children, max_size=4)
    ),
    max_leaves=12,
)
fields = st.sampled_from(
    [
        "messages",
        "session_id",
        "mode",
        "tools",
        "task",
        "context_tokens",
        "required_modalities",
        "verifiable",
    ]
)
messages = st.lists(
    st.fixed_dictionaries(
        {"role": st.sampled_from(["user", "system", "assistant", "tool"]), "content": json_values}
    ),
    min_size=1,
    max_size=3,
)


@given(
    st.one_of(
        json_values,
        st.dictionaries(fields, json_values),
        st.fixed_dictionaries({"messages": messages}, optional={"tools": json_values}),
    )
)
@hypothesis_settings(
    max_examples=80,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_no_json_whatever_makes_it_fail(apollo_key: str, table: str, body: Any) -> None:
    response = ask(apollo_key, body)
    assert response.status_code in {200, 400, 422}
    assert ("error" in response.json()) == (response.status_code != 200)
