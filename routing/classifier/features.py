"""Turns the words of a request into a sparse vector of hashed n-grams and a few plain signs.

Each segment (latest turn, first turn, system prompt) gives two blocks: words with word pairs, and
character n-grams of 3 to 5 bytes inside words (6 where letters are not ASCII), which carry typos,
identifiers and other languages. The words include the glossary's meanings of foreign ones.
A block is weighted by inverse document frequency and scaled to unit length (tf-idf with binary
counts), then by the segment's weight. Hashes depend on the text alone, so a model trained on one
machine reads the same features on every other.
"""

import math
import re
from typing import Final
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from routing.classifier.glossary import glossed
from routing.classifier.request_text import RequestText

LAYOUT: Final = 2
"""Raised whenever the features change, because weights of another layout must not be used."""

BUCKET_BITS: Final = 15
BUCKETS: Final = 1 << BUCKET_BITS
FIRST_TURN_WEIGHT: Final = 0.35
WORDS_OF_FULL_WEIGHT: Final = 4
SYSTEM_WEIGHT: Final = 0.05
WORD_BLOCK_WEIGHT: Final = 1.0
CHARACTER_BLOCK_WEIGHT: Final = 0.8

MODES: Final = ("code", "architect", "ask", "debug", "orchestrator")
_MODE_NAMES: Final = {
    "plan": "architect",
    "planner": "architect",
    "build": "code",
    "agent": "code",
    "debugger": "debug",
    **{mode: mode for mode in MODES},
}
_TOOL_KINDS: Final = (
    ("edit", "write", "patch", "replace", "apply"),
    ("bash", "shell", "command", "terminal", "exec"),
    ("browser", "navigate", "click", "screenshot", "playwright"),
    ("web", "fetch", "search_web", "http"),
)
_STACK_TRACE_MARKS: Final = (
    "traceback (most recent",
    "\n    at ",
    "\n\tat ",
    "panicked at",
    "exception in thread",
    "stack trace",
    "goroutine ",
    "segmentation fault",
    "error ts",
    "error[e",
    "unhandled",
    "exception:",
    "error: ",
)
_LENGTH_BUCKETS: Final = 8
SIGNS: Final = len(MODES) + len(_TOOL_KINDS) + 3 + _LENGTH_BUCKETS
FEATURES: Final = BUCKETS + SIGNS

_MODE_SIGN: Final = 0.5
_TOOL_SIGN: Final = 0.1
_TEXT_SIGN: Final = 0.2
# Length is a weak hint on purpose: difficulty is the reasoning a request needs, not its size.
_LENGTH_SIGN: Final = 0.06

_WORDS: Final = re.compile(r"[^\W_]+|[?!]")
_SHIFT: Final = np.uint64(64 - BUCKET_BITS)
_MIX: Final = np.uint64(0x9E3779B97F4A7C15)
_PAIR: Final = np.uint64(0xC2B2AE3D27D4EB4F)
_SPACE: Final = 32
_FIRST_OF_MANY: Final = 0xC0
_START: Final = crc32(b"\x02")

Indices = NDArray[np.int64]
Values = NDArray[np.float32]


def _buckets(hashes: NDArray[np.uint64]) -> Indices:
    # Fibonacci hashing: the top bits of the product spread neighbouring inputs.
    mixed: NDArray[np.uint64] = (hashes * _MIX) >> _SHIFT
    return np.unique(mixed).astype(np.int64)


def word_buckets(words: list[str]) -> Indices:
    """Return the distinct buckets of words and of neighbouring word pairs."""
    hashes = np.array([_START, *(crc32(word.encode()) for word in words)], dtype=np.uint64)
    pairs = hashes[:-1] * _PAIR + hashes[1:]
    return _buckets(np.concatenate((hashes[1:], pairs)))


