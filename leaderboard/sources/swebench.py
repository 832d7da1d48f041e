"""SWE-bench's ``leaderboards.json``: several leaderboards, each with entries of a system and model.

Entries of ``bash-only`` list every task with its outcome and cost. Others state the share of tasks
that were resolved; n is then the size of the split, which the file itself does not give.
"""

import datetime as dt
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from leaderboard.sources import FeedModel, ParsedFigure, ParsedRun, ParsedTask, Rejection
from leaderboard.sources.reading import (
    DUPLICATE,
    MAX_RUN_USD,
    MAX_TASK_USD,
    BadFile,
    BadValue,
    Rejections,
    amount,
    dollars,
    files_at,
    line,
    link,
    load_json,
    model_name,
    moment,
    short,
    text,
)

BASH_ONLY: Final = "bash-only"
BASH_HARNESS: Final = "mini-SWE-agent"
# The effort that a model runs with when its caller does not choose one.
USUAL_EFFORT: Final = "medium"


@dataclass(frozen=True)
class Split:
    """The tasks of a leaderboard: our name of the benchmark, and how many there are."""

    benchmark: str
    tasks: int


SPLITS: Final = {
    BASH_ONLY: Split("swe-bench-verified", 500),
    "Verified": Split("swe-bench-verified", 500),
    "Lite": Split("swe-bench-lite", 300),
    "Test": Split("swe-bench-full", 2294),
    "Multimodal": Split("swe-bench-multimodal-full", 517),
}


class SweBench:
    """Reads ``leaderboards.json``, or the folder that contains it."""

    slug = "swe-bench"
    name = "SWE-bench"
    url = "https://www.swebench.com/"
    licence = "see source"

    def count(self, path: Path) -> int:
        """See `Source.count`."""
        return sum(1 for item in self.read(path) if isinstance(item, ParsedRun))

    def read(self, path: Path) -> Iterator[ParsedRun | Rejection]:
        """See `Source.read`."""
        for file in files_at(path, "leaderboards.json"):
            yield from Leaderboards(file).read()


