"""From the corpus to the three files of weights, with cross-validated figures on the way."""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from lib.taxonomy import ROUTES
from routing.classifier.corpus import Example
from routing.classifier.features import LAYOUT
from routing.classifier.figures import Figures, figures, softmax_rows
from routing.classifier.linear import Linear
from routing.classifier.model import (
    GRAPH_FILE,
    LINEAR_FILE,
    VOCABULARY_FILE,
    WEIGHTS_FOLDER,
)
from routing.classifier.training import encoder, linear
from routing.classifier.training.blend import fit_scales

FOLDS: Final = 3
CANDIDATES_FILE: Final = "candidates.json"
JUDGED_FOLDS: Final = 1
"""One fold of fifteen hundred requests suffices to fit four scales, and a fold takes long."""

Matrix = NDArray[np.float64]
Report = Callable[[str], Any]


@dataclass(frozen=True)
class OutOfFold:
    """Examples with the logits of both parts, each row by models that have not seen its example."""

    examples: Sequence[Example]
    linear: Matrix
    encoder: Matrix


def folds(examples: Sequence[Example]) -> NDArray[np.int64]:
    """Give each example a fold that depends on its own words alone, so that it never changes."""
    return np.array(
        [int(hashlib.md5(e.words.encode()).hexdigest(), 16) % FOLDS for e in examples]  # noqa: S324
    )


def cross_validate(examples: Sequence[Example], report: Report) -> OutOfFold:
    """Train both parts once per judged fold, on the other folds."""
    pretrained = encoder.read_pretrained()
    where = folds(examples)
    judged: list[Example] = []
    linear_logits: list[Matrix] = []
    encoder_logits: list[Matrix] = []
    for fold in range(JUDGED_FOLDS):
        report(f"fold {fold + 1} of {JUDGED_FOLDS}")
        seen = [example for example, own in zip(examples, where, strict=True) if own != fold]
        unseen = [example for example, own in zip(examples, where, strict=True) if own == fold]
        fitted = linear.fit(seen)
        vocabulary = encoder.pruned_vocabulary(seen, pretrained.pieces)
        network = encoder.fit(seen, pretrained, vocabulary)
        judged += unseen
        linear_logits.append(np.array([fitted.logits(example.text) for example in unseen]))
        encoder_logits.append(encoder.predict(network, vocabulary, unseen))
    return OutOfFold(judged, np.concatenate(linear_logits), np.concatenate(encoder_logits))


def judge(examples: Sequence[Example], logits: Matrix) -> Figures:
    """Return the figures of calibrated logits."""
    return figures(
        softmax_rows(logits[:, : len(ROUTES)]),
        softmax_rows(logits[:, len(ROUTES) :]),
        [example.route for example in examples],
        [example.difficulty for example in examples],
    )


def train(
    examples: Sequence[Example],
    version: str,
    report: Report,
    folder: Path = WEIGHTS_FOLDER,
) -> Figures:
    """Cross-validate, fit both parts on all examples, write the weights; return the figures."""
    out_of_fold = cross_validate(examples, report)
    report("all examples")
    pretrained = encoder.read_pretrained()
    vocabulary = encoder.pruned_vocabulary(examples, pretrained.pieces)
    network = encoder.fit(examples, pretrained, vocabulary)
    folder.mkdir(exist_ok=True)
    encoder.export(network, vocabulary, folder / GRAPH_FILE, folder / VOCABULARY_FILE)
    return finish(out_of_fold, linear.fit(examples), version, folder)


def finish(out_of_fold: OutOfFold, fitted: Linear, version: str, folder: Path) -> Figures:
    """Fit the scales, and write them with the linear weights beside the exported encoder."""
    labels = (
        [example.route for example in out_of_fold.examples],
        [example.difficulty for example in out_of_fold.examples],
    )
    scales = fit_scales(out_of_fold.linear, out_of_fold.encoder, *labels)
    judged = judge(out_of_fold.examples, scales.blend(out_of_fold.linear, out_of_fold.encoder))
    metadata = {
        "version": version,
        "layout": LAYOUT,
        "scales": asdict(scales),
        "files": {name: file_digest(folder / name) for name in (GRAPH_FILE, VOCABULARY_FILE)},
        "figures": asdict(judged),
    }
    save_linear(fitted, metadata, folder / LINEAR_FILE)
    return judged


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def save_linear(fitted: Linear, metadata: dict[str, Any], path: Path) -> None:
    """Write the weights as half floats, leaving out rows that say nothing."""
    rows = np.flatnonzero(fitted.weights.any(axis=1))
    np.savez_compressed(
        path,
        allow_pickle=False,
        rows=rows.astype(np.uint32),
        weights=fitted.weights[rows].astype(np.float16),
        bias=fitted.bias,
        idf=fitted.idf.astype(np.float16),
        metadata=np.array(json.dumps(metadata, sort_keys=True)),
    )
