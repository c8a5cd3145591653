"""Imports only fall: no arrow runs back up the floors, and nothing goes round in a circle."""

from __future__ import annotations

import re

from scripts import architecture

ROOT = architecture.ROOT


def test_every_room_has_a_floor() -> None:
    rooms = {architecture.room(name) for name in architecture.modules()} - {""}
    assert rooms - set(architecture.floor_of()) == set(), "give it a floor: scripts/architecture.py"


def test_no_import_runs_up_or_to_a_neighbour() -> None:
    floor = architecture.floor_of()
    wrong = set()
    for name, others in architecture.imports().items():
        for other in others:
            above, below = architecture.room(name), architecture.room(other)
            if "" in (above, below) or above == below or (above, below) in architecture.NEIGHBOURS:
                continue
            if floor[above] >= floor[below]:
                wrong.add((name, other))
    assert wrong == set(), "not down the floors of docs/architecture.md"


def test_no_modules_and_no_packages_import_each_other_in_a_circle() -> None:
    graph = architecture.imports()
    assert architecture.circles(graph) == []
    assert architecture.circles(architecture.folded(graph, architecture.packages(graph))) == []


def test_only_engines_know_the_portrait_avatar() -> None:
    # A fit starts from the avatar of a clip's best frame, and networks learn from many of them.
    engines = [ROOT / "talkcli" / name for name in ("engines", "train")]
    knowing = {
        path.relative_to(ROOT).as_posix()
        for path in architecture.modules().values()
        if not any(path.is_relative_to(engine) for engine in engines)
        and re.search(r"\bPortraitAvatar\b", path.read_text())
    }
    assert knowing == set()


def test_a_circle_is_found() -> None:
    graph = {"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}}
    assert architecture.circles(graph) == [["a", "b", "c"]]


def test_the_figure_shows_every_room_on_its_floor() -> None:
    drawn = set(re.findall(r'font-weight="bold">(\w+)<', architecture.FIGURE.read_text()))
    rooms = {architecture.room(name) for name in architecture.modules()}
    assert drawn == rooms - {"", "__main__"}, "draw it anew: python -m scripts.architecture"
