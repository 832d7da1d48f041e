"""Sessions: what they believe, what leaving a model costs, and how their state is kept."""

import threading
from collections.abc import Mapping
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pytest_django import Settings

from leaderboard.table import Table
from leaderboard.tests.tables import make_table
from lib.store import LocalStore, Store, get_store
from lib.taxonomy import ROUTES, TASK_TYPES
from routing import sessions
from routing.engine.classification import Classification
from routing.engine.decide import decide
from routing.engine.field import field_of
from routing.engine.inputs import LastReading, Request, Session
from routing.engine.outcome import Choice
from routing.engine.staying import CACHE_LIFETIME_MS, believe, price_of_switching, updated
from routing.tests.test_engine import ASK, FIX, NOW, RULES, certain, working_on

EVEN = Classification((1 / 18,) * 18, (1 / 3,) * 3)
PLAN = certain("planning_design/system_design")


def shares(count: int) -> st.SearchStrategy[tuple[float, ...]]:
    """Any probabilities over `count` names."""
    weights = st.lists(st.floats(0, 1), min_size=count, max_size=count).filter(any)
    return weights.map(lambda ws: tuple(w / sum(ws) for w in ws))


def session_about(reading: Classification) -> Session:
    """A session that believes a reading."""
    return Session("open/cheap", reading.routes, reading.difficulties, 3, NOW)


# What a session believes


@given(shares(18), shares(18))
def test_beliefs_are_probabilities(before: tuple[float, ...], newest: tuple[float, ...]) -> None:
    believed = updated(before, newest)
    assert sum(believed) == pytest.approx(1)
    assert min(believed) > 0


@given(shares(3), shares(3), st.permutations(range(3)))
def test_beliefs_do_not_depend_on_the_order_of_names(
    before: tuple[float, ...], newest: tuple[float, ...], order: list[int]
) -> None:
    swapped = updated(
        tuple(before[place] for place in order), tuple(newest[place] for place in order)
    )
    assert swapped == pytest.approx([updated(before, newest)[place] for place in order])


@given(shares(18))
def test_a_reading_that_says_nothing_keeps_the_order_of_beliefs(before: tuple[float, ...]) -> None:
    believed = updated(before, EVEN.routes)
    for one in range(18):
        for other in range(18):
            if before[one] > before[other]:
                assert believed[one] >= believed[other]


def test_readings_that_agree_make_surer() -> None:
    likely = certain("debugging/bug_fixing", share=0.6)
    belief = likely
    for _ in range(3):
        after = believe(likely, session_about(belief), in_tool_loop=False).remembered
        assert after is not None
        assert after.confidence > belief.confidence
        belief = after


@pytest.mark.parametrize("other", [name for name in ROUTES if not name.startswith("debugging")])
def test_one_flipped_label_changes_nothing_and_the_second_of_its_kind_does(other: str) -> None:
    sure = session_about(certain("debugging/bug_fixing", share=0.95))
    first = believe(certain(other, share=0.95), sure, in_tool_loop=False)
    assert first.acting == Classification(sure.routes, sure.difficulties)
    assert first.remembered is not None
    second = believe(
        certain(other, share=0.95), session_about(first.remembered), in_tool_loop=False
    )
    assert second.acting is not None
    assert second.acting.task_type == other.split("/")[0]


@given(shares(18), st.sampled_from(TASK_TYPES))
def test_a_stray_reading_never_leaves_a_session_on_a_third_task_type(
    routes: tuple[float, ...], stray: str
) -> None:
    before = Classification(routes, EVEN.difficulties)
    fresh = certain(next(name for name in ROUTES if name.startswith(stray)))
    acting = believe(fresh, session_about(before), in_tool_loop=False).acting
    assert acting is not None
    assert acting.task_type in (before.task_type, fresh.task_type)


def test_a_tool_loop_and_a_failed_classifier_teach_nothing() -> None:
    before = session_about(FIX)
    for belief in (believe(PLAN, before, in_tool_loop=True), believe(None, before, False)):
        assert belief.acting == belief.remembered == Classification(FIX.routes, FIX.difficulties)


def test_a_client_that_names_its_task_is_believed_at_once() -> None:
    told = replace(PLAN, source="client")
    assert believe(told, session_about(FIX), in_tool_loop=False).acting == told


# What leaving a model costs


