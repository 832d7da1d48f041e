"""Overview, usage, and decisions with what was reported for them."""

import csv
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_safe

from leaderboard import board
from leaderboard.filters import one_of
from leaderboard.queries import NO_ORIGIN, current_table
from leaderboard.views import SORT_COLUMNS, line
from lib import taxonomy
from lib.errors import ApiError
from lib.paging import page_of
from routing.actions.recording import do_find_decision
from routing.engine.explain import REASONS
from routing.models import Decision
from routing.queries.decisions import FILTERS, decisions_of
from routing.queries.policies import current_policy
from teams.access import Access, project_page
from usage import queries
from usage.charts import usage_figure, weighted_figure
from usage.filters import UsageFilter, read_filter
from usage.models import UsageEvent
from usage.queries import GROUPS, METRICS, NONE, OTHER, Series
from usage.ranges import BUCKETS_OF, LENGTHS
from usage.templatetags.figures import route_label
from usage.weighting import Traffic, mix_of, standing_of, weigh

PAGE_SIZE = 50
RECENT = 10
# Groups by which the list of decisions can be narrowed, so that a bar can lead to its rows.
LINKED_GROUPS = ("model", "route", "reason")
# What the board is weighted by: so long back, and not by fewer decisions than this.
TRAFFIC_DAYS = 30
LEAST_TRAFFIC = 20


@project_page()
@require_safe
def overview(request: HttpRequest, access: Access) -> HttpResponse:
    """The last seven days at a glance, or how to begin."""
    project_id = access.project.pk
    context: dict[str, Any] = {"access": access, "policy": current_policy(project_id)}
    if queries.has_traffic(project_id):
        asked = read_filter({"range": "7d"}, timezone.now())
        context |= {
            "totals": queries.totals(project_id, asked.window),
            "decisions": decisions_of(project_id, {}).order_by("-created_at", "-id")[:RECENT],
        }
    else:
        context["curl"] = first_call(request)
    return render(request, "usage/overview.html", context)


def first_call(request: HttpRequest) -> str:
    """Return a curl line that gets a first decision."""
    address = request.build_absolute_uri("/api/v1/route")
    return (
        f"curl {address} \\\n"
        '  -H "Authorization: Bearer $API_KEY" \\\n'
        '  -H "Content-Type: application/json" \\\n'
        """  -d '{"messages": [{"role": "user", "content": "Fix the failing date test"}]}'"""
    )


@project_page()
@require_safe
def usage(request: HttpRequest, access: Access) -> HttpResponse:
    """Usage over time, split by the group in the URL."""
    asked, problem = ask(request)
    project_id = access.project.pk
    series = queries.usage_over_time(project_id, asked.window, asked.group, asked.metric)
    labels = {one.name: group_label(asked.group, one.name) for one in series}
    links = decision_links(access, asked.group, series)
    context = {
        "access": access,
        "asked": asked,
        "problem": problem,
        "ranges": LENGTHS,
        "groups": GROUPS,
        "metrics": METRICS,
        "buckets": BUCKETS_OF[asked.window.name],
        "totals": queries.totals(project_id, asked.window),
        "figure": usage_figure(series, asked.window, asked.metric, labels, links),
        "linked": bool(links),
        "groups_table": [
            {
                "label": labels[one.name],
                "link": links.get(one.name),
                "swatch": index if one.name != OTHER else None,
                "total": one.total,
            }
            for index, one in enumerate(series, start=1)
        ],
        "bucket_columns": labels.values(),
        "bucket_rows": [
            (start, [one.buckets.get(start) for one in series])
            for start in reversed(asked.window.bucket_starts)
            if any(start in one.buckets for one in series)
        ],
        "events": queries.events_of(project_id)[:RECENT],
        "csv_url": reverse("usage_csv", args=[access.project.slug]),
    }
    return render(request, "usage/usage.html", context, status=400 if problem else 200)


@project_page()
@require_safe
def usage_csv(request: HttpRequest, access: Access) -> HttpResponse:
    """The usage page's figures as CSV: one row per bucket and group."""
    asked, problem = ask(request)
    if problem:
        return HttpResponse(f"{problem}\n", content_type="text/plain; charset=utf-8", status=400)
    series = queries.usage_over_time(access.project.pk, asked.window, asked.group, asked.metric)
    name = f"{access.project.slug}-usage-{asked.window.name}-by-{asked.group}.csv"
    response = HttpResponse(
        content_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )
    columns = list(queries.SUMS)
    table = csv.writer(response)
    table.writerow(["start", asked.group, *columns])
    for start in asked.window.bucket_starts:
        for one in series:
            if figures := one.buckets.get(start):
                sums = [getattr(figures, column) for column in columns]
                table.writerow([f"{start:%Y-%m-%dT%H:%M:%SZ}", one.name, *sums])
    return response


def ask(request: HttpRequest) -> tuple[UsageFilter, str]:
    """Return what the URL asks for and, when that makes no sense, the defaults and the problem."""
    now = timezone.now()
    try:
        return read_filter(request.GET, now), ""
    except ApiError as error:
        return read_filter({}, now), error.message


def group_label(group: str, name: str) -> str:
    """Return a group's name as people read it."""
    if name == OTHER or (group == "model" and name != NONE):
        return name
    if name == NONE:
        return "Not classified" if group == "route" else "Without a decision"
    return route_label(name) if group == "route" else taxonomy.label(name)


