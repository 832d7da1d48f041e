"""What a recorded decision is said to prove is what the engine does."""

from dataclasses import replace
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from leaderboard.table import Table
from leaderboard.tests.tables import make_table
from lib.taxonomy import ROUTES
from routing.actions.routing import Asked, Bar, Evidence, reading_of, stood_by
from routing.counterfactual import Counterfactual, counterfactual, runner_up
from routing.engine.classification import Classification
from routing.engine.decide import decide
from routing.engine.inputs import Request, Rules, Session
from routing.engine.outcome import Choice

NOW = 1_800_000_000_000
REQUEST = Request(1_000, frozenset({"text"}), needs_tools=False, in_tool_loop=False)
RULES = Rules(
    version="pol_x",
    mode="auto_efficient",
    quality_bar=0.95,
    evidence=0.5,
    confidence_threshold=0.5,
    allowed=frozenset(),
    denied=frozenset(),
    balanced_models=("p/m0",),
    baseline_model="p/m0",
)
THREE = {"p/cheap": (0.80, 1_000.0), "p/middle": (0.91, 4_000.0), "p/best": (1.0, 20_000.0)}


def reading(sure: float = 1.0, place: int = 3) -> Classification:
    """A reading of one route, the rest spread over a route of each other task type."""
    others = [one for one in range(0, 18, 3) if one // 3 != place // 3]
    routes = tuple(
        sure if one == place else (1 - sure) / 5 if one in others else 0.0 for one in range(18)
    )
    return Classification(routes, (0.2, 0.5, 0.3))


def record(
    table: Table, rules: Rules, believed: Classification, session: Session | None = None
) -> tuple[Choice, dict[str, Any]]:
    """Decide, and return the evidence as it comes back from the database."""
    choice = decide(REQUEST, believed, rules, table, session, NOW)
    assert isinstance(choice, Choice)
    acted_on = choice.classification
    assert acted_on
    evidence = Evidence(
        classification=reading_of(acted_on, "test"),
        request=Asked(1_000, ["text"], False, 1, False, False),
        bar=Bar(
            rules.quality_bar,
            rules.evidence,
            choice.best_model,
            choice.best_accuracy,
            stood_by(table, acted_on),
        ),
        runner_up=runner_up(choice.candidates),
        ladder=None,
        failed=[],
        live_evidence=False,
        candidates=choice.candidates,
    )
    return choice, msgspec.json.decode(msgspec.json.encode(evidence))


def proven(
    table: Table, rules: Rules = RULES, believed: Classification | None = None, **also: Any
) -> Counterfactual:
    """Decide and ask what the record proves."""
    choice, evidence = record(table, rules, believed or reading(), **also)
    return prove(choice, evidence, rules)


def prove(choice: Choice, evidence: dict[str, Any], rules: Rules) -> Counterfactual:
    assert choice.classification
    return counterfactual(
        evidence,
        replace(rules, mode=choice.mode),
        model=choice.model,
        reason=choice.reason_code,
        confidence=round(choice.classification.confidence, 4),
    )


shares = st.floats(0.05, 1.0)
tables = st.builds(
    lambda figures, standing: replace(
        make_table({f"p/m{place}": pair for place, pair in enumerate(figures)}),
        standing=(standing,) * len(ROUTES) if standing else (),
    ),
    st.lists(st.tuples(shares, st.floats(1, 3e6)), min_size=1, max_size=7),
    st.sampled_from(["", "p/m0", "p/m1", "p/m2"]),
)
rules_drawn = st.builds(
    lambda mode, bar, floor: replace(RULES, mode=mode, quality_bar=bar, accuracy_floor=floor),
    st.sampled_from(["auto_efficient", "accuracy_per_dollar"]),
    st.sampled_from([0.9, 0.95, 0.97]) | st.floats(0.5, 1.0),
    st.just(0.0) | st.floats(0, 1),
)
many = settings(max_examples=150, deadline=None)


@many
@given(tables, rules_drawn, st.data())
def test_at_a_bar_that_is_told_the_model_wins(
    table: Table, rules: Rules, data: st.DataObject
) -> None:
    told = proven(table, rules)
    assume(told.by_bar)
    for span in told.by_bar:
        inside = data.draw(st.floats(span.low, span.high))
        for bar in (span.low, inside, span.high):
            choice = decide(REQUEST, reading(), replace(rules, quality_bar=bar), table, None, NOW)
            assert isinstance(choice, Choice)
            assert choice.model == span.model


@many
@given(tables, rules_drawn)
def test_slightly_beyond_the_bars_that_are_told_it_does_not(table: Table, rules: Rules) -> None:
    for span in proven(table, rules).by_bar:
        for bar in (span.low - 0.004, span.high + 0.004):
            if 0 <= bar <= 1:
                choice = decide(
                    REQUEST, reading(), replace(rules, quality_bar=bar), table, None, NOW
                )
                assert isinstance(choice, Choice)
                assert choice.model != span.model or levels(table)


def levels(table: Table) -> bool:
    """Whether some models are too alike for the record to tell them apart."""
    cells = table.cells
    for figures, width in ((cells.accuracy[:, 0, 0], 3e-4), (cells.cost[:, 0, 0], 2.0)):
        ordered = sorted(figures.tolist())
        if any(after - before <= width for before, after in pairwise(ordered)):
            return True
    return False


@many
@given(tables, rules_drawn)
def test_at_a_price_that_is_told_the_model_wins_and_much_above_it_does_not(
    table: Table, rules: Rules
) -> None:
    for told in proven(table, rules).by_price:
        place = table.index_of(told.model)
        assert place is not None

        def winner(cost: float, place: int = place) -> str:
            costs = table.cells.cost.copy()
            costs[place] = cost
            cheaper = replace(table, cells=replace(table.cells, cost=costs))
            choice = decide(REQUEST, reading(), rules, cheaper, None, NOW)
            assert isinstance(choice, Choice)
            return choice.model

        assert winner(told.cost_micro_usd) == told.model
        assert winner(told.cost_micro_usd / 2) == told.model
        assert winner(told.cost_micro_usd * 1.05 + 5_000) != told.model or levels(table)


@many
@given(tables, rules_drawn, st.floats(0.25, 0.99))
def test_a_threshold_that_is_told_decides_whether_the_reading_is_trusted(
    table: Table, rules: Rules, sure: float
) -> None:
    told = proven(table, rules, reading(sure)).by_confidence
    assume(told)
    assert told
    threshold = told.at_most if told.at_least is None else told.at_least
    assert threshold is not None
    changed = replace(rules, confidence_threshold=threshold)
    choice = decide(REQUEST, reading(sure), changed, table, None, NOW)
    assert isinstance(choice, Choice)
    assert (choice.reason_code == "low_confidence") == (told.at_least is not None)
    if told.model:
        assert choice.model == told.model


def test_the_bars_of_three_models_are_told_in_thousandths() -> None:
    spans = [(one.low, one.high, one.model) for one in proven(make_table(THREE)).by_bar]
    assert spans == [
        (0.0, 0.8, "p/cheap"),
        (0.801, 0.91, "p/middle"),
        (0.911, 1.0, "p/best"),
    ]


def test_the_price_at_which_a_model_would_have_won_is_told() -> None:
    told = proven(make_table(THREE), replace(RULES, quality_bar=0.9))
    assert [(one.model, one.cost_micro_usd) for one in told.by_price] == [("p/best", 3_999)]


def test_a_route_that_stands_by_a_model_is_left_only_for_a_saving() -> None:
    table = replace(
        make_table({"p/stands": (0.9, 4_000.0), "p/other": (0.95, 5_000.0)}),
        standing=("p/stands",) * len(ROUTES),
    )
    told = proven(table, replace(RULES, quality_bar=0.9))
    # Not 3,999, at which it is the cheapest: it has to save a quarter as well.
    assert [one.cost_micro_usd for one in told.by_price if one.model == "p/other"] == [2_999]
    assert {one.model for one in told.by_bar} == {"p/stands", "p/other"}


@pytest.mark.parametrize(
    "change",
    [
        {"classification": None},
        {"bar": None},
        {"candidates": []},
        {"request": {"verifiable": True}},
        {"bar": {"quality_bar": 0.95, "evidence": 0.5, "best_model": "p/best", "best_accuracy": 1}},
        {"bar": {"quality_bar": 0.5, "evidence": 0.5, "best_model": "p/best", "best_accuracy": 1.0,
                 "standing": None}},
    ],
    ids=["unread", "no bar", "no candidates", "verifiable", "older record", "contradiction"],
)  # fmt: skip
def test_nothing_is_told_where_the_record_is_thin(change: dict[str, Any]) -> None:
    choice, evidence = record(make_table(THREE), RULES, reading())
    assert prove(choice, evidence, RULES).says_something
    assert not prove(choice, {**evidence, **change}, RULES).says_something
    assert not prove(choice, {}, RULES).says_something


def test_nothing_is_told_where_doubts_that_are_not_recorded_decide() -> None:
    assert not proven(make_table(THREE), replace(RULES, mode="best_accuracy")).by_bar
    assert not proven(make_table(THREE), replace(RULES, evidence=0.9)).by_bar


def test_of_a_session_the_fresh_choice_is_told() -> None:
    believed = reading()
    session = Session("p/best", believed.routes, believed.difficulties, 5, NOW - 1_000)
    rules = replace(RULES, quality_bar=0.9)
    big = make_table(
        {"p/middle": (0.91, 19_990.0), "p/best": (1.0, 20_000.0)},
    )
    choice, evidence = record(big, rules, believed, session)
    assert choice.reason_code == "session_kept"
    assert [one.model for one in prove(choice, evidence, rules).by_bar] == ["p/middle", "p/best"]


@pytest.mark.parametrize(
    ("mode", "second"),
    [
        ("auto_efficient", "p/best"),
        ("accuracy_per_dollar", "p/best"),
        ("best_accuracy", "p/middle"),
    ],
)
def test_the_runner_up_is_the_next_in_the_order_of_the_mode(mode: str, second: str) -> None:
    rules = replace(RULES, mode=mode, quality_bar=0.9)
    choice, _ = record(make_table(THREE), rules, reading())
    assert runner_up(choice.candidates) == second


def test_the_fresh_choice_is_the_runner_up_of_what_held_it() -> None:
    choice, _ = record(make_table(THREE), replace(RULES, confidence_threshold=0.9), reading(0.5))
    assert choice.reason_code == "low_confidence"
    assert runner_up(choice.candidates) == "p/best"
