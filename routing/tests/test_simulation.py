"""Simulated sessions: the traffic is what it says, bills add up, and the session rule pays."""

import json
from dataclasses import replace
from io import StringIO

import numpy as np
import pytest
from django.core.management import CommandError, call_command
from msgspec.structs import replace as struct_replace

from leaderboard.table import Table
from leaderboard.tests.tables import make_table
from lib.taxonomy import DIFFICULTIES, ROUTES
from routing.engine.staying import CACHE_LIFETIME_MS
from routing.management.commands.evaluate_routing import CONFUSION, read_confusion
from routing.simulation.billing import Caches, Prices
from routing.simulation.contest import Contest, NoModel, compare, traffic_of
from routing.simulation.traffic import CONDENSED_AT, Readings, Turn, simulate
from routing.tests.test_engine import FIX, RULES

READINGS = Readings(read_confusion(CONFUSION)[0])
SESSIONS = simulate(np.random.default_rng(5), 400, READINGS)
TURNS = [turn for session in SESSIONS for turn in session]
# Good and dear, or cheap and good at easy work alone.
FLEET = {"open/large": (0.9, 1_000_000.0), "open/small": (0.88, 100_000.0)}
TABLE = make_table(
    FLEET, cells={("open/small", route, "high"): (0.3, 120_000.0) for route in ROUTES}
)
POLICY = replace(RULES, balanced_models=("open/large",), baseline_model="open/large")


def test_the_same_seed_gives_the_same_sessions() -> None:
    again = simulate(np.random.default_rng(5), 400, READINGS)
    assert [[turn.__dict__ for turn in session] for session in again] == [
        [turn.__dict__ for turn in session] for session in SESSIONS
    ]


def test_sessions_are_those_of_coding_clients() -> None:
    traffic = traffic_of(SESSIONS)
    assert 20 < traffic.requests < 60
    assert 60_000 < traffic.context < 90_000
    assert 0.15 < traffic.idle < 0.4
    lengths = [sum(turn.requests for turn in session) for session in SESSIONS]
    assert min(lengths) < 8
    assert max(lengths) > 120
    assert max(turn.known_after for turn in TURNS) <= CONDENSED_AT


def test_what_is_read_adds_up() -> None:
    for session in SESSIONS:
        for before, turn in zip([None, *session], session, strict=False):
            assert turn.ends_ms > turn.begins_ms
            assert 0 <= turn.first_known <= turn.context
            if before is None:
                assert turn.first_known == 0
                continue
            assert turn.begins_ms > before.ends_ms
            condensed = turn.part_before != before.part
            assert turn.first_known == (0 if condensed else before.known_after)


def test_readings_are_calibrated() -> None:
    """Of the readings that give a route a probability, that share is of the route."""
    rng = np.random.default_rng(1)
    given, right = 0.0, 0
    for _ in range(20_000):
        route, difficulty = int(rng.integers(len(ROUTES))), int(rng.integers(len(DIFFICULTIES)))
        reading = READINGS.draw(rng, route, difficulty, vague=False)
        given += reading.routes[3]
        right += route == 3
    assert given == pytest.approx(right, rel=0.1)


def test_a_models_tasks_cost_what_the_table_says_on_average() -> None:
    prices = Prices.of(TABLE, SESSIONS)
    tasks = sum(session[-1].task + 1 for session in SESSIONS)
    for place, (_, cost) in enumerate(FLEET.values()):
        at_home = [replace(turn, carried=0, difficulty=0) for turn in TURNS]
        spent = sum(prices.of_turn(place, turn) for turn in at_home)
        assert spent / tasks == pytest.approx(cost)


def a_turn(**changes: object) -> Turn:
    """A turn over a conversation of 50,000 tokens, a minute after the one before."""
    turn = Turn(
        task=0,
        route=0,
        difficulty=0,
        reading=FIX,
        requests=1,
        context=50_000,
        first_known=49_000,
        repeated=0,
        carried=49_000,
        added=1_000,
        answered=100,
        known_after=50_000,
        part_before=0,
        part=0,
        begins_ms=60_000,
        ends_ms=70_000,
    )
    return replace(turn, **changes)  # type: ignore[arg-type]


