"""The keys of ``--json`` are those that docs/cli.md lists, for every command, and no others."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from talkcli.bench import run as bench_run
from talkcli.bench.cost import PARTS, Film, film_cost
from talkcli.bench.video import VideoTimings
from talkcli.bench.yardstick import Turn, Yardsticks
from talkcli.errors import InputError
from talkcli.metrics.lips import LipTracks
from talkcli.metrics.result import Metric
from talkcli.pipeline.evaluate.compare import FACTS, Comparison
from talkcli.pipeline.evaluate.run import Evaluation
from tests.support import docs

TEXT = docs.section(docs.page("cli.md"), "## JSON output")
COMMANDS = [name for name in docs.command_options() if not name.startswith("train ")]


def documented(command: str) -> set[str]:
    """Keys of a command's object."""
    rows = docs.table(TEXT, "key", "commands")
    return {
        docs.quoted(key)[0]
        for key, commands, *_ in rows
        if commands == "all" or command in commands.split(", ")
    }


def inner(name: str) -> list[set[str]]:
    """Keys of an object inside, then of the objects in brackets inside that one."""
    row = next(row for row in docs.table(TEXT, "object", "keys") if row[0] == name)
    nested = re.findall(r"\(each with ([^)]*)\)", row[1])
    outer = re.sub(r"\([^)]*\)", "", row[1])
    return [set(docs.quoted(text)) for text in (outer, *nested)]


def test_every_command_is_in_the_table() -> None:
    rows = docs.table(TEXT, "key", "commands")
    named = {name for _, commands, *_ in rows for name in commands.split(", ")}
    assert named - {"all"} == set(COMMANDS)


@pytest.fixture
def answers(talkcli: Any, portrait: Path, speech: Path, tmp_path: Path) -> dict[str, Any]:
    """What each command that makes something answers."""
    made: dict[str, Any] = {}
    project = tmp_path / "me"
    calls = {
        "reconstruct": ("reconstruct", portrait, "-p", project),
        "animate": ("animate", portrait, speech),
        "drive": ("drive", project, speech),
        "render": ("render", project),
        "export": ("export", project),
    }
    for name, arguments in calls.items():
        answer = talkcli(*arguments, "--json")
        assert answer.code == 0, answer.err
        made[name] = json.loads(answer.out)
    made["status"] = json.loads(talkcli("status", project, "--json").out)
    made["doctor"] = json.loads(talkcli("doctor", "--json").out)
    return made


def test_keys_of_every_command(answers: dict[str, Any]) -> None:
    for name, answer in answers.items():
        assert set(answer) == documented(name), name


def test_a_plan_has_the_same_keys(talkcli: Any, portrait: Path, speech: Path) -> None:
    answer = json.loads(talkcli("animate", portrait, speech, "--dry-run", "--json").out)
    assert set(answer) == documented("animate")
    assert {row["status"] for row in answer["stages"]} == {"would execute"}


def test_keys_of_the_objects_inside(answers: dict[str, Any]) -> None:
    (stage,) = inner("each of `stages`")
    assert all(
        set(row) == stage for name in ("animate", "render") for row in answers[name]["stages"]
    )
    project, stored = inner("each of `projects`")
    (status,) = answers["status"]["projects"]
    assert set(status) == project
    assert all(set(row) == stored for row in status["stages"])
    assert all([set(row)] == inner("each of `checks`") for row in answers["doctor"]["checks"])


def test_keys_of_bench() -> None:
    scene = bench_run.time_renderer("cpu", ((50, 32),), 1)[0].as_json()
    renderer, timing = inner("each of `renderer`")
    assert set(scene) == renderer and set(scene["fit"]) == timing
    assert [set(bench_run.describe_machine())] == inner("`machine`")
    cpu = dict.fromkeys(PARTS, 0.1)
    video = VideoTimings(1, 1.0, 0.5, 2.0, {"track": 1.0, "build": 1.0}, 300.0, 25, cpu)
    assert [set(video.as_json())] == inner("each of `animate`")
    speed, cost = Yardsticks([Turn(50.0, 200.0)]), film_cost(Film(0.5, 12, cpu), video.film)
    result = bench_run.BenchResult({}, "cpu", "", speed, [], video, [], cost)
    assert [set(speed.as_json())] == inner("`speed`")
    cost_keys, parts = inner("`cost`")
    assert set(cost.as_json(50.0)) == cost_keys and set(cost.per_second) == parts == set(PARTS)
    assert set(result.as_json()) | {"warnings"} == documented("bench")
    assert [set(result.as_json()["build"])] == inner("`build`")


def test_keys_of_eval() -> None:
    facts = dict.fromkeys(FACTS, 0)
    nothing = np.zeros((0, 2))
    tracks = LipTracks(np.zeros(0), nothing, nothing)
    row = Metric("psnr_face", "PSNR", 30.0, "dB", "higher", "face")
    made = Comparison("a", Path("a"), Path("b"), (row,), facts, tracks, np.zeros((0, 6)))
    failed = (("c", InputError("no face", "another video")),)
    answer = Evaluation("", (made,), failed, {}, 0.0, (), pooled=True).as_json()
    assert set(answer) | {"warnings"} == documented("eval")
    keys, metric = inner("each of `comparisons`")
    (comparison,) = answer["comparisons"]
    assert set(comparison) == keys and set(comparison["metrics"][0]) == metric
    assert [set(answer["failed"][0])] == inner("each of `failed`")
    assert [set(answer["medians"][0])] == inner("each of `medians`")


def test_keys_of_track() -> None:
    from talkcli.pipeline.stages.track import ABOUT_KEYS

    assert [set(ABOUT_KEYS)] == inner("`clip`")
    assert documented("track") == documented("reconstruct") - {"trusted"} | {"clip"}
