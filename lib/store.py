"""The fast store beside the database: session state, what was reported, an event stream, and a
generation stamp.

`RedisStore` serves many processes; `LocalStore` serves the one process of an embedded site. A
reader makes one round trip in (`fetch`) and one out (`commit`).

The *generation* tells a process that what it keeps in memory (keys, policies, the routing table) is
out of date: it changes whenever `bump` is called anywhere.
"""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Protocol, cast

import redis

from lib.turns import DIGITS

PREFIX = "kilo:"
GENERATION = PREFIX + "generation"
STREAM = PREFIX + "events"
MALFORMED = PREFIX + "events:malformed"
RECORDING = PREFIX + "events:recording"
# A recorder that dies holds the others up for no longer than this.
RECORDING_SECONDS = 30
# Without a shared store, changes made by other processes are noticed after this long.
LOCAL_REFRESH_SECONDS = 2
LOCAL_MAX_ENTRIES = 50_000
# Sets a key unless it holds a later turn. Numbers, since the order of strings is the locale's.
SET_IN_TURN = f"""
local held = tonumber(redis.call("GETRANGE", KEYS[1], 0, {DIGITS - 1}))
if not held or held <= tonumber(string.sub(ARGV[1], 1, {DIGITS})) then
    redis.call("SET", KEYS[1], ARGV[1], "EX", ARGV[2])
end
"""


class StoreUnavailable(Exception):
    """The store cannot be reached; the caller goes on without it."""


@dataclass(frozen=True)
class Fetched:
    """The answer to `fetch`: the current generation, and each key's value if there is one."""

    generation: str
    values: tuple[bytes | None, ...]


class Store(Protocol):
    """What the request path needs of a store."""

    def fetch(self, *keys: str) -> Fetched:
        """Return the generation and the values of keys. Raises StoreUnavailable."""

    def update(
        self, key: str, change: Callable[[bytes | None], bytes | None], ttl_seconds: int
    ) -> None:
        """Replace the value of `key` by what `change` makes of it; None removes it.

        No other update of the key is lost meanwhile. `change` may be called more than once. Raises
        StoreUnavailable.
        """

    def commit(self, key: str | None, value: bytes, ttl_seconds: int, event: bytes | None) -> bool:
        """Set `key` (unless None) and append `event` (unless None) to the stream, in one trip.

        Values start with their turn (see `lib.turns`). A key that holds a later turn by now keeps
        it, so that whoever was slow does not undo what others did meanwhile.

        Returns whether the event was taken; when not, the caller writes it to the database itself.
        Raises StoreUnavailable.
        """

    def bump(self) -> None:
        """Change the generation. Raises StoreUnavailable."""


