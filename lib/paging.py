"""Cursor lists by time: a page stays the same page while new rows come in."""

from datetime import UTC, datetime
from typing import Final, TypeVar

from django.db.models import Model, QuerySet

from lib.errors import ApiError

CURSOR_TIME: Final = "%Y%m%dT%H%M%S%f"

Row = TypeVar("Row", bound=Model)


def page_of(
    rows: QuerySet[Row],
    *,
    cursor: str,
    limit: int,
    id_field: str,
    time_field: str,
    oldest_first: bool = False,
) -> tuple[list[Row], str | None]:
    """Return up to `limit` rows after the cursor, and the next cursor or None at the end.

    The newest come first, unless the oldest are to.

    A cursor is the time and the public id of the last row seen: where to look, and for what. `rows`
    are the rows the caller may see; a cursor that names none of them raises a 400.
    """
    sign, beyond = ("", "gte") if oldest_first else ("-", "lte")
    before = "lte" if oldest_first else "gte"
    rows = rows.order_by(f"{sign}{time_field}", f"{sign}id")
    if cursor:
        moment, public_id = read_cursor(cursor)
        here = rows.filter(**{time_field: moment})
        seen = here.filter(**{id_field: public_id}).values("id").first()
        if seen is None:
            raise unknown_cursor()
        # Two conditions instead of an OR, so that the index on time serves the first.
        rows = rows.filter(**{f"{time_field}__{beyond}": moment}).exclude(
            **{time_field: moment, f"id__{before}": seen["id"]}
        )
    found = list(rows[: limit + 1])
    if len(found) <= limit:
        return found, None
    last = found[limit - 1]
    moment = getattr(last, time_field).astimezone(UTC)
    return found[:limit], f"{moment:{CURSOR_TIME}}.{getattr(last, id_field)}"


def read_cursor(text: str) -> tuple[datetime, str]:
    """Return the time and the id in a cursor, or raise a 400."""
    time, _, public_id = text.partition(".")
    try:
        moment = datetime.strptime(time, CURSOR_TIME).replace(tzinfo=UTC)
    except ValueError:
        raise unknown_cursor() from None
    if "\x00" in public_id:
        raise unknown_cursor()
    return moment, public_id


def unknown_cursor() -> ApiError:
    """Return the 400 of a cursor that leads nowhere."""
    message = "cursor names no row of this list. Leave it out to start anew."
    return ApiError(400, "invalid_parameter", message, param="cursor")


def read_limit(text: str, *, default: int = 50, largest: int = 200) -> int:
    """Return the `limit` parameter of a cursor list, or raise a 400 that says what it may be."""
    if not text:
        return default
    if not (text.isascii() and text.isdecimal() and len(text) < 6 and 1 <= int(text) <= largest):
        message = f"limit must be a whole number from 1 to {largest}."
        raise ApiError(400, "invalid_parameter", message, param="limit")
    return int(text)
