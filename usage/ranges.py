"""Which stretch of time a page or a call is about, cut into buckets of the team's calendar. Pure.

Days, weeks (from Monday on) and months begin at midnight of the team's clock, and hours at its full
hours, which half an hour of offset moves against UTC. Every moment that comes out is UTC.
"""

from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from lib.ranges import LENGTHS

HOUR: Final = timedelta(hours=1)
DAY: Final = timedelta(days=1)
EPOCH: Final = datetime.fromtimestamp(0, UTC)
CUSTOM: Final = "custom"
BUCKETS: Final = ("hour", "day", "week", "month")
# The first one is what `auto` means. Others would give one bar or thousands.
BUCKETS_OF: Final[dict[str, tuple[str, ...]]] = {
    "24h": ("hour",),
    "7d": ("day", "hour"),
    "30d": ("day", "hour", "week"),
    "90d": ("day", "week", "month"),
}
# The longest stretch of one's own, and what stretches are cut into which buckets.
MAX_LENGTH: Final = timedelta(days=366)
MAX_HOURLY: Final = timedelta(days=31)
MIN_WEEKLY: Final = timedelta(days=14)
MIN_MONTHLY: Final = timedelta(days=32)


@dataclass(frozen=True)
class Window:
    """The time from `start` (inclusive) to `end` (exclusive), and where each bucket begins.

    The buckets tile it: the first begins with it, so that the outer ones may be cut off. `offered`
    are the buckets that it could be cut into. `is_open` tells that it ends with the hour or the day
    that was the present one when it was asked for, and so will have moved when it is asked again.
    """

    name: str
    zone: ZoneInfo
    offered: tuple[str, ...]
    bucket: str
    start: datetime
    end: datetime
    bucket_starts: tuple[datetime, ...]
    is_open: bool = True

    def place_of(self, moment: datetime) -> int:
        """Return which bucket holds a moment of the window, counted from 0."""
        return bisect_right(self.bucket_starts, moment) - 1

    def end_of(self, place: int) -> datetime:
        """Return where a bucket ends."""
        following = self.bucket_starts[place + 1 : place + 2]
        return following[0] if following else self.end

    @property
    def automatic(self) -> str:
        """The bucket that `auto` means."""
        if self.name != CUSTOM:
            return self.offered[0]
        return automatic_between(self.start, self.end, self.zone)

    @property
    def is_by_day(self) -> bool:
        """Tell whether every bucket is made of whole days, but for the outer ends."""
        return self.bucket != "hour" and all(
            is_midnight(start, self.zone) for start in self.bucket_starts[1:]
        )


@dataclass(frozen=True)
class Hours:
    """Consecutive hours of a clock that all begin `past` the hour of UTC, from `first` to `end`.

    An hour in which the clock is put forward by half an hour is the first one, and is as much
    shorter; one in which it is put back is the last one, and counts as a whole one and a half one.
    """

    first: datetime
    end: datetime
    past: timedelta

    @property
    def last(self) -> datetime:
        """Where the last one begins."""
        return max(self.first, self.end - ((self.end - EPOCH - self.past) % HOUR or HOUR))


@dataclass(frozen=True)
class Pieces:
    """A stretch of time in whole days, whole hours, and what is left of an hour.

    `days` are the first day and the one after the last, `hours` and `rest` pairs of start and end.
    """

    days: tuple[date, date] | None
    hours: tuple[tuple[datetime, datetime], ...]
    rest: tuple[tuple[datetime, datetime], ...]


def midnight(day: date, zone: ZoneInfo) -> datetime:
    """Return when a day begins."""
    return datetime.combine(day, time(), zone).astimezone(UTC)


def past_the_hour(moment: datetime, zone: ZoneInfo) -> timedelta:
    """Return how long after the hour of UTC an hour of the team's clock begins."""
    return -(moment.astimezone(zone).utcoffset() or timedelta(0)) % HOUR


def is_midnight(moment: datetime, zone: ZoneInfo) -> bool:
    """Tell whether a day begins at this moment."""
    return moment == midnight(moment.astimezone(zone).date(), zone)


