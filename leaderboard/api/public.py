"""What all public calls share: open to anyone, the same for everyone, cacheable."""

import hashlib
from collections.abc import Iterator
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.utils.cache import get_conditional_response
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.request import Request
from rest_framework.views import APIView

from leaderboard import board
from lib.csv_text import to_csv

JSON = "application/json"


CSV = "text/csv; charset=utf-8"


CACHE_CONTROL = "public, max-age=60"


ACCURACY_DIGITS = 6


BAD_CURSOR = "cursor: pass on `next_cursor` of the page before, unchanged."


CURSOR = OpenApiParameter("cursor", description="The `next_cursor` of the page before.")


CSV_RESPONSE = {(200, "text/csv"): OpenApiTypes.STR}


MODEL_PARAMETERS = [
    OpenApiParameter("harness", description="Only models with public runs made in this harness."),
    OpenApiParameter("provider", description="Only this provider's models."),
    OpenApiParameter(
        "max_price", float, description="Only models at most this dear, $ per 1M output tokens."
    ),
    OpenApiParameter("modality", description="Only models that read this, such as image."),
]


class ByPath(BaseContentNegotiation):
    """The path alone says what comes back, whatever the Accept header holds."""

    def select_parser(self, request: Request, parsers: Any) -> Any:
        """Return the only one."""
        return parsers[0]

    def select_renderer(self, request: Request, renderers: Any, format_suffix: Any = None) -> Any:
        """Return the one that errors are written with."""
        return renderers[0], renderers[0].media_type


class PublicView(APIView):
    """Open to anyone, and the same for everyone."""

    authentication_classes = ()
    permission_classes = ()
    content_negotiation_class = ByPath


def answer(request: Request, body: bytes, content_type: str) -> HttpResponse:
    """Return the body with its cache headers, or 304 when the caller has it already."""
    http_request: HttpRequest = request._request
    etag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
    response = HttpResponse(body, content_type=content_type)
    response["ETag"] = etag
    response["Cache-Control"] = CACHE_CONTROL
    conditional = get_conditional_response(http_request, etag=etag, response=response)
    return conditional if isinstance(conditional, HttpResponse) else response


def csv_answer(request: Request, columns: tuple[str, ...], rows: Iterator[Any]) -> HttpResponse:
    """Return rows as CSV."""
    return answer(request, to_csv(columns, rows).encode(), CSV)


def interval(mean: float, low: float, high: float) -> dict[str, float]:
    """Return an accuracy."""
    return {
        "mean": round(mean, ACCURACY_DIGITS),
        "low": round(low, ACCURACY_DIGITS),
        "high": round(high, ACCURACY_DIGITS),
    }


def money(mean: float, low: float, high: float) -> dict[str, int]:
    """Return a cost in whole micro-USD."""
    return {"mean": round(mean), "low": round(low), "high": round(high)}


def figures_of(accuracy: board.Interval, cost: board.Interval, n: int) -> dict[str, Any]:
    """Return what is expected of a model somewhere."""
    return {
        "accuracy": interval(accuracy.mean, accuracy.low, accuracy.high),
        "cost_micro_usd": money(cost.mean, cost.low, cost.high),
        "n": n,
    }
