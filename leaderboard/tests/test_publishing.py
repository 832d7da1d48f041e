"""From runs in the database to the table that routes."""

import datetime as dt
import random

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone
from pytest_django import Settings

from leaderboard.actions import publishing
from leaderboard.actions.bundling import do_load_figures
from leaderboard.actions.loading import do_load_catalogue
from leaderboard.actions.publishing import (
    PublishRefused,
    do_publish,
    do_publish_after,
    do_publish_all,
    do_roll_back,
)
from leaderboard.models import (
    CatalogModel,
    CurrentTable,
    Ingestion,
    Price,
    RoutingTable,
    Run,
)
from leaderboard.queries import current_table, current_version, run_figures
from leaderboard.table import TableContent, encode
from leaderboard.tests.runs import make_run, tasks
from leaderboard.tests.tables import publish_table, table_bytes
from lib.taxonomy import ROUTE_INDEX
from teams.actions import SystemActor
from teams.models import AuditEvent, Project, Team

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


# Reproducible bit by bit


def test_the_order_in_which_results_arrived_leaves_no_trace() -> None:
    noise = random.Random(7)
    runs = [
        (
            model,
            benchmark,
            [
                (f"task-{n:03}", noise.choice([0.0, 0.1, 1 / 3, 1.0, None]), noise.randrange(10**6))
                for n in range(30)
            ],
        )
        for model in ("lab/a", "lab/b", "maker/c", "maker/d")
        for benchmark in ("swe-bench", "gaia", "commit0")
    ]
    versions = set()
    for _ in range(3):
        Run.objects.all().delete()
        CatalogModel.objects.all().delete()
        noise.shuffle(runs)
        for model, benchmark, results in runs:
            noise.shuffle(results)
            make_run(model, results, benchmark=benchmark)
        versions.add(do_publish(actor=ACTOR, day=DAY)[0].content_hash)
    assert len(versions) == 1


# A team's own results


@pytest.fixture
def measured(db: None) -> None:
    """Two models with public results: the dear one is better."""
    make_run("lab/small", tasks(40, 20, 100_000))
    make_run("lab/large", tasks(40, 32, 900_000))


@pytest.fixture
def own(measured: None, apollo: Project) -> Team:
    """A team whose own results say that the small one solves everything."""
    make_run("lab/small", tasks(60, 60, 100_000), team=apollo.team)
    return apollo.team


def accuracy_of(model: str, team: Team | None = None) -> float:
    """Return a model's overall accuracy in the table that routes for the team."""
    table = current_table(team.pk if team else None)
    assert table is not None
    place = table.index_of(model)
    assert place is not None
    return float(table.overall.accuracy[place])


def test_a_teams_own_results_count_in_its_own_table_alone(own: Team, borealis: Project) -> None:
    done = do_publish_all(actor=ACTOR, day=DAY)
    assert [(one.scope, one.is_new) for one in done] == [("public", True), ("team:team-a", True)]
    assert accuracy_of("lab/small", own) > accuracy_of("lab/small") + 0.1
    assert current_version(borealis.team_id) == current_version()
    public = do_publish(actor=ACTOR, day=DAY)[0].version
    Run.objects.filter(team=own).delete()
    assert do_publish(actor=ACTOR, day=DAY)[0].version == public


def test_the_scope_is_part_of_the_hash(measured: None) -> None:
    def content(scope: str) -> TableContent:
        return publishing.build(list(run_figures()), DAY, scope)

    assert encode(content("public")) == encode(content("public"))
    assert encode(content("public")) != encode(content("team:a"))


def test_audit_rows_of_a_teams_table_belong_to_the_team(own: Team) -> None:
    do_publish_all(actor=ACTOR, day=DAY)
    rows = AuditEvent.objects.filter(verb="table.published").order_by("pk")
    assert [(row.team, row.target) for row in rows] == [
        (None, current_version()),
        (own, current_version(own.pk)),
    ]


def test_a_team_without_live_results_goes_back_to_the_public_table(own: Team) -> None:
    do_publish_all(actor=ACTOR, day=DAY)
    before = current_version(own.pk)
    Run.objects.filter(team=own).update(withdrawn_at=timezone.now())
    do_publish_all(actor=ACTOR, day=DAY)
    assert current_version(own.pk) == current_version() != before
    assert AuditEvent.objects.get(verb="table.retired", team=own).target == before
    assert RoutingTable.objects.filter(version=before).exists(), "it stays in the history"


def test_a_refusal_of_one_scope_stops_no_other(own: Team) -> None:
    Run.objects.filter(team=None).delete()
    public, of_team = do_publish_all(actor=ACTOR, day=DAY)
    assert (public.table, of_team.refusal) == (None, "")
    assert "no task results" in public.refusal
    assert AuditEvent.objects.get(verb="table.refused").details["reason"] == public.refusal
    assert current_version() is None
    assert accuracy_of("lab/small", own) > 0.9


