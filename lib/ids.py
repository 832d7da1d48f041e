"""Public ids: a prefix that tells the kind, then 26 characters that sort by time of creation.

The body is a ULID (48 bits of milliseconds, 80 random bits, Crockford base 32, lower case), so ids
can be made anywhere without a round trip and index well. They are never primary keys.
"""

import os
import time
from datetime import MAXYEAR, UTC, datetime

ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
# To the digits of base 32 that Python reads.
AS_DIGITS = str.maketrans(ALPHABET, "0123456789abcdefghijklmnopqrstuv")


def new_id(prefix: str, at_ms: int | None = None) -> str:
    """Return a fresh id such as ``dec_01k9...``, made now or at a time in ms since the epoch."""
    if at_ms is None:
        at_ms = time.time_ns() // 1_000_000
    number = (at_ms << 80) | int.from_bytes(os.urandom(10), "big")
    return f"{prefix}_" + "".join(ALPHABET[(number >> shift) & 31] for shift in range(125, -1, -5))


def made_at(public_id: str) -> datetime | None:
    """Return when an id was made; None for what `new_id` did not make."""
    body = public_id.rpartition("_")[2]
    if len(body) != 26 or body.strip(ALPHABET):
        return None
    at_ms = int(body[:10].translate(AS_DIGITS), 32)
    try:
        made = datetime.fromtimestamp(at_ms / 1000, UTC)
    except (OverflowError, ValueError, OSError):
        return None
    # So that whoever looks around that time stays within the calendar.
    return made if made.year < MAXYEAR else None
