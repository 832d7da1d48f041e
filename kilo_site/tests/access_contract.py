"""Who may do what at every URL of the site: the table, and the checker that holds the site to it.

Whoever adds a URL adds its line to `TABLE`. `test_isolation` fails for a URL without one.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from django.apps import apps
from django.conf import settings
from django.db.models import Model
from django.http import HttpResponseBase, StreamingHttpResponse
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver, reverse

from leaderboard.models import PUBLIC, CurrentTable, Feed, Ingestion, RoutingTable, Run
from routing.actions.recording import do_record_decisions
from routing.models import Decision
from routing.queries.policies import in_force, team_in_force
from teams.access import GRANTED, Permission
from teams.keys import Scope
from teams.models import ApiKey, AuditEvent, Project, Team, User
from usage.models import Notice

METHODS = ("POST", "PUT", "PATCH", "DELETE", "GET", "HEAD", "OPTIONS")
SAFE = frozenset({"GET", "HEAD"})
# The rows are compared once after all of these, and after each of the others.
HARMLESS = SAFE | {"OPTIONS"}
# Part of everything that apollo's people and programs wrote. Nobody else may ever be shown it.
MARK = "apollo-secret"


@dataclass(frozen=True)
class World:
    """Apollo with something secret of every kind, and those who would like to see it."""

    apollo: Project
    borealis: Project
    decision: Decision
    key: ApiKey
    members: Mapping[str, User]
    outsider: User
    outsider_key: str
    key_with: Callable[[frozenset[Scope]], str]


@dataclass(frozen=True)
class Open:
    """Answers anyone, and shows nothing of any project to a visitor or an outsider."""

    methods: frozenset[str] = SAFE


@dataclass(frozen=True)
class Page:
    """A project's page. `form` makes a POST that changes something for who has `write`, or where
    it only `asks`, one that is answered. Without `reads` there is nothing but that POST.
    """

    read: Permission = Permission.VIEW
    write: Permission | None = None
    asks: bool = False
    reads: bool = True
    form: Callable[[World], dict[str, Any]] = lambda _: {}

    def needs(self, method: str) -> Permission:
        """Return what a member must be allowed, for the method to be looked at at all."""
        return self.write if method == "POST" and self.write else self.read

    def offers(self, method: str) -> bool:
        """Tell whether the page knows the method."""
        return self.reads if method in SAFE else method == "POST" and self.write is not None


@dataclass(frozen=True)
class Call:
    """An API call of a project, with the scope that each method asks for."""

    scopes: Mapping[str, Scope]
    body: Callable[[World], Any] = lambda _: {}
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Operators:
    """A page of those who run the site. `form` makes a POST that changes something."""

    writes: bool = False
    reads: bool = True
    form: Callable[[World], dict[str, Any]] = lambda _: {}


Kind = Open | Page | Call | Operators


def policy_form(world: World) -> dict[str, Any]:
    """Return a draft that begins at apollo's version in force."""
    return {
        "based_on": in_force(world.apollo.pk).tag,
        "mode": "best_accuracy",
        "quality_bar": "0.9",
        "evidence": "0.5",
        "confidence_threshold": "0.8",
        "balanced_models": settings.BALANCED_MODEL,
        "baseline_model": settings.BASELINE_MODEL,
    }


def team_policy_form(world: World) -> dict[str, Any]:
    """Return a draft that begins at the default of apollo's team."""
    return {**policy_form(world), "based_on": team_in_force(world.apollo.team_id).tag}


def budget_form(_: World) -> dict[str, Any]:
    """Return a budget that anyone who may make one can make."""
    return {"scope": "project", "period": "daily", "limit": "20", "at_limit": "warn"}


def feed_form(world: World) -> dict[str, Any]:
    """Return a feed that any operator may add."""
    return {"name": "one more", "format": "aider", "location": "https://example.org/feed.yml"}


def usage_body(world: World) -> Any:
    """Return an event of apollo's decision."""
    decision_id = world.decision.public_id
    event = {"event_id": "one-more", "model": "lab/small", "decision_id": decision_id}
    return {"events": [event]}


def runs_body(world: World) -> Any:
    """Return a run over a benchmark of the team's own."""
    task = {"task": "apollo-secret-task", "outcome": "passed"}
    run = {"benchmark": "ours", "model": "lab/small", "harness": "ours", "tasks": [task]}
    return {"runs": [{**run, "route": "debugging/bug_fixing"}]}


