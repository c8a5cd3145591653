"""The floors of the package, who imports whom, and the figure of both for docs/architecture.md.

    python -m scripts.architecture          # draws docs/images/architecture.svg anew

Imports are read from the source, so those inside functions and under TYPE_CHECKING count too.
"""

from __future__ import annotations

import ast
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path

ROOT = Path(__file__).parents[1]
FIGURE = ROOT / "docs" / "images" / "architecture.svg"

#: Top-level packages and modules of ``talkcli``, the highest floor first. A floor may import from
#: those below it. Its own neighbours it may not, except as NEIGHBOURS says.
FLOORS: tuple[tuple[str, ...], ...] = (
    ("__main__",),
    ("cli",),
    ("clips",),
    ("api",),
    ("bench",),
    ("pipeline", "train"),
    ("engines",),
    ("compose",),
    ("motion", "tracking", "layers", "metrics"),
    ("face", "speech", "optim"),
    ("render", "media", "export", "project", "provenance", "weights"),
    ("kernels", "files", "config", "avatar"),
    (
        "toml",
        "sections",
        "settings",
        "progress",
        "runtime",
        "signals",
        "types",
        "shapes",
        "errors",
        "imaging",
    ),
)
#: Imports between neighbours of one floor that are meant, as (importer, imported).
NEIGHBOURS: frozenset[tuple[str, str]] = frozenset(
    {
        *(("config", "files"), ("kernels", "files"), ("runtime", "errors")),
        *(("types", "shapes"), ("imaging", "shapes"), ("sections", "settings")),
    }
)

Graph = Mapping[str, set[str]]


def modules() -> dict[str, Path]:
    """Dotted name to file of every module of the package."""
    found = {}
    for path in sorted((ROOT / "talkcli").rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports() -> dict[str, set[str]]:
    """Modules of the package that each of its modules imports, anywhere in its text.

    ``from talkcli import __version__`` is no import of the facade and does not count.
    """
    known = modules()
    return {name: set(_imported(path, known)) - {name, "talkcli"} for name, path in known.items()}


def _imported(path: Path, known: Mapping[str, Path]) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in known)
        elif isinstance(node, ast.ImportFrom) and node.module in known:
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                yield full if full in known else str(node.module)


def room(module: str) -> str:
    """The top-level package or module that a dotted name lies in; the facade is ``""``."""
    return module.split(".")[1] if "." in module else ""


def floor_of() -> dict[str, int]:
    """Floor of every room, 0 the highest."""
    return {name: floor for floor, names in enumerate(FLOORS) for name in names}


def circles(graph: Graph) -> list[list[str]]:
    """Groups of nodes that reach one another (Tarjan's strongly connected components)."""
    order: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(node: str) -> None:
        order[node] = low[node] = len(order)
        stack.append(node)
        for other in sorted(graph.get(node, ())):
            if other not in order:
                visit(other)
            if other in stack:
                low[node] = min(low[node], low[other])
        if low[node] == order[node]:
            group = stack[stack.index(node) :]
            del stack[stack.index(node) :]
            if len(group) > 1:
                found.append(sorted(group))

    for node in sorted(graph):
        if node not in order:
            visit(node)
    return found


def folded(graph: Graph, part: Mapping[str, str]) -> dict[str, set[str]]:
    """The graph between the parts that its nodes lie in, without arrows inside a part."""
    out: dict[str, set[str]] = defaultdict(set)
    for node, others in graph.items():
        out[part[node]] |= {part[other] for other in others} - {part[node]}
    return dict(out)


def packages(graph: Graph) -> dict[str, str]:
    """The folder of every module; the modules at the top of ``talkcli`` stand for themselves."""
    files = modules()
    part = {}
    for name in graph:
        folder = name if files[name].name == "__init__.py" else name.rpartition(".")[0]
        part[name] = name if folder == "talkcli" else folder
    return part


# The figure ----------------------------------------------------------------------------------

_WIDTH, _ROW, _BOX, _LEFT = 860, 72, 34, 20


def figure() -> str:
    """The floors as SVG: a box for every room that exists, an arrow for every direct dependency.

    An arrow that follows from others (A imports B, B imports C, A imports C) is left out, and so
    are those to the lowest floor, which everybody imports.
    """
    floor, ground = floor_of(), len(FLOORS) - 1
    graph = {
        name: {other for other in others if other and floor[name] < floor[other] < ground}
        for name, others in folded(imports(), {name: room(name) for name in modules()}).items()
        if name
    }
    direct = _reduced(graph)
    count = Counter(room(name) for name in modules())
    floors = [[name for name in names if count[name]] for names in FLOORS]
    floors = [names for names in floors if names and names != ["__main__"]]
    place = {}
    for row, names in enumerate(floors):
        step = (_WIDTH - 2 * _LEFT) / len(names)
        for column, name in enumerate(names):
            place[name] = (_LEFT + step * (column + 0.5), _LEFT + _ROW * row, min(step - 14, 104))
    height = _LEFT * 2 + _ROW * (len(floors) - 1) + _BOX
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" '
        'font-family="sans-serif" font-size="13">',
        "<title>The floors of talkcli; imports only fall</title>",
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="6" '
        'markerHeight="6" orient="auto"><path d="M0 0L8 4L0 8z" fill="#8a94a6"/></marker></defs>',
        f'<rect width="{_WIDTH}" height="{height}" fill="#ffffff"/>',
    ]
    for upper in place:
        for lower in sorted(direct.get(upper, ())):
            lines.append(_arrow(place[upper], place[lower]))
    for name, (x, y, width) in place.items():
        number = f"{count[name]} modules" if count[name] > 1 else "1 module"
        lines.append(
            f'<rect x="{x - width / 2:.0f}" y="{y}" width="{width:.0f}" height="{_BOX}" rx="5" '
            f'fill="#eaf0fb" stroke="#4a69a8"/><text x="{x:.0f}" y="{y + 15}" fill="#1b2a4a" '
            f'text-anchor="middle" font-weight="bold">{name}</text><text x="{x:.0f}" y="{y + 28}" '
            f'fill="#4b5a75" text-anchor="middle" font-size="10">{number}</text>'
        )
    return "\n".join([*lines, "</svg>"]) + "\n"


def _arrow(upper: tuple[float, float, float], lower: tuple[float, float, float]) -> str:
    x0, y0, x1, y1 = upper[0], upper[1] + _BOX, lower[0], lower[1]
    bend = (y1 - y0) * 0.5
    return (
        f'<path d="M{x0:.0f} {y0:.0f}C{x0:.0f} {y0 + bend:.0f} {x1:.0f} {y1 - bend:.0f} '
        f'{x1:.0f} {y1:.0f}" fill="none" stroke="#8a94a6" marker-end="url(#tip)"/>'
    )


def _reduced(graph: Graph) -> dict[str, set[str]]:
    """Arrows that are not implied by longer ways (of a graph without circles)."""

    def reach(node: str) -> set[str]:
        below: set[str] = set()
        for other in graph.get(node, ()):
            below |= {other} | reach(other)
        return below

    return {
        node: {other for other in others if not any(other in reach(via) for via in others)}
        for node, others in graph.items()
    }


if __name__ == "__main__":
    FIGURE.write_text(figure(), encoding="utf-8")
