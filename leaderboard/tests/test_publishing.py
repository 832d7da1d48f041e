"""From runs in the database to the table that routes."""

import datetime as dt

import pytest
from django.core.management import call_command

from leaderboard.actions.bundling import do_load_figures
from leaderboard.actions.cataloguing import do_load_catalogue
from leaderboard.actions.publishing import PublishRefused, do_publish
from leaderboard.models import CatalogModel, CurrentTable, Price, RoutingTable
from leaderboard.queries import current_table
from lib.taxonomy import ROUTE_INDEX
from teams.actions import SystemActor
from teams.models import AuditEvent

pytestmark = pytest.mark.django_db
ACTOR = SystemActor("test")
DAY = dt.date(2026, 11, 22)


@pytest.fixture
def bundled(db: None) -> None:
    """The catalogue and the figures that the project carries."""
    do_load_catalogue(actor=ACTOR)
    do_load_figures(actor=ACTOR)


def test_is_refused_with_the_reason_when_nothing_backs_it() -> None:
    with pytest.raises(PublishRefused, match="no task results"):
        do_publish(actor=ACTOR)
    assert current_table() is None


def test_the_bundled_figures_make_a_table_of_34_models_in_real_dollars(bundled: None) -> None:
    published, created = do_publish(actor=ACTOR, day=DAY)
    assert created
    table = current_table()
    assert table is not None
    assert table.version == published.version
    assert len(table.models) == 34
    assert {model.model_id for model in table.models} >= {
        "anthropic/claude-opus-4.8",
        "openai/gpt-5.4",
        "minimax/minimax-m3",
    }
    measured = {
        "debugging/bug_fixing",
        "implementation/test_creation",
        "implementation/feature_development",
        "investigation/external_research",
    }
    assert set(table.measured_routes) == {ROUTE_INDEX[route] for route in measured}
    assert (table.overall.accuracy_low < table.overall.accuracy).all()
    assert (table.overall.accuracy < table.overall.accuracy_high).all()
    assert (table.overall.cost > 50_000).all()
    assert (table.overall.cost < 20_000_000).all()
    [source] = table.sources
    assert source.runs == 170
    assert AuditEvent.objects.filter(verb="table.published", target=table.version).exists()


def test_the_same_runs_give_the_same_bytes(bundled: None) -> None:
    first, _ = do_publish(actor=ACTOR, day=DAY)
    second, created = do_publish(actor=ACTOR, day=DAY)
    assert (second.pk, created) == (first.pk, False)
    assert RoutingTable.objects.count() == 1


def test_a_new_price_makes_a_new_table_and_keeps_the_old_one(bundled: None) -> None:
    first, _ = do_publish(actor=ACTOR, day=DAY)
    Price.objects.create(
        model=CatalogModel.objects.get(model_id="openai/gpt-5.4"),
        valid_from=DAY,
        input_micro_usd=1,
        output_micro_usd=1,
        source="admin",
    )
    second, created = do_publish(actor=ACTOR, day=DAY)
    assert created
    assert CurrentTable.objects.get().table == second
    assert RoutingTable.objects.filter(pk=first.pk).exists()


def test_the_command_publishes_and_says_what(
    bundled: None, capsys: pytest.CaptureFixture[str]
) -> None:
    call_command("publish")
    assert current_table() is not None
    assert "Published tbl_" in capsys.readouterr().out
