"""The Usage page: what it shows, and where it leads."""

import csv
import datetime as dt
import json
import re
from html import unescape
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries, Settings

from leaderboard.tests.tables import publish_table, table_bytes
from routing.models import Policy, StaleHour
from teams.models import ApiKey, AuditEvent, Project, Team, User
from usage.models import UsageEvent
from usage.queries.changes import changes_between
from usage.question import ADDITIVE, GROUPS, METRICS
from usage.tests.test_pages import text_of
from usage.tests.traffic import catalogue, decide, report, settle

pytestmark = pytest.mark.django_db
PAGE = "/projects/apollo/usage/"
NOON = dt.datetime(2026, 3, 2, 12, tzinfo=dt.UTC)
WEEK = "from=2026-03-02&to=2026-03-08"


@pytest.fixture
def browser(bob: User) -> Client:
    """Bob, who may only look."""
    client = Client()
    client.force_login(bob)
    return client


def figure_of(response: Any) -> dict[str, Any]:
    """Return the chart of a page."""
    html = response.content.decode()
    found = re.search(r'<script id="usage-figure" type="application/json">(.*?)</script>', html)
    assert found
    figure: dict[str, Any] = json.loads(found[1])
    return figure


def traces_of(response: Any) -> dict[str, dict[str, Any]]:
    """Return the series of a page's chart by name."""
    return {trace["name"]: trace for trace in figure_of(response)["data"]}


def links_of(response: Any, base: str = PAGE) -> dict[str, list[str]]:
    """Return where each link of a page leads, by what it says."""
    found: dict[str, list[str]] = {}
    html = response.content.decode()
    for href, inner in re.findall(r'<a\b[^>]*?href="([^"]+)"[^>]*>(.*?)</a>', html, re.DOTALL):
        text = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", "", inner)).strip()
        link = unescape(href)
        found.setdefault(unescape(text), []).append(base + link if link[0] == "?" else link)
    return found


def points_of(response: Any) -> list[tuple[float, str | None]]:
    """Return how high each point of a page's chart is that has a height, and where it leads."""
    figure = figure_of(response)
    times = figure["layout"]["meta"]["times"]
    return [
        (height, rows and rows + time)
        for trace in figure["data"]
        for rows in [trace["meta"]["rows"]]
        for height, time in zip(trace["y"], times, strict=True)
        if height
    ]


def rows_behind(browser: Client, link: str) -> int:
    """Return how many calls a list has, all its pages together."""
    page = browser.get(link)
    assert page.status_code == 200, link
    rows = page.content.decode().partition("<tbody>")[2].count('<th scope="row"')
    older = links_of(page, link.partition("?")[0]).get("Older")
    return rows + (rows_behind(browser, older[0]) if older else 0)


def test_chart_and_table_show_the_same_figures(apollo: Project, browser: Client) -> None:
    report(apollo, "a", cost_micro_usd=2_500_000)
    report(apollo, "b", model="lab/large", cost_micro_usd=1_250_000)
    settle()
    response = browser.get(f"{PAGE}?range=24h")
    traces = figure_of(response)["data"]
    assert [trace["name"] for trace in traces] == ["lab/small", "lab/large"]
    assert [sum(trace["y"]) for trace in traces] == [2.5, 1.25]
    assert traces[0]["marker"]["color"] == "var(--series-1)"
    page = text_of(response)
    assert page.count("$2.50") == 2  # by model, and by hour
    assert "Total 2" in page


@pytest.mark.parametrize("metric", METRICS)
def test_what_adds_up_is_stacked_and_all_else_a_line(
    apollo: Project, browser: Client, metric: str
) -> None:
    report(apollo, "a", latency_ms=1200, cache_read_tokens=10)
    report(apollo, "b", latency_ms=700, session_id="s", status="error")
    decide(apollo, switched=True)
    settle()
    traces = figure_of(browser.get(f"{PAGE}?metric={metric}&compare=previous"))["data"]
    assert traces[0]["type"] == ("bar" if metric in ADDITIVE else "scatter")
    assert any(value is not None for value in traces[0]["y"])


