"""What ``docs/`` says about options, settings, stages and files is what the code does.

Both ways: what the code knows is documented, and what is documented exists.
"""

from __future__ import annotations

import dataclasses
import json
import os
import re
import subprocess
import sys
import typing
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from talkcli import errors, toml
from talkcli.config import Recipe, shipped_recipes
from tests.support import docs

#: Commands with a table of their own; the other options stand in the common one.
# fmt: off
OWN_TABLES = (
    "eval", "bench", "train prepare", "train mggtalk", "train splat-portrait", "train speech",
    "train face",
)
# fmt: on


def subclasses(cls: type) -> set[type]:
    return {cls}.union(*(subclasses(child) for child in cls.__subclasses__()))


@pytest.mark.parametrize("name", ["docs/cli.md", "README.md"])
def test_exit_codes(name: str) -> None:
    text = (docs.ROOT / name).read_text(encoding="utf-8")
    written = [int(row[0]) for row in docs.table(text, "code", "meaning")]
    raised = {cls.exit_code for cls in subclasses(errors.TalkcliError)}
    assert written == sorted({0} | raised)


def documented_options() -> dict[str, set[str]]:
    """Spellings by command, from all tables of docs/cli.md."""
    text = docs.page("cli.md")
    known = docs.command_options()
    found: dict[str, set[str]] = {name: set() for name in known}
    for cell, commands, *_ in docs.table(docs.section(text, "## Options"), "option", "commands"):
        names = commands.split(", ")
        if names == ["all"]:
            names = [name for name in known if not name.startswith("train ")]
        for name in names:
            assert name in found, f"docs/cli.md names a command {name!r}"
            found[name] |= set(docs.quoted(cell))
    for name in OWN_TABLES:
        for cell, *_ in docs.table(docs.section(text, f"## {name}"), "option"):
            found[name] |= set(docs.quoted(cell))
    return found


def test_options() -> None:
    written, actual = documented_options(), docs.command_options()
    missing = {name: actual[name] - written[name] for name in actual}
    invented = {name: written[name] - actual[name] for name in actual}
    assert {name: options for name, options in missing.items() if options} == {}, "undocumented"
    assert {name: options for name, options in invented.items() if options} == {}, "no such option"


def test_the_list_of_commands() -> None:
    first = docs.page("cli.md").split("\n\n")[1]
    named = {re.sub(r" [A-Z\[-].*", "", line.strip()) for line in first.splitlines()}
    assert {name.split("  ")[0].removeprefix("talkcli ") for name in named} == set(
        docs.command_options()
    )


def settings(cls: Any = Recipe, prefix: str = "") -> dict[str, Any]:
    """Default of every setting by its full name."""
    found = {}
    hints = typing.get_type_hints(cls)
    for item in dataclasses.fields(cls):
        if dataclasses.is_dataclass(hints[item.name]):
            found.update(settings(hints[item.name], f"{prefix}{item.name}."))
        else:
            found[prefix + item.name] = item.default
    return found


def choices(cls: Any = Recipe, prefix: str = "") -> dict[str, tuple[str, ...]]:
    """The only texts allowed, of the settings that have such."""
    found = {}
    hints = typing.get_type_hints(cls)
    for item in dataclasses.fields(cls):
        if dataclasses.is_dataclass(hints[item.name]):
            found.update(choices(hints[item.name], f"{prefix}{item.name}."))
        elif item.metadata.get("choices"):
            found[prefix + item.name] = item.metadata["choices"]
    return found


def test_settings_and_their_defaults() -> None:
    rows = docs.table(docs.section(docs.page("cli.md"), "## Settings"), "setting", "default")
    written = {
        docs.quoted(name)[0]: toml.loads(f"value = {docs.quoted(default)[0]}")["value"]
        for name, default, *_ in rows
    }
    actual = {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in settings().items()
    }
    assert written == actual
    meanings = {docs.quoted(name)[0]: docs.quoted(meaning) for name, _, meaning in rows}
    missing = {
        name: set(allowed) - set(meanings[name])
        for name, allowed in choices().items()
        if set(allowed) - set(meanings[name])
    }
    assert missing == {}


