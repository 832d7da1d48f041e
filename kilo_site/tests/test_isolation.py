"""The isolation contract: nobody sees or changes what is another team's, at any URL.

The table of URLs and the checker are in `access_contract`.
"""

from typing import Any

import pytest
from django.utils import timezone
from pytest_django import Settings

from kilo_site.tests import access_contract
from kilo_site.tests.access_contract import (
    MARK,
    TABLE,
    Call,
    Kind,
    Open,
    Page,
    Url,
    World,
    every_url,
    owner_can,
    undeclared,
    violations,
)
from kilo_site.tests.fixtures import PASSWORD, SETUP
from leaderboard.actions.feeds import do_request_ingestion, do_save_feed
from leaderboard.models import Feed, IngestionState
from leaderboard.tests.runs import make_run, tasks
from leaderboard.tests.tables import publish_table, table_bytes
from routing.actions.budgets import do_create_budget
from routing.actions.policies import do_save_policy
from routing.queries import live
from teams.access import Permission
from teams.actions import do_add_member, do_create_key
from teams.keys import Scope
from teams.models import Project, Role, User
from usage.actions.alerts import do_alert
from usage.tests.traffic import catalogue, decide, report, settle

URLS = {url.name: url for url in every_url()}


@pytest.fixture
def world(
    apollo: Project,
    borealis: Project,
    alice: User,
    bob: User,
    charlie: User,
    borealis_key: str,
    settings: Settings,
) -> World:
    """Something marked of every kind in apollo, three roles to see it, and two published tables."""
    publish_table(table_bytes({"lab/small": (0.7, 50_000.0), "lab/large": (0.8, 900_000.0)}))
    publish_table(table_bytes({"lab/small": (0.78, 50_000.0), "lab/large": (0.8, 900_000.0)}))
    catalogue()
    apollo.team.name = f"{MARK} team"
    apollo.team.save()
    decision = decide(apollo, session_id=f"{MARK}-session", model=f"{MARK}/model")
    report(apollo, f"{MARK}-event", model=f"{MARK}/model", decision_id=decision.public_id)
    key, _ = do_create_key(apollo, f"{MARK} key", [Scope.ROUTE_WRITE], actor=SETUP)
    for owner in (apollo, apollo.team):
        do_save_policy(owner, actor=alice, based_on=None, note=f"{MARK} note")
    live.renew("the policy is saved")
    budget = do_create_budget(
        apollo.team,
        apollo,
        actor=alice,
        period="daily",
        limit_micro_usd=5_000_000,
        emails=[f"{MARK}@example.org"],
    )
    budget.key_id = f"{MARK}-key"
    budget.save()
    do_alert(budget, timezone.now().date(), 3_000_000)
    feed = Feed(name="results", format="aider", location="/nowhere/results.yml")
    do_save_feed(feed, actor=SETUP)
    ingestion, _ = do_request_ingestion(feed, actor=SETUP)
    ingestion.state = IngestionState.FAILED
    ingestion.save()
    run = make_run("lab/small", tasks(3, 1))
    run.ingestion = ingestion
    run.save()
    settle()
    members: dict[str, User] = {Role.OWNER: alice, Role.VIEWER: bob}
    members[Role.EDITOR] = User.objects.create_user("editor@example.org", PASSWORD)
    do_add_member(apollo.team, members[Role.EDITOR], Role.EDITOR, actor=SETUP)
    every = frozenset(Scope)
    used = {
        scope for kind in TABLE.values() if isinstance(kind, Call) for scope in kind.scopes.values()
    }
    kinds_of_key = (
        {every} | {frozenset({scope}) for scope in used} | {every - {scope} for scope in used}
    )
    made = {
        scopes: do_create_key(apollo, f"{MARK} scopes", scopes, actor=SETUP)[1]
        for scopes in kinds_of_key
    }
    return World(apollo, borealis, decision, key, members, charlie, borealis_key, made.__getitem__)


def test_every_url_is_declared() -> None:
    assert undeclared() == [], "declare it in kilo_site/tests/access_contract.py"


@pytest.mark.parametrize("name", sorted(TABLE))
def test_nobody_gets_further_than_declared(world: World, name: str) -> None:
    assert violations(URLS[name], TABLE[name], world) == []


@pytest.mark.parametrize("name", sorted(n for n, k in TABLE.items() if not isinstance(k, Open)))
def test_those_who_may_can_and_see_their_own(world: World, name: str) -> None:
    assert owner_can(URLS[name], TABLE[name], world) == []


# That the contract bites


@pytest.fixture
def leaky(settings: Settings) -> None:
    """A site with URLs that break the rules."""
    settings.ROOT_URLCONF = "kilo_site.tests.leaky_urls"


def test_an_undeclared_url_is_reported(leaky: None) -> None:
    names = ["no_door", "writes_first", "any_key", "to_everyone", "crashes"]
    assert undeclared() == [
        *(f"leaks:{name} is not in TABLE" for name in names),
        "nameless/<int:number>/ is not in TABLE",
        "<number> is not in ARGUMENTS",
    ]


def test_a_line_without_a_url_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(access_contract.TABLE, "gone", Open())
    assert undeclared() == ["gone is in TABLE, but is no URL"]


@pytest.mark.parametrize(
    ("name", "kind", "caught"),
    [
        ("no_door", Page(), "outsider: GET /projects/apollo/no-door/ shows what is apollo's"),
        ("no_door", Page(), "outsider: POST /projects/apollo/no-door/ is 200, not [404]"),
        (
            "writes_first",
            Page(write=Permission.EDIT_POLICY),
            "viewer: POST /projects/apollo/writes-first/ changes the database",
        ),
        (
            "any_key",
            Call({"GET": Scope.USAGE_READ}),
            "another team's key: GET /api/v1/any-key shows what is apollo's",
        ),
        (
            "any_key",
            Call({"GET": Scope.USAGE_READ}),
            "key without the scope: GET /api/v1/any-key is 200, not [403]",
        ),
        ("to_everyone", Open(), "visitor: GET /to-everyone/ shows what is apollo's"),
        ("crashes", Open(), "visitor: GET /api/v1/crashes is 500, not [200, 302]"),
    ],
)
def test_a_leak_is_caught(world: World, leaky: None, name: str, kind: Kind, caught: str) -> None:
    captures: Any = ("project",) if isinstance(kind, Page) else ()
    assert caught in violations(Url(f"leaks:{name}", captures), kind, world)


def test_a_page_that_is_broken_does_not_pass_as_guarded(world: World, leaky: None) -> None:
    url = Url("leaks:crashes")
    assert "owner: GET /api/v1/crashes is 500, not [200]" in owner_can(url, Page(), world)