@pytest.mark.parametrize("group", GROUPS)
def test_every_split_is_drawn_and_leads_to_its_rows(
    apollo: Project, browser: Client, alice: User, group: str
) -> None:
    ApiKey.objects.create(
        project=apollo,
        name="laptop",
        public_id="key_test",
        lookup="x",
        digest="x",
        created_by=alice,
    )
    report(apollo, "a", session_id="some session")
    report(apollo, "b", route="", mode="", reason_code="", key_id="key_gone")
    report(apollo, "c", model="lab/large", status="error")
    settle()
    then = "status" if group == "model" else "model"
    for query in (f"group={group}", f"group={group}&then={then}"):
        points = points_of(browser.get(f"{PAGE}?{query}&metric=requests"))
        assert sum(height for height, _ in points) == 3
        for height, link in points:
            assert link
            assert rows_behind(browser, link) == height


def test_behind_each_point_are_as_many_calls_as_it_is_high(
    apollo: Project, browser: Client
) -> None:
    apollo.team.time_zone = "Asia/Kolkata"
    apollo.team.save()
    for number in range(60):
        at = NOON + dt.timedelta(hours=number % 5 * 7, minutes=number)
        report(apollo, f"call-{number}", model=f"lab/m{number % 11}", occurred_at=at)
    settle()
    response = browser.get(f"{PAGE}?{WEEK}&metric=requests&bucket=hour&not_model=lab/m0")
    traces = figure_of(response)["data"]
    assert len(traces) == 9
    assert traces[-1]["name"] == "Other"
    points = points_of(response)
    assert sum(height for height, _ in points) == 54
    for height, link in points:
        assert link
        assert rows_behind(browser, link) == height
    assert rows_behind(browser, links_of(response)["Total"][0]) == 54
    running = points_of(browser.get(f"{PAGE}?{WEEK}&metric=requests&cumulative=true"))
    for height, link in running:
        assert link
        assert rows_behind(browser, link) == height


def test_behind_a_session_called_other_are_its_own_calls(apollo: Project, browser: Client) -> None:
    for number in range(22):
        session = "Other" if number < 3 else f"s{number // 2}"
        report(apollo, f"call-{number}", session_id=session, occurred_at=NOON)
    settle()
    response = browser.get(f"{PAGE}?{WEEK}&metric=requests&group=session")
    own, *_, rest = figure_of(response)["data"]
    assert (own["name"], rest["name"]) == ("Other", "Other")
    assert own["marker"]["color"] != rest["marker"]["color"]
    points = points_of(response)
    assert [height for height, _ in points] == [3, *[2] * 7, 5]
    for height, link in points:
        assert link
        assert rows_behind(browser, link) == height


@pytest.mark.parametrize("groups", ["group=model&then=route", "group=session&then=member"])
def test_behind_other_of_two_groups_are_exactly_the_calls_summed_in_it(
    apollo: Project, browser: Client, apollo_key: str, groups: str
) -> None:
    """Each name of a pair that is shown is also in pairs that are not."""
    for number in range(90):
        report(
            apollo,
            f"call-{number}",
            model=f"lab/m{number % 5}",
            route=("debugging/bug_fixing", "refactoring/migration", "")[number % 3],
            session_id=f"a&b=%{number % 15}",
            key_id=f"key_{number % 2}",
            cost_micro_usd=1 << number // 2,
            occurred_at=NOON + dt.timedelta(hours=number % 5 * 7),
        )
    settle()
    asked = f"{WEEK}&{groups}&not_model=lab/m4&not_both=model%3Dlab%2Fm3%26status%3Dok"
    response = browser.get(f"{PAGE}?{asked}&metric=cost")
    trace = traces_of(response)["Other"]
    times = figure_of(response)["layout"]["meta"]["times"]
    listed = []
    for height, time in zip(trace["y"], times, strict=True):
        if height:
            rows = api_rows(apollo_key, trace["meta"]["rows"] + time)
            assert sum(row["cost_micro_usd"] for row in rows) == round(height * 10**6)
            assert rows_behind(browser, trace["meta"]["rows"] + time) == len(rows)
            listed += rows
    (link,) = links_of(response)["Other"]
    assert sorted(row["event_id"] for row in api_rows(apollo_key, link)) == sorted(
        row["event_id"] for row in listed
    )
    file: Any = browser.get(link.replace("events/?", "events.csv?"))
    lines = csv.DictReader(b"".join(file.streaming_content).decode().splitlines())
    assert {line["event_id"] for line in lines} == {row["event_id"] for row in listed}
    # Asked the same way, the figures are those of the rest too, and so is their list.
    back = browser.get(links_of(browser.get(link))["Usage"][-1])
    assert rows_behind(browser, links_of(back)["Total"][0]) == len(listed)


