"""The documents tell the truth about what can be checked: codes, constants, variables, commands."""

import re
from pathlib import Path
from urllib.parse import unquote

import pytest
from django.conf import settings
from django.core.management import get_commands

from lib.taxonomy import ROUTES
from routing import failing, live_evidence
from routing.api import shapes
from routing.engine import decide, field, ladders, modes, staying
from routing.engine.explain import REASONS, REFUSALS, VERDICTS
from routing.engine.inputs import MODES
from routing.models import Policy
from teams.keys import Scope

ROOT = Path(settings.BASE_DIR)
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
APPS = ("kilo_site", "usage", "routing", "leaderboard", "teams", "lib")
CONSTANTS = {
    "TOLERANCE": staying.TOLERANCE,
    "WORTH_LEAVING": staying.WORTH_LEAVING,
    "WORTH_KEEPING": staying.WORTH_KEEPING,
    "CHANGE": staying.CHANGE,
    "MISREAD": staying.MISREAD,
    "CACHE_LIFETIME_MS": staying.CACHE_LIFETIME_MS,
    "REMAINING_SHARE": staying.REMAINING_SHARE,
    "REMAINING_REQUESTS": staying.REMAINING_REQUESTS,
    "ASSUMED_CONTEXT": field.ASSUMED_CONTEXT,
    "FALLBACK_MODELS": decide.FALLBACK_MODELS,
    "NEAR": modes.NEAR,
    "MAX_RUNGS": ladders.MAX_RUNGS,
    "EASE_SD": ladders.EASE_SD,
    "BYTES_PER_TOKEN": shapes.BYTES_PER_TOKEN,
    "HALF_LIFE_DAYS": live_evidence.HALF_LIFE_DAYS,
    "WINDOW_DAYS": live_evidence.WINDOW_DAYS,
    "HALF_LIFE_MS": failing.HALF_LIFE_MS,
    "REPORTS_PER_ALARM": failing.REPORTS_PER_ALARM,
    "LEAST_SESSIONS": failing.LEAST_SESSIONS,
    "CALL_RELIABILITY": failing.CALL_RELIABILITY,
    "CERTAINTY": failing.CERTAINTY,
}

every_document = pytest.mark.parametrize(
    "document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT))
)


def text_of(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def anchors(text: str) -> set[str]:
    """Return the anchors that a Markdown viewer gives to the headings of a text."""
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in headings}


def test_routing_explains_every_reason_verdict_refusal_and_mode() -> None:
    text = text_of("docs/routing.md")
    for codes in (REASONS, VERDICTS):
        for code, meaning in codes.items():
            assert f"| `{code}` | {meaning} |" in text
    for code, (param, _) in REFUSALS.items():
        assert f"| `no_model_{code}` | `{param}` |" in text
    for mode in MODES:
        assert f"| `{mode}` |" in text


@pytest.mark.parametrize("name", CONSTANTS)
def test_routing_gives_the_value_of_every_constant(name: str) -> None:
    assert f"| `{name}` | {CONSTANTS[name]} |" in text_of("docs/routing.md")


def test_routing_gives_the_defaults_of_a_policy() -> None:
    text = text_of("docs/routing.md")
    for name in ("quality_bar", "evidence", "confidence_threshold"):
        assert f"| {name.replace('_', ' ')} | {getattr(Policy(), name)} |" in text
    price = (Policy().success_price_micro_usd or 0) // 1_000_000
    assert f"| price of one more solved task | ${price} |" in text


def test_operating_lists_every_variable_that_is_read() -> None:
    sources = [ROOT / "kilo_site/settings.py", *ROOT.glob("kilo_site/management/commands/*.py")]
    calls = r'env\.(?:text|flag|number|listing|secret)\(\s*"(\w+)"'
    read = {name for path in sources for name in re.findall(calls, path.read_text())}
    listed = set(re.findall(r"^\| `(\w+)` \|", text_of("docs/operating.md"), re.MULTILINE))
    assert {"DATABASE_URL", "SECRET_KEY", "PORT"} <= read
    assert read <= listed


def test_the_api_page_shows_every_call_scope_and_error_code() -> None:
    text = text_of("docs/api.md")
    calls = re.findall(r"^  /api/v1(/\S+):$", text_of("docs/openapi.yaml"), re.MULTILINE)
    assert "/route" in calls
    assert [call for call in calls if call not in text] == []
    assert [scope for scope in Scope if f"| `{scope}` |" not in text] == []
    raised = {
        code
        for app in APPS
        for path in (ROOT / app).rglob("*.py")
        if "tests" not in path.parts
        for code in re.findall(r'(?:ApiError\(\s*\d{3},|Fault\()\s*"(\w+)"', path.read_text())
    }
    assert {"invalid_api_key", "body_too_large", "unknown_model"} <= raised
    assert [code for code in sorted(raised) if f"`{code}`" not in text] == []


@every_document
def test_every_relative_link_leads_somewhere(document: Path) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", document.read_text(encoding="utf-8")):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = document.parent / unquote(path) if path else document
        assert target.exists(), link
        if anchor:
            assert anchor in anchors(target.read_text(encoding="utf-8")), link


@every_document
def test_every_command_exists(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):.*## ", text_of("Makefile"), re.MULTILINE))
    code = re.findall(r"```.*?```|`[^`]+`", text, re.DOTALL)
    assert {name for part in code for name in re.findall(r"\bmake ([a-z-]+)", part)} <= targets
    commands = set(re.findall(r"manage\.py ([a-z_]+)", text))
    assert commands <= set(get_commands())


@every_document
def test_every_file_that_is_named_exists(document: Path) -> None:
    folders = "|".join((*APPS, "docs", "scripts", "templates", "static"))
    pattern = rf"`((?:{folders})/[\w/.-]*)`"
    for name in re.findall(pattern, document.read_text(encoding="utf-8")):
        assert name in ROUTES or (ROOT / name).exists(), name
