"""The catalogue: what is listed at which price, and whose word wins."""

import datetime as dt
from decimal import Decimal
from io import StringIO

import pytest
from django.core.management import call_command
from django.test import Client
from django.urls import reverse
from genai_prices.types import (
    ClauseEquals,
    ClauseStartsWith,
    ConditionalPrice,
    ModelInfo,
    ModelPrice,
    Provider,
    StartDateConstraint,
    Tier,
    TieredPrices,
    TimeOfDateConstraint,
)

from leaderboard.actions.cataloguing import ADMIN, do_save_price
from leaderboard.actions.loading import do_load_catalogue
from leaderboard.aliases import ALIASES, catalogue_id
from leaderboard.benchmarks import BENCHMARKS
from leaderboard.models import ALWAYS, Benchmark, CatalogModel, Price, Run
from leaderboard.price_package import EXTRAS, list_models, list_prices
from lib.taxonomy import ROUTES
from teams.actions import SystemActor
from teams.models import AuditEvent, User

ACTOR = SystemActor("test")
FLAT = ModelPrice(input_mtok=Decimal("2.5"), output_mtok=Decimal("15"))


def info(
    model_id: str,
    prices: ModelPrice | list[ConditionalPrice] = FLAT,
    context: int | None = None,
    name: str | None = None,
) -> ModelInfo:
    return ModelInfo(
        id=model_id, match=ClauseEquals(model_id), name=name, prices=prices, context_window=context
    )


def provider(slug: str, *models: ModelInfo) -> Provider:
    return Provider(id=slug, name=slug, api_pattern="", models=list(models))


def listed(*models: ModelInfo, others: tuple[Provider, ...] = ()) -> dict[str, int | None]:
    named = {other.id for other in others}
    rest = [provider(slug) for slug, _, _ in EXTRAS.values() if slug not in named]
    found = list_models([provider("openrouter", *models), *others, *rest])
    return {model.model_id: model.context_tokens for model in found}


def test_variants_aliases_and_unpriced_models_are_not_listed() -> None:
    assert set(
        listed(
            info("acme/one"),
            info("acme/one:free"),
            info("~acme/latest"),
            info("one"),
            info("acme/output-only", ModelPrice(output_mtok=Decimal(1))),
        )
    ) == {"acme/one"}


def test_a_missing_context_length_is_the_smallest_that_a_host_states() -> None:
    others = (
        provider("host-a", info("ACME-2", context=200_000)),
        provider("host-b", info("acme/acme-2:fast", context=128_000)),
    )
    stated = info("acme/acme-1", context=64_000)
    gap, unknown = info("acme/acme-2"), info("acme/acme-3")
    assert listed(stated, gap, unknown, others=others) == {
        "acme/acme-1": 64_000,
        "acme/acme-2": 128_000,
        "acme/acme-3": None,
    }


def test_what_the_gateway_lacks_comes_from_the_first_party_list() -> None:
    first_party = ModelInfo(id="gpt-5.2", match=ClauseStartsWith("gpt-5.2"), prices=FLAT)
    assert set(listed(others=(provider("openai", first_party),))) == {"openai/gpt-5.2-codex"}


def test_prices_are_exact_and_start_when_they_are_said_to() -> None:
    later = ModelPrice(
        input_mtok=Decimal("0.003625"),
        output_mtok=Decimal("0.1"),
        cache_read_mtok=Decimal("0"),
        cache_write_mtok=Decimal("0.08333333333333334"),
    )
    start = dt.date(2026, 11, 3)
    prices = list_prices(
        info(
            "acme/one",
            [
                ConditionalPrice(prices=FLAT),
                ConditionalPrice(StartDateConstraint(start), prices=later),
                ConditionalPrice(TimeOfDateConstraint(dt.time(1), dt.time(2)), prices=later),
            ],
        )
    )
    assert prices == {
        (ALWAYS, 0): {
            "input_micro_usd": 2_500_000,
            "output_micro_usd": 15_000_000,
            "cache_read_micro_usd": None,
            "cache_write_micro_usd": None,
        },
        (start, 0): {
            "input_micro_usd": 3625,
            "output_micro_usd": 100_000,
            "cache_read_micro_usd": 0,
            "cache_write_micro_usd": 83_333,
        },
    }


def test_each_tier_has_the_price_in_force_above_its_start() -> None:
    def tiers(base: str, *rest: tuple[int, str]) -> TieredPrices:
        return TieredPrices(Decimal(base), [Tier(start, Decimal(price)) for start, price in rest])

    tiered = ModelPrice(
        input_mtok=tiers("1", (32_000, "2"), (128_000, "4")),
        output_mtok=tiers("5", (128_000, "6")),
        cache_read_mtok=Decimal("0.1"),
    )
    prices = list_prices(info("acme/one", tiered))
    assert {
        above: (price["input_micro_usd"], price["output_micro_usd"], price["cache_read_micro_usd"])
        for (_, above), price in prices.items()
    } == {
        0: (1_000_000, 5_000_000, 100_000),
        32_000: (2_000_000, 5_000_000, 100_000),
        128_000: (4_000_000, 6_000_000, 100_000),
    }


