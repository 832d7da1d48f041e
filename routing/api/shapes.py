"""The body of a route request: its shape, its limits, and errors that name the parameter."""

import re
from typing import Annotated, Any, Literal, get_args

import msgspec
from msgspec import Meta, Struct

from lib.errors import ApiError
from lib.parsers import why_not_json
from lib.taxonomy import ROUTES, SUBTASK_TYPES, TASK_TYPES
from routing.engine.inputs import MODES, Request

CLIENT_MODES = (
    "agent",
    "architect",
    "ask",
    "code",
    "debug",
    "orchestrator",
    "plan",
    "review",
    "test",
)
MODALITIES = ("text", "image", "audio", "video", "file")
# By the type that OpenAI-like and Anthropic-like message parts carry.
PART_MODALITY = {
    "image_url": "image",
    "input_image": "image",
    "image": "image",
    "input_audio": "audio",
    "audio": "audio",
    "video_url": "video",
    "video": "video",
    "file": "file",
    "input_file": "file",
    "document": "file",
}
BYTES_PER_TOKEN = 4

Name = Annotated[str, Meta(max_length=200)]
Role = Literal["system", "developer", "user", "assistant", "tool", "function"]
Difficulty = Literal["low", "medium", "high"]


class Message(Struct):
    """One turn; fields that routing has no use for are ignored."""

    role: Role
    content: str | list[dict[str, Any]] | None = None


class Task(Struct, forbid_unknown_fields=True):
    """What the client already knows of its task. It is taken at its word."""

    task_type: str
    subtask_type: str | None = None
    difficulty: Difficulty | None = None


class RouteBody(Struct):
    """``POST /api/v1/route``."""

    messages: Annotated[list[Message], Meta(min_length=1, max_length=20_000)]
    session_id: Annotated[str, Meta(min_length=1, max_length=200)] | None = None
    mode: Name | None = None
    tools: Annotated[list[str | dict[str, Any]], Meta(max_length=2_000)] | None = None
    task: Task | None = None
    context_tokens: Annotated[int, Meta(ge=0, le=100_000_000)] | None = None
    required_modalities: list[str] | None = None
    verifiable: bool = False


decoder = msgspec.json.Decoder(RouteBody)
AT = re.compile(r" - at `\$(?P<path>[^`]*)`$")
# By the whole parameter without the places in lists, else by its first part.
MENDS = {
    "messages.role": f"Use one of {', '.join(get_args(Role))}.",
    "task.difficulty": f"Use one of {', '.join(get_args(Difficulty))}, or leave it out.",
    "messages": "Send the conversation as [{'role': 'user', 'content': '...'}, ...], with at least"
    " one turn.",
    "mode": f"Use one of {', '.join(CLIENT_MODES)}, or leave it out.",
    "context_tokens": "Send the size of the conversation in tokens, or leave it out to have it"
    " estimated.",
    "session_id": "Send the same string of 1 to 200 characters with every request of one session.",
    "tools": "Send the tools' names, or their definitions as the model gets them.",
    "verifiable": "Send true when a failure will be noticed, for example by tests; else leave it"
    " out.",
}


def parse(data: bytes) -> RouteBody:
    """Read and check a body. Raises ApiError: 400 for broken JSON, 422 for a wrong parameter."""
    try:
        body = decoder.decode(data)
    except msgspec.ValidationError as error:
        raise named(str(error)) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ApiError(
            400,
            "invalid_json",
            f"The body is not valid JSON ({why_not_json(data, error)}). Send one JSON object.",
        ) from error
    if body.mode is not None and body.mode not in CLIENT_MODES:
        hint = " Modes of routing are set in the project's policy." if body.mode in MODES else ""
        raise wrong("mode", f"Unknown mode '{body.mode}'. {MENDS['mode']}{hint}")
    if body.session_id is not None and not body.session_id.isprintable():
        raise wrong(
            "session_id", f"session_id has characters that do not print. {MENDS['session_id']}"
        )
    for index, modality in enumerate(body.required_modalities or ()):
        if modality not in MODALITIES:
            raise wrong(
                f"required_modalities.{index}",
                f"Unknown modality '{modality}'. Use one of {', '.join(MODALITIES)}.",
            )
    if body.task is not None:
        check_task(body.task)
    return body


def check_task(task: Task) -> None:
    """Raise 422 unless the task is part of the taxonomy."""
    if task.task_type not in TASK_TYPES:
        raise wrong("task.task_type", f"Unknown task type. Use one of {', '.join(TASK_TYPES)}.")
    if task.subtask_type is not None and f"{task.task_type}/{task.subtask_type}" not in ROUTES:
        choices = ", ".join(SUBTASK_TYPES[task.task_type])
        raise wrong(
            "task.subtask_type", f"Unknown subtask type of {task.task_type}. Use one of {choices}."
        )


def named(message: str) -> ApiError:
    """Turn msgspec's message into a 422 that names the parameter and how to mend it."""
    match = AT.search(message)
    path = match["path"] if match else ""
    missing = re.search(r"missing required field `(\w+)`", message)
    text = AT.sub("", message)
    param = re.sub(r"\[(\d+)\]", r".\1", path).replace("[...]", "").lstrip(".")
    if missing:
        param = f"{param}.{missing[1]}".lstrip(".")
    parts = [part for part in param.split(".") if not part.isdigit()]
    mend = MENDS.get(".".join(parts)) or MENDS.get(parts[0] if parts else "", "")
    if not param:
        return wrong("body", f"{text}. Send one JSON object with 'messages'.")
    return wrong(param, f"{param}: {text[0].lower()}{text[1:]}. {mend}".rstrip())


def wrong(param: str, message: str) -> ApiError:
    """Return the 422 of one parameter."""
    return ApiError(422, "invalid_parameter", message, param=param)


def requirements(body: RouteBody, size: int) -> Request:
    """Return what the request asks of any model. `size` is the body's length in bytes."""
    modalities = {"text", *(body.required_modalities or ())}
    for message in body.messages:
        if isinstance(message.content, list):
            modalities.update(
                PART_MODALITY[kind]
                for part in message.content
                if isinstance(kind := part.get("type"), str) and kind in PART_MODALITY
            )
    tokens = size // BYTES_PER_TOKEN if body.context_tokens is None else body.context_tokens
    return Request(
        context_tokens=tokens,
        modalities=frozenset(modalities),
        needs_tools=bool(body.tools),
        in_tool_loop=ends_in_tool_result(body.messages[-1]),
        verifiable=body.verifiable,
    )


def ends_in_tool_result(last: Message) -> bool:
    """Tell whether the conversation is in the middle of a tool call."""
    if last.role in {"tool", "function"}:
        return True
    return (
        isinstance(last.content, list)
        and bool(last.content)
        and all(part.get("type") == "tool_result" for part in last.content)
    )


def tool_names(body: RouteBody) -> list[str]:
    """Return the names of the tools, however they are written."""
    names = []
    for tool in body.tools or ():
        if isinstance(tool, str):
            names.append(tool)
            continue
        function = tool.get("function")
        name = function.get("name") if isinstance(function, dict) else tool.get("name")
        if isinstance(name, str):
            names.append(name)
    return names