def floor(moment: datetime, bucket: str, zone: ZoneInfo) -> datetime:
    """Return the beginning of the hour, day, week or month that holds `moment`."""
    local = moment.astimezone(zone)
    if bucket == "hour":
        found = local.replace(minute=0, second=0, microsecond=0).astimezone(UTC)
        # A clock that is put forward past the hour skips where one begins: the one before goes on.
        if found > moment:
            return found - HOUR
        # A clock that is put back past the hour had another one begin meanwhile.
        again = found + HOUR
        return again if again <= moment and again.astimezone(zone).minute == 0 else found
    return midnight(first_day(local.date(), bucket), zone)


def first_day(day: date, bucket: str) -> date:
    """Return the first day of the day, week or month that holds `day`."""
    if bucket == "week":
        return day - day.weekday() * DAY
    return day.replace(day=1) if bucket == "month" else day


def following(start: datetime, bucket: str, zone: ZoneInfo) -> datetime:
    """Return where the bucket after the one that begins at `start` begins.

    Where the clock is put forward or back, an hour may last from half an hour to one and a half,
    and a day may be missing.
    """
    step = {"hour": HOUR, "day": DAY, "week": 7 * DAY, "month": 31 * DAY}[bucket]
    if bucket == "hour":
        later = start + step
        while (found := floor(later, bucket, zone)) <= start:
            later += HOUR / 2
        return found
    day = start.astimezone(zone).date()
    while (found := midnight(first_day(day + step, bucket), zone)) <= start:
        day += DAY
    return found


def ceiling(moment: datetime, bucket: str, zone: ZoneInfo) -> datetime:
    """Return the moment if a bucket begins there, else where the next one begins."""
    start = floor(moment, bucket, zone)
    return moment if start == moment else following(start, bucket, zone)


def hours_of(start: datetime, end: datetime, zone: ZoneInfo) -> tuple[Hours, ...]:
    """Return the hours of a zone's clock that a stretch touches: where the clock is not put forward
    or back by half an hour, in one piece.
    """
    found = []
    first = floor(start, "hour", zone)
    while first < end:
        past, last = past_the_hour(first, zone), first
        # No clock is changed twice in a day.
        while last + DAY < end and past_the_hour(last + DAY, zone) == past:
            last += DAY
        while (after := following(last, "hour", zone)) < end and past_the_hour(after, zone) == past:
            last = after
        found.append(Hours(first, after, past))
        first = after
    return tuple(found)


def is_whole_hour(start: datetime, zone: ZoneInfo) -> bool:
    """Tell whether an hour of a zone's clock begins then and ends an hour later."""
    return floor(start, "hour", zone) == start == following(start, "hour", zone) - HOUR


def cut(start: datetime, end: datetime, bucket: str, zone: ZoneInfo) -> tuple[datetime, ...]:
    """Return where the buckets of a stretch begin, the first with the stretch."""
    starts, place = [start], following(floor(start, bucket, zone), bucket, zone)
    while place < end:
        starts.append(place)
        place = following(place, bucket, zone)
    return tuple(starts)


def window(name: str, now: datetime, zone: ZoneInfo, bucket: str = "auto") -> Window:
    """Return the window called `name`, which ends with the hour or the day that holds `now`.

    Raises KeyError for an unknown name and ValueError for a bucket that the window does not offer.
    """
    offered, length = BUCKETS_OF[name], LENGTHS[name]
    chosen = choice(bucket, offered[0], offered)
    if length <= DAY:
        end = following(floor(now, "hour", zone), "hour", zone)
        start = floor(end - length, "hour", zone)
    else:
        today = now.astimezone(zone).date()
        start, end = midnight(today - length + DAY, zone), midnight(today + DAY, zone)
    return Window(name, zone, offered, chosen, start, end, cut(start, end, chosen, zone))


def between(
    start: datetime,
    end: datetime,
    zone: ZoneInfo,
    bucket: str = "auto",
    *,
    is_open: bool = False,
) -> Window:
    """Return the window of the whole hours from `start` until before `end`.

    Raises ValueError unless `end` is after `start` and at most `MAX_LENGTH` after it by the team's
    clock, and for a bucket that the window does not offer.
    """
    if end <= start or not 0 < clock_length(start, end, zone) / MAX_LENGTH <= 1:
        raise ValueError(f"not a stretch of at most {MAX_LENGTH.days} days")
    offered = offered_between(start, end, zone)
    chosen = choice(bucket, automatic_between(start, end, zone), offered)
    start, end = floor(start, "hour", zone), ceiling(end, "hour", zone)
    starts = cut(start, end, chosen, zone)
    return Window(CUSTOM, zone, offered, chosen, start, end, starts, is_open)


