"""Alerts of budgets: what is told to whom, once, and again until it arrives."""

import datetime as dt
import hashlib
import hmac
import json
import re
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any, cast

import pytest
from django.conf import settings as site
from django.core import mail
from django.db import connection
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from kilo_site.tests.fixtures import SETUP
from routing.actions.budgets import (
    AT_LIMIT_MEANS,
    do_change_budget,
    do_create_budget,
    do_delete_budget,
)
from routing.models import Budget
from teams.models import Project, Team
from usage import posting
from usage.actions import alerts
from usage.actions.alerts import (
    MAX_ATTEMPTS,
    NO_MAIL_SERVER,
    TEST_PAUSE,
    do_alert,
    do_check_alerts,
    do_deliver_notices,
    do_send_again,
    do_send_test,
    take_up,
)
from usage.budget_messages import webhook_body
from usage.models import BudgetAlert, Notice
from usage.tasks import deliver_notices, reconcile_budgets
from usage.tests.traffic import catalogue, settle

pytestmark = pytest.mark.django_db
NOVEMBER = dt.date(2026, 11, 1)
DOLLAR = 1_000_000


class Receiver(BaseHTTPRequestHandler):
    """Answers with the next of the server's `answers`, and keeps what came."""

    def do_POST(self) -> None:
        server = cast(Any, self.server)
        length = int(self.headers["Content-Length"])
        server.came.append((dict(self.headers), self.rfile.read(length)))
        status = server.answers.pop(0) if server.answers else 200
        self.send_response(status)
        if status == 302:
            self.send_header("Location", "/elsewhere")
        self.end_headers()

    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture
def receiver() -> Iterator[Any]:
    """A server on this machine that takes webhooks."""
    server: Any = HTTPServer(("127.0.0.1", 0), Receiver)
    server.came, server.answers = [], []
    server.url = f"http://127.0.0.1:{server.server_port}/hooks?team=a"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(autouse=True)
def own_network(settings: Settings) -> None:
    """Webhooks may go to this machine, in either mode, and only tests deliver."""
    settings.WEBHOOK_PRIVATE_ADDRESSES = True
    settings.CELERY_TASK_ALWAYS_EAGER = False


def make_budget(apollo: Project, **fields: Any) -> Budget:
    """Give apollo a budget of $100 a month."""
    made: dict[str, Any] = {
        "period": "monthly",
        "limit_micro_usd": 100 * DOLLAR,
        "emails": ["alice@example.org"],
    }
    return do_create_budget(apollo.team, apollo, actor=SETUP, **{**made, **fields})


def minutes_after(start: dt.datetime, minutes: float) -> dt.datetime:
    return start + dt.timedelta(minutes=minutes)


# What is told


def test_a_threshold_that_is_passed_is_told_once(apollo: Project) -> None:
    budget = make_budget(apollo)
    assert do_alert(budget, NOVEMBER, 49 * DOLLAR) == []
    (alert,) = do_alert(budget, NOVEMBER, 50 * DOLLAR)
    assert (alert.threshold, alert.spent_micro_usd) == (50, 50 * DOLLAR)
    assert do_alert(budget, NOVEMBER, 79 * DOLLAR) == []
    assert [one.threshold for one in do_alert(budget, NOVEMBER, 80 * DOLLAR)] == [80]


def test_a_jump_over_several_thresholds_is_one_mail(apollo: Project) -> None:
    budget = make_budget(apollo)
    assert [one.threshold for one in do_alert(budget, NOVEMBER, 104 * DOLLAR)] == [50, 80, 100]
    assert do_deliver_notices(timezone.now()) == 1
    (sent,) = mail.outbox
    assert sent.to == ["alice@example.org"]
    assert sent.subject == "100% of the monthly budget of the project Apollo is spent"
    assert "$104.00 of $100.00 is spent: 104%" in sent.body
    assert "It begins anew on 1 Dec 2026, 00:00 (UTC)." in sent.body
    assert "/projects/apollo/budgets/" in sent.body


def test_a_mail_tells_the_time_of_the_team_and_no_more_than_was_spent(apollo: Project) -> None:
    Team.objects.update(time_zone="America/New_York")
    do_alert(make_budget(apollo), NOVEMBER, 99_600_000)
    do_deliver_notices(timezone.now())
    (sent,) = mail.outbox
    assert "It begins anew on 1 Dec 2026, 00:00 (America/New_York)." in sent.body
    assert "$99.60 of $100.00 is spent: 99%" in sent.body
    assert "Once the limit is reached" in sent.body


