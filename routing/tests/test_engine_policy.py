"""What the settings of a policy do to a decision, by example."""

from dataclasses import replace

import pytest

from leaderboard.tests.tables import make_table
from lib.taxonomy import ROUTES
from routing.engine.decide import decide
from routing.engine.inputs import names
from routing.engine.outcome import Refusal
from routing.tests.test_engine import (
    ASK,
    FIX,
    FLEET,
    NOW,
    RULES,
    UNCLEAR,
    certain,
    choose,
    verdicts,
    working_on,
)


@pytest.mark.parametrize(
    ("pattern", "model", "named"),
    [
        ("anthropic/*", "anthropic/claude-opus-4.8", True),
        ("anthropic/*", "anthropic2/claude", False),
        ("*/gpt-5*", "openai/gpt-5.4", True),
        ("*/gpt-5*", "openai/gpt-4", False),
        ("*", "any/thing", True),
        ("openai/gpt-5.4", "openai/gpt-5.4", True),
        ("openai/gpt-5.*", "openai/gpt-5x4", False),
        ("openai/[a-z]*", "openai/gpt", False),
        ("openai/gpt-5.4", "openai/gpt-5x4", False),
        ("*a*ab", "aab", True),
        ("ab*ba", "aba", False),
        # Trying all ways to match this would take years.
        ("*a" * 40 + "*b", "a" * 120, False),
    ],
)
def test_a_star_stands_for_any_text_and_nothing_else_does(
    pattern: str, model: str, named: bool
) -> None:
    assert names(frozenset({pattern, "x/y"}), model) is named


def test_patterns_allow_and_deny() -> None:
    assert choose(rules=replace(RULES, denied=frozenset({"*/cheap", "*/weak"}))).model == (
        "open/balanced"
    )
    strong = choose(rules=replace(RULES, allowed=frozenset({"*/strong", "later/*"})))
    assert strong.model == "open/strong"
    assert verdicts(strong)["open/cheap"] == "not_allowed"
    nobody = decide(ASK, FIX, replace(RULES, allowed=frozenset({"later/*"})), None, None, NOW)
    assert isinstance(nobody, Refusal)


def test_the_first_balanced_model_that_can_be_used_is_taken() -> None:
    rules = replace(RULES, balanced_models=("open/strong", "house/own", "open/balanced"))
    assert choose(reading=UNCLEAR, rules=rules).model == "open/strong"
    without = replace(rules, denied=frozenset({"open/strong"}))
    assert choose(reading=UNCLEAR, rules=without).model == "house/own"
    table = make_table(FLEET, details={"open/strong": {"supports_tools": False}})
    assert choose(reading=UNCLEAR, rules=rules, table=table).model == "house/own"
    assert choose(rules=without, table=None).model == "house/own"


def test_no_model_below_the_floor_is_taken() -> None:
    choice = choose(rules=replace(RULES, quality_bar=0.3, accuracy_floor=0.785))
    assert (choice.model, choice.reason_code) == ("open/balanced", "cheapest_clearing")
    assert verdicts(choice)["open/cheap"] == "below_floor"


def test_when_none_reaches_the_floor_the_most_accurate_takes_it() -> None:
    choice = choose(rules=replace(RULES, accuracy_floor=0.9))
    assert (choice.model, choice.reason_code) == ("open/strong", "below_floor")
    assert "accuracy floor" in choice.reason_text
    assert set(verdicts(choice).values()) == {"chosen", "below_floor"}
    assert choose(reading=UNCLEAR, rules=replace(RULES, accuracy_floor=0.9)).model == (
        "open/balanced"
    )


def test_a_session_leaves_a_model_that_the_ceiling_shuts_out() -> None:
    rules = replace(RULES, price_ceiling_micro_usd=100_000)
    choice = choose(rules=rules, session=working_on("open/balanced"))
    assert (choice.model, choice.switched) == ("open/cheap", True)
    assert "price ceiling" in (choice.switch_reason or "")
    assert verdicts(choice)["open/balanced"] == "too_dear"


def test_what_shuts_out_all_is_named() -> None:
    rules = replace(RULES, price_ceiling_micro_usd=1)
    refusal = decide(ASK, FIX, rules, make_table(FLEET), None, NOW)
    assert isinstance(refusal, Refusal)
    assert (refusal.code, refusal.param) == ("too_dear", "policy")


def overriding(target: str, route: str = "debugging/bug_fixing") -> tuple[tuple[str, str], ...]:
    """One route set to a mode or a model."""
    return ((route, target),)


def test_a_pin_holds_for_its_route_alone() -> None:
    rules = replace(RULES, overrides=overriding("open/weak"))
    choice = choose(rules=rules)
    assert (choice.model, choice.reason_code) == ("open/weak", "route_pinned")
    assert verdicts(choice)["open/cheap"] == "overruled"
    assert "pins bug fixing" in choice.reason_text
    assert choose(rules=rules, reading=certain("debugging/test_repair")).model == "open/cheap"
    assert choose(rules=rules, reading=UNCLEAR).reason_code == "low_confidence"


def test_a_pin_gives_way_to_what_shuts_its_model_out() -> None:
    rules = replace(RULES, overrides=overriding("open/weak"), denied=frozenset({"*/weak"}))
    assert choose(rules=rules).model == "open/cheap"
    table = make_table(FLEET, details={"open/weak": {"context_tokens": 100}})
    assert choose(rules=replace(rules, denied=frozenset()), table=table).model == "open/cheap"
    unmeasured = replace(RULES, overrides=overriding("house/own"))
    assert choose(rules=unmeasured).model == "house/own"


def test_a_session_moves_to_the_pinned_model_but_not_inside_a_tool_loop() -> None:
    rules = replace(RULES, overrides=overriding("open/weak"))
    request = replace(ASK, context_tokens=180_000)
    choice = choose(request, rules=rules, session=working_on("open/strong"))
    assert (choice.model, choice.switched) == ("open/weak", True)
    assert "pins" in (choice.switch_reason or "")
    looping = choose(
        replace(request, in_tool_loop=True), rules=rules, session=working_on("open/strong")
    )
    assert (looping.model, looping.sticky) == ("open/strong", True)
    settled = choose(request, rules=rules, session=working_on("open/weak"))
    assert (settled.model, settled.switched) == ("open/weak", False)


def test_a_route_may_have_a_mode_of_its_own() -> None:
    sharp = make_table(FLEET, half_width=0.001)
    rules = replace(RULES, overrides=overriding("best_accuracy"))
    choice = choose(rules=rules, table=sharp)
    assert (choice.model, choice.mode) == ("open/strong", "best_accuracy")
    other = choose(rules=rules, table=sharp, reading=certain("debugging/test_repair"))
    assert (other.model, other.mode) == ("open/cheap", "auto_efficient")
    everywhere = tuple((route, "accuracy_per_dollar") for route in ROUTES)
    assert choose(rules=replace(RULES, overrides=everywhere)).reason_code == "best_value"
