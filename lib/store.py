"""The fast store beside the database: session state, counters, event streams, and a generation
stamp.

`RedisStore` serves many processes; `LocalStore` serves the one process of an embedded site. A
reader makes one round trip in (`fetch`) and one out (`commit`).

The *generation* tells a process that what it keeps in memory (keys, policies, the routing table) is
out of date: it changes whenever `bump` is called anywhere.
"""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Protocol, cast
from uuid import uuid4

import redis
from django.conf import settings

from lib.turns import DIGITS

PREFIX = "kilo:"
GENERATION = PREFIX + "generation"
# What waits for the database. Beside each stream lie its recorder's lock, the ids that are in it,
# and another stream of what the database would not take.
DECISIONS = PREFIX + "decisions"
USAGE = PREFIX + "usage"
# What was reported while the database was away, as it came.
REPORTS = PREFIX + "reports"
RECORDING, IDS, ASIDE = ":recording", ":ids", ":aside"
# A recorder that dies holds the others up for no longer than this.
RECORDING_SECONDS = 10
# A counter that is no longer brought up to date, since its period is over, is gone after so long.
COUNTER_SECONDS = 3 * 24 * 3600
# The bytes of an id of an event, see `Store.append`.
ID_BYTES = 16
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
# Appends to a stream that has room. Where there is none the caller writes to the database itself.
APPEND = """
if redis.call("XLEN", KEYS[1]) >= tonumber(ARGV[1]) then return 0 end
redis.call("XADD", KEYS[1], "*", "event", ARGV[2])
return 1
"""
SPLIT = f"""
local function split(ids)
    local found = {{}}
    for at = 1, #ids, {ID_BYTES} do found[#found + 1] = string.sub(ids, at, at + {ID_BYTES - 1}) end
    return found
end
"""
REMOVE_IDS = f"""
{SPLIT}
redis.call("SREM", KEYS[1], unpack(split(ARGV[1])))
"""
# Appends an entry and adds to counters, unless some of the ids are in the stream: then it
# tells their places. A counter that does not exist begins with what is known of it.
APPEND_NEW = f"""
{SPLIT}
if redis.call("XLEN", KEYS[1]) >= tonumber(ARGV[1]) then return false end
local ids, there = split(ARGV[2]), {{}}
for place, found in ipairs(redis.call("SMISMEMBER", KEYS[2], unpack(ids))) do
    if found == 1 then there[#there + 1] = place - 1 end
end
if #there > 0 then return there end
redis.call("SADD", KEYS[2], unpack(ids))
redis.call("XADD", KEYS[1], "*", "event", ARGV[3], "ids", ARGV[2])
for place = 3, #KEYS do
    local known, amount = ARGV[2 * place - 1], ARGV[2 * place]
    redis.call("SET", KEYS[place], known, "EX", ARGV[4], "NX")
    redis.call("INCRBY", KEYS[place], amount)
end
return there
"""
# Adds to a counter that exists.
ADD = """
if redis.call("EXISTS", KEYS[1]) == 1 then redis.call("INCRBY", KEYS[1], ARGV[1]) end
"""
LAST_PLACE = """
if redis.call("EXISTS", KEYS[1]) == 0 then return "0-0" end
local info = redis.call("XINFO", "STREAM", KEYS[1])
for at = 1, #info, 2 do
    if info[at] == "last-generated-id" then return info[at + 1] end
end
"""
# Moves some of what was set aside, none beyond a place, back into its stream.
TRY_AGAIN = """
local entries = redis.call("XRANGE", KEYS[2], "-", ARGV[1], "COUNT", 1000)
for _, entry in ipairs(entries) do
    redis.call("XADD", KEYS[1], "*", "event", entry[2][2])
    redis.call("XDEL", KEYS[2], entry[1])
end
return #entries
"""


class StoreUnavailable(Exception):
    """The store cannot be reached; the caller goes on without it."""


@dataclass(frozen=True)
class Waiting:
    """An event at its place in a stream, with the ids of what it holds."""

    place: bytes
    event: bytes
    ids: bytes = b""

    @property
    def at_ms(self) -> int:
        """When it was appended, in milliseconds since the epoch."""
        return int(self.place.partition(b"-")[0])

    @property
    def size(self) -> int:
        """How many events it holds."""
        return len(self.ids) // ID_BYTES or 1


@dataclass(frozen=True)
class Backlog:
    """How much waits in a stream and since when, and how much was set aside.

    `oldest_at_ms` is None when nothing waits. `last` is the place of the last event ever appended.
    """

    waiting: int
    oldest_at_ms: int | None
    last: bytes
    aside: int