def decision_links(access: Access, group: str, series: Sequence[Series]) -> dict[str, str]:
    """Return for each series the list of the decisions behind it, where there is such a list."""
    if group not in LINKED_GROUPS:
        return {}
    address = reverse("decisions", args=[access.project.slug])
    names = [one.name for one in series if one.name not in (NONE, OTHER)]
    return {name: f"{address}?{urlencode({group: name})}" for name in names}


@project_page()
@require_safe
def decisions(request: HttpRequest, access: Access) -> HttpResponse:
    """A project's decisions, newest first, narrowed by the URL."""
    problem, cursor = "", request.GET.get("cursor", "")
    rows = decisions_of(access.project.pk, request.GET)
    try:
        found, next_cursor = decision_page(rows, cursor)
    except ApiError as error:
        problem = error.message
        found, next_cursor = decision_page(rows, "")
    context = {
        "access": access,
        "problem": problem,
        "decisions": found,
        "cursor": cursor,
        "next_cursor": next_cursor,
        "filters": {name: request.GET.get(name, "") for name in FILTERS},
        "filtered": any(request.GET.get(name) for name in FILTERS),
        "task_types": taxonomy.TASK_TYPES,
        "routes": taxonomy.ROUTES,
        "reasons": REASONS,
    }
    return render(request, "usage/decisions.html", context, status=400 if problem else 200)


def decision_page(rows: QuerySet[Decision], cursor: str) -> tuple[list[Decision], str | None]:
    """Return one page of decisions and the cursor of the next."""
    return page_of(
        rows, cursor=cursor, limit=PAGE_SIZE, id_field="public_id", time_field="created_at"
    )


@project_page()
@require_safe
def decision(request: HttpRequest, access: Access, decision_id: str) -> HttpResponse:
    """One decision with its evidence and what was reported for it."""
    found = do_find_decision(access.project.pk, decision_id)
    if found is None:
        raise Http404
    evidence = found.evidence
    classification = evidence.get("classification") or {}
    events: list[UsageEvent] = list(queries.events_of_decision(found)[:PAGE_SIZE])
    context = {
        "access": access,
        "decision": found,
        "classification": classification,
        "routes": likeliest(classification.get("routes", {}), 6),
        "difficulties": list(classification.get("difficulties", {}).items()),
        "asked": evidence.get("request"),
        "bar": bar_of(evidence),
        "candidates": [candidate_row(candidate) for candidate in evidence.get("candidates", [])],
        "saved": saved_by(found),
        "events": events,
    }
    return render(request, "usage/decision.html", context)


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


def saved_by(found: Decision) -> int | None:
    """Return the expected saving against the baseline model in micro-USD, if both are known."""
    if found.baseline_cost_micro_usd is None or found.cost_micro_usd is None:
        return None
    return found.baseline_cost_micro_usd - found.cost_micro_usd


@project_page()
@require_safe
def project_board(request: HttpRequest, access: Access) -> HttpResponse:
    """The leaderboard weighted by what the project asked for, and where its choices lie on it."""
    problem, sort = "", "accuracy"
    try:
        sort = one_of(request.GET, "sort", tuple(board.SORTS)) or sort
    except ApiError as error:
        problem = error.message
    since = timezone.now() - timedelta(days=TRAFFIC_DAYS)
    traffic = queries.traffic(access.project.pk, since)
    classified = sum(part.decisions for part in traffic if part.is_classified)
    table = current_table(access.project.team_id)
    context: dict[str, Any] = {
        "access": access,
        "problem": problem,
        "table": table,
        "classified": classified,
        "least": LEAST_TRAFFIC,
        "days": TRAFFIC_DAYS,
        "enough": classified >= LEAST_TRAFFIC,
    }
    if table is not None and classified >= LEAST_TRAFFIC:
        mix = mix_of(traffic)
        rows = board.ordered(board.rows_of(table.models, weigh(table, mix)), sort)
        standing = standing_of(table, traffic)
        taken = shares(traffic)
        balanced = current_policy(access.project.pk).balanced_model
        context |= {
            "figure": weighted_figure(rows, request.get_full_path(), standing),
            "standing": standing,
            "lines": [
                {
                    **line(row, NO_ORIGIN),
                    "share": taken.get(row.model.model_id),
                    "is_balanced": row.model.model_id == balanced,
                }
                for row in rows
            ],
            "elsewhere": [
                (model, share) for model, share in taken.items() if table.index_of(model) is None
            ],
            "mix": [
                (route, mix[index].tolist(), float(mix[index].sum()))
                for index, route in sorted(
                    enumerate(taxonomy.ROUTES), key=lambda one: -mix[one[0]].sum()
                )
                if mix[index].any()
            ],
            "difficulties": taxonomy.DIFFICULTIES,
            "columns": [
                (name, title, direction if name == sort else None)
                for name, title, direction in SORT_COLUMNS
            ],
        }
    return render(request, "usage/board.html", context, status=400 if problem else 200)


def shares(traffic: Sequence[Traffic]) -> dict[str, float]:
    """Return the share of all decisions that went to each model, the largest first."""
    total = sum(part.decisions for part in traffic)
    counts: dict[str, int] = {}
    for part in traffic:
        counts[part.model] = counts.get(part.model, 0) + part.decisions
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return {model: count / total for model, count in ranked}
