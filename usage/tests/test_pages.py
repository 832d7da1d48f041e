"""Overview, usage and decisions as people see them."""

import csv
import datetime as dt
import json
import re
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from teams.models import Project, User
from usage.tests.traffic import decide, report

pytestmark = pytest.mark.django_db
PAGES = ["", "usage/", "usage.csv", "decisions/"]


@pytest.fixture
def browser_of_bob(bob: User) -> Client:
    """Bob, who may only look."""
    client = Client()
    client.force_login(bob)
    return client


def text_of(response: Any) -> str:
    """Return what a page says, without its tags and scripts."""
    html = re.sub(r"<script.*?</script>", " ", response.content.decode(), flags=re.DOTALL)
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html))


@pytest.mark.parametrize("page", [*PAGES, "decisions/{decision}/"])
def test_only_members_see_a_project(
    apollo: Project, browser_of_bob: Client, charlie: User, page: str
) -> None:
    address = f"/projects/apollo/{page}".format(decision=decide(apollo).public_id)
    assert browser_of_bob.get(address).status_code == 200
    outsider = Client()
    assert outsider.get(address).status_code == 302
    outsider.force_login(charlie)
    assert outsider.get(address).status_code == 404


def test_a_decision_is_found_only_in_its_own_project(
    borealis: Project, browser_of_bob: Client
) -> None:
    foreign = decide(borealis)
    for public_id in (foreign.public_id, "dec_nowhere", "a%00b"):
        response = browser_of_bob.get(f"/projects/apollo/decisions/{public_id}/")
        assert response.status_code == 404


def test_an_unused_project_says_how_to_begin(browser_of_bob: Client) -> None:
    page = text_of(browser_of_bob.get("/projects/apollo/"))
    assert "curl http://testserver/api/v1/route" in page
    assert "Fallback rate" not in page
    assert "Policy in force" in page


def test_the_overview_sums_up_the_last_seven_days(apollo: Project, browser_of_bob: Client) -> None:
    decide(apollo)
    decide(apollo, reason_code="no_table", accuracy=None, cost_micro_usd=None, model="lab/large")
    report(apollo, "a", cost_micro_usd=12_340_000, baseline_cost_micro_usd=20_000_000)
    report(apollo, "b", cost_micro_usd=None)
    report(apollo, "old", cost_micro_usd=99_000_000, occurred_at=timezone.now() - dt.timedelta(8))
    page = text_of(browser_of_bob.get("/projects/apollo/"))
    assert "$12.34" in page
    assert "50%" in page
    assert "Saved, estimated $7.66" in page
    assert "lab/large" in page


def test_the_usage_page_has_a_chart_and_the_same_figures_as_tables(
    apollo: Project, browser_of_bob: Client
) -> None:
    report(apollo, "a", cost_micro_usd=2_500_000)
    report(apollo, "b", model="lab/large", cost_micro_usd=1_250_000)
    response = browser_of_bob.get("/projects/apollo/usage/?range=24h&group=model")
    html = response.content.decode()
    found = re.search(r'<script id="usage-figure" type="application/json">(.*?)</script>', html)
    assert found
    figure = json.loads(found[1])
    assert [trace["name"] for trace in figure["data"]] == ["lab/small", "lab/large"]
    assert [sum(trace["y"]) for trace in figure["data"]] == [2.5, 1.25]
    assert figure["data"][0]["marker"]["color"] == "var(--series-1)"
    page = text_of(response)
    assert page.count("$2.50") == 3  # by model, by hour, and the call itself
    assert "Total 2" in page


def test_bars_lead_to_the_decisions_behind_them(apollo: Project, browser_of_bob: Client) -> None:
    report(apollo, "a")
    html = browser_of_bob.get("/projects/apollo/usage/?group=route").content.decode()
    link = "/projects/apollo/decisions/?route=debugging%2Fbug_fixing"
    assert f'href="{link}"' in html
    decide(apollo)
    assert "lab/small" in text_of(browser_of_bob.get(link))


@pytest.mark.parametrize("group", ["model", "route", "mode", "reason", "status"])
@pytest.mark.parametrize("metric", ["cost", "requests", "tokens"])
def test_every_split_and_measure_is_drawn(
    apollo: Project, browser_of_bob: Client, group: str, metric: str
) -> None:
    report(apollo, "a")
    report(apollo, "b", route="", mode="", reason_code="")
    response = browser_of_bob.get(f"/projects/apollo/usage/?group={group}&metric={metric}")
    assert response.status_code == 200
    assert b"usage-figure" in response.content


def test_usage_without_events_says_so(browser_of_bob: Client) -> None:
    response = browser_of_bob.get("/projects/apollo/usage/")
    assert "No usage in this time" in text_of(response)
    assert b"plotly" not in response.content


@pytest.mark.parametrize(
    ("query", "allowed"),
    [
        ("range=1y", "24h, 7d, 30d, 90d"),
        ("group=x", "model, route, mode, reason, status"),
        ("metric=x", "cost, requests, tokens"),
        ("range=24h&bucket=day", "auto, hour"),
    ],
)
def test_an_unknown_choice_gets_a_notice_and_the_defaults(
    apollo: Project, browser_of_bob: Client, query: str, allowed: str
) -> None:
    report(apollo, "a")
    response = browser_of_bob.get(f"/projects/apollo/usage/?{query}")
    assert response.status_code == 400
    assert f"must be one of {allowed}" in text_of(response)
    assert b"usage-figure" in response.content
    refused = browser_of_bob.get(f"/projects/apollo/usage.csv?{query}")
    assert refused.status_code == 400
    assert allowed in refused.content.decode()


