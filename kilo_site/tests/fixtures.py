"""People, projects and keys that the tests of every app share.

Alice owns team A with the project ``apollo``; Bob is a viewer there; Charlie is an outsider with a
team of his own and the project ``borealis``.
"""

import pytest
from pytest_django import Settings

from lib.ids import new_id
from lib.store import RedisStore, get_store
from routing.queries import live
from teams.actions import (
    SystemActor,
    do_add_member,
    do_create_key,
    do_create_project,
    do_create_team,
)
from teams.keys import Scope
from teams.models import Project, Role, User

PASSWORD = "correct horse battery"
SETUP = SystemActor("test setup")


@pytest.fixture(autouse=True)
def fast_passwords(settings: Settings) -> None:
    """Hash passwords fast: a real hasher takes a third of a second for every person made."""
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


@pytest.fixture(autouse=True)
def static_files_on_demand(settings: Settings) -> None:
    """Look static files up when asked for, instead of listing them all for every test client."""
    settings.WHITENOISE_AUTOREFRESH = True


@pytest.fixture(autouse=True)
def fresh_store(settings: Settings) -> None:
    """Start every test with an empty store and nothing remembered in memory."""
    get_store.cache_clear()
    live.renew(new_id("test"))
    store = get_store(settings.REDIS_URL)
    if isinstance(store, RedisStore):
        store.client.flushdb()


@pytest.fixture
def alice(db: None) -> User:
    """The owner of apollo's team."""
    return User.objects.create_user("alice@example.org", PASSWORD)


@pytest.fixture
def apollo(alice: User) -> Project:
    """Alice's project."""
    team = do_create_team("Team A", alice, actor=SETUP)
    return do_create_project(team, "Apollo", actor=SETUP)


@pytest.fixture
def bob(apollo: Project) -> User:
    """A viewer in apollo's team."""
    user = User.objects.create_user("bob@example.org", PASSWORD)
    do_add_member(apollo.team, user, Role.VIEWER, actor=SETUP)
    return user


@pytest.fixture
def charlie(db: None) -> User:
    """The owner of borealis, an outsider to apollo."""
    return User.objects.create_user("charlie@example.org", PASSWORD)


@pytest.fixture
def borealis(charlie: User) -> Project:
    """Charlie's project."""
    team = do_create_team("Team B", charlie, actor=SETUP)
    return do_create_project(team, "Borealis", actor=SETUP)


@pytest.fixture
def apollo_key(apollo: Project) -> str:
    """A key of apollo with every scope."""
    return do_create_key(apollo, "all scopes", Scope, actor=SETUP)[1]


@pytest.fixture
def borealis_key(borealis: Project) -> str:
    """A key of borealis with every scope."""
    return do_create_key(borealis, "all scopes", Scope, actor=SETUP)[1]
