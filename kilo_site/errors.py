"""Turns every failure of the API into the one error envelope, and page failures into pages."""

from typing import Any

import structlog
from django.core.exceptions import PermissionDenied
from django.db import InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.template.loader import render_to_string
from rest_framework import exceptions as drf
from rest_framework.response import Response

from lib.errors import ApiError, database_away, error_body

log = structlog.get_logger()


def request_id_of(request: Any) -> str:
    """Return the id that the middleware gave the request."""
    return str(getattr(request, "request_id", ""))


def as_api_error(exception: Exception) -> ApiError | None:
    """Translate what DRF and Django raise; None for what nobody foresaw."""
    match exception:
        case ApiError():
            return exception
        case drf.ParseError():
            return ApiError(400, "invalid_json", f"The body is not valid JSON: {exception.detail}")
        case drf.ValidationError():
            return validation_error(exception.detail)
        case drf.APIException():
            code = str(exception.default_code)
            return ApiError(exception.status_code, code, str(exception.detail))
        case OperationalError() | InterfaceError():
            return database_away(exception)
        case Http404():
            return ApiError(404, "not_found", "There is nothing here, or it is not yours to see.")
        case PermissionDenied():
            return ApiError(403, "permission_denied", "You may not do this.")
    return None


def validation_error(detail: Any) -> ApiError:
    """Name the first offending parameter in the message and list all of them in the details."""
    param, message = None, detail
    path: list[str] = []
    while not isinstance(message, str):
        if isinstance(message, dict):
            name, message = next(iter(message.items()))
            if name != "non_field_errors":
                path.append(str(name))
        else:
            filled = next((index for index, item in enumerate(message) if item), 0)
            if isinstance(message[filled], dict):
                path.append(str(filled))
            message = message[filled]
    param = ".".join(path) or None
    return ApiError(
        422,
        "invalid_parameter",
        f"{param}: {message}" if param else message,
        param=param,
        details=detail,
    )


def handle_api_exception(exception: Exception, context: dict[str, Any]) -> Response | None:
    """DRF's exception handler."""
    request = context["request"]
    error = as_api_error(exception)
    if error is None:
        return None
    headers = {}
    if wait := getattr(exception, "wait", None):
        headers["Retry-After"] = str(int(wait))
    if error.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    if error.status == 503:
        headers["Retry-After"] = "5"
    body = error_body(error, request_id_of(request._request))
    return Response(body, status=error.status, headers=headers)


def failure(request: HttpRequest, error: ApiError) -> HttpResponse:
    """Answer a failed request: the envelope below /api/, a page elsewhere."""
    if request.path.startswith("/api/"):
        return JsonResponse(error_body(error, request_id_of(request)), status=error.status)
    context = {
        "status": error.status,
        "message": error.message,
        "request_id": request_id_of(request),
    }
    # Rendered without the request: its context processors read the database, which may be what
    # failed.
    return HttpResponse(render_to_string("error.html", context), status=error.status)


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Handler of 400."""
    return failure(request, ApiError(400, "bad_request", "The request could not be understood."))


def permission_denied(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Handler of 403."""
    message = "Your role in this team does not allow this. Ask an admin of the team."
    return failure(request, ApiError(403, "permission_denied", message))


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Handler of 404."""
    return failure(
        request, ApiError(404, "not_found", "There is nothing here, or it is not yours to see.")
    )


def server_error(request: HttpRequest) -> HttpResponse:
    """Handler of 500. Django has logged the traceback; the caller gets the id to quote."""
    message = "Something failed on our side. Quote the request id when you report it."
    return failure(request, ApiError(500, "server_error", message))
