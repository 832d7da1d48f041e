"""Corpus, weights and figures fit together, and what the documentation promises is held."""

import hashlib
import json
import re
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib.taxonomy import DIFFICULTIES, ROUTES
from routing.classifier import load_classifier
from routing.classifier.corpus import (
    CORPUS_PATH,
    corpus_version,
    read_corpus,
    read_held_out,
)
from routing.classifier.figures import Figures, best_routes, calibration_error, figures
from routing.classifier.model import WEIGHTS_FOLDER
from routing.classifier.near_duplicates import near_duplicates
from routing.classifier.wordpiece import UNKNOWN, Vocabulary, words_of
from routing.models import Policy


@pytest.fixture(scope="module")
def held_out() -> Figures:
    examples = read_held_out()
    results = [load_classifier().classify(example.text) for example in examples]
    return figures(
        np.array([result.routes for result in results]),
        np.array([result.difficulties for result in results]),
        [example.route for example in examples],
        [example.difficulty for example in examples],
    )


class TestCorpus:
    def test_it_is_large_and_every_cell_is_filled(self) -> None:
        examples = read_corpus()
        routes = Counter(example.route for example in examples)
        cells = {(example.route, example.difficulty) for example in examples}
        assert len(examples) >= 3_000
        assert min(routes[route] for route in range(len(ROUTES))) >= 120
        assert len(cells) == len(ROUTES) * len(DIFFICULTIES)

    def test_hundreds_of_conversations_have_another_latest_turn(self) -> None:
        texts = [example.text for example in read_corpus()]
        assert sum(text.first_user != text.latest_user for text in texts) >= 300

    def test_no_two_requests_say_nearly_the_same_within_or_across(self) -> None:
        examples = [*read_held_out(), *read_corpus()]
        pairs = near_duplicates([example.words for example in examples])
        assert [(examples[a].source, examples[b].source) for a, b, _ in pairs] == []

    def test_enough_is_kept_aside(self) -> None:
        examples = read_held_out()
        assert len(examples) >= 600
        assert len({example.route for example in examples}) == len(ROUTES)

    @pytest.mark.parametrize(
        "row", ['{"text": "x", "route": "no", "difficulty": "low"}', "{", '["x"]', '{"text": "x"}']
    )
    def test_a_bad_row_is_named(self, row: str, tmp_path: Path) -> None:
        (tmp_path / "bad.jsonl").write_text(f"\n{row}\n")
        with pytest.raises(ValueError, match=r"bad\.jsonl:2"):
            read_corpus(tmp_path)


class TestNearDuplicates:
    def test_a_changed_word_in_a_long_sentence_is_found(self) -> None:
        one = "please add a button that exports the whole table as csv to the report page"
        other = one.replace("button", "link")
        ((earlier, later, similarity),) = near_duplicates([one, "run the tests", other])
        assert (earlier, later) == (0, 2)
        assert 0.35 <= similarity < 1

    def test_short_texts_resemble_only_their_equal(self) -> None:
        texts = ["run the tests", "run all tests", "Run the tests!"]
        assert near_duplicates(texts) == [(0, 2, 1.0)]

    @given(st.lists(st.text("ab cd", max_size=20), max_size=6))
    def test_the_order_of_texts_does_not_matter(self, texts: list[str]) -> None:
        def found(some: list[str]) -> list[tuple[str, ...]]:
            return sorted(tuple(sorted((some[a], some[b]))) for a, b, _ in near_duplicates(some))

        assert found(texts) == found(texts[::-1])


class TestWeights:
    def test_they_were_trained_from_this_corpus(self) -> None:
        assert load_classifier().version == corpus_version(), "Run manage.py train_classifier."

    def test_the_files_belong_together(self) -> None:
        for name, digest in load_classifier().metadata["files"].items():
            assert hashlib.sha256((WEIGHTS_FOLDER / name).read_bytes()).hexdigest() == digest

    def test_a_changed_corpus_has_another_version(self, tmp_path: Path) -> None:
        folder = Path(shutil.copytree(CORPUS_PATH, tmp_path / "corpus"))
        assert corpus_version(folder) == corpus_version()
        with next(folder.glob("*.jsonl")).open("a") as corpus:
            corpus.write("\n")
        assert corpus_version(folder) != corpus_version()

    def test_they_are_small_and_finite(self) -> None:
        assert np.isfinite(load_classifier().linear.weights).all()
        assert sum(path.stat().st_size for path in WEIGHTS_FOLDER.iterdir()) < 20_000_000

    def test_cross_validated_figures_are_kept_with_them(self) -> None:
        judged = load_classifier().metadata["figures"]
        assert judged["requests"] >= 1_000
        assert judged["task_type_ece"] <= 0.05


