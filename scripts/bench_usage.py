"""Measure usage at size (`make bench-usage`): the whole pipeline, the pages, the CSV.

Everything runs against a throw-away PostgreSQL and Redis, served as in production. The events are
made up: 10 million over 90 days in 100 projects, of which one has a fifth, and as many decisions.
Pages are measured at a tenth of that as well, so that their growth can be told. `ARGS="--events N"`
makes it smaller.
"""

import argparse
import contextlib
import datetime as dt
import http.client
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import psutil
import psycopg
from django.db.backends.base.base import BaseDatabaseWrapper
from production_env import production_env
from psycopg import sql
from psycopg.conninfo import make_conninfo
from servers import (
    ROOT,
    Server,
    adopt_orphans,
    clean_up_on_signals,
    end_leftovers,
    free_port,
    postgres_server,
    redis_server_of,
    site,
)

DAYS, PROJECTS, LARGEST = 90, 100, 0.2
REPEATS = 100
CSV_ROWS = 1_000_000
INGESTED, SENDERS, ROUNDS = 1_000_000, 8, 3
RANGES = ("24h", "30d", "90d")

# What calls look like: few models take most of them, and most of them end well.
CALLS = """
INSERT INTO usage_usageevent (project_id, event_id, key_id, decision_id, session_id, occurred_at,
    received_at, model, route, mode, reason_code, status, outcome, input_tokens, cache_read_tokens,
    cache_write_tokens, output_tokens, reasoning_tokens, latency_ms, cost_micro_usd,
    reported_cost_micro_usd, cost_differs, baseline_cost_micro_usd)
SELECT p, 'bench-' || n, 'key_' || p || '_' || floor(4 * random() ^ 2), 'dec_bench' || n,
    's' || n / 12, at, at, 'lab/model-' || floor(12 * m), routes[1 + floor(18 * r ^ 2)],
    'auto_efficient', reasons[1 + floor(6 * random() ^ 2)],
    CASE WHEN random() < 0.97 THEN 'ok' ELSE 'error' END, '', 500 + 9000 * random(),
    20000 * random(), 1000 * random(), 100 + 1500 * random(), 200 * random(),
    exp(8 + random() + random()), 100 + 20000 * m, NULL, false, 200 + 40000 * m
FROM (
    SELECT n, {start}::timestamptz + random() * interval '{days} days' AS at,
        CASE WHEN random() < {largest} THEN {first} ELSE {first} + floor({others} * random()) + 1
        END::bigint AS p, random() ^ 2 AS m, random() AS r
    FROM generate_series({since}, {until}) AS n
) AS made, (SELECT array{routes} AS routes, array{reasons} AS reasons) AS names
"""
IDS = """
INSERT INTO usage_reportedevent (key)
SELECT gen_random_uuid() FROM generate_series({since}, {until})
"""
DECISIONS = """
INSERT INTO routing_decision (public_id, project_id, key_id, session_id, created_at, model,
    reason_code, reason_text, task_type, subtask_type, difficulty, confidence, accuracy,
    accuracy_low, accuracy_high, cost_micro_usd, baseline_cost_micro_usd, mode, policy_version,
    table_version, sticky, switched, switch_reason, evidence)
SELECT decision_id, project_id, key_id, session_id, occurred_at, model, reason_code, 'made up',
    split_part(route, '/', 1), split_part(route, '/', 2), 'medium', 0.9, 0.8, 0.7, 0.9,
    cost_micro_usd, baseline_cost_micro_usd, mode, 'pol_default', 'tbl_bench', random() < 0.6,
    random() < 0.05, '', '{{}}'
FROM usage_usageevent WHERE id > {after}
"""
# Decisions with some ids, as `DECISIONS`.
MADE = """
INSERT INTO routing_decision (public_id, project_id, key_id, session_id, created_at, model,
    reason_code, reason_text, task_type, subtask_type, difficulty, confidence, accuracy,
    accuracy_low, accuracy_high, cost_micro_usd, baseline_cost_micro_usd, mode, policy_version,
    table_version, sticky, switched, switch_reason, evidence)
SELECT id, {project}, 'key_bench', 's' || n / 12, now(), 'lab/model-' || mod(n - 1, 12),
    'cheapest_clearing', 'made up', 'debugging', 'bug_fixing', 'medium', 0.9, 0.8, 0.7, 0.9, 1000,
    5000, 'auto_efficient', 'pol_default', 'tbl_bench', false, false, '', '{{}}'
FROM unnest(%s::text[]) WITH ORDINALITY AS made (id, n)
"""


def say(name: str, value: str) -> None:
    """Print one figure."""
    print(f"{name:58} {value}", flush=True)


