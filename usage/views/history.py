"""The Usage page: how much of what, over time."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from django.conf import settings
from django.http import HttpRequest, HttpResponse, QueryDict
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_safe

from lib.errors import ApiError
from routing.models import Decision
from teams.access import Access, project_page
from teams.models import Project
from usage import links, queries, wording
from usage.actions.rolling import do_catch_up
from usage.cards import cards, change
from usage.charts import usage_figure
from usage.export import export
from usage.filters import SESSION_DAYS, is_too_long_by_session, read_filter
from usage.queries import History
from usage.queries.changes import Change, changes_between
from usage.queries.history import keys_of
from usage.queries.live import newest_at, newest_decision
from usage.question import (
    ADDITIVE,
    GROUPS,
    LATENCIES,
    NOT,
    NOT_BOTH,
    OF_DECISIONS,
    Conditions,
    UsageFilter,
)
from usage.ranges import CUSTOM, window
from usage.wording import OTHER

# The columns of the table under the chart, by what the metric is of.
OF_CALLS: Final = (
    *("requests", "input_tokens", "cached_tokens", "output_tokens"),
    *("cache_hit_rate", "error_rate", "cost"),
)
OF_LATENCY: Final = ("requests", *LATENCIES)
OF_ROUTING: Final = ("decisions", "fallbacks", "fallback_rate", "switched")
OF_TIME: Final = frozenset({"range", "from", "to"})
# Where a change is compared with the version before.
COMPARISONS: Final = {
    "policy": "compare_policies",
    "team policy": "compare_team_policies",
    "table": "compare_tables",
}


@project_page()
@require_safe
def usage(request: HttpRequest, access: Access) -> HttpResponse:
    """Usage over time, as the URL asks for it."""
    now, project = timezone.now(), access.project
    asked, problem = ask(request.GET, now, project.team.time_zone)
    do_catch_up()
    history = queries.usage_over_time(project, asked, now)
    context = {
        "access": access,
        "asked": asked,
        "problem": problem,
        "zone": project.team.time_zone,
        "covered_to": data_to(now, asked.window.zone),
        **controls(asked, history.key_names or key_names(project.pk, asked.conditions)),
    }
    if problem and OF_TIME & request.GET.keys():
        # What was typed can be mended.
        context |= {"first_day": request.GET.get("from"), "last_day": request.GET.get("to")}
    if history.series:
        context |= shown(access, asked, history, now)
        context["curl"] = api_call(request, asked)
    else:
        context |= nothing(request, access, asked, now)
    return render(request, "usage/usage.html", context, status=400 if problem else 200)


def data_to(now: datetime, zone: ZoneInfo) -> str:
    """Return up to when everything is in the figures; embedded that is now. Empty before any is."""
    covered_to = now if settings.CELERY_TASK_ALWAYS_EAGER else queries.covered_to()
    if covered_to is None:
        return ""
    local = covered_to.astimezone(zone)
    day = "" if local.date() == now.astimezone(zone).date() else f"{local.day} {local:%b}, "
    return f"{day}{local:%H:%M}"


def ask(params: QueryDict, now: datetime, time_zone: str) -> tuple[UsageFilter, str]:
    """Return what a URL asks for without what makes no sense in it, and what the problem was."""
    left, problem = params.copy(), ""
    while True:
        try:
            return read_filter(left, now, time_zone), problem
        except ApiError as error:
            problem = problem or error.message
            # A time is one thing, whatever part of it makes no sense.
            faulty = OF_TIME if error.param in OF_TIME else {str(error.param)}
            if not faulty & left.keys():
                return read_filter({}, now, time_zone), problem
            for name in faulty & left.keys():
                del left[name]


def key_names(project_id: int, conditions: Conditions) -> Mapping[str, str]:
    """Return what people call a project's keys, if there are conditions on any."""
    if not conditions.name("key"):
        return {}
    return {key: name for key, (name, _) in keys_of(project_id).items()}


