"""The import contracts of pyproject.toml hold, and each one catches a planted violation."""

import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
CONTRACTS = {contract["id"]: contract["name"] for contract in SETTINGS["contracts"]}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of the Python packages and of the contracts, to plant a violation in."""
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    for package in SETTINGS["root_packages"]:
        for source in (ROOT / package).rglob("*.py"):
            target = tmp_path / source.relative_to(ROOT)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, target)
    return tmp_path


def plant(file: Path, statement: str) -> None:
    with file.open("a") as stream:
        stream.write(f"\n{statement}\n")


def lint(tree: Path) -> dict[str, bool]:
    """Return for every contract whether import-linter finds it kept."""
    command = [str(Path(sys.executable).parent / "lint-imports"), "--no-cache"]
    output = subprocess.run(command, cwd=tree, capture_output=True, text=True, check=False).stdout
    verdicts = {}
    for key, name in CONTRACTS.items():
        kept, broken = f"{name} KEPT" in output, f"{name} BROKEN" in output
        assert kept != broken, f"no verdict on {name!r} in:\n{output}"
        verdicts[key] = kept
    return verdicts


def test_the_tree_keeps_every_contract(tree: Path) -> None:
    assert lint(tree) == {"apps": True, "drawers": True, "pure": True}


def test_an_upward_import_between_apps_is_caught(tree: Path) -> None:
    plant(tree / "lib" / "paging.py", "import teams.access")
    assert lint(tree) == {"apps": False, "drawers": True, "pure": True}


def test_an_upward_import_between_drawers_is_caught(tree: Path) -> None:
    plant(tree / "teams" / "queries.py", "import teams.actions")
    assert lint(tree) == {"apps": True, "drawers": False, "pure": True}


@pytest.mark.parametrize("statement", ["import django.db", "import time"])
def test_an_impure_import_in_a_pure_package_is_caught(tree: Path, statement: str) -> None:
    plant(tree / "lib" / "taxonomy.py", statement)
    assert lint(tree) == {"apps": True, "drawers": True, "pure": False}
