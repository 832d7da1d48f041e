"""The leaderboard weighted by a project's traffic."""

import datetime as dt

import numpy as np
import pytest
from django.test import Client
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st
from pytest_django import Settings

from leaderboard.board import rows_of
from leaderboard.tests.tables import make_table, publish_table, table_bytes
from lib.taxonomy import DIFFICULTIES, ROUTES
from teams.models import Project, User
from usage.tests.traffic import decide
from usage.weighting import Traffic, mix_of, standing_of, weigh

FIXING, MOVING = "debugging/bug_fixing", "refactoring/migration"
# One is good at fixing bugs, the other at migrations.
CELLS = {
    (model, route, difficulty): (accuracy, cost)
    for model, route, accuracy, cost in (
        ("lab/small", FIXING, 0.9, 10_000.0),
        ("lab/large", FIXING, 0.6, 90_000.0),
        ("lab/small", MOVING, 0.2, 10_000.0),
        ("lab/large", MOVING, 0.8, 90_000.0),
    )
    for difficulty in DIFFICULTIES
}
MODELS = {"lab/small": (0.5, 10_000.0), "lab/large": (0.7, 90_000.0)}
TRAFFIC = st.lists(
    st.builds(
        Traffic,
        model=st.sampled_from([*MODELS, "lab/gone"]),
        route=st.sampled_from(["", *ROUTES]),
        difficulty=st.sampled_from(DIFFICULTIES),
        decisions=st.integers(1, 1000),
    ),
    min_size=1,
)


@given(TRAFFIC)
def test_a_mix_is_made_of_shares_and_figures_stay_within_those_of_the_cells(
    traffic: list[Traffic],
) -> None:
    classified = [*traffic, Traffic("lab/small", FIXING, "low", 1)]
    table = make_table(MODELS, cells=CELLS)

    mix = mix_of(classified)
    figures = weigh(table, mix)
    standing = standing_of(table, classified)

    assert mix.sum() == pytest.approx(1)
    assert (mix >= 0).all()
    cells = table.cells.accuracy.reshape(len(MODELS), -1)
    assert (figures.accuracy >= cells.min(axis=1) - 1e-9).all()
    assert (figures.accuracy <= cells.max(axis=1) + 1e-9).all()
    assert (figures.accuracy_low <= figures.accuracy).all()
    assert (figures.accuracy <= figures.accuracy_high).all()
    assert standing is not None
    assert standing.accuracy.low <= standing.accuracy.mean <= standing.accuracy.high


def test_weights_are_those_of_the_traffic() -> None:
    table = make_table(MODELS, cells=CELLS)
    traffic = [Traffic("lab/small", FIXING, "low", 3), Traffic("lab/large", MOVING, "high", 1)]

    figures = weigh(table, mix_of(traffic))
    standing = standing_of(table, traffic)

    assert figures.accuracy == pytest.approx(np.array([0.725, 0.65]))
    assert figures.cost == pytest.approx(np.array([10_000, 90_000]))
    # Only one of the two routes is measured.
    assert figures.n.tolist() == [40, 40]
    assert standing is not None
    assert standing.accuracy.mean == pytest.approx(0.875)
    assert standing.cost.mean == pytest.approx(30_000)


def test_an_even_mix_over_a_route_gives_the_figures_of_that_route() -> None:
    table = make_table(MODELS, cells=CELLS)
    traffic = [Traffic("lab/small", MOVING, difficulty, 7) for difficulty in DIFFICULTIES]

    rows = rows_of(table.models, weigh(table, mix_of(traffic)))

    place = ROUTES.index(MOVING)
    assert [row.accuracy.mean for row in rows] == pytest.approx(
        table.by_route.accuracy[:, place].tolist()
    )


def test_choices_of_models_that_the_table_does_not_know_have_no_standing() -> None:
    assert standing_of(make_table(MODELS), [Traffic("lab/gone", FIXING, "low", 5)]) is None


