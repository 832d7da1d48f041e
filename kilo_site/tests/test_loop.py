"""The whole loop over a real server, as the programs and the people of one project walk it.

Results are ingested and published; a client asks for two decisions in a session and reports what
it used; both show in the API and on the pages; the policy changes and the next decision follows.
In production the decisions travel through the stream to a real Celery worker.
"""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil
import pytest
from django.core.management import call_command
from django.db import connection
from playwright.sync_api import Page, expect
from pytest_django import Settings
from pytest_django.live_server_helper import LiveServer

from kilo_site.tests.fixtures import PASSWORD
from kilo_site.tests.processes import kill_with_children, outlives
from leaderboard.tests.feeds import METADATA, make_feed
from teams.models import Project, User

pytestmark = pytest.mark.django_db(transaction=True)

ROOT = Path(__file__).resolve().parents[2]
SESSION = "loop-session"
ASK = "getCwd should be called getCurrentDir in all of src/shell, nothing else changes"
# Feed name, catalogue id, solved tasks of 40, dollars per task.
CHEAP = ("GLM-5", "z-ai/glm-5", 30, 0.05)
BALANCED = ("GPT-5.4", "openai/gpt-5.4", 30, 0.4)
BEST = ("claude-opus-4-8", "anthropic/claude-opus-4.8", 38, 0.9)
WEAK = ("Nemotron-3-Nano", "nvidia/nemotron-3-nano-30b-a3b", 4, 0.01)
FLEET = [CHEAP, BALANCED, BEST, WEAK]
BENCHMARKS = ("swe_bench", "swt_bench", "commit0", "gaia")


class Api:
    """A program with a key, speaking HTTP to the server."""

    def __init__(self, server: LiveServer, key: str) -> None:
        self.base, self.key = f"{server.url}/api/v1", key

    def get(self, path: str) -> Any:
        """Read."""
        return self.send(urllib.request.Request(f"{self.base}/{path}"))

    def post(self, path: str, body: Any) -> Any:
        """Write."""
        data = json.dumps(body).encode()
        headers = {"Content-Type": "application/json"}
        return self.send(urllib.request.Request(f"{self.base}/{path}", data, headers))

    def send(self, request: urllib.request.Request) -> Any:
        """Return the decoded answer; anything but a success raises."""
        request.add_header("Authorization", f"Bearer {self.key}")
        with urllib.request.urlopen(request, timeout=20) as response:
            return json.load(response)

    def route(self, session: str) -> Any:
        """Ask which model should rename a function."""
        body = {"messages": [{"role": "user", "content": ASK}], "session_id": session}
        return self.post("route", body)


@pytest.fixture
def published(tmp_path: Path, transactional_db: None) -> None:
    """A small feed, ingested and published with the real catalogue."""
    for name, _, solved, cost in FLEET:
        tasks = {f"task-{n}": {"resolved": n < solved, "cost": cost} for n in range(40)}
        make_feed(
            tmp_path / "feed",
            name,
            metadata={**METADATA, "model": name},
            **dict.fromkeys(BENCHMARKS, tasks),
        )
    call_command("load_catalogue")
    call_command("ingest", "openhands-index", str(tmp_path / "feed"))
    call_command("publish")


@pytest.fixture
def worker(transactional_db: None, settings: Settings, tmp_path: Path) -> Iterator[None]:
    """Where there is a stream, a Celery worker with its beat on the same database; it must end."""
    if not settings.REDIS_URL:
        yield
        return
    name = connection.settings_dict["NAME"]
    url = urlsplit(os.environ["DATABASE_URL"])._replace(path=f"/{name}").geturl()
    command = [
        *(sys.executable, "-m", "celery", "-A", "kilo_site", "worker", "-B"),
        *("--concurrency=1", "--loglevel=warning", f"--schedule={tmp_path}/schedule"),
    ]
    log = tmp_path / "worker.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env={**os.environ, "DATABASE_URL": url, "REDIS_URL": settings.REDIS_URL},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    try:
        yield
        assert process.poll() is None, log.read_text()
        family = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(signal.SIGTERM)
        assert process.wait(15) == 0, log.read_text()
        assert [child for child in family if outlives(child)] == [], log.read_text()
    finally:
        if process.poll() is None:
            kill_with_children(process)


@pytest.fixture
def api(
    published: None, worker: None, live_server: LiveServer, apollo: Project, apollo_key: str
) -> Api:
    """A client of apollo."""
    return Api(live_server, apollo_key)


def recorded(api: Api, count: int, what: str = "decisions") -> list[Any]:
    """Return the rows, newest first, once there are so many: a worker may be bringing them."""
    deadline = time.monotonic() + 20
    while len(found := api.get(what)["data"]) < count:
        assert time.monotonic() < deadline, f"{len(found)} of {count} {what} were recorded"
        time.sleep(0.1)
    return list(found)


