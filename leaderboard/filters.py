"""What a visitor may choose on the leaderboard: the same parameters on the page, in CSV and API."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from leaderboard.board import SORTS
from lib.errors import ApiError
from lib.taxonomy import ROUTES

BOARD_PARAMS = ("route", "provider", "sort")


@dataclass(frozen=True)
class BoardFilter:
    """A route (None = all measured ones), a provider (None = all), and what to sort by."""

    route: str | None = None
    provider: str | None = None
    sort: str = "accuracy"


def read_board_filter(params: Mapping[str, str], providers: Collection[str] | None) -> BoardFilter:
    """Return the filter that the parameters ask for. Raises ApiError 400 naming the allowed values.

    `providers` is None when no table says which there are; then any is accepted.
    """
    return BoardFilter(
        route=one_of(params, "route", ROUTES),
        provider=one_of(params, "provider", providers),
        sort=one_of(params, "sort", tuple(SORTS)) or BoardFilter.sort,
    )


def one_of(params: Mapping[str, str], name: str, allowed: Collection[str] | None) -> str | None:
    """Return a parameter's value, None when missing or empty."""
    value = params.get(name)
    if not value:
        return None
    if allowed is not None and value not in allowed:
        raise ApiError(
            400,
            "invalid_parameter",
            f"{name}: there is no '{value[:80]}'. Use one of: {', '.join(allowed)}.",
            param=name,
            details={"allowed": list(allowed)},
        )
    return value


def refuse_unknown(params: Mapping[str, str], known: Collection[str]) -> None:
    """Raise ApiError 400 when there is a parameter that means nothing here."""
    for name in params:
        if name not in known:
            takes = f"It takes: {', '.join(known)}." if known else "It takes none."
            raise ApiError(
                400,
                "unknown_parameter",
                f"This call has no parameter '{name[:80]}'. {takes}",
                param=name[:80],
                details={"allowed": list(known)},
            )
