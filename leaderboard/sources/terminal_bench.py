"""Terminal-Bench: ``results.json`` of its first harness, and job folders of its second, Harbor.

``results.json`` lists trials and names neither agent nor model: ``run_metadata.json`` beside it
does. A job folder has one folder per trial, whose ``result.json`` says everything about that trial.
The several trials of one task are kept apart by number, in the order of their names.
"""

import datetime as dt
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, NamedTuple

from leaderboard.sources import FeedModel, ParsedRun, ParsedTask, Rejection, UnusablePath
from leaderboard.sources.reading import (
    MAX_TASK_USD,
    MAX_TOKENS,
    BadFile,
    BadValue,
    Rejections,
    amount,
    dollars,
    line,
    load_json,
    model_name,
    moment,
    printable,
    short,
    text,
    whole,
)

RESULTS: Final = "results.json"
METADATA: Final = "run_metadata.json"
TRIAL: Final = "result.json"
BENCHMARK: Final = "terminal-bench"
# Without an outcome, these are the agent's own doing and count as not solved; anything else that
# went wrong leaves the outcome unknown.
AGENT_FAILURES: Final = frozenset(
    {
        "agent_timeout",
        "unknown_agent_error",
        "fatal_llm_parse_error",
        "context_length_exceeded",
        "output_length_exceeded",
    }
)
# How the names of exceptions begin that are no fault of model or agent.
INFRASTRUCTURE: Final = (
    "AgentSetup",
    "APIConnection",
    "APIStatus",
    "Authentication",
    "Cancelled",
    "Connection",
    "Daytona",
    "Docker",
    "Download",
    "Environment",
    "InternalServer",
    "Modal",
    "RateLimit",
    "Reward",
    "Sandbox",
    "ServiceUnavailable",
    "Verifier",
)


class RunKey(NamedTuple):
    """What the trials of one run have in common."""

    benchmark: str
    harness: str
    version: str
    model: str


class Trial(NamedTuple):
    """One trial. `order` numbers the trials of a task."""

    order: str
    result: ParsedTask
    started_at: dt.datetime | None


class TerminalBench:
    """Reads ``results.json``, the folder that contains it, or a job folder."""

    slug = "terminal-bench"
    name = "Terminal-Bench"
    url = "https://www.tbench.ai/"
    licence = "see source"

    def count(self, path: Path) -> int:
        """See `Source.count`."""
        return len(find(path)[:1])

    def read(self, path: Path) -> Iterator[ParsedRun | Rejection]:
        """See `Source.read`."""
        files = find(path)
        is_job = path.is_dir() and files[0].name == TRIAL
        yield from (Job(path, files) if is_job else Results(files[0])).read()


def find(path: Path) -> list[Path]:
    """Return ``results.json``, or else the ``result.json`` of every trial. Raises UnusablePath."""
    if path.is_file():
        return [path]
    if (path / RESULTS).exists():
        return [path / RESULTS]
    files = sorted(path.glob(f"*/{TRIAL}")) if path.is_dir() else []
    if not files:
        raise UnusablePath(f"{path} holds no {RESULTS} and no <trial>/{TRIAL}.")
    return files


