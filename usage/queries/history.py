"""Usage over time and in total."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import accumulate, chain
from operator import add, sub
from typing import Final

from leaderboard.queries import current_table
from routing.queries.policies import current_policy
from teams.models import ApiKey, Project
from usage import latency
from usage.models import RollUp
from usage.queries.adding import Row, Wanted, added_up
from usage.queries.conditions import COLUMNS
from usage.question import LATENCIES, NONE, OF_DECISIONS, UsageFilter
from usage.ranges import Window, previous
from usage.saving import Compared, Saving, saving
from usage.sums import CALL_SUMS, COMPARISON_SUMS, DECISION_SUMS, SUMS, Figures, figures_of

MAX_SERIES: Final = 8
# Groups of which one name stands for several values of a column.
OF_SEVERAL: Final = frozenset({"provider", "member"})


Names = tuple[str, ...]
Amounts = list[int]
# The amounts of each bucket, by its place.
ByPlace = dict[int, Amounts]
# What the groups that are not shown go by together: any word could be the name of a session.
REST: Final[Names] = ()


@dataclass
class Series:
    """One group's figures: the total, and by the start of each bucket in which it has any.

    `names` are those of its one or two groups, none for the pooled rest. `previous` is the same
    group in the period before, by the starts of the buckets that it is compared with.
    """

    names: Names
    total: Figures
    buckets: dict[datetime, Figures] = field(default_factory=dict)
    previous: "Series | None" = None

    @property
    def is_rest(self) -> bool:
        """Tell whether it is the pooled rest."""
        return self.names == REST


@dataclass(frozen=True)
class History:
    """Usage over time: at most `MAX_SERIES` series, the largest first, then the rest as one.

    `unfinished` is the start of the bucket that is still filling. `key_names` says what people call
    the keys, by the ids that the series go by.
    """

    series: list[Series]
    total: Figures
    previous_total: Figures | None
    unfinished: datetime | None
    key_names: Mapping[str, str]


@dataclass(frozen=True)
class Totals:
    """A window in figures, and the one before up to the same elapsed time."""

    window: Window
    used: Figures
    saved: Saving
    previous: "Totals | None" = None


def covered_to() -> datetime | None:
    """Return up to when all that was recorded is in the figures; None before the first rollup."""
    return RollUp.objects.values_list("covered_to", flat=True).first()


def usage_over_time(project: Project, asked: UsageFilter, now: datetime) -> History:
    """Return usage by bucket and group.

    Groups are ranked by the metric; for ratios and latencies by the calls, tokens or decisions that
    these are of. What has no value to group by is under `NONE`. Only groups that are shown are
    asked for by time, since there may be thousands of others; these are what is left of all.
    """
    sums, before = sums_of(asked.metric), previous(asked.window, now) if asked.compare else None
    windows = [asked.window, before] if before else [asked.window]
    keys = keys_of(project.pk) if {"key", "member"} & {*asked.groups} else {}
    groups = ranked(project, asked, keys, before)
    shown = groups[:MAX_SERIES]
    current, earlier, *_ = [*by_place(project, asked, windows, shown), {}]
    series = []
    for names in [*(one.names for one in shown), REST]:
        if names == REST and not (current.get(names) or earlier.get(names)):
            continue
        one = series_of(names, current.get(names, {}), asked, now)
        if before:
            one.previous = series_of(names, earlier.get(names, {}), asked, now)
        series.append(one)
    return History(
        series=series,
        total=figures_of(sums, pooled(one.amounts for one in groups)),
        previous_total=figures_of(sums, pooled_groups(earlier)) if before else None,
        unfinished=unfinished(asked.window, now),
        key_names={key: name for key, (name, _) in keys.items()},
    )


@dataclass
class Group:
    """A group's names and total, and the values of the columns that make it out."""

    names: Names
    amounts: Amounts
    values: list[tuple[str, ...]]


def ranked(
    project: Project,
    asked: UsageFilter,
    keys: Mapping[str, tuple[str, str]],
    before: Window | None,
) -> list[Group]:
    """Return the groups of the window that is asked for, the largest first.

    Their values are also those that only the period before has.
    """
    columns, sums = columns_of(asked), sums_of(asked.metric)
    readers = [(columns.index(COLUMNS[group]), reader(group, keys)) for group in asked.groups]
    groups: dict[Names, Group] = {}
    wanted = Wanted(project.pk, asked.conditions, columns, sums, timed=False, raw=asked.is_raw)
    windows = [asked.window, before] if before and OF_SEVERAL & {*asked.groups} else [asked.window]
    current, *earlier = added_up(*((wanted, window) for window in windows))

    def names_of(row: Row) -> Names:
        return tuple([read(row.values[column]) or NONE for column, read in readers])

    for row in current:
        names = names_of(row)
        known = groups.get(names)
        if known is None:
            groups[names] = Group(names, row.sums, [row.values])
        else:
            known.amounts = [*map(add, known.amounts, row.sums)]
            known.values.append(row.values)
    for row in chain.from_iterable(earlier):
        if known := groups.get(names_of(row)):
            known.values.append(row.values)

    def rank(one: Group) -> tuple[int, Names]:
        return -figures_of(sums, one.amounts).weight(asked.metric), one.names

    return sorted(groups.values(), key=rank)


def columns_of(asked: UsageFilter) -> tuple[str, ...]:
    """Return the columns that the groups are read off."""
    return tuple(dict.fromkeys(COLUMNS[group] for group in asked.groups))


