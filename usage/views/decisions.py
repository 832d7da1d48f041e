"""Decisions: the list, the same as CSV, and one with all that it stood on."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_safe

from leaderboard.queries import current_version, public_tables
from lib import taxonomy
from lib.errors import ApiError
from lib.paging import page_of
from lib.ranges import LENGTHS
from routing.actions.recording import do_find_decision
from routing.counterfactual import Counterfactual, Span
from routing.engine.explain import REASONS
from routing.filters import FILTERS, read_decision_filter, read_flag, read_order
from routing.models import Decision, Mode, Outcome, Policy
from routing.queries.decisions import decisions_of, neighbours
from routing.queries.outcomes import outcomes_of
from routing.queries.policies import in_force
from routing.queries.rerun import Rerun, policy_of, proven, rerun
from teams.access import Access, project_page
from teams.models import Project
from usage import links, queries
from usage.charts import probability_figure
from usage.export import by_time, csv_file, moment
from usage.filters import read_conditions
from usage.models import UsageEvent
from usage.question import NONE, Conditions
from usage.views.history import key_names

PAGE_SIZE = 50
# Routes that are drawn; the others are rarely more than a hair together.
DRAWN_ROUTES = 6
# What the page hides until it is used.
MORE_FILTERS = FILTERS.keys() - {"range", "model", "route", "reason", "session"}
CSV_COLUMNS = {
    "id": "public_id",
    "created_at": "created_at",
    "session": "session_id",
    "task_type": "task_type",
    "subtask_type": "subtask_type",
    "difficulty": "difficulty",
    "confidence": "confidence",
    "model": "model",
    "reason": "reason_code",
    "runner_up": "runner_up",
    "accuracy": "accuracy",
    "cost_micro_usd": "cost_micro_usd",
    "baseline_cost_micro_usd": "baseline_cost_micro_usd",
    "sticky": "sticky",
    "switched": "switched",
    "mode": "mode",
    "policy_version": "policy_version",
    "table_version": "table_version",
}


@project_page()
@require_safe
def decisions(request: HttpRequest, access: Access) -> HttpResponse:
    """A project's decisions, narrowed and ordered by the URL."""
    project_id, problem, cursor = access.project.pk, "", request.GET.get("cursor", "")
    oldest_first, conditions = False, Conditions()
    try:
        oldest_first = read_order(request.GET)
        conditions = conditions_of(request)
        rows = decisions_asked_for(request, access, conditions)
        found, next_cursor = decision_page(rows, cursor, oldest_first)
    except ApiError as error:
        problem, cursor = error.message, ""
        found, next_cursor = decision_page(decisions_of(project_id), "", oldest_first)
    params: dict[str, list[str]] = {
        name: values for name, values in request.GET.lists() if name != "cursor"
    }
    further = conditions.as_params()
    in_form = {name: request.GET.get(name, "") for name in FILTERS if name not in further}
    context = {
        "access": access,
        "problem": problem,
        "chips": links.chips(params, conditions, key_names(project_id, conditions)),
        "cleared": links.address({name: v for name, v in params.items() if name not in further}),
        "hidden": links.hidden(further, ()),
        "decisions": found,
        "cursor": cursor,
        "next_cursor": next_cursor,
        "oldest_first": oldest_first,
        "sortable": True,
        "filters": in_form,
        "filtered": bool(further) or any(in_form.values()),
        "more_filtered": any(request.GET.get(name) for name in MORE_FILTERS),
        "ranges": LENGTHS,
        "task_types": taxonomy.TASK_TYPES,
        "routes": taxonomy.ROUTES,
        "reasons": REASONS,
        "modes": [(value, label) for value, label in Mode.choices if value != Mode.DEFAULT],
    }
    return render(request, "usage/decisions.html", context, status=400 if problem else 200)


def conditions_of(request: HttpRequest) -> Conditions:
    """Return the conditions of the URL beyond what the form has fields for; raise a 400.

    A field of the form takes one value; the figures of the Usage page are also of several, of none,
    or of all but some.
    """
    asked = read_conditions(request.GET)
    beyond = {
        group: values
        for group, values in asked.include.items()
        if group not in FILTERS or len(values) > 1 or values == (NONE,)
    }
    return replace(asked, include=beyond)


