"""Values of the store that come in turns: each starts with the number of its turn. Pure."""

from typing import Final

# How many digits a turn has in front of its value.
DIGITS: Final = 10


def in_turn(turn: int, value: bytes) -> bytes:
    """Return a value with its turn, counted from 0, in front."""
    return b"%0*d" % (DIGITS, turn) + value


def without_turn(value: bytes) -> bytes:
    """Return what `in_turn` was given."""
    return value[DIGITS:]