class Leaderboards:
    """One file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rejected = Rejections(path.name)

    def read(self) -> Iterator[ParsedRun | Rejection]:
        """Yield the newest run per benchmark, harness and model, and what had to be left out."""
        runs: dict[tuple[str, str, str], tuple[str, ParsedRun]] = {}
        for split, row, entry in self.entries():
            try:
                run = self.run(split, row, entry)
            except BadValue as error:
                self.rejected.add(row, error)
                continue
            key = (run.benchmark, run.harness, run.model.name)
            found = [runs.get(key, (row, run)), (row, run)]
            (older, _), newer = sorted(found, key=lambda one: when(one[1]))
            if key in runs:
                reason = f"is the same model and harness as {newer[0]}, which is not older"
                self.rejected.add(older, reason)
            runs[key] = newer
        yield from self.rejected.take()
        for _, run in runs.values():
            yield run

    def entries(self) -> Iterator[tuple[str, str, dict[str, Any]]]:
        """Yield the name of the leaderboard, how messages call the entry, and the entry."""
        try:
            boards = load_json(self.path, dict).get("leaderboards")
            if not isinstance(boards, list):
                raise BadFile(f"leaderboards is {short(boards)}, not an array")
        except BadFile as error:
            self.rejected.add("", error)
            return
        for place, board in enumerate(boards):
            name = board.get("name") if isinstance(board, dict) else None
            results = board.get("results") if isinstance(board, dict) else None
            if not isinstance(name, str) or name not in SPLITS or not isinstance(results, list):
                shown = short(name)
                known = ", ".join(SPLITS)
                self.rejected.add(f"leaderboard {place}", f"{shown} is not one of {known}")
                continue
            for number, entry in enumerate(results):
                row = f"{name} {number}"
                if isinstance(entry, dict):
                    yield name, f"{row}: {line(entry.get('name'), 100)}", entry
                else:
                    self.rejected.add(row, f"is {short(entry)}, not an object")

    def run(self, board: str, row: str, entry: dict[str, Any]) -> ParsedRun:
        """Return one entry. Raises BadValue."""
        split = SPLITS[board]
        name = text(entry, "name", 200)
        bash_only = board == BASH_ONLY
        harness = BASH_HARNESS if bash_only else name.split(" + ")[0].strip()[:60]
        version = entry.get("mini-swe-agent_version") if bash_only else attempts_of(entry)
        details = entry.get("per_instance_details")
        tasks = () if details is None else self.tasks(row, details)
        if details is not None and not tasks:
            raise BadValue("per_instance_details holds no usable task")
        sites = entry.get("site")
        return ParsedRun(
            benchmark=split.benchmark,
            model=FeedModel(model_of(entry, name, bash_only)),
            harness=harness,
            harness_version=line(version, 40),
            origin=self.rejected.file,
            mean_latency_ms=None,
            measured_at=moment(entry, "date") if entry.get("date") is not None else None,
            tasks=tasks,
            figures=() if tasks else (figure(split, entry),),
            url=next(filter(None, map(link, sites if isinstance(sites, list) else [sites])), ""),
        )

    def tasks(self, row: str, details: Any) -> tuple[ParsedTask, ...]:
        """Return the usable tasks of an entry. Raises BadValue."""
        if not isinstance(details, dict):
            raise BadValue(f"per_instance_details is {short(details)}, not an object")
        tasks = []
        for name, result in details.items():
            try:
                tasks.append(parse_task(name, result))
            except BadValue as error:
                self.rejected.add(f"{row}: {name}", error)
        return tuple(sorted(tasks, key=lambda task: task.task))


def parse_task(name: str, result: Any) -> ParsedTask:
    """Return one task. Raises BadValue."""
    if not name.isprintable() or not 0 < len(name) <= 200:
        raise BadValue("the task's id must be 1 to 200 printable characters")
    if result is DUPLICATE:
        raise BadValue("appears twice")
    if not isinstance(result, dict) or "resolved" not in result:
        raise BadValue("is not an object with resolved")
    resolved = result["resolved"]
    if resolved is not None and not isinstance(resolved, bool):
        raise BadValue(f"resolved is {short(resolved)}, not true, false or null")
    score = None if resolved is None else float(resolved)
    return ParsedTask(name, score, dollars(result.get("cost"), "cost", MAX_TASK_USD))


def figure(split: Split, entry: dict[str, Any]) -> ParsedFigure:
    """Return the counts of an entry without tasks. Raises BadValue."""
    percent = amount(entry.get("resolved"), "resolved", 100)
    if percent is None:
        raise BadValue("has neither per_instance_details nor resolved")
    passed = percent / 100 * split.tasks
    cost = dollars(entry.get("cost"), "cost", MAX_RUN_USD)
    if not cost:
        return ParsedFigure(split.tasks, passed)
    return ParsedFigure(split.tasks, passed, split.tasks, cost)


def model_of(entry: dict[str, Any], name: str, bash_only: bool) -> str:
    """Return the one model that an entry used. Raises BadValue for none or several.

    An effort of reasoning other than the usual one is part of the name: a caller who names only the
    model does not get it.
    """
    tags = entry.get("tags")
    named = [
        tag.removeprefix("Model:").strip()
        for tag in (tags if isinstance(tags, list) else [])
        if isinstance(tag, str) and tag.startswith("Model:")
    ]
    if len(named) > 1:
        raise BadValue(f"used {len(named)} models, so that none of them can be credited")
    if not named and not bash_only:
        raise BadValue("does not say which model it used")
    model = model_name({"model": named[0] if named else name}, "model")
    effort = re.search(r"\((\w+) reasoning\)", name)
    if named and effort and effort[1] != USUAL_EFFORT:
        return f"{model} ({effort[1]} reasoning)"
    return model


def attempts_of(entry: dict[str, Any]) -> str:
    """Return how often the system tried each task, as the entry's tags say; usually once."""
    tags = entry.get("tags")
    for tag in tags if isinstance(tags, list) else []:
        if isinstance(tag, str) and tag.startswith("System: Attempts - "):
            attempts = tag.removeprefix("System: Attempts - ")
            return "" if attempts == "1" else f"{attempts} attempts"
    return ""


def when(run: ParsedRun) -> dt.datetime:
    """Return when a run was measured; long ago when it does not say."""
    return run.measured_at or dt.datetime.min.replace(tzinfo=dt.UTC)
