"""The local request classifier: two softmax heads over hashed features.

Multinomial logistic regression with one head for the 18 routes and one for the three difficulties.
Each head's logits are divided by a temperature fitted on held-out folds (Guo et al., 2017, "On
Calibration of Modern Neural Networks"), so that a stated 0.8 is right about eight times in ten.
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
from routing.classifier.features import BUCKETS, FEATURES, LAYOUT, vectorize
from routing.classifier.request_text import RequestText
from routing.engine.classification import Classification

WEIGHTS_PATH: Final = Path(__file__).with_name("weights.npz")

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Classifier:
    """Trained weights, read-only and safe to share between threads.

    `weights` has a row per feature and a column per route, then per difficulty, with the
    temperatures already divided in; `bias` holds each column's log prior. `version` names the
    corpus and feature layout the weights were trained from, `metadata` holds the training figures.
    """

    weights: Floats
    bias: Floats
    idf: Floats
    version: str
    metadata: Mapping[str, Any]

    def classify(self, text: RequestText) -> Classification:
        """Return calibrated probabilities. Without any word they are the corpus's own shares."""
        indices, values = vectorize(text, self.idf)
        logits = (self.bias + values @ self.weights[indices]).astype(np.float64)
        return Classification(
            routes=_softmax(logits[: len(ROUTES)]),
            difficulties=_softmax(logits[len(ROUTES) :]),
        )


def _softmax(logits: NDArray[np.float64]) -> tuple[float, ...]:
    powers = np.exp(logits - logits.max())
    return tuple((powers / powers.sum()).tolist())


@lru_cache(maxsize=1)
def load_classifier() -> Classifier:
    """Return the classifier of the committed weights, read once per process.

    Raises ValueError when the weights were trained for another feature layout.
    """
    with np.load(WEIGHTS_PATH, allow_pickle=False) as stored:
        metadata = json.loads(str(stored["metadata"]))
        if metadata["layout"] != LAYOUT or stored["idf"].shape != (BUCKETS,):
            raise ValueError("The weights do not fit the features: run manage.py train_classifier.")
        weights = np.zeros((FEATURES, len(ROUTES) + len(DIFFICULTIES)), dtype=np.float32)
        weights[stored["rows"]] = stored["weights"]
        return Classifier(
            weights=weights,
            bias=stored["bias"].astype(np.float32),
            idf=stored["idf"].astype(np.float32),
            version=metadata["version"],
            metadata=metadata,
        )
