"""The local request classifier: a linear model and a small transformer, blended and calibrated.

Each part gives one logit per route and per difficulty. The blend adds them with four scales, fitted
on a held-out fold, that also calibrate (temperature scaling as in Guo et al., 2017, "On Calibration
of Modern Neural Networks"), so that a stated 0.8 is right about eight times in ten.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from lib.taxonomy import DIFFICULTIES, ROUTES
from routing.classifier.encoder import Encoder
from routing.classifier.features import BUCKETS, FEATURES, LAYOUT
from routing.classifier.linear import Linear
from routing.classifier.request_text import RequestText
from routing.classifier.wordpiece import words_of
from routing.engine.classification import Classification

WEIGHTS_FOLDER: Final = Path(__file__).with_name("weights")
LINEAR_FILE: Final = "linear.npz"
GRAPH_FILE: Final = "encoder.onnx"
VOCABULARY_FILE: Final = "vocabulary.txt"

LONE_WORD_TRUST: Final = 0.3
"""What one word says is scaled down by this: it names a topic, not what is wanted."""


@dataclass(frozen=True)
class Scales:
    """What the logits of each part are multiplied by, for routes and for difficulties."""

    linear_route: float
    encoder_route: float
    linear_difficulty: float
    encoder_difficulty: float

    def blend(self, linear: NDArray[np.float64], encoder: NDArray[np.float64]) -> Any:
        """Return calibrated logits; the last axis is routes, then difficulties."""
        counts = [len(ROUTES), len(DIFFICULTIES)]
        own = np.repeat([self.linear_route, self.linear_difficulty], counts)
        others = np.repeat([self.encoder_route, self.encoder_difficulty], counts)
        return own * linear + others * encoder


@dataclass(frozen=True)
class Classifier:
    """Both parts with their scales, read-only and safe to share between threads.

    `version` names the corpus and feature layout the weights were trained from, `metadata` holds
    the training figures.
    """

    linear: Linear
    encoder: Encoder
    scales: Scales
    version: str
    metadata: Mapping[str, Any]

    def classify(self, text: RequestText) -> Classification:
        """Return calibrated probabilities. Without any word they are the corpus's own shares."""
        words = count_words(text)
        if words == 0:
            logits = self.linear.bias.astype(np.float64)
        else:
            logits = self.scales.blend(self.linear.logits(text), self.encoder.logits(text))
            if words == 1:
                logits = LONE_WORD_TRUST * logits
        return Classification(
            routes=_softmax(logits[: len(ROUTES)]),
            difficulties=_softmax(logits[len(ROUTES) :]),
        )


def count_words(text: RequestText) -> int:
    """Return how many words the user turns have, an ideograph being one; signs do not count."""
    turns = {text.latest_user, text.first_user}
    return sum(word[0].isalnum() for turn in turns for word in words_of(turn))


def _softmax(logits: NDArray[np.float64]) -> tuple[float, ...]:
    powers = np.exp(logits - logits.max())
    return tuple((powers / powers.sum()).tolist())


@lru_cache(maxsize=1)
def load_classifier() -> Classifier:
    """Return the classifier of the committed weights, read once per process.

    Raises ValueError when the weights were trained for another feature layout.
    """
    classifier = read_classifier(WEIGHTS_FOLDER)
    # The first run of a graph plans its memory, which no request should wait for.
    classifier.encoder.logits(RequestText(latest_user="ready", first_user="ready"))
    return classifier


def read_classifier(folder: Path) -> Classifier:
    """Read the three files of weights. Raises ValueError when they fit another feature layout."""
    with np.load(folder / LINEAR_FILE, allow_pickle=False) as stored:
        metadata = json.loads(str(stored["metadata"]))
        if metadata["layout"] != LAYOUT or stored["idf"].shape != (BUCKETS,):
            raise ValueError("The weights do not fit the features: run manage.py train_classifier.")
        weights = np.zeros((FEATURES, len(ROUTES) + len(DIFFICULTIES)), dtype=np.float32)
        weights[stored["rows"]] = stored["weights"]
        linear = Linear(
            weights=weights,
            bias=stored["bias"].astype(np.float32),
            idf=stored["idf"].astype(np.float32),
        )
    return Classifier(
        linear=linear,
        encoder=Encoder(folder / GRAPH_FILE, folder / VOCABULARY_FILE),
        scales=Scales(**metadata["scales"]),
        version=metadata["version"],
        metadata=metadata,
    )
