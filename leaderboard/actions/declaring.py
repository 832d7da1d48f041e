"""Which benchmark a run belongs to, and new benchmarks that come with their route."""

from dataclasses import replace

from leaderboard.models import Benchmark
from leaderboard.sources import ParsedRun
from leaderboard.sources.own import TEAM_PREFIX
from teams.actions import Actor, audit
from teams.models import Team


class NoBenchmark(Exception):
    """The run belongs to no benchmark; the message says how to mend that."""


def own_slug(team: Team, slug: str) -> str:
    """Return what a team's own benchmark is called, different for every team and slug."""
    return f"{TEAM_PREFIX}{team.slug}--{slug}"


def do_find_benchmark(
    run: ParsedRun, benchmarks: dict[str, Benchmark], *, team: Team | None, actor: Actor
) -> ParsedRun:
    """Return the run under the slug of a benchmark that is in `benchmarks`.

    A benchmark that is new and comes with a route is made and added there; a team's is its own.
    Call it in a transaction. Raises NoBenchmark.
    """
    if run.benchmark.startswith(TEAM_PREFIX):
        raise NoBenchmark(f"benchmark begins with {TEAM_PREFIX}, which is kept for teams")
    slug = own_slug(team, run.benchmark) if team else run.benchmark
    for known in filter(None, map(benchmarks.get, (slug, run.benchmark))):
        if run.route and run.route != known.route:
            raise NoBenchmark(f"{run.benchmark} measures {known.route}, not {run.route}")
        return replace(run, benchmark=known.slug)
    if not run.route:
        how = "name its route in the run" if team else "give it a route in the admin first"
        raise NoBenchmark(f"unknown benchmark {run.benchmark}: {how}")
    stated = {"name": run.benchmark, "route": run.route}
    benchmarks[slug], made = Benchmark.objects.get_or_create(slug=slug, defaults=stated)
    if made:
        audit(actor, "benchmark.declared", slug, team=team, route=run.route)
    return replace(run, benchmark=slug)
