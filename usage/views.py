"""The overview, the leaderboard for a project's traffic, and previews of policies."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_safe

from leaderboard import board
from leaderboard.filters import one_of
from leaderboard.queries import NO_ORIGIN, current_table
from leaderboard.views import SORT_COLUMNS, line
from lib import taxonomy
from lib.errors import ApiError
from routing.forms import PolicyForm
from routing.live_evidence import HALF_LIFE_DAYS, combine, lines
from routing.models import Mode
from routing.queries.decisions import decisions_of
from routing.queries.live import as_rules
from routing.queries.outcomes import failing_models, team_outcomes
from routing.queries.policies import Owner, current_policy, owner_in_force
from routing.views.policy import may_edit, show, show_faulty
from teams.access import Access, project_page
from usage import queries
from usage.actions.rolling import do_catch_up
from usage.cards import cards
from usage.charts import weighted_figure
from usage.filters import read_filter
from usage.weighting import Traffic, mix_of, standing_of, weigh

RECENT = 10
# What the board is weighted by: so long back, and not by fewer decisions than this.
TRAFFIC_DAYS = 30
LEAST_TRAFFIC = 20


@project_page()
@require_safe
def overview(request: HttpRequest, access: Access) -> HttpResponse:
    """The last seven days at a glance, or how to begin."""
    project, now = access.project, timezone.now()
    context: dict[str, Any] = {
        "access": access,
        "policy": current_policy(project.pk),
        "failing": failing_models(project.team_id, now),
    }
    if queries.has_traffic(project.pk):
        do_catch_up()
        asked = read_filter({"range": "7d"}, now, project.team.time_zone)
        context |= {
            "cards": cards(queries.totals(project, asked, now)),
            "decisions": decisions_of(project.pk).order_by("-created_at", "-id")[:RECENT],
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
def project_board(request: HttpRequest, access: Access) -> HttpResponse:
    """The leaderboard weighted by what the project asked for, and where its choices lie on it."""
    problem, sort = "", "accuracy"
    try:
        sort = one_of(request.GET, "sort", tuple(board.SORTS)) or sort
    except ApiError as error:
        problem = error.message
    now, policy = timezone.now(), current_policy(access.project.pk)
    traffic = queries.traffic(access.project.pk, now - timedelta(days=TRAFFIC_DAYS))
    classified = sum(part.decisions for part in traffic if part.is_classified)
    table = current_table(access.project.team_id)
    outcomes = team_outcomes(access.project.team_id, now.date())
    context: dict[str, Any] = {
        "access": access,
        "problem": problem,
        "policy": policy,
        "failing": failing_models(access.project.team_id, now),
        "live": lines(table, outcomes) if table else [],
        "half_life": HALF_LIFE_DAYS,
        "table": table,
        "classified": classified,
        "least": LEAST_TRAFFIC,
        "days": TRAFFIC_DAYS,
        "enough": classified >= LEAST_TRAFFIC,
    }
    if table is not None and classified >= LEAST_TRAFFIC:
        if policy.live_evidence:
            table = combine(table, outcomes)
        mix = mix_of(traffic)
        rows = board.ordered(board.rows_of(table.models, weigh(table, mix)), sort)
        standing = standing_of(table, traffic)
        taken = shares(traffic)
        context |= {
            "figure": weighted_figure(rows, request.get_full_path(), standing),
            "standing": standing,
            "lines": [
                {
                    **line(row, NO_ORIGIN),
                    "share": taken.get(row.model.model_id),
                    "is_balanced": row.model.model_id in policy.balanced_models,
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


@project_page()
@require_http_methods(["GET", "HEAD", "POST"])
def policy_preview(request: HttpRequest, access: Access) -> HttpResponse:
    """Show what a draft of a project's policy would have chosen, before it is saved."""
    return preview_page(request, access, access.project)


@project_page()
@require_http_methods(["GET", "HEAD", "POST"])
def team_policy_preview(request: HttpRequest, access: Access) -> HttpResponse:
    """Show what a draft of a team's default would have chosen for this project's requests."""
    return preview_page(request, access, access.project.team)


def preview_page(request: HttpRequest, access: Access, owner: Owner) -> HttpResponse:
    """Show the policy with the draft that was sent and what it would have chosen."""
    current = owner_in_force(owner)
    if request.method != "POST":
        return show(request, access, owner, current)
    if not may_edit(access, owner):
        raise PermissionDenied
    form = PolicyForm(request.POST, owner=owner, current=current)
    if not form.is_valid():
        return show_faulty(request, access, owner, current, form)
    team_mode = current.team_mode if owner == access.project else Mode.DEFAULT
    rules = as_rules(form.draft(), team_mode)
    preview = queries.policy_preview(access.project, current, rules, timezone.now())
    context = {
        "preview": preview,
        "preview_days": queries.REPLAY_DAYS,
        "preview_rows": preview_rows(preview),
        "based_on": form.cleaned_data["based_on"],
    }
    return show(request, access, owner, current, form, **context)


def preview_rows(preview: queries.Preview) -> list[dict[str, Any]]:
    """Return the two policies of a preview with their intervals in percent of the track."""
    found = preview.replay
    if found is None:
        return []
    rows = []
    for name, outcome in (("In force", found.current), ("Draft", found.draft)):
        accuracy = outcome.accuracy
        track = accuracy and {
            "low": round(accuracy.low * 100, 1),
            "mean": round(accuracy.mean * 100, 1),
            "width": round((accuracy.high - accuracy.low) * 100, 1),
        }
        rows.append({"name": name, "outcome": outcome, "track": track})
    return rows
