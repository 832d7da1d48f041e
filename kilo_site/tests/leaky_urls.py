"""The site's URLs plus some that break the rules, to prove that the isolation contract bites."""

from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import include, path

from kilo_site import urls as site
from routing.models import Decision
from teams.access import Access, project_page
from teams.actions import do_create_project
from teams.authentication import bearer_token, invalid_key
from teams.models import Project
from teams.queries import verify_key

handler400, handler403 = site.handler400, site.handler403
handler404, handler500 = site.handler404, site.handler500


@login_required
def no_door(request: HttpRequest, project: str) -> HttpResponse:
    """A page that asks who you are, and not whether you may."""
    decisions = Decision.objects.filter(project__slug=project)
    return HttpResponse("\n".join(decision.session_id for decision in decisions))


@project_page()
def writes_first(request: HttpRequest, access: Access) -> HttpResponse:
    """A page that refuses a viewer when it is too late."""
    if request.method == "POST":
        do_create_project(access.project.team, "Extra", actor=access.actor)
        if not access.can_manage_keys:
            raise PermissionDenied
    return HttpResponse("apollo-secret")


def any_key(request: HttpRequest) -> HttpResponse:
    """A call that takes any valid key, without a look at its project or its scopes."""
    if verify_key(bearer_token(request.headers.get("Authorization", "Bearer x"))) is None:
        return HttpResponse(status=invalid_key().status)
    return JsonResponse({"data": list(Decision.objects.values_list("session_id", flat=True))})


def to_everyone(request: HttpRequest) -> HttpResponse:
    """A public page about a project."""
    return HttpResponse("\n".join(Project.objects.values_list("team__name", flat=True)))


def crashes(request: HttpRequest) -> HttpResponse:
    """A bug."""
    raise RuntimeError("the inner workings")


leaks = [
    path("projects/<slug:project>/no-door/", no_door, name="no_door"),
    path("projects/<slug:project>/writes-first/", writes_first, name="writes_first"),
    path("api/v1/any-key", any_key, name="any_key"),
    path("to-everyone/", to_everyone, name="to_everyone"),
    path("api/v1/crashes", crashes, name="crashes"),
    path("nameless/<int:number>/", to_everyone),
]
urlpatterns = [*site.urlpatterns, path("", include((leaks, "leaks"), namespace="leaks"))]
