"""What would have had to be otherwise for another model to win, from a recorded decision alone.

Pure. The engine itself is asked again, with another quality bar, price or confidence threshold, on
the figures that were recorded. These are rounded, so whatever is claimed is tried with the winner's
figures as bad and all others' as good as the record allows. Nothing is claimed of a decision that
the engine does not make again from its record: it followed something that the record does not show.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from operator import itemgetter
from typing import Any, Final

import numpy as np

from leaderboard.table import EstimateArrays, Table
from lib.taxonomy import ROUTES
from routing.engine.classification import Classification
from routing.engine.decide import fresh_pick
from routing.engine.field import Field
from routing.engine.figures import Figures
from routing.engine.inputs import Request, Rules
from routing.engine.outcome import Candidate, Pick
from routing.recorded import classification_of

# Half a unit of the fourth decimal, and a little for the arithmetic.
SHARE_ERROR: Final = 5.1e-5
COST_ERROR: Final = 0.5
# Bars and thresholds are told in thousandths.
STEPS: Final = 1000
# So close to where the winner changes is looked for the first bar at which it is sure.
NEAR: Final = 3
# Verdicts on a model that would have been taken but for something other than its figures.
HELD: Final = frozenset(
    {
        "not_worth_switching",
        "not_worth_moving",
        "session_held",
        "set_aside",
        "overruled",
        "over_budget",
        "passed_over",
    }
)


@dataclass(frozen=True)
class Span:
    """The quality bars, both ends included, at which a model would have won."""

    low: float
    high: float
    model: str


@dataclass(frozen=True)
class Price:
    """The highest expected cost per task, in micro-USD, at which a model would have won."""

    model: str
    cost_micro_usd: int


@dataclass(frozen=True)
class Trust:
    """The confidence threshold that would have changed whether the reading is trusted.

    Up to `at_most` it would have been, from `at_least` on it would not have been; one of the two is
    None. `model` is who would have won then, None where that cannot be told.
    """

    at_most: float | None
    at_least: float | None
    model: str | None


@dataclass(frozen=True)
class Counterfactual:
    """All that can be proven. Of a session's decision: as if there were no session."""

    by_bar: tuple[Span, ...] = ()
    by_price: tuple[Price, ...] = ()
    by_confidence: Trust | None = None

    @property
    def says_something(self) -> bool:
        """Whether there is any claim."""
        return bool(self.by_bar or self.by_price or self.by_confidence)


@dataclass(frozen=True)
class Trial:
    """A decision that can be made again, and each candidate's place in it."""

    field: Field
    figures: Figures
    rules: Rules
    request: Request
    believed: Classification

    def pick(self) -> Pick | None:
        """Return the choice as if there were no session."""
        return fresh_pick(self.field, self.figures, self.rules, self.request, self.believed)

    def winner(self) -> int | None:
        """Return the place of who wins, None for a model without figures."""
        pick = self.pick()
        return None if pick is None else pick.place

    def at_bar(self, bar: float) -> "Trial":
        """Return the same with another quality bar."""
        return replace(
            self,
            figures=replace(self.figures, bar=bar),
            rules=replace(self.rules, quality_bar=bar),
        )

    def at_threshold(self, threshold: float) -> "Trial":
        """Return the same with another confidence threshold."""
        return replace(self, rules=replace(self.rules, confidence_threshold=threshold))

    def at_cost(self, place: int, cost: float) -> "Trial":
        """Return the same with another expected cost of one candidate."""
        costs = [*self.figures.cost]
        costs[place] = cost
        return replace(self, figures=replace(self.figures, cost=costs))

    def surely(self, place: int) -> bool:
        """Tell whether a candidate wins whatever was rounded off, of its figures and others'."""
        figures = self.figures
        worst = [
            (accuracy if other == figures.best else accuracy - SHARE_ERROR, cost + COST_ERROR)
            if other == place
            else (
                min(accuracy + SHARE_ERROR, figures.accuracy[figures.best]),
                max(cost - COST_ERROR, 0.0),
            )
            for other, (accuracy, cost) in enumerate(
                zip(figures.accuracy, figures.cost, strict=True)
            )
        ]
        accuracies, costs = zip(*worst, strict=True)
        unlucky = replace(figures, accuracy=[*accuracies], cost=[*costs])
        return replace(self, figures=unlucky).winner() == place


