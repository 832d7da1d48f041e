"""Fixtures that the tests of every app share."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, sync_playwright

pytest_plugins = ["kilo_site.tests.fixtures"]

CHROMIUM_ARGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what cannot run in this mode, and mark browser tests in the JUnit report."""
    other_mode = "embedded" if os.environ.get("DATABASE_URL") else "production"
    left_out = [item for item in items if item.get_closest_marker(other_mode)]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]
    for item in items:
        if item.get_closest_marker("browser"):
            item.user_properties.append(("browser", "yes"))


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """A Chromium for the whole test session."""
    executable = os.environ.get("CHROMIUM_BIN")
    if not executable:
        pytest.skip("no Chromium: CHROMIUM_BIN is not set")
    with pytest.MonkeyPatch.context() as patch, sync_playwright() as playwright:
        # Playwright's event loop lives in this thread, which Django takes for async code.
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
        chromium = playwright.chromium.launch(executable_path=executable, args=CHROMIUM_ARGS)
        yield chromium
        chromium.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page in a fresh browser context.

    The test fails on any uncaught script error and on anything the Content Security Policy blocked.
    """
    errors: list[str] = []

    def note(message: ConsoleMessage) -> None:
        if message.type == "error" and "Content Security Policy" in message.text:
            errors.append(message.text)

    with browser.new_context() as context:
        page = context.new_page()
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", note)
        yield page
    assert not errors, f"errors in the browser: {errors}"


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of real result files, which are not part of the repository."""
    default = Path(__file__).resolve().parent.parent / "shared" / "data"
    folder = Path(os.environ.get("KILO_RESULTS_DIR", default))
    if not folder.is_dir():
        pytest.skip("real result files are not here")
    return folder