def test_stages_and_their_versions() -> None:
    rows = docs.table(
        docs.section(docs.page("project_format.md"), "## Entries"), "stage", "version"
    )
    written = {docs.quoted(row[0])[0]: int(row[1]) for row in rows}
    constants = docs.integer_constants(r"[A-Z]+_VERSION")
    assert written == {
        name.rpartition(".")[2].removesuffix("_VERSION").lower(): value
        for name, value in constants.items()
    }


def test_what_stages_read(tmp_path: Path) -> None:
    from talkcli.config import TrackingConfig
    from talkcli.pipeline.stages.avatar import avatar_stage, portrait_stage
    from talkcli.pipeline.stages.faces import FoundFaces
    from talkcli.pipeline.stages.track import track_stage
    from talkcli.project import ProjectInput, StageRun

    source = ProjectInput(tmp_path, "0" * 64, 1)
    found = StageRun("portrait", "0" * 64, tmp_path, False, 0.0, "0" * 64)
    stages = (
        portrait_stage(source),
        avatar_stage(source, found, FoundFaces(512, 512, ()), 0, Recipe()),
        track_stage(source, TrackingConfig(landmarks="bundled")),
    )
    rows = {
        docs.quoted(row[0])[0]: row
        for row in docs.table(
            docs.section(docs.page("project_format.md"), "## Entries"), "stage", "version", "reads"
        )
    }
    for stage in stages:
        _, _, reads, inputs, _ = rows[stage.name]
        names = re.sub(r"\([^)]*\)", "", reads).replace("–", "").split(",")
        assert {name.strip() for name in names if name.strip()} == set(stage.recipe)
        assert set(inputs.split(", ")) == set(stage.upstream)


def test_schemas_of_files() -> None:
    text = docs.section(docs.page("project_format.md"), "### File formats")
    written = {row[0]: int(row[1]) for row in docs.table(text, "file", "schema")}
    actual = docs.integer_constants(r"(\w+_)?SCHEMA")
    assert set(actual) == set(docs.SCHEMAS)
    assert written == {docs.SCHEMAS[name]: value for name, value in actual.items()}


def test_keys_of_stage_json(tmp_path: Path) -> None:
    from talkcli.project.stage import Stage, make_record

    text = docs.section(docs.page("project_format.md"), "### stage.json")
    written = {name for row in docs.table(text, "key") for name in docs.quoted(row[0])}
    record = json.loads(make_record(Stage("portrait", 1), tmp_path, 0.0, {}))
    assert written == set(record)


def test_keys_of_project_toml(tmp_path: Path) -> None:
    from talkcli.project import Project, ProjectInput

    text = docs.section(docs.page("project_format.md"), "## project.toml")
    example = "\n".join(line[4:] for line in text.splitlines() if line.startswith("    "))
    picture = tmp_path / "portrait.png"
    picture.write_bytes(b"picture")
    Project.create(tmp_path / "me").set_input("portrait", ProjectInput.of(picture))
    actual = (tmp_path / "me" / "project.toml").read_text(encoding="utf-8")
    assert shape(toml.loads(example)) == shape(toml.loads(actual))


def shape(value: object) -> object:
    """Keys and types of a document."""
    if isinstance(value, dict):
        return {key: shape(item) for key, item in value.items()}
    return type(value)


def test_arrays_and_columns_of_curves(tmp_path: Path) -> None:
    from talkcli.motion.curves import write_csv, write_npz
    from talkcli.types import MotionCurves, MotionFrame

    rows = docs.table(docs.section(docs.page("project_format.md"), "### File formats"), "file")
    (sentence,) = (row[2] for row in rows if row[0] == "`curves.npz`")
    zeros = (np.zeros((1, n), np.float32) for n in (52, 3, 3, 2))
    curves = MotionCurves(np.full(1, 0.02), *zeros, np.ones(1, bool), 0.04)
    write_npz(tmp_path / "curves.npz", curves)
    with np.load(tmp_path / "curves.npz") as file:
        assert {name for name in file.files if name != "header"} == set(docs.quoted(sentence))
    write_csv(tmp_path / "curves.csv", [MotionFrame.neutral()], Fraction(25))
    columns = (tmp_path / "curves.csv").read_text(encoding="utf-8").splitlines()[0].split(",")
    assert f"timecode, count\nand {len(columns) - 2} columns" in docs.page("tracking.md")