def runner_up(candidates: Sequence[Candidate]) -> str | None:
    """Return who came second: the fresh choice that was not taken, else the next in the order of
    the mode among those that clear the bar; None when no other does.

    `candidates` are a decision's, those that were not taken by their cost.
    """
    firsts: dict[str, Candidate] = {}
    for one in candidates:
        kind = "held" if one.verdict in HELD else one.verdict
        before = firsts.setdefault(kind, one)
        if (kind == "less_accurate" and one.accuracy > before.accuracy) or (
            kind == "less_value"
            and one.accuracy * max(before.cost_micro_usd, 1)
            > before.accuracy * max(one.cost_micro_usd, 1)
        ):
            firsts[kind] = one
    for kind in ("held", "next_rung", "dearer", "less_value", "tied_dearer", "less_accurate"):
        if kind in firsts:
            return firsts[kind].model
    return None


def counterfactual(
    evidence: Mapping[str, Any], rules: Rules, *, model: str, reason: str, confidence: float | None
) -> Counterfactual:
    """Return what a recorded decision proves; nothing where the record is too thin.

    `rules` are those of the decision's policy version, in the decision's mode; `model`, `reason`
    (its code) and `confidence` are the decision's.
    """
    trial = trial_of(evidence, rules)
    if trial is None or not made_again(trial, evidence, model, reason):
        return Counterfactual()
    unclear = reason == "low_confidence"
    return Counterfactual(
        by_bar=() if unclear else by_bar(trial),
        by_price=() if unclear else by_price(trial),
        by_confidence=None if confidence is None else by_confidence(trial, confidence, unclear),
    )


def trial_of(evidence: Mapping[str, Any], rules: Rules) -> Trial | None:
    """Return a decision that can be made again, or None.

    Not one that asked for other evidence than the estimate, or for the best accuracy: what clears
    then depends on doubts that are not recorded. Nor one with a ladder, which needs every cell, nor
    one that a spent budget made.
    """
    bar, request = evidence.get("bar") or {}, evidence.get("request") or {}
    believed = classification_of(evidence)
    if believed is None or bar.get("best_accuracy") is None or "standing" not in bar:
        return None
    if bar["evidence"] != 0.5 or rules.mode == "best_accuracy" or request.get("verifiable"):
        return None
    if (evidence.get("budget") or {}).get("action") in ("cheapest", "balanced"):
        return None
    candidates = evidence["candidates"]
    able = [one for one in candidates if one["clears"] is not None]
    unable = {one["model"] for one in candidates if one["clears"] is None}
    ids = tuple(one["model"] for one in able)
    if bar["best_model"] not in ids:
        return None
    best = ids.index(bar["best_model"])
    # What rounds to more than the best one's accuracy is as accurate.
    accuracy = [min(one["accuracy"], bar["best_accuracy"]) for one in able]
    accuracy[best] = bar["best_accuracy"]
    rules = replace(
        rules,
        quality_bar=bar["quality_bar"],
        evidence=bar["evidence"],
        balanced_models=tuple(one for one in rules.balanced_models if one not in unable),
        overrides=(),
        pinned="",
    )
    return Trial(
        field=field_of_names(ids, bar["standing"]),
        figures=Figures(
            weights=np.zeros(0),
            accuracy=accuracy,
            low=accuracy,
            high=accuracy,
            cost=[float(one["cost_micro_usd"]) for one in able],
            own_sd=[0.0] * len(able),
            able=range(len(able)),
            verdicts=[""] * len(able),
            best=best,
            bar=bar["quality_bar"],
            evidence=bar["evidence"],
            floor=min(rules.accuracy_floor, bar["best_accuracy"]),
        ),
        rules=rules,
        request=Request(0, frozenset(), needs_tools=False, in_tool_loop=False),
        believed=believed,
    )


def field_of_names(ids: tuple[str, ...], standing: str | None) -> Field:
    """Return a field that knows only names: of the figures, a trial brings its own."""
    nothing = np.zeros(0)
    cells = EstimateArrays(
        nothing, nothing, nothing, nothing, nothing, nothing, nothing.astype(np.int64)
    )
    place = ids.index(standing) if standing in ids else None
    return Field(
        ids=ids,
        index={model: place for place, model in enumerate(ids)},
        cells=nothing,
        context=(),
        smallest_context=0,
        modalities=(),
        tools=(),
        barred=("",) * len(ids),
        read_cold=(),
        read_warm=(),
        standing=(place,) * len(ROUTES),
        table=Table("", (), cells, cells, cells, nothing, ()),
    )


