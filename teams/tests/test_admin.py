"""Django's admin, for operators."""

import pytest
from django.test import Client

from teams.models import ApiKey, Project, User


@pytest.fixture
def operator(client: Client, db: None) -> Client:
    client.force_login(
        User.objects.create_superuser("operator@example.org", "correct horse battery")
    )
    return client


def test_a_person_made_in_the_admin_has_a_hashed_password(operator: Client) -> None:
    form = {
        "email": "dora@example.org",
        "name": "Dora",
        "usable_password": "true",
        "password1": "correct horse battery",
        "password2": "correct horse battery",
    }
    assert operator.post("/admin/teams/user/add/", form).status_code == 302
    dora = User.objects.get(email="dora@example.org")
    assert dora.check_password("correct horse battery")
    assert "correct horse" not in dora.password


def test_keys_are_shown_without_their_digest_and_cannot_be_changed(
    operator: Client, apollo_key: str
) -> None:
    key = ApiKey.objects.get()
    page = operator.get(f"/admin/teams/apikey/{key.pk}/change/").content.decode()
    assert key.lookup in page
    assert key.digest not in page
    assert operator.post(f"/admin/teams/apikey/{key.pk}/change/", {"name": "x"}).status_code == 403
    assert operator.get("/admin/teams/apikey/add/").status_code == 403


@pytest.mark.parametrize(
    "section",
    [
        "teams/user",
        "teams/team",
        "teams/project",
        "teams/auditevent",
        "routing/policy",
        "routing/decision",
    ],
)
def test_every_list_opens(operator: Client, apollo_key: str, section: str) -> None:
    assert operator.get(f"/admin/{section}/?q=apollo").status_code == 200


def test_the_clock_of_a_team_is_shown_only(operator: Client, apollo: Project) -> None:
    page = operator.get(f"/admin/teams/team/{apollo.team.pk}/change/").content.decode()
    assert "UTC" in page
    assert 'name="time_zone"' not in page
