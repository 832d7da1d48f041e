"""The fast store: local memory and Redis keep the same promises."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from pytest_django import Settings

from lib import store as stores
from lib.store import LocalStore, RedisStore, Store, StoreUnavailable, get_store


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
    entries = store.oldest_events(10)
    assert [event for _, event in entries] == [b"one", b"two"]
    store.forget_events([entries[0][0]])
    assert [event for _, event in store.oldest_events(10)] == [b"two"]


@pytest.mark.production
def test_only_one_recorder_works_at_a_time(settings: Settings) -> None:
    store = get_store(settings.REDIS_URL)
    assert isinstance(store, RedisStore)
    with store.recording(0) as mine, store.recording(0) as other:
        assert (mine, other) == (True, False)
    with store.recording(0) as free:
        assert free


def test_a_store_that_is_away_says_so() -> None:
    away = RedisStore("redis://127.0.0.1:1/0")
    with pytest.raises(StoreUnavailable):
        away.fetch("k")
    with pytest.raises(StoreUnavailable):
        away.commit("k", b"", 1, None)
    with pytest.raises(StoreUnavailable):
        away.update("k", lambda _: b"", 1)
