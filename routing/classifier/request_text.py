"""The few words of a request that the classifier reads.

Coding clients send far more than what the person typed: environment dumps, tool results, pasted
files. This module finds the person's own words and bounds them. Every step is linear in the size
of the request, and content of an unexpected shape is passed over, never an error.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

SYSTEM_CHARS: Final = 500
TURN_HEAD_CHARS: Final = 1_200
TURN_TAIL_CHARS: Final = 800
MODE_CHARS: Final = 40
MAX_TOOLS: Final = 64
FENCE_LINES_KEPT: Final = 4
FENCE_CHARS_KEPT: Final = 400

# Blocks that clients add around the person's words.
_ADDED_BLOCKS: Final = (
    "environment_details",
    "environment_context",
    "environment",
    "system-reminder",
    "system_reminder",
    "file_content",
    "file_contents",
    "folder_content",
    "folder_contents",
    "files",
    "url_content",
    "git_working_state",
    "git_commit",
    "workspace_diagnostics",
    "terminal_output",
    "command_output",
    "local-command-stdout",
    "tool_result",
    "function_results",
    "attached_files",
    "attachments",
    "open_and_recently_viewed_files",
    "user_info",
    "user_instructions",
    "project_layout",
    "available_skills",
    "custom_instructions",
    "additional_data",
    "context",
)
_ADDED_OPEN: Final = re.compile(
    rf"<({'|'.join(_ADDED_BLOCKS)})(?:\s[^<>]{{0,400}})?>", re.IGNORECASE | re.ASCII
)
_ADDED_CLOSE: Final = {
    name: re.compile(f"</{name}>", re.IGNORECASE | re.ASCII) for name in _ADDED_BLOCKS
}
# Tags around the person's words: the tag goes, the words stay.
_OWN_WORDS: Final = ("task", "user_message", "user_query", "feedback", "answer", "new_message")
_OWN_TAG: Final = re.compile(rf"</?(?:{'|'.join(_OWN_WORDS)})>", re.IGNORECASE)
_TEXT_TOOL_RESULT: Final = re.compile(r"\s{0,20}\[\w{1,60}(?: for '[^\n]{0,400}')?\] Result:")
_FENCE: Final = "```"


@dataclass(frozen=True)
class RequestText:
    """What the classifier reads of one request.

    `system` is the start of the system prompt, `first_user` and `latest_user` are the first and the
    latest user turn without what the client added (equal when there is one turn), `mode` the
    client's mode in lower case or empty, `tools` the names of the offered tools, `message_count`
    the number of messages of any role.
    """

    system: str = ""
    first_user: str = ""
    latest_user: str = ""
    mode: str = ""
    tools: tuple[str, ...] = ()
    message_count: int = 0


def read_request(
    messages: Sequence[Mapping[str, Any]], mode: str | None, tools: Sequence[str]
) -> RequestText:
    """Return the words to classify. Unknown roles and odd content are passed over."""
    first = _first_turn(messages)
    return RequestText(
        system=_system_text(messages),
        first_user=first,
        latest_user=_first_turn(reversed(messages)) if first else "",
        mode=mode.strip().lower()[:MODE_CHARS] if isinstance(mode, str) else "",
        tools=tuple(name for name in tools[:MAX_TOOLS] if isinstance(name, str)),
        message_count=len(messages),
    )


def _first_turn(messages: Iterable[Mapping[str, Any]]) -> str:
    for message in messages:
        if isinstance(message, Mapping) and message.get("role") == "user":
            text = _own_words(_texts(message.get("content")))
            if text:
                return text
    return ""


def _system_text(messages: Iterable[Mapping[str, Any]]) -> str:
    for message in messages:
        if isinstance(message, Mapping) and message.get("role") in ("system", "developer"):
            return "\n".join(_texts(message.get("content")))[:SYSTEM_CHARS].strip()
    return ""


def _texts(content: object) -> list[str]:
    if isinstance(content, str):
        return [content]
    if not isinstance(content, list | tuple):
        return []
    texts = []
    for part in content:
        if isinstance(part, str):
            texts.append(part)
        elif isinstance(part, Mapping) and part.get("type") in ("text", "input_text"):
            text = part.get("text")
            if isinstance(text, str):
                texts.append(text)
    return texts


def _own_words(texts: list[str]) -> str:
    text = "\n".join(texts)
    if any(_TEXT_TOOL_RESULT.match(part) for part in texts):
        # Some clients send tool results as user text; a person's remark then has its own tag.
        text = _tagged(text, ("feedback", "user_message", "answer"))
    text = _without_added_blocks(text)
    text = _OWN_TAG.sub(" ", text)
    return _bounded(_with_short_fences(text).strip())


def _tagged(text: str, names: tuple[str, ...]) -> str:
    found = []
    for name in names:
        start = text.find(f"<{name}>")
        end = text.find(f"</{name}>", start)
        if 0 <= start < end:
            found.append(text[start + len(name) + 2 : end])
    return "\n".join(found)


def _without_added_blocks(text: str) -> str:
    if "<" not in text:
        return text
    kept: list[str] = []
    position = 0
    # A name once seen without a closing tag is not searched again, which keeps this linear.
    unclosed: set[str] = set()
    while opening := _ADDED_OPEN.search(text, position):
        name = opening[1].lower()
        closing = None if name in unclosed else _ADDED_CLOSE[name].search(text, opening.end())
        if closing is None:
            unclosed.add(name)
            kept.append(text[position : opening.end()])
            position = opening.end()
            continue
        kept.append(text[position : opening.start()])
        position = closing.end()
    kept.append(text[position:])
    return "".join(kept)


def _with_short_fences(text: str) -> str:
    pieces = text.split(_FENCE)
    # An odd number of marks leaves the last fence open; its text is then read as prose.
    last_closed = len(pieces) - 1 if len(pieces) % 2 else len(pieces) - 2
    for index in range(1, last_closed, 2):
        lines = pieces[index][:FENCE_CHARS_KEPT].split("\n")
        pieces[index] = "\n".join(lines[: FENCE_LINES_KEPT + 1])
    return "\n".join(pieces) if len(pieces) > 1 else text


def _bounded(text: str) -> str:
    if len(text) <= TURN_HEAD_CHARS + TURN_TAIL_CHARS:
        return text
    return f"{text[:TURN_HEAD_CHARS]}\n{text[-TURN_TAIL_CHARS:]}"
