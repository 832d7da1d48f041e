"""Writes response bodies."""

from collections.abc import Mapping
from typing import Any

import msgspec
from rest_framework.renderers import BaseRenderer


class JsonRenderer(BaseRenderer):
    """JSON of large answers: an order of magnitude faster than DRF's own, which it stands in for.

    Times are ISO 8601, and structs and dataclasses objects.
    """

    media_type = "application/json"
    format = "json"
    charset = None

    def render(
        self,
        data: Any,
        accepted_media_type: str | None = None,
        renderer_context: Mapping[str, Any] | None = None,
    ) -> bytes:
        """Return the body; none for None, as of an answer without one."""
        return b"" if data is None else msgspec.json.encode(data)
