"""Reads the evidence of a recorded decision back into what the engine decides on. Pure.

Shares are recorded to four decimals, so what is read back is that close to what was decided on.
Records of earlier versions may lack keys.
"""

from collections.abc import Mapping
from typing import Any

from lib.taxonomy import DIFFICULTIES, ROUTES
from routing.engine.classification import Classification
from routing.engine.inputs import Request


def classification_of(evidence: Mapping[str, Any]) -> Classification | None:
    """Return what the request was taken to be about, None when it was not classified.

    Rounded shares are made to sum to one again.
    """
    reading = evidence.get("classification")
    if not reading:
        return None
    routes = [reading["routes"].get(route, 0.0) for route in ROUTES]
    difficulties = [reading["difficulties"].get(name, 0.0) for name in DIFFICULTIES]
    if not (sum(routes) > 0 and sum(difficulties) > 0):
        return None
    return Classification(
        tuple(share / sum(routes) for share in routes),
        tuple(share / sum(difficulties) for share in difficulties),
        reading.get("source", "classifier"),
    )


def request_of(evidence: Mapping[str, Any]) -> Request | None:
    """Return what the request asked of any model, None when that was not recorded."""
    asked = evidence.get("request")
    if not asked:
        return None
    return Request(
        context_tokens=asked["context_tokens"],
        modalities=frozenset(asked["modalities"]),
        needs_tools=asked["tools"],
        in_tool_loop=asked["in_tool_loop"],
        verifiable=asked.get("verifiable", False),
    )
