"""The decision rules, by example and by property."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leaderboard.table import Table
from leaderboard.tests.tables import make_table
from lib.taxonomy import DIFFICULTIES, ROUTES
from routing.engine.classification import Classification
from routing.engine.decide import decide
from routing.engine.explain import FALLBACKS, REASONS, VERDICTS
from routing.engine.inputs import MODES, Request, Rules, Session
from routing.engine.outcome import Choice, Refusal
from routing.engine.staying import CACHE_LIFETIME_MS

NOW = 1_800_000_000_000
ASK = Request(4_000, frozenset({"text"}), needs_tools=True, in_tool_loop=False)
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
    "open/weak": (0.30, 10_000.0),
    "open/cheap": (0.78, 50_000.0),
    "open/balanced": (0.79, 400_000.0),
    "open/strong": (0.80, 900_000.0),
}
TABLE = make_table(FLEET)


def certain(route: str, difficulty: str = "medium", share: float = 1.0) -> Classification:
    """A reading that puts `share` on one route and spreads the rest."""
    rest = (1 - share) / (len(ROUTES) - 1)
    return Classification(
        tuple(share if name == route else rest for name in ROUTES),
        tuple(1.0 if name == difficulty else 0.0 for name in DIFFICULTIES),
    )


FIX = certain("debugging/bug_fixing")
UNCLEAR = Classification((1 / 18,) * 18, (1 / 3,) * 3)


def choose(
    request: Request = ASK,
    reading: Classification | None = FIX,
    rules: Rules = RULES,
    table: Table | None = TABLE,
    session: Session | None = None,
    now_ms: int = NOW,
) -> Choice:
    """Decide, expecting a choice."""
    choice = decide(request, reading, rules, table, session, now_ms)
    assert isinstance(choice, Choice)
    return choice


def verdicts(choice: Choice) -> dict[str, str]:
    """The verdict on each candidate."""
    return {candidate.model: candidate.verdict for candidate in choice.candidates}


def working_on(model: str, reading: Classification = FIX, idle_ms: int = 10_000) -> Session:
    """A session that has been on a model for a while."""
    return Session(model, reading.routes, reading.difficulties, 5, NOW - idle_ms)


def test_takes_the_cheapest_that_clears_the_bar() -> None:
    choice = choose()
    assert (choice.model, choice.reason_code) == ("open/cheap", "cheapest_clearing")
    assert verdicts(choice) == {
        "open/cheap": "chosen",
        "open/weak": "below_bar",
        "open/balanced": "dearer",
        "open/strong": "dearer",
    }
    assert choice.baseline_cost_micro_usd == 900_000
    assert "open/cheap is the cheapest model" in choice.reason_text


def test_a_higher_bar_asks_for_a_better_model() -> None:
    table = make_table({name: (share, cost / 10) for name, (share, cost) in FLEET.items()})
    for bar, model in ((0.98, "open/balanced"), (1.0, "open/strong")):
        assert choose(rules=replace(RULES, quality_bar=bar), table=table).model == model


def test_the_bar_is_not_cleared_at_any_price() -> None:
    # 0.80 clears the bar of 0.95 x 0.85 = 0.8075 not quite. One more success would cost $100.
    models = {"open/dear": (0.85, 5_100_000.0), "open/near": (0.80, 100_000.0)}
    choice = choose(table=make_table(models))
    assert (choice.model, choice.reason_code) == ("open/near", "bar_too_dear")
    assert verdicts(choice)["open/dear"] == "dearer"
    # $5 more for 0.0075 successes up to the bar.
    assert "cost $666.67 per extra solved task; the policy pays up to $50.00." in choice.reason_text
    generous = replace(RULES, success_price_micro_usd=700_000_000)
    unlimited = replace(RULES, success_price_micro_usd=None)
    for rules in (generous, unlimited):
        choice = choose(table=make_table(models), rules=rules)
        assert (choice.model, choice.reason_code) == ("open/dear", "cheapest_clearing")
    # A tenth of that is worth it, being far below the bar is never made up for, and a policy that
    # asks for proof gets it.
    fair = make_table({**models, "open/dear": (0.85, 400_000.0)})
    far = make_table({**models, "open/near": (0.70, 100_000.0)})
    strict = replace(RULES, evidence=0.6)
    assert choose(table=fair).model == "open/dear"
    assert choose(table=far).model == "open/dear"
    assert choose(table=make_table(models, half_width=0.001), rules=strict).model == "open/dear"


def test_asking_for_more_evidence_raises_the_bar() -> None:
    assert choose(rules=replace(RULES, evidence=0.99)).model == "open/strong"


def test_best_accuracy_takes_the_cheaper_of_two_that_cannot_be_told_apart() -> None:
    choice = choose(rules=replace(RULES, mode="best_accuracy"))
    assert (choice.model, choice.reason_code) == ("open/cheap", "most_accurate")
    sharp = make_table(FLEET, half_width=0.001)
    assert choose(rules=replace(RULES, mode="best_accuracy"), table=sharp).model == "open/strong"


def test_accuracy_per_dollar_looks_only_at_models_that_clear_the_bar() -> None:
    # The weak model gives most accuracy per dollar of all, but is nowhere near the bar.
    choice = choose(rules=replace(RULES, mode="accuracy_per_dollar"))
    assert (choice.model, choice.reason_code) == ("open/cheap", "best_value")
    pricey = make_table({"open/a": (0.96, 100_000.0), "open/b": (1.0, 102_000.0)})
    assert choose(rules=replace(RULES, mode="accuracy_per_dollar"), table=pricey).model == "open/b"
    assert choose(table=pricey).model == "open/a"


def test_difficulty_and_route_decide_together() -> None:
    table = make_table(
        {"open/small": (0.9, 10_000.0), "open/large": (0.92, 500_000.0)},
        cells={("open/small", route, "high"): (0.2, 20_000.0) for route in ROUTES},
    )
    assert choose(reading=certain("refactoring/code_cleanup", "low"), table=table).model == (
        "open/small"
    )
    assert choose(reading=certain("planning_design/system_design", "high"), table=table).model == (
        "open/large"
    )


def test_an_unclear_request_goes_to_balanced() -> None:
    choice = choose(reading=UNCLEAR)
    assert (choice.model, choice.reason_code) == ("open/balanced", "low_confidence")
    assert verdicts(choice)["open/cheap"] == "set_aside"


def test_a_failed_classifier_goes_to_balanced() -> None:
    choice = choose(reading=None)
    assert (choice.model, choice.reason_code) == ("open/balanced", "classifier_failed")


def test_without_a_table_everything_goes_to_balanced() -> None:
    choice = choose(table=None)
    assert (choice.model, choice.reason_code) == ("open/balanced", "no_table")


def test_when_no_measured_model_may_be_used_balanced_takes_it() -> None:
    rules = replace(RULES, allowed=frozenset({"house/own"}), balanced_models=("house/own",))
    choice = choose(rules=rules)
    assert (choice.model, choice.reason_code) == ("house/own", "nothing_clears")


def test_a_fallback_stays_inside_the_allowed_models() -> None:
    rules = replace(RULES, allowed=frozenset({"open/weak", "open/strong"}))
    assert choose(reading=UNCLEAR, rules=rules).model == "open/strong"
    assert choose(table=None, rules=rules).model == "open/strong"


@pytest.mark.parametrize(
    ("request_", "details", "param"),
    [
        (replace(ASK, context_tokens=500_000), {}, "context_tokens"),
        (
            replace(ASK, modalities=frozenset({"text", "video"})),
            {},
            "required_modalities",
        ),
        (ASK, {name: {"supports_tools": False} for name in FLEET}, "tools"),
    ],
)
def test_when_nothing_is_left_the_constraint_is_named(
    request_: Request, details: dict[str, dict[str, object]], param: str
) -> None:
    refusal = decide(request_, FIX, RULES, make_table(FLEET, details=details), None, NOW)
    assert isinstance(refusal, Refusal)
    assert refusal.param == param
    assert refusal.message


def test_unavailable_models_are_listed_but_not_taken() -> None:
    table = make_table(FLEET, details={"open/cheap": {"available": False}})
    choice = choose(table=table)
    assert choice.model == "open/balanced"
    assert verdicts(choice)["open/cheap"] == "unavailable"


# What a route stands by


def standing_by(model: str, table: Table = TABLE) -> Table:
    """The table while every route stands by a model."""
    return replace(table, standing=(model,) * len(ROUTES))


def test_a_route_stays_with_its_model_unless_another_saves_much() -> None:
    close = make_table({"open/new": (0.80, 90_000.0), "open/usual": (0.78, 100_000.0)})
    choice = choose(table=standing_by("open/usual", close))
    assert (choice.model, choice.reason_code) == ("open/usual", "standing_choice")
    assert verdicts(choice)["open/new"] == "not_worth_moving"
    cheaper = make_table({"open/new": (0.80, 70_000.0), "open/usual": (0.78, 100_000.0)})
    assert choose(table=standing_by("open/usual", cheaper)).model == "open/new"


def test_a_route_leaves_its_model_when_it_falls_well_short() -> None:
    for accuracy, model in ((0.74, "open/usual"), (0.70, "open/best")):
        table = make_table({"open/best": (0.80, 100_000.0), "open/usual": (accuracy, 90_000.0)})
        assert choose(table=standing_by("open/usual", table)).model == model


@pytest.mark.parametrize(
    "changes",
    [{"evidence": 0.6}, {"mode": "best_accuracy"}, {"denied": frozenset({"open/usual"})}],
)
def test_what_a_route_stands_by_gives_way_to_the_policy(changes: dict[str, object]) -> None:
    table = make_table(
        {"open/best": (0.80, 90_000.0), "open/usual": (0.75, 100_000.0)}, half_width=0.001
    )
    rules = replace(RULES, **changes)  # type: ignore[arg-type]
    assert choose(rules=rules, table=standing_by("open/usual", table)).model == "open/best"


# Ladders

LADDERS = make_table(
    {"open/tiny": (0.70, 10_000.0), "open/mid": (0.80, 100_000.0), "open/top": (0.82, 2_000_000.0)}
)
VERIFIABLE = replace(ASK, verifiable=True)


def test_when_a_failure_is_noticed_a_ladder_starts_cheaper() -> None:
    choice = choose(VERIFIABLE, table=LADDERS)
    assert (choice.model, choice.reason_code) == ("open/tiny", "cheapest_ladder")
    assert choose(table=LADDERS).model == "open/mid"
    assert choice.ladder is not None
    assert [rung.model for rung in choice.ladder.rungs] == ["open/tiny", "open/mid"]
    first, second = choice.ladder.rungs
    # What the first failed is harder than most, so the second does less well with it.
    assert first.success == pytest.approx(0.70, abs=1e-3)
    assert 0.4 < second.success < 0.8
    assert choice.ladder.success == pytest.approx(1 - 0.3 * (1 - second.success), abs=1e-3)
    assert choice.ladder.cost_micro_usd == pytest.approx(10_000 + 0.3 * 100_000, abs=2)
    assert verdicts(choice) == {
        "open/tiny": "chosen",
        "open/mid": "next_rung",
        "open/top": "dearer",
    }
    assert "then open/mid if that fails" in choice.reason_text
    # What the request is expected to achieve and cost is what the ladder does.
    assert choice.estimate is not None
    assert choice.chosen is not None
    assert choice.estimate.accuracy == choice.ladder.success > choice.chosen.accuracy
    assert choice.estimate.cost_micro_usd == choice.ladder.cost_micro_usd
    assert choice.estimate.low > choice.chosen.low


def test_a_failure_tells_of_the_harder_of_two_difficulties() -> None:
    # Everything is either easy for all or impossible for all: after a failure nothing helps.
    table = make_table(
        {"open/tiny": (0.98, 10_000.0), "open/top": (0.99, 900_000.0)},
        cells={
            (name, route, "high"): (0.001, cost)
            for name, cost in (("open/tiny", 10_000.0), ("open/top", 900_000.0))
            for route in ROUTES
        },
    )
    either = replace(FIX, difficulties=(0.5, 0.0, 0.5))
    choice = choose(VERIFIABLE, either, table=table)
    assert choice.ladder is not None
    assert choice.ladder.rungs[1].success < 0.05


@pytest.mark.parametrize("reading", [UNCLEAR, None])
def test_an_unclear_request_has_no_ladder(reading: Classification | None) -> None:
    choice = choose(VERIFIABLE, reading, table=LADDERS, rules=RULES)
    assert choice.ladder is None
    assert choice.reason_code in FALLBACKS


def test_a_policy_that_asks_for_proof_gets_it_from_the_last_rung() -> None:
    choice = choose(VERIFIABLE, table=LADDERS, rules=replace(RULES, evidence=0.9))
    assert choice.ladder is not None
    assert choice.ladder.rungs[-1].model == "open/top"


def test_a_session_stays_on_its_rung_inside_a_tool_loop() -> None:
    request = replace(VERIFIABLE, in_tool_loop=True)
    choice = choose(request, table=LADDERS, session=working_on("open/mid"))
    assert (choice.model, choice.sticky) == ("open/mid", True)
    assert choice.ladder is not None
    assert choice.ladder.rungs[0].model == "open/mid"


def test_a_session_climbs_down_only_when_that_pays() -> None:
    short, long = (replace(VERIFIABLE, context_tokens=tokens) for tokens in (2_000, 180_000))
    assert choose(short, table=LADDERS, session=working_on("open/mid")).model == "open/tiny"
    assert choose(long, table=LADDERS, session=working_on("open/mid")).model == "open/mid"


# Sessions


def test_a_session_stays_when_switching_costs_more_than_it_saves() -> None:
    # Half of the 350,000 saved by the cheap model is less than reading 180,000 tokens anew.
    request = replace(ASK, context_tokens=180_000)
    choice = choose(request, session=working_on("open/balanced"))
    assert (choice.model, choice.reason_code) == ("open/balanced", "session_kept")
    assert choice.sticky
    assert not choice.switched
    assert verdicts(choice)["open/cheap"] == "not_worth_switching"


def test_a_session_moves_when_the_saving_is_larger_than_the_lost_cache() -> None:
    choice = choose(replace(ASK, context_tokens=20_000), session=working_on("open/balanced"))
    assert (choice.model, choice.switched) == ("open/cheap", True)
    assert "save" in (choice.switch_reason or "")


def test_an_idle_session_has_no_cache_to_lose() -> None:
    request = replace(ASK, context_tokens=180_000)
    idle = working_on("open/balanced", idle_ms=CACHE_LIFETIME_MS + 1)
    assert choose(request, session=idle).model == "open/cheap"


def test_a_session_leaves_a_model_that_is_not_good_enough() -> None:
    choice = choose(replace(ASK, context_tokens=150_000), session=working_on("open/weak"))
    assert (choice.model, choice.switched) == ("open/cheap", True)
    assert "quality bar" in (choice.switch_reason or "")


def test_nothing_switches_inside_a_tool_loop() -> None:
    request = replace(ASK, in_tool_loop=True)
    choice = choose(request, session=working_on("open/weak"))
    assert (choice.model, choice.sticky) == ("open/weak", True)


def test_a_failed_classifier_keeps_the_session_where_it_is() -> None:
    fresh = Session("open/cheap", (), (), 1, NOW)
    choice = choose(reading=None, session=fresh)
    assert (choice.model, choice.reason_code) == ("open/cheap", "session_kept")


def test_a_session_leaves_a_model_that_the_policy_denies() -> None:
    rules = replace(RULES, denied=frozenset({"open/cheap"}))
    choice = choose(rules=rules, session=working_on("open/cheap"))
    assert (choice.model, choice.switched) == ("open/balanced", True)
    assert "denies" in (choice.switch_reason or "")


def test_a_session_that_changes_its_model_always_says_so_and_why() -> None:
    unmeasured = replace(RULES, balanced_models=("new/two",))
    for table in (TABLE, None):
        moved = choose(
            reading=UNCLEAR, rules=unmeasured, table=table, session=working_on("new/one", UNCLEAR)
        )
        assert (moved.model, moved.switched) == ("new/two", True)
        assert moved.switch_reason


def test_one_flipped_label_does_not_move_a_session_but_two_do() -> None:
    table = make_table(
        {"open/fixer": (0.9, 10_000.0), "open/planner": (0.9, 20_000.0)},
        cells={
            ("open/fixer", route, difficulty): (0.3, 10_000.0)
            for route in ROUTES
            if route.startswith("planning_design")
            for difficulty in DIFFICULTIES
        },
    )
    rules = replace(RULES, quality_bar=0.8)
    plan = certain("planning_design/system_design")
    first = choose(reading=plan, rules=rules, table=table, session=working_on("open/fixer"))
    assert first.model == "open/fixer"
    second = choose(reading=plan, rules=rules, table=table, session=first.session)
    assert second.model == "open/planner"


# Properties

ids = st.lists(
    st.sampled_from([f"p/m{number}" for number in range(12)]), min_size=1, max_size=8, unique=True
)
accuracies = st.floats(0.02, 0.98)
costs = st.floats(1_000, 10_000_000).map(round).map(float)


@st.composite
def tables(draw: st.DrawFn) -> Table:
    """A table of up to eight models, some unable or unavailable."""
    names = draw(ids)
    models = {name: (draw(accuracies), draw(costs)) for name in names}
    details = {
        name: {
            "available": draw(st.booleans()),
            "context_tokens": draw(st.sampled_from([None, 1_000, 1_000_000])),
            "supports_tools": draw(st.booleans()),
        }
        for name in names
    }
    return make_table(models, details=details, half_width=draw(st.floats(0.001, 0.2)))


names = st.sampled_from([f"p/m{number}" for number in range(12)])
sets_of_names = st.frozensets(names, max_size=4)
rules_strategy = st.builds(
    Rules,
    version=st.just("pol_x"),
    mode=st.sampled_from(MODES),
    quality_bar=st.floats(0, 1),
    evidence=st.floats(0, 1),
    confidence_threshold=st.floats(0, 1),
    allowed=sets_of_names,
    denied=sets_of_names,
    balanced_models=st.lists(names, min_size=1, max_size=3).map(tuple),
    baseline_model=names,
)


def normalised(weights: list[float]) -> tuple[float, ...]:
    """Weights as probabilities."""
    total = sum(weights)
    return tuple(weight / total for weight in weights)


def shares(count: int) -> st.SearchStrategy[tuple[float, ...]]:
    """Any probabilities over `count` names."""
    return st.lists(st.floats(0.001, 1), min_size=count, max_size=count).map(normalised)


readings = st.builds(Classification, shares(18), shares(3))
requests = st.builds(
    Request,
    st.integers(0, 2_000_000),
    st.just(frozenset({"text"})),
    st.booleans(),
    st.booleans(),
)
sessions = st.builds(
    Session,
    names,
    shares(18),
    shares(3),
    st.integers(1, 100),
    st.integers(NOW - 10_000_000, NOW),
)


@given(
    requests,
    st.none() | readings,
    rules_strategy,
    st.none() | tables(),
    st.none() | sessions,
)
@settings(max_examples=150, deadline=None)
def test_every_input_gets_an_answer_that_keeps_the_promises(
    request_: Request,
    reading: Classification | None,
    rules: Rules,
    table: Table | None,
    session: Session | None,
) -> None:
    outcome = decide(request_, reading, rules, table, session, NOW)
    assert outcome == decide(request_, reading, rules, table, session, NOW)
    if isinstance(outcome, Refusal):
        assert outcome.param
        assert outcome.message
        return
    assert rules.permits(outcome.model)
    assert outcome.reason_code in REASONS
    assert outcome.reason_text
    assert outcome.model not in outcome.fallback_models
    assert all(rules.permits(model) for model in outcome.fallback_models)
    if table is None:
        assert outcome.reason_code == "no_table"
        return
    explained = [candidate.model for candidate in outcome.candidates]
    assert sorted(explained) == sorted(model.model_id for model in table.models)
    assert all(candidate.verdict in VERDICTS for candidate in outcome.candidates)
    chosen = [c for c in outcome.candidates if c.verdict == "chosen"]
    assert [c.model for c in chosen] == ([outcome.model] if outcome.model in explained else [])
    if outcome.reason_code in FALLBACKS and outcome.model not in rules.balanced_models:
        # Balanced could not be used, so nothing less than the best that could is taken.
        assert chosen[0].accuracy == max(
            c.accuracy for c in outcome.candidates if c.clears is not None
        )
    if outcome.reason_code in {"cheapest_clearing", "best_value"}:
        assert (chosen[0].clears or 0.0) >= rules.evidence


@given(readings, tables(), st.floats(0, 1), st.floats(0, 1))
@settings(max_examples=60, deadline=None)
def test_a_higher_bar_never_lowers_the_expected_accuracy(
    reading: Classification, table: Table, one: float, other: float
) -> None:
    low, high = sorted((one, other))
    rules = replace(RULES, confidence_threshold=0.0, balanced_models=("p/m0",))
    ask = Request(100, frozenset({"text"}), needs_tools=False, in_tool_loop=False)
    below = decide(ask, reading, replace(rules, quality_bar=low), table, None, NOW)
    above = decide(ask, reading, replace(rules, quality_bar=high), table, None, NOW)
    if (
        isinstance(below, Choice)
        and isinstance(above, Choice)
        and below.chosen is not None
        and above.chosen is not None
    ):
        assert above.chosen.accuracy >= below.chosen.accuracy - 1e-9


@given(
    st.dictionaries(names, st.tuples(accuracies, costs), min_size=1, max_size=6),
    st.floats(0.1, 1.0),
    readings,
)
@settings(max_examples=60, deadline=None)
def test_a_price_cut_never_makes_its_model_lose(
    models: dict[str, tuple[float, float]], factor: float, reading: Classification
) -> None:
    rules = replace(RULES, confidence_threshold=0.0, balanced_models=("p/m0",))
    ask = Request(100, frozenset({"text"}), needs_tools=False, in_tool_loop=False)
    before = choose(ask, reading, rules, make_table(models))
    accuracy, cost = models[before.model]
    cheaper = {**models, before.model: (accuracy, cost * factor)}
    assert choose(ask, reading, rules, make_table(cheaper)).model == before.model
