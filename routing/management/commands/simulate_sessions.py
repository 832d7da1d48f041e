"""Compare rules for when a session changes its model, on simulated agent sessions."""

import json
from dataclasses import replace
from typing import Any

import numpy as np
from django.core.management.base import BaseCommand, CommandError, CommandParser

from routing.management.commands.evaluate_routing import CONFUSION, read_confusion
from routing.proof.scratch import ScratchFailed, bundled
from routing.queries.live import as_rules
from routing.queries.policies import default_policy
from routing.simulation.contest import Contest, NoModel, Outcome, Traffic, compare, traffic_of
from routing.simulation.traffic import Readings, simulate


class Command(BaseCommand):
    """``manage.py simulate_sessions``."""

    help = (
        "Simulate agent sessions over the table that the bundled figures give, and report what"
        " rules for changing a session's model spend, lose to cold caches, and achieve. Reads and"
        " writes no database of yours."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the arguments."""
        parser.add_argument("--sessions", type=int, default=10_000)
        parser.add_argument("--seed", type=int, default=1)
        parser.add_argument("--quality-bar", type=float, help="Default: the default policy's.")
        parser.add_argument("--json", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        """Simulate and print."""
        if options["sessions"] < 1:
            raise CommandError("--sessions must be at least 1.")
        rules = as_rules(default_policy())
        if options["quality_bar"] is not None:
            rules = replace(rules, quality_bar=options["quality_bar"])
        try:
            confusion, measured_on = read_confusion(CONFUSION)
            sessions = simulate(
                np.random.default_rng(options["seed"]), options["sessions"], Readings(confusion)
            )
            outcomes = compare(Contest(bundled(), rules), sessions)
        except (ScratchFailed, NoModel, OSError, ValueError) as error:
            raise CommandError(str(error)) from error
        traffic = traffic_of(sessions)
        if options["json"]:
            told = {name: outcome._asdict() for name, outcome in outcomes.items()}
            self.stdout.write(json.dumps({"traffic": traffic._asdict(), "rules": told}, indent=2))
        else:
            self.stdout.write(as_text(traffic, outcomes, measured_on))


def as_text(traffic: Traffic, outcomes: dict[str, Outcome], measured_on: str) -> str:
    """Return the comparison as Markdown."""
    lines = [
        f"{traffic.sessions:,} sessions: a median of {traffic.requests:.0f} requests, a median"
        f" context of {traffic.context:,.0f} tokens, {traffic.idle:.0%} of the turns after the"
        f" first begin with a cold cache, {traffic.read:.0%} of the requests come with new words.",
        f"Routes are confused as in {measured_on}.",
        "",
        "| rule | switches a session | switches in 8 h | spent a session | lost to cold caches |"
        " expected quality | dearer than the session rule | better than the session rule |",
        "|---|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {name} | {one.switches_per_session:.2f} | {one.switches_per_day:.1f} |"
        f" ${one.spent_per_session:.3f} | ${one.lost_per_session:.3f} | {one.quality:.4f} |"
        f" {'' if number == 0 else f'${one.dearer[0]:.3f} ± {one.dearer[1]:.3f}'} |"
        f" {'' if number == 0 else f'{one.better[0]:+.4f} ± {one.better[1]:.4f}'} |"
        for number, (name, one) in enumerate(outcomes.items())
    ]
    return "\n".join(lines)
