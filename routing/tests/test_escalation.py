"""What failed on a task, and what is failing everywhere, is gone past."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leaderboard.table import Table
from leaderboard.tests.tables import make_table
from lib.taxonomy import DIFFICULTIES, ROUTES, TASK_TYPES
from routing.engine.classification import Classification
from routing.engine.decide import decide
from routing.engine.escalation import Failure, Reports, given_failures
from routing.engine.field import field_of
from routing.engine.figures import weigh
from routing.engine.inputs import Request, Rules, Session
from routing.engine.outcome import Choice
from routing.session_failures import MAX_FAILURES, decode, with_outcomes

NOW = 1_800_000_000_000
FLEET = {"a/small": (0.5, 1e4), "b/middle": (0.7, 1e5), "c/large": (0.75, 1e6), "d/odd": (0.3, 5e3)}
ASK = Request(
    context_tokens=2000, modalities=frozenset({"text"}), needs_tools=True, in_tool_loop=False
)
EVEN = (1 / 3, 1 / 3, 1 / 3)
MODES = ("auto_efficient", "accuracy_per_dollar", "best_accuracy")


def rules(**changes: Any) -> Rules:
    """A policy whose bar even a weak model clears."""
    settings: dict[str, Any] = {
        "version": "pol_test",
        "mode": "auto_efficient",
        "quality_bar": 0.6,
        "evidence": 0.5,
        "confidence_threshold": 0.5,
        "allowed": frozenset(),
        "denied": frozenset(),
        "balanced_models": ("b/middle",),
        "baseline_model": "c/large",
    }
    return Rules(**(settings | changes))


def about(route: int = 0) -> Classification:
    """A request that is certainly of one route."""
    return Classification(tuple(float(place == route) for place in range(len(ROUTES))), EVEN)


def session_on(model: str) -> Session:
    """A session about the first route that works with a model."""
    return Session(model, about().routes, EVEN, turns=2, last_at_ms=NOW - 1000)


def failed(*models: str, task_type: str = TASK_TYPES[0]) -> Reports:
    """Failures on the first route's task type."""
    return Reports(failures=tuple(Failure(model, task_type, NOW - 1000) for model in models))


def chosen(reports: Reports, table: Table | None = None, **more: Any) -> Choice:
    """Decide with these reports."""
    choice = decide(
        more.get("request", ASK),
        about(more.get("route", 0)),
        more.get("rules", rules()),
        table or make_table(FLEET),
        more.get("session"),
        NOW,
        reports,
    )
    assert isinstance(choice, Choice)
    return choice


def test_the_one_with_the_most_successes_per_dollar_takes_over() -> None:
    choice = chosen(failed("a/small"), session=session_on("a/small"))
    assert (choice.model, choice.reason_code, choice.switched) == ("b/middle", "escalated", True)
    # Nearly as dear as the large one, the middle one no longer gives the most for the money.
    dear = make_table({**FLEET, "b/middle": (0.55, 9.9e5)})
    assert chosen(failed("a/small"), dear).model == "c/large"


def test_a_failure_makes_success_less_likely_than_the_table_says() -> None:
    text = chosen(failed("a/small")).reason_text
    share = float(text.split("succeed ")[1].split("%")[0]) / 100
    assert 0.3 < share < 0.7


def test_a_task_that_one_model_failed_is_likelier_to_be_a_hard_one() -> None:
    """B is better on the easy tasks and C on the hard ones; after a failure C is worth more."""
    cells: dict[tuple[str, str, str], tuple[float, float]] = {}
    for route in ROUTES:
        for difficulty, (small, b, c) in zip(
            DIFFICULTIES, ((0.99, 0.99, 0.7), (0.6, 0.7, 0.7), (0.01, 0.05, 0.7)), strict=True
        ):
            cells |= {
                ("a/small", route, difficulty): (small, 1e4),
                ("b/easy", route, difficulty): (b, 1e5),
                ("c/hard", route, difficulty): (c, 1.3e5),
            }
    table = make_table(dict.fromkeys(("a/small", "b/easy", "c/hard"), (0.5, 1.0)), cells=cells)
    assert chosen(failed("a/small"), table).model == "c/hard"


VERIFIABLE = replace(ASK, verifiable=True)
# After the small one the middle one has the most successes per dollar, but is no rung.
RUNGS = {
    "a/small": (0.5, 1e4),
    "b/middle": (0.55, 3e4),
    "c/large": (0.9, 1e5),
    "d/largest": (0.95, 1e6),
}


