"""Finds requests that say nearly the same, which would make a test on unseen text easier than life.

Two requests are near-duplicates when the sets of their word triples have a Jaccard similarity of at
least `THRESHOLD` (Broder, 1997, "On the resemblance and containment of documents").
"""

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Final

THRESHOLD: Final = 0.35
_WORD: Final = re.compile(r"\w+")


def near_duplicates(
    texts: Sequence[str], threshold: float = THRESHOLD
) -> list[tuple[int, int, float]]:
    """Return pairs of positions (earlier, later) with their similarity, 0..1.

    A text of four words or fewer has one shingle, all its words, so it resembles only its equal.
    """
    shingles = [_shingles(text) for text in texts]
    seen: dict[tuple[str, ...], list[int]] = defaultdict(list)
    pairs = []
    for later, own in enumerate(shingles):
        shared = Counter(earlier for shingle in own for earlier in seen[shingle])
        for earlier, count in sorted(shared.items()):
            similarity = count / (len(own) + len(shingles[earlier]) - count)
            if similarity >= threshold:
                pairs.append((earlier, later, similarity))
        for shingle in own:
            seen[shingle].append(later)
    return pairs


def _shingles(text: str) -> frozenset[tuple[str, ...]]:
    words = _WORD.findall(text.lower())
    if len(words) <= 4:
        return frozenset({tuple(words)})
    return frozenset(zip(words, words[1:], words[2:], strict=False))
