"""The page where budgets are kept, as people use it."""

import datetime as dt
import re
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.core import mail
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from kilo_site.tests.fixtures import SETUP
from routing.actions.budgets import do_create_budget, do_delete_budget
from routing.models import Budget
from teams.actions import do_add_member, do_create_key
from teams.keys import Scope
from teams.models import AuditEvent, Project, Role, Team, User
from usage.actions.alerts import TEST, do_alert, do_deliver_notices
from usage.actions.retention import do_forget_old
from usage.models import BudgetAlert, Notice
from usage.tests.traffic import report, settle

URL = "/projects/apollo/budgets/"
DOLLAR = 1_000_000
FORM = {
    "scope": "project",
    "period": "monthly",
    "limit": "200",
    "at_limit": "warn",
    "thresholds": "50, 80, 100",
    "emails": "alice@example.org",
    "webhook_url": "",
}


@pytest.fixture(autouse=True)
def at_once(settings: Settings) -> None:
    """What is due is delivered in this process."""
    settings.CELERY_TASK_ALWAYS_EAGER = True


@pytest.fixture
def owner(client: Client, alice: User, apollo: Project) -> Client:
    client.force_login(alice)
    return client


@pytest.fixture
def editor(apollo: Project) -> Client:
    person = User.objects.create_user("erin@example.org")
    do_add_member(apollo.team, person, Role.EDITOR, actor=SETUP)
    client = Client()
    client.force_login(person)
    return client


def make(apollo: Project, **fields: Any) -> Budget:
    """Give apollo a budget of $100 a month."""
    made: dict[str, Any] = {"period": "monthly", "limit_micro_usd": 100 * DOLLAR, **fields}
    return do_create_budget(apollo.team, apollo, actor=SETUP, **made)


def of_team(apollo: Project) -> Budget:
    return do_create_budget(
        apollo.team, actor=SETUP, period="monthly", limit_micro_usd=900 * DOLLAR
    )


def page_of(client: Client) -> str:
    response = client.get(URL)
    assert response.status_code == 200
    # As it is read: without what only lays it out.
    return re.sub(r"\s+", " ", response.content.decode())


def address(budget: Budget, action: str = "") -> str:
    return f"{URL}{budget.public_id}/{action}"


# Making one


def test_without_a_budget_the_page_says_what_one_is_for(owner: Client, bob: User) -> None:
    assert "No budget yet" in page_of(owner)
    assert f'href="{URL}new/"' in page_of(owner)
    owner.force_login(bob)
    assert "Owners, admins and editors of the team can add one." in page_of(owner)
    assert f'href="{URL}new/"' not in page_of(owner)


def test_a_budget_begins_with_what_is_spent_already(owner: Client, apollo: Project) -> None:
    report(apollo, "a", cost_micro_usd=62 * DOLLAR)
    settle()
    assert 'value="50, 80, 100"' in owner.get(f"{URL}new/").content.decode()
    assert "alice@example.org" in owner.get(f"{URL}new/").content.decode()
    response = owner.post(f"{URL}new/", FORM, follow=True)
    assert "The budget of the project Apollo is saved." in response.content.decode()
    page = page_of(owner)
    assert "$62.00" in page
    assert "of $200.00, 31%" in page
    assert "Within the limit" in page
    budget = Budget.objects.get()
    assert (budget.emails, budget.thresholds) == (["alice@example.org"], [50, 80, 100])
    assert budget.webhook_secret.startswith("whsec_")
    row = AuditEvent.objects.get(verb="budget.created")
    assert (row.actor, row.target) == ("alice@example.org", budget.public_id)
    assert budget.webhook_secret not in str(row.details)


def test_it_begins_anew_at_midnight_of_the_team(owner: Client, apollo: Project) -> None:
    Team.objects.update(time_zone="Asia/Tokyo")
    make(apollo, period="daily")
    today = timezone.now().astimezone(dt.timezone(dt.timedelta(hours=9))).date()
    tomorrow = today + dt.timedelta(days=1)
    expected = f"{tomorrow.day} {tomorrow:%b %Y}, 00:00"
    assert f">{expected}</time>" in page_of(owner)
    assert "Asia/Tokyo" in page_of(owner)