class LocalStore:
    """In-process memory, bounded, expiring. Takes no events: the caller writes them directly."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._bumps = 0
        self._values: OrderedDict[str, tuple[float, bytes]] = OrderedDict()
        self._lock = threading.Lock()

    def fetch(self, *keys: str) -> Fetched:
        """See `Store.fetch`."""
        with self._lock:
            values = tuple([self._alive(key) for key in keys])
            stamp = f"{self._bumps}.{int(self._clock() / LOCAL_REFRESH_SECONDS)}"
        return Fetched(stamp, values)

    def commit(self, key: str | None, value: bytes, ttl_seconds: int, event: bytes | None) -> bool:
        """See `Store.commit`."""
        if key is not None:
            with self._lock:
                held = self._alive(key)
                if held is None or held[:DIGITS] <= value[:DIGITS]:
                    self._keep(key, value, ttl_seconds)
        return event is None

    def update(
        self, key: str, change: Callable[[bytes | None], bytes | None], ttl_seconds: int
    ) -> None:
        """See `Store.update`."""
        with self._lock:
            value = change(self._alive(key))
            if value is None:
                self._values.pop(key, None)
            else:
                self._keep(key, value, ttl_seconds)

    def _alive(self, key: str) -> bytes | None:
        expires, value = self._values.get(key, (0.0, None))
        return value if self._clock() < expires else None

    def _keep(self, key: str, value: bytes, ttl_seconds: int) -> None:
        self._values[key] = (self._clock() + ttl_seconds, value)
        self._values.move_to_end(key)
        while len(self._values) > LOCAL_MAX_ENTRIES:
            self._values.popitem(last=False)

    def bump(self) -> None:
        """See `Store.bump`."""
        with self._lock:
            self._bumps += 1


@contextmanager
def reachable() -> Iterator[None]:
    """Raise what Redis raises as StoreUnavailable."""
    try:
        yield
    except redis.RedisError as error:
        raise StoreUnavailable(str(error)) from error


class RedisStore:
    """Redis, shared by all processes. The event stream is emptied by `routing.tasks`.

    Every method raises StoreUnavailable when Redis cannot be reached.
    """

    def __init__(self, url: str) -> None:
        self.client = redis.Redis.from_url(url, socket_timeout=0.5, socket_connect_timeout=0.5)

    def fetch(self, *keys: str) -> Fetched:
        """See `Store.fetch`."""
        with reachable():
            answer = cast(
                "list[bytes | None]", self.client.mget(GENERATION, *[PREFIX + key for key in keys])
            )
        return Fetched((answer[0] or b"0").decode(), tuple(answer[1:]))

    def commit(self, key: str | None, value: bytes, ttl_seconds: int, event: bytes | None) -> bool:
        """See `Store.commit`."""
        with reachable(), self.client.pipeline(transaction=False) as pipe:
            if key is not None:
                pipe.eval(SET_IN_TURN, 1, PREFIX + key, value, str(ttl_seconds))
            if event is not None:
                pipe.xadd(STREAM, {"event": event})
            pipe.execute()
        return True

    def update(
        self, key: str, change: Callable[[bytes | None], bytes | None], ttl_seconds: int
    ) -> None:
        """See `Store.update`."""
        name = PREFIX + key

        def once(pipe: "redis.client.Pipeline") -> None:
            value = change(cast("bytes | None", pipe.get(name)))
            pipe.multi()
            if value is None:
                pipe.delete(name)
            else:
                pipe.set(name, value, ex=ttl_seconds)

        # It is tried again whenever the key was written between reading and writing.
        with reachable():
            self.client.transaction(once, name)

    def bump(self) -> None:
        """See `Store.bump`."""
        with reachable():
            self.client.incr(GENERATION)

    @contextmanager
    def recording(self, wait_seconds: float) -> Iterator[bool]:
        """Be the one recorder of the stream; yields False when another is still at it after the
        wait.
        """
        lock = self.client.lock(RECORDING, timeout=RECORDING_SECONDS, blocking_timeout=wait_seconds)
        with reachable():
            taken = lock.acquire()
        try:
            yield taken
        finally:
            # A lock that expired meanwhile may be another recorder's now.
            with reachable():
                if taken and lock.owned():
                    lock.release()

    def oldest_events(self, count: int) -> list[tuple[bytes, bytes]]:
        """Return up to `count` events from the head of the stream, as (entry id, event)."""
        with reachable():
            entries = cast(
                "list[tuple[bytes, dict[bytes, bytes]]]", self.client.xrange(STREAM, count=count)
            )
        return [(entry, fields[b"event"]) for entry, fields in entries]

    def forget_events(self, entries: list[bytes]) -> None:
        """Remove recorded events from the stream."""
        with reachable():
            self.client.xdel(STREAM, *entries)

    def set_aside(self, event: bytes) -> None:
        """Keep an event that cannot be recorded, for an operator to look at."""
        with reachable():
            self.client.rpush(MALFORMED, event)


@cache
def get_store(redis_url: str) -> Store:
    """Return the process's store: Redis when a URL is given, else local memory."""
    return RedisStore(redis_url) if redis_url else LocalStore()
