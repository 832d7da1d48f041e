"""One error shape for every path of the API: the OpenAI envelope.

`ApiError` can be raised from anywhere below a view; kilo_site renders it.
"""

from typing import Any

import structlog

log = structlog.get_logger()

TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "budget_error",
    403: "permission_error",
    404: "not_found_error",
    405: "invalid_request_error",
    406: "invalid_request_error",
    409: "conflict_error",
    412: "conflict_error",
    413: "invalid_request_error",
    415: "invalid_request_error",
    422: "invalid_request_error",
    428: "invalid_request_error",
    429: "rate_limit_error",
    500: "server_error",
    503: "server_error",
}


class ApiError(Exception):
    """A request that cannot be answered, with the message that says how to mend it."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        param: str | None = None,
        details: Any = None,
        retry_after_seconds: int | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message
        self.param, self.details = param, details
        self.retry_after_seconds = retry_after_seconds


def database_away(cause: Exception) -> ApiError:
    """Return the 503 of a database that cannot be reached."""
    log.error("database_unavailable", error=str(cause))
    return ApiError(
        503,
        "database_unavailable",
        "The database cannot be reached. Send the request again soon.",
        retry_after_seconds=5,
    )


def error_body(error: ApiError, request_id: str) -> dict[str, Any]:
    """Return the envelope as a JSON-ready dict."""
    return {
        "error": {
            "message": error.message,
            "type": TYPES.get(error.status, "server_error"),
            "code": error.code,
            "param": error.param,
            "request_id": request_id,
            "details": error.details,
        }
    }