@dataclass(frozen=True)
class SetAside:
    """An event that the database would not take, and what it said."""

    place: bytes
    event: bytes
    reason: str
    at_ms: int


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

    def append(
        self,
        ids: Sequence[bytes],
        events: bytes,
        amounts: Mapping[str, int],
        known: Mapping[str, int],
    ) -> set[bytes] | None:
        """Append events to the stream of usage as one entry, and add to counters; all in one trip.
        A counter that does not exist begins with what is `known` of it.

        `ids` are those of the events, `ID_BYTES` each, at most 1,000. Where some of them wait in
        the stream already, nothing is done, and those are returned. Returns None when the stream
        takes none, so that the caller writes the events to the database and calls `count`. Raises
        StoreUnavailable.
        """

    def hold(self, stream: str, event: bytes) -> bool:
        """Append one event to any stream, and return whether it was taken.

        Raises StoreUnavailable.
        """

    def count(self, amounts: Mapping[str, int]) -> None:
        """Add to those counters that exist. Raises StoreUnavailable."""

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

    def append(
        self,
        ids: Sequence[bytes],
        events: bytes,
        amounts: Mapping[str, int],
        known: Mapping[str, int],
    ) -> set[bytes] | None:
        """See `Store.append`."""
        return None

    def hold(self, stream: str, event: bytes) -> bool:
        """See `Store.hold`."""
        return False

    def count(self, amounts: Mapping[str, int]) -> None:
        """See `Store.count`. There are no counters here: what is counted is in the database."""

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


class Turn:
    """Being the one recorder of a stream, for `RECORDING_SECONDS` at a time."""

    def __init__(self, lock: "redis.lock.Lock") -> None:
        self._lock = lock

    def renew(self) -> bool:
        """Begin the time anew; False when it is over already. Raises StoreUnavailable."""
        try:
            with reachable():
                return bool(self._lock.reacquire())
        except StoreUnavailable as error:
            if isinstance(error.__cause__, redis.exceptions.LockError):
                return False
            raise