def test_endings_of_outputs(tmp_path: Path) -> None:
    from talkcli.media.image import write_image
    from talkcli.media.write import check_target

    text = docs.page("cli.md")
    paragraph = text[text.index("The ending of the output") :].split("\n\n")[0]
    videos, pictures = paragraph.split("`render` also writes")
    names = {name for name in docs.quoted(videos) if re.fullmatch(r"\.\w+", name)}
    for name in names | {""}:
        check_target(tmp_path / f"talk{name}", overwrite=False, alpha=False)
    for name in docs.quoted(pictures):
        write_image(tmp_path / f"view{name}", np.zeros((4, 4, 3), np.uint8), overwrite=False)
    assert len(names) == 3 and len(docs.quoted(pictures)) == 3
    for unknown in (".avi", ".webm", ".mkv", ".gif"):
        with pytest.raises(errors.UsageError):
            check_target(tmp_path / f"talk{unknown}", overwrite=False, alpha=False)


@pytest.mark.parametrize("name", ["docs/cli.md", "README.md"])
def test_frame_rates(name: str) -> None:
    from talkcli.media.write import parse_fps

    text = " ".join((docs.ROOT / name).read_text(encoding="utf-8").split())
    found = re.search(r"at (\d+) to (\d+) frames per second|from (\d+) to (\d+), 25 by", text)
    assert found
    low, high = (int(number) for number in found.groups() if number)
    assert (parse_fps(str(low)), parse_fps(str(high))) == (low, high)
    for refused in (low - 1, high + 1):
        with pytest.raises(errors.UsageError):
            parse_fps(str(refused))


