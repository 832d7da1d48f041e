"""The leaderboard weighted by a project's traffic."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_safe

from leaderboard import board
from leaderboard.filters import one_of
from leaderboard.queries import NO_ORIGIN, current_table
from leaderboard.views import SORT_COLUMNS, line
from lib import taxonomy
from lib.errors import ApiError
from routing.live_evidence import HALF_LIFE_DAYS, combine, lines
from routing.queries.outcomes import failing_models, team_outcomes
from routing.queries.policies import current_policy
from teams.access import Access, project_page
from usage import queries
from usage.charts import weighted_figure
from usage.weighting import Traffic, mix_of, standing_of, weigh

# What the board is weighted by: so long back, and not by fewer decisions than this.
TRAFFIC_DAYS = 30
LEAST_TRAFFIC = 20


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