def test_a_model_below_the_bar_is_left_only_for_what_is_worth_its_price() -> None:
    for dearer_by, model in ((1_000_000.0, "open/best"), (5_000_000.0, "open/here")):
        table = make_table(
            {"open/here": (0.70, 500_000.0), "open/best": (0.80, 500_000.0 + dearer_by)}
        )
        ask = replace(ASK, context_tokens=100_000)
        choice = decide(ask, FIX, RULES, table, working_on("open/here"), NOW)
        assert isinstance(choice, Choice)
        assert choice.model == model
    # Who asks for a floor, for proof, or for the best model gets it whatever it costs.
    for changes in ({"accuracy_floor": 0.75}, {"evidence": 0.6}, {"mode": "best_accuracy"}):
        rules = replace(RULES, **changes)
        choice = decide(ask, FIX, rules, table, working_on("open/here"), NOW)
        assert isinstance(choice, Choice)
        assert choice.model == "open/best"


def priced(**prices: Mapping[str, int | None]) -> Table:
    """A table of models ``open/<name>`` with these prices, micro-USD per million tokens."""
    return make_table(
        {f"open/{name}": (0.8, 100_000.0) for name in prices},
        details={f"open/{name}": dict(price) for name, price in prices.items()},
    )


WITH_CACHE = {
    "input_micro_usd": 5_000_000,
    "cache_read_micro_usd": 500_000,
    "cache_write_micro_usd": 6_250_000,
}
OTHER = {
    "input_micro_usd": 2_000_000,
    "cache_read_micro_usd": 500_000,
    "cache_write_micro_usd": None,
}
NO_CACHE = {
    "input_micro_usd": 400_000,
    "cache_read_micro_usd": None,
    "cache_write_micro_usd": None,
}
SURCHARGE = {
    "input_micro_usd": 500_000,
    "cache_read_micro_usd": 50_000,
    "cache_write_micro_usd": 83_333,
}
PRICES = priced(cached=WITH_CACHE, other=OTHER, plain=NO_CACHE, surcharge=SURCHARGE)


def price(old: str, new: str, tokens: int, idle_ms: int = 0) -> float:
    """The price of switching between models of PRICES."""
    field = field_of(PRICES, RULES)
    before = Session(f"open/{old}", (), (), 1, NOW - idle_ms)
    request = replace(ASK, context_tokens=tokens)
    places = field.index[f"open/{old}"], field.index[f"open/{new}"]
    return price_of_switching(field, *places, request, before, NOW)


def test_switching_costs_reading_the_conversation_anew() -> None:
    # $2 instead of $0.50 for a million tokens; later reads cost both the same.
    assert price("cached", "other", 100_000) == pytest.approx(150_000)
    # A first read is billed as a cache write where writing has a price.
    assert price("other", "cached", 100_000) == pytest.approx(575_000)


def test_an_idle_session_has_no_cache_to_lose() -> None:
    assert price("other", "cached", 100_000, CACHE_LIFETIME_MS) == pytest.approx(575_000)
    assert price("other", "cached", 100_000, CACHE_LIFETIME_MS + 1) == pytest.approx(425_000)
    assert price("cached", "other", 100_000, CACHE_LIFETIME_MS + 1) == 0


def test_a_model_without_a_cache_reads_at_full_price_every_time() -> None:
    # 0.40 against 0.05 for a million tokens, first and with each of the requests that are left.
    assert price("surcharge", "plain", 1_000_000) == pytest.approx(350_000 * (1 + 8))


def test_a_cache_price_below_that_of_input_is_what_keeping_adds() -> None:
    assert price("other", "surcharge", 1_000_000) == 0
    assert price("plain", "surcharge", 1_000_000) == 0
    assert field_of(PRICES, RULES).read_cold[3] == pytest.approx(0.5)


@given(
    st.sampled_from(["cached", "other", "plain", "surcharge"]),
    st.sampled_from(["cached", "other", "plain", "surcharge"]),
    st.integers(0, 200_000),
    st.integers(0, 200_000),
)
def test_more_context_never_makes_leaving_cheaper(old: str, new: str, one: int, two: int) -> None:
    assert price(old, new, min(one, two)) <= price(old, new, max(one, two))
    assert price(old, new, one, CACHE_LIFETIME_MS + 1) <= price(old, new, one)


