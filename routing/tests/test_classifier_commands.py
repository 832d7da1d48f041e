"""The classifier's commands, and that a web process has it ready before the first request."""

import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from lib.taxonomy import DIFFICULTIES, ROUTES
from routing.management.commands import train_classifier

ROOT = Path(__file__).parents[2]


def run(monkeypatch: pytest.MonkeyPatch, content: str, *args: str) -> tuple[list[Any], int]:
    """Return what ``classify`` answers to stdin, and its exit code."""
    out = io.StringIO()
    code = 0
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content.encode())))
    try:
        call_command("classify", *args, stdout=out)
    except SystemExit as ended:
        code = int(ended.code or 0)
    return [json.loads(line) for line in out.getvalue().splitlines()], code


def body(turn: str, **fields: Any) -> str:
    return json.dumps({"messages": [{"role": "user", "content": turn}], **fields})


class TestClassify:
    def test_one_line_in_one_line_out(self, monkeypatch: pytest.MonkeyPatch) -> None:
        content = "\n".join([body("rename tmp2 to seats in a.py"), "", body("run the tests")])
        answers, code = run(monkeypatch, content)
        assert code == 0
        assert [answer["subtask_type"] for answer in answers] == [
            "code_cleanup",
            "terminal_operations",
        ]
        probabilities = answers[0]["probabilities"]
        assert list(probabilities["routes"]) == list(ROUTES)
        assert list(probabilities["difficulties"]) == list(DIFFICULTIES)
        for shares in probabilities.values():
            assert sum(shares.values()) == pytest.approx(1, abs=0.002)
        assert 0 < answers[0]["confidence"] <= 1

    @pytest.mark.parametrize("bad", ["{", '"text"', '{"messages": []}', body("x", mode="cook")])
    def test_a_bad_line_is_named_and_the_others_are_answered(
        self, bad: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        answers, code = run(monkeypatch, f"{body('run the tests')}\n{bad}\n{body('run them')}\n")
        assert code == 1
        assert len(answers) == 3
        assert answers[1]["line"] == 2
        assert answers[1]["error"]
        assert "task_type" in answers[0]
        assert "task_type" in answers[2]

    def test_a_task_of_the_client_is_taken_at_its_word(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        task = {"task_type": "refactoring", "subtask_type": "migration"}
        (answer,), code = run(monkeypatch, body("run the tests", task=task))
        assert (code, answer["subtask_type"], answer["confidence"]) == (0, "migration", 1)

    def test_contributions_on_request(self, monkeypatch: pytest.MonkeyPatch) -> None:
        (answer,), _ = run(monkeypatch, body("rename tmp2 to seats"), "--contributions", "2")
        assert answer["contributions"][0]["word"] == "rename"
        assert len(answer["contributions"]) <= 2


def test_training_says_what_it_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(train_classifier, "TRAINING_PACKAGES", ("no_such_package",))
    with pytest.raises(CommandError, match=r"no_such_package.*requirements-train\.txt"):
        call_command("train_classifier")


def test_the_evaluation_prints_figures_costs_and_candidates() -> None:
    out = io.StringIO()
    call_command("evaluate_classifier", "--limit", "40", stdout=out)
    text = out.getvalue()
    for part in ("route accuracy", "route ece", "true task type", "letters outside ASCII"):
        assert part in text
    for part in ("linear |", "CPU of a request read anew", "memory"):
        assert part in text


def test_a_web_process_has_it_before_the_first_request() -> None:
    probe = (
        "import kilo_site.wsgi\n"
        "from routing.classifier import load_classifier\n"
        "print(load_classifier.cache_info().currsize)"
    )
    ran = subprocess.run(
        [sys.executable, "-c", probe], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert ran.stdout.splitlines()[-1] == "1"


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory is read from /proc")
def test_memory_stays_under_its_bound() -> None:
    """Counts what the process grows by when the classifier is loaded and used."""
    from routing.management.commands.evaluate_classifier import MEMORY_PROBE

    ran = subprocess.run(
        [sys.executable, "-c", MEMORY_PROBE], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert 10_000_000 < int(ran.stdout) < 150_000_000
