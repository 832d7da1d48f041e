"""The project's own format: JSON Lines, a line for a run and then a line for each of its tasks.

``docs/results-format.md`` describes it, ``docs/results.schema.json`` is its JSON Schema. A file is
read line by line, so that it may be of any size; one run with its tasks is held in memory.
"""

import datetime as dt
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, BinaryIO, Final, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from leaderboard.sources import FeedModel, ParsedRun, ParsedTask, Rejection
from leaderboard.sources.reading import (
    MAX_RUNTIME_SECONDS,
    MAX_TASK_USD,
    MAX_TOKENS,
    BadFile,
    BadValue,
    Rejections,
    files_at,
    link,
    printable,
)
from lib.money import to_micro_usd
from lib.taxonomy import ROUTES

MAX_LINE_BYTES: Final = 64 * 1024
MAX_TASKS_PER_RUN: Final = 200_000
MAX_BAD_LINES: Final = 1000
# Benchmarks of teams, which are made where their results are taken in.
TEAM_PREFIX: Final = "team-"

Name = Annotated[str, Meta(min_length=1, max_length=60, pattern=r"\S")]
Slug = Annotated[str, Meta(max_length=60, pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")]
Tokens = Annotated[int, Meta(ge=0, le=MAX_TOKENS)]


class RunLine(msgspec.Struct, tag="run", tag_field="type", forbid_unknown_fields=True):
    """One model in one harness over one benchmark. The task lines that follow belong to it.

    `n_tasks` is how many there are: a file that ends early is then told from one that is whole.
    """

    benchmark: Slug
    model: Annotated[str, Meta(min_length=1, max_length=100, pattern=r"\w")]
    harness: Name
    route: Annotated[str, Meta(extra_json_schema={"enum": list(ROUTES)})] | None = None
    harness_version: Annotated[str, Meta(max_length=40)] = ""
    measured_at: Annotated[dt.datetime, Meta(tz=True)] | None = None
    url: Annotated[str, Meta(max_length=500)] = ""
    command: Annotated[str, Meta(max_length=500)] = ""
    n_tasks: Annotated[int, Meta(ge=1, le=MAX_TASKS_PER_RUN)] | None = None


class TaskLine(msgspec.Struct, tag="task", tag_field="type", forbid_unknown_fields=True):
    """One trial of one task: with an `outcome`, or with a `score` from 0 to 1.

    `input_tokens` includes those that were read from a cache.
    """

    task: Annotated[str, Meta(min_length=1, max_length=200)]
    trial: Annotated[int, Meta(ge=1, le=32_767)] = 1
    outcome: Literal["passed", "failed", "unknown"] | UnsetType = UNSET
    score: Annotated[float, Meta(ge=0, le=1)] | UnsetType | None = UNSET
    cost_usd: Annotated[float, Meta(ge=0, le=MAX_TASK_USD)] | None = None
    input_tokens: Tokens | None = None
    cache_read_tokens: Tokens | None = None
    output_tokens: Tokens | None = None
    latency_ms: Annotated[int, Meta(ge=0, le=MAX_RUNTIME_SECONDS * 1000)] | None = None


class SubmittedRun(RunLine, kw_only=True):
    """A run with its tasks in one object, as a request body holds it."""

    tasks: list[msgspec.Raw]


class Submission(msgspec.Struct, forbid_unknown_fields=True):
    """A request body."""

    runs: list[msgspec.Raw]


LINES: Final = msgspec.json.Decoder(RunLine | TaskLine)
SUBMISSION: Final = msgspec.json.Decoder(Submission)
SUBMITTED_RUN: Final = msgspec.json.Decoder(SubmittedRun)
TASK: Final = msgspec.json.Decoder(TaskLine)
UNDECODABLE: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
OUTCOMES: Final = {"passed": 1.0, "failed": 0.0, "unknown": None}


class OwnFormat:
    """Reads a file, or every ``*.jsonl`` in a folder."""

    slug = "results-jsonl"
    name = "Own results"
    url = ""
    licence = ""

    def count(self, path: Path) -> int:
        """See `Source.count`."""
        total = 0
        for file in files_at(path, "*.jsonl"):
            with file.open("rb") as stream:
                total += sum(b'"run"' in raw for _, raw in numbered(stream))
        return total

    def read(self, path: Path) -> Iterator[ParsedRun | Rejection]:
        """See `Source.read`."""
        for file in files_at(path, "*.jsonl"):
            with file.open("rb") as stream:
                yield from read_lines(stream, file.name)


class Draft:
    """A run that is being read. `row` is how messages call its first line."""

    def __init__(self, row: str, head: RunLine) -> None:
        self.row, self.head = row, head
        self.seen = 0
        self.tasks: dict[tuple[str, int], ParsedTask] = {}

    def take(self, line: TaskLine) -> None:
        """Take in a task. Raises BadValue."""
        self.seen += 1
        if len(self.tasks) == MAX_TASKS_PER_RUN:
            return
        task = parse_task(line)
        if (task.task, task.trial) in self.tasks:
            raise BadValue(f"{task.task} trial {task.trial} appears twice; the first is kept")
        self.tasks[task.task, task.trial] = task

    def run(self, origin: str) -> ParsedRun:
        """Return the run. Raises BadValue when it cannot be whole."""
        head = self.head
        if self.seen > MAX_TASKS_PER_RUN:
            raise BadValue(f"has more than {MAX_TASKS_PER_RUN:,} tasks, and none of it landed")
        if head.n_tasks is not None and head.n_tasks != self.seen:
            raise BadValue(
                f"announces {head.n_tasks:,} tasks, but {self.seen:,} follow: none of it landed"
            )
        if not self.tasks:
            raise BadValue("has no usable task")
        return ParsedRun(
            benchmark=head.benchmark,
            model=FeedModel(head.model),
            harness=head.harness,
            harness_version=head.harness_version,
            origin=origin,
            mean_latency_ms=None,
            measured_at=head.measured_at and head.measured_at.astimezone(dt.UTC),
            tasks=tuple(self.tasks[key] for key in sorted(self.tasks)),
            url=head.url,
            command=head.command,
            route=head.route or "",
        )


def read_lines(stream: BinaryIO, file: str) -> Iterator[ParsedRun | Rejection]:
    """Yield the runs of a stream of lines, and what had to be left out."""
    rejected = Rejections(file)
    draft: Draft | None = None
    bad = row = lost = 0
    for row, raw in numbered(stream):
        where = f"line {row}"
        try:
            entry = decode_line(raw)
            if isinstance(entry, RunLine):
                yield from finished(draft, rejected)
                draft, lost = None, 0
                check_head(entry)
                draft = Draft(where, entry)
            elif draft:
                draft.take(entry)
            else:
                lost += 1
                if lost == 1:
                    raise BadValue("this and what follows belongs to no run that could be used")
            continue
        except BadTask as error:
            rejected.add(where, error)
            if draft:
                draft.seen += 1
        except BadRun as error:
            yield from finished(draft, rejected)
            draft, lost = None, 0
            rejected.add(where, error)
        except Unclear as error:
            also = f"; the run of {draft.row} is left out, too" if draft else ""
            rejected.add(where, f"{error}, so that it is not clear whether a run begins here{also}")
            draft, lost = None, 0
        except BadValue as error:
            rejected.add(where, error)
        bad += 1
        yield from rejected.take()
        if bad == MAX_BAD_LINES:
            reason = f"is the {bad:,}th line that cannot be used; what follows is not read"
            rejected.add(where, reason)
            draft = None
            break
    if not row:
        rejected.add("", "holds no run")
    yield from finished(draft, rejected)
    yield from rejected.take()


def finished(draft: Draft | None, rejected: Rejections) -> Iterator[ParsedRun | Rejection]:
    """Yield what became of a run that has been read to its end."""
    if draft:
        try:
            yield draft.run(f"{rejected.file}, {draft.row}")
        except BadValue as error:
            rejected.add(draft.row, error)
            yield from rejected.take()


def read_submission(body: bytes) -> Iterator[ParsedRun | Rejection]:
    """Yield the runs of ``{"runs": [{..., "tasks": [...]}]}``. Raises BadFile for another shape."""
    try:
        submission = SUBMISSION.decode(body)
    except UNDECODABLE as error:
        raise BadFile(f"is not usable: {reason_of(error)}") from error
    for place, raw in enumerate(submission.runs):
        rejected = Rejections(f"runs[{place}]")
        try:
            entry = SUBMITTED_RUN.decode(raw)
            check_head(entry)
        except UNDECODABLE as error:
            rejected.add("", reason_of(error))
        except BadValue as error:
            rejected.add("", error)
        else:
            draft = Draft("", entry)
            for number, item in enumerate(entry.tasks):
                try:
                    draft.take(TASK.decode(item))
                except UNDECODABLE as error:
                    draft.seen += 1
                    rejected.add(f"tasks[{number}]", reason_of(error))
                except BadValue as error:
                    rejected.add(f"tasks[{number}]", error)
            try:
                yield draft.run(rejected.file)
            except BadValue as error:
                rejected.add("", error)
        yield from rejected.take()


class BadTask(Exception):
    """A line that is a task and cannot be used; the message says why."""


class BadRun(Exception):
    """A line that begins a run and cannot be used; the message says why."""


class Unclear(Exception):
    """A line that might have been the start of a run; the message says what is wrong with it."""


class Kind(msgspec.Struct):
    """What a line says it is."""

    type: Literal["run", "task"]


KIND: Final = msgspec.json.Decoder(Kind)


def numbered(stream: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """Yield lines with their numbers, blank ones left out, and long ones cut at the limit."""
    number = 0
    while raw := stream.readline(MAX_LINE_BYTES + 1):
        number += 1
        rest = raw
        while len(rest) > MAX_LINE_BYTES and not rest.endswith(b"\n"):
            rest = stream.readline(MAX_LINE_BYTES + 1)
        if raw.strip():
            yield number, raw


def decode_line(raw: bytes) -> RunLine | TaskLine:
    """Return what a line says. Raises BadTask, BadRun, or Unclear when it might be either."""
    if len(raw) > MAX_LINE_BYTES:
        raise Unclear(f"is longer than {MAX_LINE_BYTES:,} bytes")
    try:
        entry: RunLine | TaskLine = LINES.decode(raw)
        return entry
    except UNDECODABLE as error:
        match kind_of(raw):
            case "task":
                raise BadTask(reason_of(error)) from error
            case "run":
                raise BadRun(reason_of(error)) from error
            case _:
                raise Unclear(reason_of(error)) from error


def kind_of(raw: bytes) -> str | None:
    """Return what a line that cannot be used says it is, if that much is clear.

    A broken line that names a task and no run is one, unless the file ends in it.
    """
    try:
        return KIND.decode(raw).type
    except UNDECODABLE:
        is_task = b'"task"' in raw and b'"run"' not in raw and raw.endswith(b"\n")
        return "task" if is_task else None


def reason_of(error: Exception) -> str:
    """Return what is wrong with a piece of JSON."""
    if isinstance(error, UnicodeDecodeError):
        return f"is not UTF-8 (byte {error.start})"
    if isinstance(error, RecursionError):
        return "is nested too deeply"
    kind = "" if isinstance(error, msgspec.ValidationError) else "is not valid JSON: "
    return printable(f"{kind}{error}")[:400]


def check_head(head: RunLine) -> None:
    """Check what the types of a run line leave open. Raises BadValue."""
    for key in ("model", "harness", "harness_version", "command"):
        if not getattr(head, key).isprintable():
            raise BadValue(f"{key} has control characters")
    if head.route is not None and head.route not in ROUTES:
        raise BadValue(f"route is not one of {', '.join(ROUTES)}")
    if head.url and not link(head.url):
        raise BadValue("url is no http or https address")
    if head.benchmark.startswith(TEAM_PREFIX):
        raise BadValue(f"benchmark begins with {TEAM_PREFIX}, which is kept for teams")


def parse_task(line: TaskLine) -> ParsedTask:
    """Return a task. Raises BadValue."""
    if not line.task.isprintable():
        raise BadValue("task has control characters")
    if (line.outcome is UNSET) == (line.score is UNSET):
        raise BadValue("needs either an outcome or a score")
    score = OUTCOMES[line.outcome] if line.outcome is not UNSET else line.score
    if (line.cache_read_tokens or 0) > (line.input_tokens or 0):
        raise BadValue("cache_read_tokens is more than input_tokens, which includes them")
    return ParsedTask(
        task=line.task,
        score=None if score is UNSET else score,
        cost_micro_usd=None if line.cost_usd is None else to_micro_usd(line.cost_usd),
        trial=line.trial,
        input_tokens=line.input_tokens,
        cache_read_tokens=line.cache_read_tokens,
        output_tokens=line.output_tokens,
        latency_ms=line.latency_ms,
    )
