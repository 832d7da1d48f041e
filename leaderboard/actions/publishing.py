"""Publishing: the only way results reach routing."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from django.conf import settings
from django.db import transaction
from django.utils import timezone

from leaderboard import queries, scorecard
from leaderboard import table as tables
from leaderboard.models import (
    PUBLIC,
    CatalogModel,
    CurrentTable,
    Ingestion,
    Price,
    RoutingTable,
    scope_of,
)
from leaderboard.queries import Figure, prices_on
from leaderboard.sources.formats import FORMATS
from leaderboard.standing import standing_models
from lib.taxonomy import DIFFICULTIES, ROUTES
from teams.actions import Actor, SystemActor, announce_change, audit
from teams.models import Team

# How an agent's tokens split, roughly: most are re-read from cache. Only ratios between models
# matter.
TOKEN_MIX = {"cache_read": 0.8, "input": 0.15, "output": 0.05}


class PublishRefused(Exception):
    """No table was published, and the last one stays live. The message says why, and what to do."""


@dataclass(frozen=True)
class Publication:
    """What became of one scope: its table and whether that is new, or why there is none."""

    scope: str
    table: RoutingTable | None
    is_new: bool = False
    refusal: str = ""


def do_publish_all(
    *, actor: Actor, day: dt.date | None = None, after: str = ""
) -> list[Publication]:
    """Publish the public table, then one for every team that has live results of its own.

    A refusal stops none of the others, and leaves an audit row. A team whose results were all
    withdrawn goes back to the public table. `after` names the ingestion that led to it.
    """
    return [
        attempt(team, actor=actor, day=day, after=after)
        for team in (None, *queries.teams_with_tables())
    ]


def do_publish_after(ingestion: Ingestion) -> list[Publication]:
    """Publish what an ingestion may have changed, unless AUTO_PUBLISH is off.

    Public results count in every table, a team's own in that team's alone.
    """
    if not settings.AUTO_PUBLISH:
        return []
    actor, after = SystemActor("automatic publishing"), ingestion.public_id
    if ingestion.team is None:
        return do_publish_all(actor=actor, after=after)
    return [attempt(ingestion.team, actor=actor, after=after)]


def attempt(
    team: Team | None, *, actor: Actor, day: dt.date | None = None, after: str = ""
) -> Publication:
    """Publish one scope's table; what stands in its way is recorded, not raised."""
    if team is not None and not queries.has_live_runs(team):
        do_retire(team, actor=actor)
        return Publication(scope_of(team), None, refusal="No live results of its own.")
    try:
        table, is_new = do_publish(actor=actor, day=day, team=team, after=after)
    except PublishRefused as refusal:
        audit(actor, "table.refused", team=team, reason=str(refusal), **caused_by(after))
        return Publication(scope_of(team), None, refusal=str(refusal))
    return Publication(scope_of(team), table, is_new)


def do_publish(
    *, actor: Actor, day: dt.date | None = None, team: Team | None = None, after: str = ""
) -> tuple[RoutingTable, bool]:
    """Publish a table from all live public runs, with the prices of `day` (today).

    With a team its own runs count too, and the table routes for that team alone. Returns the table
    and whether it is new: the same runs and prices give the same content, hence the same hash, and
    publishing it again only moves the pointer. Raises PublishRefused.
    """
    pointers = CurrentTable.objects.filter(team=team).select_related("table")
    while True:
        seen = pointers.values_list("moved_at", flat=True).first()
        figures = list(queries.run_figures(team.pk if team else None))
        data = tables.encode(build(figures, day or timezone.now().date(), scope_of(team)))
        with transaction.atomic():
            before = pointers.select_for_update(of=("self",)).first()
            # Somebody who published in between may have read newer runs than these.
            if (before.moved_at if before else None) != seen:
                continue
            digest = tables.content_hash(data)
            table, is_new = RoutingTable.objects.get_or_create(
                content_hash=digest,
                defaults={
                    "version": tables.version_of(digest),
                    "content": data,
                    "scope": scope_of(team),
                    "team": team,
                    "published_by": actor.public_id,
                },
            )
            move_pointer(table)
            audit(
                actor,
                "table.published",
                table.version,
                team=team,
                before=before.table.version if before else None,
                **caused_by(after),
            )
        return table, is_new


def do_roll_back(version: str, *, actor: Actor, team: Team | None = None) -> RoutingTable:
    """Make an earlier table of the same scope the one that routes, until the next is published.

    Raises PublishRefused when the scope has no such table, or it cannot or need not be made
    current.
    """
    with transaction.atomic():
        pointers = CurrentTable.objects.filter(team=team).select_related("table")
        before = pointers.select_for_update(of=("self",)).first()
        table = RoutingTable.objects.filter(team=team, version=version).first()
        if before is None or table is None:
            raise PublishRefused(f"There is no {scope_of(team)} table {version} to go back to.")
        if table.pk == before.table_id:
            raise PublishRefused(f"{version} is the current table already.")
        try:
            tables.decode(bytes(table.content))
        except ValueError as error:
            raise PublishRefused(f"{version} cannot route any more. {error}") from error
        move_pointer(table)
        audit(actor, "table.rolled_back", version, team=team, before=before.table.version)
    return table


@transaction.atomic
def do_retire(team: Team, *, actor: Actor) -> None:
    """Let a team without results of its own be routed by the public table again."""
    pointer = CurrentTable.objects.filter(team=team).select_related("table").first()
    if pointer is None:
        return
    pointer.delete()
    audit(actor, "table.retired", pointer.table.version, team=team)
    announce_change()