def api_rows(token: str, link: str) -> list[dict[str, Any]]:
    """Return the calls that the API lists with the parameters of a page."""
    query = link.partition("?")[2]
    answer = Client().get(
        f"/api/v1/usage/events?{query}&limit=200", headers={"Authorization": f"Bearer {token}"}
    )
    assert answer.status_code == 200, answer.content
    rows: list[dict[str, Any]] = answer.json()["data"]
    return rows


def test_behind_a_point_of_decisions_are_decisions(apollo: Project, browser: Client) -> None:
    decide(apollo, created_at=NOON)
    decide(apollo, created_at=NOON, switched=True)
    decide(apollo, created_at=NOON + dt.timedelta(days=1), switched=True)
    settle()
    for metric, expected in (("decisions", [2, 1]), ("switched", [1, 1])):
        points = points_of(browser.get(f"{PAGE}?{WEEK}&metric={metric}"))
        assert [height for height, _ in points] == expected
        assert [rows_behind(browser, str(link)) for _, link in points] == expected


@pytest.mark.parametrize(
    "groups",
    [
        "group=model",
        "group=provider",
        "group=key",
        "group=member",
        "group=route&then=mode",
        "group=session&then=model",
        "group=reason&then=key",
        "group=model&not_model=lab0/m0&not_both=model%3Dlab1/m1%26reason%3Dsticky",
    ],
)
def test_behind_every_point_of_decisions_are_exactly_those_counted_in_it(
    apollo: Project, browser: Client, groups: str
) -> None:
    for number in range(60):
        decide(
            apollo,
            created_at=NOON + dt.timedelta(hours=number % 3 * 20),
            model=f"lab{number % 11}/m{number % 11}",
            task_type=("debugging", "")[number % 2],
            subtask_type=("bug_fixing", "")[number % 2],
            mode=f"mode-{number % 4}",
            key_id=f"key_{number % 13}",
            session_id=f"s{number % 10}" if number % 10 else "",
            reason_code=("sticky", "cheapest_clearing")[number % 2],
        )
    settle()
    response = browser.get(f"{PAGE}?{WEEK}&{groups}&metric=decisions")
    points = points_of(response)
    assert sum(height for height, _ in points) > 0
    for height, link in points:
        assert link
        listed: Any = browser.get(link.replace("/decisions/?", "/decisions.csv?"))
        assert len(b"".join(listed.streaming_content).splitlines()) - 1 == height


def test_what_the_list_of_decisions_is_narrowed_by_shows_and_can_be_taken_away(
    apollo: Project, browser: Client
) -> None:
    for name in ("a", "b", "c"):
        decide(apollo, model=f"lab/{name}", key_id=f"key_{name}")
    page = f"/projects/{apollo.slug}/decisions/"
    response = browser.get(f"{page}?model=lab/a&model=lab/b&not_key=key_b&switched=false")
    text = response.content.decode()
    assert "Model: lab/a" in text
    assert [one.model for one in response.context["decisions"]] == ["lab/a"]
    without = next(chip for chip in response.context["chips"] if "not" in chip.text).without
    found = browser.get(page + without).context["decisions"]
    assert {one.model for one in found} == {"lab/a", "lab/b"}
    # The form carries along what it has no field for.
    assert '<input type="hidden" name="not_key" value="key_b">' in text
    assert browser.get(f"{page}?not_both=nonsense").status_code == 400


def test_days_are_those_of_the_team(apollo: Project, browser: Client) -> None:
    apollo.team.time_zone = "Asia/Kolkata"
    apollo.team.save()
    report(apollo, "a", occurred_at=dt.datetime(2026, 3, 2, 20, tzinfo=dt.UTC))
    settle()
    response = browser.get(f"{PAGE}?{WEEK}&metric=requests")
    assert figure_of(response)["data"][0]["y"] == [0, 1, 0, 0, 0, 0, 0]
    page = text_of(response)
    assert "2 Mar to 8 Mar 2026, Asia/Kolkata" in page
    assert "Tue 3 Mar" in page


def test_the_bucket_that_is_still_filling_is_hatched(apollo: Project, browser: Client) -> None:
    report(apollo, "a")
    settle()
    bar = figure_of(browser.get(PAGE))["data"][0]
    assert bar["marker"]["pattern"]["shape"] == [""] * 6 + ["/"]
    line = figure_of(browser.get(f"{PAGE}?metric=error_rate"))["data"][0]
    assert line["marker"]["symbol"][-1] == "circle-open"
    over = figure_of(browser.get(f"{PAGE}?range=7d&metric=requests"))
    assert over["data"][0]["y"][-1] == 1