def ask(project: Project, count: int, route: str, model: str, days_ago: float = 1) -> None:
    task_type, _, subtask_type = route.partition("/")
    for _ in range(count):
        decide(
            project,
            model=model,
            task_type=task_type,
            subtask_type=subtask_type,
            created_at=timezone.now() - dt.timedelta(days=days_ago),
        )


@pytest.fixture
def board(client: Client, alice: User, apollo: Project, settings: Settings) -> str:
    """A published table, alice signed in, and the address of apollo's board."""
    settings.BALANCED_MODEL = "lab/large"
    publish_table(table_bytes(MODELS, cells=CELLS, half_width=0.01))
    client.force_login(alice)
    return f"/projects/{apollo.slug}/board/"


@pytest.mark.django_db
def test_the_mix_decides_who_leads(client: Client, board: str, apollo: Project) -> None:
    ask(apollo, 18, FIXING, "lab/small")
    ask(apollo, 2, MOVING, "lab/large")

    html = client.get(board).content.decode().split("Models, ranked")[1]

    assert html.index('id="model-lab-small"') < html.index('id="model-lab-large"')
    first, second = html.split('id="model-lab-large"')
    assert "83.0%" in first
    assert "90%" in first
    assert ">Balanced<" not in first
    assert "62.0%" in second
    assert ">Balanced<" in second


@pytest.mark.django_db
def test_the_projects_own_choices_have_a_place(client: Client, board: str, apollo: Project) -> None:
    ask(apollo, 10, FIXING, "lab/small")
    ask(apollo, 10, MOVING, "lab/large")
    ask(apollo, 20, "", "lab/gone")

    html = client.get(board).content.decode()

    assert "85%" in html.split("Expected accuracy of this project")[1].split("</div>")[0]
    assert '"This project"' in html
    assert "lab/gone took 50% of the decisions" in html


@pytest.mark.django_db
def test_too_little_traffic_is_explained(client: Client, board: str, apollo: Project) -> None:
    ask(apollo, 19, FIXING, "lab/small")
    ask(apollo, 30, "", "lab/small")
    ask(apollo, 30, FIXING, "lab/small", days_ago=31)

    html = client.get(board).content.decode()

    assert "Too few decisions" in html
    assert "project has 19" in html
    ask(apollo, 1, FIXING, "lab/small")
    assert "Too few decisions" not in client.get(board).content.decode()


@pytest.mark.django_db
def test_another_projects_traffic_weighs_nothing(
    client: Client, board: str, borealis: Project
) -> None:
    ask(borealis, 50, FIXING, "lab/small")

    assert "project has 0" in client.get(board).content.decode()


@pytest.mark.django_db
def test_the_board_sorts_by_the_address(client: Client, board: str, apollo: Project) -> None:
    ask(apollo, 20, MOVING, "lab/small")

    by_accuracy = client.get(board).content.decode()
    by_cost = client.get(f"{board}?sort=cost").content.decode()
    wrong = client.get(f"{board}?sort=<b>")

    assert by_accuracy.index('id="model-lab-large"') < by_accuracy.index('id="model-lab-small"')
    assert by_cost.index('id="model-lab-small"') < by_cost.index('id="model-lab-large"')
    assert wrong.status_code == 400
    assert "<b>" not in wrong.content.decode()


@pytest.mark.django_db
def test_without_a_table_the_board_says_so(client: Client, alice: User, apollo: Project) -> None:
    ask(apollo, 20, FIXING, "lab/small")
    client.force_login(alice)

    html = client.get(f"/projects/{apollo.slug}/board/").content.decode()

    assert "No routing table is published yet" in html


@pytest.mark.django_db
def test_the_public_board_leads_members_to_theirs(client: Client, board: str) -> None:
    assert f'href="{board}"' in client.get("/leaderboard/").content.decode()
    client.logout()
    assert board not in client.get("/leaderboard/").content.decode()
