"""``POST /benchmarks/runs``: a team's own results, idempotent, and nobody else's business."""

import json
from typing import Any

import pytest
from django.test import Client

from leaderboard.actions.loading import do_load_catalogue
from leaderboard.models import Benchmark, CatalogModel, Ingestion, Run, TaskResult
from teams.actions import SystemActor, do_create_key
from teams.keys import Scope
from teams.models import Project

pytestmark = pytest.mark.django_db
URL = "/api/v1/benchmarks/runs"
TASK = {"task": "t-1", "outcome": "passed", "cost_usd": 0.25}
RUN = {
    "benchmark": "our-bugs",
    "route": "debugging/bug_fixing",
    "model": "openai/gpt-5.4",
    "harness": "ours",
    "tasks": [TASK, {"task": "t-2", "score": 0.5}, {"task": "t-2", "trial": 2, "score": None}],
}


@pytest.fixture(autouse=True)
def catalogue(db: None) -> None:
    CatalogModel.objects.create(
        model_id="openai/gpt-5.4", name="GPT-5.4", provider="openai", input_modalities=["text"]
    )


def key_of(project: Project, *scopes: Scope) -> str:
    return do_create_key(
        project,
        "results",
        scopes or [Scope.BENCHMARKS_WRITE],
        actor=SystemActor("test"),
    )[1]


def post(project: Project, body: Any, content_type: str = "application/json") -> Any:
    sent = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = {"Authorization": f"Bearer {key_of(project)}"}
    return Client().post(URL, sent, content_type, headers=headers)


def test_runs_land_as_the_teams_own(apollo: Project) -> None:
    answer = post(apollo, {"runs": [RUN]})

    assert answer.status_code == 200
    body = answer.json()
    assert (body["added"], body["rejected"], body["rejections"]) == (1, 0, [])
    run = Run.objects.get()
    assert body["runs"] == [
        {
            "row": "runs[0]",
            "benchmark": "our-bugs",
            "model": "openai/gpt-5.4",
            "harness": "ours",
            "status": "added",
            "id": run.public_id,
            "tasks": 3,
        }
    ]
    assert (run.team, run.source, run.is_aggregate) == (apollo.team, "results-jsonl", False)
    assert run.benchmark.slug == f"team-{apollo.team.slug}--our-bugs"
    assert run.benchmark.route == "debugging/bug_fixing"
    results = TaskResult.objects.order_by("task", "trial")
    assert list(results.values_list("task", "trial", "score", "cost_micro_usd")) == [
        ("t-1", 1, 1.0, 250_000),
        ("t-2", 1, 0.5, None),
        ("t-2", 2, None, None),
    ]
    ingestion = Ingestion.objects.get(public_id=body["id"])
    assert (ingestion.team, ingestion.rows_accepted) == (apollo.team, 3)


def test_the_same_content_changes_nothing_and_another_supersedes(apollo: Project) -> None:
    post(apollo, {"runs": [RUN]})
    assert post(apollo, {"runs": [RUN]}).json()["unchanged"] == 1
    assert Run.objects.count() == 1

    assert post(apollo, {"runs": [{**RUN, "tasks": [TASK]}]}).json()["superseded"] == 1
    assert Run.objects.get(superseded_at=None).task_results.count() == 1


def test_the_file_format_is_taken_as_well(apollo: Project) -> None:
    head = {key: value for key, value in RUN.items() if key != "tasks"}
    lines = [{"type": "run", **head}, {"type": "task", **TASK}, {"type": "task", "task": "t-2"}]
    answer = post(
        apollo, "\n".join(map(json.dumps, lines)).encode() + b"\n", "application/x-ndjson"
    )
    assert answer.status_code == 200
    assert answer.json()["added"] == 1
    assert answer.json()["rejections"] == [
        {"row": "body line 3", "reason": "needs either an outcome or a score"}
    ]
    assert post(apollo, {"runs": [{**RUN, "tasks": [TASK]}]}).json()["unchanged"] == 1


def test_one_bad_run_does_not_take_down_another(apollo: Project) -> None:
    bad = {**RUN, "model": "acme/secret"}
    body = post(apollo, {"runs": [bad, {**RUN, "harness": ""}, RUN]}).json()
    assert [run["status"] for run in body["runs"]] == ["rejected", "added"]
    first, second = body["rejections"]
    assert first["row"] == "runs[0]"
    assert "unknown model acme/secret" in first["reason"]
    assert second["row"] == "runs[1]"
    assert not CatalogModel.objects.filter(model_id="acme/secret").exists()


def test_teams_do_not_see_each_others_benchmarks(apollo: Project, borealis: Project) -> None:
    post(apollo, {"runs": [RUN]})
    other = {**RUN, "route": "refactoring/migration"}
    assert post(borealis, {"runs": [other]}).json()["added"] == 1
    assert Benchmark.objects.filter(name="our-bugs").count() == 2

    unrouted = {key: value for key, value in RUN.items() if key != "route"}
    assert post(borealis, {"runs": [{**unrouted, "benchmark": "theirs"}]}).status_code == 422
    assert post(borealis, {"runs": [unrouted]}).status_code == 200


def test_no_public_answer_shows_a_teams_runs(apollo: Project) -> None:
    do_load_catalogue(actor=SystemActor("test"))
    post(apollo, {"runs": [{**RUN, "harness": "apollo-harness"}]})
    for call in ("leaderboard", "leaderboard.csv", "models", "models.csv", "routing-table"):
        answer = Client().get(f"/api/v1/{call}").content.decode()
        assert "apollo-harness" not in answer
        assert "our-bugs" not in answer


def test_a_known_public_benchmark_keeps_its_route(apollo: Project) -> None:
    run = {**RUN, "benchmark": "gaia"}
    answer = post(apollo, {"runs": [run]})
    assert answer.status_code == 422
    assert "measures investigation/external_research" in answer.json()["error"]["message"]
    assert post(apollo, {"runs": [{**run, "route": None}]}).json()["added"] == 1
    assert Run.objects.get().benchmark.slug == "gaia"


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"", 422, "no_usable_run"),
        (b"{", 400, "invalid_json"),
        (b"[" * 100_000, 400, "invalid_json"),
        (json.dumps({"runs": [RUN]}).encode("utf-16"), 400, "invalid_json"),
        ({"runs": 1}, 400, "invalid_json"),
        ({"runs": [], "more": 1}, 400, "invalid_json"),
        ({"runs": []}, 422, "no_usable_run"),
        ({"runs": [1]}, 422, "no_usable_run"),
        ({"runs": [{**RUN, "tasks": []}]}, 422, "no_usable_run"),
        ({"runs": [{**RUN, "cost": 1}]}, 422, "no_usable_run"),
        ({"runs": [{**RUN, "n_tasks": 4}]}, 422, "no_usable_run"),
        (b" " * (8 * 1024 * 1024 + 1), 413, "body_too_large"),
    ],
)
def test_what_cannot_be_used_is_refused_and_leaves_nothing(
    apollo: Project, body: Any, status: int, code: str
) -> None:
    answer = post(apollo, body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    assert not Run.objects.exists()


def test_the_scope_is_asked_for(apollo: Project) -> None:
    headers = {"Authorization": f"Bearer {key_of(apollo, Scope.USAGE_WRITE)}"}
    answer = Client().post(URL, {"runs": [RUN]}, "application/json", headers=headers)
    assert answer.status_code == 403
