"""Prove that the record survives crashes (`make crash-test`).

A site as in production, on a PostgreSQL and a Redis of its own that keep what they are told, is
asked for decisions and told of usage at full speed. Meanwhile the worker, Redis and PostgreSQL are
killed with SIGKILL, one at a time, at moments drawn from `--seed`, and come back after a second or
two. In the end

- all other processes have gone on,
- no request for a decision has failed, and no report of usage but those that name a decision which
  waits in Redis while that is away: they are answered 503 and sent again,
- every decision and every usage event that was acknowledged is in its table exactly once,
- the rollups are the sums of the tables, to the micro-dollar,
- nothing waits in the streams, and nothing was set aside.

Otherwise it prints what differs and ends with exit code 1.
"""

import argparse
import collections
import contextlib
import http.client
import itertools
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import redis
from production_env import production_env
from servers import (
    ROOT,
    NotUsableError,
    Server,
    adopt_orphans,
    clean_up_on_signals,
    end_leftovers,
    free_port,
    postgres_server,
    redis_server_of,
    site,
)

sys.path.insert(0, str(ROOT))
from lib.store import ASIDE, DECISIONS, IDS, REPORTS, USAGE

ROUTERS, REPORTERS, BATCH = 6, 1, 250
# One event in so many names a decision, one of the last that its project got.
NAMES_DECISION, RECENT = 5, 2_000
# One batch in so many is sent again after it was acknowledged.
SENT_AGAIN = 20
# Events are up to so late.
LATE_SECONDS = 6 * 3600
SETTLE_SECONDS = 300
WORDS = (
    "Rename getCwd to getCurrentDir in all of src/shell.",
    "Why does the nightly build fail on main since Tuesday?",
    "Plan the move of the payment service to a database of its own.",
    "Write tests for the date parser.",
)
# Two teams. The hours of one's clock are half an hour off those of UTC.
PREPARE = """
from kilo_site.first_run import ACTOR, prepare
from leaderboard.models import CatalogModel
from teams.actions import do_create_key, do_create_project, do_create_team
from teams.keys import Scope
from teams.models import User
first = prepare()
team = do_create_team("Half an hour off", User.objects.get(email=first.email), actor=ACTOR)
team.time_zone = "Asia/Kolkata"
team.save()
project = do_create_project(team, "Its project", actor=ACTOR)
print(first.api_key, do_create_key(project, "Its key", list(Scope), actor=ACTOR)[1])
models = CatalogModel.objects.filter(prices__isnull=False).distinct()
print(*models.values_list("model_id", flat=True)[:8])
"""
DIMENSIONS = "project_id, model, route, mode, reason_code, key_id, status"
SUMS = (
    "requests, unpriced, cost_micro_usd, compared_cost_micro_usd, baseline_cost_micro_usd,"
    " input_tokens, cache_read_tokens, cache_write_tokens, output_tokens, reasoning_tokens,"
    " decisions, switched"
)
# What the rollups ought to be, from the tables alone. `{period}` is made of `at` and `zone`.
OUGHT = f"""
SELECT {{period}} AS period, {DIMENSIONS}, count(*), count(*) - count(cost_micro_usd),
    coalesce(sum(cost_micro_usd), 0),
    coalesce(sum(cost_micro_usd) FILTER (WHERE baseline_cost_micro_usd IS NOT NULL), 0),
    coalesce(sum(baseline_cost_micro_usd), 0), sum(input_tokens), sum(cache_read_tokens),
    sum(cache_write_tokens), sum(output_tokens), sum(reasoning_tokens), 0, 0
FROM (SELECT *, occurred_at AS at FROM usage_usageevent) AS events JOIN zones USING (project_id)
GROUP BY period, {DIMENSIONS}
UNION ALL
SELECT {{period}} AS period, {DIMENSIONS}, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    count(*), count(*) FILTER (WHERE switched)
FROM (
    SELECT project_id, model, mode, reason_code, key_id, '' AS status, switched, created_at AS at,
        CASE WHEN task_type <> '' THEN task_type || '/' || subtask_type ELSE '' END AS route
    FROM routing_decision
) AS decisions JOIN zones USING (project_id)
GROUP BY period, {DIMENSIONS}
"""  # noqa: S608
DIFFERING = f"""
WITH zones AS (
    SELECT teams_project.id AS project_id, time_zone AS zone
    FROM teams_project JOIN teams_team ON teams_team.id = team_id
),
ought AS ({OUGHT}),
found AS (SELECT {{column}}, {DIMENSIONS}, {SUMS} FROM {{table}})
(SELECT 'ought to be', * FROM (SELECT * FROM ought EXCEPT ALL SELECT * FROM found) AS missing)
UNION ALL
(SELECT 'is', * FROM (SELECT * FROM found EXCEPT ALL SELECT * FROM ought) AS surplus)
ORDER BY 2, 3, 4, 5, 6, 7, 8, 9, 1
"""  # noqa: S608
ROLLUPS = {
    "usage_usagehour": ("hour", "date_trunc('hour', at, zone)"),
    "usage_usageday": ("day", "(at AT TIME ZONE zone)::date"),
}
EVERYTHING_UP, FIRST = "everything up", "first answers"