def move_pointer(table: RoutingTable) -> None:
    """Make a table the current one of its scope; call it in a transaction."""
    before = CurrentTable.objects.filter(team=table.team).values_list("standing", flat=True).first()
    CurrentTable.objects.update_or_create(
        team=table.team,
        defaults={
            "scope": table.scope,
            "table": table,
            "moved_at": timezone.now(),
            "standing": standing_models(tables.decode(bytes(table.content)), before or ()),
        },
    )
    announce_change()


def caused_by(after: str) -> dict[str, Any]:
    """Return the audit detail that names the ingestion behind a publication."""
    return {"after": after} if after else {}


def build(figures: Sequence[Figure], day: dt.date, scope: str = PUBLIC) -> tables.TableContent:
    """Fit the scorecard and put it into the form that is published. Raises PublishRefused."""
    if not any(figure.n for figure in figures):
        raise PublishRefused(
            "There are no task results to publish from, so the last table stays live. Ingest a feed"
            " first, for example: manage.py load_figures"
        )
    catalogue = {figure.run.model.model_id: figure.run.model for figure in figures}
    prices = prices_on(day)
    card = scorecard.fit(
        [as_observation(figure) for figure in figures],
        {
            model_id: blended(prices[model.pk])
            for model_id, model in catalogue.items()
            if model.pk in prices
        },
    )
    return tables.TableContent(
        format=tables.FORMAT,
        routes=ROUTES,
        difficulties=DIFFICULTIES,
        models=tuple(as_table_model(catalogue[name], prices) for name in card.models),
        cells=estimates(card.accuracy_cells, card.cost_cells, card.n),
        by_route=estimates(card.accuracy_routes, card.cost_routes, card.n.sum(axis=2)),
        overall=estimates(card.accuracy_overall, card.cost_overall, card.n.sum(axis=(1, 2))),
        sources=credits(figures),
        own_sd=rounded(card.own_sd),
        scope=scope,
    )


def as_observation(figure: Figure) -> scorecard.Observation:
    """Return a run's figure as the scorecard wants it."""
    return scorecard.Observation(
        model=figure.run.model.model_id,
        benchmark=figure.run.benchmark.slug,
        route=figure.run.benchmark.route,
        difficulty=figure.difficulty,
        n=figure.n,
        passed=figure.passed,
        n_cost=figure.n_cost,
        cost_micro_usd=figure.cost_micro_usd,
        cost_cv=figure.cost_cv,
        harness=figure.run.harness,
    )


def blended(price: Price) -> float:
    """Return the price of an average token of agentic work, micro-USD per million."""
    cached = (
        price.input_micro_usd if price.cache_read_micro_usd is None else price.cache_read_micro_usd
    )
    return (
        TOKEN_MIX["cache_read"] * cached
        + TOKEN_MIX["input"] * price.input_micro_usd
        + TOKEN_MIX["output"] * price.output_micro_usd
    )


def as_table_model(model: CatalogModel, prices: dict[int, Price]) -> tables.TableModel:
    """Return what the table says of a model."""
    price = prices.get(model.pk)
    return tables.TableModel(
        model_id=model.model_id,
        name=model.name,
        provider=model.provider,
        available=model.in_catalogue and model.is_available,
        context_tokens=model.context_tokens,
        input_modalities=tuple(model.input_modalities),
        supports_tools=model.supports_tools,
        input_micro_usd=price.input_micro_usd if price else None,
        output_micro_usd=price.output_micro_usd if price else None,
        cache_read_micro_usd=price.cache_read_micro_usd if price else None,
        cache_write_micro_usd=price.cache_write_micro_usd if price else None,
    )


def estimates(
    accuracy: scorecard.Estimate, cost: scorecard.Estimate, n: scorecard.Ints
) -> tables.Estimates:
    """Return estimates as lists, rounded so that another machine's last bits give the same hash."""
    return tables.Estimates(
        accuracy=rounded(accuracy.mean),
        accuracy_low=rounded(accuracy.low),
        accuracy_high=rounded(accuracy.high),
        cost=whole(cost.mean),
        cost_low=whole(cost.low),
        cost_high=whole(cost.high),
        n=n.tolist(),
    )


def rounded(values: scorecard.Floats) -> list[object]:
    """Return probabilities to five decimals."""
    return np.round(values, 5).tolist()  # type: ignore[no-any-return]


def whole(values: scorecard.Floats) -> list[object]:
    """Return whole micro-USD, at least one: nothing costs nothing."""
    return np.maximum(np.rint(values), 1).astype(np.int64).tolist()  # type: ignore[no-any-return]


def credits(figures: Sequence[Figure]) -> tuple[tables.Source, ...]:
    """Return whom the table's evidence comes from."""
    runs = {figure.run.pk: figure.run for figure in figures}.values()
    names = sorted({(run.source, run.licence) for run in runs})
    found = []
    for name, licence in names:
        inside = [run for run in runs if (run.source, run.licence) == (name, licence)]
        dates = [run.measured_at for run in inside if run.measured_at]
        newest = max(dates).date().isoformat() if dates else None
        feed = FORMATS.get(name)
        found.append(
            tables.Source(
                name=feed.name if feed else name,
                licence=licence,
                runs=len(inside),
                newest_measured_at=newest,
                url=feed.url if feed else "",
            )
        )
    return tuple(found)
