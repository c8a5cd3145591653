"""The tests' own order: folders mirror the packages, and what is shared lies in tests/support."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TESTS = ROOT / "tests"


def imported_modules(source: str) -> set[str]:
    """Dotted names of everything that a module imports, wherever in it, as absolute names."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            names.add(module)
            names.update(f"{module}.{alias.name}" for alias in node.names)
    return names


def other_tests(source: str) -> set[str]:
    """Imports of test modules: such an import runs the other file's tests' set-up as well."""
    return {
        name
        for name in imported_modules(source)
        if any(part.startswith("test_") for part in name.split(".")) and name[0] in "t."
    }


def test_no_test_module_imports_another() -> None:
    found = {
        str(path.relative_to(ROOT)): names
        for path in sorted(TESTS.rglob("*.py"))
        if (names := other_tests(path.read_text(encoding="utf-8")))
    }
    assert found == {}, "move what they share into tests/support"


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("from tests.unit.face.test_solve import made_clip", True),
        ("from tests.unit.face import test_solve", True),
        ("def late():\n    import tests.numeric.test_cpu", True),
        ("from .test_solve import made_clip", True),
        ("from tests.support.clips import made_clip", False),
        ("import unittest", False),
    ],
)
def test_such_imports_are_found(source: str, found: bool) -> None:
    assert bool(other_tests(source)) is found


@pytest.mark.parametrize("kind", ["unit", "numeric"])
def test_folders_mirror_the_packages(kind: str) -> None:
    folders = {path.parent.relative_to(TESTS / kind) for path in (TESTS / kind).rglob("test_*.py")}
    # Set-up scripts lie beside the package.
    homes = (ROOT / "talkcli", ROOT)
    assert folders and [f for f in folders if not any((home / f).is_dir() for home in homes)] == []


def test_support_is_used() -> None:
    used = set()
    for path in TESTS.rglob("*.py"):
        used |= imported_modules(path.read_text(encoding="utf-8"))
    modules = {f"tests.support.{path.stem}" for path in (TESTS / "support").glob("*.py")}
    assert modules - used == set()
