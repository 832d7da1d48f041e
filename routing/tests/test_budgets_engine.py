"""What the engine does where a budget is spent."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from leaderboard.tests.tables import make_table
from routing.engine.classification import Classification
from routing.engine.decide import decide
from routing.engine.escalation import Failure, Reports
from routing.engine.explain import FALLBACKS, REASONS, VERDICTS
from routing.engine.field import field_of
from routing.engine.figures import weigh
from routing.engine.inputs import Request, Restriction, Rules, Session
from routing.engine.outcome import Choice, Refusal
from routing.engine.staying import believe
from routing.tests.test_engine_properties import (
    NOW,
    Drawn,
    all_rules,
    as_bytes,
    drawn_tables,
    many,
    names,
    readings,
    requests,
    sessions,
)
from routing.tests.test_escalation import ASK, FLEET, about, rules, session_on

BECAUSE = "The team's daily budget of $5.00 is spent"
CHEAPEST, BALANCED = Restriction("cheapest", BECAUSE), Restriction("balanced", BECAUSE)
TABLE = make_table(FLEET)
IN_LOOP = Request(2000, frozenset({"text"}), needs_tools=True, in_tool_loop=True)
EVEN = (1 / 3, 1 / 3, 1 / 3)


def chosen(restriction: Restriction | None, **more: Any) -> Choice:
    """Decide with a budget spent."""
    choice = decide(
        more.get("request", ASK),
        more.get("believed", about()),
        more.get("rules", rules()),
        more.get("table", TABLE),
        more.get("session"),
        NOW,
        more.get("reports", Reports()),
        restriction,
    )
    assert isinstance(choice, Choice)
    return choice


def verdicts(choice: Choice) -> dict[str, str]:
    """The verdict on each model."""
    return {one.model: one.verdict for one in choice.candidates}


def test_only_the_cheapest_model_is_left_whatever_the_bar() -> None:
    strict = rules(quality_bar=0.9)
    assert chosen(None, rules=strict).model == "b/middle"
    choice = chosen(CHEAPEST, rules=strict)
    assert (choice.model, choice.reason_code) == ("d/odd", "budget_cheapest")
    assert choice.reason_text == (
        f"{BECAUSE}, so d/odd, the cheapest model that can take this, does, at about $0.005 a task."
    )
    assert verdicts(choice)["b/middle"] == "over_budget"
    assert choice.fallback_models == ("a/small", "b/middle"), "the next cheapest"


def test_only_balanced_is_left() -> None:
    dear = rules(balanced_models=("p/gone", "c/large"), denied=frozenset({"p/gone"}))
    choice = chosen(BALANCED, rules=dear)
    assert (choice.model, choice.reason_code) == ("c/large", "budget_balanced")
    assert choice.reason_text.startswith(f"{BECAUSE}, so Balanced takes every request: c/large")
    assert choice.reason_code not in FALLBACKS
    unknown = chosen(BALANCED, rules=rules(balanced_models=("p/unmeasured",)))
    assert (unknown.model, unknown.reason_code) == ("p/unmeasured", "budget_balanced")


def test_balanced_that_cannot_be_used_leaves_the_cheapest() -> None:
    choice = chosen(BALANCED, rules=rules(denied=frozenset({"b/middle"})))
    assert (choice.model, choice.reason_code) == ("d/odd", "budget_cheapest")


def test_limits_of_the_policy_still_hold() -> None:
    assert chosen(CHEAPEST, rules=rules(denied=frozenset({"d/*"}))).model == "a/small"
    cheap = rules(price_ceiling_micro_usd=50_000)
    assert chosen(BALANCED, rules=cheap).model == "d/odd"
    refused = decide(
        ASK, about(), rules(denied=frozenset({"*"})), TABLE, None, NOW, Reports(), CHEAPEST
    )
    assert isinstance(refused, Refusal)


def test_a_pin_and_an_unclear_request_give_way() -> None:
    pinned = rules(overrides=((about().route, "c/large"),))
    assert chosen(None, rules=pinned).model == "c/large"
    assert chosen(CHEAPEST, rules=pinned).model == "d/odd"
    unclear = rules(confidence_threshold=1.01)
    assert chosen(None, rules=unclear).reason_code == "low_confidence"
    assert chosen(CHEAPEST, rules=unclear).model == "d/odd"
    assert chosen(CHEAPEST, believed=None).model == "d/odd"


def test_what_failed_or_is_failing_is_gone_past_unless_that_is_all() -> None:
    failing = Reports(failing=frozenset({"d/odd"}))
    assert chosen(CHEAPEST, reports=failing).model == "a/small"
    failures = Reports(failures=(Failure("d/odd", "", NOW),))
    assert chosen(CHEAPEST, reports=failures).model == "a/small"
    everyone = Reports(failing=frozenset(FLEET), failures=failures.failures)
    assert chosen(CHEAPEST, reports=everyone).model == "a/small"
    only = rules(allowed=frozenset({"d/odd"}))
    assert chosen(CHEAPEST, rules=only, reports=failures).model == "d/odd"
    away = rules(balanced_models=("p/one", "p/two"), allowed=frozenset({"p/*"}))
    reports = Reports(failing=frozenset({"p/one"}))
    assert chosen(BALANCED, rules=away, reports=reports).model == "p/two"
    reports = Reports(failing=frozenset({"p/one", "p/two"}))
    assert chosen(BALANCED, rules=away, reports=reports).reason_code == "nothing_clears"


def test_a_session_gives_way_at_its_next_turn_but_not_inside_a_tool_loop() -> None:
    working = session_on("c/large")
    moved = chosen(CHEAPEST, session=working)
    assert (moved.model, moved.switched, moved.sticky) == ("d/odd", True, False)
    assert moved.switch_reason == f"{BECAUSE}."
    assert moved.session.model == "d/odd"
    kept = chosen(CHEAPEST, session=working, request=IN_LOOP)
    assert (kept.model, kept.reason_code, kept.sticky) == ("c/large", "session_kept", True)
    stays = chosen(CHEAPEST, session=session_on("d/odd"))
    assert (stays.model, stays.switched, stays.reason_code) == ("d/odd", False, "budget_cheapest")


def test_without_a_table_balanced_takes_it_as_ever() -> None:
    choice = chosen(CHEAPEST, table=None, rules=rules())
    assert choice.model == "b/middle"


restrictions = st.sampled_from([CHEAPEST, BALANCED])
reports = st.builds(
    Reports,
    failures=st.lists(st.builds(Failure, names, st.just(""), st.just(NOW)), max_size=2).map(tuple),
    failing=st.frozensets(names, max_size=3),
)


@given(
    requests,
    st.none() | readings,
    all_rules,
    st.none() | drawn_tables(),
    st.none() | sessions,
    reports,
    restrictions,
)
@many
def test_whatever_comes_a_spent_budget_gets_a_permitted_model_or_a_refusal(
    request_: Request,
    reading: Classification | None,
    rules: Rules,
    drawn: Drawn | None,
    session: Session | None,
    reports: Reports,
    restriction: Restriction,
) -> None:
    table = drawn.table if drawn else None
    choice = decide(request_, reading, rules, table, session, NOW, reports, restriction)
    again = decide(request_, reading, rules, table, session, NOW, reports, restriction)
    free = decide(request_, reading, rules, table, session, NOW, reports)
    assert as_bytes(choice) == as_bytes(again)
    assert isinstance(choice, Refusal) == isinstance(free, Refusal), "no budget leaves nobody"
    if isinstance(choice, Choice):
        assert rules.permits(choice.model)
        assert choice.reason_code in REASONS
        assert {one.verdict for one in choice.candidates} <= set(VERDICTS)


@given(requests, readings, all_rules, drawn_tables(least=1), st.none() | sessions)
@many
def test_no_able_model_is_cheaper_than_the_one_that_a_spent_budget_leaves(
    request_: Request,
    reading: Classification,
    rules: Rules,
    drawn: Drawn,
    session: Session | None,
) -> None:
    choice = decide(request_, reading, rules, drawn.table, session, NOW, Reports(), CHEAPEST)
    if isinstance(choice, Refusal) or choice.sticky or choice.chosen is None:
        return
    field = field_of(drawn.table, rules)
    believed = believe(reading, session, request_.in_tool_loop).acting
    figures = weigh(field, request_, believed, rules)
    mine = figures.cost[field.index[choice.model]]
    assert all(mine <= figures.cost[place] for place in figures.able)