def test_the_period_before_is_a_dashed_line(apollo: Project, browser: Client) -> None:
    report(apollo, "now", occurred_at=NOON, cost_micro_usd=3_000_000)
    week = dt.timedelta(days=7)
    report(apollo, "then", occurred_at=NOON - week, cost_micro_usd=2_000_000)
    report(apollo, "gone", occurred_at=NOON - week, cost_micro_usd=1_000_000, model="lab/forgotten")
    settle()
    response = browser.get(f"{PAGE}?{WEEK}&compare=previous")
    before = traces_of(response)["Period before, in total"]
    assert before["line"]["dash"] == "dash"
    assert before["y"] == [3, 0, 0, 0, 0, 0, 0]
    assert "$2.00 +50%" in text_of(response)  # of the model
    assert "$3.00 no change" in text_of(response)  # in total


def test_cards_tell_what_has_changed(apollo: Project, browser: Client) -> None:
    week = dt.timedelta(days=7)
    for number, ago in enumerate((0, 0, 1)):
        at = NOON - ago * week
        report(
            apollo,
            f"call-{number}",
            occurred_at=at,
            cost_micro_usd=1_000_000,
            baseline_cost_micro_usd=3_000_000,
            cache_read_tokens=1000 * ago,
            latency_ms=900,
            status="error" if number == 0 else "ok",
        )
        decide(apollo, created_at=at, reason_code="no_table" if ago else "cheapest_clearing")
    settle()
    page = text_of(browser.get(f"{PAGE}?{WEEK}"))
    assert "Spend, estimated $2.00 +100%;" in page
    assert "Requests 2 +100%; 2 decisions" in page
    assert "Cache-hit rate 0% −50.0 points;" in page
    assert "Fallback rate 0% −100.0 points; 0 of 2 decisions went to Balanced" in page
    assert "Error rate 50% +50.0 points; 1 of 2 calls failed" in page
    assert "Latency, median" in page
    assert "Saved, estimated $4.00 +100%;" in page
    assert "How is this computed?" in page


def test_calls_that_took_hours_are_not_said_to_be_quicker(apollo: Project, browser: Client) -> None:
    report(apollo, "a", occurred_at=NOON, latency_ms=86_400_000)
    settle()
    page = text_of(browser.get(f"{PAGE}?{WEEK}"))
    assert "Latency, median 60 min or more 5% took 60 min or more" in page


def test_under_a_condition_on_the_status_decisions_are_not_said_to_be_missing(
    apollo: Project, browser: Client
) -> None:
    report(apollo, "a", occurred_at=NOON, status="error")
    decide(apollo, created_at=NOON)
    settle()
    page = text_of(browser.get(f"{PAGE}?{WEEK}&status=error"))
    assert "Requests 1 decisions have no status" in page
    assert "Fallback rate – decisions have no status" in page
    assert "no decision was made" not in page


def test_the_hour_that_comes_twice_is_drawn_and_told_apart(
    apollo: Project, browser: Client
) -> None:
    Team.objects.update(time_zone="America/New_York")
    for number in (5, 6, 6):  # 01:00 in summer, and twice 01:00 in winter
        at = dt.datetime(2026, 11, 1, number, 30, tzinfo=dt.UTC)
        report(apollo, f"{UsageEvent.objects.count()}", occurred_at=at)
    settle()
    day = "from=2026-11-01&to=2026-11-01&metric=requests&bucket=hour"
    response = browser.get(f"{PAGE}?{day}")
    (trace,) = figure_of(response)["data"]
    drawn = dict(zip(trace["x"], trace["y"], strict=True))
    assert trace["hovertext"][1:3] == [
        "Sun 1 Nov, 01:00 EDT<br>1 request",
        "Sun 1 Nov, 01:00 EST<br>2 requests",
    ]
    assert len(drawn) == 25
    assert [height for height in drawn.values() if height] == [1, 2]
    texts = figure_of(response)["layout"]["xaxis"]["ticktext"]
    assert (texts[0], texts[1]) == ("1 Nov<br>00:00", "1 Nov<br>03:00")
    page = text_of(response)
    assert "Sun 1 Nov, 01:00 EDT 1" in page
    assert "Sun 1 Nov, 01:00 EST 2" in page


