"""Recipes, --set and options become one typed, checked set of settings."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import pytest

from talkcli.config import Recipe, load_recipe, shipped_recipes
from talkcli.errors import UsageError
from talkcli.settings import check_limits, setting


def test_defaults() -> None:
    assert load_recipe() == Recipe()


def test_the_default_recipe_says_what_the_defaults_are() -> None:
    assert load_recipe("portrait") == Recipe()


@pytest.mark.parametrize("name", shipped_recipes())
def test_every_shipped_recipe_loads_and_begins_with_its_command(name: str) -> None:
    load_recipe(name)
    folder = Path(__file__).parents[2] / "recipes"
    header = (folder / f"{name}.toml").read_text().split("\n\n")[0]
    assert all(line.startswith("#") for line in header.splitlines())
    assert f"--recipe {name}" in header


def test_recipes_in_folders_are_not_forgotten() -> None:
    folder = Path(__file__).parents[2] / "recipes"
    assert {path.stem for path in folder.rglob("*.toml")} == set(shipped_recipes())


def test_option_wins_over_set_over_recipe(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text("seed = 3\n[video]\ncrf = 30\nfps = 23.976\nsize = 256\n")
    recipe = load_recipe(
        path, sets=["video.crf=20", "video.size=300"], options={"video.size": "400", "seed": None}
    )
    assert (recipe.seed, recipe.video.crf, recipe.video.size) == (3, 20, 400)
    assert recipe.video.fps == "23.976"


def test_a_setting_is_found_by_its_former_name(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "old.toml"
    path.write_text("[motion]\nweights = 'speech-clean'\n")
    assert load_recipe(path).motion.speech_model == "speech-clean"
    assert [record.message for record in caplog.records] == [
        "the setting motion.weights is now called motion.speech_model"
    ]
    # --set wins over the recipe, whichever of the two names either of them uses.
    assert load_recipe(path, sets=["motion.speech_model=speech"]).motion.speech_model == "speech"
    path.write_text("[motion]\nspeech_model = 'speech'\n")
    assert (
        load_recipe(path, sets=["motion.weights=speech-clean"]).motion.speech_model
        == "speech-clean"
    )
    with pytest.raises(UsageError, match="speech, speech-clean"):
        load_recipe(sets=["motion.weights=best"])


@pytest.mark.parametrize("text", ["-30,0,30", " -30, 0,30 ", "[-30, 0, 30.0]"])
def test_lists_are_written_either_way(text: str) -> None:
    assert load_recipe(sets=[f"video.views={text}"]).video.views == (-30.0, 0.0, 30.0)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("video.size=7", "0 or at least 64"),
        ("video.size=65", "must be even"),
        ("video.size=1e9", "between 0 and 4096"),
        ("video.size=2.5", "a whole number"),
        ("video.size=inf", "a whole number"),
        ("video.size=[1,2]", "a whole number"),
        ("motion.still=1", "true or false"),
        ("motion.head_motion=nan", "between 0 and 1"),
        ("video.views=1,x", "a number"),
        ("video.views=[60]", "between -45 and 45"),
        ("video.layout=grid", "one of strip, files"),
        ("videos.size=8", "is it video.size?"),
        ("nothing", "has no '='"),
    ],
)
def test_bad_values_say_what_is_wanted(text: str, words: str) -> None:
    with pytest.raises(UsageError, match="lists the settings") as caught:
        load_recipe(sets=[text])
    assert words in str(caught.value)


def test_all_problems_are_reported_together(tmp_path: Path) -> None:
    path = tmp_path / "bad.toml"
    path.write_text("sede = 1\n[video]\ncrf = 'low'\n")
    with pytest.raises(UsageError) as caught:
        load_recipe(path, sets=["motion.blink_rate=900"], options={"motion.head_motion": "much"})
    for word in ("sede", "is it seed?", "video.crf in", "motion.blink_rate", "--head-motion"):
        assert word in str(caught.value)


def test_recipe_that_is_no_toml(tmp_path: Path) -> None:
    path = tmp_path / "bad.toml"
    path.write_text("video = = 3")
    with pytest.raises(UsageError, match="is not TOML"):
        load_recipe(path)
    with pytest.raises(UsageError, match="portrait, preview"):
        load_recipe(tmp_path / "absent.toml")


@pytest.mark.parametrize(
    ("limits", "good", "bad", "words"),
    [
        ({"low": 2}, (2, 1e9), (1, float("nan")), "at least 2"),
        ({"high": 5}, (5, -1e9), (6, float("nan")), "at most 5"),
        ({"low": 2, "high": 5}, (2, 5), (1, 6, float("nan")), "between 2 and 5"),
        ({}, (0, float("inf")), (), ""),
    ],
)
def test_limits_may_be_open_on_either_side(limits, good, bad, words: str) -> None:
    @dataclasses.dataclass
    class Settings:
        number: float = setting(3.0, **limits)

    metadata = dataclasses.fields(Settings)[0].metadata
    for value in good:
        check_limits(value, metadata)
        check_limits((value, value), metadata)
    for value in bad:
        with pytest.raises(ValueError, match=words):
            check_limits(value, metadata)
        with pytest.raises(ValueError, match=words):
            check_limits((good[0], value), metadata)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a = " + "[" * 20_000, "nested too deeply"),
        ("a = " + "{b = " * 10_000, "nested too deeply"),
        (".".join("a" * 100) + " = 1", "unknown setting"),
        (".".join("a" * 32_000) + " = 1", "nested too deeply"),
        ("[" + " . ".join(['"video"'] * 2000) + "]\nx = 1", "nested too deeply"),
        ("seed = " + "9" * 5000, "is not TOML"),
        ("seed = 1e999", "a whole number"),
        ("seed = 1979-05-27", "a whole number"),
        ("[video]\nfps = 07:32:00", "must be a string"),
        ("[video]\nviews = [1979-05-27T07:32:00Z]", "must be a number"),
        ("[video]\nviews = [[[[1]]]]", "must be a number"),
        ("[video.size]\nx = 1", "a whole number"),
        ("video = 3", "unknown setting video"),
        ("\n".join(f"k{n} = 1" for n in range(3000)), "and 2992 more"),
        ("x" * 70_000, "larger than 65536 bytes"),
    ],
)
def test_senseless_recipes_are_one_clear_line(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "odd.toml"
    path.write_text(text)
    with pytest.raises(UsageError) as caught:
        load_recipe(path)
    assert words in str(caught.value)
    assert len(str(caught.value)) < 1500 and "\n" not in str(caught.value)


def test_only_regular_files_are_recipes(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    for path in ("/dev/zero", tmp_path / "pipe", tmp_path / "binary", tmp_path):
        with pytest.raises(UsageError, match="cannot be"):
            load_recipe(path)


@pytest.mark.parametrize("value", ["9" * 5000, "[" * 20_000, "1979-05-27"])
def test_senseless_values_are_refused_in_one_line(value: str) -> None:
    with pytest.raises(UsageError, match="whole number") as caught:
        load_recipe(sets=[f"seed={value}"])
    assert len(str(caught.value)) < 300


def test_a_byte_order_mark_is_no_part_of_a_recipe(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text("\ufeffseed = 7\n", encoding="utf-8")
    assert load_recipe(str(path)).seed == 7
