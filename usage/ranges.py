"""Which stretch of time a page or a call is about, cut into equal buckets. Everything is UTC."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from lib.ranges import LENGTHS

HOUR: Final = timedelta(hours=1)
DAY: Final = timedelta(days=1)
CUSTOM: Final = "custom"
# The longest stretch of one's own, and the longest one that is cut into hours.
MAX_LENGTH: Final = timedelta(days=366)
MAX_HOURLY: Final = timedelta(days=30)
BUCKETS: Final[dict[str, timedelta]] = {"hour": HOUR, "day": DAY}
# The first one is what `auto` means. Others would give one bar or thousands.
BUCKETS_OF: Final[dict[str, tuple[str, ...]]] = {
    "24h": ("hour",),
    "7d": ("day", "hour"),
    "30d": ("day", "hour"),
    "90d": ("day",),
}


@dataclass(frozen=True)
class Window:
    """The time from `start` (inclusive) to `end` (exclusive), and where each bucket begins.

    `offered` are the buckets that it could be cut into.
    """

    name: str
    offered: tuple[str, ...]
    bucket: str
    start: datetime
    end: datetime
    bucket_starts: tuple[datetime, ...]


def floor(moment: datetime, bucket: str) -> datetime:
    """Return the beginning of the hour or the day that holds `moment`."""
    hour = moment.replace(minute=0, second=0, microsecond=0)
    return hour if bucket == "hour" else hour.replace(hour=0)


def window(name: str, now: datetime, bucket: str = "auto") -> Window:
    """Return the window called `name` whose last bucket is the one that holds `now`.

    All buckets are whole except the last, which is still filling. Raises KeyError for an unknown
    name and ValueError for a bucket that the window does not offer.
    """
    offered = BUCKETS_OF[name]
    if bucket == "auto":
        bucket = offered[0]
    if bucket not in offered:
        raise ValueError(f"{name} offers the buckets {', '.join(offered)}")
    width = BUCKETS[bucket]
    count = LENGTHS[name] // width
    last = floor(now, bucket)
    starts = tuple(last - width * back for back in range(count - 1, -1, -1))
    return Window(name, offered, bucket, starts[0], last + width, starts)


def between(start: datetime, end: datetime, bucket: str = "auto") -> Window:
    """Return the window from `start` until before `end`, whose outer buckets may be cut off.

    Raises ValueError unless `end` is after `start` and at most `MAX_LENGTH` after it, and for a
    bucket that the window does not offer.
    """
    if not timedelta(0) < end - start <= MAX_LENGTH:
        raise ValueError(f"not a stretch of at most {MAX_LENGTH.days} days")
    offered = offered_between(start, end)
    if bucket == "auto":
        bucket = "hour" if end - start <= 2 * DAY else "day"
    if bucket not in offered:
        raise ValueError(f"this stretch offers the buckets {', '.join(offered)}")
    width, first = BUCKETS[bucket], floor(start, bucket)
    count = -((first - end) // width)
    starts = tuple(first + width * number for number in range(count))
    return Window(CUSTOM, offered, bucket, start, end, starts)


def offered_between(start: datetime, end: datetime) -> tuple[str, ...]:
    """Return the buckets that a stretch of one's own can be cut into."""
    return ("day", "hour") if end - start <= MAX_HOURLY else ("day",)