def fill(until: int, first: int) -> None:
    """Put made-up calls and decisions up to a number into the database and roll them up."""
    from django.db import connection, transaction

    from lib.taxonomy import ROUTES
    from routing.models import StaleHour
    from usage.actions.rolling import do_roll_up
    from usage.models import UsageEvent

    reasons = ["cheapest_clearing", "sticky", "standing_choice", "low_confidence", "bar_too_dear"]
    names = {
        "start": "'" + (midnight() - dt.timedelta(days=DAYS - 1)).isoformat() + "'",
        "days": DAYS - 1 + hours_today() / 24,
        "largest": LARGEST,
        "first": first,
        "others": PROJECTS - 1,
        "routes": list(ROUTES),
        "reasons": [*reasons, "nothing_clears"],
    }
    since = UsageEvent.objects.count() + 1
    step = 500_000
    with connection.cursor() as cursor:
        for begin in range(since, until + 1, step):
            span = {"since": begin, "until": min(begin + step - 1, until)}
            cursor.execute("SELECT coalesce(max(id), 0) FROM usage_usageevent")
            (after,) = cursor.fetchone()
            with transaction.atomic():
                cursor.execute(CALLS.format(**names, **span))
                cursor.execute(IDS.format(**span))
                cursor.execute(DECISIONS.format(after=after))
        cursor.execute(
            "INSERT INTO routing_stalehour (project_id, hour)"
            " SELECT DISTINCT project_id, date_trunc('hour', occurred_at) FROM usage_usageevent"
        )
        cursor.execute("VACUUM ANALYZE usage_usageevent")
        cursor.execute("VACUUM ANALYZE routing_decision")
    before = time.monotonic()
    marks = StaleHour.objects.count()
    do_roll_up()
    seconds = time.monotonic() - before
    say(f"all {marks:,} hours of projects rolled up anew", f"{seconds:.0f} s")
    with connection.cursor() as cursor:
        for table in ("usagehour", "usageday", "hourmargin", "daymargin"):
            cursor.execute(f"VACUUM ANALYZE usage_{table}")


def midnight() -> dt.datetime:
    """The beginning of today, UTC."""
    from django.utils import timezone

    return timezone.now().replace(hour=0, minute=0, second=0, microsecond=0)


def hours_today() -> float:
    """How much of today is over, in hours."""
    from django.utils import timezone

    return (timezone.now() - midnight()).total_seconds() / 3600


def copied(name: str) -> BaseDatabaseWrapper:
    """Copy the database as it is now, and return a connection to the copy."""
    from django.db import connection, connections

    connection.close()  # since nobody may look at what is copied
    source = connection.settings_dict
    elsewhere = make_conninfo(
        **{key: source[key.upper()] for key in ("host", "port", "user", "password")},
        dbname="template1",
    )
    with psycopg.connect(elsewhere, autocommit=True) as server:
        both = [sql.Identifier(one) for one in (name, source["NAME"])]
        server.execute(sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(*both))
    connections.databases[name] = {**source, "NAME": name}
    return connections.create_connection(name)


def measure_pages(client: Any, slug: str, tenth: BaseDatabaseWrapper) -> None:
    """Measure the usage page and the list behind it, with a tenth of the calls and with all of them
    by turns, since a machine that others use is quicker now and slower then.
    """
    from django.db import connections

    databases = (tenth, connections["default"])
    say("server time, ms", f"{'at a tenth':^17}{'at all':^17}")
    say("", f"{'p50':>8}{'p95':>8} {'p50':>8}{'p95':>8}   p50, times that at a tenth")
    for name, address in {
        **{f"usage page, {one} by model": f"usage/?range={one}&group=model" for one in RANGES},
        "usage page, 30d by route and model": "usage/?range=30d&group=route&then=model",
        "requests behind a point (one day, one model)": "usage/events/?range=24h&model=lab/model-0",
        "requests of 90 days, one rare model": "usage/events/?range=90d&model=lab/model-11",
    }.items():
        times: tuple[list[float], list[float]] = ([], [])
        for _ in range(REPEATS + 1):
            for found, database in zip(times, databases, strict=True):
                connections["default"] = database
                found.append(server_ms(partial(client.get, f"/projects/{slug}/{address}")))
        # The first, cold ones are left out.
        (p50, slow), (p50_of_all, slow_of_all) = ((median(one[1:]), p95(one[1:])) for one in times)
        figures = f"{p50:8.1f}{slow:8.1f} {p50_of_all:8.1f}{slow_of_all:8.1f}"
        say(name, f"{figures}   {p50_of_all / p50:.2f}")


def server_ms(get: Callable[[], Any]) -> float:
    """Return the server time of a page, in ms."""
    before = time.perf_counter()
    answer = get()
    assert answer.status_code == 200, answer.content[:500]
    return (time.perf_counter() - before) * 1000


