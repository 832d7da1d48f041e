"""The leaderboard in a real browser."""

import pytest
from playwright.sync_api import Page, expect
from pytest_django.live_server_helper import LiveServer

from leaderboard.tests.tables import publish_table, table_bytes

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
MODELS = {"acme/strong": (0.9, 900_000.0), "acme/weak": (0.4, 50_000.0)}


def test_the_chart_is_drawn_and_the_filters_work(live_server: LiveServer, page: Page) -> None:
    publish_table(table_bytes(MODELS))
    page.set_viewport_size({"width": 360, "height": 800})

    page.goto(f"{live_server.url}/leaderboard/")

    expect(page.locator(".chart__plot .scatterlayer .point")).to_have_count(len(MODELS))
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    names = page.locator("tbody th .nowrap:first-child")
    expect(names).to_have_text(["strong", "weak"])
    page.get_by_label("Sort by").select_option("cost")
    page.get_by_role("button", name="Show").click()
    expect(names).to_have_text(["weak", "strong"])
    assert "sort=cost" in page.url


def test_checked_models_are_compared_and_the_address_says_which(
    live_server: LiveServer, page: Page
) -> None:
    publish_table(table_bytes({**MODELS, "zeta/mid": (0.6, 100_000.0)}))

    page.goto(f"{live_server.url}/leaderboard/?sort=cost")
    page.get_by_label("Compare strong").check()
    page.get_by_label("Compare mid").check()
    page.get_by_role("button", name="Compare selected").click()

    expect(page.get_by_role("heading", name="Side by side")).to_be_visible()
    names = page.get_by_role("region", name="Models by accuracy and cost").locator("tbody th a")
    expect(names).to_have_text(["mid", "strong"])
    assert "sort=cost" in page.url
    page.get_by_role("link", name="All models").click()
    expect(names).to_have_text(["weak", "mid", "strong"])