@dataclass
class Traffic:
    """Clients of the site, and what it answered them."""

    port: int
    keys: list[str]
    models: list[str]
    seed: int
    # What is away at the moment.
    away: str = EVERYTHING_UP
    # Released by each client once it has had its first answers.
    warm: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    enough: threading.Event = field(default_factory=threading.Event)
    decisions: set[str] = field(default_factory=set)
    events: set[str] = field(default_factory=set)
    put_off: int = 0
    faults: list[str] = field(default_factory=list)
    # By what was away, how long routing took, in milliseconds.
    route_ms: dict[str, list[float]] = field(default_factory=lambda: collections.defaultdict(list))

    def __post_init__(self) -> None:
        self.recent: dict[str, collections.deque[str]] = {
            key: collections.deque(maxlen=RECENT) for key in self.keys
        }

    @contextlib.contextmanager
    def flowing(self) -> Iterator[None]:
        """Have all clients send until the end of the block, and their last answers."""
        clients = [
            threading.Thread(target=work, args=(self.drawing(work.__name__, n), n))
            for work, count in ((self.route, ROUTERS), (self.report, REPORTERS))
            for n in range(count)
        ]
        for client in clients:
            client.start()
        try:
            yield
        finally:
            self.enough.set()
            for client in clients:
                client.join()

    def drawing(self, *name: object) -> random.Random:
        """Return a generator of its own, the same in every run with the seed."""
        return random.Random(f"{self.seed} {name}")  # noqa: S311

    def route(self, draw: random.Random, client: int) -> None:
        """Ask for one decision after the other."""
        send = self.sender("/api/v1/route")
        # What a process of the site has never seen, it cannot answer while PostgreSQL is away.
        for key in self.keys:
            self.ask(send, key, draw, client, FIRST)
        self.warm.release()
        while not self.enough.is_set():
            self.ask(send, draw.choice(self.keys), draw, client)

    def ask(
        self, send: "Sender", key: str, draw: random.Random, client: int, phase: str = ""
    ) -> None:
        """Ask for a decision, once."""
        body = {
            "messages": [{"role": "user", "content": draw.choice(WORDS)}],
            "session_id": f"{client}-{draw.randrange(500)}",
        }
        before, began = self.away, time.perf_counter()
        status, answer = send(key, body)
        took_ms = (time.perf_counter() - began) * 1000
        phase = phase or (self.away if before == EVERYTHING_UP else before)
        self.route_ms[phase].append(took_ms)
        if status == 200:
            self.decisions.add(answer["id"])
            self.recent[key].append(answer["id"])
        else:
            self.faults.append(f"route, {phase}, after {took_ms:.0f} ms: {status} {answer}")

    def report(self, draw: random.Random, client: int) -> None:
        """Report batch after batch, and some of them again: those that could not be taken, and some
        that were, as a client does that missed the answer.
        """
        send = self.sender("/api/v1/usage")
        again: collections.deque[tuple[str, list[dict[str, Any]]]] = collections.deque()
        for batch in itertools.count():
            if self.enough.is_set() and not again:
                return
            if batch == len(self.keys):
                self.warm.release()
            if again and (self.enough.is_set() or draw.random() < 0.5):
                key, events = again.popleft()
            else:
                key = self.keys[batch] if batch < len(self.keys) else draw.choice(self.keys)
                names = f"{client}-{batch}"
                events = [self.event(draw, key, f"{names}-{place}") for place in range(BATCH)]
            status, answer = send(key, {"events": events})
            if status == 503 and answer["error"]["code"] == "store_unavailable":
                self.put_off += 1
                again.append((key, events))
                time.sleep(0.2)
            elif status == 200:
                self.acknowledge(answer["results"])
                if draw.randrange(SENT_AGAIN) == 0:
                    again.append((key, events))
            else:
                self.faults.append(f"usage, {self.away}: {status} {answer}")

    def acknowledge(self, results: list[dict[str, Any]]) -> None:
        """Take down which events were acknowledged."""
        for result in results:
            if result["status"] == "rejected":
                self.faults.append(f"usage, {self.away}: {result}")
            else:
                self.events.add(result["event_id"])

    def event(self, draw: random.Random, key: str, event_id: str) -> dict[str, Any]:
        """Make up an event."""
        decided = self.recent[key] and draw.randrange(NAMES_DECISION) == 0
        at = time.time() - draw.random() ** 8 * LATE_SECONDS
        return {
            "event_id": event_id,
            "model": draw.choice(self.models),
            "decision_id": draw.choice(self.recent[key]) if decided else None,
            "occurred_at": datetime.fromtimestamp(at, UTC).isoformat(),
            "status": "ok" if draw.random() < 0.97 else "error",
            "outcome": "accepted" if decided and draw.random() < 0.1 else None,
            "input_tokens": draw.randrange(20_000),
            "cache_read_tokens": draw.randrange(50_000),
            "output_tokens": draw.randrange(2_000),
            "latency_ms": draw.randrange(30_000),
        }

    def sender(self, path: str) -> "Sender":
        """Return what posts to a path on one connection; status 0 when there is no answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)

        def send(key: str, body: dict[str, Any]) -> tuple[int, Any]:
            headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
            try:
                connection.request("POST", path, json.dumps(body), headers)
                response = connection.getresponse()
                return response.status, json.loads(response.read())
            except (OSError, http.client.HTTPException, ValueError) as error:
                connection.close()
                return 0, repr(error)

        return send


Sender = Callable[[str, dict[str, Any]], tuple[int, Any]]


def prepare(env: dict[str, str]) -> tuple[list[str], list[str]]:
    """Fill the database; return API keys of two projects, and models with a price."""
    command = [sys.executable, "manage.py", "shell", "--verbosity", "0", "--command", PREPARE]
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True)
    if done.returncode:
        raise NotUsableError(f"the site could not be prepared:\n{done.stderr[-2000:]}")
    *_, keys, models = done.stdout.strip().splitlines()
    return keys.split(), models.split()


class Clock:
    """Prints lines with the seconds since the start."""

    def __init__(self) -> None:
        self.began = time.monotonic()

    def seconds(self) -> float:
        """Return how long ago the start was."""
        return time.monotonic() - self.began

    def say(self, what: str) -> None:
        """Print a line."""
        print(f"{self.seconds():7.1f} s  {what}", flush=True)


def ended(processes: dict[str, Server]) -> list[str]:
    """Tell which processes have ended by themselves."""
    names = [name for name, process in processes.items() if not process.is_running()]
    return [f"the {name} has ended by itself" for name in names]


def havoc(
    victims: dict[str, Server],
    kills: int,
    traffic: Traffic,
    processes: dict[str, Server],
    clock: Clock,
) -> None:
    """Kill each of the victims so often, one at a time, and start it again."""
    draw = traffic.drawing("havoc")
    order = [name for name in victims for _ in range(kills)]
    draw.shuffle(order)
    for name in order:
        time.sleep(draw.uniform(2, 6))
        traffic.faults += ended(processes)
        clock.say(
            f"{name} is killed, at {len(traffic.decisions):,} decisions and"
            f" {len(traffic.events):,} events"
        )
        traffic.away = f"{name} away"
        victims[name].kill()
        time.sleep(draw.uniform(1, 2))
        victims[name].start()
        traffic.away = EVERYTHING_UP
    time.sleep(draw.uniform(2, 6))


def settle(
    database: "psycopg.Connection[Any]",
    store: "redis.Redis",
    clock: Clock,
) -> list[str]:
    """Wait until all that waits is recorded and rolled up; return what is not in time."""
    began = time.monotonic()
    while True:
        left = {
            "entries of the stream of decisions": store.xlen(DECISIONS),
            "entries of the stream of usage": store.xlen(USAGE),
            "batches of reports that are held": store.xlen(REPORTS),
            "ids beside it": store.scard(USAGE + IDS),
            "hours to roll up": number(database, "SELECT count(*) FROM routing_stalehour"),
        }
        if not any(left.values()):
            clock.say(f"settled after {time.monotonic() - began:.1f} s")
            return []
        if time.monotonic() - began > SETTLE_SECONDS:
            return [f"left after {SETTLE_SECONDS} s: {n:,} {name}" for name, n in left.items() if n]
        time.sleep(0.1)


def number(database: "psycopg.Connection[Any]", query: str) -> int:
    """Return the one number that a query gives."""
    row = database.execute(query).fetchone()
    assert row is not None
    return int(row[0])


def differences(
    database: "psycopg.Connection[Any]", store: "redis.Redis", traffic: Traffic
) -> list[str]:
    """Compare what was acknowledged with what is there."""
    found = [
        *compare(database, "decisions", traffic.decisions, "public_id", "routing_decision"),
        *compare(database, "events", traffic.events, "event_id", "usage_usageevent"),
    ]
    for table, (column, period) in ROLLUPS.items():
        rows = database.execute(DIFFERING.format(table=table, column=column, period=period))
        found += [f"{table} {' '.join(map(str, row))}" for row in rows]
    for stream in (DECISIONS, REPORTS, USAGE):
        aside = store.xrange(stream + ASIDE) or []
        found += [f"{stream}: {entry} was set aside" for entry in aside]
    return found


def compare(
    database: "psycopg.Connection[Any]", what: str, acknowledged: set[str], name: str, table: str
) -> list[str]:
    """Tell which of those that were acknowledged are not in a table exactly once."""
    rows = database.execute(f"SELECT {name} FROM {table}")  # noqa: S608
    there = collections.Counter(one for (one,) in rows)
    odd = {
        "missing": acknowledged - there.keys(),
        "there more than once": {one for one, count in there.items() if count > 1},
        "there, but never acknowledged": there.keys() - acknowledged,
    }
    return [
        f"{len(ones):,} {what} {how}, such as {', '.join(sorted(ones)[:5])}"
        for how, ones in odd.items()
        if ones
    ]


def report(traffic: Traffic, seconds: float) -> None:
    """Print what the site was asked and how it did."""
    for what, count in (("decisions", len(traffic.decisions)), ("events", len(traffic.events))):
        print(f"{what + ' acknowledged':28} {count:9,}  {count / seconds:7,.0f}/s")
    print(f"{'batches put off by a 503':28} {traffic.put_off:9,}")
    print(f"\n{'route, ms':28} {'requests':>9} {'p50':>8} {'p99':>8} {'max':>8}")
    for away, times in sorted(traffic.route_ms.items()):
        ranked = sorted(times)
        p50, p99 = (ranked[int(share * len(ranked))] for share in (0.5, 0.99))
        print(f"{away:28} {len(times):9,} {p50:8.1f} {p99:8.1f} {ranked[-1]:8.1f}")
    print()


def run(arguments: argparse.Namespace, temp: Path) -> list[str]:
    """Do it all and return what is not as it should be."""
    clock = Clock()
    with contextlib.ExitStack() as stack:
        postgres = stack.enter_context(postgres_server(temp, durable=True))
        redis_server = stack.enter_context(redis_server_of(temp, append_only=arguments.appendfsync))
        env = os.environ | production_env(postgres.url, redis_server.url)
        env |= {"HTTPS": "0", "VAR_DIR": f"{temp}/var"}
        keys, models = prepare(env)
        port = free_port()
        serving, worker, beat = site(env, port, temp)
        processes = {"site": serving, "worker": worker, "beat": beat}
        for process in processes.values():
            stack.enter_context(process)
        clock.say("the site is up")
        traffic = Traffic(port, keys, models, arguments.seed)
        victims = {"worker": worker, "Redis": redis_server, "PostgreSQL": postgres}
        began = time.monotonic()
        with traffic.flowing():
            for _ in range(ROUTERS + REPORTERS):
                traffic.warm.acquire()
            havoc(victims, arguments.kills, traffic, processes, clock)
            while len(traffic.events) < arguments.events:
                time.sleep(0.1)
        seconds = time.monotonic() - began
        clock.say("all is sent")
        with psycopg.connect(postgres.url, autocommit=True) as database:
            store = redis.Redis.from_url(redis_server.url, decode_responses=True)
            found = settle(database, store, clock)
            found += differences(database, store, traffic)
        print()
        report(traffic, seconds)
        return traffic.faults + found + ended(processes)


def main() -> int:
    """Run the test and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--events", type=int, default=100_000, help="at least so many of usage")
    parser.add_argument("--kills", type=int, default=4, help="of each of the three")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--appendfsync", choices=("everysec", "always"), default="everysec")
    arguments = parser.parse_args()
    clean_up_on_signals()
    adopt_orphans()
    temp = Path(tempfile.mkdtemp(prefix="kilo-crash-"))
    try:
        with contextlib.ExitStack() as stack:
            stack.callback(end_leftovers)
            found = run(arguments, temp)
    except KeyboardInterrupt:
        shutil.rmtree(temp, ignore_errors=True)
        print("\nmake crash-test: interrupted, nothing is left behind", flush=True)
        return 130
    except NotUsableError as error:
        print(f"{error}\nmake crash-test: not done. The logs are in {temp}.")
        return 1
    for one in found[:50]:
        print(one)
    if found:
        print(f"make crash-test: {len(found):,} differences. The logs are in {temp}.")
        return 1
    shutil.rmtree(temp, ignore_errors=True)
    kills = arguments.kills
    print(f"make crash-test: nothing lost, nothing twice, after {kills} kills of each")
    return 0


if __name__ == "__main__":
    sys.exit(main())
