"""A small transformer that reads the order of words, which hashed n-grams cannot.

Its input is one sequence: start, the client's mode where it is a known one, the latest user turn,
and the first turn when it is another one. Positions and segments are learned, so the model can tell
the turns apart. The graph is quantised to eight bits and run by onnxruntime on one thread.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from routing.classifier.features import MODES, mode_of
from routing.classifier.glossary import glossed
from routing.classifier.request_text import RequestText
from routing.classifier.wordpiece import SEPARATOR, START, Vocabulary

LATEST_PIECES: Final = 96
LATEST_TAIL: Final = 36
FIRST_PIECES: Final = 28
SHORT_LATEST: Final = 10
FIRST_PIECES_OF_SHORT: Final = 64
MAX_PIECES: Final = 128
"""Bounds of the sequence: a turn in the middle of which pieces are left out keeps both ends."""

MODE_PIECES: Final = tuple(f"[mode:{mode}]" for mode in MODES)

Ids = NDArray[np.int64]


def sequence(
    vocabulary: Vocabulary, latest: Sequence[int], first: Sequence[int], mode: str | None
) -> tuple[list[int], list[int]]:
    """Return piece ids and segments (0 latest turn, 1 first turn) of one request."""
    ids = [vocabulary.ids[START]]
    if mode is not None:
        ids.append(vocabulary.ids[f"[mode:{mode}]"])
    ids += [*latest, vocabulary.ids[SEPARATOR]]
    segments = [0] * len(ids)
    if first:
        ids += [*first, vocabulary.ids[SEPARATOR]]
        segments += [1] * (len(first) + 1)
    return ids, segments


def pieces(vocabulary: Vocabulary, text: RequestText) -> tuple[list[int], list[int], str | None]:
    """Return the bounded pieces of the latest and of the first turn, and the mode."""
    latest = vocabulary.encode(glossed(text.latest_user))
    if len(latest) > LATEST_PIECES:
        latest = latest[: LATEST_PIECES - LATEST_TAIL] + latest[-LATEST_TAIL:]
    first: list[int] = []
    if text.first_user != text.latest_user:
        bound = FIRST_PIECES if len(latest) > SHORT_LATEST else FIRST_PIECES_OF_SHORT
        first = vocabulary.encode(glossed(text.first_user))[:bound]
    return latest, first, mode_of(text)


class Encoder:
    """The quantised graph with its vocabulary. Read-only after loading; safe under threads."""

    def __init__(self, graph: Path, vocabulary: Path) -> None:
        """Load both files. Raises an onnxruntime error when the graph cannot be read."""
        self.vocabulary = Vocabulary.of(vocabulary.read_text(encoding="utf-8").split("\n")[:-1])
        options = onnxruntime.SessionOptions()
        # One thread and no spinning: the web process has threads of its own to share the cores.
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(
            str(graph), options, providers=["CPUExecutionProvider"]
        )

    def logits(self, text: RequestText) -> NDArray[np.float64]:
        """Return one logit per route, then per difficulty, not calibrated."""
        ids, segments = sequence(self.vocabulary, *pieces(self.vocabulary, text))
        (logits,) = self._session.run(
            None,
            {
                "ids": np.array([ids], dtype=np.int64),
                "segments": np.array([segments], dtype=np.int64),
            },
        )
        return np.asarray(logits[0], dtype=np.float64)
