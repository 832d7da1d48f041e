"""Which models are out because they fail in real use: the test, as it is derived."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routing import failing
from routing.failing import CALLS, HALF_LIFE_MS, TASKS, Signal

NOW = 1_800_000_000_000
MINUTE = 60_000


def signal(succeeded: bool, at_ms: int = NOW, origin: str = "", **changes: object) -> Signal:
    """One call of lab/small, of a session of its own unless told otherwise."""
    made_up = {"model": "lab/small", "kind": CALLS, "expected": failing.CALL_RELIABILITY}
    origin = origin or f"session at {at_ms}"
    return Signal(succeeded=succeeded, at_ms=at_ms, origin=origin, **(made_up | changes))  # type: ignore[arg-type]


def out(data: bytes | None, at_ms: int = NOW) -> list[str]:
    """The models that are out."""
    return [one.model for one in failing.failing(failing.decode(data), at_ms)]


def errors(count: int, **changes: object) -> list[Signal]:
    """A row of errors, a second apart, the last one now."""
    return [signal(False, NOW - 1000 * age, **changes) for age in reversed(range(count))]  # type: ignore[arg-type]


def test_a_handful_is_not_enough_and_a_row_of_errors_is() -> None:
    assert out(failing.with_signals(None, errors(5))) == []
    data = failing.with_signals(None, errors(6))
    assert out(data) == ["lab/small"]
    [found] = failing.failing(failing.decode(data), NOW)
    assert (found.kind, found.since_ms) == (CALLS, NOW)
    assert found.why == "100% of its latest calls ended in an error"


def test_one_session_that_went_astray_accuses_nobody() -> None:
    assert out(failing.with_signals(None, errors(100, origin="the same"))) == []


def test_a_long_good_record_does_not_delay_it() -> None:
    good = [signal(True, NOW - age * 1000) for age in range(60, 600)]
    assert out(failing.with_signals(None, [*good, *errors(8)])) == ["lab/small"]


def test_failures_that_were_to_be_expected_are_not_held_against_a_model() -> None:
    weak = {"kind": TASKS, "expected": 0.3}
    assert out(failing.with_signals(None, errors(20, **weak))) == []
    strong = {"kind": TASKS, "expected": 0.9}
    assert out(failing.with_signals(None, errors(20, **strong))) == ["lab/small"]


def test_it_comes_back_by_itself_within_twenty_minutes() -> None:
    data = failing.with_signals(None, errors(500))
    assert out(data, NOW + 15 * MINUTE) == ["lab/small"]
    assert out(data, NOW + 2 * HALF_LIFE_MS + 1) == []


def test_successes_bring_it_back_sooner() -> None:
    data = failing.with_signals(None, errors(6))
    data = failing.with_signals(data, [signal(True, NOW + 1000 * n) for n in range(1, 9)])
    assert out(data, NOW + 9000) == []


def test_reports_of_yesterday_do_not_count() -> None:
    old = [signal(False, NOW - 24 * 60 * MINUTE + n) for n in range(200)]
    assert out(failing.with_signals(failing.with_signals(None, old), [signal(False)])) == []


def test_false_alarms_are_as_rare_as_promised() -> None:
    chance = random.Random(7)
    reports = [
        signal(chance.random() < failing.CALL_RELIABILITY, NOW + 20 * n, f"session {n}")
        for n in range(40_000)
    ]
    alarms, data = 0, None
    for start in range(0, len(reports), 50):
        batch = reports[start : start + 50]
        before = out(data, batch[0].at_ms)
        data = failing.with_signals(data, batch)
        alarms += not before and bool(out(data, batch[-1].at_ms))
    assert alarms <= 8


signals = st.lists(
    st.builds(
        Signal,
        model=st.sampled_from(["a/a", "b/b"]),
        kind=st.sampled_from([CALLS, TASKS]),
        succeeded=st.booleans(),
        expected=st.floats(0, 1),
        origin=st.sampled_from("pqrs"),
        at_ms=st.integers(NOW - 10**7, NOW + 10**6),
    ),
    max_size=40,
)


@given(signals, st.integers(NOW - 10**8, NOW + 10**8))
def test_no_reports_break_it_and_a_success_never_takes_a_model_out(
    reports: list[Signal], at_ms: int
) -> None:
    data = failing.with_signals(None, reports)
    failing.failing(failing.decode(data), at_ms)
    for kinds in failing.decode(data).values():
        for gauge in kinds.values():
            assert 0 < gauge.score <= failing.MOST
            assert len(gauge.origins) <= failing.LEAST_SESSIONS
    better = failing.with_signals(data, [signal(True, NOW + 10**6, model="a/a")])
    assert set(out(better, NOW + 10**6)) <= set(out(data, NOW + 10**6))


def test_models_that_nobody_reports_any_more_are_forgotten() -> None:
    data = None
    for hour in range(50):
        at_ms = NOW + hour * 60 * MINUTE
        data = failing.with_signals(data, [signal(False, at_ms, model=f"lab/{hour}")])
    assert len(failing.decode(data)) <= 3


@pytest.mark.parametrize("data", [b"", b"\xc1", b"\x01", b"\x81\xa1a\x01"])
def test_what_another_version_kept_is_forgotten(data: bytes) -> None:
    assert failing.decode(data) == {}
