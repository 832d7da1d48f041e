"""A session turn by turn: order, cost, and what the cache saved and lost."""

import datetime as dt
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from usage.pricing import PriceTier, Tokens
from usage.timeline import CACHE_LIFETIME, Call, Choice, timeline

START = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)
DAY = dt.date(2026, 1, 1)
# In micro-USD per million tokens: a dear model, a cheap one, and one without a cache price.
PRICES = {
    "lab/large": [PriceTier(DAY, 0, 5_000_000, 25_000_000, 500_000, 6_250_000)],
    "lab/small": [PriceTier(DAY, 0, 1_000_000, 5_000_000, 100_000)],
    "lab/plain": [PriceTier(DAY, 0, 2_000_000, 5_000_000)],
}


def at(seconds: float) -> dt.datetime:
    return START + dt.timedelta(seconds=seconds)


def chosen(name: str, seconds: float, **fields: Any) -> Choice:
    made_up: dict[str, Any] = {
        "model": "lab/large",
        "task_type": "debugging",
        "subtask_type": "bug_fixing",
        "difficulty": "low",
        "reason_code": "cheapest_clearing",
        "reason_text": "",
        "sticky": False,
        "switched": False,
        "switch_reason": "",
    }
    return Choice(public_id=name, at=at(seconds), **{**made_up, **fields})


def called(seconds: float, model: str = "lab/large", **fields: Any) -> Call:
    tokens = Tokens(
        **{name: fields.pop(name, 0) for name in ("input", "cache_read", "cache_write", "output")}
    )
    made_up: dict[str, Any] = {
        "event_id": f"call-{seconds}",
        "decision_id": "",
        "status": "ok",
        "reasoning": 0,
        "latency_ms": None,
        "cost_micro_usd": 0,
    }
    return Call(at=at(seconds), model=model, tokens=tokens, **{**made_up, **fields})


def test_turns_are_in_the_order_of_time_with_a_running_total() -> None:
    found = timeline(
        [chosen("dec_b", 60), chosen("dec_a", 0)],
        [
            called(61, decision_id="dec_b", cost_micro_usd=30),
            called(1, decision_id="dec_a", cost_micro_usd=10),
            called(5, decision_id="dec_a", cost_micro_usd=None),
            called(30, decision_id="dec_of_another_session", cost_micro_usd=5),
        ],
        PRICES,
    )
    names = [turn.choice.public_id if turn.choice else None for turn in found.turns]
    assert names == ["dec_a", None, "dec_b"]
    assert [turn.cost_micro_usd for turn in found.turns] == [10, 5, 30]
    assert [turn.total_micro_usd for turn in found.turns] == [10, 15, 45]
    assert (found.cost_micro_usd, found.unpriced) == (45, 1)


def test_cache_reads_save_the_difference_to_fresh_input() -> None:
    (turn,) = timeline([], [called(0, cache_read=100_000)], PRICES).turns
    assert turn.saved_micro_usd == 450_000
    (plain,) = timeline([], [called(0, "lab/plain", cache_read=100_000)], PRICES).turns
    assert plain.saved_micro_usd == 0
    (line,) = timeline([], [called(0, "lab/unpriced", cache_read=100_000)], PRICES).lines
    assert line.saved_micro_usd is None


def test_the_price_of_the_day_and_the_size_counts() -> None:
    prices = {
        "lab/large": [
            PriceTier(DAY, 0, 1_000_000, 0, 500_000),
            PriceTier(DAY, 200_000, 2_000_000, 0, 500_000),
            PriceTier(dt.date(2026, 4, 1), 0, 9_000_000, 0, 500_000),
        ]
    }
    short, long = timeline(
        [], [called(0, cache_read=200_000), called(1, cache_read=200_001)], prices
    ).lines
    assert short.saved_micro_usd == 100_000
    assert long.saved_micro_usd == 300_002  # half to even


def test_a_move_loses_what_the_model_before_had_in_its_cache() -> None:
    first, second = timeline(
        [],
        [
            called(0, cache_read=20_000, cache_write=10_000, input=500),
            called(60, "lab/small", input=31_000, cache_write=2_000),
        ],
        PRICES,
    ).lines
    assert (first.moved_from, first.lost_micro_usd) == (None, 0)
    assert (second.moved_from, second.lost_tokens) == ("lab/large", 30_000)
    assert second.lost_micro_usd == 30_000 * (1_000_000 - 500_000) // 1_000_000


def test_what_the_new_model_finds_in_a_cache_of_its_own_is_not_lost() -> None:
    (_, second) = timeline(
        [],
        [called(0, cache_read=30_000), called(60, "lab/small", input=5_000, cache_read=25_000)],
        PRICES,
    ).lines
    assert second.lost_tokens == 5_000


def test_nothing_is_lost_where_there_was_no_cache() -> None:
    long_after = CACHE_LIFETIME.total_seconds() + 1
    for before, after in (
        # It had expired; it was never filled; the model stayed; reading afresh costs less.
        (called(0, cache_read=9_000), called(long_after, "lab/small", input=9_000)),
        (called(0, input=9_000), called(60, "lab/small", input=9_000)),
        (called(0, cache_read=9_000), called(60, input=9_000)),
        (called(0, "lab/plain", cache_read=9_000), called(60, "lab/small", input=9_000)),
    ):
        assert timeline([], [before, after], PRICES).lost_micro_usd == 0


def test_a_call_that_read_nothing_is_no_move() -> None:
    lines = timeline(
        [],
        [
            called(0, cache_read=9_000),
            called(10, "lab/small", status="error"),
            called(20, input=100, cache_read=9_000),
        ],
        PRICES,
    ).lines
    assert lines[2].moved_from is None


calls = st.builds(
    called,
    st.integers(0, 2_000),
    st.sampled_from([*PRICES, "lab/unpriced"]),
    input=st.integers(0, 10**9),
    cache_read=st.integers(0, 10**9),
    cache_write=st.integers(0, 10**9),
    cost_micro_usd=st.one_of(st.none(), st.integers(0, 10**12)),
    decision_id=st.sampled_from(["", "dec_a", "dec_b", "dec_elsewhere"]),
)


@given(st.lists(calls, max_size=12))
def test_every_call_is_in_one_turn_and_the_total_adds_up(made: list[Call]) -> None:
    found = timeline([chosen("dec_a", 0), chosen("dec_b", 900)], made, PRICES)
    assert sorted(line.call.event_id for line in found.lines) == sorted(c.event_id for c in made)
    assert [turn.at for turn in found.turns] == sorted(turn.at for turn in found.turns)
    assert found.turns[-1].total_micro_usd == sum(call.cost_micro_usd or 0 for call in made)
    for line in found.lines:
        assert line.lost_tokens <= line.call.tokens.total_input
        assert (line.lost_micro_usd or 0) >= 0
        assert (line.saved_micro_usd or 0) >= 0
