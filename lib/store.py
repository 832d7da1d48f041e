"""The fast store beside the database: session state, an event stream, and a generation stamp.

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


class StoreUnavailable(Exception):
    """The store cannot be reached; the caller goes on without it."""


@dataclass(frozen=True)
class Fetched:
    """The answer to `fetch`: the current generation, and the value if there is one."""

    generation: str
    value: bytes | None


class Store(Protocol):
    """What the request path needs of a store."""

    def fetch(self, key: str) -> Fetched:
        """Return the generation and the value of `key`. Raises StoreUnavailable."""

    def commit(self, key: str | None, value: bytes, ttl_seconds: int, event: bytes | None) -> bool:
        """Set `key` (unless None) and append `event` (unless None) to the stream, in one trip.

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

    def fetch(self, key: str) -> Fetched:
        """See `Store.fetch`."""
        now = self._clock()
        with self._lock:
            expires, value = self._values.get(key, (0.0, None))
            stamp = f"{self._bumps}.{int(now / LOCAL_REFRESH_SECONDS)}"
        return Fetched(stamp, value if now < expires else None)

    def commit(self, key: str | None, value: bytes, ttl_seconds: int, event: bytes | None) -> bool:
        """See `Store.commit`."""
        if key is not None:
            with self._lock:
                self._values[key] = (self._clock() + ttl_seconds, value)
                self._values.move_to_end(key)
                while len(self._values) > LOCAL_MAX_ENTRIES:
                    self._values.popitem(last=False)
        return event is None

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

    def fetch(self, key: str) -> Fetched:
        """See `Store.fetch`."""
        with reachable():
            answer = cast("list[bytes | None]", self.client.mget(GENERATION, PREFIX + key))
        generation, value = answer
        return Fetched((generation or b"0").decode(), value)

    def commit(self, key: str | None, value: bytes, ttl_seconds: int, event: bytes | None) -> bool:
        """See `Store.commit`."""
        with reachable(), self.client.pipeline(transaction=False) as pipe:
            if key is not None:
                pipe.set(PREFIX + key, value, ex=ttl_seconds)
            if event is not None:
                pipe.xadd(STREAM, {"event": event})
            pipe.execute()
        return True

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
