"""Pages of usage in a real browser. The `page` fixture fails on whatever the CSP blocks."""

import datetime as dt
import re
from typing import Any

import pytest
from django.conf import settings
from django.test import Client
from django.utils import timezone
from playwright.sync_api import Browser, Page, expect

from leaderboard.tests.tables import publish_table, table_bytes
from routing.models import Policy
from teams.models import Project, User
from usage.tests.traffic import decide, report, settle

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
BAR = ".chart__plot .barlayer .point path"
# The place of its bar among those of seven days.
YESTERDAY = 5


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
    """The usage page of a project with one decision and one event, of yesterday."""
    decide(apollo)
    yesterday = timezone.now() - dt.timedelta(days=1)
    report(apollo, "a", cost_micro_usd=2_500_000, occurred_at=yesterday)
    settle()
    sign_in(page, live_server, bob)
    page.emulate_media(color_scheme="light")
    page.goto(f"{live_server.url}/projects/apollo/usage/")
    page.wait_for_selector(BAR, state="attached")
    return page


def fill(page: Page) -> str:
    """Return the colour of the bar that has a height."""
    return str(page.locator(BAR).nth(YESTERDAY).evaluate("path => getComputedStyle(path).fill"))


def token(page: Page, name: str) -> str:
    """Return the colour that a token of the style sheet has now."""
    return str(page.evaluate("name => Site.color(name)", name))


def test_the_chart_follows_the_theme(usage_page: Page) -> None:
    light = fill(usage_page)
    assert light == token(usage_page, "--series-1")
    usage_page.emulate_media(color_scheme="dark")
    usage_page.wait_for_function(
        "([selector, place, light]) =>"
        " getComputedStyle(document.querySelectorAll(selector)[place]).fill !== light",
        arg=[BAR, YESTERDAY, light],
    )
    assert fill(usage_page) == token(usage_page, "--series-1") != light


def test_a_bar_opens_the_calls_behind_it_and_back_returns(usage_page: Page) -> None:
    asked = usage_page.url
    drawn = usage_page.locator(BAR).nth(YESTERDAY)
    drawn.scroll_into_view_if_needed()
    bar = drawn.bounding_box()
    assert bar is not None
    middle = bar["x"] + bar["width"] / 2, bar["y"] + bar["height"] / 2
    usage_page.mouse.move(*middle)
    expect(usage_page.locator(".hoverlayer")).to_contain_text("$2.50")
    usage_page.mouse.click(*middle)
    expect(usage_page).to_have_url(re.compile(r"usage/events/\?model=lab%2Fsmall&from=.+&to=.+Z$"))
    expect(usage_page.locator("tbody tr")).to_have_count(1)
    usage_page.go_back()
    expect(usage_page).to_have_url(asked)


def test_other_of_two_groups_opens_the_calls_behind_it(usage_page: Page, apollo: Project) -> None:
    yesterday = timezone.now() - dt.timedelta(days=1)
    for number in range(10):
        model, route = f"lab/m{number // 2}", f"debugging/r{number % 2}"
        cost = 9_000_000 if number < 7 else 3_000_000
        report(
            apollo,
            f"call-{number}",
            model=model,
            route=route,
            cost_micro_usd=cost,
            occurred_at=yesterday,
        )
    settle()
    usage_page.goto(usage_page.url + "?group=model&then=route")
    usage_page.wait_for_selector(BAR, state="attached")
    # Seven days of each series, of which Other is the last.
    other = usage_page.locator(BAR).nth(8 * 7 + YESTERDAY)
    other.scroll_into_view_if_needed()
    bar = other.bounding_box()
    assert bar is not None
    usage_page.mouse.click(bar["x"] + bar["width"] / 2, bar["y"] + bar["height"] / 2)
    expect(usage_page).to_have_url(re.compile(r"usage/events/\?not_both=.+&from=.+&to=.+Z$"))
    rows = usage_page.locator("tbody tr")
    expect(rows).to_have_count(3)
    expect(
        usage_page.get_by_role("link", name=re.compile(r"^Model and route: not "))
    ).to_have_count(8)
    usage_page.get_by_role("link", name="not lab/m0 with Debugging / R0").click()
    expect(rows).to_have_count(4)