def clock_length(start: datetime, end: datetime, zone: ZoneInfo) -> timedelta:
    """Return how far the team's clock moves on, so that every day counts as 24 hours."""
    return on_the_clock(end, zone) - on_the_clock(start, zone)


def lengths(start: datetime, end: datetime, zone: ZoneInfo) -> tuple[timedelta, timedelta]:
    """Return how long a stretch is for who counts days, and for who counts hours."""
    return clock_length(start, end, zone), end - start


def on_the_clock(moment: datetime, zone: ZoneInfo) -> datetime:
    """Return what the team's clock shows, without its zone; midnight too where it skips that."""
    local = moment.astimezone(zone).replace(tzinfo=None)
    return datetime.combine(local, time()) if is_midnight(moment, zone) else local


def automatic_between(start: datetime, end: datetime, zone: ZoneInfo) -> str:
    """Return the bucket that `auto` means for a stretch of one's own."""
    return "hour" if min(lengths(start, end, zone)) <= 2 * DAY else "day"


def offered_between(start: datetime, end: datetime, zone: ZoneInfo) -> tuple[str, ...]:
    """Return the buckets that a stretch of one's own can be cut into."""
    length = lengths(start, end, zone)
    suitable = {
        "hour": min(length) <= MAX_HOURLY,
        "day": True,
        "week": max(length) >= MIN_WEEKLY,
        "month": max(length) >= MIN_MONTHLY,
    }
    return tuple(bucket for bucket in BUCKETS if suitable[bucket])


def choice(bucket: str, automatic: str, offered: Sequence[str]) -> str:
    """Return the bucket that is meant; raise ValueError for one that is not offered."""
    if bucket == "auto":
        return automatic
    if bucket not in offered:
        raise ValueError(f"this offers the buckets {', '.join(offered)}")
    return bucket


def previous(asked: Window, now: datetime) -> Window:
    """Return the window of the same length just before, bucket by bucket.

    Of a window that is not over, it ends as long after its start as `now` is after the window's. A
    window of whole days moves by days of the calendar, so that the time of day stays what it was.
    """
    back = shift_of(asked)
    start, *later = map(back, asked.bucket_starts)
    # Of a window that has not begun it is empty.
    end = max(start, back(min(now, asked.end)))
    starts = (start, *(one for one in later if one < end))
    return replace(asked, start=start, end=end, bucket_starts=starts, offered=(), is_open=False)


def shift_of(asked: Window) -> Callable[[datetime], datetime]:
    """Return what moves a moment of a window to the same place in the window before."""
    zone = asked.zone
    if not (is_midnight(asked.start, zone) and is_midnight(asked.end, zone)):
        length = asked.end - asked.start
        return lambda moment: moment - length
    days = asked.end.astimezone(zone).date() - asked.start.astimezone(zone).date()

    def back(moment: datetime) -> datetime:
        return (moment.astimezone(zone) - days).astimezone(UTC)

    return back


def pieces(start: datetime, end: datetime, zone: ZoneInfo, *, by_day: bool) -> Pieces:
    """Return a stretch in the fewest pieces; days only if `by_day`."""
    first, last = ceiling(start, "hour", zone), floor(end, "hour", zone)
    if last < first:
        return Pieces(None, (), filled((start, end)))
    rest = filled((start, first), (last, end))
    first_midnight, last_midnight = ceiling(first, "day", zone), floor(last, "day", zone)
    if not by_day or first_midnight >= last_midnight:
        return Pieces(None, filled((first, last)), rest)
    days = first_midnight.astimezone(zone).date(), last_midnight.astimezone(zone).date()
    return Pieces(days, filled((first, first_midnight), (last_midnight, last)), rest)


def filled(*stretches: tuple[datetime, datetime]) -> tuple[tuple[datetime, datetime], ...]:
    """Return those stretches that are not empty."""
    return tuple(one for one in stretches if one[0] < one[1])
