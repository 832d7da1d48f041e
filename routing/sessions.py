"""How a session's state is kept in the store, between the requests of one session. Pure.

A state is written as a whole and never torn. Of requests that run at once each starts from the same
state, and the last to finish is the one that counts; one that started from an older state than the
store holds by then is answered, but leaves no trace in the session.
"""

import msgspec

from lib.taxonomy import DIFFICULTIES, ROUTES
from lib.turns import in_turn, without_turn
from routing.engine.inputs import LastReading, Session

encoder = msgspec.msgpack.Encoder()
decoder = msgspec.msgpack.Decoder(Session)


def key(project_id: int, session_id: str) -> str:
    """Return the store's key: a session belongs to one project, whatever ids others choose."""
    return f"session:{project_id}:{session_id}"


def encode(session: Session) -> bytes:
    """Return the state as `lib.store.Store.commit` keeps it."""
    return in_turn(session.turns, encoder.encode(session))


def decode(data: bytes | None) -> Session | None:
    """Return the session, or None when there is none or it was kept in another version's form."""
    if data is None:
        return None
    try:
        session = decoder.decode(without_turn(data))
    except msgspec.DecodeError:
        return None
    return session if is_whole(session) else None


def is_whole(session: Session) -> bool:
    """Tell whether all probabilities are about this version's routes and difficulties."""
    last = session.last_reading
    return (
        len(session.routes) in {0, len(ROUTES)}
        and len(session.difficulties) in {0, len(DIFFICULTIES)}
        and (
            last is None
            or (len(last.routes), len(last.difficulties)) == (len(ROUTES), len(DIFFICULTIES))
        )
    )


def last_reading(session: Session | None, words: str, version: str) -> LastReading | None:
    """Return what this version of the classifier said of the words with this digest, if they were
    the session's last.
    """
    last = session.last_reading if session else None
    return last if last and (last.digest, last.version) == (words, version) else None
