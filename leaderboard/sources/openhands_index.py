"""The OpenHands Index: outcome and cost per task of coding benchmarks, one folder per model.

``results/<model>/metadata.json`` names the model, the harness and list prices; ``scores.json`` has
one entry per benchmark with its date and mean run time; ``instance_results/<benchmark>.json`` maps
each task to ``{"resolved": bool | null, "cost": dollars | null}``. The folder
``alternative_agents/<harness>/<model>/`` holds the same for other harnesses.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from leaderboard.benchmarks import BENCHMARKS
from leaderboard.sources import (
    FeedModel,
    FeedPrice,
    ParsedRun,
    ParsedTask,
    Rejection,
    UnusablePath,
)
from leaderboard.sources.reading import (
    DUPLICATE,
    MAX_MTOK_USD,
    MAX_RUNTIME_SECONDS,
    MAX_TASK_USD,
    BadFile,
    BadValue,
    amount,
    dollars,
    load_json,
    model_name,
    moment,
    printable,
    short,
    text,
)


class OpenHandsIndex:
    """Reads the folder that contains ``results/``, or ``results/`` itself."""

    slug = "openhands-index"
    name = "OpenHands Index"
    url = "https://github.com/OpenHands/openhands-index-results"
    licence = "see source"

    def count(self, path: Path) -> int:
        """See `Source.count`."""
        return sum(
            1
            for group in groups(path)
            for folder in folders(group.root)
            for _ in folder.glob("instance_results/*.json")
        )

    def read(self, path: Path) -> Iterator[ParsedRun | Rejection]:
        """See `Source.read`."""
        for group in groups(path):
            for folder in folders(group.root):
                yield from ModelFolder(group, folder).read()


@dataclass(frozen=True)
class Group:
    """Folders of models that share a harness. Without one, each names its own."""

    root: Path
    name: str
    harness: str | None = None


def groups(path: Path) -> list[Group]:
    """Return what the feed at `path` is made of, in a fixed order. Raises UnusablePath."""
    inner, others = path / "results", path / "alternative_agents"
    root = inner if inner.is_dir() else path
    if not root.is_dir():
        raise UnusablePath(f"{path} is not a folder.")
    found = []
    if any((folder / "metadata.json").exists() for folder in folders(root)):
        found.append(Group(root.resolve(), "results"))
    for harness in folders(others) if others.is_dir() else []:
        name = f"{others.name}/{harness.name}"
        if harness.resolve().is_relative_to(path.resolve()):
            found.append(Group(harness.resolve(), name, harness.name))
    if not found:
        raise UnusablePath(f"{path} holds no results/<model>/metadata.json.")
    return found


def folders(root: Path) -> list[Path]:
    """Return the folders in a folder, in a fixed order."""
    return sorted(entry for entry in root.iterdir() if entry.is_dir() and entry.name[0] != ".")


class ModelFolder:
    """One model's folder."""

    def __init__(self, group: Group, folder: Path) -> None:
        self.group, self.root, self.folder = group, group.root, folder
        self.rejections: list[Rejection] = []

    def read(self) -> Iterator[ParsedRun | Rejection]:
        """Yield the folder's runs, and what had to be left out."""
        try:
            metadata = self.load("metadata.json", dict)
            model = self.model(metadata)
            harness = self.harness(metadata)
        except BadFile as error:
            yield self.rejection("metadata.json", "", str(error))
            return
        except BadValue as error:
            yield self.rejection("metadata.json", "", f"{error}; no run of this folder can land")
            return
        version = self.version(metadata)
        scores = self.scores()
        yield from self.taken_rejections()
        names = set()
        for file in self.instance_files():
            benchmark = file.removeprefix("instance_results/").removesuffix(".json")
            names.add(benchmark)
            score = scores.get(benchmark, {})
            tasks = self.tasks(benchmark, file)
            run = ParsedRun(
                benchmark=benchmark,
                model=model,
                harness=harness,
                harness_version=self.of_score(benchmark, score, "agent_version") or version,
                origin=self.relative(file),
                mean_latency_ms=self.of_score(benchmark, score, "average_runtime"),
                measured_at=self.of_score(benchmark, score, "submission_time"),
                tasks=tasks,
            )
            yield from self.taken_rejections()
            if tasks:
                yield run
        for benchmark in sorted(scores.keys() - names):
            file = f"instance_results/{benchmark}.json"
            yield self.rejection(file, "", "missing, though scores.json lists this benchmark")

    def harness(self, metadata: dict[str, Any]) -> str:
        """Return what ran the model. Raises BadValue."""
        if self.group.harness is None:
            return text(metadata, "agent_name", 60)
        return text({"the harness folder": self.group.harness}, "the harness folder", 60)

    def version(self, metadata: dict[str, Any]) -> str:
        """Return the harness version that holds where a score names none; it may be empty."""
        try:
            stated = metadata.get("agent_version") is not None
            return text(metadata, "agent_version", 40) if stated else ""
        except BadValue as error:
            self.reject("metadata.json", "agent_version", f"{error}; runs land without it")
            return ""

    def model(self, metadata: dict[str, Any]) -> FeedModel:
        """Return what the metadata says of the model. Raises BadValue without a usable name."""
        name = model_name(metadata, "model")
        flags: dict[str, bool | None] = {}
        for key in ("supports_vision", "available"):
            value = metadata.get(key)
            if value is not None and not isinstance(value, bool):
                self.reject(
                    "metadata.json", key, f"{key} is {short(value)}, not true, false or null"
                )
                value = None
            flags[key] = value
        return FeedModel(name, flags["supports_vision"], flags["available"], self.price(metadata))

    def price(self, metadata: dict[str, Any]) -> FeedPrice | None:
        """Return the stated price; None, too, when any part of it is unusable."""
        parts: list[int | None] = []
        for key in ("input_price", "output_price", "cache_read_price", "cache_write_price"):
            try:
                parts.append(dollars(metadata.get(key), key, MAX_MTOK_USD))
            except BadValue as error:
                self.reject("metadata.json", key, f"{error}; the stated price is not used")
                return None
        input_price, output_price, cache_read, cache_write = parts
        if input_price is None or output_price is None:
            return None
        return FeedPrice(input_price, output_price, cache_read, cache_write)

    def scores(self) -> dict[str, dict[str, Any]]:
        """Return the entries of scores.json by benchmark."""
        try:
            entries = self.load("scores.json", list)
        except BadFile as error:
            self.reject("scores.json", "", f"{error}; runs land without date and run time")
            return {}
        scores: dict[str, dict[str, Any]] = {}
        for place, entry in enumerate(entries):
            benchmark = entry.get("benchmark") if isinstance(entry, dict) else None
            if not isinstance(benchmark, str) or benchmark not in BENCHMARKS:
                self.reject(
                    "scores.json", f"entry {place}", f"benchmark is {short(benchmark)}, unknown"
                )
            elif benchmark in scores:
                self.reject("scores.json", benchmark, "listed twice; the first entry is used")
            else:
                scores[benchmark] = entry
        return scores

    def of_score(self, benchmark: str, score: dict[str, Any], key: str) -> Any:
        """Return one field of a score, converted; None when it is absent or unusable."""
        try:
            return SCORE_FIELDS[key](score) if score.get(key) is not None else None
        except BadValue as error:
            self.reject("scores.json", benchmark, f"{error}; the run lands without it")
            return None

    def instance_files(self) -> list[str]:
        """Return the result files of known benchmarks; unknown ones are rejected."""
        files = []
        for path in sorted((self.folder / "instance_results").glob("*.json")):
            file = f"instance_results/{path.name}"
            if path.stem in BENCHMARKS:
                files.append(file)
            else:
                self.reject(file, "", f"unknown benchmark; known are {', '.join(BENCHMARKS)}")
        return files

    def tasks(self, benchmark: str, file: str) -> tuple[ParsedTask, ...]:
        """Return the usable rows of a result file."""
        try:
            rows = self.load(file, dict)
        except BadFile as error:
            self.reject(file, "", str(error))
            return ()
        tasks = []
        for name, row in rows.items():
            try:
                tasks.append(parse_task(name, row))
            except BadValue as error:
                self.reject(file, printable(name)[:200], str(error))
        if not rows:
            self.reject(file, "", "holds no task results")
        return tuple(sorted(tasks, key=lambda task: task.task))

    def load(self, file: str, kind: type) -> Any:
        """Return the parsed JSON of a file, which must be of `kind`. Raises BadFile."""
        return load_json(self.folder / file, kind, self.root)

    def relative(self, file: str) -> str:
        """Return a file's path within the feed."""
        return printable(f"{self.group.name}/{self.folder.name}/{file}")

    def rejection(self, file: str, row: str, reason: str) -> Rejection:
        """Return a rejection of a file of this folder."""
        return Rejection(self.relative(file), row, reason)

    def reject(self, file: str, row: str, reason: str) -> None:
        """Keep a rejection until the next `taken_rejections`."""
        self.rejections.append(self.rejection(file, row, reason))

    def taken_rejections(self) -> list[Rejection]:
        """Return the kept rejections and forget them."""
        taken, self.rejections = self.rejections, []
        return taken