def test_environment_variables() -> None:
    text = docs.page("environment.md")
    own = {
        docs.quoted(row[0])[0]
        for row in docs.table(docs.section(text, "## Read by talkcli"), "variable")
    }
    source = "".join(
        path.read_text(encoding="utf-8") for path in (docs.ROOT / "talkcli").rglob("*.py")
    )
    read = set(re.findall(r"\bTALKCLI_[A-Z_]+\b", source))
    assert {name for name in own if name.startswith("TALKCLI_")} == read
    # Read on our behalf by platformdirs.
    assert {name for name in own if f'"{name}"' not in source} == {"XDG_CACHE_HOME"}
    written = {
        docs.quoted(row[0])[0]
        for row in docs.table(docs.section(text, "## Set by talkcli, unless you did"), "variable")
    }
    code = (
        "import os, json; before = set(os.environ)\n"
        "from talkcli import runtime; runtime.configure()\n"
        "print(json.dumps(sorted(set(os.environ) - before)))"
    )
    clean = {
        name: os.environ[name] for name in ("PATH", "HOME", "PYTHONPATH") if name in os.environ
    }
    run = subprocess.run(
        [sys.executable, "-c", code], env=clean, cwd=docs.ROOT, capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr
    assert written | {"OMP_NUM_THREADS"} == set(json.loads(run.stdout))


def test_settings_that_pages_mention_exist() -> None:
    named = {
        (path.name, key)
        for path in docs.PAGES
        for key in re.findall(r"--set\s+([a-z_]+\.[a-z_]+)=", path.read_text(encoding="utf-8"))
    }
    assert {(name, key) for name, key in named if key not in settings()} == set()
    assert len(named) > 3


def test_recipes_that_pages_mention_ship() -> None:
    text = "\n".join(path.read_text(encoding="utf-8") for path in docs.PAGES)
    named = set(re.findall(r"--recipe ([a-z][a-z-]*[a-z])", text))
    assert named <= set(shipped_recipes())
    assert named


def command_lines() -> list[tuple[str, str]]:
    """Page and text of every command line in a code block."""
    found = []
    for path in docs.PAGES:
        fenced = False
        for line in path.read_text(encoding="utf-8").splitlines():
            fenced ^= line.startswith("```")
            # Three spaces or a # begin a remark, | and || another command.
            match = re.match(r".*?\b(talkcli [a-z].*?)(?:   .*|\s+[#|].*|\s*)$", line)
            if match and (fenced or re.match(r"    [^ ]", line)):
                found.append((path.name, match[1]))
    return found


def test_command_lines_on_all_pages_are_right() -> None:
    known = docs.command_options()
    wrong = []
    for name, line in command_lines():
        words = line.split()[1:]
        command = next((key for key in known if words[: len(key.split())] == key.split()), None)
        if command is None:
            wrong.append(f"{name}: no such command: {line}")
            continue
        used = {word.split("=")[0] for word in words if re.match(r"--?[a-z]", word)}
        if unknown := used - known[command] - {"--help", "-h"}:
            wrong.append(f"{name}: {command} has no {', '.join(sorted(unknown))}: {line}")
    assert wrong == []
    assert len(command_lines()) > 30


def test_files_that_pages_mention_exist() -> None:
    tracked = [
        path.relative_to(docs.ROOT).as_posix()
        for folder in ("talkcli", "tests", "scripts", "benchmarks", "docs", "recipes", "examples")
        for path in (docs.ROOT / folder).rglob("*")
    ]
    wrong = []
    for path in docs.PAGES:
        for text in re.findall(r"`([\w./]+\.(?:py|toml|sh))`", path.read_text(encoding="utf-8")):
            known = text in tracked or any(name.endswith(f"/{text}") for name in tracked)
            if not known and text != "project.toml":
                wrong.append(f"{path.name}: {text}")
    assert wrong == []


def test_tests_that_pages_mention_exist() -> None:
    sources = (path.read_text(encoding="utf-8") for path in (docs.ROOT / "tests").rglob("*.py"))
    known = set(re.findall(r"^def (test_\w+)", "\n".join(sources), re.MULTILINE))
    named = {
        (path.name, name)
        for path in docs.PAGES
        for name in re.findall(r"`(test_\w+)`", path.read_text(encoding="utf-8"))
    }
    assert {(where, name) for where, name in named if name not in known} == set()
    assert len(named) > 10


_MAKE = re.compile(r"(?:^ *|`|run: |^#   )make ([a-z-]+)", re.MULTILINE)


def test_make_targets_that_pages_and_workflows_name_exist() -> None:
    makefile = (docs.ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    (phony,) = re.findall(r"^\.PHONY: (.*)", makefile, re.MULTILINE)
    assert set(phony.split()) == targets
    named = {
        (path.name, name)
        for path in [*docs.PAGES, *(docs.ROOT / ".github").rglob("*.*"), docs.ROOT / "Makefile"]
        if path.is_file()
        for name in _MAKE.findall(path.read_text("utf-8"))
    }
    assert {(where, name) for where, name in named if name not in targets} == set()
    assert {name for where, name in named if where == "ci.yml"} == {"style", "test", "docs"}
    help_text = {name for where, name in named if where == "Makefile"}
    assert help_text == targets - {"help"}


def test_names_that_pages_mention_exist() -> None:
    """``face.pose.euler_to_rotation`` and its like."""
    wrong = []
    for path in docs.PAGES:
        for text in re.findall(r"`([a-z_]+(?:\.[A-Za-z_]+)+)`", path.read_text(encoding="utf-8")):
            *parts, name = text.removeprefix("talkcli.").split(".")
            if name in ("safetensors", "json"):
                continue  # a file, not a name
            source = docs.ROOT.joinpath("talkcli", *parts).with_suffix(".py")
            if source.is_file() and not re.search(
                rf"^(?:def|class) {name}\b|^{name}\b",
                source.read_text(encoding="utf-8"),
                re.MULTILINE,
            ):
                wrong.append(f"{path.name}: {text}")
    assert wrong == []
