"""What the engine promises of every decision, whatever table, policy, request and session.

Where a promise has a condition, docs/routing.md states it too.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from leaderboard import standing
from leaderboard.table import EstimateArrays, Floats, Table
from leaderboard.tests.tables import SOURCE, table_model
from lib.money import format_usd
from lib.taxonomy import DIFFICULTIES, ROUTES
from routing.engine.classification import Classification
from routing.engine.decide import decide
from routing.engine.explain import FALLBACKS, REASONS, VERDICTS
from routing.engine.field import field_of
from routing.engine.figures import weigh
from routing.engine.inputs import MODES, Request, Rules, Session
from routing.engine.inputs import names as is_named
from routing.engine.modes import by_mode, price_of_clearing
from routing.engine.outcome import Choice, Refusal

NOW = 1_800_000_000_000
SHAPE = (len(ROUTES), len(DIFFICULTIES))
NAMES = [f"p/m{number}" for number in range(8)]
BARRED = {
    "denied", "not_allowed", "unavailable", "context_too_small", "modality_missing",
    "tools_missing", "too_dear",
}  # fmt: skip
many = settings(max_examples=120, deadline=None)


# Inputs. Cells are drawn from few values, so that equal figures and ties are common.

names = st.sampled_from(NAMES)
cell_accuracies = st.sampled_from([0.0, 0.2, 0.5, 0.5, 0.71, 0.75, 0.76, 0.8, 1.0])
cell_costs = st.sampled_from([0.0, 1.0, 900.0, 1_000.0, 1_400.0, 50_000.0, 3e7])


@st.composite
def model_cells(draw: st.DrawFn) -> dict[str, Floats]:
    """A model's figures: one value per route at first, then some cells of their own."""
    accuracy = np.full(SHAPE, draw(cell_accuracies))
    cost = np.full(SHAPE, draw(cell_costs))
    for _ in range(draw(st.integers(0, 3))):
        place = draw(st.integers(0, SHAPE[0] - 1)), draw(st.integers(0, SHAPE[1] - 1))
        accuracy[place], cost[place] = draw(cell_accuracies), draw(cell_costs)
    own_sd = np.full(SHAPE, draw(st.sampled_from([0.0, 0.01, 0.1])))
    return {"accuracy": accuracy, "cost": cost, "own_sd": own_sd}


abilities = st.fixed_dictionaries(
    {},
    optional={
        "available": st.booleans(),
        "context_tokens": st.sampled_from([None, 1_000, 1_000_000]),
        "supports_tools": st.booleans(),
        "input_modalities": st.sampled_from([("text",), ("text", "image"), ()]),
        "input_micro_usd": st.sampled_from([None, 0, 1_000_000]),
        "cache_read_micro_usd": st.sampled_from([None, 0, 100_000]),
        "cache_write_micro_usd": st.sampled_from([None, 0, 1_250_000]),
    },
)


def as_table(
    cells: Mapping[str, Mapping[str, Floats]],
    details: Mapping[str, Mapping[str, Any]],
    standing: tuple[str, ...] = (),
) -> Table:
    """A table of these models, with intervals as wide as their doubt."""

    def stack(figure: str) -> Floats:
        rows = [one[figure] for one in cells.values()]
        return np.array(rows) if rows else np.empty((0, *SHAPE))

    accuracy, cost, own_sd = stack("accuracy"), stack("cost"), stack("own_sd")
    estimates = EstimateArrays(
        accuracy=accuracy,
        accuracy_low=np.clip(accuracy - 2 * own_sd, 0, 1),
        accuracy_high=np.clip(accuracy + 2 * own_sd, 0, 1),
        cost=cost,
        cost_low=cost,
        cost_high=cost,
        n=np.zeros(accuracy.shape, dtype=np.int64),
    )
    return Table(
        version="tbl_test",
        models=tuple(table_model(name, **details.get(name, {})) for name in cells),
        cells=estimates,
        by_route=estimates,
        overall=estimates,
        own_sd=own_sd,
        sources=(SOURCE,),
        standing=standing,
    )


