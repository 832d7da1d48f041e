"""The page of what holds for a whole team."""

import pytest
from django.test import Client

from teams import actions
from teams.actions import do_add_member
from teams.models import AuditEvent, Project, Role, Team, User

URL = "/projects/apollo/settings/"


@pytest.fixture
def owner(client: Client, alice: User, apollo: Project) -> Client:
    client.force_login(alice)
    return client


def test_an_owner_changes_the_time_zone(
    owner: Client, apollo: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[Team] = []
    monkeypatch.setattr(actions, "time_zone_changed", [told.append])
    assert '<option value="UTC" selected>' in owner.get(URL).content.decode()
    page = owner.post(URL, {"time_zone": "Europe/Berlin"}, follow=True).content.decode()
    assert "Team A now goes by the time in Europe/Berlin." in page
    assert '<option value="Europe/Berlin" selected>' in page
    assert Team.objects.get().time_zone == "Europe/Berlin"
    assert told == [apollo.team]
    row = AuditEvent.objects.get(verb="team.time_zone_changed")
    assert (row.actor, row.details) == (
        "alice@example.org",
        {"before": "UTC", "time_zone": "Europe/Berlin"},
    )


def test_saving_the_same_time_zone_changes_nothing(owner: Client) -> None:
    owner.post(URL, {"time_zone": "UTC"})
    assert not AuditEvent.objects.filter(verb="team.time_zone_changed").exists()


@pytest.mark.parametrize("text", ["", "Mars/Olympus_Mons", "../../etc/passwd"])
def test_what_is_no_time_zone_is_refused(owner: Client, text: str) -> None:
    response = owner.post(URL, {"time_zone": text})
    assert response.status_code == 422
    assert Team.objects.get().time_zone == "UTC"


def test_a_zone_that_the_list_leaves_out_stays_chosen(owner: Client) -> None:
    Team.objects.update(time_zone="Etc/GMT+3")
    assert '<option value="Etc/GMT+3" selected>' in owner.get(URL).content.decode()


@pytest.mark.parametrize("role", [Role.VIEWER, Role.EDITOR])
def test_who_may_not_change_it_sees_who_may(client: Client, bob: User, role: str) -> None:
    do_add_member(Team.objects.get(), bob, role, actor=bob)
    client.force_login(bob)
    page = client.get(URL).content.decode()
    assert "Owners and admins of the team can change it." in page
    assert "<select" not in page
    assert client.post(URL, {"time_zone": "Europe/Berlin"}).status_code == 403
    assert Team.objects.get().time_zone == "UTC"
