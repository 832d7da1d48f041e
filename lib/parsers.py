"""Reads request bodies of a bounded size; whatever else comes is a 400 or a 413, never a crash."""

import json
import re
from collections.abc import Mapping
from typing import IO, Any, ClassVar

import msgspec
from rest_framework.parsers import BaseParser

from lib.errors import ApiError


class BoundedParser(BaseParser):
    """Hands on a body of at most `max_bytes` to `read`; `advice` tells what to do about more."""

    max_bytes: ClassVar = 1024 * 1024
    advice: ClassVar = "Send less at once."

    def parse(
        self,
        stream: IO[Any],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> Any:
        """Return what the body holds. Raises ApiError 413 for a larger one."""
        body = stream.read(self.max_bytes + 1)
        if len(body) > self.max_bytes:
            message = f"The body is larger than {self.max_bytes:,} bytes. {self.advice}"
            raise ApiError(413, "body_too_large", message)
        return self.read(body)

    def read(self, body: bytes) -> Any:
        """Return what the body holds."""
        raise NotImplementedError


SURROGATE = re.compile(r"[\ud800-\udfff]")
# What msgspec says of half a surrogate pair would mislead.
HALF = (
    "a text holds half of a character, such as \\ud83d: it was cut within an emoji. Cut it between"
    " characters"
)


def why_not_json(body: bytes, error: Exception) -> str:
    """Return why a body is not JSON that can be stored, as the end of a sentence."""
    found = json.dumps(read_leniently(body), ensure_ascii=False)
    return HALF if SURROGATE.search(found) else str(error)


def read_leniently(body: bytes) -> Any:
    """Return what a body holds where its only faults are halves of characters, which are left as
    they are, and numbers without bounds; None for anything else.
    """
    try:
        return json.loads(body.decode())
    except (ValueError, RecursionError):
        return None


class JsonParser(BoundedParser):
    """JSON, with text that can be stored."""

    media_type = "application/json"

    def read(self, body: bytes) -> Any:
        """Return the decoded body. Raises ApiError 400 for anything but JSON."""
        try:
            return msgspec.json.decode(body)
        except RecursionError:
            raise ApiError(400, "invalid_json", "The body is nested too deeply.") from None
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            message = f"The body is not valid JSON: {why_not_json(body, error)}."
            raise ApiError(400, "invalid_json", message) from error