def test_raising_the_limit_does_not_repeat_what_was_told(apollo: Project) -> None:
    budget = make_budget(apollo)
    do_alert(budget, NOVEMBER, 85 * DOLLAR)
    do_change_budget(budget, actor=SETUP, limit_micro_usd=160 * DOLLAR)
    assert do_alert(budget, NOVEMBER, 130 * DOLLAR) == []
    assert [one.threshold for one in do_alert(budget, NOVEMBER, 160 * DOLLAR)] == [100]


def test_a_lower_threshold_that_is_added_is_no_news(apollo: Project) -> None:
    budget = make_budget(apollo)
    do_alert(budget, NOVEMBER, 105 * DOLLAR)
    do_deliver_notices(timezone.now())
    do_change_budget(budget, actor=SETUP, thresholds=[50, 80, 90, 100])
    assert [one.threshold for one in do_alert(budget, NOVEMBER, 106 * DOLLAR)] == [90]
    assert do_deliver_notices(timezone.now()) == 0
    # Of a higher limit it is.
    do_change_budget(budget, actor=SETUP, limit_micro_usd=200 * DOLLAR, thresholds=[60, 95])
    do_alert(budget, NOVEMBER, 130 * DOLLAR)
    assert do_deliver_notices(timezone.now()) == 1
    assert [one.subject[:3] for one in mail.outbox] == ["100", "60%"]


def test_a_new_period_is_told_anew(apollo: Project) -> None:
    budget = make_budget(apollo)
    do_alert(budget, NOVEMBER, 60 * DOLLAR)
    assert len(do_alert(budget, dt.date(2026, 12, 1), 60 * DOLLAR)) == 1


def test_a_check_goes_by_what_the_budgets_were_last_known_to_have_spent(
    apollo: Project, borealis: Project
) -> None:
    over, under, unknown = (make_budget(apollo) for _ in range(3))
    Budget.objects.filter(pk=over.pk).update(spent_micro_usd=120 * DOLLAR, spent_in=NOVEMBER)
    Budget.objects.filter(pk=under.pk).update(spent_micro_usd=10 * DOLLAR, spent_in=NOVEMBER)
    Budget.objects.filter(pk=unknown.pk).update(spent_micro_usd=120 * DOLLAR)
    assert do_check_alerts() == 3
    assert do_check_alerts() == 0
    assert set(BudgetAlert.objects.values_list("budget", flat=True)) == {over.pk}


def test_embedded_a_check_delivers_too(apollo: Project, settings: Settings) -> None:
    settings.CELERY_TASK_ALWAYS_EAGER = True
    budget = make_budget(apollo)
    Budget.objects.filter(pk=budget.pk).update(spent_micro_usd=55 * DOLLAR, spent_in=NOVEMBER)
    do_check_alerts()
    assert len(mail.outbox) == 1


def test_reported_usage_leads_to_an_alert(apollo: Project, apollo_key: str) -> None:
    catalogue()
    make_budget(apollo)
    event = {"event_id": "a", "model": "lab/small", "input_tokens": 85_000_000}
    response = Client().post(
        "/api/v1/usage",
        {"events": [event]},
        content_type="application/json",
        headers={"Authorization": f"Bearer {apollo_key}"},
    )
    assert response.status_code == 200
    settle()
    reconcile_budgets()
    deliver_notices()
    (sent,) = mail.outbox
    assert "$85.00 of $100.00 is spent: 85%" in sent.body


@pytest.mark.production
@pytest.mark.django_db(transaction=True)
def test_workers_that_check_at_once_tell_it_once(apollo: Project) -> None:
    budget = make_budget(apollo)

    def check(_: int) -> int:
        try:
            return len(do_alert(budget, NOVEMBER, 120 * DOLLAR))
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(check, range(8))) == 3
    assert Notice.objects.count() == 1


@pytest.mark.production
@pytest.mark.django_db(transaction=True)
def test_workers_that_deliver_at_once_send_it_once(apollo: Project, receiver: Any) -> None:
    do_alert(make_budget(apollo, emails=[], webhook_url=receiver.url), NOVEMBER, 60 * DOLLAR)
    now = timezone.now()

    def deliver_all(_: int) -> int:
        try:
            return do_deliver_notices(now)
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(deliver_all, range(4))) == 1
    assert len(receiver.came) == 1


