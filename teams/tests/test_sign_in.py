"""Signing in and out, and where the start page leads."""

import pytest
from django.test import Client

from kilo_site.tests.fixtures import PASSWORD
from teams.models import Project, User

pytestmark = pytest.mark.django_db


def sign_in(
    client: Client, email: str, password: str, url: str = "/sign-in/"
) -> tuple[int, str, str]:
    response = client.post(url, {"username": email, "password": password})
    return response.status_code, response.headers.get("Location", ""), response.content.decode()


def test_a_person_signs_in_and_lands_on_their_first_project(
    client: Client, apollo: Project
) -> None:
    assert sign_in(client, "alice@example.org", PASSWORD)[:2] == (302, "/")
    assert client.get("/").headers["Location"] == "/projects/apollo/"


def test_the_case_of_the_address_does_not_matter(client: Client, alice: User) -> None:
    assert sign_in(client, "Alice@Example.org", PASSWORD)[0] == 302


def test_a_wrong_password_and_an_unknown_address_look_alike(client: Client, alice: User) -> None:
    message = "The e-mail or the password is not right. Check both and try again."
    for email, password in [("alice@example.org", "wrong"), ("nobody@example.org", PASSWORD)]:
        status, _, page = sign_in(client, email, password)
        assert status == 200
        assert message in page
    assert client.get("/projects/apollo/policy/").status_code == 302


def test_a_page_that_asked_for_sign_in_is_reached_after_it(client: Client, apollo: Project) -> None:
    asked = client.get("/projects/apollo/policy/").headers["Location"]
    assert asked == "/sign-in/?next=/projects/apollo/policy/"
    page = client.get(asked).content.decode()
    assert 'name="next" value="/projects/apollo/policy/"' in page
    assert sign_in(client, "alice@example.org", PASSWORD, asked)[1] == "/projects/apollo/policy/"


def test_next_never_leads_to_another_site(client: Client, alice: User) -> None:
    url = "/sign-in/?next=https://elsewhere.example/"
    assert sign_in(client, "alice@example.org", PASSWORD, url)[1] == "/"


def test_signing_out_takes_a_post(client: Client, alice: User) -> None:
    client.force_login(alice)
    assert client.get("/sign-out/").status_code == 405
    assert client.post("/sign-out/").headers["Location"] == "/sign-in/"
    assert "_auth_user_id" not in client.session


def test_a_visitor_is_sent_to_the_public_leaderboard(client: Client) -> None:
    assert client.get("/").headers["Location"] == "/leaderboard/"


def test_a_person_without_a_project_is_told_what_to_do(client: Client, alice: User) -> None:
    client.force_login(alice)
    page = client.get("/").content.decode()
    assert "You have no project yet" in page
    assert "alice@example.org" in page


def test_pages_carry_a_strict_content_security_policy(client: Client) -> None:
    policy = client.get("/sign-in/").headers["Content-Security-Policy"]
    assert "script-src 'self'" in policy
    assert "unsafe" not in policy


def test_a_page_that_is_not_there_is_a_whole_page_with_the_request_id(client: Client) -> None:
    response = client.get("/no-such-page/", headers={"X-Request-ID": "req_abc"})
    assert response.status_code == 404
    page = response.content.decode()
    assert "req_abc" in page
    assert "Go to the start page" in page


def test_a_form_without_its_token_is_refused_with_a_page_that_helps(alice: User) -> None:
    client = Client(enforce_csrf_checks=True)
    response = client.post("/sign-in/", {"username": "alice@example.org", "password": PASSWORD})
    assert response.status_code == 403
    assert "This form has expired" in response.content.decode()
