"""The pages about routing tables: publishing, going back, and what changed."""

import datetime as dt

import pytest
from django.test import Client

from kilo_site.tests.fixtures import SETUP
from leaderboard.models import RoutingTable
from leaderboard.queries import current_version
from leaderboard.tests.runs import make_run, tasks
from leaderboard.tests.tables import publish_table, table_bytes
from teams.actions import do_add_member, do_create_project, do_create_team
from teams.models import AuditEvent, Project, Role, User

pytestmark = pytest.mark.django_db

FLEET = {
    "open/cheap": (0.78, 50_000.0),
    "openai/gpt-5.4": (0.79, 400_000.0),
    "anthropic/claude-opus-4.8": (0.80, 900_000.0),
}
BUGS = [("open/cheap", "debugging/bug_fixing", name) for name in ("low", "medium", "high")]


@pytest.fixture
def operator(client: Client) -> Client:
    """A browser of somebody who runs the site."""
    client.force_login(User.objects.create_superuser("operator@example.org"))
    return client


@pytest.fixture
def before(db: None) -> RoutingTable:
    """A table that another has replaced."""
    return publish_table(table_bytes(FLEET))


@pytest.fixture
def after(before: RoutingTable) -> RoutingTable:
    """The current table, in which the cheap model fixes fewer bugs."""
    return publish_table(table_bytes(FLEET, cells=dict.fromkeys(BUGS, (0.5, 60000.0))))


def text_of(client: Client, path: str) -> str:
    """Return a page."""
    response = client.get(path)
    assert response.status_code == 200
    return " ".join(response.content.decode().split())


def test_lists_tables_with_the_current_one_marked(
    operator: Client, before: RoutingTable, after: RoutingTable
) -> None:
    text = text_of(operator, "/settings/tables/")
    assert text.index(after.version) < text.index("Current</span>") < text.index(before.version)
    assert f"/tables/{before.version}...{after.version}/" in text
    assert f"/settings/tables/{before.version}/make-current/" in text
    assert f"/settings/tables/{after.version}/make-current/" not in text


def test_publishes_what_is_there_with_an_audit_row(operator: Client) -> None:
    make_run("lab/small", tasks(30, 20))
    response = operator.post("/settings/tables/", follow=True)
    version = current_version()
    assert f"{version} is published." in response.content.decode()
    assert AuditEvent.objects.get(verb="table.published").actor == "operator@example.org"
    again = operator.post("/settings/tables/", follow=True)
    assert f"{version} says the same as before, and stays current." in again.content.decode()


def test_explains_why_nothing_was_published(operator: Client, after: RoutingTable) -> None:
    response = operator.post("/settings/tables/")
    assert response.status_code == 409
    assert "There are no task results to publish from" in response.content.decode()
    assert current_version() == after.version


def test_asks_before_it_goes_back(
    operator: Client, before: RoutingTable, after: RoutingTable
) -> None:
    path = f"/settings/tables/{before.version}/make-current/"
    assert f"/tables/{after.version}...{before.version}/" in text_of(operator, path)
    assert current_version() == after.version
    response = operator.post(path, follow=True)
    assert f"{before.version} is current." in response.content.decode()
    assert current_version() == before.version
    row = AuditEvent.objects.get(verb="table.rolled_back")
    assert (row.actor, row.target) == ("operator@example.org", before.version)


def test_explains_why_it_does_not_go_back(operator: Client, after: RoutingTable) -> None:
    response = operator.post(f"/settings/tables/{after.version}/make-current/")
    assert response.status_code == 409
    assert "is the current table already" in response.content.decode()


def test_a_table_that_does_not_exist_cannot_be_made_current(operator: Client) -> None:
    assert operator.get("/settings/tables/tbl_none/make-current/").status_code == 404


def test_shows_anyone_what_changed(
    client: Client, before: RoutingTable, after: RoutingTable
) -> None:
    text = text_of(client, f"/tables/{before.version}...{after.version}/")
    assert "Debugging / Bug fixing" in text
    assert "open/cheap" in text
    assert "78.0%, $0.050" in text or "78.0%, $0.05" in text
    assert "94.4%" in text, "the saving before"
    assert "55.6%" in text, "the saving after"
    assert "-28.0 points" in text
    assert "×1.2" in text
    assert "3 cells differ" in text


def test_says_so_when_nothing_changed(client: Client, after: RoutingTable) -> None:
    text = text_of(client, f"/tables/{after.version}...{after.version}/")
    assert "Both tables hold the same models and figures" in text


@pytest.mark.parametrize("path", ["tbl_none...{0}", "{0}...tbl_none", "{0}..{0}"])
def test_tables_that_do_not_exist_are_not_found(
    client: Client, after: RoutingTable, path: str
) -> None:
    assert client.get(f"/tables/{path.format(after.version)}/").status_code == 404


def test_names_that_a_feed_made_up_are_shown_as_text(client: Client, before: RoutingTable) -> None:
    hostile = publish_table(table_bytes({"x/<script>alert(1)</script>": (0.5, 1000.0)}))
    text = text_of(client, f"/tables/{before.version}...{hostile.version}/")
    assert "<script>alert" not in text
    assert "x/&lt;script&gt;" in text


def test_times_are_those_of_the_persons_teams(
    operator: Client, before: RoutingTable, after: RoutingTable, apollo: Project
) -> None:
    RoutingTable.objects.update(published_at=dt.datetime(2026, 3, 2, 20, tzinfo=dt.UTC))
    pages = (
        "/settings/tables/",
        f"/settings/tables/{before.version}/make-current/",
        f"/tables/{before.version}...{after.version}/",
    )
    team, person = apollo.team, User.objects.get(email="operator@example.org")
    team.time_zone = "Asia/Kolkata"
    team.save()
    assert all("2 Mar 2026, 20:00</time>" in text_of(operator, page) for page in pages)
    do_add_member(team, person, Role.VIEWER, actor=SETUP)
    for page in pages:
        text = text_of(operator, page)
        assert "3 Mar 2026, 01:30</time>" in text
        assert "Asia/Kolkata" in text
    assert "2 Mar 2026, 20:00</time>" in text_of(Client(), pages[-1])
    # The clock of one team would be wrong for the other.
    do_create_project(do_create_team("Third", person, actor=SETUP), "Third", actor=SETUP)
    assert all("2 Mar 2026, 20:00</time>" in text_of(operator, page) for page in pages)
