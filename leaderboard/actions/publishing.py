"""Publishing: the only way results reach routing."""

import datetime as dt
from collections.abc import Sequence

import numpy as np
from django.db import transaction
from django.utils import timezone

from leaderboard import scorecard
from leaderboard import table as tables
from leaderboard.models import PUBLIC, CatalogModel, CurrentTable, Price, RoutingTable
from leaderboard.queries import Figure, prices_on, run_figures
from leaderboard.sources.formats import FORMATS
from lib.taxonomy import DIFFICULTIES, ROUTES
from teams.actions import Actor, announce_change, audit

# How an agent's tokens split, roughly: most are re-read from cache. Only ratios between models
# matter.
TOKEN_MIX = {"cache_read": 0.8, "input": 0.15, "output": 0.05}


class PublishRefused(Exception):
    """No table was published, and the last one stays live. The message says why, and what to do."""


def do_publish(*, actor: Actor, day: dt.date | None = None) -> tuple[RoutingTable, bool]:
    """Publish a table from all live runs, with the prices of `day` (today).

    Returns the table and whether it is new: the same runs and prices give the same content, hence
    the same hash, and publishing it again only moves the pointer. Raises PublishRefused.
    """
    data = tables.encode(build(list(run_figures()), day or timezone.now().date()))
    digest = tables.content_hash(data)
    with transaction.atomic():
        table, created = RoutingTable.objects.get_or_create(
            content_hash=digest,
            defaults={
                "version": tables.version_of(digest),
                "content": data,
                "published_by": actor.public_id,
            },
        )
        pointers = CurrentTable.objects.select_for_update().select_related("table")
        before = pointers.filter(scope=PUBLIC).first()
        CurrentTable.objects.update_or_create(
            scope=PUBLIC, defaults={"table": table, "moved_at": timezone.now()}
        )
        audit(
            actor, "table.published", table.version, before=before.table.version if before else None
        )
        announce_change()
    return table, created


def build(figures: Sequence[Figure], day: dt.date) -> tables.TableContent:
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
