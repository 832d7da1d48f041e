"""What the request path keeps in memory: keys, budgets, policies, routing tables and prices.

Nothing here is queried twice within one *generation* of the store (see `lib.store`), so a warm
request asks the database nothing. A change anywhere moves the generation on, and the next request
of every process reads afresh.
"""

import threading
import time
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from django.conf import settings
from django.db import InterfaceError, OperationalError
from django.utils import timezone

from leaderboard.queries import current_table
from leaderboard.table import Table
from lib.store import LOCAL_REFRESH_SECONDS, StoreUnavailable, get_store
from routing import failing, session_failures, sessions
from routing.budgets import Limit, Spent, ruling
from routing.engine.escalation import NOTHING_REPORTED, Reports
from routing.engine.inputs import Rules, Session
from routing.live_evidence import combine
from routing.models import Mode, Policy
from routing.queries.budgets import limits_over
from routing.queries.outcomes import team_outcomes
from routing.queries.policies import InForce, in_force
from teams import keys
from teams.queries import KeyHolder, verify_key

AWAY = (OperationalError, InterfaceError)
# A change that could not be announced, because the store was away, is noticed after this long.
MAX_AGE_SECONDS = 60
# So long a database that was away is not asked again.
AWAY_SECONDS = 2
# The beginnings of SQLSTATE codes of a connection that fails, and of a server that stops or starts.
NO_CONNECTION, SHUT_DOWN = "08", "57P"

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


@dataclass
class Memory:
    """One generation's keys, budgets, policies and each team's table, and what else is remembered.

    And the last one before it in which the database answered, with the one before that, to fall
    back on.
    """

    generation: str
    previous: "Memory | None" = None
    made_at: float = field(default_factory=time.monotonic)
    holders: dict[str, KeyHolder | None] = field(default_factory=dict)
    limits: dict[str, tuple[Limit, ...]] = field(default_factory=dict)
    rules: dict[int, Rules] = field(default_factory=dict)
    tables: dict[int, Table | None] = field(default_factory=dict)
    live_tables: dict[int, Table | None] = field(default_factory=dict)
    others: dict[str, dict[str, Any]] = field(default_factory=dict)
    reached: bool = False
    away_until: float = 0.0

    def is_current(self, generation: str) -> bool:
        """Tell whether this may still be acted on."""
        return generation == self.generation and time.monotonic() <= self.made_at + MAX_AGE_SECONDS


@dataclass(frozen=True)
class Situation:
    """Everything that one route request needs to know."""

    holder: KeyHolder
    rules: Rules
    table: Table | None
    session: Session | None
    reports: Reports = NOTHING_REPORTED
    spent: Spent | None = None


_lock = threading.Lock()
_memory = Memory("")


def situation(token: str, session_id: str | None) -> Situation | None:
    """Return what a request of this key and session stands on; None when the key is not valid.

    One trip to the store; the database is asked only for what this generation has not seen yet.
    Without the store, sessions are not known and changes are noticed within seconds. Without the
    database, the generation before is good enough; django.db's OperationalError or InterfaceError
    is raised only for what neither has seen.
    """
    memory = _memory
    holder = recall(memory, token)
    if holder is None:
        return None
    now = timezone.now()
    counters = [limit.counter(now) for limit in limits_of(memory, holder)]
    wanted = [*counters, failing.key(holder.team_id)]
    if session_id:
        wanted.append(sessions.key(holder.project_id, session_id))
        wanted.append(session_failures.key(holder.project_id, session_id))
    try:
        fetched = get_store(settings.REDIS_URL).fetch(*wanted)
        generation, values = fetched.generation, fetched.values
    except StoreUnavailable:
        generation, values = without_store(), (None,) * len(wanted)
    counted = {
        name: None if value is None else int(value)
        for name, value in zip(counters, values, strict=False)
    }
    scores, *kept = values[len(counters) :]
    state, failed = kept or (None, None)
    if not memory.is_current(generation):
        memory = renew(generation)
        holder = recall(memory, token)
        if holder is None:
            return None
    rules = rules_of(memory, holder.project_id)
    return Situation(
        holder,
        rules,
        (live_table_of if rules.live_evidence else table_of)(memory, holder.team_id),
        sessions.decode(state),
        reports_of(scores, failed),
        ruling(limits_of(memory, holder), counted, now),
    )


def without_store() -> str:
    """Return a generation that lasts for a moment, since nobody can tell when the true one ends."""
    return f"away.{int(time.monotonic() / LOCAL_REFRESH_SECONDS)}"


def refresh() -> Memory:
    """Return the memory of the present generation: one trip to the store."""
    try:
        generation = get_store(settings.REDIS_URL).fetch().generation
    except StoreUnavailable:
        generation = without_store()
    return _memory if _memory.is_current(generation) else renew(generation)


def holder_of(token: str) -> KeyHolder | None:
    """Return the holder of a key, None when it is not valid: one trip to the store.

    As in `situation`, the database need not be there.
    """
    return recall(refresh(), token)


def limits_known(holder: KeyHolder) -> tuple[Limit, ...]:
    """Return the budgets that a key's requests count towards, from memory."""
    return limits_of(_memory, holder)


def remembered(
    kind: str, names: Iterable[str], load: Callable[[set[str]], Mapping[str, Value]]
) -> dict[str, Value]:
    """Return values of a kind by their names, from memory but for those that only `load` knows.

    What `load` does not return either is left out, and asked for again the next time.
    """
    held: dict[str, Value] = _memory.others.setdefault(kind, {})
    wanted = set(names)
    if missing := wanted - held.keys():
        held |= ask_database(lambda: load(missing))
    return {name: held[name] for name in wanted if name in held}


