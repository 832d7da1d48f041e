"""What the database would not take: tried again once the cause is mended, or given up."""

from django.conf import settings
from django.db import transaction

from lib.store import RedisStore, get_store
from teams.actions import Actor, audit
from usage.actions.watching import STREAMS


@transaction.atomic
def do_try_again(name: str, *, actor: Actor) -> int:
    """Put all that was set aside of a stream back into it, and return how many events that were.

    What still cannot be recorded is set aside again. Embedded there is nothing. Raises
    StoreUnavailable.
    """
    store = get_store(settings.REDIS_URL)
    if not isinstance(store, RedisStore):
        return 0
    # The store cannot be rolled back, so the audit row comes first.
    if count := store.backlog(STREAMS[name]).aside:
        audit(actor, "record.tried_again", name, events=count)
    return store.try_again(STREAMS[name])


@transaction.atomic
def do_discard(name: str, last: bytes, *, actor: Actor) -> int:
    """Remove what was set aside of a stream up to the place `last` for good, and return how many
    events that were.

    Embedded there is nothing. Raises StoreUnavailable.
    """
    store = get_store(settings.REDIS_URL)
    if not isinstance(store, RedisStore):
        return 0
    # The store cannot be rolled back, so the audit row comes first.
    if count := store.backlog(STREAMS[name]).aside:
        audit(actor, "record.discarded", name, set_aside=count, up_to=last.decode())
    return store.discard(STREAMS[name], last)