def test_names_are_drawn_as_text_and_shortened(apollo: Project, browser: Client) -> None:
    report(apollo, "a", occurred_at=NOON, session_id="<b>&" + "x" * 100)
    settle()
    (trace,) = figure_of(browser.get(f"{PAGE}?{WEEK}&group=model&then=session"))["data"]
    assert trace["name"] == "lab/small<br>&lt;b&gt;&amp;" + "x" * 29 + "…"


def test_saved_has_an_interval_where_a_table_says_how_sure_it_is(
    apollo: Project, browser: Client
) -> None:
    publish_table(table_bytes({"lab/small": (0.7, 50_000.0), "lab/large": (0.8, 900_000.0)}))
    report(apollo, "a", cost_micro_usd=1_000_000, baseline_cost_micro_usd=3_000_000)
    settle()
    page = text_of(browser.get(PAGE))
    assert re.search(r"Saved, estimated \$2\.00 90% interval \$\S+ to \$\S+,", page)


def test_changes_of_policy_and_table_are_marked(
    apollo: Project, browser: Client, alice: User
) -> None:
    made_up = {"balanced_models": ["lab/x"], "baseline_model": "lab/x", "team": apollo.team}
    day = dt.timedelta(days=1)
    for at, project, number, inherits in (
        (NOON, None, 1, False),
        (NOON + day, apollo, 1, False),
        (NOON + 2 * day, None, 2, False),  # not followed any more
        (NOON + 3 * day, apollo, 2, True),
        (NOON + 4 * day, None, 3, False),
        (NOON + 9 * day, apollo, 3, False),  # later
    ):
        Policy.objects.create(
            **made_up,
            project=project,
            number=number,
            inherits=inherits,
            author="alice",
            created_at=at,
        )
    for verb, before, target, hours in (
        ("table.published", None, "t_one", 1),
        ("table.published", "t_one", "t_one", 2),  # nothing new
        ("table.rolled_back", "t_one", "t_zero", 3),
    ):
        event = AuditEvent.objects.create(
            verb=verb, target=target, details={"before": before}, actor="x"
        )
        AuditEvent.objects.filter(pk=event.pk).update(created_at=NOON + dt.timedelta(hours=hours))
    found = changes_between(apollo, NOON - day, NOON + 7 * day)
    assert [change.what for change in found] == [
        "team policy",
        "table",
        "table",
        "policy",
        "policy",
        "team policy",
    ]
    report(apollo, "a", occurred_at=NOON)
    settle()
    response = browser.get(f"{PAGE}?{WEEK}")
    layout = figure_of(response)["layout"]
    words = [note["text"] for note in layout["annotations"]]
    assert words == ["team policy<br>table", "policy", "policy", "team policy"]
    assert layout["shapes"][1]["x0"] == "2026-03-03 12:00:00"
    assert len(layout["shapes"]) == 4
    page = text_of(response)
    assert "What changed in this time: 6" in page
    assert "2 Mar, 15:00 : Earlier routing table restored: t_zero" in page
    links = links_of(response)
    assert browser.get(links["Policy, version 1 by alice"][0]).status_code == 200


def test_chips_take_a_filter_away_and_rows_add_one(apollo: Project, browser: Client) -> None:
    for name in ("small", "large", "other"):
        report(apollo, name, model=f"lab/{name}")
    settle()
    response = browser.get(f"{PAGE}?compare=previous&metric=requests")
    links = links_of(response)
    assert set(traces_of(browser.get(links["only lab/large"][0]))) >= {"lab/large"}
    assert "lab/small" not in traces_of(browser.get(links["only lab/large"][0]))
    narrowed = browser.get(links["without lab/large"][0])
    assert {"lab/small", "lab/other"} <= set(traces_of(narrowed))
    assert "lab/large" not in traces_of(narrowed)
    again = browser.get(links_of(narrowed)["without lab/small"][0])
    chips = links_of(again)
    assert "Model: not lab/large, remove×" in chips
    back = browser.get(chips["Model: not lab/large, remove×"][0])
    assert {"lab/large", "lab/other"} <= set(traces_of(back))
    assert "lab/small" not in traces_of(back)
    # What else was asked for stays.
    assert "Period before, in total" in traces_of(back)
    assert {"lab/small", "lab/large"} <= set(traces_of(browser.get(chips["Clear all"][0])))


