"""What every reader needs: bounded loading, and fields that are checked before they are used."""

import datetime as dt
import json
import math
import stat
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from leaderboard.sources import Rejection, UnusablePath
from lib.money import to_micro_usd

# A parsed document takes several times its size in memory.
MAX_FILE_BYTES: Final = 32 * 1024 * 1024
# Beyond these a figure is a mistake of unit, not a measurement.
MAX_TASK_USD: Final = 100_000
MAX_RUN_USD: Final = 10_000_000
MAX_MTOK_USD: Final = 100_000
MAX_RUNTIME_SECONDS: Final = 30 * 24 * 3600
MAX_TOKENS: Final = 10**12
MAX_TASKS: Final = 1_000_000
DUPLICATE: Final = object()


class BadFile(Exception):
    """The whole file cannot be used; the message says why."""


class BadValue(Exception):
    """One value cannot be used; the message says why."""


def files_at(path: Path, *patterns: str) -> list[Path]:
    """Return the file that `path` is, or the files of a folder that match. Raises UnusablePath."""
    if path.is_dir():
        found = sorted({file for pattern in patterns for file in path.glob(pattern)})
        if not found:
            raise UnusablePath(f"{path} holds no {' or '.join(patterns)}.")
        return found
    if not path.exists():
        raise UnusablePath(f"{path} does not exist.")
    return [path]


def read_text(path: Path, within: Path | None = None, most: int = MAX_FILE_BYTES) -> str:
    """Return the text of a UTF-8 file of at most `most` bytes. Raises BadFile.

    A file that lies outside of `within`, by a link for example, is not read.
    """
    try:
        if within and not path.resolve().is_relative_to(within):
            raise BadFile(f"points outside the {within.name} folder")
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise BadFile("is not a regular file")
        if status.st_size > most:
            raise BadFile(f"has {status.st_size:,} bytes, more than {most:,}")
        return path.read_bytes().decode("utf-8")
    except FileNotFoundError as error:
        raise BadFile("missing") from error
    except (OSError, RuntimeError) as error:
        # RuntimeError: a loop of symbolic links.
        raise BadFile(f"cannot be read: {type(error).__name__}") from error
    except UnicodeDecodeError as error:
        raise BadFile(f"is not UTF-8 (byte {error.start})") from error


def load_json(path: Path, kind: type | tuple[type, ...], within: Path | None = None) -> Any:
    """Return the parsed JSON of a file, which must be of `kind`. Raises BadFile."""
    text_read = read_text(path, within)
    try:
        parsed = json.loads(text_read, object_pairs_hook=pairs)
    except RecursionError as error:
        raise BadFile("cannot be read: RecursionError, it is nested too deeply") from error
    except ValueError as error:
        raise BadFile(f"is not valid JSON: {error}") from error
    if not isinstance(parsed, kind):
        kinds = kind if isinstance(kind, tuple) else (kind,)
        wanted = " or ".join(KINDS[one] for one in kinds)
        raise BadFile(f"is a JSON {KINDS[type(parsed)]}, not {wanted}")
    return parsed


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


def decimal(value: Any, key: str, most: float) -> float | None:
    """Return a number that may come as a string, from zero to `most`. Raises BadValue."""
    if isinstance(value, str):
        try:
            value = float(Decimal(value))
        except (InvalidOperation, ValueError, OverflowError) as error:
            raise BadValue(f"{key} is {short(value)}, not a number") from error
    return amount(value, key, most)


def whole(value: Any, key: str, most: int) -> int | None:
    """Return a whole number from zero to `most`, and null as None. Raises BadValue."""
    number = amount(value, key, most)
    if number is not None and number != int(number):
        raise BadValue(f"{key} is {short(value)}, not a whole number")
    return None if number is None else int(number)


def text(source: dict[str, Any], key: str, longest: int) -> str:
    """Return a string field that says something. Raises BadValue."""
    value = source.get(key)
    if not isinstance(value, str) or not value.isprintable() or len(value) > longest:
        raise BadValue(f"{key} is {short(value)}, not a text of up to {longest} characters")
    if not value.strip():
        raise BadValue(f"{key} is empty")
    return value


def model_name(source: dict[str, Any], key: str) -> str:
    """Return a field that names a model. Raises BadValue."""
    name = text(source, key, 100)
    if not any(character.isalnum() for character in name):
        raise BadValue(f"{key} is {name!r}, which has no letter or digit")
    return name


def moment(source: dict[str, Any], key: str) -> dt.datetime:
    """Return an ISO 8601 time as UTC; without a zone it is taken for UTC. Raises BadValue."""
    value = text(source, key, 60)
    try:
        parsed = dt.datetime.fromisoformat(value)
        return (parsed if parsed.tzinfo else parsed.replace(tzinfo=dt.UTC)).astimezone(dt.UTC)
    except (ValueError, OverflowError) as error:
        raise BadValue(f"{key} is {short(value)}, not an ISO 8601 time") from error


def link(value: Any) -> str:
    """Return a value if it is an address that a browser may open, else nothing."""
    if not isinstance(value, str) or len(value) > 500 or not value.isprintable() or " " in value:
        return ""
    try:
        parts = urlsplit(value)
    except ValueError:
        return ""
    return value if parts.scheme in ("http", "https") and parts.netloc else ""


def line(value: Any, longest: int) -> str:
    """Return a value if it is one line of at most `longest` characters, else nothing."""
    fits = isinstance(value, str) and value.isprintable() and len(value) <= longest
    return value if fits else ""


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


class Rejections:
    """What a reader has to leave out of one file, kept until the next `take`."""

    def __init__(self, file: str) -> None:
        self.file = printable(file)
        self.kept: list[Rejection] = []

    def add(self, row: object, reason: object) -> None:
        """Keep one; `row` may be empty."""
        self.kept.append(Rejection(self.file, printable(str(row))[:200], str(reason)))

    def take(self) -> list[Rejection]:
        """Return what was kept and forget it."""
        taken, self.kept = self.kept, []
        return taken
