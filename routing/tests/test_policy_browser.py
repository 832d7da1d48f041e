"""The policy page in a real browser. The `page` fixture fails on whatever the CSP blocks."""

import re

import pytest
from django.conf import settings
from django.test import Client
from playwright.sync_api import Page, expect
from pytest_django.live_server_helper import LiveServer

from leaderboard.tests.tables import publish_table, table_bytes
from routing.actions.policies import do_save_policy
from routing.queries.policies import current_policy
from teams.models import Project, User

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def policy_page(page: Page, live_server: LiveServer, apollo: Project, alice: User) -> Page:
    """The policy page, open in the browser of the team's owner."""
    publish_table(table_bytes({"lab/small": (0.78, 50_000.0), "lab/large": (0.80, 900_000.0)}))
    client = Client()
    client.force_login(alice)
    name = settings.SESSION_COOKIE_NAME
    page.context.add_cookies(
        [{"name": name, "value": client.cookies[name].value, "url": live_server.url}]
    )
    page.goto(f"{live_server.url}/projects/apollo/policy/")
    return page


def test_a_draft_is_previewed_then_saved(policy_page: Page, apollo: Project) -> None:
    page = policy_page
    page.get_by_label("Quality bar", exact=True).fill("1")
    page.get_by_label("Price ceiling").fill("2.5")
    page.get_by_role("group", name="Denied models").get_by_text("All of openai").click()
    page.get_by_text("Set a mode or a model for a route").click()
    page.get_by_label("Bug fixing").fill("lab/small")
    page.get_by_label("Note").fill("better")
    page.get_by_label("Balanced model 1").fill("lab/large")
    page.get_by_label("Balanced model 2").fill("lab/small")
    page.get_by_role("button", name="Preview").click()
    preview = page.get_by_role("region", name="Preview of your draft")
    expect(preview).to_be_in_viewport()
    expect(preview).to_contain_text("benchmark tasks")
    expect(preview.get_by_role("row", name="lab/small lab/large")).to_be_visible()
    expect(page.get_by_label("Note")).to_have_value("better")
    expect(page.get_by_label("Bug fixing")).to_have_value("lab/small")
    assert current_policy(apollo.pk).number == 0
    page.get_by_role("button", name="Save as version 1").click()
    expect(page.get_by_text("Saved as version 1.")).to_be_visible()
    saved = current_policy(apollo.pk)
    assert (saved.quality_bar, saved.price_ceiling_micro_usd) == (1.0, 2_500_000)
    assert saved.balanced_models == ["lab/large", "lab/small"]
    assert (saved.denied_models, saved.note) == (["openai/*"], "better")
    assert saved.route_overrides == {"debugging/bug_fixing": "lab/small"}
    expect(page.get_by_text("Settings of the project’s own")).to_be_visible()


def test_a_conflict_shows_both_versions_and_keeps_what_was_typed(
    policy_page: Page, apollo: Project, bob: User
) -> None:
    page = policy_page
    page.get_by_label("Evidence", exact=True).fill("0.9")
    page.get_by_label("Note").fill("typed for minutes")
    do_save_policy(apollo, actor=bob, based_on=None, quality_bar=0.7)
    page.get_by_role("button", name="Save as version 1").click()
    expect(page.get_by_role("alert")).to_contain_text("bob@example.org saved another version")
    both = page.get_by_role("region", name="Both versions").first
    expect(both.get_by_role("row", name=re.compile("Quality bar 0.95 0.7"))).to_be_visible()
    expect(page.get_by_label("Note")).to_have_value("typed for minutes")
    page.get_by_role("button", name="Save as version 2").click()
    expect(page.get_by_text("Saved as version 2.")).to_be_visible()
    assert current_policy(apollo.pk).evidence == 0.9


def test_every_page_of_the_policy_fits_a_narrow_screen(
    policy_page: Page, live_server: LiveServer, apollo: Project, alice: User
) -> None:
    long = ["provider/" + "m" * 60 + "*", "a-long-provider-name-*"]
    for owner in (apollo, apollo.team):
        do_save_policy(owner, actor=alice, based_on=None, denied_models=long, note="n" * 60)
        do_save_policy(owner, actor=alice, based_on=None)
    policy_page.set_viewport_size({"width": 360, "height": 740})
    for path in ("policy/", "policy/1...2/", "policy/1/restore/", "team-policy/"):
        policy_page.goto(f"{live_server.url}/projects/apollo/{path}")
        assert policy_page.evaluate("document.documentElement.scrollWidth") <= 360, path
    with policy_page.expect_navigation():
        policy_page.get_by_role("button", name="Preview").click()
    assert policy_page.evaluate("document.documentElement.scrollWidth") <= 360