TABLE: dict[str, Kind] = {
    "home": Open(),
    "sign_in": Open(SAFE | {"POST", "PUT"}),
    "sign_out": Open(frozenset({"POST"})),
    "leaderboard": Open(),
    "model": Open(),
    "route": Open(),
    "methodology": Open(),
    "docs": Open(),
    "api_leaderboard": Open(),
    "api_leaderboard_csv": Open(),
    "api_models": Open(),
    "api_models_csv": Open(),
    "api_model": Open(),
    "api_routes": Open(),
    "api_routing_table": Open(),
    "api_routing_table_csv": Open(),
    "api_routing_tables": Open(),
    "compare_tables": Open(),
    "tables": Operators(),
    "feeds": Operators(),
    "new_feed": Operators(writes=True, form=feed_form),
    "edit_feed": Operators(writes=True, form=feed_form),
    "delete_feed": Operators(writes=True),
    "run_feed": Operators(writes=True, reads=False),
    "ingestion": Operators(),
    "ingestion_progress": Operators(),
    "ingestion_rejected_csv": Operators(),
    "withdraw_run": Operators(writes=True),
    "restore_run": Operators(reads=False),
    "make_table_current": Operators(writes=True),
    "record": Operators(),
    "set_aside_jsonl": Operators(),
    "try_set_aside_again": Operators(reads=False),
    "discard_set_aside": Operators(),
    "overview": Page(),
    "usage": Page(),
    "usage_csv": Page(),
    "project_board": Page(),
    "usage_events": Page(),
    "usage_events_csv": Page(),
    "usage_live": Page(),
    "sessions": Page(),
    "decisions": Page(),
    "decisions_csv": Page(),
    "decision": Page(),
    "policy": Page(write=Permission.EDIT_POLICY, form=policy_form),
    "policy_preview": Page(write=Permission.EDIT_POLICY, form=policy_form, asks=True),
    "compare_policies": Page(),
    "restore_policy": Page(
        Permission.EDIT_POLICY,
        Permission.EDIT_POLICY,
        form=lambda world: {"based_on": policy_form(world)["based_on"]},
    ),
    "team_policy": Page(write=Permission.EDIT_TEAM_POLICY, form=team_policy_form),
    "team_policy_preview": Page(
        write=Permission.EDIT_TEAM_POLICY, form=team_policy_form, asks=True
    ),
    "compare_team_policies": Page(),
    "restore_team_policy": Page(
        Permission.EDIT_TEAM_POLICY,
        Permission.EDIT_TEAM_POLICY,
        form=lambda world: {"based_on": team_policy_form(world)["based_on"]},
    ),
    "budgets": Page(),
    "new_budget": Page(Permission.EDIT_POLICY, Permission.EDIT_POLICY, form=budget_form),
    "edit_budget": Page(Permission.EDIT_POLICY, Permission.EDIT_POLICY, form=budget_form),
    "delete_budget": Page(Permission.EDIT_POLICY, Permission.EDIT_POLICY),
    "restore_budget": Page(Permission.EDIT_POLICY, Permission.EDIT_POLICY, reads=False, asks=True),
    "renew_budget_secret": Page(Permission.EDIT_POLICY, Permission.EDIT_POLICY),
    "test_budget": Page(Permission.EDIT_POLICY, Permission.EDIT_POLICY, reads=False),
    "send_notice_again": Page(
        Permission.EDIT_POLICY,
        Permission.EDIT_POLICY,
        reads=False,
        form=lambda _: {"notice": Notice.objects.get().pk},
    ),
    "team_settings": Page(
        write=Permission.EDIT_TEAM_POLICY, form=lambda _: {"time_zone": "Europe/Berlin"}
    ),
    "keys": Page(
        Permission.MANAGE_KEYS,
        Permission.MANAGE_KEYS,
        form=lambda _: {"name": "one more", "scopes": ["usage:read"]},
    ),
    "revoke_key": Page(Permission.MANAGE_KEYS, Permission.MANAGE_KEYS),
    "api_runs": Call({"POST": Scope.BENCHMARKS_WRITE}, body=runs_body),
    "api_route": Call(
        {"POST": Scope.ROUTE_WRITE},
        body=lambda _: {"messages": [{"role": "user", "content": "rename a to b"}]},
    ),
    "api_decisions": Call({"GET": Scope.USAGE_READ}),
    "api_decision": Call({"GET": Scope.USAGE_READ}),
    "api_outcome": Call({"POST": Scope.USAGE_WRITE}, body=lambda _: {"outcome": "failed"}),
    "api_policy": Call(
        {"GET": Scope.USAGE_READ, "PUT": Scope.POLICY_WRITE},
        body=lambda _: {"quality_bar": 0.9},
        headers={"If-Match": "*"},
    ),
    "api_budgets": Call(
        {"GET": Scope.USAGE_READ, "POST": Scope.POLICY_WRITE},
        body=lambda _: {"limit_micro_usd": 1_000_000},
    ),
    "api_budget": Call(
        {"GET": Scope.USAGE_READ, "PUT": Scope.POLICY_WRITE, "DELETE": Scope.POLICY_WRITE},
        body=lambda _: {"limit_micro_usd": 1_000_000},
    ),
    "api_policy_versions": Call({"GET": Scope.USAGE_READ}),
    "api_policy_preview": Call({"POST": Scope.USAGE_READ}, body=lambda _: {"quality_bar": 0.9}),
    "api_usage": Call({"GET": Scope.USAGE_READ, "POST": Scope.USAGE_WRITE}, body=usage_body),
    "api_usage_events": Call({"GET": Scope.USAGE_READ}),
    "api_usage_export": Call({"GET": Scope.USAGE_READ}),
}


