"""The overview and decisions as people see them, and what all pages have in common."""

import csv
import datetime as dt
import json
import re
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from leaderboard.tests.tables import publish_table, table_bytes
from routing.models import Decision, Policy, TaskOutcome
from routing.tests.test_route_api import RENAME, ask, turn
from teams.models import Project, User
from usage import export
from usage.tests.traffic import EVIDENCE, decide, report, settle

pytestmark = pytest.mark.django_db
PAGES = [
    *("", "usage/", "usage.csv", "usage/events/", "usage/events.csv", "usage/live.json"),
    *("sessions/", "decisions/", "decisions.csv"),
]


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
    settle()
    page = text_of(browser_of_bob.get("/projects/apollo/"))
    assert "$12.34" in page
    assert "50%" in page
    assert "Saved, estimated $7.66" in page
    assert "lab/large" in page


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


def test_the_csv_holds_the_decisions_that_the_url_asks_for(
    apollo: Project, browser_of_bob: Client
) -> None:
    decide(apollo, model="lab/one", session_id='=HYPERLINK("http://example.org")')
    decide(apollo, model="lab/two", confidence=0.3, switched=True)
    response = browser_of_bob.get("/projects/apollo/decisions.csv?min_confidence=0.5")
    assert "apollo-decisions.csv" in response["Content-Disposition"]
    (row,) = csv.DictReader(content_of(response).splitlines())
    assert (row["model"], row["runner_up"], row["switched"]) == ("lab/one", "lab/large", "false")
    assert row["session"].startswith("'=")
    assert row["created_at"].endswith("Z")
    refused = browser_of_bob.get("/projects/apollo/decisions.csv?min_confidence=high")
    assert refused.status_code == 400
    assert "min_confidence must be a number" in refused.content.decode()


def test_all_of_the_list_is_in_the_csv_whatever_page_it_is_asked_from(
    apollo: Project, browser_of_bob: Client
) -> None:
    for _ in range(51):
        decide(apollo)
    page = browser_of_bob.get("/projects/apollo/decisions/?session=session-1").content.decode()
    older = re.search(r'rel="next"\s+href="([^"]+)"', page)
    assert older
    second = browser_of_bob.get(
        "/projects/apollo/decisions/" + older[1].replace("&amp;", "&")
    ).content.decode()
    link = re.search(r'href="([^"]+decisions\.csv[^"]*)"', second)
    assert link
    table = content_of(browser_of_bob.get(link[1].replace("&amp;", "&")))
    assert len(table.splitlines()) == 52


