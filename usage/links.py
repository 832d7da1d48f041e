"""Where a page of usage leads: the same question narrowed, or the rows behind a point.

A page's state is its URL, so each of these is an address.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from urllib.parse import urlencode

from django.urls import reverse

from teams.models import Project
from usage import wording
from usage.filters import MAX_VALUES
from usage.queries import History, Series
from usage.question import (
    NONE,
    NOT,
    NOT_BOTH,
    OF_DECISIONS,
    Conditions,
    Pair,
    UsageFilter,
    pair_text,
    stamp,
)

Params = Mapping[str, str | Sequence[str]]


def address(params: Params, page: str = "") -> str:
    """Return a page with parameters; by default the one that is being looked at."""
    return f"{page}?{urlencode(params, doseq=True)}"


@dataclass(frozen=True)
class Chip:
    """A condition in words, and the address of the page without it."""

    text: str
    without: str


def chips(params: Params, conditions: Conditions, key_names: Mapping[str, str]) -> list[Chip]:
    """Return the conditions of a page with these parameters."""
    found = []
    for sign, prefix, groups in (("", "", conditions.include), ("not ", NOT, conditions.exclude)):
        for group, values in groups.items():
            for value in values:
                left = [one for one in values if one != value]
                rest = {name: one for name, one in params.items() if name != prefix + group}
                text = f"{wording.GROUPS[group]}: {sign}{wording.name_of(group, value, key_names)}"
                found.append(Chip(text, address(rest | ({prefix + group: left} if left else {}))))
    for pair in conditions.not_both:
        left = [pair_text(one) for one in conditions.not_both if one != pair]
        text = not_both_text(pair, key_names)
        found.append(Chip(text, address({**params, NOT_BOTH: left})))
    return found


def not_both_text(pair: Pair, key_names: Mapping[str, str]) -> str:
    """Return in words that two values are left out where they come together."""
    (one, _), (other, _) = pair
    names = " with ".join(wording.name_of(group, value, key_names) for group, value in pair)
    return f"{wording.GROUPS[one]} and {wording.phrase(other)}: not {names}"


def only(asked: UsageFilter, group: str, value: str) -> str:
    """Return the address of the same question about one value of a group alone."""
    params = {name: one for name, one in asked.as_params().items() if name != NOT + group}
    return address(params | {group: [value]})


def without(asked: UsageFilter, group: str, value: str) -> str:
    """Return the address of the same question about all but one value of a group."""
    excluded = (*asked.conditions.exclude.get(group, ()), value)
    included = [one for one in asked.conditions.include.get(group, ()) if one != value]
    params = {name: one for name, one in asked.as_params().items() if name != group}
    return address(params | {NOT + group: excluded} | ({group: included} if included else {}))


def timeline(project: Project, session_id: str) -> str:
    """Return the page of a session; empty for calls that belong to none."""
    page = reverse("sessions", args=[project.slug])
    return "" if session_id == NONE else address({"session": session_id}, page)


class Behind:
    """The addresses of the rows behind the points and series of a page.

    Such an address is that of a series, `rows`, and then a `time`.
    """

    def __init__(self, project: Project, asked: UsageFilter, history: History) -> None:
        self.asked = asked
        self.is_of_decisions = asked.metric in OF_DECISIONS
        self.page = reverse(
            "decisions" if self.is_of_decisions else "usage_events", args=[project.slug]
        )
        self.named = [one.names for one in history.series if not one.is_rest]

    def time(self, place: int) -> str:
        """Return the time of a bucket; a sum since the start has all of it behind it."""
        window = self.asked.window
        start = window.start if self.asked.cumulative else window.bucket_starts[place]
        return urlencode({"from": stamp(start), "to": stamp(window.end_of(place))})

    def all_time(self) -> str:
        """Return the time of the whole window."""
        window = self.asked.window
        return urlencode({"from": stamp(window.start), "to": stamp(window.end)})

    def series(self, one: Series) -> str | None:
        """Return the rows behind all of a series; None where no list can show them."""
        rows = self.rows(one)
        return rows and rows + self.all_time()

    def everything(self) -> str | None:
        """Return the rows behind all that is shown; None where no list can show them."""
        rows = self.listed(self.asked.conditions)
        return rows and rows + self.all_time()

    def rows(self, one: Series) -> str | None:
        """Return the list of a series, whatever the time; None where no list can show it."""
        conditions = self.narrowed(one)
        return None if conditions is None else self.listed(conditions)

    def narrowed(self, one: Series) -> Conditions | None:
        """Return the conditions on the rows of a series; None where they cannot be told so."""
        asked = self.asked.conditions
        group, then = self.asked.group, self.asked.then
        if not one.is_rest:
            names = zip(self.asked.groups, one.names, strict=True)
            return replace(asked, include={**asked.include, **{k: (v,) for k, v in names}})
        if then:
            pairs = (*asked.not_both, *(((group, a), (then, b)) for a, b in self.named))
            return replace(asked, not_both=pairs) if len(pairs) <= MAX_VALUES else None
        others = (*asked.exclude.get(group, ()), *(name for (name,) in self.named))
        return (
            replace(asked, exclude={**asked.exclude, group: others})
            if len(others) <= MAX_VALUES
            else None
        )

    def listed(self, conditions: Conditions) -> str | None:
        """Return the list of what fulfils conditions; None where it knows none like these."""
        params = conditions.as_params()
        if self.is_of_decisions:
            if conditions.name("status"):
                return None
            params |= {"switched": ["true"]} if self.asked.metric == "switched" else {}
        query = urlencode(params, doseq=True)
        return f"{self.page}?{query}&" if query else f"{self.page}?"


def hidden(params: Params, leave_out: Collection[str]) -> list[tuple[str, str]]:
    """Return parameters as a form carries them along, without those that it sets itself."""
    return [
        (name, value)
        for name, values in params.items()
        if name not in leave_out
        for value in ([values] if isinstance(values, str) else values)
    ]
