"""Cuts text into the word pieces of an uncased BERT vocabulary.

The normalisation and the greedy longest match follow Devlin et al., 2019, "BERT: Pre-training of
Deep Bidirectional Transformers", with two additions for code: a capital inside an identifier starts
a new word, and every sign that is no letter or digit stands alone.
"""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

UNKNOWN: Final = "[UNK]"
START: Final = "[CLS]"
SEPARATOR: Final = "[SEP]"
MASK: Final = "[MASK]"
PADDING: Final = "[PAD]"
CONTINUED: Final = "##"
MAX_WORD_CHARS: Final = 40

_HUMP: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
# Ideographs have no spaces between words, so each stands alone.
_IDEOGRAPHS: Final = "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_WORD: Final = re.compile(rf"[{_IDEOGRAPHS}]|[^\W_{_IDEOGRAPHS}]+|[^\w\s]|_")


@dataclass(frozen=True)
class Vocabulary:
    """Word pieces in the order of their embeddings; `ids` is the way back."""

    pieces: tuple[str, ...]
    ids: Mapping[str, int]

    @classmethod
    def of(cls, pieces: Sequence[str]) -> "Vocabulary":
        """Return the vocabulary of these pieces. Raises ValueError when one is there twice."""
        ids = {piece: index for index, piece in enumerate(pieces)}
        if len(ids) != len(pieces):
            raise ValueError("A word piece is in the vocabulary twice.")
        return cls(tuple(pieces), ids)

    def encode(self, text: str) -> list[int]:
        """Return the ids of the pieces of a text; an unknown word is one `UNKNOWN`."""
        return [piece for word in words_of(text) for piece in self._pieces(word)]

    def _pieces(self, word: str) -> list[int]:
        whole = self.ids.get(word)
        if whole is not None:
            return [whole]
        if len(word) > MAX_WORD_CHARS:
            return [self.ids[UNKNOWN]]
        found = []
        start, prefix = 0, ""
        while start < len(word):
            for end in range(len(word), start, -1):
                piece = self.ids.get(prefix + word[start:end])
                if piece is not None:
                    found.append(piece)
                    break
            else:
                return [self.ids[UNKNOWN]]
            start, prefix = end, CONTINUED
        return found


def words_of(text: str) -> list[str]:
    """Return words and single signs, in lower case and without accents."""
    text = _HUMP.sub(" ", text).lower()
    if not text.isascii():
        decomposed = unicodedata.normalize("NFD", text)
        text = "".join(char for char in decomposed if unicodedata.category(char) != "Mn")
    return _WORD.findall(text)