def character_buckets(words: list[str]) -> Indices:
    """Return the distinct buckets of 3 to 6 byte n-grams inside words, word edges included."""
    octets = np.frombuffer(f" {' '.join(words)} ".encode(), dtype=np.uint8)
    wide = octets.astype(np.uint64)
    inside = octets != _SPACE
    grams = []
    for size in (3, 4, 5, 6):
        count = len(octets) - size + 1
        if count < 1:
            break
        gram = np.full(count, size, dtype=np.uint64)
        keep = np.ones(count, dtype=np.bool_)
        for offset in range(size):
            gram = (gram << np.uint64(8)) | wide[offset : offset + count]
            if 0 < offset < size - 1:
                keep &= inside[offset : offset + count]
        if size > 5:
            # Two ideographs have six bytes. In English that long a gram is as good as a word.
            keep &= octets[:count] >= _FIRST_OF_MANY
        grams.append(gram[keep])
    return _buckets(np.concatenate(grams)) if grams else np.empty(0, dtype=np.int64)


def segments(text: RequestText) -> list[tuple[list[str], float]]:
    """Return the words of each text to read with its weight; a lone user turn is read once.

    A latest turn of a word or two ("go on") says little, so the first turn gets its weight.
    """
    latest = _WORDS.findall(glossed(text.latest_user).lower())
    weight = math.sqrt(min(1.0, len(latest) / WORDS_OF_FULL_WEIGHT))
    parts = [(latest, weight)]
    if text.first_user != text.latest_user:
        first = _WORDS.findall(glossed(text.first_user).lower())
        parts.append((first, max(FIRST_TURN_WEIGHT, 1.0 - weight)))
    parts.append((_WORDS.findall(text.system.lower()), SYSTEM_WEIGHT))
    return [(words, weight) for words, weight in parts if words]


def vectorize(text: RequestText, idf: NDArray[np.float32]) -> tuple[Indices, Values]:
    """Return feature indices, which may repeat (their values then add up), and their values.

    `idf` has one weight per hash bucket. A text without any word has no features at all.
    """
    all_indices: list[Indices] = []
    all_values: list[Values] = []
    for words, weight in segments(text):
        for indices, block_weight in (
            (word_buckets(words), WORD_BLOCK_WEIGHT),
            (character_buckets(words), CHARACTER_BLOCK_WEIGHT),
        ):
            values = idf[indices]
            length = math.sqrt(float(values @ values))
            all_indices.append(indices)
            all_values.append(values * np.float32(weight * block_weight / (length or 1.0)))
    if not all_indices:
        return np.empty(0, dtype=np.int64), np.empty(0, dtype=np.float32)
    signs = _signs(text)
    all_indices.append(np.array([BUCKETS + index for index in signs], dtype=np.int64))
    all_values.append(np.array(list(signs.values()), dtype=np.float32))
    return np.concatenate(all_indices), np.concatenate(all_values)


def mode_of(text: RequestText) -> str | None:
    """Return which of `MODES` the client's mode is another word for, None for any other mode."""
    return _MODE_NAMES.get(text.mode)


def tool_kinds_of(text: RequestText) -> tuple[int, ...]:
    """Return the numbers of the kinds of tools that the client offers, in rising order."""
    tools = " ".join(text.tools).lower()
    return tuple(
        kind for kind, marks in enumerate(_TOOL_KINDS) if any(mark in tools for mark in marks)
    )


def _signs(text: RequestText) -> dict[int, float]:
    signs: dict[int, float] = {}
    mode = mode_of(text)
    if mode is not None:
        signs[MODES.index(mode)] = _MODE_SIGN
    base = len(MODES)
    for kind in tool_kinds_of(text):
        signs[base + kind] = _TOOL_SIGN
    base += len(_TOOL_KINDS)
    latest = text.latest_user.lower()
    if any(mark in latest for mark in _STACK_TRACE_MARKS):
        signs[base] = _TEXT_SIGN
    if "?" in latest:
        signs[base + 1] = _TEXT_SIGN
    if "```" in latest or latest.count("\n") > 3:
        signs[base + 2] = _TEXT_SIGN
    base += 3
    doublings = int(math.log2(max(len(latest), 16))) - 4
    signs[base + min(doublings, _LENGTH_BUCKETS - 1)] = _LENGTH_SIGN
    return signs
