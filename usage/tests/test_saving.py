"""What routing saved, and how sure that is."""

from math import exp, hypot, log

import pytest

from leaderboard.table import Table
from leaderboard.tests.tables import make_table
from usage.saving import Z90, Compared, saving

ROUTE, OTHER_ROUTE = "debugging/bug_fixing", "implementation/test_creation"
BASELINE = "lab/large"


@pytest.fixture
def table() -> Table:
    """A table whose costs are known but for a factor of 1.5."""
    return make_table({"lab/small": (0.7, 1000), BASELINE: (0.9, 9000)}, cost_factor=1.5)


def test_without_a_table_there_is_no_interval() -> None:
    found = saving([Compared("lab/small", ROUTE, 100, 900)], None, BASELINE)
    assert (found.micro_usd, found.low_micro_usd, found.high_micro_usd) == (800, None, None)


def test_the_errors_of_both_models_are_propagated_on_the_log_scale(table: Table) -> None:
    found = saving([Compared("lab/small", ROUTE, 1_000_000, 9_000_000)], table, BASELINE)
    # Both intervals reach a factor of 1.5 to either side, so theirs together does it by sqrt(2).
    reach = exp(hypot(log(1.5), log(1.5)))
    assert found.micro_usd == 8_000_000
    assert found.low_micro_usd == round(9_000_000 / reach - 1_000_000)
    assert found.high_micro_usd == round(9_000_000 * reach - 1_000_000)


def test_more_calls_do_not_make_it_surer(table: Table) -> None:
    few = saving([Compared("lab/small", ROUTE, 1000, 9000)], table, BASELINE)
    parts = [Compared("lab/small", route, 500_000, 4_500_000) for route in (ROUTE, OTHER_ROUTE)]
    many = saving(parts, table, BASELINE)
    assert few.low_micro_usd is not None
    assert many.low_micro_usd == pytest.approx(1000 * few.low_micro_usd, rel=0.01)


def test_different_models_err_independently() -> None:
    models = {"lab/small": (0.7, 1000.0), "lab/tiny": (0.6, 500.0), BASELINE: (0.9, 9000.0)}
    table = make_table(models, cost_factor=1.5)
    parts = [Compared(model, ROUTE, 100_000, 500_000) for model in ("lab/small", "lab/tiny")]
    found = saving(parts, table, BASELINE)
    sd = log(1.5) / Z90
    relative = hypot(sd, sd / 2, sd / 2)
    assert found.high_micro_usd == round(1_000_000 * exp(Z90 * relative) - 200_000)


def test_the_baseline_model_itself_is_sure(table: Table) -> None:
    found = saving([Compared(BASELINE, ROUTE, 5000, 5000)], table, BASELINE)
    assert (found.micro_usd, found.low_micro_usd, found.high_micro_usd) == (0, 0, 0)


@pytest.mark.parametrize(("model", "route"), [("lab/new", ROUTE), ("lab/small", "unheard/of")])
def test_what_the_table_does_not_know_counts_as_its_widest(
    table: Table, model: str, route: str
) -> None:
    known = saving([Compared("lab/small", ROUTE, 1000, 9000)], table, BASELINE)
    assert saving([Compared(model, route, 1000, 9000)], table, BASELINE) == known
    without = saving([Compared("lab/small", "", 1000, 9000)], table, BASELINE)
    assert without.low_micro_usd is not None
    assert without.low_micro_usd < without.micro_usd


def test_nothing_compared_is_nothing_saved(table: Table) -> None:
    found = saving([Compared("lab/small", ROUTE, 0, 0)], table, BASELINE)
    assert (found.micro_usd, found.low_micro_usd, found.high_micro_usd) == (0, 0, 0)