def test_sessions_lead_to_their_timeline(apollo: Project, browser: Client) -> None:
    report(apollo, "a", session_id="left & right")
    report(apollo, "b")
    settle()
    links = links_of(browser.get(f"{PAGE}?group=session"))
    assert [name for name in links if "timeline" in name] == ["timeline of left & right"]
    assert "Turn by turn" in text_of(browser.get(links["timeline of left & right"][0]))


def test_every_link_of_a_full_question_answers(apollo: Project, browser: Client) -> None:
    report(apollo, "a", occurred_at=NOON)
    settle()
    query = f"{WEEK}&group=route&then=key&metric=tokens&compare=previous&cumulative=true"
    response = browser.get(f"{PAGE}?{query}&bucket=hour&model=lab/small&not_status=error")
    assert response.status_code == 200
    links = [link for places in links_of(response).values() for link in places]
    links = [link for link in links if link.startswith("/projects/")]
    assert len([link for link in links if "not_status=error" in link]) > 8
    for link in links:
        assert browser.get(link).status_code == 200, link
    hidden = re.findall(
        r'type="hidden"\s+name="(\w+)"\s+value="([^"]+)"', response.content.decode()
    )
    assert {("model", "lab/small"), ("not_status", "error"), ("from", "2026-03-02")} <= set(hidden)


def test_the_csv_is_of_exactly_this_view(apollo: Project, browser: Client) -> None:
    report(apollo, "a", occurred_at=NOON, cost_micro_usd=1500)
    report(apollo, "b", occurred_at=NOON, model="@cf/model", cost_micro_usd=1)
    report(apollo, "c", occurred_at=NOON, model="lab/hidden")
    settle()
    response = browser.get(f"{PAGE}?{WEEK}&not_model=lab/hidden")
    download = browser.get(links_of(response)["Download CSV"][0])
    rows = list(csv.DictReader(download.getvalue().decode().splitlines()))
    assert [(row["model"], row["value"]) for row in rows] == [
        ("lab/small", "1500"),
        ("'@cf/model", "1"),
    ]
    assert rows[0]["start"] == "2026-03-02T00:00:00Z"
    refused = browser.get("/projects/apollo/usage.csv?metric=x")
    assert refused.status_code == 400
    assert "metric must be one of cost" in refused.content.decode()


def test_the_api_call_answers_with_the_same_figures(
    apollo: Project, browser: Client, apollo_key: str
) -> None:
    report(apollo, "a", occurred_at=NOON, cost_micro_usd=1500)
    report(apollo, "b", occurred_at=NOON, model="lab/large")
    settle()
    response = browser.get(f"{PAGE}?{WEEK}&model=lab/small&model=lab/x&then=route")
    code = re.search(r'<code id="api-call">(.*?)</code>', response.content.decode(), re.DOTALL)
    assert code
    address = re.search(r'curl "http://testserver(\S+)"', unescape(code[1]))
    assert address
    answer = Client(headers={"Authorization": f"Bearer {apollo_key}"}).get(address[1])
    assert answer.status_code == 200
    assert "lab/small" in answer.content.decode()
    assert "lab/large" not in answer.content.decode()


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("range=1y", "range must be one of 24h"),
        ("group=x", "group must be one of model, provider"),
        ("then=model", "then must be one of provider"),
        ("metric=x", "metric must be one of cost"),
        ("metric=error_rate&cumulative=true", "metric must be one of cost"),
        ("range=24h&bucket=day", "bucket must be one of auto, hour"),
        ("range=7d&from=2026-03-01", "range must be left out"),
        ("from=2026-03-02&to=2026-03-01", "to must be after from"),
        ("from=1900-01-01&to=2026-03-01", "at most 366 days"),
        ("range=30d&group=session", "up to 7 days"),
        ("cumulative=maybe", "cumulative must be true or false"),
    ],
)
def test_what_makes_no_sense_is_named_and_the_rest_is_shown(
    apollo: Project, browser: Client, query: str, said: str
) -> None:
    report(apollo, "a")
    report(apollo, "b", model="lab/large")
    settle()
    response = browser.get(f"{PAGE}?{query}&not_model=lab/large")
    assert response.status_code == 400
    page = text_of(response)
    assert said in page
    assert "Model: not lab/large" in page


# Where there is nothing to show