@pytest.mark.parametrize(
    ("cost_micro_usd", "top"),
    [(3, "$0.000003"), (800, "$0.0008"), (2_000_000, "$2"), (30_000_000_000, "$30,000")],
)
def test_the_axis_has_plain_dollars(
    page: Page,
    live_server: Any,
    apollo: Project,
    bob: User,
    cost_micro_usd: int,
    top: str,
) -> None:
    report(apollo, "a", cost_micro_usd=cost_micro_usd, session_id="s")
    settle()
    sign_in(page, live_server, bob)
    for address in ("usage/", "sessions/?session=s"):
        page.goto(f"{live_server.url}/projects/apollo/{address}")
        page.wait_for_selector(BAR, state="attached")
        ticks = page.locator(".chart__plot .ytick text").all_text_contents()
        assert ticks[-1] == top, ticks


def test_the_address_holds_what_was_chosen(usage_page: Page) -> None:
    measure, by = usage_page.get_by_label("Measure"), usage_page.get_by_label("By", exact=True)
    measure.select_option("Requests")
    expect(usage_page).to_have_url(re.compile(r"metric=requests"))
    expect(measure).to_be_focused()
    by.select_option("Route")
    expect(usage_page).to_have_url(re.compile(r"metric=requests&group=route&bucket=day$"))
    usage_page.get_by_label("Cumulative").check()
    expect(usage_page).to_have_url(re.compile(r"cumulative=true"))
    # A rate cannot be added up, so choosing one takes that back.
    measure.select_option("Error rate")
    expect(usage_page).to_have_url(re.compile(r"metric=error_rate"))
    expect(usage_page.get_by_role("alert")).to_have_count(0)
    usage_page.go_back()
    expect(measure).to_have_value("requests")
    expect(usage_page.get_by_label("Cumulative")).to_be_checked()
    usage_page.go_back()
    expect(usage_page.get_by_label("Cumulative")).not_to_be_checked()
    expect(by).to_have_value("route")
    usage_page.go_back()
    expect(by).to_have_value("model")
    # What was gone back to can be asked anew.
    by.select_option("Status")
    expect(usage_page).to_have_url(re.compile(r"metric=requests&group=status"))


def test_what_cannot_be_together_is_taken_back_and_the_last_choice_holds(usage_page: Page) -> None:
    measure, by = usage_page.get_by_label("Measure"), usage_page.get_by_label("By", exact=True)
    then = usage_page.get_by_label("Then by")
    by.select_option("Status")
    expect(usage_page).to_have_url(re.compile(r"group=status"))
    measure.select_option("Decisions")
    expect(usage_page).to_have_url(re.compile(r"metric=decisions&bucket=day$"))
    expect(by.get_by_role("option", name="Status (of calls only)")).to_be_disabled()
    then.select_option("Route")
    expect(usage_page).to_have_url(re.compile(r"then=route"))
    by.select_option("Route")
    expect(usage_page).to_have_url(re.compile(r"metric=decisions&group=route&bucket=day$"))
    compare = usage_page.get_by_label("Compare with previous")
    compare.press("Space")
    expect(usage_page).to_have_url(re.compile(r"compare=previous$"))
    expect(compare).to_be_focused()
    expect(usage_page.get_by_role("alert")).to_have_count(0)


def test_without_a_mouse_every_point_can_be_opened_from_its_figure(usage_page: Page) -> None:
    usage_page.get_by_text("The chart’s figures, day by day").press("Enter")
    figures = usage_page.get_by_role("region", name="Figures of the chart")
    link = figures.get_by_role("link").first
    address = link.get_attribute("href")
    link.press("Enter")
    expect(usage_page).to_have_url(re.compile(r"usage/events/\?model=lab%2Fsmall&from=.+&to=.+Z$"))
    assert usage_page.url.endswith(address or "?")
    expect(usage_page.locator("tbody tr")).to_have_count(1)


def test_rows_add_filters_and_chips_remove_them(usage_page: Page) -> None:
    usage_page.get_by_role("link", name="without lab/small").click()
    expect(usage_page.get_by_text("Nothing matches these filters")).to_be_visible()
    usage_page.get_by_role("link", name="Model: not lab/small").click()
    expect(usage_page.get_by_role("region", name="Totals").locator("tbody tr")).to_have_count(1)
    usage_page.get_by_text("Custom…").click()
    usage_page.get_by_label("From").fill("2026-03-02")
    usage_page.get_by_label("To, inclusive").fill("2026-03-03")
    usage_page.get_by_role("button", name="Show").click()
    expect(usage_page).to_have_url(re.compile(r"\?from=2026-03-02&to=2026-03-03$"))
    expect(usage_page.get_by_text("Nothing in this time")).to_be_visible()


