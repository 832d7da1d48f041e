"""Which models failed in a session, as the store keeps it beside the session's state. Pure.

It has a key of its own, which only reports write and only decisions read: a decision that is made
while a failure comes in can thereby not overwrite it.
"""

from collections.abc import Iterable

import msgspec

from routing.engine.escalation import Failure

MAX_FAILURES = 16
encode = msgspec.msgpack.Encoder().encode
decoder = msgspec.msgpack.Decoder(tuple[Failure, ...])


def key(project_id: int, session_id: str) -> str:
    """Return the store's key of a session's failures."""
    return f"failures:{project_id}:{session_id}"


def decode(data: bytes | None) -> tuple[Failure, ...]:
    """Return a session's failures; none when they were kept in another version's form."""
    if data is None:
        return ()
    try:
        return decoder.decode(data)
    except msgspec.DecodeError:
        return ()


def with_outcomes(
    data: bytes | None, failed: Iterable[Failure], accepted: Iterable[Failure]
) -> bytes | None:
    """Return what to keep after outcomes were reported, None when no failure is left.

    An accepted decision settles the failures of the same task type that came before it, and those
    of an unknown one. Of too many failures the newest are kept.
    """
    together = sorted([*decode(data), *failed], key=lambda one: one.decided_at_ms)
    latest = {(one.model, one.task_type): one for one in together}
    settled = list(accepted)
    left = [
        one
        for one in latest.values()
        if not any(
            one.task_type in ("", done.task_type) and done.decided_at_ms >= one.decided_at_ms
            for done in settled
        )
    ]
    left.sort(key=lambda one: one.decided_at_ms)
    return encode(left[-MAX_FAILURES:]) if left else None