class RedisStore:
    """Redis, shared by all processes. The streams are emptied by recorders, see `lib.recording`.

    A stream takes up to `room` entries. Every method raises StoreUnavailable when Redis cannot be
    reached.
    """

    def __init__(self, url: str, room: int) -> None:
        self.client = redis.Redis.from_url(url, socket_timeout=0.5, socket_connect_timeout=0.5)
        self.room = room

    def fetch(self, *keys: str) -> Fetched:
        """See `Store.fetch`."""
        with reachable():
            answer = cast(
                "list[bytes | None]", self.client.mget(GENERATION, *[PREFIX + key for key in keys])
            )
            generation = answer[0] or self._first_generation()
        return Fetched(generation.decode(), tuple(answer[1:]))

    def _first_generation(self) -> bytes:
        """Return the generation of a store that has none: it is new, or has lost what it held.

        Never one that was there before, of which somebody may still keep what has changed since.
        """
        fresh = uuid4().hex
        self.client.set(GENERATION, fresh, nx=True)
        # The store may lose it again meanwhile; the next one who asks notices.
        return cast("bytes | None", self.client.get(GENERATION)) or fresh.encode()

    def commit(self, key: str | None, value: bytes, ttl_seconds: int, event: bytes | None) -> bool:
        """See `Store.commit`."""
        with reachable(), self.client.pipeline(transaction=False) as pipe:
            if key is not None:
                pipe.eval(SET_IN_TURN, 1, PREFIX + key, value, str(ttl_seconds))
            if event is not None:
                pipe.eval(APPEND, 1, DECISIONS, str(self.room), event)
            answers = pipe.execute()
        return event is None or answers[-1] == 1

    def update(
        self, key: str, change: Callable[[bytes | None], bytes | None], ttl_seconds: int
    ) -> None:
        """See `Store.update`."""
        name = PREFIX + key

        def once(pipe: "redis.client.Pipeline") -> None:
            before = cast("bytes | None", pipe.get(name))
            value = change(before)
            if value is None and before is None:
                return
            pipe.multi()
            if value is None:
                pipe.delete(name)
            else:
                pipe.set(name, value, ex=ttl_seconds)

        # It is tried again whenever the key was written between reading and writing.
        with reachable():
            self.client.transaction(once, name)

    def append(
        self,
        ids: Sequence[bytes],
        events: bytes,
        amounts: Mapping[str, int],
        known: Mapping[str, int],
    ) -> set[bytes] | None:
        """See `Store.append`."""
        counted = (str(one) for name, amount in amounts.items() for one in (known[name], amount))
        keys = [USAGE, USAGE + IDS, *(PREFIX + name for name in amounts)]
        with reachable():
            there = cast(
                "list[int] | None",
                self.client.eval(
                    APPEND_NEW,
                    len(keys),
                    *keys,
                    str(self.room),
                    b"".join(ids),
                    events,
                    str(COUNTER_SECONDS),
                    *counted,
                ),
            )
        return None if there is None else {ids[place] for place in there}

    def which_wait(self, ids: Sequence[bytes]) -> set[bytes]:
        """Return which events wait in the stream of usage, by their ids; see `append`."""
        with reachable():
            there = cast("list[int]", self.client.smismember(USAGE + IDS, list(ids)))
        return {one for one, waits in zip(ids, there, strict=True) if waits}

    def hold(self, stream: str, event: bytes) -> bool:
        """See `Store.hold`."""
        with reachable():
            return bool(self.client.eval(APPEND, 1, stream, str(self.room), event) == 1)

    def count(self, amounts: Mapping[str, int]) -> None:
        """See `Store.count`."""
        with reachable(), self.client.pipeline(transaction=False) as pipe:
            for key, amount in amounts.items():
                pipe.eval(ADD, 1, PREFIX + key, str(amount))
            pipe.execute()

    def start_counters(self, known: Mapping[str, int]) -> tuple[bytes, dict[str, int]]:
        """Return the place of the last event of usage, and what counters say at that place.

        A counter that does not exist begins with what is known of it. They live on from now.
        """
        with reachable(), self.client.pipeline(transaction=True) as pipe:
            pipe.eval(LAST_PLACE, 1, USAGE)
            for key, value in known.items():
                pipe.set(PREFIX + key, value, nx=True)
                pipe.expire(PREFIX + key, COUNTER_SECONDS)
            pipe.mget([PREFIX + key for key in known])
            last, *_, values = pipe.execute()
        return last, {key: int(value) for key, value in zip(known, values, strict=True)}

    def bump(self) -> None:
        """See `Store.bump`."""
        with reachable():
            self.client.set(GENERATION, uuid4().hex)

    @contextmanager
    def recording(self, stream: str, wait_seconds: float) -> Iterator["Turn | None"]:
        """Be the one recorder of a stream; yields None when another is still at it after the
        wait.
        """
        lock = self.client.lock(
            stream + RECORDING, timeout=RECORDING_SECONDS, blocking_timeout=wait_seconds
        )
        with reachable():
            taken = lock.acquire()
        turn = Turn(lock)
        try:
            yield turn if taken else None
        finally:
            # One that has expired may be another recorder's by now.
            if taken and turn.renew():
                with reachable():
                    lock.release()

    def waiting(self, stream: str, count: int, last: bytes = b"+") -> list[Waiting]:
        """Return up to `count` events from the head of a stream, none beyond the place `last`."""
        with reachable():
            entries = cast(
                "list[tuple[bytes, dict[bytes, bytes]]]",
                self.client.xrange(stream, max=last.decode(), count=count),
            )
        return [
            Waiting(place, fields[b"event"], fields.get(b"ids", b"")) for place, fields in entries
        ]

    def forget(self, stream: str, entries: Sequence[Waiting]) -> None:
        """Remove recorded events from the head of a stream, and their ids from those that wait."""
        with reachable(), self.client.pipeline(transaction=True) as pipe:
            pipe.xdel(stream, *[entry.place for entry in entries])
            for entry in entries:
                if entry.ids:
                    pipe.eval(REMOVE_IDS, 1, stream + IDS, entry.ids)
            pipe.execute()

    def set_aside(self, stream: str, event: bytes, reason: str) -> None:
        """Keep an event that cannot be recorded, for an operator to look at."""
        with reachable():
            self.client.xadd(stream + ASIDE, {"event": event, "reason": reason})

    def aside(self, stream: str, count: int, before: bytes = b"") -> list[SetAside]:
        """Return the newest events that were set aside, or those next to the place `before`."""
        start = f"({before.decode()}" if before else "+"
        with reachable():
            entries = cast(
                "list[tuple[bytes, dict[bytes, bytes]]]",
                self.client.xrevrange(stream + ASIDE, max=start, count=count),
            )
        return [
            SetAside(
                place,
                fields[b"event"],
                fields[b"reason"].decode(errors="replace"),
                int(place.partition(b"-")[0]),
            )
            for place, fields in entries
        ]

    def try_again(self, stream: str) -> int:
        """Put all that was set aside back into its stream, and return how many events that were.

        What is set aside again meanwhile stays where it is.
        """
        newest = self.aside(stream, 1)
        if not newest:
            return 0
        moved, last = 0, newest[0].place
        with reachable():
            while some := cast("int", self.client.eval(TRY_AGAIN, 2, stream, stream + ASIDE, last)):
                moved += some
        return moved

    def discard(self, stream: str, last: bytes) -> int:
        """Remove what was set aside up to the place `last`, and return how many events that were.

        `last` is a place as `aside` gives it.
        """
        at_ms, _, number = last.partition(b"-")
        beyond = f"{int(at_ms)}-{int(number) + 1}"
        with reachable():
            return self.client.xtrim(stream + ASIDE, minid=beyond, approximate=False)

    def backlog(self, stream: str) -> Backlog:
        """Return how much waits in a stream."""
        with reachable(), self.client.pipeline(transaction=True) as pipe:
            pipe.xrange(stream, count=1)
            pipe.xlen(stream)
            pipe.xlen(stream + ASIDE)
            pipe.eval(LAST_PLACE, 1, stream)
            oldest, waiting, aside, last = pipe.execute()
        first = Waiting(oldest[0][0], b"").at_ms if oldest else None
        return Backlog(waiting, first, last, aside)


@cache
def get_store(redis_url: str) -> Store:
    """Return the process's store: Redis when a URL is given, else local memory."""
    return RedisStore(redis_url, settings.STREAM_ROOM) if redis_url else LocalStore()
