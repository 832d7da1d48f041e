"""API keys for Django REST framework."""

from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import MethodNotAllowed
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from lib.errors import ApiError
from teams import queries
from teams.queries import KeyHolder


def bearer_token(header: str) -> str:
    """Return the token of an ``Authorization: Bearer`` header, or raise the 401 that tells how."""
    scheme, _, token = header.partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise ApiError(
            401,
            "missing_api_key",
            "No API key was given. Send it as 'Authorization: Bearer kr_live_...'.",
        )
    return token.strip()


def invalid_key() -> ApiError:
    """Return the 401 of a malformed, unknown or revoked key: they look alike from outside."""
    return ApiError(
        401,
        "invalid_api_key",
        "This API key is not valid: it may be mistyped or revoked. Make a new one on the project's"
        " Keys page.",
    )


def require_scope(holder: KeyHolder, scope: str) -> None:
    """Raise 403 when the key may not do this."""
    if scope not in holder.scopes:
        raise ApiError(
            403,
            "missing_scope",
            f"This API key lacks the scope '{scope}'. Make a key that has it on the project's Keys"
            " page.",
            details={"required": scope, "granted": sorted(holder.scopes)},
        )


class ApiKeyAuthentication(BaseAuthentication):
    """Puts the `KeyHolder` into `request.auth`."""

    def authenticate(self, request: Request) -> tuple[None, KeyHolder]:
        """Verify the key, or raise 401."""
        holder = self.verify(bearer_token(request.headers.get("Authorization", "")))
        if holder is None:
            raise invalid_key()
        return None, holder

    def verify(self, token: str) -> KeyHolder | None:
        """Return the holder of a key; None when it is not valid."""
        return queries.verify_key(token)


class ApiKeyScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """Describes the key in OpenAPI."""

    target_class = "teams.authentication.ApiKeyAuthentication"
    match_subclasses = True
    name = "apiKey"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        """Return the security scheme."""
        return {
            "type": "http",
            "scheme": "bearer",
            "bearerFormat": "kr_live_...",
            "description": "A project's API key, made on its Keys page.",
        }


class HasScope(BasePermission):
    """Asks for the scope that the view names in `required_scopes`, by method."""

    def has_permission(self, request: Request, view: Any) -> bool:
        """Raise 403 with the missing scope, 405 for a method without one, or let pass."""
        if request.method not in view.required_scopes:
            raise MethodNotAllowed(str(request.method))
        holder = request.auth
        assert isinstance(holder, KeyHolder)
        require_scope(holder, view.required_scopes[request.method])
        return True
