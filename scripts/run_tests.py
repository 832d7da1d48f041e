"""Run the suite as a small team and as a large one would run the product (`make test`).

Two pytest processes: `embedded` (SQLite, no Redis, tasks in process) and `production-like`
(PostgreSQL, Redis, the settings of a production server). They share nothing, so on two cores they
run at the same time. Arguments are passed on to both.

PostgreSQL and Redis are those of DATABASE_URL and REDIS_URL where given, else throw-away servers
started here from the wheels of requirements-dev.txt or, failing that, from the machine's own
binaries. Whatever was started or written is gone at the end, also after Ctrl-C.
"""

import collections
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass, field
from pathlib import Path

from production_env import production_env
from servers import (
    ROOT,
    SITE_PACKAGES,
    NotUsableError,
    adopt_orphans,
    clean_up_on_signals,
    end_leftovers,
    postgres,
    redis_server,
    runs,
)

NO_TESTS_COLLECTED = 5


@dataclass
class Outcome:
    """What one pytest process reported."""

    exit_code: int
    counts: collections.Counter[str] = field(default_factory=collections.Counter)
    browser: collections.Counter[str] = field(default_factory=collections.Counter)
    skipped: collections.Counter[str] = field(default_factory=collections.Counter)


# --------------------------------------------------------------------------------------- Chromium


def find_chromium() -> str | None:
    """Return the path of a Chromium that the tests can drive, or None.

    As root on Debian, what is missing is installed; elsewhere it is named.
    """

    def look() -> tuple[str | None, list[str]]:
        names = ("chromium", "chromium-browser", "google-chrome")
        found = filter(None, [os.environ.get("CHROMIUM_BIN"), *map(shutil.which, names)])
        chromium = next(found, None)
        missing = [] if chromium else ["chromium"]
        if not runs(SITE_PACKAGES / "playwright" / "driver" / "node"):
            missing.append("libatomic1")  # the one library that Playwright's driver does not bring
        return chromium, missing

    chromium, missing = look()
    if missing and os.geteuid() == 0 and shutil.which("apt-get"):
        print(f"Installing {' and '.join(missing)} with apt-get", flush=True)
        env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        install = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *missing]
        for command in (["apt-get", "update", "-qq"], install):
            subprocess.run(command, stdin=subprocess.DEVNULL, env=env, check=False)
        chromium, missing = look()
    if missing:
        print(
            f"The browser tests need more. On Debian: sudo apt-get install {' '.join(missing)}."
            " Elsewhere install Chromium or Chrome and set CHROMIUM_BIN to its path.",
            flush=True,
        )
        return None
    return chromium


# ------------------------------------------------------------------------------------------ pytest