class Results:
    """One ``results.json``."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rejected = Rejections(path.name)

    def read(self) -> Iterator[ParsedRun | Rejection]:
        """Yield the run, and what had to be left out."""
        try:
            key = self.key()
            results = load_json(self.path, dict).get("results")
            if not isinstance(results, list):
                raise BadFile(f"results is {short(results)}, not an array")
        except (BadFile, BadValue) as error:
            self.rejected.add("", error)
            yield from self.rejected.take()
            return
        trials = []
        seen: set[str] = set()
        for place, entry in enumerate(results):
            try:
                trial = self.trial(entry)
                if trial.order in seen:
                    raise BadValue(f"trial_name {trial.order} appears twice")
            except BadValue as error:
                self.rejected.add(f"result {place}", error)
                continue
            seen.add(trial.order)
            trials.append(trial)
        yield from self.rejected.take()
        if trials:
            yield run_of(key, trials, self.rejected.file)

    def key(self) -> RunKey:
        """Return what ``run_metadata.json`` says of the run. Raises BadFile and BadValue."""
        try:
            metadata = load_json(self.path.with_name(METADATA), dict)
        except BadFile as error:
            raise BadFile(
                f"does not say which model ran: put a {METADATA} with agent_name and model_name"
                f" beside it ({METADATA} {error})"
            ) from error
        return RunKey(
            benchmark_of(metadata.get("dataset_name"), metadata.get("dataset_version")),
            text(metadata, "agent_name", 60),
            "",
            model_name(metadata, "model_name"),
        )

    def trial(self, entry: Any) -> Trial:
        """Return one trial. Raises BadValue."""
        if not isinstance(entry, dict):
            raise BadValue(f"is {short(entry)}, not an object")
        resolved = entry.get("is_resolved")
        if resolved is not None and not isinstance(resolved, bool):
            raise BadValue(f"is_resolved is {short(resolved)}, not true, false or null")
        score = None if resolved is None else float(resolved)
        if score is None and line(entry.get("failure_mode"), 60) in AGENT_FAILURES:
            score = 0.0
        first = whole(entry.get("total_input_tokens"), "total_input_tokens", MAX_TOKENS)
        second = whole(entry.get("total_output_tokens"), "total_output_tokens", MAX_TOKENS)
        result = ParsedTask(
            text(entry, "task_id", 200),
            score,
            None,
            # An agent without a meter reports no tokens at all.
            input_tokens=first or None,
            output_tokens=second or None,
            latency_ms=duration(entry, "agent_started_at", "agent_ended_at"),
        )
        return Trial(
            text(entry, "trial_name", 300), result, optional_moment(entry, "trial_started_at")
        )


class Job:
    """A job folder of Harbor."""

    def __init__(self, root: Path, files: list[Path]) -> None:
        self.root, self.files = root, files

    def read(self) -> Iterator[ParsedRun | Rejection]:
        """Yield a run per dataset, agent and model, and what had to be left out."""
        trials: dict[RunKey, list[Trial]] = defaultdict(list)
        for file in self.files:
            rejected = Rejections(f"{file.parent.name}/{TRIAL}")
            try:
                key, trial = self.trial(file)
                trials[key].append(trial)
            except (BadFile, BadValue) as error:
                rejected.add("", error)
            yield from rejected.take()
        for key in sorted(trials):
            yield run_of(key, trials[key], printable(self.root.name))

    def trial(self, file: Path) -> tuple[RunKey, Trial]:
        """Return one trial and the run that it belongs to. Raises BadFile and BadValue."""
        entry = load_json(file, dict, self.root.resolve())
        agent = part(entry, "agent_info")
        model = part(agent, "model_info")
        if not model:
            raise BadValue("agent_info.model_info is missing: it does not say which model ran")
        name = model_name(model, "name")
        provider = line(model.get("provider"), 60)
        key = RunKey(
            benchmark_of(entry.get("source"), None),
            text(agent, "name", 60),
            line(agent.get("version"), 40),
            f"{provider}/{name}" if provider and "/" not in name else name,
        )
        usage = part(entry, "agent_result")
        result = ParsedTask(
            text(entry, "task_name", 200),
            score_of(entry),
            dollars(usage.get("cost_usd"), "cost_usd", MAX_TASK_USD),
            input_tokens=tokens(usage, "n_input_tokens"),
            cache_read_tokens=tokens(usage, "n_cache_tokens"),
            output_tokens=tokens(usage, "n_output_tokens"),
            latency_ms=duration(part(entry, "agent_execution"), "started_at", "finished_at"),
        )
        return key, Trial(
            text(entry, "trial_name", 300), result, optional_moment(entry, "started_at")
        )


def run_of(key: RunKey, trials: list[Trial], origin: str) -> ParsedRun:
    """Return the run that trials make up, with the trials of each task numbered from 1."""
    numbers: dict[str, int] = defaultdict(int)
    tasks = []
    for trial in sorted(trials, key=lambda trial: (trial.result.task, trial.order)):
        numbers[trial.result.task] += 1
        tasks.append(replace(trial.result, trial=numbers[trial.result.task]))
    times = [trial.result.latency_ms for trial in trials if trial.result.latency_ms is not None]
    return ParsedRun(
        benchmark=key.benchmark,
        model=FeedModel(key.model),
        harness=key.harness,
        harness_version=key.version,
        origin=origin,
        mean_latency_ms=round(sum(times) / len(times)) if times else None,
        measured_at=min((t.started_at for t in trials if t.started_at), default=None),
        tasks=tuple(tasks),
    )


def benchmark_of(dataset: Any, version: Any) -> str:
    """Return our name of a dataset: ``terminal-bench`` and the version where there is one.

    ``terminal-bench-core`` was the first dataset's name. Raises BadValue for an unusable name.
    """
    stated = [part for part in (dataset, version) if part is not None]
    named = "-".join(text({"dataset": part}, "dataset", 100) for part in stated)
    slug = re.sub(r"[^a-z0-9]+", "-", named.lower()).strip("-")
    return slug or BENCHMARK


def score_of(entry: dict[str, Any]) -> float | None:
    """Return the outcome of a trial of Harbor, None when it is unknown. Raises BadValue.

    What the verifier said counts, even after an exception. Without it, an exception of the agent
    counts as not solved, and one of the infrastructure leaves the outcome unknown.
    """
    rewards = part(part(entry, "verifier_result"), "rewards")
    if rewards:
        only = next(iter(rewards.values())) if len(rewards) == 1 else None
        score = amount(rewards.get("reward", only), "reward", 1)
        if score is None:
            raise BadValue("rewards names several rewards, and none of them is reward")
        return float(score)
    exception = part(entry, "exception_info")
    if not exception:
        return None
    kind = text(exception, "exception_type", 200)
    return None if kind.startswith(INFRASTRUCTURE) else 0.0


def part(entry: dict[str, Any], key: str) -> dict[str, Any]:
    """Return an object within an object, empty where it is null. Raises BadValue."""
    value = entry.get(key)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise BadValue(f"{key} is {short(value)}, not an object")
    return value


def tokens(usage: dict[str, Any], key: str) -> int | None:
    """Return a count of tokens. Raises BadValue."""
    return whole(usage.get(key), key, MAX_TOKENS)


def optional_moment(entry: dict[str, Any], key: str) -> dt.datetime | None:
    """Return a time, None where there is none. Raises BadValue."""
    return moment(entry, key) if entry.get(key) is not None else None


def duration(entry: dict[str, Any], start: str, end: str) -> int | None:
    """Return the milliseconds between two times, None where one is missing. Raises BadValue."""
    first, last = optional_moment(entry, start), optional_moment(entry, end)
    if first is None or last is None:
        return None
    if last < first:
        raise BadValue(f"{end} is before {start}")
    return round((last - first) / dt.timedelta(milliseconds=1))
