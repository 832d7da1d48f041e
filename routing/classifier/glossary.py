"""English words for what requests in other languages ask.

The pretrained transformer reads English alone, and the corpus is too small to teach it a dozen
languages. A glossary of the words that tell one kind of request from another carries what it knows
over: their English meanings are appended to the turn. Text without such words stays as it is.
"""

import re
import unicodedata
from functools import lru_cache
from pathlib import Path
from typing import Final

GLOSSARY_PATH: Final = Path(__file__).with_name("glossary.txt")
MEANINGS: Final = 14
"""How many meanings are appended to a turn at most."""

LEAST_STEM: Final = 4
_WORD: Final = re.compile(r"[^\W\d_]+")
# From the Indic scripts on: scripts that write without spaces, or join what others separate.
_UNSPACED: Final = "\u0900"


def meanings(text: str) -> list[str]:
    """Return the English meanings of the words of other languages in their order, each once."""
    spaced, unspaced, longest = _glossary()
    found: dict[str, None] = {}
    for word in _WORD.findall(_folded(text)):
        if word[0] < _UNSPACED:
            meaning = _of_word(word, spaced)
            if meaning:
                found[meaning] = None
            continue
        position = 0
        while position < len(word):
            for length in range(min(longest, len(word) - position), 0, -1):
                meaning = unspaced.get(word[position : position + length])
                if meaning:
                    found[meaning] = None
                    position += length
                    break
            else:
                position += 1
    return list(found)[:MEANINGS]


def glossed(text: str) -> str:
    """Return the text with the meanings of its foreign words on a line of their own."""
    found = meanings(text)
    return f"{text}\n{' '.join(found)}" if found else text


def _of_word(word: str, spaced: dict[str, str]) -> str | None:
    whole = spaced.get(f"{word}.")
    if whole:
        return whole
    for length in range(min(len(word), 14), LEAST_STEM - 1, -1):
        meaning = spaced.get(word[:length])
        if meaning:
            return meaning
    return None


@lru_cache(maxsize=1)
def _glossary() -> tuple[dict[str, str], dict[str, str], int]:
    """Return stems of spaced and of unspaced scripts with their meanings, and the longest stem.

    A line of the file is ``meaning: stem stem ...``. A stem stands for every word that begins with
    it; one that ends with a full stop, or is shorter than `LEAST_STEM`, for that word alone.
    """
    spaced: dict[str, str] = {}
    unspaced: dict[str, str] = {}
    for line in GLOSSARY_PATH.read_text(encoding="utf-8").splitlines():
        meaning, _, stems = line.partition(":")
        for stem in _folded(stems).split():
            if stem[0] >= _UNSPACED:
                unspaced.setdefault(stem.rstrip("."), meaning)
            elif stem.endswith(".") or len(stem) >= LEAST_STEM:
                spaced.setdefault(stem, meaning)
            else:
                spaced.setdefault(f"{stem}.", meaning)
    return spaced, unspaced, max(map(len, unspaced), default=0)


def _folded(text: str) -> str:
    lower = text.lower()
    if lower.isascii():
        return lower
    decomposed = unicodedata.normalize("NFD", lower)
    return "".join(char for char in decomposed if unicodedata.category(char) != "Mn")
