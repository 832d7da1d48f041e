"""A reading watched in a real browser."""

from collections.abc import Callable
from pathlib import Path

import pytest
from django.urls import reverse
from django.utils import timezone
from playwright.sync_api import Page, expect
from pytest_django.live_server_helper import LiveServer

from kilo_site.tests.fixtures import PASSWORD, SETUP
from leaderboard.actions.feeds import do_request_ingestion, do_save_feed
from leaderboard.models import Feed, IngestionState
from teams.models import User

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def sign_in(live_server: LiveServer, page: Page) -> Callable[[str], None]:
    """Sign in as an operator and go to an address."""
    User.objects.create_superuser("operator@example.org", PASSWORD)

    def go(path: str) -> None:
        page.goto(f"{live_server.url}{reverse('sign_in')}?next={path}")
        page.get_by_label("E-mail").fill("operator@example.org")
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Sign in").click()

    return go


def test_progress_is_live_until_the_end(
    sign_in: Callable[[str], None], page: Page, tmp_path: Path
) -> None:
    page.set_viewport_size({"width": 360, "height": 800})
    feed = do_save_feed(
        Feed(name="Index", format="openhands-index", location=str(tmp_path)), actor=SETUP
    )
    ingestion, _ = do_request_ingestion(feed, actor=SETUP)
    sign_in(reverse("ingestion", kwargs={"ingestion_id": ingestion.public_id}))
    read = page.locator(".stat", has_text="Rows read")
    expect(page.get_by_role("heading", level=1)).to_contain_text("Queued")
    expect(read).to_contain_text("0 of 0 runs")

    ingestion.state, ingestion.started_at = IngestionState.RUNNING, timezone.now()
    ingestion.runs_done, ingestion.runs_expected, ingestion.rows_read = 3, 12, 4_321
    ingestion.save()
    expect(read).to_contain_text("4,321")
    expect(read).to_contain_text("3 of 12 runs")
    expect(page.get_by_role("heading", level=1)).to_contain_text("Running")
    assert page.locator("progress").evaluate("bar => bar.value / bar.max") == 0.25

    ingestion.state, ingestion.finished_at = IngestionState.FAILED, timezone.now()
    ingestion.error = "The server answered 404."
    ingestion.save()
    expect(page.get_by_role("alert")).to_have_text("The server answered 404.")
    expect(page.locator("progress")).to_have_count(0)
    assert page.evaluate("document.documentElement.scrollWidth") == 360