def reports_of(scores: bytes | None, failed: bytes | None) -> Reports:
    """Return what counts against models now."""
    if scores is None and failed is None:
        return NOTHING_REPORTED
    out = failing.failing(failing.decode(scores), time.time_ns() // 1_000_000)
    return Reports(session_failures.decode(failed), frozenset([one.model for one in out]))


def renew(generation: str) -> Memory:
    """Start a new generation's memory, once, whichever thread comes first."""
    global _memory
    with _lock:
        if not _memory.is_current(generation):
            # One that could load nothing, because the database was away, is no help later either.
            last = _memory if _memory.reached else _memory.previous
            _memory = Memory(generation, previous=last)
            # A short one need not have seen all that the one before it had.
            if last is not None and last.previous is not None:
                last.previous.previous = None
        return _memory


def recall(memory: Memory, token: str) -> KeyHolder | None:
    """Return the holder of a key, None when it is not valid.

    That is asked for every time, but remembered of a key that was valid before: while the database
    is away it must not be so again.
    """
    digest = keys.digest(token, settings.API_KEY_SECRET)
    holder = loaded(memory, memory.holders, "holders", digest, lambda: verify_key(token))
    if holder is None and not any(digest in one.holders for one in older(memory)):
        memory.holders.pop(digest, None)
    return holder


def older(memory: Memory) -> Iterator[Memory]:
    """Yield the generations to fall back on, the newest first."""
    before = memory.previous
    while before is not None:
        yield before
        before = before.previous


def limits_of(memory: Memory, holder: KeyHolder) -> tuple[Limit, ...]:
    """Return the budgets that a key's requests count towards."""
    return loaded(memory, memory.limits, "limits", holder.key_id, lambda: limits_over(holder))


def rules_of(memory: Memory, project_id: int) -> Rules:
    """Return the rules of a project's policy in force."""
    return loaded(
        memory, memory.rules, "rules", project_id, lambda: rules_in_force(in_force(project_id))
    )


def table_of(memory: Memory, team_id: int) -> Table | None:
    """Return the table that routes for a team, None when none is published."""
    return loaded(memory, memory.tables, "tables", team_id, lambda: current_table(team_id))


def loaded(
    memory: Memory, held: dict[Key, Value], part: str, key: Key, load: Callable[[], Value]
) -> Value:
    """Return what a part of memory holds of a key, asking the database where it does not.

    While the database is away that is what the last generation held that knew it.
    """
    if key not in held:
        try:
            held[key] = asked(memory, load)
        except AWAY:
            for one in older(memory):
                before: dict[Key, Value] = getattr(one, part)
                if key in before:
                    return before[key]
            raise
    return held[key]


def asked(memory: Memory, ask: Callable[[], Value]) -> Value:
    """Return what a function returns that needs the database, or raise one of `AWAY`.

    A database that is away is asked again only after a while, since a host that does not answer
    takes seconds each time.
    """
    if time.monotonic() < memory.away_until:
        raise OperationalError("The database was away a moment ago.")
    try:
        found = ask()
    except AWAY as error:
        if is_unreachable(error):
            memory.away_until = time.monotonic() + AWAY_SECONDS
        raise
    memory.reached = True
    return found


def is_unreachable(error: Exception) -> bool:
    """Tell whether there was no connection, rather than a query that failed, as in a deadlock."""
    state = getattr(error.__cause__, "sqlstate", None) or NO_CONNECTION
    return str(state).startswith((NO_CONNECTION, SHUT_DOWN))


def ask_database(ask: Callable[[], Value]) -> Value:
    """Return what a function returns that needs the database, or raise one of `AWAY`: at once where
    a request before has just found it away.
    """
    return asked(_memory, ask)


def rules_in_force(found: InForce) -> Rules:
    """Return what is in force as the engine reads it."""
    return as_rules(found.policy, found.team_mode)


def live_table_of(memory: Memory, team_id: int) -> Table | None:
    """Return the table that routes for a team, with its outcomes from live use in it."""
    table = table_of(memory, team_id)

    def combined() -> Table | None:
        outcomes = team_outcomes(team_id, timezone.now().date()) if table else ()
        return combine(table, outcomes) if table and outcomes else table

    try:
        return loaded(memory, memory.live_tables, "live_tables", team_id, combined)
    except AWAY:
        return table


def table_for(rules: Rules, team_id: int) -> Table | None:
    """Return the table that routes for a team under some rules, read afresh."""
    return (live_table_of if rules.live_evidence else table_of)(Memory("afresh"), team_id)


def as_rules(policy: Policy, team_mode: str = Mode.DEFAULT) -> Rules:
    """Return a policy as the engine reads it.

    The default mode is the team's, and that of a team without one Auto Efficient.
    """
    mode = team_mode if policy.mode == Mode.DEFAULT else policy.mode
    return Rules(
        version=policy.public_id,
        mode=str(Mode.AUTO_EFFICIENT if mode == Mode.DEFAULT else Mode(mode)),
        quality_bar=policy.quality_bar,
        evidence=policy.evidence,
        confidence_threshold=policy.confidence_threshold,
        allowed=frozenset(policy.allowed_models),
        denied=frozenset(policy.denied_models),
        balanced_models=tuple(policy.balanced_models),
        baseline_model=policy.baseline_model,
        live_evidence=policy.live_evidence,
        accuracy_floor=policy.accuracy_floor,
        success_price_micro_usd=policy.success_price_micro_usd,
        price_ceiling_micro_usd=policy.price_ceiling_micro_usd,
        overrides=tuple(sorted(policy.route_overrides.items())),
    )