def p95(times: list[float]) -> float:
    """Return the 95th percentile."""
    return sorted(times)[round(0.95 * (len(times) - 1))]


def measure_csv(port: int, key: str, serving: Server) -> None:
    """Download the rows of the largest project as CSV and watch the server's memory."""
    assert serving.process is not None
    processes = psutil.Process(serving.process.pid).children(recursive=True)
    before = {one.pid: one.memory_info().rss for one in processes}
    most, over = dict(before), threading.Event()

    def watch() -> None:
        while not over.wait(0.05):
            for one in processes:
                most[one.pid] = max(most[one.pid], one.memory_info().rss)

    watcher = threading.Thread(target=watch)
    watcher.start()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    headers = {"Authorization": f"Bearer {key}"}
    for _ in range(8):  # so that each process has loaded what it needs
        connection.request("GET", "/api/v1/usage/export.csv?range=24h", headers=headers)
        connection.getresponse().read()
    began = time.monotonic()
    connection.request("GET", "/api/v1/usage/export.csv?rows=events&range=90d", headers=headers)
    answer = connection.getresponse()
    answer.read(1)
    first_byte = time.monotonic() - began
    lines, size = 0, 1
    while lines < CSV_ROWS and (chunk := answer.read(1 << 16)):
        lines, size = lines + chunk.count(b"\n"), size + len(chunk)
    seconds = time.monotonic() - began
    over.set()
    watcher.join()
    connection.close()
    grown = max(most[pid] - before[pid] for pid in before) / 2**20
    say(
        f"CSV of {lines:,} rows ({size / 2**20:.0f} MB)",
        f"first byte {first_byte * 1000:.0f} ms, {seconds:.1f} s, memory of the process"
        f" {max(most.values()) / 2**20:.0f} MB, {grown:+.0f} MB meanwhile",
    )


SENDER = """
import http.client, json, sys, time
port, key, first, count, name = int(sys.argv[1]), sys.argv[2], *map(int, sys.argv[3:5]), sys.argv[5]
named = json.loads(sys.stdin.readline())
made = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
bodies = [
    json.dumps({"events": [
        {"event_id": f"{name}-{number}", "model": f"lab/model-{number % 12}",
         "session_id": f"s{number % 50}", "occurred_at": made, "input_tokens": 1200,
         "cache_read_tokens": 30000, "output_tokens": 450, "latency_ms": 5200,
         "status": "error" if number % 33 == 0 else "ok",
         **({"decision_id": named[number - first]} if named else {})}
        for number in range(begin, begin + 1000)]}).encode()
    for begin in range(first, first + count, 1000)
]
print("ready", flush=True)
sys.stdin.readline()
connection = http.client.HTTPConnection("127.0.0.1", port)
headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
for body in bodies:
    connection.request("POST", "/api/v1/usage", body, headers)
    answer = connection.getresponse().read()
    assert answer.startswith(b'{"accepted":1000,'), answer[:1000]
"""