def test_a_budget_may_be_of_one_key_or_of_the_team(owner: Client, apollo: Project) -> None:
    key, _ = do_create_key(apollo, "CI", [Scope.ROUTE_WRITE], actor=SETUP)
    other = User.objects.create_user("other@example.org")
    report(apollo, "a", cost_micro_usd=3 * DOLLAR, key_id=key.public_id)
    report(apollo, "b", cost_micro_usd=4 * DOLLAR)
    settle()
    owner.post(f"{URL}new/", {**FORM, "scope": f"key:{key.public_id}"})
    owner.post(f"{URL}new/", {**FORM, "scope": "team"})
    page = page_of(owner)
    assert page.index("Monthly budget of the team") < page.index("Monthly budget of the key CI")
    assert re.findall(r"stat__value\">([^<]+)<", page) == ["$7.00", "$3.00"]
    assert other.email not in page


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"limit": ""}, "Enter an amount in dollars above 0"),
        ({"limit": "0"}, "Enter an amount in dollars above 0"),
        ({"limit": "-5"}, "Enter an amount in dollars above 0"),
        ({"limit": "1e30"}, "Enter an amount in dollars above 0"),
        ({"limit": "NaN"}, "Enter an amount in dollars above 0"),
        ({"thresholds": "half"}, "Enter whole percent from 1 to 1000"),
        ({"thresholds": "0"}, "Enter whole percent from 1 to 1000"),
        ({"thresholds": "1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11"}, "at most 10 thresholds"),
        ({"emails": "alice@example.org, bob"}, "bob is no e-mail address"),
        ({"emails": " ".join(f"a{n}@example.org" for n in range(11))}, "at most 10 addresses"),
        ({"webhook_url": "ftp://example.org"}, "must begin with http:// or https://"),
        ({"webhook_url": "https://me:pw@example.org"}, "must not hold a user name"),
        ({"scope": "key:key_of_nobody"}, "Choose one of the list"),
        ({"period": "yearly"}, "not one of the available choices"),
        ({"at_limit": "explode"}, "not one of the available choices"),
    ],
)
def test_what_cannot_be_is_said_at_its_field(
    owner: Client, change: dict[str, str], message: str
) -> None:
    response = owner.post(f"{URL}new/", {**FORM, **change})
    assert response.status_code == 422
    assert message in response.content.decode()
    assert not Budget.objects.exists()


def test_a_limit_that_bites_at_once_is_asked_about_first(owner: Client, apollo: Project) -> None:
    report(apollo, "a", cost_micro_usd=30 * DOLLAR)
    settle()
    form = {**FORM, "limit": "20", "at_limit": "refuse"}
    response = owner.post(f"{URL}new/", form)
    page = response.content.decode()
    assert response.status_code == 422
    assert "the limit is exceeded already" in page
    assert "$30.00 is spent since 1 " in page
    assert "Requests for a decision are refused until the period ends." in page
    assert not Budget.objects.exists()
    owner.post(f"{URL}new/", {**form, "confirm": "on"})
    assert Budget.objects.get().spent_micro_usd == 30 * DOLLAR
    assert "Limit reached: Refuse" in page_of(owner)


def test_until_when_a_limit_would_bite_is_by_the_clock_of_the_team(
    owner: Client, apollo: Project
) -> None:
    Team.objects.update(time_zone="America/New_York")
    report(apollo, "a", cost_micro_usd=30 * DOLLAR)
    settle()
    form = {**FORM, "limit": "20", "at_limit": "refuse", "period": "daily"}
    page = owner.post(f"{URL}new/", form).content.decode()
    tomorrow = timezone.now().astimezone(ZoneInfo("America/New_York")) + dt.timedelta(days=1)
    assert f"until {tomorrow.day} {tomorrow:%b %Y}, 00:00 (America/New_York)" in page


def test_a_limit_that_only_warns_is_not_asked_about(owner: Client, apollo: Project) -> None:
    report(apollo, "a", cost_micro_usd=30 * DOLLAR)
    settle()
    assert owner.post(f"{URL}new/", {**FORM, "limit": "20"}).status_code == 302


# Changing and deleting


def test_a_budget_is_changed_but_not_what_it_counts(owner: Client, apollo: Project) -> None:
    budget = make(apollo, webhook_url="https://hooks.example.org/a")
    page = owner.get(address(budget)).content.decode()
    assert 'value="100"' in page
    assert budget.webhook_secret in page
    assert 'name="scope"' not in page
    form = {**FORM, "period": "daily", "scope": "team", "limit": "250.50", "thresholds": "90%"}
    owner.post(address(budget), form)
    budget.refresh_from_db()
    assert (budget.limit_micro_usd, budget.thresholds) == (250_500_000, [90])
    assert (budget.period, budget.project) == ("monthly", apollo)
    assert AuditEvent.objects.filter(verb="budget.changed").count() == 1


