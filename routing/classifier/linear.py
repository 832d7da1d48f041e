"""Two softmax regressions over hashed n-grams: routes and difficulties."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from routing.classifier.features import vectorize
from routing.classifier.request_text import RequestText

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Linear:
    """Trained weights, read-only and safe to share between threads.

    `weights` has a row per feature and a column per route, then per difficulty; `bias` holds each
    column's log prior, `idf` one inverse document frequency per hash bucket.
    """

    weights: Floats
    bias: Floats
    idf: Floats

    def logits(self, text: RequestText) -> NDArray[np.float64]:
        """Return one logit per route, then per difficulty, not calibrated."""
        indices, values = vectorize(text, self.idf)
        return np.asarray(self.bias + values @ self.weights[indices], dtype=np.float64)