class PytestRun:
    """One pytest process, whose output waits in a file until it is this run's turn to be shown."""

    def __init__(self, mode: str, env: dict[str, str], temp: Path, arguments: list[str]) -> None:
        """Start pytest with `env`, everything temporary below `temp`."""
        self.mode = mode
        self.folder = temp / mode
        for name in ("tmp", "var"):
            (self.folder / name).mkdir(parents=True)
        self.output = self.folder / "output"
        command = [
            *(sys.executable, "-m", "pytest", f"--junitxml={self.folder}/junit.xml"),
            *(f"--basetemp={self.folder}/pytest", "-o", f"cache_dir=.pytest_cache/{mode}"),
            *(["--color=yes"] if sys.stdout.isatty() else []),
            *arguments,
        ]
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(
                command,
                cwd=ROOT,
                env={
                    **env,
                    "COLUMNS": str(shutil.get_terminal_size().columns),
                    "VAR_DIR": f"{self.folder}/var",
                    "TMPDIR": f"{self.folder}/tmp",
                },
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def show(self) -> None:
        """Print what pytest prints until it ends."""
        print(f"\n== {self.mode} ==", flush=True)
        with self.output.open("rb") as output:
            while True:
                ended = self.process.poll() is not None
                sys.stdout.buffer.write(output.read())
                sys.stdout.flush()
                if ended:
                    return
                time.sleep(0.1)

    def outcome(self) -> Outcome:
        """Count the results by kind, those of browser tests also on their own."""
        outcome = Outcome(self.process.wait())
        report = self.folder / "junit.xml"
        if not report.exists():
            return outcome
        for case in ElementTree.parse(report).iter("testcase"):  # noqa: S314 - pytest wrote it
            kind = "passed"
            for tag, name in (("skipped", "skipped"), ("failure", "failed"), ("error", "errors")):
                if (element := case.find(tag)) is not None:
                    kind = name
                    if name == "skipped":
                        outcome.skipped[element.get("message", "")] += 1
            outcome.counts[kind] += 1
            if case.find("properties/property[@name='browser']") is not None:
                outcome.browser[kind] += 1
        return outcome


def interrupt(pytests: list[PytestRun]) -> None:
    """Have those that still run tear down their fixtures and drop their databases."""
    running = [run.process for run in pytests if run.process.poll() is None]
    for process in running:
        process.send_signal(signal.SIGINT)
    for process in running:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(20)


def in_words(counts: collections.Counter[str]) -> str:
    """Write "3 passed, 1 failed", leaving skipped tests to the end of the closing line."""
    kinds = [kind for kind in ("passed", "failed", "errors") if counts[kind]]
    return ", ".join(f"{counts[kind]} {kind}" for kind in kinds) or "no test"


def closing_line(outcomes: dict[str, Outcome], chromium: str | None, missing: list[str]) -> str:
    """Say in one line what ran and what did not, with the reason."""
    parts = []
    browser: collections.Counter[str] = collections.Counter()
    skipped: collections.Counter[str] = collections.Counter()
    for mode, outcome in outcomes.items():
        words = in_words(outcome.counts)
        if outcome.exit_code not in (0, 1, NO_TESTS_COLLECTED):
            words += f" (pytest ended with exit code {outcome.exit_code})"
        parts.append(f"{mode} {words}")
        browser += outcome.browser
        skipped += outcome.skipped
    parts.append(
        f"of these in {Path(chromium).name if chromium else 'a browser'} {in_words(browser)}"
    )
    not_run = missing + [f"{count} ({reason})" for reason, count in sorted(skipped.items())]
    parts.append(f"not run: {', '.join(not_run) or 'nothing'}")
    return f"make test: {'; '.join(parts)}"


# ------------------------------------------------------------------------------------------- main


def main(arguments: list[str]) -> int:
    """Run both modes and return the exit code."""
    clean_up_on_signals()
    adopt_orphans()

    chromium = find_chromium()
    common = os.environ | {"CHROMIUM_BIN": chromium or ""}
    embedded = {
        name: value for name, value in common.items() if name not in ("DATABASE_URL", "REDIS_URL")
    }
    missing: list[str] = []
    pytests: list[PytestRun] = []
    try:
        with contextlib.ExitStack() as stack:
            temp = Path(tempfile.mkdtemp(prefix="kilo-test-"))
            stack.callback(shutil.rmtree, temp, ignore_errors=True)
            stack.callback(end_leftovers)
            environments = {"embedded": embedded}
            try:
                database_url = os.environ.get("DATABASE_URL") or stack.enter_context(postgres(temp))
                redis_url = os.environ.get("REDIS_URL") or stack.enter_context(redis_server(temp))
                production = production_env(database_url, redis_url)
                # The test client and the live server speak plain HTTP.
                environments["production-like"] = common | production | {"HTTPS": "0"}
            except NotUsableError as error:
                missing.append(f"production-like ({str(error).splitlines()[0]})")
                print(error, flush=True)
            stack.callback(interrupt, pytests)
            for mode, env in environments.items():
                pytests.append(PytestRun(mode, env, temp, arguments))
                if os.cpu_count() == 1:
                    pytests[-1].process.wait()
            for run in pytests:
                run.show()
            outcomes = {run.mode: run.outcome() for run in pytests}
    except KeyboardInterrupt:
        print("\nmake test: interrupted, nothing is left behind", flush=True)
        return 130
    print("\n" + closing_line(outcomes, chromium, missing), flush=True)
    codes = {outcome.exit_code for outcome in outcomes.values()}
    return 1 if missing or codes - {0, NO_TESTS_COLLECTED} or 0 not in codes else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