def controls(asked: UsageFilter, key_names: Mapping[str, str]) -> dict[str, Any]:
    """Return what the page can be changed with."""
    params = asked.as_params()
    of_time = OF_TIME | {"bucket"}
    set_by_form = {"group", "then", "metric", "bucket", "compare", "cumulative"}
    lasting = {name: one for name, one in params.items() if name not in of_time}
    start, end, zone = asked.window.start, asked.window.end, asked.window.zone
    first_day, last_day = (
        f"{one.astimezone(zone):%Y-%m-%d}" for one in (start, end - wording.RESOLUTION)
    )
    return {
        "ranges": [
            (name, text, links.address({**lasting, "range": name}))
            for name, text in wording.LENGTHS.items()
        ],
        "stretch": wording.stretch(asked.window),
        "is_custom": asked.window.name == CUSTOM,
        "first_day": first_day,
        "last_day": last_day,
        "kept_by_stretch": links.hidden(params, of_time),
        "kept_by_form": links.hidden(params, set_by_form),
        "metrics": wording.METRICS,
        "ratios": wording.METRIC_NAMES.keys() - {*ADDITIVE},
        "metric_name": wording.METRIC_NAMES[asked.metric],
        "of_decisions": OF_DECISIONS,
        "groups": [(group, text, why_off(group, asked)) for group, text in wording.GROUPS.items()],
        "group_names": [wording.GROUPS[group] for group in asked.groups],
        "split": " and ".join(wording.phrase(group) for group in asked.groups),
        "buckets": [(name, wording.BUCKETS[name]) for name in asked.window.offered],
        "bucket_name": wording.BUCKETS[asked.window.bucket],
        "additive": asked.metric in ADDITIVE,
        "chips": links.chips(params, asked.conditions, key_names),
        "cleared": links.address({n: one for n, one in params.items() if not is_condition(n)}),
    }


def why_off(group: str, asked: UsageFilter) -> str:
    """Return why a question cannot be split by a group; empty where it can."""
    if group == "session" and is_too_long_by_session(asked.window):
        return f"up to {SESSION_DAYS} days"
    return "of calls only" if group == "status" and asked.metric in OF_DECISIONS else ""


def is_condition(name: str) -> bool:
    """Tell whether a parameter is a condition on a group."""
    return name == NOT_BOTH or name.removeprefix(NOT) in GROUPS


def shown(access: Access, asked: UsageFilter, history: History, now: datetime) -> dict[str, Any]:
    """Return the figures, as cards, chart and tables."""
    window = asked.window
    labels = [labels_of(asked, history, one.names) for one in history.series]
    behind = links.Behind(access.project, asked, history)
    changes = changes_between(access.project, window.start, window.end)
    found = queries.totals(access.project, asked, now)
    columns, before = columns_of(asked.metric), history.previous_total
    return {
        "cards": cards(found, of_calls_alone=asked.conditions.name("status")),
        "length": wording.LENGTHS.get(window.name, "period"),
        "totals": found,
        "has_before": bool(before and (before.requests or before.decisions)),
        "figure": usage_figure(history, asked, labels, behind, changes),
        "changes": [(one, changed_page(access, one)) for one in reversed(changes)],
        "everything": behind.everything(),
        "is_of_decisions": behind.is_of_decisions,
        "columns": [wording.COLUMNS[column] for column in columns],
        "rows": [
            {
                "names": names_of(access.project, asked, history, one.names),
                "swatch": index if not one.is_rest else None,
                "link": behind.series(one),
                "cells": cells_of(
                    asked, columns, one.total, one.previous.total if one.previous else None
                ),
            }
            for index, one in enumerate(history.series, start=1)
        ],
        "total_cells": cells_of(asked, columns, history.total, before),
        "bucket_columns": [" · ".join(names) for names in labels],
        "bucket_rows": [
            (
                place,
                wording.bucket_name(window, start),
                start == history.unfinished,
                [
                    wording.written(asked.metric, one.buckets[start].metric(asked.metric))
                    if start in one.buckets
                    else ""
                    for one in history.series
                ],
            )
            for place, start in reversed([*enumerate(window.bucket_starts)])
            if any(start in one.buckets for one in history.series)
        ],
        "csv_url": links.address(
            asked.as_params(), reverse("usage_csv", args=[access.project.slug])
        ),
    }


def labels_of(asked: UsageFilter, history: History, names: Sequence[str]) -> list[str]:
    """Return how a series is called."""
    if not names:
        return [OTHER]
    return [
        wording.name_of(group, name, history.key_names)
        for group, name in zip(asked.groups, names, strict=True)
    ]


def names_of(
    project: Project, asked: UsageFilter, history: History, names: Sequence[str]
) -> list[dict[str, str]]:
    """Return each name of a series, with where the page is narrowed to it or leaves it out."""
    if not names:
        return [{"text": OTHER}]
    return [
        {
            "text": wording.name_of(group, name, history.key_names),
            "only": links.only(asked, group, name),
            "without": links.without(asked, group, name),
            "timeline": links.timeline(project, name) if group == "session" else "",
        }
        for group, name in zip(asked.groups, names, strict=True)
    ]