def test_the_rung_that_was_announced_takes_over() -> None:
    table = make_table(RUNGS)
    first = chosen(Reports(), table, request=VERIFIABLE)
    assert first.ladder is not None
    announced = [rung.model for rung in first.ladder.rungs]
    assert announced == ["a/small", "c/large", "d/largest"]
    more: dict[str, Any] = {"request": VERIFIABLE, "session": first.session}
    second = chosen(failed(*announced[:1]), table, **more)
    assert (second.model, second.reason_code) == (announced[1], "escalated")
    assert chosen(failed(*announced[:1]), table, session=first.session).model == "b/middle"
    third = chosen(failed(*announced[:2]), table, **(more | {"session": second.session}))
    assert third.model == announced[2]
    # One that cannot be used any more is not waited for.
    denied = rules(denied=frozenset({announced[1]}))
    assert chosen(failed(*announced[:1]), table, rules=denied, **more).model != announced[1]


def test_a_session_s_own_ladder_is_climbed_as_well() -> None:
    table = make_table({"a/small": (0.7, 1e4), "b/middle": (0.8, 1e5), "c/large": (0.82, 2e6)})
    held = replace(VERIFIABLE, in_tool_loop=True)
    first = chosen(Reports(), table, request=held, session=session_on("b/middle"))
    assert first.ladder is not None
    announced = [rung.model for rung in first.ladder.rungs]
    assert announced == ["b/middle", "a/small"]
    more: dict[str, Any] = {"request": held, "session": first.session}
    second = chosen(failed("b/middle"), table, **more)
    assert second.model == "a/small"
    stay = chosen(failed("b/middle"), table, **(more | {"session": second.session}))
    assert (stay.model, stay.sticky) == ("a/small", True)


def test_a_weaker_model_never_takes_over_while_a_stronger_one_is_left() -> None:
    assert chosen(failed("b/middle")).model == "c/large"
    assert chosen(failed("b/middle", "c/large")).model == "a/small"


def test_the_session_stays_above_until_the_task_is_another() -> None:
    stay = chosen(failed("a/small"), session=session_on("c/large"))
    assert (stay.model, stay.sticky, stay.reason_code) == ("c/large", True, "escalated")
    other = chosen(failed("a/small", task_type=TASK_TYPES[3]), session=session_on("c/large"))
    assert other.reason_code != "escalated"


def test_a_failing_model_is_left_out_unless_all_are() -> None:
    calm = chosen(Reports())
    choice = chosen(Reports(failing=frozenset({calm.model})))
    assert choice.model != calm.model
    everyone = chosen(Reports(failing=frozenset(FLEET)))
    assert everyone.model == calm.model
    assert "failing in real use" in everyone.reason_text


def test_an_unmeasured_balanced_model_that_is_failing_gives_way() -> None:
    unclear = Classification((1 / len(ROUTES),) * len(ROUTES), EVEN)
    unmeasured = rules(balanced_models=("new/model",))
    calm = decide(ASK, unclear, unmeasured, make_table(FLEET), None, NOW)
    assert isinstance(calm, Choice)
    assert calm.model == "new/model"
    reports = Reports(failing=frozenset({"new/model"}))
    choice = decide(ASK, unclear, unmeasured, make_table(FLEET), None, NOW, reports)
    assert isinstance(choice, Choice)
    assert choice.model == "c/large"


def test_a_failing_model_without_figures_gives_way_to_the_next_of_its_list() -> None:
    unclear = Classification((1 / len(ROUTES),) * len(ROUTES), EVEN)
    two = rules(balanced_models=("new/model", "b/middle"))
    reports = Reports(failing=frozenset({"new/model"}))
    choice = decide(ASK, unclear, two, make_table(FLEET), None, NOW, reports)
    assert isinstance(choice, Choice)
    assert (choice.model, choice.reason_code) == ("b/middle", "low_confidence")
    nobody = rules(balanced_models=("new/model",), denied=frozenset(FLEET))
    choice = decide(ASK, unclear, nobody, make_table(FLEET), None, NOW, reports)
    assert isinstance(choice, Choice)
    assert choice.model == "new/model"


def test_a_pin_to_a_failing_model_without_figures_is_not_claimed_of_another() -> None:
    pinned = rules(overrides=((ROUTES[0], "new/model"),))
    assert chosen(Reports(), rules=pinned).reason_code == "route_pinned"
    choice = chosen(Reports(failing=frozenset({"new/model"})), rules=pinned)
    assert (choice.model, choice.reason_code) == (chosen(Reports()).model, "cheapest_clearing")


def test_when_all_have_failed_no_verdict_calls_the_request_unclear() -> None:
    choice = chosen(failed(*FLEET))
    assert choice.model == "c/large"
    told = {one.model: one.verdict for one in choice.candidates}
    assert "set_aside" not in told.values()
    assert told["a/small"] == "failed_here"