@given(st.integers(0, 190_000), st.integers(0, 2 * CACHE_LIFETIME_MS), st.sampled_from([FIX, None]))
@settings(deadline=None)
def test_inside_a_tool_loop_nothing_able_is_left(
    tokens: int, idle_ms: int, reading: Classification | None
) -> None:
    table = make_table({"open/weak": (0.1, 900_000.0), "open/strong": (0.9, 1_000.0)})
    request = Request(tokens, frozenset({"text"}), needs_tools=True, in_tool_loop=True)
    choice = decide(request, reading, RULES, table, working_on("open/weak", idle_ms=idle_ms), NOW)
    assert isinstance(choice, Choice)
    assert (choice.model, choice.sticky, choice.switched) == ("open/weak", True, False)


# How the state is kept

KEPT = Session(
    "open/cheap",
    FIX.routes,
    FIX.difficulties,
    7,
    NOW,
    LastReading("ab", "v", EVEN.routes, EVEN.difficulties),
)


@given(
    st.builds(
        Session,
        st.text(max_size=40),
        st.just(()) | shares(18),
        st.just(()) | shares(3),
        st.integers(0, 10**9),
        st.integers(0, 2**48),
        st.none() | st.builds(LastReading, st.text(max_size=9), st.text(), shares(18), shares(3)),
    )
)
def test_a_state_comes_back_as_it_was(session: Session) -> None:
    assert sessions.decode(sessions.encode(session)) == session


@given(st.binary(max_size=60))
def test_a_state_that_cannot_be_read_is_no_session(data: bytes) -> None:
    assert sessions.decode(data) is None


def test_a_state_about_other_routes_is_no_session() -> None:
    assert KEPT.last_reading is not None
    for changed in (
        replace(KEPT, routes=(1.0,)),
        replace(KEPT, last_reading=replace(KEPT.last_reading, routes=(1.0,))),
    ):
        assert sessions.decode(sessions.encode(changed)) is None


def test_a_state_is_small_whatever_the_session_did() -> None:
    assert len(sessions.encode(KEPT)) < 1_000


def test_a_reading_is_kept_for_its_own_words_and_classifier() -> None:
    assert sessions.last_reading(KEPT, "ab", "v") == KEPT.last_reading
    assert sessions.last_reading(KEPT, "ab", "w") is None
    assert sessions.last_reading(KEPT, "cd", "v") is None
    assert sessions.last_reading(replace(KEPT, last_reading=None), "ab", "v") is None
    assert sessions.last_reading(None, "ab", "v") is None


@pytest.fixture(params=["local", pytest.param("redis", marks=pytest.mark.production)])
def store(request: pytest.FixtureRequest, settings: Settings) -> Store:
    """A store of either kind, empty."""
    return LocalStore() if request.param == "local" else get_store(settings.REDIS_URL)


def test_whoever_was_slow_does_not_undo_later_turns(store: Store) -> None:
    for turns in (1, 3, 2):
        store.commit("s", sessions.encode(replace(KEPT, turns=turns)), 60, None)
    kept = sessions.decode(store.fetch("s").values[0])
    assert kept is not None
    assert kept.turns == 3
    store.commit("s", sessions.encode(replace(KEPT, turns=3, model="open/last")), 60, None)
    kept = sessions.decode(store.fetch("s").values[0])
    assert kept is not None
    assert kept.model == "open/last"


def test_requests_of_one_session_at_once_do_not_tear_it_or_turn_it_back(store: Store) -> None:
    """Each state says the same in all of its parts; turns only ever grow."""
    writers, rounds = 6, 40
    seen: list[list[int]] = [[] for _ in range(writers)]
    torn: list[Session] = []

    def work(number: int) -> None:
        for step in range(rounds):
            before = sessions.decode(store.fetch("s").values[0])
            if before is not None:
                seen[number].append(before.turns)
                if (before.model, before.last_at_ms) != (f"m/{before.routes[0]}", before.turns):
                    torn.append(before)
            turns = before.turns + 1 if before else 1
            mark = float(number * rounds + step)
            state = Session(f"m/{mark}", (mark, *[0.0] * 17), EVEN.difficulties, turns, turns)
            store.commit("s", sessions.encode(state), 60, None)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(writers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not torn
    assert all(turns == sorted(turns) for turns in seen)
    last = sessions.decode(store.fetch("s").values[0])
    assert last is not None
    assert last.turns >= rounds
