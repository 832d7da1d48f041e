"""Run the linters and consistency checks, all of them even when one fails (`make check`).

Arguments name the checks to run; without any, every check runs.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from production_env import production_env

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
MANAGE = [sys.executable, "manage.py"]

# `{temp}` stands for a folder that is removed afterwards. A check is one command or several.
CHECKS: dict[str, list[list[str]]] = {
    "ruff-check": [[f"{BIN}/ruff", "check", "."]],
    "ruff-format": [[f"{BIN}/ruff", "format", "--check", "."]],
    "djlint-format": [[f"{BIN}/djlint", "--check", "templates"]],
    "djlint-lint": [[f"{BIN}/djlint", "--lint", "templates"]],
    "import-linter": [[f"{BIN}/lint-imports"]],
    "mypy": [[f"{BIN}/mypy"]],
    "migrations": [[*MANAGE, "makemigrations", "--check", "--dry-run"]],
    "deploy": [[*MANAGE, "check", "--deploy", "--fail-level", "WARNING"]],
    "openapi": [
        [*MANAGE, "spectacular", "--validate", "--fail-on-warn", "--file", "{temp}/openapi.yaml"],
        ["diff", "-u", "docs/openapi.yaml", "{temp}/openapi.yaml"],
    ],
}
HINTS = {
    "ruff-format": "Run `make format`.",
    "djlint-format": "Run `make format`.",
    "openapi": "Run `make openapi` when the difference is meant.",
}
# The questions about a production server; the others are asked of an embedded one.
OF_PRODUCTION = {"deploy"}


def run(name: str) -> tuple[bool, str]:
    """Run one check and return whether it passed, and what it printed."""
    output = ""
    with tempfile.TemporaryDirectory() as temp:
        env = {k: v for k, v in os.environ.items() if k not in ("DATABASE_URL", "REDIS_URL")}
        env |= {"VAR_DIR": temp}
        if name in OF_PRODUCTION:
            env |= production_env()
        for command in CHECKS[name]:
            result = subprocess.run(
                [part.format(temp=temp) for part in command],
                cwd=ROOT,
                env=env,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                check=False,
            )
            output += result.stdout
            if result.returncode:
                return False, output
    return True, output


def main(names: list[str]) -> int:
    """Print one line per check, and the output of those that fail."""
    failed = []
    for name in names or CHECKS:
        started = time.monotonic()
        passed, output = run(name)
        verdict = "ok" if passed else "FAILED"
        print(f"{name:<15} {verdict:<7}{time.monotonic() - started:5.1f} s", flush=True)
        if not passed:
            failed.append(name)
            print(output, HINTS.get(name, ""), sep="\n", flush=True)
    print(f"make check: {', '.join(failed)} failed" if failed else "make check: everything passed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