def test_the_csv_holds_what_the_page_shows(apollo: Project, browser_of_bob: Client) -> None:
    now = timezone.now()
    report(apollo, "a", occurred_at=now)
    report(apollo, "b", occurred_at=now, model="lab/large")
    response = browser_of_bob.get("/projects/apollo/usage.csv?range=7d&group=model")
    assert "apollo-usage-7d-by-model.csv" in response["Content-Disposition"]
    rows = list(csv.DictReader(response.content.decode().splitlines()))
    assert [row["model"] for row in rows] == ["lab/large", "lab/small"]
    assert rows[0]["start"] == f"{now:%Y-%m-%d}T00:00:00Z"
    assert rows[0]["cost_micro_usd"] == "1500"


def test_decisions_are_narrowed_by_the_url(apollo: Project, browser_of_bob: Client) -> None:
    decide(apollo, session_id="left & right", model="lab/one")
    decide(apollo, session_id="other", model="lab/two", reason_code="low_confidence")
    everything = text_of(browser_of_bob.get("/projects/apollo/decisions/"))
    assert "lab/one" in everything
    assert "lab/two" in everything
    for query in ("session=left+%26+right", "model=lab/one", "reason=cheapest_clearing"):
        page = text_of(browser_of_bob.get(f"/projects/apollo/decisions/?{query}"))
        assert "lab/one" in page
        assert "lab/two" not in page
    nothing = browser_of_bob.get("/projects/apollo/decisions/?route=nonsense/x")
    assert nothing.status_code == 200
    assert "No decision matches" in text_of(nothing)


def test_older_decisions_are_a_page_away(apollo: Project, browser_of_bob: Client) -> None:
    for index in range(51):
        decide(apollo, model=f"lab/m{index:02}")
    first = browser_of_bob.get("/projects/apollo/decisions/").content.decode()
    assert "lab/m00" not in first
    older = re.search(r'rel="next"\s+href="([^"]+)"', first)
    assert older
    second = browser_of_bob.get(f"/projects/apollo/decisions/{older[1]}").content.decode()
    assert "lab/m00" in second
    assert "lab/m01" not in second
    assert 'rel="next"' not in second


def test_an_unknown_cursor_gets_a_notice_and_the_first_page(
    apollo: Project, browser_of_bob: Client
) -> None:
    decide(apollo)
    response = browser_of_bob.get("/projects/apollo/decisions/?cursor=dec_nowhere")
    assert response.status_code == 400
    assert "lab/small" in text_of(response)


def test_a_decision_shows_its_evidence(apollo: Project, browser_of_bob: Client) -> None:
    decision = decide(apollo, switched=True, switch_reason="The saving pays for re-reading.")
    report(apollo, "a", decision_id=decision.public_id, input_tokens=4321)
    page = text_of(browser_of_bob.get(f"/projects/apollo/decisions/{decision.public_id}/"))
    assert "lab/small is the cheapest model that clears the bar." in page
    assert "Debugging / Bug fixing 81% 81%" in page
    assert "The bar is 76%: 95% of lab/large’s 80%" in page
    for expected in (
        "lab/large",
        "97%",
        "Clears the bar, but costs more",
        "Denied by the policy",
        "The saving pays for re-reading.",
        "1,200 tokens in 3 messages",
        "t_test",
        "pol_default",
        "4,321",
    ):
        assert expected in page


def test_a_decision_without_evidence_is_still_a_page(
    apollo: Project, browser_of_bob: Client
) -> None:
    fields: dict[str, Any] = dict.fromkeys(
        ["confidence", "accuracy", "accuracy_low", "accuracy_high", "baseline_cost_micro_usd"]
    )
    empty: dict[str, Any] = {"classification": None, "request": None, "bar": None, "candidates": []}
    for evidence in ({}, empty):
        decision = decide(
            apollo,
            evidence=evidence,
            task_type="",
            subtask_type="",
            difficulty="",
            session_id="",
            reason_code="no_table",
            table_version="",
            **fields,
        )
        response = browser_of_bob.get(f"/projects/apollo/decisions/{decision.public_id}/")
        assert response.status_code == 200
        assert "The request was not classified." in text_of(response)


def test_what_clients_send_is_never_markup(apollo: Project, browser_of_bob: Client) -> None:
    hostile = "</script><script>alert(1)</script>"
    decision = decide(apollo, session_id=hostile, model=hostile)
    report(apollo, "a", model=hostile, decision_id=decision.public_id)
    for page in ("", "usage/", "decisions/", f"decisions/{decision.public_id}/"):
        html = browser_of_bob.get(f"/projects/apollo/{page}").content.decode()
        assert "<script>alert" not in html


@pytest.mark.parametrize("page", ["", "usage/", "decisions/"])
def test_more_rows_take_no_more_queries(
    apollo: Project,
    browser_of_bob: Client,
    page: str,
    django_assert_max_num_queries: DjangoAssertNumQueries,
) -> None:
    for index in range(30):
        decide(apollo)
        report(apollo, f"e{index}", model=f"lab/m{index}")
    # Session, user, membership, project, the switcher's projects, and up to five of its own.
    with django_assert_max_num_queries(10):
        browser_of_bob.get(f"/projects/apollo/{page}")


def test_operators_can_look_at_events_but_not_change_them(apollo: Project, client: Client) -> None:
    event = report(apollo, "a")
    client.force_login(User.objects.create_superuser("operator@example.org", "correct horse"))
    assert "lab/small" in text_of(client.get("/admin/usage/usageevent/?q=a"))
    change = f"/admin/usage/usageevent/{event.pk}/change/"
    assert client.get(change).status_code == 200
    assert client.post(change, {"model": "x"}).status_code == 403