class Drawn:
    """A table in parts, so that a test can change one and put it together again."""

    def __init__(
        self,
        cells: dict[str, dict[str, Floats]],
        details: dict[str, dict[str, Any]],
        standing: tuple[str, ...],
    ) -> None:
        self.cells, self.details, self.standing = cells, details, standing

    def __repr__(self) -> str:
        means = {
            name: {figure: float(values.mean()) for figure, values in cells.items()}
            for name, cells in self.cells.items()
        }
        return f"Drawn({means}, {self.details}, {self.standing})"

    @property
    def table(self) -> Table:
        """The table."""
        return as_table(self.cells, self.details, self.standing)


@st.composite
def drawn_tables(draw: st.DrawFn, least: int = 0) -> Drawn:
    """Up to six models; routes may stand by any of them, or by one that is gone."""
    ids = draw(st.lists(names, min_size=least, max_size=6, unique=True))
    stands = st.lists(st.sampled_from([*NAMES, ""]), min_size=len(ROUTES), max_size=len(ROUTES))
    return Drawn(
        {name: draw(model_cells()) for name in ids},
        {name: draw(abilities) for name in ids},
        draw(
            st.just(()) | st.builds(lambda name: (name,) * len(ROUTES), names) | stands.map(tuple)
        ),
    )


few_names = st.frozensets(names | st.sampled_from(["p/*", "p/m1*", "*2"]), max_size=3)
shares = st.sampled_from([0.0, 0.25, 0.5, 0.7, 0.9, 0.95, 1.0]) | st.floats(0, 1)
all_rules = st.builds(
    Rules,
    version=st.just("pol_x"),
    mode=st.sampled_from(MODES),
    quality_bar=shares,
    evidence=st.just(0.5) | shares,
    confidence_threshold=shares,
    allowed=st.just(frozenset[str]()) | few_names,
    denied=st.just(frozenset[str]()) | few_names,
    balanced_models=st.lists(names, min_size=1, max_size=3).map(tuple),
    baseline_model=names,
    accuracy_floor=st.just(0.0) | shares,
    success_price_micro_usd=st.none() | st.sampled_from([0, 1_000, 50_000_000, 10**12]),
    price_ceiling_micro_usd=st.none() | st.sampled_from([0, 950, 1_200, 60_000]),
    overrides=st.just(())
    | st.sampled_from([*MODES, *NAMES]).map(lambda one: tuple((route, one) for route in ROUTES)),
)


def normalised(weights: list[float]) -> tuple[float, ...]:
    """Weights as probabilities."""
    return tuple(weight / sum(weights) for weight in weights)


def probabilities(count: int) -> st.SearchStrategy[tuple[float, ...]]:
    """All on one, or anything."""
    one = st.integers(0, count - 1).map(lambda hit: tuple(float(i == hit) for i in range(count)))
    return one | st.lists(st.floats(0.001, 1), min_size=count, max_size=count).map(normalised)


readings = st.builds(
    Classification,
    probabilities(len(ROUTES)),
    probabilities(len(DIFFICULTIES)),
    st.sampled_from(["classifier", "client"]),
)
requests = st.builds(
    Request,
    context_tokens=st.sampled_from([0, 500, 60_000, 2_000_000, 10**12]),
    modalities=st.sampled_from([frozenset(), frozenset({"text"}), frozenset({"text", "image"})]),
    needs_tools=st.booleans(),
    in_tool_loop=st.booleans(),
    verifiable=st.booleans(),
)
any_length = st.lists(st.floats(0, 1), max_size=20).map(tuple)
sessions = st.builds(
    Session,
    model=names | st.just(""),
    routes=st.just(()) | probabilities(len(ROUTES)) | any_length,
    difficulties=st.just(()) | probabilities(len(DIFFICULTIES)) | any_length,
    turns=st.integers(0, 10**9),
    last_at_ms=st.integers(-(10**15), 10**15),
)


