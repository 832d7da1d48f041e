"""What only a browser can show. The `page` fixture fails on script errors and on blocked styles."""

import pytest
from playwright.sync_api import Page
from pytest_django.live_server_helper import LiveServer

from kilo_site.tests.fixtures import PASSWORD
from teams.models import Project

pytestmark = pytest.mark.browser

THEME = "document.documentElement.dataset.theme"
BACKGROUND = "getComputedStyle(document.documentElement).backgroundColor"
OVERFLOW = "document.documentElement.scrollWidth - window.innerWidth"


def sign_in(page: Page, server: LiveServer, path: str) -> None:
    page.goto(f"{server.url}/sign-in/?next={path}")
    page.get_by_label("E-mail").fill("alice@example.org")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(f"**{path}")


def test_the_chosen_theme_survives_a_reload(page: Page, live_server: LiveServer) -> None:
    page.emulate_media(color_scheme="light")
    page.goto(f"{live_server.url}/sign-in/")
    light = page.evaluate(BACKGROUND)
    toggle = page.get_by_role("button", name="Theme")
    toggle.click()
    toggle.click()
    page.reload()
    assert page.evaluate(THEME) == "dark"
    assert page.evaluate(BACKGROUND) != light
    toggle.click()
    assert page.evaluate(BACKGROUND) == light


def test_the_dark_system_theme_is_followed(page: Page, live_server: LiveServer) -> None:
    page.goto(f"{live_server.url}/sign-in/")
    backgrounds = set()
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        backgrounds.add(page.evaluate(BACKGROUND))
    assert len(backgrounds) == 2


@pytest.mark.parametrize("path", ["/projects/apollo/keys/", "/projects/apollo/policy/"])
def test_a_page_fits_a_phone(
    page: Page, live_server: LiveServer, apollo: Project, apollo_key: str, path: str
) -> None:
    page.set_viewport_size({"width": 360, "height": 740})
    sign_in(page, live_server, path)
    assert page.evaluate(OVERFLOW) == 0


def test_searching_narrows_the_models_without_losing_what_was_chosen(
    page: Page, live_server: LiveServer, apollo: Project
) -> None:
    sign_in(page, live_server, "/projects/apollo/policy/")
    denied = page.get_by_role("group", name="Denied models")
    first = denied.get_by_role("checkbox").first
    first.check()
    denied.get_by_role("searchbox").fill("no model is called this")
    assert denied.get_by_role("checkbox").count() == 0
    denied.get_by_role("searchbox").fill("")
    assert first.is_checked()


def test_the_keyboard_reaches_the_content_first_and_leaves_menus_with_escape(
    page: Page, live_server: LiveServer, apollo: Project
) -> None:
    sign_in(page, live_server, "/projects/apollo/keys/")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    switcher = page.get_by_role("navigation", name="Projects")
    page.get_by_text("Apollo", exact=True).first.click()
    assert switcher.is_visible()
    page.keyboard.press("Escape")
    assert not switcher.is_visible()
