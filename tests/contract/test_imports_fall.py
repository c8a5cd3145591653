"""Imports only fall: no arrow runs back up the floors, and nothing goes round in a circle."""

from __future__ import annotations

import re

from scripts import architecture

ROOT = architecture.ROOT
#: Goes with the seam ``talkcli/avatar.py``: these still know the one engine by name.
KNOW_THE_ENGINE = {
    "talkcli/pipeline/video/scene.py", "talkcli/pipeline/reconstruct.py",
    "talkcli/pipeline/stages/avatar.py", "talkcli/render/player.py",
}  # fmt: skip
#: The same change takes these apart.
UPWARDS = {("talkcli.render.player", "talkcli.engines.portrait.avatar")}
#: On their way; the figure is drawn anew once they are there.
DRAWN_LATER = {"api", "avatar"}
CIRCLES = [["talkcli.engines.portrait.avatar", "talkcli.engines.portrait.checkpoint"]]


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
    assert wrong <= UPWARDS, f"not down the floors of docs/architecture.md: {wrong - UPWARDS}"


def test_no_modules_and_no_packages_import_each_other_in_a_circle() -> None:
    graph = architecture.imports()
    assert [circle for circle in architecture.circles(graph) if circle not in CIRCLES] == []
    down = {
        name: {other for other in others if (name, other) not in UPWARDS}
        for name, others in graph.items()
    }
    assert architecture.circles(architecture.folded(down, architecture.packages(graph))) == []


def test_only_the_portrait_engine_knows_its_avatar() -> None:
    engine = ROOT / "talkcli" / "engines" / "portrait"
    knowing = {
        path.relative_to(ROOT).as_posix()
        for path in architecture.modules().values()
        if not path.is_relative_to(engine) and re.search(r"\bPortraitAvatar\b", path.read_text())
    }
    assert knowing <= KNOW_THE_ENGINE


def test_a_circle_is_found() -> None:
    graph = {"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}}
    assert architecture.circles(graph) == [["a", "b", "c"]]


def test_the_figure_shows_every_room_on_its_floor() -> None:
    drawn = set(re.findall(r'font-weight="bold">(\w+)<', architecture.FIGURE.read_text()))
    rooms = {architecture.room(name) for name in architecture.modules()}
    missing = rooms - drawn - {"", "__main__", *DRAWN_LATER}
    assert (missing, drawn - rooms) == (set(), set()), "draw it: python -m scripts.architecture"
