"""The page where API keys are made and revoked."""

import re

import pytest
from django.test import Client

from teams import queries
from teams.actions import do_create_project, do_create_team
from teams.models import ApiKey, AuditEvent, Project, User

URL = "/projects/apollo/keys/"
WHOLE_KEY = re.compile(r"kr_live_[a-z0-9]{12}_[A-Za-z0-9]{40}")


@pytest.fixture
def owner(client: Client, alice: User, apollo: Project) -> Client:
    client.force_login(alice)
    return client


def make_key(owner: Client, name: str = "CI", scopes: tuple[str, ...] = ("route:write",)) -> str:
    """Make a key on the page and return the page."""
    response = owner.post(URL, {"name": name, "scopes": scopes})
    assert response.status_code == 200
    return response.content.decode()


def test_teams_of_one_name_stand_apart_in_the_list_of_projects(owner: Client, alice: User) -> None:
    namesake = do_create_team("Team A", alice, actor=alice)
    for name in ("Aachen", "Zwolle"):
        do_create_project(namesake, name, actor=alice)
    switcher = owner.get(URL).content.decode().split('aria-label="Projects"')[1].split("</nav>")[0]
    groups = switcher.split('<span class="menu__label">Team A</span>')[1:]
    names = [re.findall(r">(\w+)</a>", group) for group in groups]
    assert names == [["Apollo"], ["Aachen", "Zwolle"]]


def test_a_new_key_is_shown_once_and_works(owner: Client) -> None:
    page = make_key(owner, scopes=("route:write", "usage:read"))
    (key,) = set(WHOLE_KEY.findall(page))
    holder = queries.verify_key(key)
    assert holder is not None
    assert holder.scopes == {"route:write", "usage:read"}
    again = owner.get(URL).content.decode()
    assert not WHOLE_KEY.search(again)
    assert f"kr_live_{key.split('_')[2]}_…" in again


def test_the_page_with_the_key_is_kept_nowhere(owner: Client) -> None:
    response = owner.post(URL, {"name": "CI", "scopes": ["route:write"]})
    assert "no-store" in response.headers["Cache-Control"]
    (key,) = set(WHOLE_KEY.findall(response.content.decode()))
    assert key not in str(AuditEvent.objects.values_list("details", flat=True))
    assert key not in str(ApiKey.objects.values())
    assert key not in str(dict(owner.session))


def test_a_key_that_may_route_comes_with_a_ready_command(owner: Client) -> None:
    assert "curl http://testserver/api/v1/route" in make_key(owner)
    assert "curl" not in make_key(owner, scopes=("usage:read",))


def test_making_a_key_leaves_an_audit_row(owner: Client) -> None:
    make_key(owner)
    row = AuditEvent.objects.get(verb="key.created")
    assert (row.actor, row.target) == ("alice@example.org", ApiKey.objects.get().public_id)


@pytest.mark.parametrize(
    ("form", "message"),
    [
        ({"name": "", "scopes": ["route:write"]}, "Give the key a name"),
        ({"name": "CI"}, "Choose at least one scope"),
        (
            {"name": "CI", "scopes": ["everything"]},
            "everything is not one of the available choices",
        ),
    ],
)
def test_a_bad_form_makes_no_key_and_says_why(
    owner: Client, form: dict[str, object], message: str
) -> None:
    response = owner.post(URL, form)
    assert response.status_code == 422
    assert message in response.content.decode()
    assert not ApiKey.objects.exists()


def test_revoking_asks_first_then_ends_the_key_for_good(owner: Client) -> None:
    (key,) = set(WHOLE_KEY.findall(make_key(owner)))
    url = f"{URL}{ApiKey.objects.get().public_id}/revoke/"
    assert "Revoke “CI”?" in owner.get(url).content.decode()
    assert queries.verify_key(key) is not None
    page = owner.post(url, follow=True).content.decode()
    assert "The key “CI” is revoked." in page
    assert queries.verify_key(key) is None
    assert AuditEvent.objects.filter(verb="key.revoked", actor="alice@example.org").count() == 1


def test_a_viewer_may_not_see_or_make_keys(client: Client, bob: User) -> None:
    client.force_login(bob)
    assert client.get(URL).status_code == 403
    assert client.post(URL, {"name": "CI", "scopes": ["route:write"]}).status_code == 403
    assert not ApiKey.objects.exists()


def test_an_outsider_finds_nothing(client: Client, charlie: User, apollo: Project) -> None:
    client.force_login(charlie)
    assert client.get(URL).status_code == 404
    assert client.get("/projects/no-such-project/keys/").status_code == 404


def test_another_teams_key_cannot_be_revoked_through_ones_own_project(
    client: Client, charlie: User, borealis: Project, apollo_key: str
) -> None:
    client.force_login(charlie)
    key = ApiKey.objects.get()
    url = f"/projects/borealis/keys/{key.public_id}/revoke/"
    assert client.post(url).status_code == 404
    assert queries.verify_key(apollo_key) is not None
