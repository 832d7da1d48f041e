"""Sessions over HTTP: what a session keeps spares later requests work."""

from dataclasses import replace

import pytest
from django.conf import settings

from lib.store import get_store
from routing import sessions
from routing.engine.inputs import LastReading, Session
from routing.tests.test_engine import certain
from routing.tests.test_route_api import RENAME, ask, table, turn
from teams.models import Project

__all__ = ["table"]
pytestmark = pytest.mark.django_db
PLAN = certain("planning_design/system_design", share=0.9)


def kept(project: Project) -> Session:
    """The state of the session ``s1``."""
    store = get_store(settings.REDIS_URL)
    state = sessions.decode(store.fetch(sessions.key(project.pk, "s1")).values[0])
    assert state is not None
    return state


def misremember(project: Project, **changes: str) -> None:
    """Let the session ``s1`` remember that its last words were about a plan."""
    state = kept(project)
    assert state.last_reading is not None
    last = LastReading(
        state.last_reading.digest,
        changes.get("version", state.last_reading.version),
        PLAN.routes,
        PLAN.difficulties,
    )
    about_a_plan = replace(
        state,
        last_reading=last,
        turns=state.turns + 1,
        routes=PLAN.routes,
        difficulties=PLAN.difficulties,
    )
    get_store(settings.REDIS_URL).commit(
        sessions.key(project.pk, "s1"), sessions.encode(about_a_plan), 60, None
    )


def test_words_are_read_once_in_a_row(apollo: Project, apollo_key: str, table: str) -> None:
    body = {**turn(RENAME), "session_id": "s1"}
    assert ask(apollo_key, body).json()["route"]["task_type"] == "refactoring"
    misremember(apollo)
    longer = {**body, "messages": [*turn(RENAME)["messages"], {"role": "tool", "content": "ok"}]}
    assert ask(apollo_key, longer).json()["route"]["task_type"] == "planning_design"
    assert kept(apollo).last_reading is not None
    assert kept(apollo).last_reading.routes == PLAN.routes  # type: ignore[union-attr]
    # Other words are read, and so are these by another version of the classifier.
    ask(apollo_key, {**turn("please rename setCwd too"), "session_id": "s1"})
    assert kept(apollo).last_reading.routes != PLAN.routes  # type: ignore[union-attr]
    misremember(apollo, version="an older one")
    ask(apollo_key, body)
    assert kept(apollo).last_reading.routes != PLAN.routes  # type: ignore[union-attr]


def test_no_words_are_kept_with_a_session(apollo: Project, apollo_key: str, table: str) -> None:
    ask(apollo_key, {**turn(f"{RENAME} SECRETWORD"), "session_id": "s1"})
    assert b"SECRETWORD" not in sessions.encode(kept(apollo))


def test_every_request_counts_as_a_turn(apollo: Project, apollo_key: str, table: str) -> None:
    for _ in range(3):
        ask(apollo_key, {**turn(RENAME), "session_id": "s1"})
    assert kept(apollo).turns == 3
