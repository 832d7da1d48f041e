"""Celery's way to Redis, mended so that a worker outlives the loss of Redis.

When kombu 5.7 has lost a connection it closes it, and while messages are not acknowledged yet its
channel asks for Redis once more. But then it does not know any more where that is, which ends in an
AttributeError that nothing catches, and so the worker ends as well. The same awaits the
acknowledgement of a task that took longer than its connection lasted.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from kombu.transport import redis
from redis.exceptions import ConnectionError as RedisConnectionError


class Channel(redis.Channel):
    """A channel that says so when its connection is gone."""

    @contextmanager
    def conn_or_acquire(self, client: Any = None) -> Iterator[Any]:
        """Give a client of Redis; raise what kombu takes for a lost connection without one."""
        if not client and (self.connection is None or self.connection.client is None):
            raise RedisConnectionError("the connection of this channel is closed")
        with super().conn_or_acquire(client) as found:
            yield found


class Transport(redis.Transport):
    """Redis as a broker."""

    Channel = Channel
