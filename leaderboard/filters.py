"""What a visitor may choose on the leaderboard: the same parameters on the page, in CSV and API."""

import math
from collections.abc import Collection
from dataclasses import dataclass

from django.http import QueryDict

from leaderboard import board
from leaderboard.board import SORTS
from leaderboard.queries import Origins
from leaderboard.table import Table
from lib.errors import ApiError
from lib.taxonomy import ROUTES

MODEL_PARAMS = ("harness", "provider", "max_price", "modality")
BOARD_PARAMS = ("route", *MODEL_PARAMS, "sort", "compare")
MOST_COMPARED = 6


@dataclass(frozen=True)
class BoardFilter:
    """What to show: None and empty mean all of it.

    `max_price` is in dollars per million output tokens; `compare` names the models to show alone,
    side by side.
    """

    route: str | None = None
    harness: str | None = None
    provider: str | None = None
    max_price: float | None = None
    modality: str | None = None
    sort: str = "accuracy"
    compare: tuple[str, ...] = ()

    @property
    def params(self) -> dict[str, str]:
        """The parameters of an address that asks for this."""
        values = {
            **{name: getattr(self, name) for name in BOARD_PARAMS},
            "max_price": None if self.max_price is None else f"{self.max_price:.12g}",
            "sort": self.sort if self.sort != BoardFilter.sort else None,
            "compare": ",".join(self.compare),
        }
        return {name: value for name, value in values.items() if value}


@dataclass(frozen=True)
class Choices:
    """The values that a filter may have."""

    providers: Collection[str]
    harnesses: Collection[str]
    modalities: Collection[str]
    models: Collection[str]


def choices_of(table: Table, origins: Origins) -> Choices:
    """Return what there is to choose from in a table and the runs behind it."""
    return Choices(
        providers=board.providers(table),
        harnesses=origins.harnesses,
        modalities=board.modalities(table),
        models=[model.model_id for model in table.models],
    )


def read_board_filter(params: QueryDict, choices: Choices | None) -> BoardFilter:
    """Return the filter that the parameters ask for. Raises ApiError 400 naming the allowed values.

    `choices` is None when no table says what there is; then any value is accepted.
    """
    return BoardFilter(
        route=one_of(params, "route", ROUTES),
        harness=one_of(params, "harness", choices.harnesses if choices else None),
        provider=one_of(params, "provider", choices.providers if choices else None),
        max_price=read_price(params),
        modality=one_of(params, "modality", choices.modalities if choices else None),
        sort=one_of(params, "sort", tuple(SORTS)) or BoardFilter.sort,
        compare=read_models(params, choices.models if choices else None),
    )


def read_price(params: QueryDict) -> float | None:
    """Return `max_price`, None when missing or empty."""
    text = params.get("max_price", "")
    if not text:
        return None
    try:
        price = float(text)
    except ValueError:
        price = math.nan
    if not (math.isfinite(price) and price >= 0):
        message = (
            "max_price must be a number of US dollars per million output tokens, from 0 on,"
            " such as 2.5."
        )
        raise ApiError(400, "invalid_parameter", message, param="max_price")
    return price


def read_models(params: QueryDict, known: Collection[str] | None) -> tuple[str, ...]:
    """Return the models of `compare`, which may be given with commas, repeatedly, or both."""
    names = [name for text in params.getlist("compare") for name in text.split(",") if name]
    models = tuple(dict.fromkeys(names))
    if len(models) > MOST_COMPARED:
        message = f"compare takes at most {MOST_COMPARED} models. Leave some out."
        raise ApiError(400, "invalid_parameter", message, param="compare")
    for name in models:
        if known is not None and name not in known:
            message = (
                f"compare: the routing table has no model '{name[:120]}'. Name models by their id,"
                " provider/name, separated by commas."
            )
            raise ApiError(400, "invalid_parameter", message, param="compare")
    return models


def one_of(params: QueryDict, name: str, allowed: Collection[str] | None) -> str | None:
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


def refuse_unknown(params: QueryDict, known: Collection[str]) -> None:
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


def narrowed(table: Table, origins: Origins, chosen: BoardFilter) -> list[board.BoardRow]:
    """Return the rows that a filter asks for."""
    among: set[str] | None = None
    if chosen.harness is not None:
        among = origins.measured_in(chosen.harness)
    if chosen.compare:
        among = set(chosen.compare) if among is None else among & set(chosen.compare)
    return board.board(
        table,
        route=chosen.route,
        provider=chosen.provider,
        sort=chosen.sort,
        max_price=chosen.max_price,
        modality=chosen.modality,
        among=among,
    )