def test_lowering_the_limit_below_the_spend_is_asked_about(owner: Client, apollo: Project) -> None:
    report(apollo, "a", cost_micro_usd=30 * DOLLAR)
    settle()
    budget = make(apollo)
    form = {**FORM, "limit": "20", "at_limit": "cheapest"}
    assert owner.post(address(budget), form).status_code == 422
    budget.refresh_from_db()
    assert budget.limit_micro_usd == 100 * DOLLAR
    assert owner.post(address(budget), {**form, "confirm": "on"}).status_code == 302


def test_deleting_asks_first_and_can_be_undone(owner: Client, apollo: Project) -> None:
    budget = make(apollo, emails=["alice@example.org"])
    do_alert(budget, timezone.now().date().replace(day=1), 60 * DOLLAR)
    page = owner.get(address(budget, "delete/")).content.decode()
    assert "Delete the monthly budget of the project Apollo?" in page
    assert Budget.objects.exists()
    page = owner.post(address(budget, "delete/"), follow=True).content.decode()
    assert "The budget of the project Apollo is deleted." in page
    assert not Budget.objects.exists()
    page = owner.post(address(budget, "restore/"), follow=True).content.decode()
    assert "The budget of the project Apollo is back." in page
    back = Budget.objects.get()
    assert (back.public_id, back.webhook_secret) == (budget.public_id, budget.webhook_secret)
    assert do_alert(back, timezone.now().date().replace(day=1), 60 * DOLLAR) == []
    page = owner.post(address(budget, "restore/"), follow=True).content.decode()
    assert "There is nothing to bring back any more." in page
    assert [
        row.verb for row in AuditEvent.objects.filter(verb__startswith="budget.").order_by("pk")
    ] == ["budget.created", "budget.deleted", "budget.restored"]


def test_thresholds_passed_at_once_point_to_the_one_that_was_told(
    owner: Client, apollo: Project
) -> None:
    do_alert(make(apollo, emails=["alice@example.org"]), dt.date(2026, 11, 1), 90 * DOLLAR)
    page = page_of(owner)
    assert "told with 80%" in page
    assert page.count("On its way") == 1
    budget = Budget.objects.get()
    budget.thresholds = [70]
    do_alert(budget, dt.date(2026, 11, 1), 91 * DOLLAR)
    assert page_of(owner).count("told with 80%") == 2
    do_alert(make(apollo), dt.date(2026, 11, 1), 60 * DOLLAR)
    assert "nobody to tell" in page_of(owner)


def test_any_budget_that_was_deleted_within_30_days_can_be_brought_back(
    owner: Client, apollo: Project
) -> None:
    budgets = [make(apollo, limit_micro_usd=number * DOLLAR) for number in (7, 8, 9)]
    for budget in budgets:
        owner.post(address(budget, "delete/"))
    elsewhere = Client()
    elsewhere.force_login(User.objects.get(email="alice@example.org"))
    page = page_of(elsewhere)
    assert page.count("Bring it back") == 3
    assert page.index("$9.00") < page.index("$8.00") < page.index("$7.00")
    deleted_days_ago(budgets[0], 29)
    deleted_days_ago(budgets[1], 30)
    assert page_of(owner).count("Bring it back") == 2
    for budget in budgets:
        owner.post(address(budget, "restore/"))
    assert [*Budget.objects.all()] == [budgets[0], budgets[2]]


def deleted_days_ago(budget: Budget, days: int) -> None:
    at = timezone.now() - dt.timedelta(days=days)
    Budget.with_deleted.filter(pk=budget.pk).update(deleted_at=at)


def test_what_cannot_be_brought_back_any_more_is_removed(owner: Client, apollo: Project) -> None:
    new, old, kept = make(apollo), make(apollo), make(apollo)
    for budget, days in ((new, 29), (old, 31)):
        owner.post(address(budget, "delete/"))
        deleted_days_ago(budget, days)
    do_forget_old(400)
    assert {*Budget.with_deleted.all()} == {new, kept}