def drawn_names(table: Table) -> set[str]:
    """The models of a table."""
    return {model.model_id for model in table.models}


def as_bytes(outcome: Choice | Refusal) -> bytes:
    """Everything that a decision says."""
    told = {name: value for name, value in vars(outcome).items() if name != "explain"}
    if isinstance(outcome, Choice):
        told |= {"candidates": outcome.candidates, "classification": repr(outcome.classification)}
    return msgspec.json.encode(told, order="deterministic")


# Promises


@given(requests, st.none() | readings, all_rules, st.none() | drawn_tables(), st.none() | sessions)
@many
def test_no_input_makes_it_raise_and_the_same_input_gives_the_same_bytes(
    request_: Request,
    reading: Classification | None,
    rules: Rules,
    drawn: Drawn | None,
    session: Session | None,
) -> None:
    made = [
        decide(request_, reading, rules, drawn.table if drawn else None, session, NOW)
        for _ in range(2)
    ]
    assert as_bytes(made[0]) == as_bytes(made[1])
    if isinstance(made[0], Choice):
        assert made[0].reason_code in REASONS
        assert rules.permits(made[0].model)
        assert b"NaN" not in as_bytes(made[0])


@given(requests, st.none() | readings, all_rules, drawn_tables(1), st.none() | sessions)
@many
def test_every_candidate_is_explained_exactly_once(
    request_: Request,
    reading: Classification | None,
    rules: Rules,
    drawn: Drawn,
    session: Session | None,
) -> None:
    choice = decide(request_, reading, rules, drawn.table, session, NOW)
    assume(isinstance(choice, Choice))
    assert isinstance(choice, Choice)
    assert sorted(one.model for one in choice.candidates) == sorted(drawn.cells)
    assert {one.verdict for one in choice.candidates} <= VERDICTS.keys()
    chosen = [one.model for one in choice.candidates if one.verdict == "chosen"]
    assert chosen == ([choice.model] if choice.model in drawn.cells else [])
    if choice.ladder:
        rungs = [rung.model for rung in choice.ladder.rungs]
        explained = {one.model: one.verdict for one in choice.candidates}
        assert rungs[0] == choice.model
        assert len(set(rungs)) == len(rungs) <= 3
        assert all(explained[name] == "next_rung" for name in rungs[1:])


@given(requests, st.none() | readings, all_rules, st.none() | drawn_tables())
@many
def test_a_fallback_is_allowed_and_no_worse_than_balanced_promises(
    request_: Request, reading: Classification | None, rules: Rules, drawn: Drawn | None
) -> None:
    table = drawn.table if drawn else None
    choice = decide(request_, reading, rules, table, None, NOW)
    assume(isinstance(choice, Choice) and choice.reason_code in FALLBACKS)
    assert isinstance(choice, Choice)
    assert rules.permits(choice.model)
    if table is None:
        return
    able = {one.model: one for one in choice.candidates if one.clears is not None}
    usable = [
        model
        for model in rules.balanced_models
        if (model in able if model in drawn_names(table) else rules.permits(model))
    ]
    if usable:
        assert choice.model == usable[0]
        return
    # No Balanced model can be used, and of those that can nobody is better than who is taken.
    assert choice.chosen is not None
    assert choice.chosen.accuracy == max(one.accuracy for one in able.values())