def columns_of(metric: str) -> tuple[str, ...]:
    """Return the columns of the table for a metric, with the metric itself among them."""
    if metric in OF_DECISIONS:
        return OF_ROUTING
    columns = OF_LATENCY if metric in LATENCIES else OF_CALLS
    return columns if metric in columns else (*columns, metric)


def cells_of(
    asked: UsageFilter,
    columns: Sequence[str],
    figures: queries.Figures,
    before: queries.Figures | None,
) -> list[str]:
    """Return a row of the table; where it is compared, with what was before and the change."""
    cells = [wording.written(column, figures.metric(column)) for column in columns]
    if not asked.compare:
        return cells
    metric = asked.metric
    earlier = before.metric(metric) if before else None
    return [
        *cells,
        wording.written(metric, earlier),
        change(metric, figures.metric(metric), earlier) or "–",
    ]


def changed_page(access: Access, one: Change) -> str:
    """Return where a change can be looked at; empty where it cannot."""
    if one.versions is None:
        return ""
    of_project = [] if one.what == "table" else [access.project.slug]
    return reverse(COMPARISONS[one.what], args=[*of_project, *one.versions])


def nothing(
    request: HttpRequest, access: Access, asked: UsageFilter, now: datetime
) -> dict[str, Any]:
    """Return why there is nothing to show, and what to do about it."""
    project = access.project
    newest = newest_at(project.pk, of_decisions=asked.metric in OF_DECISIONS)
    if newest is None:
        decision = newest_decision(project.pk)
        empty = "unreported" if decision else "unused"
        return {"empty": empty, "curl": first_report(request, decision)}
    unfiltered = replace(asked, conditions=Conditions())
    if unfiltered != asked and queries.usage_over_time(project, unfiltered, now).series:
        return {"empty": "unmatched"}
    if asked.window.start <= newest < asked.window.end and unfiltered == asked:
        # The rollups are some seconds behind.
        return {"empty": "counting"}
    lasting = {name: one for name, one in asked.as_params().items() if name not in OF_TIME}
    wider = links.address({**lasting, **around(newest, asked, now)})
    return {"empty": "quiet", "newest": newest, "wider": wider}


def around(newest: datetime, asked: UsageFilter, now: datetime) -> dict[str, str]:
    """Return the shortest range that holds a moment; for one long ago the week up to it."""
    zone = asked.window.zone
    for name in wording.LENGTHS:
        if window(name, now, zone).start <= newest:
            return {"range": name}
    day = newest.astimezone(zone).date()
    return {"from": f"{day - timedelta(days=6)}", "to": f"{day}"}


def first_report(request: HttpRequest, decision: Decision | None) -> str:
    """Return a curl line that reports a first call, for a decision if there is one."""
    named = f'"decision_id": "{decision.public_id}",\n        ' if decision else ""
    model = json.dumps(decision.model if decision else settings.BALANCED_MODEL)
    return (
        f"curl {request.build_absolute_uri(reverse('api_usage'))} \\\n"
        '  -H "Authorization: Bearer $API_KEY" \\\n'
        '  -H "Content-Type: application/json" \\\n'
        f"""  -d '{{"events": [{{"event_id": "my-first-call", {named}"model": {model},\n"""
        """        "input_tokens": 1200, "output_tokens": 450, "latency_ms": 5200}]}'"""
    )


def api_call(request: HttpRequest, asked: UsageFilter) -> str:
    """Return a curl line that gets the figures of the page."""
    page = request.build_absolute_uri(reverse("api_usage"))
    return (
        f'curl "{links.address(asked.as_params(), page)}" \\\n  -H "Authorization: Bearer $API_KEY"'
    )


@project_page()
@require_safe
def usage_csv(request: HttpRequest, access: Access) -> HttpResponseBase:
    """The figures of the page as CSV."""
    return as_csv(request, access, "series")


def as_csv(request: HttpRequest, access: Access, rows: str) -> HttpResponseBase:
    """Return the CSV of what a URL asks for, or the problem with it as plain text."""
    now = timezone.now()
    asked, problem = ask(request.GET, now, access.project.team.time_zone)
    if problem:
        return HttpResponse(f"{problem}\n", content_type="text/plain; charset=utf-8", status=400)
    do_catch_up()
    return export(access.project, asked, rows, now)
