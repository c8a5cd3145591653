"""Modules, functions and parameter lists stay short enough to be read at once."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MODULE_LINES, FUNCTION_LINES, PARAMETERS = 400, 60, 8
CODE = ("talkcli", "scripts", "benchmarks", "examples")


def files(*folders: str) -> list[Path]:
    return [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]


def too_large(source: str) -> Iterator[str]:
    """What in a module is longer than the house rules allow."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            given = node.args
            names = [*given.posonlyargs, *given.args, *given.kwonlyargs]
            parameters = len(names) + (given.vararg is not None) + (given.kwarg is not None)
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            if lines > FUNCTION_LINES:
                yield f"{node.name} has {lines} lines"
            if parameters > PARAMETERS:
                yield f"{node.name} has {parameters} parameters"


def test_modules_are_short() -> None:
    lengths = {path: len(path.read_text("utf-8").splitlines()) for path in files(*CODE, "tests")}
    assert lengths
    long = {str(path.relative_to(ROOT)): n for path, n in lengths.items() if n > MODULE_LINES}
    assert long == {}


def test_functions_are_short_and_take_few_parameters() -> None:
    found = {
        str(path.relative_to(ROOT)): list(too_large(path.read_text())) for path in files(*CODE)
    }
    assert {name: large for name, large in found.items() if large} == {}


@pytest.mark.parametrize(
    ("source", "named"),
    [
        ("def f():\n" + "    pass\n" * 60, "f has 61 lines"),
        ("async def f(a, b, c, /, d, *e, f, g, h, **i): ...", "f has 9 parameters"),
        ("class A:\n    def f(a, b, c, d, e, f, g, h): ...\n", None),
    ],
)
def test_what_is_too_large_is_found(source: str, named: str | None) -> None:
    assert list(too_large(source)) == ([] if named is None else [named])
