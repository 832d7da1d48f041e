"""How a session's state is kept in the store, between the requests of one session. Pure."""

import msgspec

from lib.taxonomy import DIFFICULTIES, ROUTES
from routing.engine.inputs import Session

encode = msgspec.msgpack.Encoder().encode
decoder = msgspec.msgpack.Decoder(Session)


def key(project_id: int, session_id: str) -> str:
    """Return the store's key: a session belongs to one project, whatever ids others choose."""
    return f"session:{project_id}:{session_id}"


def decode(data: bytes | None) -> Session | None:
    """Return the session, or None when there is none or it was kept in another version's form."""
    if data is None:
        return None
    try:
        session = decoder.decode(data)
    except msgspec.DecodeError:
        return None
    whole = len(session.routes) in {0, len(ROUTES)} and len(session.difficulties) in {
        0,
        len(DIFFICULTIES),
    }
    return session if whole else None