@given(requests, readings, all_rules, drawn_tables(1), st.none() | sessions, st.data())
@many
def test_a_dominated_candidate_never_changes_the_choice(
    request_: Request,
    reading: Classification,
    rules: Rules,
    drawn: Drawn,
    session: Session | None,
    data: st.DataObject,
) -> None:
    # No more accurate, no better proven and dearer in every cell than a model with its abilities.
    better = data.draw(st.sampled_from(sorted(drawn.cells)))
    worse = "q/worse"
    sd = drawn.cells[better]["own_sd"]
    added = {
        "accuracy": drawn.cells[better]["accuracy"] * data.draw(st.sampled_from([1.0, 0.99, 0.5])),
        "cost": drawn.cells[better]["cost"] * data.draw(st.sampled_from([1.0, 1.2])) + 1.0,
        "own_sd": sd + data.draw(st.sampled_from([0, 0.05])) if rules.evidence > 0.5 else sd * 1.0,
    }
    if rules.allowed:
        rules = replace(
            rules, allowed=rules.allowed | ({worse} & {worse if better in rules.allowed else ""})
        )
    if is_named(rules.denied, better):
        rules = replace(rules, denied=rules.denied | {worse})
    before = decide(request_, reading, rules, drawn.table, session, NOW)
    cells, details = dict(drawn.cells), dict(drawn.details)
    details[worse] = details[better]
    items = list(cells.items())
    items.insert(data.draw(st.integers(0, len(items))), (worse, added))
    after = decide(
        request_, reading, rules, as_table(dict(items), details, drawn.standing), session, NOW
    )
    if isinstance(before, Refusal):
        assert after == before
        return
    assert isinstance(after, Choice)
    assert (after.model, after.reason_code) == (before.model, before.reason_code)
    assert after.ladder == before.ladder


@given(requests, readings, all_rules, drawn_tables(1), st.none() | sessions, st.data())
@many
def test_a_price_cut_never_makes_its_model_lose(
    request_: Request,
    reading: Classification,
    rules: Rules,
    drawn: Drawn,
    session: Session | None,
    data: st.DataObject,
) -> None:
    table = drawn.table
    before = decide(request_, reading, rules, table, session, NOW)
    assume(isinstance(before, Choice) and before.model in drawn.cells)
    assert isinstance(before, Choice)
    factor = data.draw(st.sampled_from([0.0, 0.1, 0.7, 0.999]))
    cells, details = dict(drawn.cells), dict(drawn.details)
    won = before.model
    cells[won] = {**cells[won], "cost": cells[won]["cost"] * factor}
    model = next(one for one in table.models if one.model_id == won)
    details[won] = {
        **details[won],
        **{
            name: None if price is None else int(price * factor)
            for name in ("input_micro_usd", "cache_read_micro_usd", "cache_write_micro_usd")
            for price in [getattr(model, name)]
        },
    }
    after = decide(request_, reading, rules, as_table(cells, details, drawn.standing), session, NOW)
    assert isinstance(after, Choice)
    assert after.model == won


@given(requests, readings, all_rules, drawn_tables(1), shares, shares)
@many
def test_a_higher_bar_never_lowers_the_expected_accuracy(
    request_: Request,
    reading: Classification,
    rules: Rules,
    drawn: Drawn,
    one: float,
    other: float,
) -> None:
    # The estimate decides. Where more proof is asked for, a well proven model may take the place of
    # one with a higher estimate; the next test is about that.
    low, high = sorted((one, other))
    rules, table = replace(rules, evidence=0.5), drawn.table
    below = decide(request_, reading, replace(rules, quality_bar=low), table, None, NOW)
    above = decide(request_, reading, replace(rules, quality_bar=high), table, None, NOW)
    assume(isinstance(below, Choice) and below.model in drawn.cells)
    assert isinstance(below, Choice)
    assert isinstance(above, Choice)
    if below.ladder and above.ladder:
        assert above.ladder.success >= below.ladder.success
        return
    assert above.chosen is not None
    assert below.chosen is not None
    assert above.chosen.accuracy >= below.chosen.accuracy


@given(readings, all_rules, drawn_tables(1), shares, shares)
@many
def test_a_higher_bar_never_lowers_what_the_chosen_model_is_proven_to_reach(
    reading: Classification, rules: Rules, drawn: Drawn, one: float, other: float
) -> None:
    low, high = sorted((one, other))
    request_ = Request(0, frozenset(), needs_tools=False, in_tool_loop=False)
    rules = replace(rules, mode="auto_efficient", confidence_threshold=0.0)
    rules = replace(rules, accuracy_floor=0.0, overrides=())
    table = replace(drawn.table, standing=())
    chosen = []
    strict = replace(rules, quality_bar=high)
    for bar in (low, high):
        choice = decide(request_, reading, replace(rules, quality_bar=bar), table, None, NOW)
        assume(isinstance(choice, Choice) and choice.model in drawn.cells)
        assert isinstance(choice, Choice)
        chosen.append(choice.model)
    field = field_of(table, strict)
    figures = weigh(field, request_, reading, strict)
    proven = dict(zip(field.ids, figures.probabilities(), strict=True))
    assert proven[chosen[1]] >= min(proven[chosen[0]], rules.evidence) - 1e-9