@pytest.mark.django_db
def test_every_declared_alias_is_in_the_catalogue_with_a_price() -> None:
    do_load_catalogue(actor=ACTOR)
    known = CatalogModel.objects.filter(in_catalogue=True, prices__isnull=False)
    assert set(ALIASES.values()) <= set(known.values_list("model_id", flat=True))


@pytest.mark.django_db
def test_every_declared_benchmark_measures_a_route_of_the_taxonomy() -> None:
    do_load_catalogue(actor=ACTOR)
    routes = dict(Benchmark.objects.values_list("slug", "route"))
    assert routes == {slug: declared.route for slug, declared in BENCHMARKS.items()}
    assert set(routes.values()) <= set(ROUTES)
    for benchmark in Benchmark.objects.all():
        benchmark.full_clean()


@pytest.mark.django_db
def test_loading_twice_changes_nothing() -> None:
    first, second = StringIO(), StringIO()
    call_command("load_catalogue", stdout=first)
    before = list(CatalogModel.objects.values()), list(Price.objects.values())
    call_command("load_catalogue", stdout=second)

    assert (list(CatalogModel.objects.values()), list(Price.objects.values())) == before
    assert "0 added, 0 changed; prices: 0 added, 0 changed; 0 benchmarks" in second.getvalue()
    assert AuditEvent.objects.filter(verb="catalogue.loaded").count() == 1


@pytest.mark.django_db
def test_loading_repairs_its_own_and_keeps_what_an_operator_said() -> None:
    do_load_catalogue(actor=ACTOR)
    model = CatalogModel.objects.get(model_id="openai/gpt-5.4")
    CatalogModel.objects.filter(pk=model.pk).update(
        name="wrong", is_available=False, input_modalities=["text", "image"], in_catalogue=False
    )
    Price.objects.filter(model=model).update(input_micro_usd=1)
    report = do_load_catalogue(actor=ACTOR)

    model.refresh_from_db()
    assert (report.models_changed, report.prices_changed) == (1, model.prices.count())
    assert (model.name, model.in_catalogue) == ("GPT-5.4", True)
    assert (model.is_available, model.input_modalities) == (False, ["text", "image"])
    assert model.prices.get(above_input_tokens=0).input_micro_usd == 2_500_000


@pytest.mark.django_db
def test_an_operators_price_holds_from_its_date_on() -> None:
    do_load_catalogue(actor=ACTOR)
    model = CatalogModel.objects.get(model_id="deepseek/deepseek-v3.2")
    dates = sorted(set(model.prices.values_list("valid_from", flat=True)))
    assert len(dates) > 2, "this model's price changed over time"
    model.prices.filter(valid_from__gt=dates[0]).delete()
    own = Price(model=model, valid_from=dates[1], input_micro_usd=7, output_micro_usd=8)
    do_save_price(own, actor=ACTOR)
    do_load_catalogue(actor=ACTOR)

    newest = model.prices.latest("valid_from")
    assert (newest.pk, newest.source, newest.input_micro_usd) == (own.pk, ADMIN, 7)
    assert model.prices.filter(valid_from=dates[0]).exists()


def test_an_unknown_name_stays_recognisable() -> None:
    assert catalogue_id("claude-opus-4-8") == "anthropic/claude-opus-4.8"
    assert catalogue_id("Foo Bar/3.5 (new)") == "unlisted/foo-bar-3.5-new"


@pytest.fixture
def operator(client: Client, db: None) -> Client:
    client.force_login(User.objects.create_superuser("ops@example.com", "pw"))
    return client


def test_every_admin_page_opens(operator: Client) -> None:
    do_load_catalogue(actor=ACTOR)
    call_command("load_figures", stdout=StringIO())
    run, model, price = Run.objects.first(), CatalogModel.objects.first(), Price.objects.first()
    assert run
    assert model
    assert price
    for name in ("catalogmodel", "price", "benchmark", "run", "routingtable", "currenttable"):
        page = operator.get(reverse(f"admin:leaderboard_{name}_changelist"))
        assert page.status_code == 200, name
    for row in (run, model, price):
        path = reverse(f"admin:leaderboard_{row._meta.model_name}_change", args=[row.pk])
        assert operator.get(path).status_code == 200


@pytest.mark.parametrize(
    "name", ["catalogmodel", "benchmark", "run", "routingtable", "currenttable"]
)
def test_evidence_and_tables_cannot_be_made_up_in_the_admin(operator: Client, name: str) -> None:
    assert operator.get(reverse(f"admin:leaderboard_{name}_add")).status_code == 403


def test_a_price_saved_in_the_admin_is_the_operators(operator: Client) -> None:
    model = CatalogModel.objects.create(model_id="acme/one", name="One", provider="acme")
    form = {
        "model": model.pk,
        "valid_from": "2026-01-01",
        "above_input_tokens": 0,
        "input_micro_usd": -1,
        "output_micro_usd": 2,
        "source": "genai-prices",
    }
    assert operator.post(reverse("admin:leaderboard_price_add"), form).status_code == 200
    assert not Price.objects.exists()
    operator.post(reverse("admin:leaderboard_price_add"), {**form, "input_micro_usd": 1})
    assert Price.objects.get().source == ADMIN
    assert AuditEvent.objects.get(verb="price.saved").actor == "ops@example.com"
