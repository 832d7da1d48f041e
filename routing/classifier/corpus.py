"""Labelled requests: what the weights are trained from, and what they are judged on."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from lib.taxonomy import DIFFICULTIES, ROUTE_INDEX
from routing.classifier.features import LAYOUT
from routing.classifier.glossary import GLOSSARY_PATH
from routing.classifier.request_text import RequestText, read_request

CORPUS_PATH: Final = Path(__file__).with_name("corpus")
HELD_OUT_PATH: Final = Path(__file__).with_name("held_out.jsonl")


@dataclass(frozen=True)
class Example:
    """One labelled request: what the classifier reads of it, its route and its difficulty.

    `source` names file and line. `words` is all that the person typed, for comparison with others.
    """

    text: RequestText
    route: int
    difficulty: int
    source: str
    words: str


def read_corpus(folder: Path = CORPUS_PATH) -> list[Example]:
    """Read every ``*.jsonl`` file of the corpus. Raises ValueError naming the file and the line."""
    return [example for path in sorted(folder.glob("*.jsonl")) for example in _read(path)]


def read_held_out(path: Path = HELD_OUT_PATH) -> list[Example]:
    """Read the requests that are never trained on. Raises ValueError as `read_corpus` does."""
    return list(_read(path))


def corpus_version(folder: Path = CORPUS_PATH) -> str:
    """Return 12 hex digits that change with the corpus, the glossary or the feature layout."""
    digest = hashlib.sha256(f"layout {LAYOUT}\n".encode() + GLOSSARY_PATH.read_bytes())
    for path in sorted(folder.glob("*.jsonl")):
        digest.update(path.name.encode() + b"\n" + path.read_bytes())
    return digest.hexdigest()[:12]


def _read(path: Path) -> Iterator[Example]:
    # str.splitlines would also cut at separators that JSON allows inside a string.
    for number, line in enumerate(path.read_text(encoding="utf-8").split("\n"), start=1):
        if not line:
            continue
        try:
            yield _example(json.loads(line), f"{path.name}:{number}")
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{path.name}:{number}: {error!r}") from error


def _example(row: dict[str, Any], source: str) -> Example:
    turns = [row["first"], row["text"]] if "first" in row else [row["text"]]
    messages = [{"role": "user", "content": turn} for turn in turns]
    if "system" in row:
        messages.insert(0, {"role": "system", "content": row["system"]})
    return Example(
        text=read_request(messages, row.get("mode"), row.get("tools", ())),
        route=ROUTE_INDEX[row["route"]],
        difficulty=DIFFICULTIES.index(row["difficulty"]),
        source=source,
        words="\n".join(turns),
    )