@pytest.mark.parametrize("order", ["newest", "oldest"])
def test_decisions_come_whole_and_in_order_however_many_are_fetched_at_a_time(
    apollo: Project,
    borealis: Project,
    browser_of_bob: Client,
    monkeypatch: pytest.MonkeyPatch,
    order: str,
) -> None:
    monkeypatch.setattr(export, "FETCHED", 2)
    at = timezone.now() - dt.timedelta(hours=9)
    made = [
        decide(apollo, created_at=at + dt.timedelta(hours=number // 3), switched=number == 4)
        for number in range(7)
    ]
    decide(apollo, model="lab/large")
    decide(borealis)
    response = browser_of_bob.get(f"/projects/apollo/decisions.csv?order={order}&model=lab/small")
    rows = list(csv.DictReader(content_of(response).splitlines()))
    expected = made if order == "oldest" else made[::-1]
    assert [row["id"] for row in rows] == [one.public_id for one in expected]
    assert [row["id"] for row in rows if row["switched"] == "true"] == [made[4].public_id]


def test_a_file_of_decisions_begins_before_the_last_is_read_and_has_no_end(
    apollo: Project, browser_of_bob: Client
) -> None:
    Decision.objects.bulk_create(
        Decision(project=apollo, public_id=f"dec_{number}", key_id="k", model="lab/small")
        for number in range(10_500)
    )
    response: Any = browser_of_bob.get("/projects/apollo/decisions.csv")
    pieces = iter(response.streaming_content)
    assert next(pieces).startswith(b"id,created_at,")
    with CaptureQueriesContext(connection) as read:
        next(pieces)
    assert len(read) == 1
    assert 1 + sum(piece.count(b"\n") for piece in pieces) > 10_000


def content_of(response: Any) -> str:
    """Return a file."""
    return b"".join(response.streaming_content).decode()


def test_the_list_shows_who_came_second_and_what_the_session_did(
    apollo: Project, browser_of_bob: Client
) -> None:
    decide(apollo, sticky=True)
    decide(apollo, switched=True, evidence={})
    page = text_of(browser_of_bob.get("/projects/apollo/decisions/"))
    assert "Runner-up" in page
    assert "$0.012 lab/large 81%" in page
    assert "$0.012 none 81%" in page
    assert "Kept" in page
    assert "Switched" in page


def test_the_list_can_begin_with_the_oldest(apollo: Project, browser_of_bob: Client) -> None:
    decide(apollo, model="lab/first")
    decide(apollo, model="lab/last")
    newest = text_of(browser_of_bob.get("/projects/apollo/decisions/"))
    oldest = text_of(browser_of_bob.get("/projects/apollo/decisions/?order=oldest"))
    assert newest.index("lab/last") < newest.index("lab/first")
    assert oldest.index("lab/first") < oldest.index("lab/last")
    # A filter that is set afterwards keeps the order.
    html = browser_of_bob.get("/projects/apollo/decisions/?order=oldest").content.decode()
    assert '<input type="hidden" name="order" value="oldest">' in html


@pytest.mark.parametrize(
    "query", ["range=1y", "range=7d&from=2026-03-01", "switched=x", "max_confidence=2", "order=x"]
)
def test_a_filter_that_makes_no_sense_gets_a_notice_and_all_decisions(
    apollo: Project, browser_of_bob: Client, query: str
) -> None:
    decide(apollo)
    response = browser_of_bob.get(f"/projects/apollo/decisions/?{query}")
    assert response.status_code == 400
    page = text_of(response)
    assert f"{query.partition('=')[0]} must be" in page
    assert "lab/small" in page


def test_where_nothing_matches_a_link_leads_back(apollo: Project, browser_of_bob: Client) -> None:
    decide(apollo)
    response = browser_of_bob.get("/projects/apollo/decisions/?switched=true")
    assert "No decision matches" in text_of(response)
    assert '<a class="button"\n           href="/projects/apollo/decisions/">' in (
        response.content.decode()
    )


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
    assert "Debugging / Bug fixing 81%" in page
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


def test_a_decision_of_a_session_leads_to_those_around_it(
    apollo: Project, browser_of_bob: Client
) -> None:
    first, second, third = (decide(apollo, model=f"lab/m{index}") for index in range(3))
    decide(apollo, model="lab/elsewhere", session_id="another")
    page = browser_of_bob.get(f"/projects/apollo/decisions/{second.public_id}/")
    html, text = page.content.decode(), text_of(page)
    assert f"/projects/apollo/decisions/{first.public_id}/" in html
    assert f"/projects/apollo/decisions/{third.public_id}/" in html
    assert "Before: lab/m0" in text
    assert "After: lab/m2" in text
    assert "/sessions/?session=session-1" in html
    alone = decide(apollo, session_id="")
    assert "Before:" not in text_of(
        browser_of_bob.get(f"/projects/apollo/decisions/{alone.public_id}/")
    )


def test_a_decision_draws_the_probabilities_and_shows_its_ladder(
    apollo: Project, browser_of_bob: Client
) -> None:
    rungs = [
        {"model": "lab/small", "success": 0.78, "cost_micro_usd": 12_000},
        {"model": "lab/large", "success": 0.41, "cost_micro_usd": 90_000},
    ]
    ladder = {"rungs": rungs, "success": 0.87, "cost_micro_usd": 31_000}
    decision = decide(apollo, evidence={**EVIDENCE, "ladder": ladder})
    response = browser_of_bob.get(f"/projects/apollo/decisions/{decision.public_id}/")
    found = re.search(
        r'<script id="reading-figure" type="application/json">(.*?)</script>',
        response.content.decode(),
    )
    assert found
    (bars,) = json.loads(found[1])["data"]
    assert (bars["y"], bars["x"]) == (["Bug fixing", "Test repair"], [0.81, 0.19])
    assert "succeed 87% of the time for $0.031 a task" in text_of(response)


def test_a_decision_tells_what_the_client_made_of_it(
    apollo: Project, browser_of_bob: Client
) -> None:
    decision = decide(apollo)
    address = f"/projects/apollo/decisions/{decision.public_id}/"
    assert "Outcome Not reported" in text_of(browser_of_bob.get(address))
    report(apollo, "a", decision_id=decision.public_id, outcome="rejected")
    assert "Outcome Rejected" in text_of(browser_of_bob.get(address))
    TaskOutcome.objects.create(
        project=apollo, decision_id=decision.public_id, model="lab/small", outcome="accepted"
    )
    assert "Outcome Accepted" in text_of(browser_of_bob.get(address))


MADE = {"lab/small": (0.70, 1_000.0), "lab/middle": (0.78, 60_000.0), "lab/large": (0.8, 900_000.0)}


@pytest.fixture
def routed(apollo_key: str) -> str:
    """The address of a decision that the router made."""
    publish_table(table_bytes(MADE))
    made = ask(apollo_key, {**turn(RENAME), "task": {"task_type": "refactoring"}}).json()
    return f"/projects/apollo/decisions/{made['id']}/"


def test_a_decision_says_what_would_have_changed_it(browser_of_bob: Client, routed: str) -> None:
    page = text_of(browser_of_bob.get(routed))
    assert "What would have changed it" in page
    assert "lab/large Would have won at a bar of 0.9" in page
    assert "or above" in page
    assert "lab/small Would have won at a bar of 0.8" in page
    assert "or below" in page


def test_a_decision_is_made_again_beside_it(
    apollo: Project, browser_of_bob: Client, routed: str
) -> None:
    before = text_of(browser_of_bob.get(routed))
    assert "Re-run under the current policy" in before
    again = text_of(browser_of_bob.get(f"{routed}?rerun=true"))
    assert "The same model would be chosen." in again
    assert "No setting has changed." in again
    assert "The same table." in again
    draft = {"balanced_models": ["lab/large"], "baseline_model": "lab/large", "author": "x"}
    Policy.objects.create(
        project=apollo, team=apollo.team, number=1, quality_bar=0.5, mode="best_accuracy", **draft
    )
    again = text_of(browser_of_bob.get(f"{routed}?rerun=true"))
    assert "Quality bar: 0.95 → 0.5" in again
    assert "Most accurate" in again
    Policy.objects.create(project=apollo, team=apollo.team, number=2, denied_models=["*"], **draft)
    assert "No model is left." in text_of(browser_of_bob.get(f"{routed}?rerun=true"))
    assert Decision.objects.count() == 1


def test_the_policy_version_leads_to_that_version(
    apollo: Project, browser_of_bob: Client, routed: str
) -> None:
    def link() -> str:
        html = browser_of_bob.get(address).content.decode()
        found = re.search(r'<dt>Policy version</dt>\s*<dd>\s*<a href="([^"]*)"', html)
        assert found
        assert browser_of_bob.get(found[1]).status_code == 200
        return found[1].removeprefix("/projects/apollo")

    def save(project: Project | None, number: int) -> Policy:
        return Policy.objects.create(
            project=project,
            team=apollo.team,
            number=number,
            balanced_models=["lab/large"],
            baseline_model="lab/large",
            author="x",
        )

    address = routed
    assert link() == "/policy/"
    of_team = save(None, 1)
    assert link() == "/team-policy/0...1/"
    own = save(apollo, 1)
    address = made_under(apollo, of_team)
    assert link() == "/team-policy/"
    address = made_under(apollo, own)
    assert link() == "/policy/"
    save(apollo, 2)
    assert link() == "/policy/1...2/"
    gone = decide(apollo, policy_version="pol_gone")
    page = browser_of_bob.get(f"/projects/apollo/decisions/{gone.public_id}/").content.decode()
    assert "pol_gone</code></a>" not in page


def made_under(project: Project, policy: Policy) -> str:
    """The address of a decision that was made under a policy."""
    made = decide(project, policy_version=policy.public_id)
    return f"/projects/{project.slug}/decisions/{made.public_id}/"


def test_what_cannot_be_made_again_says_so(apollo: Project, browser_of_bob: Client) -> None:
    address = f"/projects/apollo/decisions/{decide(apollo, evidence={}).public_id}/"
    assert "Re-run" not in text_of(browser_of_bob.get(address))
    assert "cannot be made again" in text_of(browser_of_bob.get(f"{address}?rerun=true"))
    assert browser_of_bob.get(f"{address}?rerun=perhaps").status_code == 400


def test_one_decision_takes_few_queries(
    browser_of_bob: Client, routed: str, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    # Session, user, membership, project, the switcher's projects; the decision, its policy, its
    # table, its events and its neighbours; again: the policies, the table and its team's.
    settle()
    with django_assert_max_num_queries(17):
        browser_of_bob.get(f"{routed}?rerun=true")


def test_what_clients_send_is_never_markup(apollo: Project, browser_of_bob: Client) -> None:
    hostile = "</script><script>alert(1)</script>"
    decision = decide(apollo, session_id=hostile, model=hostile)
    report(apollo, "a", model=hostile, decision_id=decision.public_id)
    report(apollo, "b", model=hostile, session_id=hostile)
    settle()
    for page in (
        *("", "usage/", "usage/?group=session", "usage/events/", "decisions/", "sessions/"),
        f"usage/?model={hostile}&not_route={hostile}",
        f"sessions/?session={hostile}",
        f"decisions/{decision.public_id}/",
    ):
        html = browser_of_bob.get(f"/projects/apollo/{page}").content.decode()
        assert "<script>alert" not in html


@pytest.mark.parametrize(
    ("page", "own"),
    [("", 12), ("usage/", 16), ("usage/events/", 2), ("sessions/", 2), ("decisions/", 1)],
)
def test_more_rows_take_no_more_queries(
    apollo: Project,
    browser_of_bob: Client,
    page: str,
    own: int,
    django_assert_max_num_queries: DjangoAssertNumQueries,
) -> None:
    for index in range(30):
        decide(apollo)
        report(apollo, f"e{index}", model=f"lab/m{index}")
    settle()
    # Session, user, membership, project, the switcher's projects, and its own.
    with django_assert_max_num_queries(5 + own):
        browser_of_bob.get(f"/projects/apollo/{page}")


def test_operators_can_look_at_events_but_not_change_them(apollo: Project, client: Client) -> None:
    event = report(apollo, "a")
    client.force_login(User.objects.create_superuser("operator@example.org", "correct horse"))
    assert "lab/small" in text_of(client.get("/admin/usage/usageevent/?q=a"))
    change = f"/admin/usage/usageevent/{event.pk}/change/"
    assert client.get(change).status_code == 200
    assert client.post(change, {"model": "x"}).status_code == 403