def made_again(trial: Trial, evidence: Mapping[str, Any], model: str, reason: str) -> bool:
    """Tell whether the engine gives the recorded decision, or what the session held it from."""
    pick = trial.pick()
    if pick is None:
        return False
    if reason != "session_kept":
        return (pick.model, pick.reason) == (model, reason)
    held = {"not_worth_switching", "session_held"}
    return pick.reason == "standing_choice" or any(
        one["model"] == pick.model and one["verdict"] in held for one in evidence["candidates"]
    )


def by_bar(trial: Trial) -> tuple[Span, ...]:
    """Return which model would have won at which quality bar, the lowest bars first.

    Who wins at two bars wins at all between, so only the bars at which the winner changes are
    looked for.
    """
    found: list[tuple[int, int, int | None]] = []

    def winner(step: int) -> int | None:
        return trial.at_bar(step / STEPS).winner()

    def look(low: int, high: int, at_low: int | None, at_high: int | None) -> None:
        if at_low == at_high:
            found.append((low, high, at_low))
        elif high - low == 1:
            found.extend([(low, low, at_low), (high, high, at_high)])
        else:
            middle = (low + high) // 2
            at_middle = winner(middle)
            look(low, middle, at_low, at_middle)
            look(middle, high, at_middle, at_high)

    look(0, STEPS, winner(0), winner(STEPS))
    runs = [(place, [*run]) for place, run in groupby(found, key=itemgetter(2))]
    spans = [
        sure_span(trial, place, run[0][0], run[-1][1]) for place, run in runs if place is not None
    ]
    return tuple(span for span in spans if span is not None)


def sure_span(trial: Trial, place: int, low: int, high: int) -> Span | None:
    """Return the bars within which a winner is sure; None where something else than the bar leaves
    it unsure.
    """

    def sure(step: int) -> bool:
        return trial.at_bar(step / STEPS).surely(place)

    first = next(filter(sure, range(low, min(low + NEAR, high + 1))), None)
    last = next(filter(sure, range(high, max(high - NEAR, low - 1), -1)), None)
    if first is None or last is None:
        return None
    return Span(first / STEPS, last / STEPS, trial.field.ids[place])


def by_price(trial: Trial) -> tuple[Price, ...]:
    """Return at what lower expected cost each other model would have won, all else as it was."""
    prices = []
    chosen, figures = trial.winner(), trial.figures
    for place, accuracy in enumerate(figures.accuracy):
        # A price could make it the best one, and so move what all others have to clear.
        level = place != figures.best and accuracy + SHARE_ERROR >= figures.accuracy[figures.best]
        if place == chosen or level:
            continue

        def wins(cost: int, place: int = place) -> bool:
            return trial.at_cost(place, cost).surely(place)

        cost = highest(wins, round(figures.cost[place]) - 1)
        if cost is not None:
            prices.append(Price(trial.field.ids[place], cost))
    return tuple(prices)


def highest(holds: Callable[[int], bool], limit: int) -> int | None:
    """Return the highest whole number from 1 to `limit` up to which something holds."""
    if limit < 1 or not holds(1):
        return None
    low, high = 1, limit + 1
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if holds(middle) else (low, middle)
    return low


def by_confidence(trial: Trial, confidence: float, unclear: bool) -> Trust | None:
    """Return the threshold that would have changed whether the reading is trusted."""
    if unclear:
        at_most = math.floor(STEPS * (confidence - SHARE_ERROR)) / STEPS
        trusted = trial.at_threshold(0.0)
        place = trusted.winner()
        sure = place is not None and trusted.surely(place)
        return Trust(at_most, None, trial.field.ids[place] if sure and place is not None else None)
    at_least = math.ceil(STEPS * (confidence + SHARE_ERROR)) / STEPS
    if at_least > 1:
        return None
    pick = trial.at_threshold(1.1).pick()
    return Trust(None, at_least, pick.model if pick else None)