def test_a_budget_that_is_back_knows_what_was_spent_meanwhile(
    owner: Client, apollo: Project
) -> None:
    budget = make(apollo, emails=["alice@example.org"])
    do_alert(budget, dt.date(2026, 11, 1), 60 * DOLLAR)
    owner.post(address(budget, "delete/"))
    report(apollo, "meanwhile", cost_micro_usd=70 * DOLLAR)
    settle()
    owner.post(address(budget, "restore/"))
    page = page_of(owner)
    assert "$70.00" in page
    assert "of $100.00, 70%" in page
    # What it would have told before it was deleted comes too late.
    assert "The budget was deleted before it could be sent." in page
    do_deliver_notices(timezone.now())
    assert not mail.outbox


def test_why_a_notice_was_given_up_is_still_told_when_its_budget_is_back(
    owner: Client, apollo: Project
) -> None:
    budget = make(apollo, emails=["alice@example.org"])
    do_alert(budget, dt.date(2026, 11, 1), 60 * DOLLAR)
    Notice.objects.update(next_at=None, last_error="The mail server hung up.")
    owner.post(address(budget, "delete/"))
    page = owner.post(address(budget, "restore/"), follow=True).content.decode()
    assert "The mail server hung up." in page
    assert "before it could be sent" not in page


