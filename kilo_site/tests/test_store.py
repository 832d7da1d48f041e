"""The fast store: local memory and Redis keep the same promises."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from pytest_django import Settings

from lib import store as stores
from lib.store import (
    DECISIONS,
    PREFIX,
    RECORDING,
    REPORTS,
    USAGE,
    LocalStore,
    RedisStore,
    Store,
    StoreUnavailable,
    get_store,
)


@pytest.fixture(params=["local", pytest.param("redis", marks=pytest.mark.production)])
def store(request: pytest.FixtureRequest, settings: Settings) -> Store:
    """A store of either kind, empty."""
    return LocalStore() if request.param == "local" else get_store(settings.REDIS_URL)


def test_what_is_kept_can_be_fetched(store: Store) -> None:
    assert store.fetch("k").values[0] is None
    store.commit("k", b"state", 60, None)
    assert store.fetch("k").values[0] == b"state"
    assert store.fetch("other").values[0] is None


def test_several_keys_are_fetched_at_once(store: Store) -> None:
    store.commit("a", b"1", 60, None)
    assert store.fetch("a", "b", "a").values == (b"1", None, b"1")
    assert store.fetch().values == ()


def test_an_update_makes_the_new_value_of_the_old_and_none_removes_it(store: Store) -> None:
    store.update("k", lambda before: (before or b"") + b"x", 60)
    store.update("k", lambda before: (before or b"") + b"y", 60)
    assert store.fetch("k").values == (b"xy",)
    store.update("k", lambda _: None, 60)
    assert store.fetch("k").values == (None,)


def test_of_many_updates_at_once_none_is_lost(store: Store) -> None:
    def count(_: int) -> None:
        for _ in range(20):
            store.update("k", lambda before: str(int(before or b"0") + 1).encode(), 60)

    with ThreadPoolExecutor(max_workers=4) as pool:
        list(pool.map(count, range(4)))
    assert store.fetch("k").values == (b"80",)


def test_a_bump_changes_the_generation(store: Store) -> None:
    before = store.fetch("").generation
    store.bump()
    assert store.fetch("").generation != before


def test_local_memory_expires_is_bounded_and_notices_other_processes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 1000.0
    monkeypatch.setattr(stores, "LOCAL_MAX_ENTRIES", 2)
    store = LocalStore(clock=lambda: now)
    for key in ("a", "b", "c"):
        store.commit(key, b"x", 10, None)
    assert store.fetch("a").values[0] is None
    assert store.fetch("c").values[0] == b"x"
    before = store.fetch("c").generation
    now += stores.LOCAL_REFRESH_SECONDS
    assert store.fetch("c").generation != before
    now += 10
    assert store.fetch("c").values[0] is None


def test_local_memory_takes_no_events() -> None:
    assert not LocalStore().commit(None, b"", 1, b"event")


@pytest.mark.production
def test_events_wait_in_the_stream_until_they_are_forgotten(settings: Settings) -> None:
    store = get_store(settings.REDIS_URL)
    assert isinstance(store, RedisStore)
    assert store.commit(None, b"", 1, b"one")
    assert store.commit("k", b"v", 60, b"two")
    entries = store.waiting(DECISIONS, 10)
    assert [entry.event for entry in entries] == [b"one", b"two"]
    store.forget(DECISIONS, entries[:1])
    assert [entry.event for entry in store.waiting(DECISIONS, 10)] == [b"two"]


@pytest.mark.production
def test_an_event_that_waits_is_not_taken_again_and_counts_once(settings: Settings) -> None:
    store = get_store(settings.REDIS_URL)
    assert isinstance(store, RedisStore)
    store.client.set(PREFIX + "there", 100)
    one, two = b"a" * 16, b"b" * 16
    known = {"there": 3, "missing": 40}
    assert store.append([one], b"1", {"there": 5, "missing": 5}, known) == set()
    assert store.append([two, one], b"2 and 1", {"there": 7}, known) == {one}
    # Nothing of it was taken or counted, so that the rest can be sent again.
    assert store.append([two, b"c" * 16], b"2 and 3", {"there": 7}, known) == set()
    # What was not counted begins with what is known of it.
    assert store.fetch("there", "missing").values == (b"112", b"45")
    assert 0 < store.client.ttl(PREFIX + "missing") <= stores.COUNTER_SECONDS
    entries = store.waiting(USAGE, 10)
    assert [(entry.event, entry.size) for entry in entries] == [(b"1", 1), (b"2 and 3", 2)]
    store.forget(USAGE, entries)
    assert store.append([one], b"1", {}, {}) == set()


@pytest.mark.production
def test_a_thousand_events_are_taken_at_once(settings: Settings) -> None:
    store = get_store(settings.REDIS_URL)
    assert isinstance(store, RedisStore)
    ids = [number.to_bytes(16) for number in range(1000)]
    assert store.append(ids, b"events", {}, {}) == set()
    assert store.append(ids, b"events", {}, {}) == set(ids)
    [entry] = store.waiting(USAGE, 10)
    assert entry.size == 1000


@pytest.mark.production
def test_a_stream_without_room_takes_nothing_and_trims_nothing(settings: Settings) -> None:
    settings.STREAM_ROOM = 2
    get_store.cache_clear()
    store = get_store(settings.REDIS_URL)
    assert isinstance(store, RedisStore)
    assert [store.commit("k", b"v", 60, event) for event in (b"1", b"2", b"3")] == [
        True,
        True,
        False,
    ]
    assert store.backlog(DECISIONS).waiting == 2
    assert store.append([b"a" * 16], b"one", {}, {}) == set()
    store.client.xadd(USAGE, {"event": b"two"})
    assert store.append([b"c" * 16], b"three", {}, {}) is None
    assert [store.hold(REPORTS, event) for event in (b"1", b"2", b"3")] == [True, True, False]
    get_store.cache_clear()


@pytest.mark.production
def test_what_was_set_aside_can_be_tried_again(settings: Settings) -> None:
    store = get_store(settings.REDIS_URL)
    assert isinstance(store, RedisStore)
    store.set_aside(USAGE, b"event", "too long")
    [found] = store.aside(USAGE, 10)
    assert (found.event, found.reason) == (b"event", "too long")
    assert store.backlog(USAGE).aside == 1
    assert store.try_again(USAGE) == 1
    assert [entry.event for entry in store.waiting(USAGE, 10)] == [b"event"]
    assert store.backlog(USAGE).aside == 0


@pytest.mark.production
def test_only_one_recorder_works_at_a_time(settings: Settings) -> None:
    store = get_store(settings.REDIS_URL)
    assert isinstance(store, RedisStore)
    with store.recording(USAGE, 0) as mine, store.recording(USAGE, 0) as other:
        assert mine
        assert mine.renew()
        assert other is None
    with store.recording(USAGE, 0) as free:
        assert free


@pytest.mark.production
def test_a_recorder_whose_time_is_over_does_not_go_on_or_end_the_turn_of_another(
    settings: Settings,
) -> None:
    store = get_store(settings.REDIS_URL)
    assert isinstance(store, RedisStore)
    with store.recording(USAGE, 0) as slow:
        store.client.delete(USAGE + RECORDING)
        with store.recording(USAGE, 0) as other:
            assert slow
            assert not slow.renew()
            assert other
            assert other.renew()


def test_a_store_that_is_away_says_so() -> None:
    away = RedisStore("redis://127.0.0.1:1/0", 10)
    with pytest.raises(StoreUnavailable):
        away.fetch("k")
    with pytest.raises(StoreUnavailable):
        away.commit("k", b"", 1, None)
    with pytest.raises(StoreUnavailable):
        away.update("k", lambda _: b"", 1)
