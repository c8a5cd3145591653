"""Tables and names read from the pages in ``docs/``, to be compared with the code."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
#: Pages that speak of today's code. The log and the changelog speak of their own day.
PAGES = sorted(
    [path for path in DOCS.rglob("*.md") if path.name not in ("log.md", "changelog.md")]
    + [ROOT / "README.md", ROOT / "CONTRIBUTING.md"]
)

#: Row of docs/project_format.md ("File formats") for every schema in the code.
SCHEMAS = {
    "talkcli.project.store.PROJECT_SCHEMA": "`project.toml`",
    "talkcli.project.stage.RECORD_SCHEMA": "`stage.json`",
    "talkcli.engines.portrait.checkpoint.SCHEMA": "`avatar.safetensors`",
    "talkcli.engines.audio_plane.checkpoint.SCHEMA": "`subject.safetensors`",
    "talkcli.optim.loop.SCHEMA": "`checkpoint.safetensors`",
    "talkcli.layers.clip.SCHEMA": "`clip.safetensors`",
    "talkcli.motion.curves.SCHEMA": "`curves.npz`",
    "talkcli.face.model.SCHEMA": "face model",
    "talkcli.speech.model.SCHEMA": "speech model",
    "talkcli.metrics.reference.SCHEMA": "motion reference",
    "talkcli.train.packs.SCHEMA": "training pack",
    "talkcli.engines.splat_portrait.network.SCHEMA": "head weights",
    "talkcli.engines.mggtalk.checkpoint.SCHEMA": "`decoded.safetensors`",
    "talkcli.engines.mggtalk.weights.SCHEMA": "decoder weights",
    "talkcli.train.mggtalk.pairs.SCHEMA": "`frames.safetensors`",
}


def page(name: str) -> str:
    """Text of a page."""
    return (DOCS / name).read_text(encoding="utf-8")


def section(text: str, heading: str) -> str:
    """What stands under a heading, up to the next one of the same or a higher level."""
    lines = text.splitlines()
    start = lines.index(heading)
    level = len(heading) - len(heading.lstrip("#"))
    for end in range(start + 1, len(lines)):
        if re.match(rf"#{{1,{level}}} ", lines[end]):
            return "\n".join(lines[start + 1 : end])
    return "\n".join(lines[start + 1 :])


def table(text: str, *columns: str) -> list[list[str]]:
    """Rows of the first table whose header begins with these columns."""
    rows: list[list[str]] = []
    inside = False
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if not line.startswith("|"):
            if inside:
                break
        elif inside:
            rows.append(cells)
        elif tuple(cells[: len(columns)]) == columns:
            inside = True
    assert inside, f"no table with the columns {columns}"
    return rows[1:]  # less the line of dashes


def quoted(cell: str) -> list[str]:
    """Everything between backticks."""
    return re.findall(r"`([^`]+)`", cell)


def command_options() -> dict[str, set[str]]:
    """Visible spellings of the options of every command, ``-h`` and ``--help`` left out."""
    from talkcli.cli.app import app

    return dict(_walk(typer.main.get_command(app), ""))


def _walk(command: Any, name: str) -> Iterator[tuple[str, set[str]]]:
    for child_name, child in getattr(command, "commands", {}).items():
        yield from _walk(child, f"{name} {child_name}".strip())
    if not hasattr(command, "commands"):
        options = [
            parameter
            for parameter in command.params
            if parameter.param_type_name == "option" and not parameter.hidden
        ]
        spellings = {text for option in options for text in option.opts + option.secondary_opts}
        yield name, spellings - {"-h", "--help"}


def integer_constants(pattern: str) -> dict[str, int]:
    """``{"talkcli.module.NAME": value}`` of module-level integers whose name matches."""
    found = {}
    for path in sorted((ROOT / "talkcli").rglob("*.py")):
        module = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            value = getattr(node, "value", None)
            if isinstance(value, ast.Constant) and isinstance(value.value, int):
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]  # type: ignore[attr-defined]
                for target in targets:
                    if isinstance(target, ast.Name) and re.fullmatch(pattern, target.id):
                        found[f"{module}.{target.id}"] = value.value
    return found
