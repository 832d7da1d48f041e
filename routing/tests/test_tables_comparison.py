"""What changed between two tables: by example and by property."""

from dataclasses import replace
from typing import TypeVar

from hypothesis import given, settings
from hypothesis import strategies as st

from leaderboard.table import Table
from leaderboard.tests.tables import make_table
from lib.taxonomy import DIFFICULTIES, ROUTES
from routing.comparison import ChoiceChange, Comparison, compare
from routing.engine.inputs import MODES, Rules

RULES = Rules(
    version="pol_test",
    mode="auto_efficient",
    quality_bar=0.95,
    evidence=0.5,
    confidence_threshold=0.5,
    allowed=frozenset(),
    denied=frozenset(),
    balanced_models=("open/balanced",),
    baseline_model="open/strong",
)
FLEET = {
    "open/cheap": (0.78, 50_000.0),
    "open/balanced": (0.79, 400_000.0),
    "open/strong": (0.80, 900_000.0),
}
T = TypeVar("T")
FIX = ("debugging/bug_fixing", "low")

names = st.sampled_from(["a/one", "b/two", "open/balanced", "open/strong"])
figures = st.tuples(st.floats(0.05, 0.95), st.integers(100, 10_000_000).map(float))
cells = st.dictionaries(
    st.tuples(names, st.sampled_from(ROUTES), st.sampled_from(DIFFICULTIES)), figures, max_size=5
)
fleets = st.dictionaries(names, figures, min_size=1)
tables = st.builds(lambda fleet, single: make_table(fleet, cells=single), fleets, cells)


def swapped(found: Comparison) -> Comparison:
    """Return the comparison as seen from the other side."""

    def turned(parts: tuple[T, ...]) -> tuple[T, ...]:
        return tuple(replace(one, before=one.after, after=one.before) for one in parts)  # type: ignore[type-var,attr-defined]

    return Comparison(
        before=found.after,
        after=found.before,
        added=found.removed,
        removed=found.added,
        models=turned(found.models),
        cells=turned(found.cells),
        choices=turned(found.choices),
    )


def in_order(found: Comparison) -> Comparison:
    """Return the comparison with its lists sorted, as the tables may list models differently."""
    return replace(
        found,
        added=tuple(sorted(found.added)),
        removed=tuple(sorted(found.removed)),
        models=tuple(sorted(found.models, key=lambda one: (one.model, one.field))),
        cells=tuple(sorted(found.cells, key=lambda one: (one.model, one.route, one.difficulty))),
    )


@settings(max_examples=25, deadline=None)
@given(tables)
def test_a_table_differs_in_nothing_from_itself(table: Table) -> None:
    found = compare(table, table, RULES)
    assert found.is_empty
    assert found.largest_accuracy_changes(9) == found.largest_cost_changes(9) == []


@settings(max_examples=15, deadline=None)
@given(tables, tables)
def test_looking_from_the_other_side_swaps_before_and_after(one: Table, other: Table) -> None:
    there, back = compare(one, other, RULES), compare(other, one, RULES)
    assert in_order(swapped(there)) == in_order(back)


@settings(max_examples=15, deadline=None)
@given(fleets, cells)
def test_exactly_the_cells_that_differ_are_named(
    fleet: dict[str, tuple[float, float]],
    single: dict[tuple[str, str, str], tuple[float, float]],
) -> None:
    found = compare(make_table(fleet), make_table(fleet, cells=single), RULES)
    changed = {
        place for place, pair in single.items() if place[0] in fleet and pair != fleet[place[0]]
    }
    assert {(one.model, one.route, one.difficulty) for one in found.cells} == changed
    assert (found.added, found.removed, found.models) == ((), (), ())


def change_in(found: Comparison, route: str, mode: str) -> ChoiceChange:
    """Return what changes in a route and mode."""
    [change] = [one for one in found.choices if (one.route, one.mode) == (route, mode)]
    return change


def test_another_choice_is_named_with_its_figures_and_saving() -> None:
    route = "debugging/bug_fixing"
    worse = {("open/cheap", route, difficulty): (0.5, 50_000.0) for difficulty in DIFFICULTIES}
    found = compare(make_table(FLEET), make_table(FLEET, cells=worse), RULES)
    change = change_in(found, route, "auto_efficient")
    assert (change.before.model, change.after.model) == ("open/cheap", "open/balanced")
    assert change.before.cost_micro_usd == 50_000
    assert change.before.saving == round(1 - 50 / 900, 4)
    assert change.after.saving == round(1 - 400 / 900, 4)
    assert {one.route for one in found.choices} == {route}


def test_a_dearer_cell_changes_the_saving_and_not_the_model() -> None:
    dearer = {("open/cheap", *FIX): (0.78, 80_000.0)}
    found = compare(make_table(FLEET), make_table(FLEET, cells=dearer), RULES)
    change = change_in(found, FIX[0], "auto_efficient")
    assert (change.changes_model, change.changes_saving) == (False, True)
    [cell] = found.largest_cost_changes(5)
    assert cell.cost_ratio == 1.6
    assert found.largest_accuracy_changes(5) == []


def test_models_that_came_went_or_became_dearer_are_named() -> None:
    before = make_table(FLEET)
    after = make_table(
        {**{name: FLEET[name] for name in list(FLEET)[1:]}, "new/model": (0.7, 10_000.0)},
        details={"open/strong": {"input_micro_usd": 2_000_000}},
    )
    found = compare(before, after, RULES)
    assert (found.added, found.removed) == (("new/model",), ("open/cheap",))
    [change] = found.models
    assert (change.model, change.field, change.before, change.after) == (
        "open/strong",
        "input_micro_usd",
        1_000_000,
        2_000_000,
    )


def test_the_largest_change_comes_first_whichever_its_direction() -> None:
    moved = {
        ("open/cheap", *FIX): (0.70, 100_000.0),
        ("open/balanced", *FIX): (0.89, 390_000.0),
        ("open/strong", *FIX): (0.81, 100_000.0),
    }
    found = compare(make_table(FLEET), make_table(FLEET, cells=moved), RULES)
    by_accuracy = [cell.model for cell in found.largest_accuracy_changes(2)]
    by_cost = [cell.model for cell in found.largest_cost_changes(2)]
    assert by_accuracy == ["open/balanced", "open/cheap"]
    assert by_cost == ["open/strong", "open/cheap"]


def test_a_choice_that_the_table_does_not_know_has_no_figures() -> None:
    unavailable = {name: {"available": False} for name in FLEET}
    found = compare(make_table(FLEET), make_table(FLEET, details=unavailable), RULES)
    change = change_in(found, FIX[0], MODES[0])
    assert change.after.model is None
    assert (change.after.reason, change.after.saving) == ("unavailable", None)