def rolled_up(api: Api, count: int) -> Any:
    """Return the usage once so many requests and decisions are in it."""
    deadline = time.monotonic() + 20
    while True:
        usage = api.get("usage")
        total = usage["total"]
        if usage["series"] and (total["requests"], total["decisions"]) == (count, count):
            return usage
        assert time.monotonic() < deadline, total
        time.sleep(0.1)


def route_and_report(api: Api) -> list[Any]:
    """Ask for two decisions in a session, report usage for both, and return the decisions."""
    first, second = api.route(SESSION), api.route(SESSION)
    recorded(api, 2)
    used = {"input_tokens": 100_000, "output_tokens": 2_000, "latency_ms": 900}
    events = [
        {"event_id": f"call-{n}", "model": one["model"], "decision_id": one["id"], **used}
        for n, one in enumerate((first, second), start=1)
    ]
    assert api.post("usage", {"events": events})["accepted"] == 2
    return [first, second]


def check_api(api: Api, decisions: list[Any]) -> None:
    """Both decisions and both reports are in every answer that concerns them."""
    ids = {one["id"] for one in decisions}
    assert {one["id"] for one in recorded(api, 2)} == ids
    for one in decisions:
        detail = api.get(f"decisions/{one['id']}")
        assert (detail["model"], detail["session"]["id"]) == (CHEAP[1], SESSION)
        assert len(detail["evidence"]["candidates"]) == len(FLEET)
    events = recorded(api, 2, "usage/events")
    assert {event["decision_id"] for event in events} == ids
    usage = rolled_up(api, 2)
    assert usage["total"]["cost_micro_usd"] == sum(event["cost_micro_usd"] for event in events) > 0
    assert [series["name"] for series in usage["series"]] == [CHEAP[1]]


def check_pages(page: Page, home: str, alice: User, decisions: list[Any]) -> None:
    """Sign in with the form and find the same on every page."""
    page.goto(home)
    page.get_by_label("E-mail").fill(alice.email)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", name="Overview")).to_be_visible()
    expect(page.locator(".stat", has_text="Requests")).to_contain_text("2 decisions")

    tabs = page.get_by_role("navigation", name="Apollo")
    tabs.get_by_role("link", name="Usage").click()
    expect(page.locator(".chart__plot .barlayer .point").first).to_be_attached()
    row = page.get_by_role("region", name="Totals by model").get_by_role("row", name=CHEAP[1])
    expect(row.get_by_role("cell").first).to_have_text("2")
    row.get_by_role("link", name=CHEAP[1], exact=True).click()
    calls = page.get_by_role("region", name="Usage events")
    for one in decisions:
        expect(calls.locator(f"a[href$='{one['id']}/']")).to_be_visible()

    tabs.get_by_role("link", name="Decisions").click()
    expect(page.get_by_role("row", name=CHEAP[1])).to_have_count(2)
    page.locator(f"a[href$='{decisions[1]['id']}/']").click()
    expect(page.get_by_role("heading", level=1)).to_have_text(CHEAP[1])
    candidates = page.get_by_role("region", name="Candidates")
    for _, model, _, _ in FLEET:
        expect(candidates.get_by_role("rowheader", name=model, exact=True)).to_be_visible()


def save_best_accuracy(page: Page) -> None:
    """Ask for the most accurate model on the policy page."""
    tabs = page.get_by_role("navigation", name="Apollo")
    tabs.get_by_role("link", name="Policy").click()
    page.locator("input[name=mode][value=best_accuracy]").check()
    page.get_by_role("button", name="Save as version 1").click()
    expect(page.get_by_text("Saved as version 1")).to_be_visible()


@pytest.mark.browser
def test_the_loop(
    api: Api, live_server: LiveServer, alice: User, request: pytest.FixtureRequest
) -> None:
    board = api.get("leaderboard")
    assert {row["model"] for row in board["data"]} == {model for _, model, _, _ in FLEET}

    first, second = route_and_report(api)
    assert [first["model"], second["model"]] == [CHEAP[1], CHEAP[1]]
    assert first["reason"]["code"] == "cheapest_clearing"
    assert first["table_version"] == board["table_version"]
    assert (second["session"]["id"], second["session"]["switched"]) == (SESSION, False)
    check_api(api, [first, second])

    # Only from here on is a browser needed: without one, what comes before has still been tested.
    page: Page = request.getfixturevalue("page")
    home = f"{live_server.url}/projects/apollo/"
    check_pages(page, home, alice, [first, second])
    save_best_accuracy(page)

    after = api.route("another-session")
    assert after["policy"]["mode"] == "best_accuracy"
    assert after["policy"]["version"] != first["policy"]["version"]
    assert after["model"] == BEST[1] != first["model"]
    assert recorded(api, 3)[0]["id"] == after["id"]
    page.goto(f"{home}decisions/{after['id']}/")
    expect(page.get_by_role("heading", level=1)).to_have_text(BEST[1])
