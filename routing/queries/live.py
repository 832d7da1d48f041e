"""What the request path keeps in memory: keys, policies and the routing table.

Nothing here is queried twice within one *generation* of the store (see `lib.store`), so a warm
request asks the database nothing. A change anywhere moves the generation on, and the next request
of every process reads afresh.
"""

import threading
import time
from dataclasses import dataclass, field

from django.conf import settings

from leaderboard.queries import current_table
from leaderboard.table import Table
from lib.store import LOCAL_REFRESH_SECONDS, StoreUnavailable, get_store
from routing import sessions
from routing.engine.inputs import Rules, Session
from routing.models import Mode, Policy
from routing.queries.policies import current_policy
from teams import keys
from teams.queries import KeyHolder, verify_key

# A change that could not be announced, because the store was away, is noticed after this long.
MAX_AGE_SECONDS = 60


@dataclass
class Memory:
    """One generation's keys, policies and table."""

    generation: str
    made_at: float = field(default_factory=time.monotonic)
    holders: dict[str, KeyHolder] = field(default_factory=dict)
    rules: dict[int, Rules] = field(default_factory=dict)
    table: Table | None = None
    table_loaded: bool = False


@dataclass(frozen=True)
class Situation:
    """Everything that one route request needs to know."""

    holder: KeyHolder
    rules: Rules
    table: Table | None
    session: Session | None


_lock = threading.Lock()
_memory = Memory("")


def situation(token: str, session_id: str | None) -> Situation | None:
    """Return what a request of this key and session stands on; None when the key is not valid.

    One trip to the store; the database is asked only for what this generation has not seen yet.
    Without the store, sessions are not known and changes are noticed within seconds.
    """
    memory = _memory
    digest = keys.digest(token, settings.API_KEY_SECRET)
    holder = memory.holders.get(digest) or verify_key(token)
    if holder is None:
        return None
    key = sessions.key(holder.project_id, session_id) if session_id else ""
    try:
        fetched = get_store(settings.REDIS_URL).fetch(key)
        generation, state = fetched.generation, fetched.value
    except StoreUnavailable:
        generation, state = f"away.{int(time.monotonic() / LOCAL_REFRESH_SECONDS)}", None
    if generation != memory.generation or time.monotonic() > memory.made_at + MAX_AGE_SECONDS:
        memory = renew(generation)
        holder = verify_key(token)
        if holder is None:
            return None
    memory.holders[digest] = holder
    if not memory.table_loaded:
        memory.table, memory.table_loaded = current_table(), True
    if holder.project_id not in memory.rules:
        memory.rules[holder.project_id] = as_rules(current_policy(holder.project_id))
    session = sessions.decode(state) if session_id else None
    return Situation(holder, memory.rules[holder.project_id], memory.table, session)


def renew(generation: str) -> Memory:
    """Start a new generation's memory, once, whichever thread comes first."""
    global _memory
    with _lock:
        stale = time.monotonic() > _memory.made_at + MAX_AGE_SECONDS
        if stale or _memory.generation != generation:
            _memory = Memory(generation)
        return _memory


def as_rules(policy: Policy) -> Rules:
    """Return a policy as the engine reads it. The default mode is Auto Efficient."""
    mode = Mode.AUTO_EFFICIENT if policy.mode == Mode.DEFAULT else Mode(policy.mode)
    return Rules(
        version=policy.public_id,
        mode=mode.value,
        quality_bar=policy.quality_bar,
        evidence=policy.evidence,
        confidence_threshold=policy.confidence_threshold,
        allowed=frozenset(policy.allowed_models),
        denied=frozenset(policy.denied_models),
        balanced_model=policy.balanced_model,
        baseline_model=policy.baseline_model,
    )
