"""Which words of a request spoke for its route."""

import math
import re
from dataclasses import replace
from itertools import islice
from typing import Final

from lib.taxonomy import ROUTE_INDEX
from routing.classifier.model import Classifier, load_classifier
from routing.classifier.request_text import RequestText
from routing.engine.classification import Classification

CANDIDATES: Final = 24
"""How many words the whole classifier is asked about, which takes it about 4 ms each."""

MAX_WORDS: Final = 160
"""Of more different words only the first are looked at; so many fill a turn of plain English."""

LIMIT: Final = 8
_WORD: Final = re.compile(r"\w[\w'-]*")


def top_contributions(
    text: RequestText, classification: Classification, limit: int = LIMIT
) -> list[tuple[str, float]]:
    """Return the words that spoke most for the classification's route, the strongest first.

    The weight of a word is how much the log probability of the route falls when the word is left
    out wherever it stands (occlusion), so 0.7 means that the route would be half as likely; only
    words with a positive weight are returned. ``mode: code`` stands for the client's mode. The
    linear part alone picks the candidates, because asking the whole classifier takes longer.
    """
    classifier = load_classifier()
    route = ROUTE_INDEX[classification.route]
    believed = _log_probability(classifier, text, route)
    linear = float(classifier.linear.logits(text)[route])
    words = dict.fromkeys(
        word.lower() for turn in (text.latest_user, text.first_user) for word in _WORD.findall(turn)
    )
    without = {word: _without(text, word) for word in islice(words, MAX_WORDS)}
    if len(without) > CANDIDATES:
        strongest = sorted(
            without,
            key=lambda word: float(classifier.linear.logits(without[word])[route]) - linear,
        )
        without = {word: without[word] for word in strongest[:CANDIDATES]}
    if text.mode:
        without[f"mode: {text.mode}"] = replace(text, mode="")
    weights = [
        (word, believed - _log_probability(classifier, changed, route))
        for word, changed in without.items()
    ]
    weights.sort(key=lambda pair: -pair[1])
    return [(word, weight) for word, weight in weights[:limit] if weight > 0.0]


def _without(text: RequestText, word: str) -> RequestText:
    pattern = re.compile(rf"(?<!\w){re.escape(word)}(?!\w)", re.IGNORECASE)
    return replace(
        text,
        latest_user=pattern.sub(" ", text.latest_user).strip(),
        first_user=pattern.sub(" ", text.first_user).strip(),
    )


def _log_probability(classifier: Classifier, text: RequestText, route: int) -> float:
    return math.log(max(classifier.classify(text).routes[route], 1e-12))
