"""Public ids: a prefix that tells the kind, then 26 characters that sort by time of creation.

The body is a ULID (48 bits of milliseconds, 80 random bits, Crockford base 32, lower case), so ids
can be made anywhere without a round trip and index well. They are never primary keys.
"""

import os
import re
import time
from collections.abc import Iterable
from datetime import UTC, datetime

ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
# To the digits of base 32 that Python reads.
AS_DIGITS = str.maketrans(ALPHABET, "0123456789abcdefghijklmnopqrstuv")


def new_id(prefix: str, at_ms: int | None = None) -> str:
    """Return a fresh id such as ``dec_01k9...``, made now or at a time in ms since the epoch."""
    if at_ms is None:
        at_ms = time.time_ns() // 1_000_000
    number = (at_ms << 80) | int.from_bytes(os.urandom(10), "big")
    return f"{prefix}_" + "".join(ALPHABET[(number >> shift) & 31] for shift in range(125, -1, -5))


def ids_in(prefix: str, texts: Iterable[str]) -> list[str]:
    """Return those of some texts that are ids of a kind, made by the year 9774: a time in every
    calendar.
    """
    is_id = re.compile(rf"{prefix}_[0-6][{ALPHABET}]{{25}}").fullmatch
    return [text for text in texts if is_id(text)]


def made_at(public_id: str) -> datetime:
    """Return when an id was made."""
    milliseconds = public_id[-26:-16].translate(AS_DIGITS)
    return datetime.fromtimestamp(int(milliseconds, 32) / 1000, UTC)
