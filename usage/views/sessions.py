"""Sessions: the newest ones, and one turn by turn."""

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_safe

from teams.access import Access, project_page
from usage.charts import session_figure
from usage.queries import MAX_SERIES
from usage.queries import sessions as session_queries
from usage.timeline import Timeline


@project_page()
@require_safe
def sessions(request: HttpRequest, access: Access) -> HttpResponse:
    """The newest sessions; with `?session=` the timeline of one.

    The id of a session is any text, which no path could hold.
    """
    zone = access.project.team.time_zone
    context = {"access": access, "zone": zone}
    session_id = request.GET.get("session", "")
    if not session_id:
        context |= {
            "sessions": session_queries.newest_sessions(access.project.pk),
            "looked_at": session_queries.LOOKED_AT,
        }
        return render(request, "usage/sessions.html", context)
    found = session_queries.find_session(access.project.pk, session_id)
    if found is None:
        raise Http404
    context |= {
        "session_id": session_id,
        "timeline": found.timeline,
        "turns": [
            (turn, [(line, swatch_of(line.call.model, found.timeline)) for line in turn.lines])
            for turn in found.timeline.turns
        ],
        "is_cut": found.is_cut,
        "max_turns": session_queries.MAX_TURNS,
        "max_calls": session_queries.MAX_CALLS,
        "figure": session_figure(found.timeline, reverse("decisions", args=[access.project.slug])),
    }
    return render(request, "usage/session.html", context)


def swatch_of(model: str, timeline: Timeline) -> int | None:
    """Return the number of the colour that a model has in the chart and the table; None for those
    after the eighth, which have none of their own.
    """
    place = timeline.models.index(model)
    return place + 1 if place < MAX_SERIES else None
