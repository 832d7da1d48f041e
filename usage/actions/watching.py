"""Whether what clients send still finds its way into the database."""

from dataclasses import dataclass

import structlog
from django.conf import settings
from django.utils import timezone

from lib.store import DECISIONS, REPORTS, USAGE, Backlog, RedisStore, StoreUnavailable, get_store

log = structlog.get_logger()
STREAMS = {"decisions": DECISIONS, "usage": USAGE, "reports": REPORTS}
# The alarm is raised when a stream is filled by this share, or holds something older than this.
FULL = 0.5
LATE_SECONDS = 300


@dataclass(frozen=True)
class StreamState:
    """How a stream stands. `share` is that of its room which is taken, 0 to 1."""

    name: str
    backlog: Backlog
    share: float
    late_seconds: float

    @property
    def alarms(self) -> list[str]:
        """What an operator has to look into."""
        alarms = []
        if self.share >= FULL:
            alarms.append("filling")
        if self.late_seconds >= LATE_SECONDS:
            alarms.append("late")
        if self.backlog.aside:
            alarms.append("set_aside")
        return alarms


def stream_states() -> list[StreamState]:
    """Return how the streams stand; none embedded. Raises StoreUnavailable."""
    store = get_store(settings.REDIS_URL)
    if not isinstance(store, RedisStore):
        return []
    now_ms = timezone.now().timestamp() * 1000
    states = []
    for name, stream in STREAMS.items():
        backlog = store.backlog(stream)
        oldest = backlog.oldest_at_ms
        late = 0.0 if oldest is None else max(0.0, (now_ms - oldest) / 1000)
        states.append(StreamState(name, backlog, backlog.waiting / store.room, late))
    return states


def do_watch_streams() -> None:
    """Log an error for whatever an operator has to look into."""
    try:
        states = stream_states()
    except StoreUnavailable as away:
        log.error("store_unavailable", error=str(away))
        return
    for state in states:
        for alarm in state.alarms:
            log.error(
                f"stream_{alarm}",
                stream=state.name,
                waiting=state.backlog.waiting,
                share=round(state.share, 3),
                late_seconds=round(state.late_seconds),
                set_aside=state.backlog.aside,
            )
