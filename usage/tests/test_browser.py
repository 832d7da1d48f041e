"""The usage chart in a real browser. The `page` fixture fails on whatever the CSP blocks."""

import re
from typing import Any

import pytest
from django.conf import settings
from django.test import Client
from playwright.sync_api import Page, expect

from leaderboard.tests.tables import publish_table, table_bytes
from routing.models import Policy
from teams.models import Project, User
from usage.tests.traffic import decide, report

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
BAR = ".chart__plot .barlayer .point path"


def sign_in(page: Page, live_server: Any, user: User) -> None:
    """Give the browser the session of a signed-in person."""
    client = Client()
    client.force_login(user)
    name = settings.SESSION_COOKIE_NAME
    page.context.add_cookies(
        [{"name": name, "value": client.cookies[name].value, "url": live_server.url}]
    )


@pytest.fixture
def usage_page(page: Page, live_server: Any, apollo: Project, bob: User) -> Page:
    """The usage page of a project with one decision and one event."""
    decide(apollo)
    report(apollo, "a", cost_micro_usd=2_500_000)
    sign_in(page, live_server, bob)
    page.emulate_media(color_scheme="light")
    page.goto(f"{live_server.url}/projects/apollo/usage/")
    page.wait_for_selector(BAR, state="attached")
    return page


def fill(page: Page) -> str:
    """Return the colour of the bar that has a height."""
    return str(page.eval_on_selector_all(BAR, "paths => getComputedStyle(paths.at(-1)).fill"))


def token(page: Page, name: str) -> str:
    """Return the colour that a token of the style sheet has now."""
    return str(page.evaluate("name => Site.color(name)", name))


def test_the_chart_follows_the_theme(usage_page: Page) -> None:
    light = fill(usage_page)
    assert light == token(usage_page, "--series-1")
    usage_page.emulate_media(color_scheme="dark")
    usage_page.wait_for_function(
        "([selector, light]) => getComputedStyle(document.querySelector(selector)).fill !== light",
        arg=[BAR, light],
    )
    assert fill(usage_page) == token(usage_page, "--series-1") != light


def test_a_bar_opens_the_decisions_behind_it(usage_page: Page) -> None:
    bar = usage_page.locator(BAR).last.bounding_box()
    assert bar is not None
    middle = bar["x"] + bar["width"] / 2, bar["y"] + bar["height"] / 2
    usage_page.mouse.move(*middle)
    expect(usage_page.locator(".hoverlayer")).to_contain_text("$2.50")
    usage_page.mouse.click(*middle)
    expect(usage_page).to_have_url(re.compile(r"decisions/\?range=7d&model=lab%2Fsmall$"))


def test_from_the_list_to_why_and_what_now(
    page: Page, live_server: Any, apollo: Project, bob: User
) -> None:
    decide(apollo, model="lab/other", confidence=0.4)
    decision = decide(apollo)
    Policy.objects.create(
        project=apollo,
        team=apollo.team,
        number=1,
        denied_models=["lab/small"],
        balanced_models=["lab/large"],
        baseline_model="lab/large",
        author="test",
    )
    publish_table(table_bytes({"lab/small": (0.7, 12_000.0), "lab/large": (0.8, 90_000.0)}))
    sign_in(page, live_server, bob)
    page.goto(f"{live_server.url}/projects/apollo/decisions/")
    rows = page.locator("tbody tr")
    expect(rows).to_have_count(2)

    # By keyboard: open what is hidden, narrow the list, follow the row that is left.
    page.get_by_text("More filters").focus()
    page.keyboard.press("Enter")
    page.get_by_label("Confidence from").fill("0.5")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(r"min_confidence=0\.5"))
    expect(rows).to_have_count(1)
    expect(page.get_by_label("Confidence from")).to_be_visible()
    page.locator("tbody a").first.focus()
    page.keyboard.press("Enter")

    expect(page).to_have_url(re.compile(f"{decision.public_id}/$"))
    page.wait_for_selector(BAR, state="attached")
    expect(page.locator(BAR)).to_have_count(2)
    page.get_by_role("link", name="Re-run under the current policy").click()
    again = page.get_by_role("region", name="Under the current policy")
    expect(again).to_contain_text("lab/large would be chosen instead.")
    expect(again).to_contain_text("Denied by the policy")
    again.get_by_role("link", name="Close").click()
    expect(again).to_have_count(0)


@pytest.mark.parametrize(
    "path",
    ["", "usage/", "decisions/", "decisions/?sticky=false", "decisions/{decision}/?rerun=true"],
)
def test_every_page_fits_a_narrow_screen(
    page: Page, live_server: Any, apollo: Project, bob: User, path: str
) -> None:
    decision = decide(apollo, session_id="a-long-session-name-" * 8, model="provider/" + "m" * 60)
    report(apollo, "a", decision_id=decision.public_id)
    sign_in(page, live_server, bob)
    page.set_viewport_size({"width": 360, "height": 740})
    page.goto(f"{live_server.url}/projects/apollo/{path.format(decision=decision.public_id)}")
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
