"""Public ids: a prefix that tells the kind, then 26 characters that sort by time of creation.

The body is a ULID (48 bits of milliseconds, 80 random bits, Crockford base 32, lower case), so ids
can be made anywhere without a round trip and index well. They are never primary keys.
"""

import os
import time

ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"


def new_id(prefix: str) -> str:
    """Return a fresh id such as ``dec_01k9...``."""
    number = (time.time_ns() // 1_000_000 << 80) | int.from_bytes(os.urandom(10), "big")
    return f"{prefix}_" + "".join(ALPHABET[(number >> shift) & 31] for shift in range(125, -1, -5))