@given(requests, readings, all_rules, drawn_tables(1))
@many
def test_where_no_price_is_named_the_bar_is_strict(
    request_: Request, reading: Classification, rules: Rules, drawn: Drawn
) -> None:
    """What is taken clears the bar, or the kind of work stands by it within the tolerance."""
    ask = replace(request_, verifiable=False)
    rules = replace(rules, mode="auto_efficient", success_price_micro_usd=None, overrides=())
    choice = decide(ask, reading, rules, drawn.table, None, NOW)
    assume(isinstance(choice, Choice) and choice.reason_code not in FALLBACKS | {"below_floor"})
    assert isinstance(choice, Choice)
    field = field_of(drawn.table, rules)
    figures = weigh(field, ask, reading, rules)
    taken = field.index[choice.model]
    if choice.reason_code == "cheapest_clearing":
        assert taken in figures.clearing
    else:
        assert choice.reason_code == "standing_choice"
        fresh = figures.accuracy[by_mode(figures, rules)[0]]
        least = (rules.quality_bar - standing.TOLERANCE) * figures.accuracy[figures.best]
        assert figures.accuracy[taken] >= min(least, fresh)


@given(readings, all_rules, drawn_tables(1))
@many
def test_a_model_below_the_bar_is_taken_only_where_clearing_costs_more_than_the_price(
    reading: Classification, rules: Rules, drawn: Drawn
) -> None:
    request_ = Request(0, frozenset(), needs_tools=False, in_tool_loop=False)
    rules = replace(rules, mode="auto_efficient", confidence_threshold=0.0, overrides=())
    choice = decide(request_, reading, rules, drawn.table, None, NOW)
    if isinstance(choice, Choice) and choice.reason_code == "bar_too_dear":
        assert rules.evidence == 0.5
        assert rules.success_price_micro_usd is not None
        field = field_of(drawn.table, rules)
        figures = weigh(field, request_, reading, rules)
        price = price_of_clearing(figures, rules, field.index[choice.model])
        assert price > rules.success_price_micro_usd
        told = choice.reason_text.split("would cost ")[1]
        assert told.startswith(f"{format_usd(price)} per extra solved task")


@given(requests, readings, all_rules, drawn_tables(1))
@many
def test_a_ladder_succeeds_as_often_as_the_best_model_and_costs_no_more(
    request_: Request, reading: Classification, rules: Rules, drawn: Drawn
) -> None:
    verifiable = replace(request_, verifiable=True)
    rules = replace(rules, mode="auto_efficient", confidence_threshold=0.0)
    rules = replace(rules, accuracy_floor=0.0, overrides=())
    choice = decide(verifiable, reading, rules, drawn.table, None, NOW)
    assume(isinstance(choice, Choice) and choice.best_model is not None)
    assert isinstance(choice, Choice)
    assert choice.ladder is not None
    assert choice.best_accuracy is not None
    assert choice.ladder.success >= choice.best_accuracy - 1e-4
    costs = {one.model: one.cost_micro_usd for one in choice.candidates}
    assert choice.ladder.cost_micro_usd <= costs[choice.best_model or ""] + 1
    assert choice.estimate is not None
    assert 0 <= choice.estimate.low <= choice.estimate.accuracy <= choice.estimate.high <= 1
    assert choice.estimate.accuracy == choice.ladder.success
    assert choice.estimate.cost_micro_usd == choice.ladder.cost_micro_usd
    assert all(rules.permits(rung.model) for rung in choice.ladder.rungs)
    assert all(0 <= rung.success <= 1 for rung in choice.ladder.rungs)


