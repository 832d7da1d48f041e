"""What came in just now, for the counter that the Usage and Overview pages keep up to date."""

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils import timezone
from django.views.decorators.http import require_safe

from teams.access import Access, project_page
from usage.queries.live import recent_calls


@project_page()
@require_safe
def live(request: HttpRequest, access: Access) -> HttpResponse:
    """The calls of the last minutes, and whether there ever was one, or a decision."""
    found = recent_calls(access.project.pk, timezone.now())
    answer = {
        "calls": found.calls,
        "is_capped": found.is_capped,
        "seconds_ago": found.seconds_ago,
        "model": found.model,
        "started": found.started,
        "decided": found.decided,
    }
    return JsonResponse(answer, headers={"Cache-Control": "no-store"})