def decisions_asked_for(
    request: HttpRequest, access: Access, conditions: Conditions
) -> QuerySet[Decision]:
    """Return the decisions that the URL asks for; raise a 400 that says what is allowed."""
    fields = {name: request.GET[name] for name in request.GET if name not in conditions.include}
    asked = read_decision_filter(fields, timezone.now(), access.project.team.time_zone)
    rows = decisions_of(access.project.pk, asked)
    return queries.decisions_where(access.project.pk, rows, conditions)


def decision_page(
    rows: QuerySet[Decision], cursor: str, oldest_first: bool
) -> tuple[list[Decision], str | None]:
    """Return one page of decisions and the cursor of the next."""
    return page_of(
        rows,
        cursor=cursor,
        limit=PAGE_SIZE,
        id_field="public_id",
        time_field="created_at",
        oldest_first=oldest_first,
    )


@project_page()
@require_safe
def decisions_csv(request: HttpRequest, access: Access) -> HttpResponseBase:
    """The decisions that the URL asks for as CSV, however many."""
    try:
        rows = decisions_asked_for(request, access, conditions_of(request))
        oldest_first = read_order(request.GET)
    except ApiError as error:
        text = f"{error.message}\n"
        return HttpResponse(text, content_type="text/plain; charset=utf-8", status=400)
    lines = decision_lines(rows, oldest_first=oldest_first)
    return csv_file(f"{access.project.slug}-decisions.csv", list(CSV_COLUMNS), lines)


def decision_lines(rows: QuerySet[Decision], *, oldest_first: bool) -> Iterator[list[Any]]:
    """Return decisions with the time and each yes or no as the API writes them."""
    columns = [name for name in CSV_COLUMNS.values() if name != "created_at"]
    for created_at, public_id, *rest in by_time(
        rows, "created_at", columns, oldest_first=oldest_first
    ):
        flags = [str(cell).lower() if isinstance(cell, bool) else cell for cell in rest]
        yield [public_id, moment(created_at), *flags]


@project_page()
@require_safe
def decision(request: HttpRequest, access: Access, decision_id: str) -> HttpResponse:
    """One decision with its evidence, what that proves, and what was reported for it.

    With `?rerun=true` it is decided again beside it, under the policy and the table in force.
    """
    found = do_find_decision(access.project.pk, decision_id)
    if found is None:
        raise Http404
    problem, asked_again = "", False
    try:
        asked_again = bool(read_flag(request.GET, "rerun"))
    except ApiError as error:
        problem = error.message
    now, evidence = timezone.now(), found.evidence
    policy = policy_of(access.project, found)
    classification = evidence.get("classification") or {}
    events: list[UsageEvent] = list(queries.events_of_decision(found)[:PAGE_SIZE])
    routes = likeliest(classification.get("routes", {}), DRAWN_ROUTES)
    candidates = [candidate_row(candidate) for candidate in evidence.get("candidates") or []]
    again = rerun(access.project, found, policy, now) if asked_again else None
    proof = proven(found, policy)
    before, after = neighbours(found)
    context = {
        "access": access,
        "problem": problem,
        "decision": found,
        "runner_up": evidence.get("runner_up"),
        "policy": policy,
        "policy_link": policy_link(access.project, policy),
        "table_link": table_link(found, access.project.team_id),
        "classification": classification,
        "routes": routes,
        "figure": probability_figure(
            [(taxonomy.label(taxonomy.split_route(name)[1]), share) for name, share in routes]
        ),
        "difficulties": list(classification.get("difficulties", {}).items()),
        "asked": evidence.get("request"),
        "bar": bar_of(evidence),
        "candidates": candidates,
        "ladder": evidence.get("ladder"),
        "proof": proof if proof.says_something else None,
        "rivals": rivals(proof, found.model),
        "saved": saved_by(found),
        "before": before,
        "after": after,
        "asked_again": asked_again,
        "again": again,
        "comparison": compared(found, again) if again else [],
        "events": events,
        "outcomes": reported_outcomes(found, events),
    }
    return render(request, "usage/decision.html", context, status=400 if problem else 200)