def test_a_team_with_as_many_budgets_as_it_may_have_brings_none_back(
    owner: Client, apollo: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    budget = make(apollo)
    owner.post(address(budget, "delete/"))
    make(apollo)
    monkeypatch.setattr("routing.actions.budgets.MAX_BUDGETS", 1)
    page = owner.post(address(budget, "restore/"), follow=True).content.decode()
    assert "A team has at most 1 budgets. Delete one first." in page
    assert Budget.objects.count() == 1


def test_a_budget_of_others_is_not_brought_back(
    owner: Client, editor: Client, apollo: Project, borealis: Project
) -> None:
    theirs = do_create_budget(
        borealis.team, borealis, actor=SETUP, period="daily", limit_micro_usd=DOLLAR
    )
    team_s = of_team(apollo)
    for budget in (theirs, team_s):
        do_delete_budget(budget, actor=SETUP)
    assert page_of(owner).count("Bring it back") == 1
    assert "Bring it back" not in page_of(editor)
    assert editor.post(address(team_s, "restore/")).status_code == 403
    owner.post(address(theirs, "restore/"))
    assert not Budget.objects.exists()
    owner.post(address(team_s, "restore/"))
    assert Budget.objects.get() == team_s


def test_the_page_asks_as_little_for_many_budgets_as_for_one(
    owner: Client, apollo: Project, django_assert_max_num_queries: Any
) -> None:
    for number in range(12):
        budget = make(apollo, emails=["alice@example.org"])
        for day in range(1, 10):
            do_alert(budget, dt.date(2026, 11, day), (60 + number) * DOLLAR)
    with django_assert_max_num_queries(14):
        assert page_of(owner).count("alerts__item") == 12 * 6


def test_who_lost_the_right_cannot_bring_a_budget_back(
    editor: Client, apollo: Project, owner: Client
) -> None:
    budget = make(apollo)
    editor.post(address(budget, "delete/"))
    person = User.objects.get(email="erin@example.org")
    do_add_member(apollo.team, person, Role.VIEWER, actor=SETUP)
    assert "Bring it back" not in page_of(editor)
    assert editor.post(address(budget, "restore/")).status_code == 403
    assert not Budget.objects.exists()


def test_the_secret_is_renewed_after_asking(owner: Client, apollo: Project) -> None:
    budget = make(apollo, webhook_url="https://hooks.example.org/a")
    owner.get(address(budget, "renew-secret/"))
    assert Budget.objects.get().webhook_secret == budget.webhook_secret
    page = owner.post(address(budget, "renew-secret/"), follow=True).content.decode()
    renewed = Budget.objects.get().webhook_secret
    assert renewed != budget.webhook_secret
    assert renewed in page
    assert renewed not in str(AuditEvent.objects.values_list("details", flat=True))


# Alerts


def test_the_page_says_what_became_of_each_alert(owner: Client, apollo: Project) -> None:
    budget = make(apollo, emails=["alice@example.org"])
    do_alert(budget, dt.date(2026, 11, 1), 60 * DOLLAR)
    assert "On its way" in page_of(owner)
    do_deliver_notices(timezone.now())
    assert "Delivered" in page_of(owner)
    Notice.objects.update(
        delivered_at=None, next_at=timezone.now(), last_error="The mail server hung up."
    )
    page = page_of(owner)
    assert "Next try " in page
    assert "The mail server hung up." in page
    Notice.objects.update(next_at=None)
    page = page_of(owner)
    assert "Did not arrive" in page
    notice = re.search(r'name="notice" value="(\d+)"', page)
    assert notice
    response = owner.post(address(budget, "send-again/"), {"notice": notice[1]}, follow=True)
    assert "Delivered" in response.content.decode()
    assert len(mail.outbox) == 2


@pytest.mark.parametrize("notice", ["", "x", "999999999", "9" * 40])
def test_a_notice_that_is_not_there_cannot_be_sent_again(
    owner: Client, apollo: Project, notice: str
) -> None:
    response = owner.post(address(make(apollo), "send-again/"), {"notice": notice})
    assert response.status_code == 404


def test_a_test_is_sent_and_its_result_shown(owner: Client, apollo: Project) -> None:
    budget = make(apollo, emails=["alice@example.org"])
    page = owner.post(address(budget, "test/"), follow=True).content.decode()
    assert mail.outbox[0].subject.startswith("A test of the monthly budget")
    assert "Delivered" in page


def test_a_budget_is_tested_at_most_every_30_seconds(owner: Client, apollo: Project) -> None:
    budget, other = (make(apollo, emails=["alice@example.org"]) for _ in range(2))
    owner.post(address(budget, "test/"))
    page = owner.post(address(budget, "test/"), follow=True).content.decode()
    assert re.search(r"less than 30 seconds ago\. Send the next one in ([12]\d|30) seconds\.", page)
    assert len(mail.outbox) == 1
    owner.post(address(other, "test/"))
    assert len(mail.outbox) == 2
    tests = BudgetAlert.objects.filter(threshold=TEST, budget=budget)
    tests.update(created_at=timezone.now() - dt.timedelta(seconds=29.5))
    page = owner.post(address(budget, "test/"), follow=True).content.decode()
    assert "Send the next one in 1 second." in page
    tests.update(created_at=timezone.now() - dt.timedelta(seconds=30))
    owner.post(address(budget, "test/"))
    assert len(mail.outbox) == 3


def test_a_test_of_a_budget_that_tells_nobody_says_so(owner: Client, apollo: Project) -> None:
    page = owner.post(address(make(apollo), "test/"), follow=True).content.decode()
    assert "The budget tells nobody." in page
    assert not BudgetAlert.objects.exists()


def test_without_a_mail_server_the_page_says_so(
    owner: Client, apollo: Project, settings: Settings
) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.console.EmailBackend"
    assert "This site has no mail server" not in page_of(owner)
    budget = make(apollo, emails=["alice@example.org"])
    assert "This site has no mail server" in page_of(owner)
    do_alert(budget, dt.date(2026, 11, 1), 60 * DOLLAR)
    do_deliver_notices(timezone.now())
    assert "In the log only" in page_of(owner)


# Who may


def test_a_viewer_sees_but_cannot_change(client: Client, bob: User, apollo: Project) -> None:
    budget = make(apollo, webhook_url="https://hooks.example.org/T0/secret-path")
    do_alert(budget, dt.date(2026, 11, 1), 60 * DOLLAR)
    client.force_login(bob)
    page = page_of(client)
    assert "hooks.example.org" in page
    assert "secret-path" not in page
    assert "Edit" not in page
    assert budget.webhook_secret not in page
    assert client.get(address(budget)).status_code == 403
    for action in ("", "delete/", "renew-secret/", "test/", "send-again/"):
        assert client.post(address(budget, action), FORM).status_code == 403


def test_an_editor_changes_the_projects_budgets_and_not_the_teams(
    editor: Client, apollo: Project
) -> None:
    own, teams = make(apollo), of_team(apollo)
    page = page_of(editor)
    assert address(own) in page
    assert address(teams) not in page
    for action in ("", "delete/", "renew-secret/", "test/", "send-again/"):
        assert editor.post(address(teams, action), FORM).status_code == 403
    assert editor.post(f"{URL}new/", {**FORM, "scope": "team"}).status_code == 422
    assert Budget.objects.count() == 2


def test_a_budget_of_a_sister_project_is_not_shown(owner: Client, apollo: Project) -> None:
    sister = Project.objects.create(team=apollo.team, name="Sister", slug="sister")
    budget = do_create_budget(
        apollo.team, sister, actor=SETUP, period="daily", limit_micro_usd=DOLLAR
    )
    assert "No budget yet" in page_of(owner)
    assert owner.get(address(budget)).status_code == 404