def version(*, current: bool) -> str:
    """Return the current public table's version, or the other's."""
    table = CurrentTable.objects.get(scope=PUBLIC).table
    if not current:
        table = RoutingTable.objects.filter(scope=PUBLIC).exclude(pk=table.pk).get()
    return table.version


# How to fill in what a URL captures, always with apollo's.
ARGUMENTS: dict[str, Callable[[World], str]] = {
    "project": lambda world: world.apollo.slug,
    "model_id": lambda _: "lab/small",
    "task_type": lambda _: "debugging",
    "subtask_type": lambda _: "bug_fixing",
    "document": lambda _: "routing",
    "decision_id": lambda world: world.decision.public_id,
    "key_id": lambda world: world.key.public_id,
    "before": lambda _: version(current=True),
    "after": lambda _: version(current=False),
    "version": lambda _: version(current=False),
    "older": lambda _: "0",
    "newer": lambda _: "1",
    "earlier": lambda _: "1",
    "budget_id": lambda world: world.apollo.budgets.get(limit_micro_usd=5_000_000).public_id,
    "feed_id": lambda _: Feed.objects.get().public_id,
    "ingestion_id": lambda _: Ingestion.objects.get().public_id,
    "run_id": lambda _: Run.objects.get().public_id,
    "stream": lambda _: "usage",
}


# --------------------------------------------------------------------------------------- the walk


@dataclass(frozen=True)
class Url:
    """A pattern of the site. Without a name it is known by its path."""

    name: str
    captures: tuple[str, ...] = field(default=())

    def path(self, world: World) -> str:
        """Return the address of apollo's object."""
        return reverse(self.name, kwargs={name: ARGUMENTS[name](world) for name in self.captures})


def every_url() -> list[Url]:
    """Return every pattern below the root urlconf except the admin's, which only staff enter."""
    return list(walk(get_resolver(), "", "", ()))


def walk(
    resolver: URLResolver, prefix: str, namespace: str, captured: tuple[str, ...]
) -> Iterator[Url]:
    """Yield the patterns of a resolver, those of nested includes with it."""
    for entry in resolver.url_patterns:
        path = f"{prefix}{entry.pattern}"
        captures = captured + tuple(entry.pattern.converters)
        if isinstance(entry, URLPattern):
            yield Url(f"{namespace}{entry.name}" if entry.name else path, captures)
        elif entry.app_name != "admin":
            inner = f"{namespace}{entry.namespace}:" if entry.namespace else namespace
            yield from walk(entry, path, inner, captures)


def undeclared() -> list[str]:
    """Return where URLs and table differ: a line is missing, left over, or doubled."""
    urls = every_url()
    names = [url.name for url in urls]
    faults = [f"{name} is not in TABLE" for name in names if name not in TABLE]
    faults += [f"{name} is in TABLE, but is no URL" for name in TABLE if name not in names]
    faults += [f"{name} names several URLs" for name in set(names) if names.count(name) > 1]
    unknown = {name for url in urls for name in url.captures if name not in ARGUMENTS}
    return faults + [f"<{name}> is not in ARGUMENTS" for name in unknown]


# ------------------------------------------------------------------------------------- the checker


def violations(url: Url, kind: Kind, world: World) -> list[str]:
    """Return in words whatever an outsider, a member or a key could do that `kind` forbids."""
    probe = Probe(url.path(world), world)
    match kind:
        case Open():
            check_open(probe, kind)
        case Page():
            check_page(probe, kind)
        case Call():
            check_call(probe, kind, is_single=bool(url.captures))
        case Operators():
            check_operators(probe, kind)
    probe.expect_no_change(f"somebody: GET, HEAD or OPTIONS {probe.path}")
    return probe.faults


