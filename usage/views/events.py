"""The calls behind the figures of the Usage page."""

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_safe

from lib.errors import ApiError
from lib.paging import page_of
from routing.filters import read_flag
from teams.access import Access, project_page
from usage import links, queries, wording
from usage.models import UsageEvent
from usage.question import UsageFilter, time_params
from usage.views.history import as_csv, ask, key_names

PAGE_SIZE = 50


@project_page()
@require_safe
def usage_events(request: HttpRequest, access: Access) -> HttpResponse:
    """The calls that the URL asks for, newest first, with the filters of the Usage page."""
    project, slug = access.project, access.project.slug
    asked, problem = ask(request.GET, timezone.now(), project.team.time_zone)
    differs, cursor = None, request.GET.get("cursor", "")
    try:
        differs = read_flag(request.GET, "cost_differs")
        events, next_cursor = page(project.pk, asked, differs, cursor)
    except ApiError as error:
        problem, cursor = problem or error.message, ""
        events, next_cursor = page(project.pk, asked, differs, "")
    params = time_params(asked.window) | asked.conditions.as_params()
    flag = {} if differs is None else {"cost_differs": str(differs).lower()}
    names = key_names(project.pk, asked.conditions)
    context = {
        "access": access,
        "problem": problem,
        "zone": project.team.time_zone,
        "stretch": wording.stretch(asked.window),
        "events": events,
        "cursor": cursor,
        "newest_url": links.address({**params, **flag}),
        "older_url": next_cursor and links.address({**params, **flag, "cursor": next_cursor}),
        "chips": links.chips({**params, **flag}, asked.conditions, names),
        "cleared": links.address(time_params(asked.window)),
        "differs": differs,
        "differs_url": links.address(params if differs else {**params, "cost_differs": "true"}),
        "usage_url": links.address(params, reverse("usage", args=[slug])),
        "csv_url": links.address(params, reverse("usage_events_csv", args=[slug])),
    }
    return render(request, "usage/events.html", context, status=400 if problem else 200)


def page(
    project_id: int, asked: UsageFilter, differs: bool | None, cursor: str
) -> tuple[list[UsageEvent], str | None]:
    """Return one page of calls and the cursor of the next."""
    window = asked.window
    rows = queries.events_where(project_id, window.start, window.end, asked.conditions, differs)
    return page_of(
        rows, cursor=cursor, limit=PAGE_SIZE, id_field="event_id", time_field="occurred_at"
    )


@project_page()
@require_safe
def usage_events_csv(request: HttpRequest, access: Access) -> HttpResponseBase:
    """The calls that the URL asks for as CSV."""
    return as_csv(request, access, "events")