def test_days_that_make_no_sense_can_be_mended(apollo: Project, browser: Client) -> None:
    report(apollo, "a", occurred_at=NOON)
    settle()
    response = browser.get(f"{PAGE}?from=2026-03-02&to=2026-03-01")
    fields = re.findall(r'type="date"\s+name="(\w+)"\s+value="([^"]*)"', response.content.decode())
    assert fields == [("from", "2026-03-02"), ("to", "2026-03-01")]


def test_an_unused_project_says_how_to_report(apollo: Project, browser: Client) -> None:
    response = browser.get(PAGE)
    page = text_of(response)
    assert "Report a first call" in page
    assert "curl http://testserver/api/v1/usage" in page
    assert "An owner or an admin of the team can make a key." in page
    assert "Make an API key" not in page
    assert b"data-live-start" in response.content
    assert b"plotly" not in response.content


@pytest.mark.parametrize("decided", [False, True])
def test_the_first_report_is_taken_as_it_is_printed(
    apollo: Project, browser: Client, apollo_key: str, settings: Settings, decided: bool
) -> None:
    catalogue(settings.BALANCED_MODEL, "lab/small")
    if decided:
        decide(apollo)
    html = browser.get(PAGE).content.decode()
    code = re.search(r'<code id="curl">(.*?)</code>', html, re.DOTALL)
    assert code
    body = re.search(r"-d '(.+)'", unescape(code[1]), re.DOTALL)
    assert body
    answer = Client(headers={"Authorization": f"Bearer {apollo_key}"}).post(
        "/api/v1/usage", body[1], content_type="application/json"
    )
    assert answer.json()["accepted"] == 1


def test_who_may_make_keys_is_led_there(apollo: Project, alice: User) -> None:
    client = Client()
    client.force_login(alice)
    links = links_of(client.get(PAGE))
    assert client.get(links["Make an API key"][0]).status_code == 200


def test_decisions_without_reports_say_what_reporting_adds(
    apollo: Project, browser: Client
) -> None:
    decision = decide(apollo)
    settle()
    response = browser.get(PAGE)
    assert "Decisions were made, but no call was reported" in text_of(response)
    assert f'"decision_id": "{decision.public_id}"' in unescape(text_of(response))
    assert b"data-live-start" in response.content
    decided = browser.get(links_of(response)["what was decided"][0])
    assert sum(figure_of(decided)["data"][0]["y"]) == 1


def test_a_time_without_usage_leads_to_the_newest(apollo: Project, browser: Client) -> None:
    for at, expected in (
        (dt.datetime(2020, 5, 6, 7, 8, tzinfo=dt.UTC), "6 May 2020, at 07:08"),
        (timezone.now() - dt.timedelta(days=20), "Show that time"),
    ):
        report(apollo, f"call-{at}", occurred_at=at)
        settle()
        response = browser.get(f"{PAGE}?range=24h&group=route&bucket=hour")
        page = text_of(response)
        assert "Nothing in this time" in page
        assert expected in page
        found = browser.get(links_of(response)["Show that time"][0])
        assert traces_of(found).keys() == {"Debugging / Bug fixing"}


def test_what_is_not_added_up_yet_is_waited_for(apollo: Project, browser: Client) -> None:
    report(apollo, "a")
    # As where the worker has not come to it yet.
    StaleHour.objects.all().delete()
    response = browser.get(PAGE)
    assert "is being added up" in text_of(response)
    assert b"data-live-again" in response.content


def test_filters_that_match_nothing_can_be_cleared(apollo: Project, browser: Client) -> None:
    report(apollo, "a")
    settle()
    response = browser.get(f"{PAGE}?model=lab/nobody&metric=requests")
    assert "Nothing matches these filters" in text_of(response)
    found = browser.get(links_of(response)["Clear the filters"][0])
    assert sum(figure_of(found)["data"][0]["y"]) == 1


@pytest.mark.parametrize("view", ["range=24h", "range=90d", "range=90d&compare=previous"])
def test_however_much_is_shown_it_is_asked_for_at_once(
    apollo: Project,
    browser: Client,
    django_assert_max_num_queries: DjangoAssertNumQueries,
    view: str,
) -> None:
    for day in range(0, 120, 10):
        at = timezone.now() - dt.timedelta(days=day)
        report(apollo, f"call-{day}", model=f"lab/model-{day}", occurred_at=at)
        decide(apollo, created_at=at)
    settle()
    with django_assert_max_num_queries(15):
        assert traces_of(browser.get(f"{PAGE}?{view}"))