def reported_outcomes(found: Decision, events: Sequence[UsageEvent]) -> list[tuple[str, str]]:
    """Return what became of the work, with the model that did it; the newest word of each."""
    outcomes = {event.model: event.outcome for event in events if event.outcome}
    told = outcomes_of(found.project_id, {found.public_id})
    outcomes |= {model: outcome for (_, model), outcome in told.items()}
    return [(Outcome(outcome).label, model) for model, outcome in outcomes.items()]


def policy_link(project: Project, policy: Policy | None) -> str:
    """Return where a decision's policy can be looked at; empty for one that is not known any more.

    That is its page while it is in force, else what differs in the newest version.
    """
    if policy is None:
        return ""
    current = in_force(project.pk)
    if policy.public_id == current.policy.public_id:
        return reverse("policy", args=[project.slug])
    if policy.project_id is not None:
        return reverse("compare_policies", args=[project.slug, policy.number, current.number])
    if policy.public_id == current.team.public_id:
        return reverse("team_policy", args=[project.slug])
    return reverse("compare_team_policies", args=[project.slug, policy.number, current.team.number])


def table_link(found: Decision, team_id: int) -> str:
    """Return where a decision's table can be looked at; empty where it cannot.

    That is the leaderboard while the table is in force, then what has changed since.
    """
    version, current = found.table_version, current_version(team_id)
    public = set(
        public_tables().filter(version__in=[version, current]).values_list("version", flat=True)
    )
    if version not in public:
        return ""
    if version == current:
        return reverse("leaderboard")
    return reverse("compare_tables", args=[version, current]) if current in public else ""


def likeliest(probabilities: Mapping[str, float], most: int) -> list[tuple[str, float]]:
    """Return the `most` likeliest names, the likeliest first, without those that round to zero."""
    ranked = sorted(probabilities.items(), key=lambda item: -item[1])
    return [(name, share) for name, share in ranked[:most] if share >= 0.005]


def bar_of(evidence: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the quality bar with the accuracy that it amounts to."""
    bar = evidence.get("bar")
    if not bar or bar.get("best_accuracy") is None:
        return None
    return {**bar, "accuracy": bar["quality_bar"] * bar["best_accuracy"]}


def candidate_row(candidate: Mapping[str, Any]) -> dict[str, Any]:
    """Return a candidate with its interval in percent of the track that it is drawn on."""
    row = dict(candidate)
    if all(row.get(name) is not None for name in ("low", "accuracy", "high")):
        row["track"] = {
            "low": round(row["low"] * 100, 1),
            "mean": round(row["accuracy"] * 100, 1),
            "width": round((row["high"] - row["low"]) * 100, 1),
        }
    return row


def rivals(proof: Counterfactual, model: str) -> list[dict[str, Any]]:
    """Return for each model what would have made it win, those that a bar could first."""
    spans: dict[str, list[Span]] = {}
    for one in proof.by_bar:
        spans.setdefault(one.model, []).append(one)
    prices = {one.model: one.cost_micro_usd for one in proof.by_price}
    names = [*reversed(spans), *(name for name in prices if name not in spans)]
    return [
        {
            "model": name,
            "spans": spans.get(name),
            "price": prices.get(name),
            "is_chosen": name == model,
        }
        for name in names
    ]


def saved_by(found: Decision) -> int | None:
    """Return the expected saving against the baseline model in micro-USD, if both are known."""
    if found.baseline_cost_micro_usd is None or found.cost_micro_usd is None:
        return None
    return found.baseline_cost_micro_usd - found.cost_micro_usd


def compared(found: Decision, again: Rerun) -> list[dict[str, Any]]:
    """Return each model that either decision chose, with its figures and verdicts then and now."""
    then = {one["model"]: one for one in found.evidence.get("candidates") or []}
    names = dict.fromkeys([found.model, *([again.choice.model] if again.choice else [])])
    return [
        {"model": name, "then": then.get(name), "now": again.figures_of(name)} for name in names
    ]