def test_without_a_mail_server_the_mail_is_in_the_log_and_it_is_said(
    apollo: Project, settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.console.EmailBackend"
    do_alert(make_budget(apollo), NOVEMBER, 60 * DOLLAR)
    do_deliver_notices(timezone.now())
    assert "Subject: 50% of the monthly budget" in capsys.readouterr().out
    assert Notice.objects.get().last_error == NO_MAIL_SERVER


def test_a_mail_server_that_is_away_is_tried_again(apollo: Project, settings: Settings) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 1
    do_alert(make_budget(apollo), NOVEMBER, 60 * DOLLAR)
    now = timezone.now()
    assert do_deliver_notices(now) == 0
    notice = Notice.objects.get()
    assert notice.last_error.startswith("The mail server did not take it: ")
    assert notice.next_at == minutes_after(now, 1)


# Webhooks


def test_a_webhook_is_signed_and_says_what_happened(apollo: Project, receiver: Any) -> None:
    budget = make_budget(apollo, emails=[], webhook_url=receiver.url)
    do_alert(budget, NOVEMBER, 85 * DOLLAR)
    assert do_deliver_notices(timezone.now()) == 1
    ((headers, body),) = receiver.came
    time, code = re.fullmatch(r"t=(\d+),v1=(\w+)", headers["X-Kilo-Signature"]).groups()  # type: ignore[union-attr]
    key = budget.webhook_secret.encode()
    assert code == hmac.new(key, f"{time}.".encode() + body, hashlib.sha256).hexdigest()
    content = json.loads(body)
    assert headers["X-Kilo-Id"] == content["id"] == f"{budget.public_id}-2026-11-01-80"
    assert (content["type"], content["threshold_percent"]) == ("budget.threshold_passed", 80)
    assert content["spent_micro_usd"] == 85 * DOLLAR
    assert content["resets_at"] == "2026-12-01T00:00:00Z"
    assert content["budget"]["id"] == budget.public_id
    assert budget.webhook_secret not in body.decode()


def test_the_document_verifies_a_signature_as_it_is_made(apollo: Project, receiver: Any) -> None:
    text = (Path(site.BASE_DIR) / "docs/budgets.md").read_text(encoding="utf-8")
    (sample,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    names: dict[str, Any] = {}
    exec(sample, names)  # noqa: S102
    is_genuine = names["is_genuine"]
    budget = make_budget(apollo, emails=[], webhook_url=receiver.url)
    do_alert(budget, NOVEMBER, 85 * DOLLAR)
    do_deliver_notices(timezone.now())
    ((headers, body),) = receiver.came
    header, secret = headers["X-Kilo-Signature"], budget.webhook_secret
    assert is_genuine(secret, header, body)
    assert not is_genuine(secret, header, body + b" ")
    assert not is_genuine("whsec_other", header, body)
    late = header.replace(header[2:12], str(int(header[2:12]) - 3600))
    assert not is_genuine(secret, late, body)
    assert not is_genuine(secret, "", body)


def test_the_document_says_what_happens_at_the_limit() -> None:
    text = (Path(site.BASE_DIR) / "docs/budgets.md").read_text(encoding="utf-8")
    for action, meaning in AT_LIMIT_MEANS.items():
        assert f"| `{action}` | {meaning} |" in text
    assert f"{MAX_ATTEMPTS} times over 17 hours" in text


def test_a_receiver_that_fails_twice_gets_it_the_third_time(apollo: Project, receiver: Any) -> None:
    receiver.answers = [500, 500]
    do_alert(make_budget(apollo, emails=[], webhook_url=receiver.url), NOVEMBER, 60 * DOLLAR)
    now = timezone.now()
    assert do_deliver_notices(now) == 0
    notice = Notice.objects.get()
    assert (notice.next_at, notice.last_error) == (
        minutes_after(now, 1),
        "The receiver answered 500.",
    )
    assert do_deliver_notices(minutes_after(now, 0.9)) == 0
    assert len(receiver.came) == 1
    assert do_deliver_notices(minutes_after(now, 1)) == 0
    assert Notice.objects.get().next_at == minutes_after(now, 3)
    assert do_deliver_notices(minutes_after(now, 3)) == 1
    notice = Notice.objects.get()
    assert notice.delivered_at is not None
    assert (notice.next_at, notice.last_error, notice.attempts) == (None, "", 3)
    assert len({headers["X-Kilo-Id"] for headers, _ in receiver.came}) == 1
    assert do_deliver_notices(minutes_after(now, 10_000)) == 0
    assert len(receiver.came) == 3


def test_a_receiver_that_never_answers_is_given_up_after_17_hours_and_can_be_asked_again(
    apollo: Project, receiver: Any
) -> None:
    receiver.answers = [503] * MAX_ATTEMPTS
    do_alert(make_budget(apollo, emails=[], webhook_url=receiver.url), NOVEMBER, 60 * DOLLAR)
    began = now = timezone.now()
    while (notice := Notice.objects.get()).next_at is not None:
        now = max(now, notice.next_at)
        do_deliver_notices(now)
    assert len(receiver.came) == MAX_ATTEMPTS
    assert 16 < (now - began).total_seconds() / 3600 < 24
    assert notice.delivered_at is None
    do_send_again(notice)
    assert do_deliver_notices(timezone.now()) == 1


def test_a_redirect_is_refused(apollo: Project, receiver: Any) -> None:
    receiver.answers = [302]
    do_alert(make_budget(apollo, emails=[], webhook_url=receiver.url), NOVEMBER, 60 * DOLLAR)
    do_deliver_notices(timezone.now())
    assert "answered 302, a redirect" in Notice.objects.get().last_error
    assert len(receiver.came) == 1


def test_the_own_network_is_refused_unless_the_operator_allows_it(
    apollo: Project, receiver: Any, settings: Settings
) -> None:
    settings.WEBHOOK_PRIVATE_ADDRESSES = False
    do_alert(make_budget(apollo, emails=[], webhook_url=receiver.url), NOVEMBER, 60 * DOLLAR)
    do_deliver_notices(timezone.now())
    assert "inside this server's own network" in Notice.objects.get().last_error
    assert receiver.came == []


def test_a_receiver_that_hangs_holds_nothing_up_for_long(
    apollo: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(posting, "SECONDS", 0.2)
    with HTTPServer(("127.0.0.1", 0), Receiver) as deaf:
        url = f"http://127.0.0.1:{deaf.server_port}/"
        do_alert(make_budget(apollo, emails=[], webhook_url=url), NOVEMBER, 60 * DOLLAR)
        do_deliver_notices(timezone.now())
    assert "gave no answer" in Notice.objects.get().last_error


def test_a_notice_whose_sender_was_killed_is_sent_again(apollo: Project, receiver: Any) -> None:
    do_alert(make_budget(apollo, emails=[], webhook_url=receiver.url), NOVEMBER, 60 * DOLLAR)
    now = timezone.now()
    assert take_up(Notice.objects.get(), now)
    assert do_deliver_notices(now) == 0
    assert do_deliver_notices(minutes_after(now, 1)) == 1
    assert len(receiver.came) == 1


def test_a_notice_that_cannot_even_be_written_does_not_hold_up_the_others(
    apollo: Project, receiver: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(2):
        do_alert(make_budget(apollo, emails=[], webhook_url=receiver.url), NOVEMBER, 60 * DOLLAR)
    calls = iter([True, False])

    def broken_once(alert: BudgetAlert) -> dict[str, Any]:
        if next(calls):
            raise KeyError("missing")
        return webhook_body(alert)

    monkeypatch.setattr(alerts, "webhook_body", broken_once)
    assert do_deliver_notices(timezone.now()) == 1
    failed = Notice.objects.get(delivered_at=None)
    assert failed.last_error == "Unexpected KeyError: 'missing'. The log has more."


def test_a_budget_deleted_meanwhile_takes_its_notices_along(apollo: Project) -> None:
    budget = make_budget(apollo)
    do_alert(budget, NOVEMBER, 60 * DOLLAR)
    do_delete_budget(budget, actor=SETUP)
    assert do_deliver_notices(timezone.now()) == 0


# Tests


def test_a_test_reaches_everyone_and_is_not_repeated(apollo: Project, receiver: Any) -> None:
    receiver.answers = [500]
    budget = make_budget(apollo, webhook_url=receiver.url)
    do_send_test(budget, NOVEMBER, 3 * DOLLAR)
    assert do_deliver_notices(timezone.now()) == 1
    assert mail.outbox[0].subject == "A test of the monthly budget of the project Apollo"
    assert "This is a test" in mail.outbox[0].body
    assert json.loads(receiver.came[0][1])["type"] == "budget.test"
    assert Notice.objects.get(channel="webhook").next_at is None
    BudgetAlert.objects.update(created_at=timezone.now() - TEST_PAUSE)
    do_send_test(budget, NOVEMBER, 3 * DOLLAR)
    assert do_deliver_notices(timezone.now()) == 2
    assert [one.threshold for one in do_alert(budget, NOVEMBER, 60 * DOLLAR)] == [50]