# After an ingestion


def ingestion(team: Team | None = None) -> Ingestion:
    """An ingestion that is done."""
    return Ingestion.objects.create(
        team=team, format="made-up", location="made up", actor="somebody"
    )


def test_publishes_after_an_ingestion_and_says_which(own: Team) -> None:
    done = ingestion()
    assert len(do_publish_after(done)) == 2
    rows = AuditEvent.objects.filter(verb="table.published", details__after=done.public_id)
    assert rows.filter(actor="automatic publishing").count() == 2


def test_a_teams_ingestion_publishes_nothing_but_that_teams_table(own: Team) -> None:
    [one] = do_publish_after(ingestion(own))
    assert one.table is not None
    assert one.table.team == own
    assert current_version() is None


def test_publishes_nothing_after_an_ingestion_when_told_so(own: Team, settings: Settings) -> None:
    settings.AUTO_PUBLISH = False
    assert do_publish_after(ingestion()) == []
    assert not RoutingTable.objects.exists()


def test_a_refusal_does_not_fail_the_ingestion_and_is_recorded() -> None:
    done = ingestion()
    [public] = do_publish_after(done)
    row = AuditEvent.objects.get(verb="table.refused")
    assert row.details == {"reason": public.refusal, "after": done.public_id}


def test_an_older_reading_never_replaces_a_newer_one(
    measured: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    build = publishing.build

    def overtaken(*args: object) -> TableContent:
        """Let another publisher, who has read a newer run, come first."""
        monkeypatch.setattr(publishing, "build", build)
        make_run("lab/newest", tasks(40, 40))
        do_publish(actor=ACTOR, day=DAY)
        return build(*args)  # type: ignore[arg-type]

    do_publish(actor=ACTOR, day=DAY)
    monkeypatch.setattr(publishing, "build", overtaken)
    do_publish(actor=ACTOR, day=DAY)
    assert accuracy_of("lab/newest") > 0


# Going back


def test_rolls_back_to_an_earlier_table_with_an_audit_row(measured: None) -> None:
    first, _ = do_publish(actor=ACTOR, day=DAY)
    make_run("lab/newest", tasks(40, 40))
    second, _ = do_publish(actor=ACTOR, day=DAY)
    assert do_roll_back(first.version, actor=ACTOR) == first
    assert current_version() == first.version
    row = AuditEvent.objects.get(verb="table.rolled_back")
    assert (row.target, row.details) == (first.version, {"before": second.version})
    do_publish(actor=ACTOR, day=DAY)
    assert current_version() == second.version, "until the next is published"


def test_a_team_rolls_back_within_its_own_tables(own: Team) -> None:
    public, first = (one.table for one in do_publish_all(actor=ACTOR, day=DAY))
    make_run("lab/large", tasks(60, 10), team=own)
    do_publish_all(actor=ACTOR, day=DAY)
    assert public is not None
    assert first is not None
    with pytest.raises(PublishRefused, match=f"no team:team-a table {public.version}"):
        do_roll_back(public.version, actor=ACTOR, team=own)
    with pytest.raises(PublishRefused, match=f"no public table {first.version}"):
        do_roll_back(first.version, actor=ACTOR)
    do_roll_back(first.version, actor=ACTOR, team=own)
    assert current_version(own.pk) == first.version
    assert current_version() == public.version


def test_going_back_to_what_is_current_is_refused(measured: None) -> None:
    table, _ = do_publish(actor=ACTOR, day=DAY)
    with pytest.raises(PublishRefused, match="current table already"):
        do_roll_back(table.version, actor=ACTOR)


def test_a_table_that_cannot_route_any_more_is_refused(measured: None) -> None:
    old = publish_table(table_bytes({"lab/small": (0.5, 1000.0)}))
    current, _ = do_publish(actor=ACTOR, day=DAY)
    RoutingTable.objects.filter(pk=old.pk).update(
        content=bytes(old.content).replace(b'"format":1', b'"format":0')
    )
    with pytest.raises(PublishRefused, match="another taxonomy or format"):
        do_roll_back(old.version, actor=ACTOR)
    assert current_version() == current.version


def test_the_command_rolls_back_or_says_why_not(
    measured: None, capsys: pytest.CaptureFixture[str]
) -> None:
    first, _ = do_publish(actor=ACTOR, day=DAY)
    make_run("lab/newest", tasks(40, 40))
    do_publish(actor=ACTOR, day=DAY)
    call_command("roll_back", first.version)
    assert current_version() == first.version
    assert f"{first.version} routes for public again" in capsys.readouterr().out
    with pytest.raises(CommandError, match="no public table tbl_none"):
        call_command("roll_back", "tbl_none")
    with pytest.raises(CommandError, match="no team nobody"):
        call_command("roll_back", first.version, team="nobody")