def test_caches_hold_what_was_sent_until_they_expire_or_the_client_condenses() -> None:
    caches = Caches()
    assert caches.holds(0, a_turn()) == 0
    caches.after(0, a_turn(known_after=30_000))
    expiry = 70_000 + CACHE_LIFETIME_MS
    assert caches.holds(0, a_turn(begins_ms=expiry)) == 30_000
    assert caches.holds(0, a_turn(begins_ms=expiry, first_known=20_000)) == 20_000
    assert caches.holds(0, a_turn(begins_ms=expiry + 1)) == 0
    assert caches.holds(0, a_turn(part_before=1)) == 0
    assert caches.holds(1, a_turn()) == 0


def spent_by(table: Table, turns: list[Turn]) -> float:
    """What the first model of a table spends on a session that stays with it."""
    contest = Contest(table, POLICY)
    return contest.run(contest.always_stick, Prices.of(table, SESSIONS), [turns]).spent[0]


def test_a_session_that_was_idle_pays_for_reading_anew() -> None:
    table = make_table({"open/large": (0.9, 1_000_000.0)})
    first = a_turn(first_known=0, carried=0, known_after=49_000, begins_ms=0, ends_ms=1_000)
    warm = spent_by(table, [first, a_turn(begins_ms=60_000)])
    cold = spent_by(table, [first, a_turn(begins_ms=10**7, ends_ms=10**7 + 1)])
    # $1.25 instead of $0.10 for a million tokens.
    assert cold - warm == pytest.approx(49_000 * 1.15)


def test_the_rules_do_what_their_names_say() -> None:
    outcomes = compare(Contest(TABLE, POLICY), SESSIONS)
    assert outcomes["always stick"].switches_per_session == 0
    assert outcomes["always stick"].lost_per_session == 0
    assert outcomes["no stickiness"].switches_per_session > (
        outcomes["session rule"].switches_per_session
    )
    assert all(0.5 < outcome.quality < 0.9 for outcome in outcomes.values())
    assert all(o.lost_per_session < o.spent_per_session for o in outcomes.values())


def test_a_fresh_choice_is_one_that_holds_the_conversation_whatever_came_before() -> None:
    large, small = TABLE.models
    contest = Contest(
        replace(TABLE, models=(large, struct_replace(small, context_tokens=60_000))), POLICY
    )
    easy = replace(FIX, difficulties=(1.0, 0.0, 0.0))
    answers = [
        contest.never_stick(a_turn(reading=easy, context=tokens), None, None).place
        for tokens in (50_000, 70_000, 50_000)
    ]
    assert answers == [1, 0, 1]


def test_without_a_model_there_is_nothing_to_simulate() -> None:
    nobody = replace(POLICY, denied=frozenset({"*"}))
    with pytest.raises(NoModel):
        compare(Contest(TABLE, nobody), SESSIONS)


def test_on_the_bundled_table_the_session_rule_spends_least_at_equal_or_better_quality() -> None:
    out = StringIO()
    call_command("simulate_sessions", "--sessions", "5000", "--seed", "2", "--json", stdout=out)
    rules = json.loads(out.getvalue())["rules"]
    ours = rules.pop("session rule")
    for other in rules.values():
        assert ours["spent_per_session"] < other["spent_per_session"]
        # Equal within what so few sessions can tell.
        assert other["better"][0] < 2 * other["better"][1]
    assert ours["switches_per_session"] < rules["no stickiness"]["switches_per_session"] / 3


def test_the_report_can_be_read() -> None:
    out = StringIO()
    call_command("simulate_sessions", "--sessions", "20", stdout=out)
    assert out.getvalue().count("\n| ") == 5
    with pytest.raises(CommandError, match="at least 1"):
        call_command("simulate_sessions", "--sessions", "0")
