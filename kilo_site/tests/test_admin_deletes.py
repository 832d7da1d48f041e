"""In the admin, operators delete whole teams and projects with all that only actions may write."""

import pytest
from django.test import Client
from pytest_django import DjangoCaptureOnCommitCallbacks

from kilo_site.tests.fixtures import SETUP
from leaderboard.models import CurrentTable, RoutingTable
from leaderboard.tests.tables import publish_table, table_bytes
from routing.models import Decision
from teams.actions import do_create_key
from teams.keys import Scope
from teams.models import ApiKey, AuditEvent, Project, Team, User
from usage.models import UsageDay, UsageEvent
from usage.tests.traffic import catalogue, decide, report, settle

pytestmark = pytest.mark.django_db
OF_PROJECTS = (ApiKey, Decision, UsageEvent, UsageDay)


@pytest.fixture
def operator(client: Client) -> Client:
    """A superuser's browser."""
    someone = User.objects.create_superuser("operator@example.org", "correct horse battery")
    client.force_login(someone)
    return client


@pytest.fixture(autouse=True)
def _used(apollo: Project, borealis: Project) -> None:
    """Two projects of two teams with keys, decisions, usage and their sums."""
    catalogue()
    for project in (apollo, borealis):
        do_create_key(project, "A key", list(Scope), actor=SETUP)
        decide(project)
        report(project, "a call")
    settle()


def owners() -> list[set[int]]:
    """Return to which projects the rows of each kind belong."""
    return [
        set(model._default_manager.values_list("project_id", flat=True)) for model in OF_PROJECTS
    ]


def test_a_project_goes_with_all_that_belongs_to_it(
    operator: Client, apollo: Project, borealis: Project
) -> None:
    address = f"/admin/teams/project/{apollo.pk}/delete/"
    page = operator.get(address).content.decode()
    assert "Usage events: 1" in page
    assert "Decisions: 1" in page
    assert operator.post(address, {"post": "yes"}).status_code == 302
    assert Project.objects.get() == borealis
    assert owners() == [{borealis.pk}] * len(OF_PROJECTS)
    word = AuditEvent.objects.get(verb="project.deleted")
    assert (word.actor, word.target, word.team, word.project) == (
        "operator@example.org",
        "apollo",
        apollo.team,
        None,
    )


def test_each_of_several_projects_leaves_word(
    operator: Client, apollo: Project, borealis: Project
) -> None:
    chosen = {"action": "delete_selected", "_selected_action": [apollo.pk, borealis.pk]}
    operator.post("/admin/teams/project/", {**chosen, "post": "yes"})
    words = AuditEvent.objects.filter(verb="project.deleted")
    assert {*words.values_list("target", flat=True)} == {"apollo", "borealis"}


def test_a_team_goes_with_its_projects_and_its_own_table(
    operator: Client, apollo: Project, borealis: Project
) -> None:
    publish_table(table_bytes({"lab/small": (0.8, 0.01)}))
    RoutingTable.objects.update(team=apollo.team)
    CurrentTable.objects.update(team=apollo.team)
    chosen = {"action": "delete_selected", "_selected_action": [apollo.team.pk]}
    assert "Projects: 1" in operator.post("/admin/teams/team/", chosen).content.decode()
    answer = operator.post("/admin/teams/team/", {**chosen, "post": "yes"})
    assert answer.status_code == 302
    assert Team.objects.get() == borealis.team
    assert owners() == [{borealis.pk}] * len(OF_PROJECTS)
    assert not RoutingTable.objects.exists()
    word = AuditEvent.objects.get(verb="team.deleted")
    assert (word.actor, word.target, word.team) == ("operator@example.org", "team-a", None)
    assert word.details == {"name": "Team A", "projects": ["apollo"]}


def test_its_keys_are_not_valid_from_then_on(
    operator: Client,
    apollo: Project,
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
) -> None:
    _, key = do_create_key(apollo, "Another key", list(Scope), actor=SETUP)
    headers = {"Authorization": f"Bearer {key}"}
    assert Client().get("/api/v1/usage", headers=headers).status_code == 200
    with django_capture_on_commit_callbacks(execute=True):
        operator.post(f"/admin/teams/project/{apollo.pk}/delete/", {"post": "yes"})
    assert Client().get("/api/v1/usage", headers=headers).status_code == 401