def test_without_a_table_the_next_permitted_model_takes_over() -> None:
    allowed = rules(allowed=frozenset({"b/middle", "c/large"}))
    choice = decide(ASK, about(), allowed, None, session_on("b/middle"), NOW, failed("b/middle"))
    assert isinstance(choice, Choice)
    assert choice.model == "c/large"


figures = st.tuples(st.floats(0.0, 1.0), st.floats(1.0, 1e7))
fleets = st.dictionaries(st.sampled_from([*FLEET, "e/e", "f/f"]), figures, min_size=1)
names = st.lists(st.sampled_from([*FLEET, "e/e", "x/unknown"]), unique=True, max_size=6)


@settings(deadline=None)
@given(
    fleets,
    names.filter(bool),
    names,
    st.sampled_from(MODES),
    st.none() | st.sampled_from(list(FLEET)),
    st.booleans(),
    st.integers(0, 4),
    st.booleans(),
)
def test_whatever_was_reported_the_decision_is_sound(
    fleet: dict[str, tuple[float, float]],
    failures: list[str],
    failing: list[str],
    mode: str,
    working: str | None,
    in_tool_loop: bool,
    route: int,
    verifiable: bool,
) -> None:
    table = make_table(fleet, half_width=0.02)
    request = replace(ASK, in_tool_loop=in_tool_loop, verifiable=verifiable)
    reports = Reports(failed(*failures).failures, frozenset(failing))
    session = session_on(working) if working else None
    more = {"request": request, "rules": rules(mode=mode), "session": session, "route": route}
    choice = chosen(reports, table, **more)
    again = chosen(reports, table, **more)
    assert (choice, choice.candidates) == (again, again.candidates)
    assert sorted(one.model for one in choice.candidates) == sorted(fleet)
    assert choice.model in fleet or choice.model == "b/middle"
    on_task = choice.classification is not None and choice.classification.leading == 0
    left = set(fleet) - set(failing) or set(fleet)
    if choice.model in fleet:
        assert choice.model in left
        if on_task and left - set(failures):
            assert choice.model not in failures
    if on_task and choice.reason_code == "escalated":
        # It stays: the same reports later find the session on the model that took over.
        later = chosen(reports, table, **(more | {"session": choice.session, "route": 0}))
        assert later.model == choice.model


accuracies = st.floats(0.05, 0.95)


@settings(deadline=None)
@given(st.tuples(accuracies, accuracies, accuracies), st.integers(1, 3))
def test_more_failures_never_make_success_likelier(
    accuracy: tuple[float, float, float], times: int
) -> None:
    table = make_table({f"m/{place}": (share, 1e4) for place, share in enumerate(accuracy)})
    field = field_of(table, rules())
    weighed = weigh(field, ASK, about(), rules())
    before = given_failures(field, weighed, [0] * (times - 1))[0]
    after = given_failures(field, weighed, [0] * times)[0]
    assert (np.array(after) <= np.array(before) + 1e-9).all()
    if times == 1:
        assert before == pytest.approx(accuracy, abs=1e-3)


some = st.lists(
    st.builds(
        Failure,
        model=st.sampled_from(["a", "b", "c"]),
        task_type=st.sampled_from([*TASK_TYPES[:2], ""]),
        decided_at_ms=st.integers(NOW, NOW + 50),
    ),
    max_size=6,
)


@given(some, some, some)
def test_only_an_acceptance_since_settles_a_failure(
    earlier: list[Failure], failures: list[Failure], accepted: list[Failure]
) -> None:
    before = with_outcomes(None, earlier, [])
    kept = decode(with_outcomes(before, failures, accepted))
    assert with_outcomes(None, [], accepted) is None
    for one in failures + earlier:
        settled = any(
            one.task_type in ("", done.task_type) and done.decided_at_ms >= one.decided_at_ms
            for done in accepted
        )
        if not settled:
            assert any(k.model == one.model and k.task_type == one.task_type for k in kept)


def test_any_later_acceptance_settles_a_failure_of_unknown_work() -> None:
    known = [Failure("a", "", NOW), Failure("b", TASK_TYPES[0], NOW)]
    accepted = [Failure("c", TASK_TYPES[1], NOW + 1)]
    assert decode(with_outcomes(None, known, accepted)) == (known[1],)


def test_what_is_kept_is_bounded_and_another_versions_form_is_forgotten() -> None:
    many = [Failure(f"m/{number}", "debugging", NOW + number) for number in range(100)]
    kept = decode(with_outcomes(None, many, []))
    assert [one.model for one in kept] == [f"m/{n}" for n in range(100 - MAX_FAILURES, 100)]
    assert decode(b"\xc1") == ()