def measure_ingestion(port: int, key: str, project: Any) -> None:
    """Report events that name no decision, and such that name one each, by turns, since tables grow
    meanwhile. Several times, since other users of a machine slow it down, and never make it faster.
    """
    # The first ones find everything cold.
    ingest(port, key, "warm", [], INGESTED // 25)
    rates: dict[str, list[tuple[float, float]]] = {"plain": [], "decided": []}
    for turn in range(ROUNDS):
        for kind, found in rates.items():
            named = decided(project) if kind == "decided" else []
            accepted, recorded = ingest(port, key, f"{kind}-{turn}", named, INGESTED)
            found.append((INGESTED / recorded, INGESTED / accepted))
    for kind, found in rates.items():
        (best, accepted_rate), *others = sorted(found, reverse=True)
        which = "events that name a decision" if kind == "decided" else "events"
        say(
            f"ingestion of {INGESTED:,} {which}",
            f"{accepted_rate:,.0f}/s accepted, {best:,.0f}/s until in the table"
            f" (then {', '.join(f'{rate:,.0f}' for rate, _ in others)})",
        )


def ingest(port: int, key: str, name: str, named: list[str], count: int) -> tuple[float, float]:
    """Report events from several clients at once, and wait until all are in the table.

    Event ids begin with `name`, and each event names its own of the decisions `named`, if there
    are any. Return the seconds until the last one was accepted, and until it was recorded.
    """
    from django.conf import settings

    from lib.store import USAGE, RedisStore, get_store
    from usage.models import UsageEvent

    store = get_store(settings.REDIS_URL)
    assert isinstance(store, RedisStore)
    each = count // SENDERS
    senders = [
        subprocess.Popen(
            [sys.executable, "-c", SENDER, str(port), key, str(each * place), str(each), name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for place in range(SENDERS)
    ]
    for place, sender in enumerate(senders):
        assert sender.stdin is not None
        sender.stdin.write(json.dumps(named[each * place : each * (place + 1)]) + "\n")
        sender.stdin.flush()
    for sender in senders:
        assert sender.stdout is not None
        sender.stdout.readline()
    there = UsageEvent.objects.count()
    began = time.monotonic()
    for sender in senders:
        assert sender.stdin is not None
        sender.stdin.write("go\n")
        sender.stdin.close()
    assert [sender.wait() for sender in senders] == [0] * SENDERS
    accepted = time.monotonic() - began
    # Counting rows all the while would take time from what is measured.
    while store.backlog(USAGE).waiting:
        time.sleep(0.02)
    recorded = time.monotonic() - began
    assert UsageEvent.objects.count() == there + count
    return accepted, recorded


def decided(project: Any) -> list[str]:
    """Make as many decisions as events are reported, for the models that these are of, one after
    the other; return their ids.
    """
    from django.db import connection

    from lib.ids import new_id

    ids = [new_id("dec") for _ in range(INGESTED)]
    with connection.cursor() as cursor:
        cursor.execute(MADE.format(project=project.pk), [ids])
        cursor.execute("VACUUM ANALYZE routing_decision")
    return ids


def forget() -> None:
    """Empty the tables of calls and decisions, and of their sums."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(
            "TRUNCATE usage_usageevent, usage_reportedevent, routing_decision, routing_stalehour,"
            " usage_usagehour, usage_usageday, usage_hourmargin, usage_daymargin"
        )


def prepare() -> tuple[Any, Any, str]:
    """Make the people, projects, models and a key; return the owner, the largest project, a key."""
    from django.utils import timezone

    from leaderboard.models import CatalogModel, Price
    from leaderboard.tests.tables import publish_table, table_bytes
    from lib.partitions import do_make_months
    from teams.actions import SystemActor, do_create_key, do_create_project, do_create_team
    from teams.keys import Scope
    from teams.models import User
    from usage.actions.retention import PARTITIONED

    now = timezone.now()
    for table, column in PARTITIONED:
        do_make_months(table, column, now - dt.timedelta(days=DAYS + 1), now)
    actor = SystemActor("bench")
    owner = User.objects.create_user("bench@example.org", "bench-password-1")
    team = do_create_team("Bench", owner, actor=actor)
    projects = [do_create_project(team, f"Bench {i}", actor=actor) for i in range(PROJECTS)]
    for number in range(12):
        model = CatalogModel.objects.create(
            model_id=f"lab/model-{number}", name=f"Model {number}", provider="lab"
        )
        Price.objects.create(
            model=model,
            valid_from=dt.date(2020, 1, 1),
            input_micro_usd=1_000_000,
            output_micro_usd=5_000_000,
            cache_read_micro_usd=100_000,
            source="bench",
        )
    # The interval of what was saved stands on a table.
    publish_table(
        table_bytes({f"lab/model-{n}": (0.5 + n / 30, 1000.0 * (n + 1)) for n in range(12)})
    )
    _, key = do_create_key(projects[0], "bench", Scope, actor=actor)
    return owner, projects[0], key


def run(events: int) -> None:
    """Measure everything at so many events."""
    with contextlib.ExitStack() as stack:
        temp = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="kilo-bench-")))
        stack.callback(end_leftovers)
        # What they were told they keep, as in production.
        postgres = stack.enter_context(postgres_server(temp, durable=True))
        redis = stack.enter_context(redis_server_of(temp, append_only="everysec"))
        env = {
            **os.environ,
            **production_env(postgres.url, redis.url),
            "HTTPS": "0",
            "VAR_DIR": str(temp / "var"),
            "OPENBLAS_NUM_THREADS": "1",
            "PYTHONWARNINGS": "ignore",
        }
        os.environ.update(env)
        os.environ["DJANGO_SETTINGS_MODULE"] = "kilo_site.settings"
        sys.path.insert(0, str(ROOT))
        subprocess.run([sys.executable, "manage.py", "migrate", "-v0"], env=env, check=True)
        import django

        django.setup()
        from django.test import Client

        owner, project, key = prepare()
        port = free_port()
        serving, worker, beat = site(env, port, temp)
        with serving, worker, beat:
            measure_ingestion(port, key, project)
        forget()
        client = Client()
        client.force_login(owner)
        fill(events // 10, project.pk)
        tenth = copied("tenth")
        fill(events, project.pk)
        measure_pages(client, project.slug, tenth)
        with serving:
            measure_csv(port, key, serving)


def main(arguments: list[str]) -> int:
    """Run everything and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=10_000_000)
    events = parser.parse_args(arguments).events
    clean_up_on_signals()
    adopt_orphans()
    try:
        run(events)
    except KeyboardInterrupt:
        print("\nmake bench-usage: interrupted, nothing is left behind", flush=True)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
