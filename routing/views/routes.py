"""The page of a route: who wins this kind of task, and why."""

from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from leaderboard.queries import measures_of
from lib.money import format_usd
from lib.taxonomy import DIFFICULTIES, ROUTES, label
from routing.engine.explain import VERDICTS
from routing.engine.inputs import MODES
from routing.engine.outcome import Candidate
from routing.models import Mode
from routing.queries.routes import route_winners
from routing.winners import Win


@require_safe
def route(request: HttpRequest, task_type: str, subtask_type: str) -> HttpResponse:
    """Show who wins a route in each mode and difficulty, and the candidates of one of them."""
    name = f"{task_type}/{subtask_type}"
    if name not in ROUTES:
        raise Http404
    found = route_winners(name)
    mode = known(request.GET.get("mode"), MODES, MODES[0])
    difficulty = known(request.GET.get("difficulty"), DIFFICULTIES, DIFFICULTIES[1])
    shown = next(
        (one for one in found.wins if (one.mode, one.difficulty) == (mode, difficulty)), None
    )
    context = {
        "route": name,
        "task_label": label(task_type),
        "title": label(subtask_type),
        "task_type": task_type,
        "subtask_type": subtask_type,
        "table": found.table,
        "rules": found.rules,
        "measures": measures_of(name),
        "modes": [
            (Mode(one).label, [win_line(win) for win in found.wins if win.mode == one])
            for one in MODES
        ],
        "mode": mode,
        "mode_label": Mode(mode).label,
        "mode_choices": [(one, Mode(one).label) for one in MODES],
        "difficulty": difficulty,
        "difficulties": DIFFICULTIES,
        "shown": shown,
        "candidates": [candidate_line(one) for one in shown.candidates] if shown else [],
    }
    return render(request, "leaderboard/route.html", context)


def known(value: str | None, allowed: tuple[str, ...], default: str) -> str:
    """Return the value if it is one of the allowed, else the default."""
    return value if value in allowed else default


def win_line(win: Win) -> dict[str, Any]:
    """Return a win as the page words it."""
    choice = win.choice
    return {
        "difficulty": label(win.difficulty),
        "model": choice.model if choice else None,
        "why": choice.reason_text if choice else "No model of the table can take such a request.",
        "chosen": candidate_line(choice.chosen) if choice and choice.chosen else None,
        "runner_up": candidate_line(win.runner_up) if win.runner_up else None,
    }


def candidate_line(candidate: Candidate) -> dict[str, Any]:
    """Return a candidate as the page words it."""
    return {
        "model": candidate.model,
        "is_chosen": candidate.verdict == "chosen",
        "accuracy": f"{candidate.accuracy:.1%}",
        "accuracy_range": f"{candidate.low:.1%} to {candidate.high:.1%}",
        "bar_mean": f"{candidate.accuracy * 100:.1f}",
        "bar_low": f"{candidate.low * 100:.1f}",
        "bar_width": f"{(candidate.high - candidate.low) * 100:.1f}",
        "cost": format_usd(candidate.cost_micro_usd),
        "clears": "–" if candidate.clears is None else f"{candidate.clears:.0%}",
        "verdict": VERDICTS[candidate.verdict],
    }