def parse_task(name: str, row: Any) -> ParsedTask:
    """Return one row. Raises BadValue."""
    if not name.isprintable() or not 0 < len(name) <= 200:
        raise BadValue("the task's id must be 1 to 200 printable characters")
    if row is DUPLICATE:
        raise BadValue("appears twice")
    if not isinstance(row, dict):
        raise BadValue(f"is {short(row)}, not an object")
    for key in ("resolved", "cost"):
        if key not in row:
            raise BadValue(f"has no {key}")
    passed = row["resolved"]
    if passed is not None and not isinstance(passed, bool):
        raise BadValue(f"resolved is {short(passed)}, not true, false or null")
    score = None if passed is None else float(passed)
    return ParsedTask(name, score, dollars(row["cost"], "cost", MAX_TASK_USD))


def runtime_ms(score: dict[str, Any]) -> int | None:
    """Return ``average_runtime``, which is in seconds, as milliseconds. Raises BadValue."""
    seconds = amount(score["average_runtime"], "average_runtime", MAX_RUNTIME_SECONDS)
    return None if seconds is None else round(seconds * 1000)


SCORE_FIELDS: Final[dict[str, Callable[[dict[str, Any]], Any]]] = {
    "agent_version": lambda score: text(score, "agent_version", 40),
    "average_runtime": runtime_ms,
    "submission_time": lambda score: moment(score, "submission_time"),
}