def test_without_scripts_a_button_applies_what_was_chosen(
    browser: Browser, live_server: Any, apollo: Project, bob: User
) -> None:
    report(apollo, "a")
    settle()
    with browser.new_context(java_script_enabled=False) as context:
        page = context.new_page()
        sign_in(page, live_server, bob)
        page.goto(f"{live_server.url}/projects/apollo/usage/?model=lab/small")
        page.get_by_label("Measure").select_option("Requests")
        page.get_by_label("Compare with previous").check()
        page.get_by_role("button", name="Apply").click()
        expect(page).to_have_url(re.compile(r"model=lab%2Fsmall&metric=requests"))
        expect(page.get_by_label("Measure")).to_have_value("requests")
        expect(page.get_by_role("columnheader", name="Requests before")).to_be_visible()


def look_again(page: Page) -> None:
    """Come back to the page, which asks at once what is new."""
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")


@pytest.mark.parametrize("path", ["", "usage/"])
def test_the_page_turns_on_when_the_first_call_comes_in(
    page: Page, live_server: Any, apollo: Project, bob: User, path: str
) -> None:
    sign_in(page, live_server, bob)
    page.goto(f"{live_server.url}/projects/apollo/{path}")
    expect(page.get_by_text("into a terminal")).to_be_visible()
    page.wait_for_load_state("networkidle")
    report(apollo, "a", cost_micro_usd=2_500_000)
    settle()
    look_again(page)
    expect(page.get_by_text("Spend, estimated")).to_be_visible()
    expect(page.locator("[data-live]")).to_contain_text("1 call in the last 5 minutes")
    report(apollo, "b", model="lab/large")
    look_again(page)
    expect(page.locator("[data-live]")).to_contain_text("2 calls in the last 5 minutes, the last")
    expect(page.locator("[data-live]")).to_contain_text("of lab/large")


def test_a_first_decision_turns_the_page_on_as_well(
    page: Page, live_server: Any, apollo: Project, bob: User
) -> None:
    sign_in(page, live_server, bob)
    page.goto(f"{live_server.url}/projects/apollo/usage/")
    expect(page.get_by_text("Report a first call")).to_be_visible()
    page.wait_for_load_state("networkidle")
    decide(apollo)
    look_again(page)
    expect(page.get_by_text("Decisions were made, but no call was reported")).to_be_visible()
    page.wait_for_load_state("networkidle")
    report(apollo, "a")
    settle()
    look_again(page)
    expect(page.get_by_text("Spend, estimated")).to_be_visible()


def test_nothing_is_asked_while_nobody_looks(
    page: Page, live_server: Any, apollo: Project, bob: User
) -> None:
    report(apollo, "a")
    settle()
    sign_in(page, live_server, bob)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.clock.install()
    page.goto(f"{live_server.url}/projects/apollo/")

    def polls() -> int:
        return sum(url.endswith("live.json") for url in asked)

    expect(page.locator("[data-live]")).to_contain_text("1 call")
    before = polls()
    with page.expect_response("**/live.json"):
        page.clock.run_for(5_500)
    assert polls() == before + 1
    page.evaluate("Object.defineProperty(document, 'hidden', { value: true })")
    look_again(page)
    before = polls()
    page.clock.run_for(60_000)
    assert polls() == before


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
    [
        *("", "usage/", "usage/?then=key&compare=previous&not_model=x", "usage/?metric=error_rate"),
        *("usage/?from=2026-03-02&to=2026-03-03", "usage/events/", "sessions/"),
        "sessions/?session={session}",
        *("decisions/", "decisions/?sticky=false", "decisions/{decision}/?rerun=true"),
    ],
)
def test_every_page_fits_a_narrow_screen(
    page: Page, live_server: Any, apollo: Project, bob: User, path: str
) -> None:
    session, model = "a-long-session-name-" * 8, "provider/" + "m" * 60
    decision = decide(apollo, session_id=session, model=model)
    report(apollo, "a", decision_id=decision.public_id, session_id=session, model=model)
    settle()
    sign_in(page, live_server, bob)
    page.set_viewport_size({"width": 360, "height": 740})
    address = path.format(decision=decision.public_id, session=session)
    page.goto(f"{live_server.url}/projects/apollo/{address}")
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