@given(requests, readings, all_rules, drawn_tables(1), shares, shares)
@many
def test_a_higher_floor_never_lowers_the_expected_accuracy(
    request_: Request,
    reading: Classification,
    rules: Rules,
    drawn: Drawn,
    one: float,
    other: float,
) -> None:
    low, high = sorted((one, other))
    ask = replace(request_, verifiable=False)
    below = decide(ask, reading, replace(rules, accuracy_floor=low), drawn.table, None, NOW)
    above = decide(ask, reading, replace(rules, accuracy_floor=high), drawn.table, None, NOW)
    assume(isinstance(below, Choice) and below.chosen)
    assert isinstance(below, Choice)
    assert isinstance(above, Choice)
    assert below.chosen is not None
    assert above.chosen is not None
    assert above.chosen.accuracy >= below.chosen.accuracy


@given(requests, st.none() | readings, all_rules, drawn_tables(1), st.none() | sessions)
@many
def test_no_measured_model_above_the_price_ceiling_is_chosen(
    request_: Request,
    reading: Classification | None,
    rules: Rules,
    drawn: Drawn,
    session: Session | None,
) -> None:
    rules = replace(rules, price_ceiling_micro_usd=1_200)
    choice = decide(request_, reading, rules, drawn.table, session, NOW)
    assume(isinstance(choice, Choice) and choice.chosen)
    assert isinstance(choice, Choice)
    assert choice.chosen is not None
    assert choice.chosen.cost_micro_usd <= 1_200
    explained = {one.model: one for one in choice.candidates}
    assert all(one.verdict in BARRED for one in explained.values() if one.cost_micro_usd > 1_200)
    assert all(explained[m].cost_micro_usd <= 1_200 for m in choice.fallback_models)


@given(requests, readings, all_rules, drawn_tables(1), st.none() | sessions, names)
@many
def test_a_pin_is_honoured_wherever_its_model_can_be_used(
    request_: Request,
    reading: Classification,
    rules: Rules,
    drawn: Drawn,
    session: Session | None,
    pinned: str,
) -> None:
    rules = replace(rules, overrides=tuple((route, pinned) for route in ROUTES))
    request_ = replace(request_, in_tool_loop=False)
    choice = decide(request_, reading, rules, drawn.table, session, NOW)
    assume(isinstance(choice, Choice) and choice.classification)
    assert isinstance(choice, Choice)
    assert choice.classification is not None
    verdicts = {one.model: one.verdict for one in choice.candidates}
    can = rules.permits(pinned) and verdicts.get(pinned) not in BARRED
    if choice.classification.confidence >= rules.confidence_threshold:
        assert (choice.reason_code == "route_pinned") == can
        assert choice.model == pinned if can else choice.model != pinned
    else:
        assert choice.reason_code != "route_pinned"


@pytest.mark.parametrize("count", [0, 1, 300])
def test_any_number_of_models(count: int) -> None:
    generator = np.random.default_rng(count)
    cells = {
        f"p/m{number}": {
            "accuracy": generator.uniform(0, 1, SHAPE),
            "cost": generator.lognormal(12, 2, SHAPE),
            "own_sd": np.full(SHAPE, 0.05),
        }
        for number in range(count)
    }
    rules = Rules(
        "pol_x", "auto_efficient", 0.95, 0.5, 0.5, frozenset(), frozenset(), ("p/m0",), "p/m1"
    )
    reading = Classification((1 / 18,) * 18, (1 / 3,) * 3, "client")
    for verifiable in (False, True):
        request_ = Request(0, frozenset({"text"}), True, False, verifiable)
        unsure = replace(rules, confidence_threshold=0.0)
        choice = decide(request_, reading, unsure, as_table(cells, {}), None, NOW)
        assert isinstance(choice, Choice)
        assert len(choice.candidates) == count
