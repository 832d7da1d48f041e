"""The OpenHands Index: outcome and cost per task of coding benchmarks, one folder per model.

``results/<model>/metadata.json`` names the model, the harness and list prices; ``scores.json`` has
one entry per benchmark with its date and mean run time; ``instance_results/<benchmark>.json`` maps
each task to ``{"resolved": bool | null, "cost": dollars | null}``.
"""

import datetime as dt
import json
import math
import stat
from collections.abc import Iterator
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
from lib.money import to_micro_usd

MAX_FILE_BYTES: Final = 50 * 1024 * 1024
# Beyond these a figure is a mistake of unit, not a measurement.
MAX_TASK_USD: Final = 100_000
MAX_MTOK_USD: Final = 100_000
MAX_RUNTIME_SECONDS: Final = 30 * 24 * 3600
DUPLICATE: Final = object()


class BadFile(Exception):
    """The whole file cannot be used; the message says why."""


class BadValue(Exception):
    """One value cannot be used; the message says why."""


class OpenHandsIndex:
    """Reads the folder that contains ``results/``, or ``results/`` itself."""

    slug = "openhands-index"
    name = "OpenHands Index"
    url = "https://github.com/OpenHands/openhands-index-results"
    licence = "see source"

    def count(self, path: Path) -> int:
        """See `Source.count`."""
        return sum(1 for _ in results_folder(path).glob("*/instance_results/*.json"))

    def read(self, path: Path) -> Iterator[ParsedRun | Rejection]:
        """See `Source.read`."""
        root = results_folder(path)
        for folder in model_folders(root):
            yield from ModelFolder(root, folder).read()


def results_folder(path: Path) -> Path:
    """Return the ``results`` folder that `path` is or contains. Raises UnusablePath."""
    inner = path / "results"
    root = inner if inner.is_dir() else path
    if not root.is_dir():
        raise UnusablePath(f"{path} is not a folder.")
    if not any((folder / "metadata.json").exists() for folder in model_folders(root)):
        raise UnusablePath(f"{path} holds no results/<model>/metadata.json.")
    return root.resolve()


def model_folders(root: Path) -> list[Path]:
    """Return the folders of models in a fixed order."""
    return sorted(entry for entry in root.iterdir() if entry.is_dir() and entry.name[0] != ".")


class ModelFolder:
    """One model's folder."""

    def __init__(self, root: Path, folder: Path) -> None:
        self.root, self.folder = root, folder
        self.rejections: list[Rejection] = []

    def read(self) -> Iterator[ParsedRun | Rejection]:
        """Yield the folder's runs, and what had to be left out."""
        try:
            metadata = self.load("metadata.json", dict)
            model = self.model(metadata)
            harness = text(metadata, "agent_name", 60)
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
        name = text(metadata, "model", 100)
        if not any(character.isalnum() for character in name):
            raise BadValue(f"model is {name!r}, which has no letter or digit")
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
        path = self.folder / file
        try:
            if not path.resolve().is_relative_to(self.root):
                raise BadFile("points outside the results folder")
            status = path.stat()
            if not stat.S_ISREG(status.st_mode):
                raise BadFile("is not a regular file")
            if status.st_size > MAX_FILE_BYTES:
                raise BadFile(f"has {status.st_size:,} bytes, more than {MAX_FILE_BYTES:,}")
            parsed = json.loads(path.read_bytes().decode("utf-8"), object_pairs_hook=pairs)
        except FileNotFoundError as error:
            raise BadFile("missing") from error
        except (OSError, RuntimeError) as error:
            # RuntimeError: a loop of symbolic links, or JSON nested beyond all reason.
            raise BadFile(f"cannot be read: {type(error).__name__}") from error
        except UnicodeDecodeError as error:
            raise BadFile(f"is not UTF-8 (byte {error.start})") from error
        except ValueError as error:
            raise BadFile(f"is not valid JSON: {error}") from error
        if not isinstance(parsed, kind):
            raise BadFile(f"is a JSON {KINDS[type(parsed)]}, not {KINDS[kind]}")
        return parsed

    def relative(self, file: str) -> str:
        """Return a file's path within the feed."""
        return printable(f"results/{self.folder.name}/{file}")

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


KINDS: Final = {
    dict: "object",
    list: "array",
    str: "string",
    int: "number",
    float: "number",
    bool: "boolean",
    type(None): "null",
}


def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
    """Build a JSON object; a key that appears twice gets a value that no field accepts."""
    found: dict[str, Any] = {}
    for key, value in items:
        found[key] = DUPLICATE if key in found else value
    return found


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


def dollars(value: Any, key: str, most: float) -> int | None:
    """Return dollars as micro-USD, and null as None. Raises BadValue."""
    number = amount(value, key, most)
    return None if number is None else to_micro_usd(number)


def amount(value: Any, key: str, most: float) -> float | None:
    """Return a number from zero to `most`, and null as None. Raises BadValue."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise BadValue(f"{key} is {short(value)}, not a number")
    if isinstance(value, float) and not math.isfinite(value):
        raise BadValue(f"{key} is {value}, not a finite number")
    if value < 0:
        raise BadValue(f"{key} is {short(value)}, below zero")
    if value > most:
        raise BadValue(f"{key} is {short(value)}, more than {most:,}")
    return value


def text(source: dict[str, Any], key: str, longest: int) -> str:
    """Return a string field that says something. Raises BadValue."""
    value = source.get(key)
    if not isinstance(value, str) or not value.isprintable() or len(value) > longest:
        raise BadValue(f"{key} is {short(value)}, not a text of up to {longest} characters")
    if not value.strip():
        raise BadValue(f"{key} is empty")
    return value


def moment(score: dict[str, Any]) -> dt.datetime:
    """Return ``submission_time`` as UTC; without a zone it is taken for UTC. Raises BadValue."""
    value = text(score, "submission_time", 60)
    try:
        parsed = dt.datetime.fromisoformat(value)
        return (parsed if parsed.tzinfo else parsed.replace(tzinfo=dt.UTC)).astimezone(dt.UTC)
    except (ValueError, OverflowError) as error:
        raise BadValue(f"submission_time is {short(value)}, not an ISO 8601 time") from error


def runtime_ms(score: dict[str, Any]) -> int | None:
    """Return ``average_runtime``, which is in seconds, as milliseconds. Raises BadValue."""
    seconds = amount(score["average_runtime"], "average_runtime", MAX_RUNTIME_SECONDS)
    return None if seconds is None else round(seconds * 1000)


SCORE_FIELDS: Final = {
    "agent_version": lambda score: text(score, "agent_version", 40),
    "average_runtime": runtime_ms,
    "submission_time": moment,
}


def short(value: Any) -> str:
    """Return a value as a message can show it."""
    if value is DUPLICATE:
        return "given twice"
    if isinstance(value, dict | list):
        return f"a JSON {KINDS[type(value)]}"
    shown = json.dumps(value) if isinstance(value, bool | None) else repr(value)
    return shown if len(shown) <= 40 else shown[:40] + "…"


def printable(value: str) -> str:
    """Return text without the characters that a terminal or a database would stumble over."""
    return "".join(character if character.isprintable() else "�" for character in value)
