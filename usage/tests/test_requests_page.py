"""The calls behind the figures, as people see them."""

import csv
import datetime as dt
import re

import pytest
from django.test import Client

from teams.models import ApiKey, Project, User
from usage.tests.test_pages import text_of
from usage.tests.test_usage_page import links_of
from usage.tests.traffic import decide, report

pytestmark = pytest.mark.django_db
PAGE = "/projects/apollo/usage/events/"
NOON = dt.datetime(2026, 3, 2, 12, tzinfo=dt.UTC)
WEEK = "from=2026-03-02&to=2026-03-08"


@pytest.fixture
def browser(bob: User) -> Client:
    """Bob, who may only look."""
    client = Client()
    client.force_login(bob)
    return client


def models_on(page: str) -> list[str]:
    """Return the models that a list shows, in its order."""
    return re.findall(r"lab/\w+", page)


def test_the_address_narrows_the_list(apollo: Project, browser: Client) -> None:
    report(apollo, "a", model="lab/one", occurred_at=NOON)
    report(apollo, "b", model="lab/two", occurred_at=NOON + dt.timedelta(days=1), status="error")
    report(apollo, "c", model="lab/three", occurred_at=NOON + dt.timedelta(days=2))
    for query, expected in (
        (WEEK, ["lab/three", "lab/two", "lab/one"]),
        ("from=2026-03-02&to=2026-03-03", ["lab/two", "lab/one"]),
        (f"{WEEK}&status=error", ["lab/two"]),
        (f"{WEEK}&not_model=lab/two&not_model=lab/one", ["lab/three"]),
    ):
        rows = browser.get(f"{PAGE}?{query}").content.decode().partition("<tbody>")[2]
        assert models_on(rows) == expected


def test_rows_lead_to_their_decision_and_session(apollo: Project, browser: Client) -> None:
    decision = decide(apollo, session_id="left & right")
    report(apollo, "a", decision_id=decision.public_id, session_id="left & right")
    response = browser.get(PAGE)
    links = links_of(response)
    assert f"/projects/apollo/decisions/{decision.public_id}/" in response.content.decode()
    assert "Turn by turn" in text_of(browser.get(links["left & right"][0]))


def test_chips_say_what_is_left_out_and_take_it_back(apollo: Project, browser: Client) -> None:
    key = ApiKey.objects.create(project=apollo, name="laptop", lookup="x", digest="x")
    report(apollo, "a", key_id=key.public_id, occurred_at=NOON)
    report(apollo, "b", model="lab/large", occurred_at=NOON)
    response = browser.get(f"{PAGE}?{WEEK}&key={key.public_id}&model=lab/small")
    links = links_of(response, PAGE)
    assert "API key: laptop, remove×" in links
    both = text_of(browser.get(links["Clear all"][0]))
    assert "lab/small" in both
    assert "lab/large" in both
    # Back on the Usage page the same is asked.
    assert "API key: laptop" in text_of(browser.get(links["Usage"][-1]))
    nothing = browser.get(f"{PAGE}?{WEEK}&model=lab/nobody")
    assert "No request matches" in text_of(nothing)


def test_times_are_those_of_the_team(apollo: Project, browser: Client) -> None:
    apollo.team.time_zone = "Asia/Kolkata"
    apollo.team.save()
    report(apollo, "a", occurred_at=NOON.replace(hour=20))
    page = text_of(browser.get(f"{PAGE}?from=2026-03-03&to=2026-03-03"))
    assert "Time (Asia/Kolkata)" in page
    assert "3 Mar, 01:30:00" in page
    # A moment without a zone is one of the team's clock.
    page = text_of(browser.get(f"{PAGE}?from=2026-03-03T01:00&to=2026-03-03T02:00"))
    assert "3 Mar 2026, 01:00 to 02:00, Asia/Kolkata" in page
    assert "3 Mar, 01:30:00" in page


def test_older_calls_are_a_page_away_with_the_same_filters(
    apollo: Project, browser: Client
) -> None:
    for number in range(51):
        at = NOON + dt.timedelta(minutes=number)
        report(apollo, f"call-{number}", model=f"lab/m{number:02}", occurred_at=at)
    report(apollo, "other", occurred_at=NOON, status="error")
    first = browser.get(f"{PAGE}?{WEEK}&status=ok")
    second = browser.get(links_of(first, PAGE)["Older"][0])
    rows = second.content.decode().partition("<tbody>")[2]
    assert models_on(rows) == ["lab/m00"]
    newest = browser.get(links_of(second, PAGE)["Newest"][0])
    assert "lab/m50" in text_of(newest)


def test_calls_whose_cost_differs_can_be_picked_out(apollo: Project, browser: Client) -> None:
    report(apollo, "a", model="lab/one")
    report(apollo, "b", model="lab/two", cost_differs=True, reported_cost_micro_usd=9999)
    links = links_of(browser.get(f"{PAGE}?range=24h"), PAGE)
    picked = browser.get(links["Only where the cost differs"][0])
    assert models_on(picked.content.decode().partition("<tbody>")[2]) == ["lab/two"]
    everything = browser.get(links_of(picked, PAGE)["Whatever the cost"][0])
    assert "lab/one" in text_of(everything)


def test_the_csv_has_the_same_rows(apollo: Project, browser: Client) -> None:
    for number in range(60):
        report(apollo, f"call-{number}", occurred_at=NOON, session_id="=1+1")
    report(apollo, "other", model="lab/large", occurred_at=NOON)
    response = browser.get(f"{PAGE}?{WEEK}&model=lab/small")
    download = browser.get(links_of(response)["Download CSV"][0])
    assert "attachment" in download["Content-Disposition"]
    rows = list(csv.DictReader(download.getvalue().decode().splitlines()))
    assert len(rows) == 60
    assert {row["model"] for row in rows} == {"lab/small"}
    assert rows[0]["session_id"] == "'=1+1"
    assert rows[0]["occurred_at"] == "2026-03-02T12:00:00.000000Z"


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("cursor=nowhere", "cursor names no row"),
        ("cost_differs=maybe", "cost_differs must be true or false"),
        ("range=1y", "range must be one of"),
        ("from=yesterday", "from must be a day"),
    ],
)
def test_what_makes_no_sense_is_named_and_the_rest_is_shown(
    apollo: Project, browser: Client, query: str, said: str
) -> None:
    report(apollo, "a")
    report(apollo, "b", model="lab/large")
    response = browser.get(f"{PAGE}?{query}&model=lab/large")
    assert response.status_code == 400
    page = text_of(response)
    assert said in page
    assert "lab/large" in page
    assert "lab/small" not in page
