"""Reads JSON request bodies of a bounded size."""

from collections.abc import Mapping
from typing import IO, Any

import msgspec
from rest_framework.parsers import BaseParser

from lib.errors import ApiError

MAX_BODY_BYTES = 1024 * 1024


class BoundedJsonParser(BaseParser):
    """JSON of at most `MAX_BODY_BYTES`; whatever else comes is a 400 or a 413, never a crash."""

    media_type = "application/json"

    def parse(
        self,
        stream: IO[Any],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> Any:
        """Return the decoded body."""
        body = stream.read(MAX_BODY_BYTES + 1)
        if len(body) > MAX_BODY_BYTES:
            raise ApiError(
                413,
                "body_too_large",
                f"The body is larger than {MAX_BODY_BYTES} bytes. Send smaller batches.",
            )
        try:
            return msgspec.json.decode(body)
        except RecursionError:
            raise ApiError(400, "invalid_json", "The body is nested too deeply.") from None
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise ApiError(400, "invalid_json", f"The body is not valid JSON: {error}.") from error