def sums_of(metric: str) -> tuple[str, ...]:
    """Return which sums a metric is read off."""
    if metric in OF_DECISIONS:
        return DECISION_SUMS
    calls = tuple(name for name in CALL_SUMS if name not in COMPARISON_SUMS)
    return (*calls, *latency.COLUMNS) if metric in LATENCIES else calls


def by_place(
    project: Project, asked: UsageFilter, windows: Sequence[Window], shown: Iterable[Group]
) -> list[dict[Names, ByPlace]]:
    """Return for each window the sums of groups by bucket, and those of all others."""
    columns, sums = columns_of(asked), sums_of(asked.metric)
    names = {values: one.names for one in shown for values in one.values}
    wanted = Wanted(project.pk, asked.conditions, columns, sums, timed=True, raw=asked.is_raw)
    together = replace(wanted, columns=())
    apart = [replace(wanted, only=tuple(names))] if names else []
    found = iter(added_up(*((one, window) for window in windows for one in (together, *apart))))
    return [split(window, next(found), next(found) if names else [], names) for window in windows]


def split(
    window: Window,
    together: Iterable[Row],
    apart: Iterable[Row],
    names: Mapping[tuple[str, ...], Names],
) -> dict[Names, ByPlace]:
    """Return sums by bucket: those that are `apart` by name, and what is left of all `together`."""
    groups: dict[Names, ByPlace] = {}
    for row in apart:
        add_at(groups.setdefault(names[row.values], {}), window, row)
    others: ByPlace = {}
    for row in together:
        add_at(others, window, row)
    for place, amounts in merged(groups).items():
        others[place] = [*map(sub, others[place], amounts)]
    groups[REST] = {place: amounts for place, amounts in others.items() if any(amounts)}
    return groups


def add_at(places: ByPlace, window: Window, row: Row) -> None:
    """Add a row to the bucket that it is in."""
    assert row.moment is not None
    # A day or an hour that the window cuts begins before it.
    place = max(0, window.place_of(row.moment))
    known = places.get(place)
    places[place] = row.sums if known is None else [*map(add, known, row.sums)]


def reader(group: str, keys: Mapping[str, tuple[str, str]]) -> Callable[[str], str]:
    """Return what makes the name of a group of the value of its column."""
    if group == "provider":
        return lambda model: model.partition("/")[0]
    if group == "member":
        return lambda key_id: keys[key_id][1] if key_id in keys else ""
    return str


def keys_of(project_id: int) -> dict[str, tuple[str, str]]:
    """Return the name of each key and the e-mail of who made it, empty where that is not known."""
    rows = ApiKey.objects.filter(project_id=project_id)
    found = rows.values_list("public_id", "name", "created_by__email")
    return {key_id: (name, email or "") for key_id, name, email in found}


def pooled(amounts: Iterable[Amounts]) -> Amounts:
    """Return what amounts add up to; nothing at all to an empty list."""
    return [sum(column) for column in zip(*amounts, strict=True)]


def pooled_groups(groups: Mapping[Names, ByPlace]) -> Amounts:
    """Return what all groups add up to."""
    return pooled(amounts for places in groups.values() for amounts in places.values())


def merged(groups: Mapping[Names, ByPlace]) -> ByPlace:
    """Return all groups as one."""
    places: dict[int, list[Amounts]] = {}
    for of_group in groups.values():
        for place, amounts in of_group.items():
            places.setdefault(place, []).append(amounts)
    return {place: pooled(amounts) for place, amounts in places.items()}


def series_of(names: Names, places: ByPlace, asked: UsageFilter, now: datetime) -> Series:
    """Return a series of the buckets of the window that is asked for."""
    sums, starts = sums_of(asked.metric), asked.window.bucket_starts
    total = figures_of(sums, pooled(places.values()))
    if asked.cumulative:
        begun = sum(start <= now for start in starts)
        nothing = [0] * len(sums)
        steps = accumulate(
            (places.get(place, nothing) for place in range(begun)),
            lambda before, amounts: [*map(add, before, amounts)],
        )
        places = dict(enumerate(steps))
    buckets = {starts[place]: figures_of(sums, places[place]) for place in sorted(places)}
    return Series(names, total, buckets)


def unfinished(window: Window, now: datetime) -> datetime | None:
    """Return the start of the bucket that is still filling; None where all are over."""
    if not window.start <= now < window.end:
        return None
    return window.bucket_starts[window.place_of(now)]


def totals(project: Project, asked: UsageFilter, now: datetime) -> Totals:
    """Return what a project used, and how its decisions went, in the window and the one before.

    How sure the saving is, is only told of the window.
    """
    before, sums = previous(asked.window, now), (*SUMS, *latency.COLUMNS)
    everything = wanted_at_once(project, asked, (), sums)
    by_work = wanted_at_once(project, asked, ("model", "route"), COMPARISON_SUMS)
    *found, compared = added_up(
        (everything, asked.window), (everything, before), (by_work, asked.window)
    )
    used, earlier = (figures_of(sums, pooled(row.sums for row in rows)) for rows in found)
    saved = earlier.baseline_cost_micro_usd - earlier.compared_cost_micro_usd
    return Totals(
        window=asked.window,
        used=used,
        saved=saving(
            [
                Compared(model, route, cost, baseline)
                for _, (model, route), (cost, baseline) in compared
            ],
            current_table(project.team_id),
            current_policy(project.pk).baseline_model,
        ),
        previous=Totals(before, earlier, Saving(saved)),
    )


def wanted_at_once(
    project: Project, asked: UsageFilter, columns: tuple[str, ...], sums: tuple[str, ...]
) -> Wanted:
    """Return some sums of all that is asked about, whatever the time."""
    return Wanted(project.pk, asked.conditions, columns, sums, timed=False, raw=asked.is_raw)
