"""Routing tables: the operators' page to publish and go back, and what changed between two."""

from typing import Any

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods, require_safe

from leaderboard.actions.publishing import PublishRefused, do_publish_all, do_roll_back
from leaderboard.queries import current_version, public_tables
from lib.money import format_usd
from lib.taxonomy import label, split_route
from routing.comparison import CellChange, Chosen, Comparison
from routing.engine.inputs import MODES
from routing.models import Mode
from routing.queries.tables import comparison
from teams.access import operator_of, operator_page
from teams.models import User
from teams.queries import projects_of

WORDS = {
    "context_tokens": "context",
    "input_micro_usd": "input price",
    "output_micro_usd": "output price",
    "cache_read_micro_usd": "price of cached input",
    "cache_write_micro_usd": "price of cache writes",
}
NEWEST = 50
LARGEST = 20


@operator_page
@require_http_methods(["GET", "HEAD", "POST"])
def tables(request: HttpRequest) -> HttpResponse:
    """List the public tables, newest first; POST publishes from what is there now."""
    if request.method == "POST":
        return publish(request)
    return render(request, "routing/tables.html", listing(request))


def publish(request: HttpRequest) -> HttpResponse:
    """Publish, and say what came of it."""
    public, *of_teams = do_publish_all(actor=operator_of(request))
    if public.table is None:
        context = {**listing(request), "refusal": public.refusal}
        return render(request, "routing/tables.html", context, status=409)
    state = "is published" if public.is_new else "says the same as before, and stays current"
    own = sum(one.table is not None for one in of_teams)
    also = f" So are the tables of {own} teams with results of their own." if own else ""
    messages.success(request, f"{public.table.version} {state}.{also}")
    return redirect("tables")


def listing(request: HttpRequest) -> dict[str, Any]:
    """Return what the page shows."""
    return {
        "tables": public_tables()[:NEWEST],
        "current": current_version(),
        "limit": NEWEST,
        "zone": zone_of(request),
    }


def zone_of(request: HttpRequest) -> str:
    """Return the time zone that a person's teams have, since these pages belong to no team.

    It is UTC where the teams are in several, and for people without one.
    """
    projects = projects_of(request.user) if isinstance(request.user, User) else ()
    zones = {project.team.time_zone for project in projects}
    return zones.pop() if len(zones) == 1 else "UTC"


@operator_page
@require_http_methods(["GET", "HEAD", "POST"])
def make_table_current(request: HttpRequest, version: str) -> HttpResponse:
    """Ask once more, then go back to an earlier table."""
    table = get_object_or_404(public_tables(), version=version)
    context: dict[str, Any] = {
        "table": table,
        "current": current_version(),
        "zone": zone_of(request),
    }
    if request.method != "POST":
        return render(request, "routing/tables_make_current.html", context)
    try:
        do_roll_back(version, actor=operator_of(request))
    except PublishRefused as refusal:
        context["refusal"] = str(refusal)
        return render(request, "routing/tables_make_current.html", context, status=409)
    messages.success(request, f"{version} is current. Requests follow it within seconds.")
    return redirect("tables")


@require_safe
def compare_tables(request: HttpRequest, before: str, after: str) -> HttpResponse:
    """Show anyone what changed between two public tables."""
    found = comparison(before, after)
    if found is None:
        raise Http404
    published = dict(public_tables().values_list("version", "published_at"))
    context = {
        "comparison": found,
        "before_at": published[before],
        "after_at": published[after],
        "zone": zone_of(request),
        "models": [
            (
                one.model,
                WORDS.get(one.field, one.field.replace("_", " ")),
                shown(one.field, one.before),
                shown(one.field, one.after),
            )
            for one in found.models
        ],
        "choices": choices(found),
        "savings": savings(found),
        "accuracies": [accuracy_line(cell) for cell in found.largest_accuracy_changes(LARGEST)],
        "costs": [cost_line(cell) for cell in found.largest_cost_changes(LARGEST)],
    }
    return render(request, "routing/tables_compare.html", context)


def shown(field: str, value: object) -> str:
    """Return what a table says of a model, as people read it."""
    if value is None:
        return "–"
    if field.endswith("_micro_usd") and isinstance(value, int):
        return f"{format_usd(value)} per million"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ", ".join(value) if isinstance(value, tuple) else str(value)


def choices(found: Comparison) -> list[dict[str, Any]]:
    """Return the routes and modes in which another model is chosen."""
    return [
        {
            "route": route_label(one.route),
            "mode": Mode(one.mode).label,
            "before": choice_line(one.before),
            "after": choice_line(one.after),
        }
        for one in found.choices
        if one.changes_model
    ]


def choice_line(chosen: Chosen) -> dict[str, Any]:
    """Return a choice as the page words it."""
    known = chosen.accuracy is not None
    return {
        "model": chosen.model or "no model",
        "figures": f"{chosen.accuracy:.1%}, {format_usd(chosen.cost_micro_usd)}" if known else "",
    }


def savings(found: Comparison) -> list[dict[str, Any]]:
    """Return the routes whose expected saving differs in the default mode."""
    return [
        {
            "route": route_label(one.route),
            "before": percent(one.before.saving),
            "after": percent(one.after.saving),
        }
        for one in found.choices
        if one.mode == MODES[0] and one.changes_saving
    ]


def percent(saving: float | None) -> str:
    """Return a share of the baseline's cost."""
    return "–" if saving is None else f"{saving:.1%}"


def accuracy_line(cell: CellChange) -> dict[str, Any]:
    """Return a change of accuracy as the page words it."""
    return {
        **place(cell),
        "before": f"{cell.before.accuracy.mean:.1%}",
        "after": f"{cell.after.accuracy.mean:.1%}",
        "change": f"{cell.accuracy_change * 100:+.1f} points",
    }


def cost_line(cell: CellChange) -> dict[str, Any]:
    """Return a change of cost as the page words it."""
    return {
        **place(cell),
        "before": format_usd(cell.before.cost.mean),
        "after": format_usd(cell.after.cost.mean),
        "change": f"×{cell.cost_ratio:.3g}",
    }


def place(cell: CellChange) -> dict[str, Any]:
    """Return where a cell is."""
    return {
        "model": cell.model,
        "route": route_label(cell.route),
        "difficulty": cell.difficulty,
        "n": (cell.before.n, cell.after.n),
    }


def route_label(route: str) -> str:
    """Return a route as people read it: "Debugging / Bug fixing"."""
    return " / ".join(label(part) for part in split_route(route))
