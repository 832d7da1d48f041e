"""Aider's leaderboards: YAML lists with one entry per model and the share of exercises it solved.

The file's name says which benchmark it is: ``polyglot_leaderboard.yml``, ``edit_leaderboard.yml``
or ``refactor_leaderboard.yml``; an entry may say it itself with a field ``benchmark``.
"""

import datetime as dt
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import yaml

from leaderboard.sources import FeedModel, ParsedFigure, ParsedRun, Rejection
from leaderboard.sources.reading import (
    MAX_RUN_USD,
    MAX_RUNTIME_SECONDS,
    BadFile,
    BadValue,
    Rejections,
    amount,
    dollars,
    files_at,
    line,
    model_name,
    moment,
    read_text,
    short,
    whole,
)

HARNESS: Final = "Aider"
# YAML is slow to parse, and the largest of these files has 60 KB.
MAX_YAML_BYTES: Final = 2 * 1024 * 1024
# How many exercises each benchmark has. More of them is an entry of another benchmark.
EXERCISES: Final = {"polyglot": 225, "edit": 133, "refactor": 89}


class PlainLoader(yaml.SafeLoader):
    """YAML without aliases, by which a small text can grow beyond all memory."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        """Refuse an alias, and go on as usual with everything else."""
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("aliases are not used in this format")
        return super().compose_node(parent, index)


class Aider:
    """Reads one leaderboard, or the folder that contains them."""

    slug = "aider"
    name = "Aider leaderboards"
    url = "https://aider.chat/docs/leaderboards/"
    licence = "see source"

    def count(self, path: Path) -> int:
        """See `Source.count`."""
        return sum(1 for item in self.read(path) if isinstance(item, ParsedRun))

    def read(self, path: Path) -> Iterator[ParsedRun | Rejection]:
        """See `Source.read`."""
        for file in files_at(path, "*_leaderboard.yml", "*_leaderboard.yaml"):
            yield from Leaderboard(file).read()


class Leaderboard:
    """One file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rejected = Rejections(path.name)

    def read(self) -> Iterator[ParsedRun | Rejection]:
        """Yield the newest run per benchmark and model, and what had to be left out."""
        runs: dict[tuple[str, str], ParsedRun] = {}
        for place, entry in enumerate(self.entries()):
            row = f"entry {place}"
            try:
                if not isinstance(entry, dict):
                    raise BadValue(f"is {short(entry)}, not a mapping")
                row = f"{row}: {line(entry.get('model'), 100)}"
                run = self.run(entry)
            except BadValue as error:
                self.rejected.add(row, error)
                continue
            key = (run.benchmark, run.model.name)
            known = runs.get(key)
            if known:
                newer, older = (run, known) if when(run) >= when(known) else (known, run)
                self.rejected.add(
                    row,
                    f"lists {run.model.name} again; of {day(newer)} and"
                    f" {day(older)} the later counts",
                )
                run = newer
            runs[key] = run
        yield from self.rejected.take()
        yield from runs.values()

    def entries(self) -> list[Any]:
        """Return what the file lists."""
        try:
            text_read = read_text(self.path, most=MAX_YAML_BYTES)
            loaded = yaml.load(text_read, PlainLoader)  # noqa: S506 - a kind of SafeLoader
        except BadFile as error:
            self.rejected.add("", error)
            return []
        except RecursionError:
            self.rejected.add("", "cannot be read: it is nested too deeply")
            return []
        except (yaml.YAMLError, ValueError, TypeError, OverflowError) as error:
            # The others: a date, a number or a key that YAML allows and Python does not.
            self.rejected.add("", f"is not valid YAML: {' '.join(str(error).split())[:300]}")
            return []
        if not isinstance(loaded, list):
            self.rejected.add("", f"is {short(loaded)}, not a list of entries")
            return []
        return loaded

    def run(self, entry: dict[str, Any]) -> ParsedRun:
        """Return one entry. Raises BadValue."""
        benchmark = entry.get("benchmark") or self.path.name.partition("_leaderboard")[0]
        if not isinstance(benchmark, str) or benchmark not in EXERCISES:
            known = ", ".join(EXERCISES)
            raise BadValue(f"benchmark is {short(benchmark)}, not one of {known}")
        name = model_name(entry, "model")
        if " + " in name or entry.get("editor_model"):
            raise BadValue("used two models, so that neither can be credited")
        seconds = amount(entry.get("seconds_per_case"), "seconds_per_case", MAX_RUNTIME_SECONDS)
        version = [line(entry.get("versions"), 25), line(entry.get("edit_format"), 14)]
        return ParsedRun(
            benchmark=f"{Aider.slug}-{benchmark}",
            model=FeedModel(name),
            harness=HARNESS,
            harness_version=" ".join(filter(None, version)),
            origin=self.rejected.file,
            mean_latency_ms=None if seconds is None else round(seconds * 1000),
            measured_at=measured_at(entry),
            figures=(figure(entry, EXERCISES[benchmark]),),
            url=Aider.url,
            command=line(entry.get("command"), 500),
        )


def figure(entry: dict[str, Any], most: int) -> ParsedFigure:
    """Return the counts of an entry. Raises BadValue.

    ``pass_rate_2`` counts what was solved at the second try, with the failed tests shown; the
    refactoring benchmark has one try. The rate is rounded to a tenth of a percent, which leaves one
    possible count of so few exercises.
    """
    n = whole(entry.get("test_cases"), "test_cases", 10**9)
    if not n:
        raise BadValue("has no test_cases")
    if n > most:
        raise BadValue(f"test_cases is {n}, but this benchmark has {most} exercises")
    key = "pass_rate_2" if entry.get("pass_rate_2") is not None else "pass_rate_1"
    rate = amount(entry.get(key), key, 100)
    if rate is None:
        raise BadValue("has no pass_rate_1")
    passed = round(rate / 100 * n)
    cost = dollars(entry.get("total_cost"), "total_cost", MAX_RUN_USD)
    return ParsedFigure(n, passed, n, cost) if cost else ParsedFigure(n, passed)


def measured_at(entry: dict[str, Any]) -> dt.datetime | None:
    """Return the date of an entry as the start of that day. Raises BadValue."""
    value = entry.get("date")
    if value is None:
        return None
    return moment({"date": value.isoformat() if isinstance(value, dt.date) else value}, "date")


def when(run: ParsedRun) -> dt.datetime:
    """Return when a run was measured; long ago when it does not say."""
    return run.measured_at or dt.datetime.min.replace(tzinfo=dt.UTC)


def day(run: ParsedRun) -> str:
    """Return a run's date as a message shows it."""
    return run.measured_at.date().isoformat() if run.measured_at else "an unknown day"