class Probe:
    """Sends requests to one address and notes what should not have happened."""

    def __init__(self, path: str, world: World) -> None:
        self.path, self.world = path, world
        self.faults: list[str] = []
        self.before = rows_of_others(world.borealis)

    def expect(
        self,
        who: str,
        client: Client,
        method: str,
        statuses: set[int],
        *,
        changes: bool = False,
        sees: bool = False,
        **sent: Any,
    ) -> HttpResponseBase:
        """Send one request and hold the answer to these statuses.

        Unless told otherwise it may neither change a row outside borealis nor show the mark.
        """
        client.raise_request_exception = False
        response = client.generic(method, self.path, **sent)
        attempt = f"{who}: {method} {self.path}"
        if response.status_code not in statuses:
            self.faults.append(f"{attempt} is {response.status_code}, not {sorted(statuses)}")
        if not sees and MARK in text_of(response):
            self.faults.append(f"{attempt} shows what is apollo's")
        if not changes and method not in HARMLESS:
            self.expect_no_change(attempt)
        return response

    def expect_no_change(self, attempt: str) -> None:
        """Note it when a row outside borealis is not as it was before."""
        if (after := rows_of_others(self.world.borealis)) != self.before:
            self.faults.append(f"{attempt} changes the database")
            self.before = after


def check_open(probe: Probe, kind: Open) -> None:
    """Visitors and outsiders are answered, whatever they send."""
    for method in METHODS:
        statuses = {200, 302} if method in kind.methods else {302, 405}
        statuses |= {200} if method == "OPTIONS" else set()
        probe.expect("visitor", Client(), method, statuses)
        probe.expect("outsider", signed_in(probe.world.outsider), method, statuses)


def check_page(probe: Probe, kind: Page) -> None:
    """Visitors are sent to sign in, outsiders find nothing, members do what their role allows."""
    world, form = probe.world, kind.form(probe.world)
    probe.expect("a key of apollo", with_key(world.key_with(frozenset(Scope))), "GET", {302})
    outsider = signed_in(world.outsider)
    members = {role: signed_in(person) for role, person in world.members.items()}
    for method in METHODS:
        sent = {} if method in SAFE else as_form(form)
        answer = probe.expect("visitor", Client(), method, {302}, **sent)
        if not answer.headers.get("Location", "").startswith(reverse("sign_in")):
            probe.faults.append(f"visitor: {method} {probe.path} does not lead to the sign-in")
        probe.expect("outsider", outsider, method, {404}, **sent)
        for role, member in members.items():
            allowed = kind.needs(method) in GRANTED[role]
            if allowed and method == "POST" and kind.offers(method):
                continue  # that it works is another promise, see `owner_can`
            refusal = {403} if kind.read not in GRANTED[role] or kind.offers(method) else {405}
            statuses = {200} if allowed and kind.offers(method) else refusal
            probe.expect(role, member, method, statuses, sees=allowed, **sent)


def check_operators(probe: Probe, kind: Operators) -> None:
    """Visitors are sent to sign in; to everyone else but operators there is nothing."""
    sent = as_form(kind.form(probe.world))
    people = {"outsider": probe.world.outsider, **probe.world.members}
    for method in METHODS:
        body = {} if method in SAFE else sent
        answer = probe.expect("visitor", Client(), method, {302}, **body)
        if not answer.headers.get("Location", "").startswith(reverse("sign_in")):
            probe.faults.append(f"visitor: {method} {probe.path} does not lead to the sign-in")
        for who, person in people.items():
            probe.expect(who, signed_in(person), method, {404}, **body)


def check_call(probe: Probe, kind: Call, *, is_single: bool) -> None:
    """No key is 401, a key without the scope 403, and another team's key meets only its own."""
    world = probe.world
    sent = as_json(kind.body(world)) | {"headers": dict(kind.headers)}
    every = frozenset(Scope)
    browser = signed_in(world.members["owner"])
    for method in METHODS:
        scope = kind.scopes.get(method)
        refusal = {401} if scope else {401, 405}
        probe.expect("visitor", Client(), method, refusal, **sent)
        probe.expect("owner without a key", browser, method, refusal, **sent)
        lacking = with_key(world.key_with(every - {scope} if scope else every))
        probe.expect("key without the scope", lacking, method, {403} if scope else {405}, **sent)
        if not scope:
            foreign = {405}
        elif is_single:
            foreign = {404}
        elif method in SAFE:
            foreign = {200, 422}
        else:
            # A body may name what belongs to others, which is as unknown as what is not there.
            foreign = {200, 201, 404, 422}
        probe.expect("another team's key", with_key(world.outsider_key), method, foreign, **sent)


