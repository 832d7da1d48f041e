"""The colour tokens meet WCAG 2.2 AA in both themes: text 4.5:1, borders, rings and series 3:1."""

import re
from pathlib import Path

import pytest

TOKENS = Path(__file__).resolve().parents[2] / "static" / "css" / "tokens.css"
PAIR = re.compile(r"(--[\w-]+): light-dark\((#\w{6}), (#\w{6})\)")
COLOURS = {name: (light, dark) for name, light, dark in PAIR.findall(TOKENS.read_text())}

SURFACES = ["--page", "--surface", "--surface-sunken", "--surface-hover"]
STATES = ["--info", "--success", "--warning", "--danger"]
SERIES = [f"--series-{number}" for number in range(1, 9)]
TEXT = [
    *((text, s) for text in ("--text", "--text-muted") for s in [*SURFACES, "--accent-soft"]),
    *((text, s) for text in ("--accent-text", "--success", "--danger") for s in SURFACES),
    *((state, f"{state}-soft") for state in STATES),
    ("--on-accent", "--accent"),
    ("--on-accent", "--accent-hover"),
    ("--on-danger", "--danger-fill"),
]
SHAPES = [(shape, s) for shape in ("--line-strong", "--focus", *SERIES) for s in SURFACES[:3]]


def luminance(colour: str) -> float:
    """Return the relative luminance as WCAG 2.2 defines it."""
    channels = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    red, green, blue = (
        c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def test_the_formula_gives_the_known_extremes() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize(("pairs", "least"), [(TEXT, 4.5), (SHAPES, 3.0)], ids=["text", "shapes"])
def test_every_pair_of_colours_can_be_told_apart(
    pairs: list[tuple[str, str]], least: float, theme: int
) -> None:
    weak = {
        pair: round(ratio, 2)
        for pair in pairs
        if (ratio := contrast(COLOURS[pair[0]][theme], COLOURS[pair[1]][theme])) < least
    }
    assert not weak
