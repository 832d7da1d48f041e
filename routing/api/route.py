"""``POST /api/v1/route``: the hot path, hence a plain view without DRF around it."""

import functools
from collections.abc import Callable
from typing import Any

import msgspec
import structlog
from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse
from django.http.request import UnreadablePostError
from django.views.decorators.csrf import csrf_exempt

from lib.errors import ApiError, database_away, error_body
from routing.actions.routing import Routed, do_route
from routing.api import shapes
from routing.classifier import RequestText, read_request, top_contributions
from routing.engine.outcome import Choice
from routing.queries.live import situation
from teams.authentication import bearer_token, invalid_key, require_scope
from teams.keys import Scope

log = structlog.get_logger()
encode = msgspec.json.Encoder().encode
FLAGS = {"true": True, "1": True, "false": False, "0": False}


def answers_errors(
    view: Callable[[HttpRequest], HttpResponse],
) -> Callable[[HttpRequest], HttpResponse]:
    """Render an ApiError of a plain view as the one error envelope."""

    @functools.wraps(view)
    def answered(request: HttpRequest) -> HttpResponse:
        try:
            return view(request)
        except (ApiError, OperationalError, InterfaceError) as raised:
            error = raised if isinstance(raised, ApiError) else database_away(raised)
            body = encode(error_body(error, getattr(request, "request_id", "")))
            response = HttpResponse(body, content_type="application/json", status=error.status)
            if error.status == 401:
                response["WWW-Authenticate"] = "Bearer"
            if error.status == 405:
                response["Allow"] = "POST"
            if error.retry_after_seconds is not None:
                response["Retry-After"] = str(error.retry_after_seconds)
            return response

    return answered


@csrf_exempt
@answers_errors
def route(request: HttpRequest) -> HttpResponse:
    """Answer with a decision. `dry_run` records nothing, `explain` adds every candidate."""
    if request.method != "POST":
        raise ApiError(405, "method_not_allowed", "Send a POST request with a JSON body.")
    token = bearer_token(request.headers.get("Authorization", ""))
    explain, dry_run = flag(request, "explain"), flag(request, "dry_run")
    data = read_body(request)
    # The key comes before the body's faults, so that a stranger learns nothing but "401"; the
    # session is in the body, and both are looked up in one trip.
    body, fault = attempt(data)
    known = situation(token, body.session_id if body else None)
    if known is None:
        raise invalid_key()
    require_scope(known.holder, Scope.ROUTE_WRITE)
    if body is None:
        assert fault is not None
        raise fault
    messages = [{"role": message.role, "content": message.content} for message in body.messages]
    tools = shapes.tool_names(body)
    routed = do_route(
        known,
        messages,
        shapes.requirements(body, len(data)),
        mode=body.mode,
        tools=tools,
        task=body.task,
        session_id=body.session_id,
        record=not dry_run,
    )
    found = answer(routed)
    if explain:
        found |= explanation(routed, read_request(messages, body.mode, tools))
    return HttpResponse(encode(found), content_type="application/json")


def attempt(data: bytes) -> tuple[shapes.RouteBody | None, ApiError | None]:
    """Parse a body; its fault is returned instead of raised."""
    try:
        return shapes.parse(data), None
    except ApiError as fault:
        return None, fault


def read_body(request: HttpRequest) -> bytes:
    """Return the whole body. Raises 413 when it is over the limit."""
    try:
        return request.body
    except RequestDataTooBig as error:
        limit = settings.API_MAX_BODY_BYTES
        raise ApiError(
            413,
            "body_too_large",
            f"The body is larger than {limit:,} bytes. Send only the system prompt, the first user"
            " turn and the latest turns, and the whole conversation's size as 'context_tokens'.",
        ) from error
    except UnreadablePostError as error:
        raise ApiError(400, "body_incomplete", "The body ended early. Send it again.") from error


def flag(request: HttpRequest, name: str) -> bool:
    """Return a yes/no query parameter. Raises 400 for anything else."""
    value = request.GET.get(name)
    if value is None:
        return False
    try:
        return FLAGS[value.lower()]
    except KeyError:
        raise ApiError(
            400, "invalid_parameter", f"{name} must be true or false.", param=name
        ) from None


def answer(routed: Routed) -> dict[str, Any]:
    """Return the decision as the API shows it."""
    choice, expected = routed.choice, routed.choice.estimate
    return {
        "id": routed.decision_id,
        "model": choice.model,
        "fallback_models": choice.fallback_models,
        "runner_up": routed.evidence.runner_up,
        "reason": {"code": choice.reason_code, "text": choice.reason_text},
        "route": route_part(choice),
        "estimate": None
        if expected is None
        else {
            "accuracy": {
                "mean": expected.accuracy,
                "low": expected.low,
                "high": expected.high,
            },
            "cost_micro_usd": expected.cost_micro_usd,
            "baseline_cost_micro_usd": choice.baseline_cost_micro_usd,
        },
        "ladder": choice.ladder,
        "budget": routed.evidence.budget,
        "session": {
            "id": routed.session_id,
            "sticky": choice.sticky,
            "switched": choice.switched,
            "switch_reason": choice.switch_reason,
        },
        "policy": {"version": routed.policy_version, "mode": choice.mode},
        "table_version": routed.table_version,
    }


def explanation(routed: Routed, text: RequestText) -> dict[str, Any]:
    """Return what stands behind a decision.

    The words that spoke for the route are told to the caller who sent them, and kept nowhere.
    """
    believed = routed.choice.classification
    return {
        "candidates": routed.evidence.candidates,
        "probabilities": routed.evidence.classification,
        "contributions": [
            {"feature": feature, "weight": round(weight, 3)}
            for feature, weight in top_contributions(text, believed)
        ]
        if believed is not None and believed.source == "classifier"
        else [],
    }


def route_part(choice: Choice) -> dict[str, Any] | None:
    """Return what the request was taken to be about; null when it could not be classified."""
    believed = choice.classification
    if believed is None:
        return None
    return {
        "task_type": believed.task_type,
        "subtask_type": believed.subtask_type,
        "difficulty": believed.difficulty,
        "confidence": round(believed.confidence, 4),
    }
