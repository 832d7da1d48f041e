"""Measure one decision of the engine (`make bench-decide`): 40 models, 18 routes, 3 difficulties.

Runs in one process, without a database or a store. A line gives the best and the median of many
batches; on a machine that does other work too, the best is the more telling. The last column is the
best in units of a fixed piece of Python, so that figures of different machines can be compared.
"""

import gc
import os
import random
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
os.environ["DJANGO_SETTINGS_MODULE"] = "kilo_site.settings"
BATCHES, CALLS = 2_000, 10
NOW_MS = 1_800_000_000_000
LIMIT_US = 50.0


def timed(work: Callable[[], object]) -> tuple[float, float]:
    """Return best and median over batches of a call's mean duration, in microseconds."""
    work()
    times = []
    gc.disable()
    for _ in range(BATCHES):
        before = time.perf_counter()
        for _ in range(CALLS):
            work()
        times.append((time.perf_counter() - before) / CALLS * 1e6)
    gc.enable()
    times.sort()
    return times[0], times[BATCHES // 2]


def yardstick() -> list[str]:
    """Return forty formatted numbers in order: about what a Python process does anyway."""
    return sorted(f"{number / 7:.3f}" for number in range(40))


def measure() -> float:
    """Print one line per kind of request; return the best of the typical one in microseconds."""
    from leaderboard.tests.tables import make_table
    from lib.taxonomy import DIFFICULTIES, ROUTES
    from routing.engine.classification import Classification
    from routing.engine.decide import decide
    from routing.engine.inputs import Request, Rules, Session
    from routing.engine.outcome import Choice

    draw = random.Random(1)  # noqa: S311
    names = [f"provider-{number % 9}/model-{number}" for number in range(40)]
    cells, models = {}, {}
    for name in names:
        skill, price = draw.uniform(0.35, 0.9), draw.lognormvariate(12, 1.3) * 2
        models[name] = (skill, price)
        for route in ROUTES:
            ease = draw.gauss(0, 0.05)
            for place, difficulty in enumerate(DIFFICULTIES):
                accuracy = min(max(skill + ease + 0.2 * (1 - place), 0.02), 0.98)
                cells[name, route, difficulty] = (accuracy, price * (1 + place / 2))
    table = replace(make_table(models, cells=cells), standing=(names[7],) * len(ROUTES))
    shares = [draw.expovariate(1) * 0.01 for _ in ROUTES]
    shares[3] += 1
    routes = tuple(share / sum(shares) for share in shares)
    levels = (0.2, 0.5, 0.3)
    rules = Rules(
        version="pol_bench",
        mode="auto_efficient",
        quality_bar=0.95,
        evidence=0.5,
        confidence_threshold=0.5,
        allowed=frozenset(),
        denied=frozenset(),
        balanced_models=(names[0],),
        baseline_model=names[1],
    )
    ask = Request(60_000, frozenset({"text"}), needs_tools=True, in_tool_loop=False)
    dearest = max(models, key=lambda name: models[name][1])
    session = Session(dearest, routes, levels, 5, NOW_MS - 10_000)

    def made(request: Request = ask, rules: Rules = rules, known: bool = True) -> Choice:
        reading = Classification(routes, levels)
        choice = decide(request, reading, rules, table, session if known else None, NOW_MS)
        assert isinstance(choice, Choice)
        return choice

    proof = replace(rules, evidence=0.9)
    value, best = (replace(rules, mode=mode) for mode in ("accuracy_per_dollar", "best_accuracy"))
    ladder = replace(ask, verifiable=True)
    unit = timed(yardstick)[0]
    print(f"{'':40} {'best':>8}    {'median':>8}")
    found = []
    for name, work in (
        ("auto_efficient, with a session", made),
        ("auto_efficient, no session", lambda: made(known=False)),
        ("accuracy_per_dollar, with a session", lambda: made(rules=value)),
        ("best_accuracy, with a session", lambda: made(rules=best)),
        ("evidence 0.9, with a session", lambda: made(rules=proof)),
        ("with a verdict on every candidate", lambda: made().candidates),
        ("verifiable, no session", lambda: made(ladder, known=False)),
        ("yardstick", yardstick),
    ):
        least, median = timed(work)
        found.append(least)
        print(f"{name:40} {least:8.1f} us {median:8.1f} us {least / unit:6.2f} x yardstick")
    return found[0]


def main() -> None:
    """Print the figures; exit with 1 when the typical decision takes longer than its limit."""
    with tempfile.TemporaryDirectory(prefix="kilo-bench-") as folder:
        os.environ["VAR_DIR"] = folder
        for name in ("DATABASE_URL", "REDIS_URL"):
            os.environ.pop(name, None)
        import django

        django.setup()
        took = measure()
    if took > LIMIT_US:
        sys.exit(f"A typical decision took {took:.1f} us, more than {LIMIT_US:.0f} us.")


if __name__ == "__main__":
    main()