class TestHeldOut:
    def test_accuracy(self, held_out: Figures) -> None:
        assert held_out.route_accuracy >= 0.92
        assert held_out.task_type_accuracy >= 0.94
        assert held_out.difficulty_accuracy >= 0.78

    def test_stated_confidence_can_be_believed(self, held_out: Figures) -> None:
        assert held_out.task_type_ece <= 0.05
        default = next(
            one for one in held_out.thresholds if one.threshold == Policy().confidence_threshold
        )
        assert default.task_type_accuracy >= 0.97
        assert default.share >= 0.8


class TestFigures:
    def test_perfect_guesses_are_perfect(self) -> None:
        judged = figures(
            np.eye(18), np.eye(3).repeat(6, axis=0), range(18), [0] * 6 + [1] * 6 + [2] * 6
        )
        assert judged.route_accuracy == judged.task_type_accuracy == 1
        assert judged.difficulty_accuracy == 1
        assert judged.route_ece == judged.difficulty_ece == 0
        assert np.trace(judged.confusion) == judged.requests == 18

    def test_the_route_is_inside_the_best_task_type(self) -> None:
        shares = np.zeros((1, 18))
        shares[0, [0, 3, 4]] = 0.4, 0.35, 0.25
        assert best_routes(shares).tolist() == [3]

    def test_calibration_error_is_the_gap(self) -> None:
        right = np.array([True, False, False, False])
        assert calibration_error(np.full(4, 0.75), right) == pytest.approx(0.5)

    def test_the_surest_come_first(self) -> None:
        shares = np.full((2, 18), 0.01)
        shares[0, 0], shares[1, 3] = 0.83, 0.83
        shares[1, 0], shares[1, 3] = 0.4, 0.44
        judged = figures(shares, np.full((2, 3), 1 / 3), [0, 0], [0, 0])
        half = next(one for one in judged.coverages if one.share == 0.5)
        assert half.task_type_accuracy == 1
        assert judged.task_type_accuracy == 0.5

    def test_nothing_to_judge_is_an_error(self) -> None:
        with pytest.raises(ValueError, match="nothing"):
            figures(np.zeros((0, 18)), np.zeros((0, 3)), [], [])


class TestWordPieces:
    vocabulary = Vocabulary.of(
        [UNKNOWN, "test", "##ing", "get", "user", "_", "修", "a", "##b", "("]
    )

    @pytest.mark.parametrize(
        ("text", "pieces"),
        [
            ("testing", ["test", "##ing"]),
            ("getUser()", ["get", "user", "(", UNKNOWN]),
            ("test_user", ["test", "_", "user"]),
            ("Tést", ["test"]),
            ("修test", ["修", "test"]),
            ("abx", [UNKNOWN]),
            ("a" * 500, [UNKNOWN]),
            ("", []),
        ],
    )
    def test_longest_pieces_first(self, text: str, pieces: list[str]) -> None:
        found = [self.vocabulary.pieces[index] for index in self.vocabulary.encode(text)]
        assert found == pieces

    def test_a_piece_twice_is_refused(self) -> None:
        with pytest.raises(ValueError, match="twice"):
            Vocabulary.of(["a", "a"])

    @given(st.text(max_size=60))
    def test_words_have_no_space_and_no_capital(self, text: str) -> None:
        for word in words_of(text):
            assert not re.search(r"\s", word)
            assert word == word.lower() or not word.isascii()


def test_the_figures_in_the_document_are_those_of_the_weights() -> None:
    text = (Path(__file__).parents[2] / "docs/classifier.md").read_text("utf-8")
    judged: dict[str, Any] = load_classifier().metadata["figures"]
    rows = json.loads((WEIGHTS_FOLDER / "candidates.json").read_text("utf-8"))
    for row in rows:
        assert f"| {row['method']} | {row['route_accuracy']:.3f} |" in text
    for name in ("route_accuracy", "task_type_accuracy", "difficulty_accuracy"):
        assert f"{judged[name]:.3f}" in text
