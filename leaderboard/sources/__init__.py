"""Feed formats: each module here turns one kind of file or folder into runs.

A source knows nothing of the database. It is tolerant of fields it does not use and strict with
those it does: whatever cannot be trusted becomes a `Rejection`, and the rest is still yielded.
"""

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


class UnusablePath(ValueError):
    """The path holds nothing of this format at all."""


@dataclass(frozen=True)
class FeedPrice:
    """A price as the feed states it, in micro-USD per million tokens."""

    input_micro_usd: int
    output_micro_usd: int
    cache_read_micro_usd: int | None = None
    cache_write_micro_usd: int | None = None


@dataclass(frozen=True)
class FeedModel:
    """What the feed says of the model itself. None: it says nothing."""

    name: str
    supports_vision: bool | None = None
    available: bool | None = None
    price: FeedPrice | None = None


@dataclass(frozen=True, slots=True)
class ParsedTask:
    """One trial of one task; see `leaderboard.models.TaskResult`. None: the feed is silent."""

    task: str
    score: float | None
    cost_micro_usd: int | None
    trial: int = 1
    input_tokens: int | None = None
    cache_read_tokens: int | None = None
    output_tokens: int | None = None
    latency_ms: int | None = None


@dataclass(frozen=True)
class ParsedFigure:
    """Counts of a run that comes without its tasks, as `leaderboard.models.RunFigure`."""

    n: int
    passed: float
    n_cost: int = 0
    cost_micro_usd: int = 0
    cost_cv: float = 0.0
    difficulty: str = ""


@dataclass(frozen=True)
class ParsedRun:
    """One model in one harness over one benchmark: tasks, or figures where there are no tasks.

    `origin` is the file or URL within the feed, `url` where a person can look at the run, `command`
    what reproduces it, and `route` what a benchmark measures that nobody has declared yet.
    """

    benchmark: str
    model: FeedModel
    harness: str
    harness_version: str
    origin: str
    mean_latency_ms: int | None
    measured_at: dt.datetime | None
    tasks: tuple[ParsedTask, ...] = ()
    figures: tuple[ParsedFigure, ...] = ()
    url: str = ""
    command: str = ""
    route: str = ""


@dataclass(frozen=True)
class Rejection:
    """Something that could not be used. `file` is relative to the feed, `row` may be empty."""

    file: str
    row: str
    reason: str

    def __str__(self) -> str:
        return f"{self.file}{f' [{self.row}]' if self.row else ''}: {self.reason}"


class Source(Protocol):
    """A feed format. `licence` is what the feed states of itself."""

    slug: str
    name: str
    url: str
    licence: str

    def count(self, path: Path) -> int:
        """Return about how many runs `read` will meet, for a progress bar. Raises UnusablePath."""

    def read(self, path: Path) -> Iterator[ParsedRun | Rejection]:
        """Yield what is at `path`. Raises UnusablePath when nothing of this format is there."""