def owner_can(url: Url, kind: Kind, world: World) -> list[str]:
    """Return what fails for those who may: else a broken address would look well guarded."""
    if isinstance(kind, Operators):
        return operator_can(url, kind, world)
    probe = Probe(url.path(world), world)
    shown = ""
    if isinstance(kind, Page):
        owner = signed_in(world.members["owner"])
        statuses = {200} if kind.reads else {405}
        shown = text_of(probe.expect("owner", owner, "GET", statuses, sees=True))
        shown += "" if kind.reads else MARK
        if kind.write:
            sent = as_form(kind.form(world))
            probe.expect("owner", owner, "POST", {200, 302}, changes=True, sees=True, **sent)
            if (rows_of_others(world.borealis) == probe.before) != kind.asks:
                what = "something" if kind.asks else "nothing"
                probe.faults.append(f"owner: POST {probe.path} changes {what}")
    if isinstance(kind, Call):
        for method, scope in kind.scopes.items():
            client = with_key(world.key_with(frozenset({scope})))
            sent = as_json(kind.body(world)) if method in ("POST", "PUT") else {}
            sent["headers"] = dict(kind.headers)
            answer = probe.expect(
                "key with the scope", client, method, {200, 201}, changes=True, sees=True, **sent
            )
            shown += text_of(answer) if method == "GET" else MARK
    if not isinstance(kind, Open) and MARK not in shown:
        probe.faults.append(f"{probe.path} does not show the mark even to the owner")
    return probe.faults


def operator_can(url: Url, kind: Operators, world: World) -> list[str]:
    """Return what fails for an operator."""
    operator = signed_in(User.objects.create_superuser("operator@example.org"))
    probe = Probe(url.path(world), world)
    probe.expect("operator", operator, "GET", {200} if kind.reads else {405}, sees=True)
    if kind.writes:
        sent = as_form(kind.form(world))
        before = AuditEvent.objects.count()
        probe.expect("operator", operator, "POST", {200, 302}, changes=True, sees=True, **sent)
        if AuditEvent.objects.count() == before:
            probe.faults.append(f"operator: POST {probe.path} leaves no audit row")
    return probe.faults


def rows_of_others(borealis: Project) -> dict[str, list[Any]]:
    """Return every row that belongs to a team or a project, except those of borealis."""
    do_record_decisions()
    found: dict[str, list[Any]] = {}
    for label in ("teams", "routing", "usage"):
        for model in apps.get_app_config(label).get_models():
            found[model.__name__] = list(foreign_rows(model, borealis))
    for model in (Feed, Ingestion, Run):
        found[model.__name__] = list(foreign_rows(model, borealis))
    return found


def foreign_rows(model: type[Model], borealis: Project) -> Any:
    """Return a model's rows outside borealis, in a stable order."""
    rows = model._default_manager.order_by("pk")
    names = {one.name for one in model._meta.get_fields()}
    if model is User:
        return rows.values("email", "password", "is_staff", "is_superuser", "is_active")
    if model is Project:
        rows = rows.exclude(pk=borealis.pk)
    elif model is Team:
        rows = rows.exclude(pk=borealis.team_id)
    if "project" in names:
        rows = rows.exclude(project=borealis)
    if "project_id" in names:
        rows = rows.exclude(project_id=borealis.pk)
    if "team" in names:
        rows = rows.exclude(team=borealis.team)
    return rows.values()


def text_of(response: HttpResponseBase) -> str:
    """Return a whole body."""
    if isinstance(response, StreamingHttpResponse):
        return response.getvalue().decode()
    content: bytes = response.content  # type: ignore[attr-defined]
    return content.decode()


def signed_in(person: User) -> Client:
    """Return a browser of that person."""
    client = Client()
    client.force_login(person)
    return client


def with_key(key: str) -> Client:
    """Return a program that has the key."""
    return Client(headers={"Authorization": f"Bearer {key}"})


def as_form(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments that make a request carry a form."""
    return {
        "data": urlencode(fields, doseq=True),
        "content_type": "application/x-www-form-urlencoded",
    }


def as_json(body: Any) -> dict[str, Any]:
    """Return the arguments that make a request carry JSON."""
    return {"data": json.dumps(body), "content_type": "application/json"}
