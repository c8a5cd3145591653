"""``talkcli eval`` on the command line: what it refuses, and how figures are shown and written."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from talkcli.errors import InputError
from talkcli.metrics.lips import LipTracks
from talkcli.metrics.result import Metric
from talkcli.pipeline.evaluate import run
from talkcli.pipeline.evaluate.compare import FACTS, Comparison
from talkcli.pipeline.stages.inputs import Clip


@pytest.fixture
def judged(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the pairs that were compared; ``bad`` shows no face."""
    names: list[str] = []

    def compare(name: str, made: Clip, real: Clip, context: object) -> Comparison:
        names.append(name)
        if name == "bad":
            raise InputError("no face can be followed in bad.mp4", "use another video")
        rows = (
            Metric("psnr_face", "PSNR", 30.0 + len(names), "dB", "higher", "face"),
            Metric("lip_lag", "lag of the made lips", None, "ms", "zero", note="lips rest"),
        )
        facts = {**dict.fromkeys(FACTS, 7), "align": "none"}
        nothing = np.zeros((0, 2))
        tracks = LipTracks(np.zeros(0), nothing, nothing)
        return Comparison(name, made.path, real.path, rows, facts, tracks, np.zeros((0, 6)))

    monkeypatch.setattr(run, "compare", compare)
    return names


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    for folder, names in (("made", "a b bad only"), ("real", "a b bad other")):
        (tmp_path / folder).mkdir()
        for name in names.split():
            (tmp_path / folder / f"{name}.mp4").write_bytes(b"a video")
        (tmp_path / folder / "notes.txt").write_text("no video")
    return tmp_path / "made", tmp_path / "real"


def test_a_pair_as_table_json_and_csv(
    talkcli: Any, judged: list[str], folders: tuple[Path, Path], tmp_path: Path
) -> None:
    files = [folder / "a.mp4" for folder in folders]
    shown = talkcli("eval", *files)
    assert shown.code == 0 and judged == ["a"]
    assert "PSNR" in shown.out and "31" in shown.out and "lips rest" in shown.out
    table = tmp_path / "figures.csv"
    answer = json.loads(talkcli("eval", *files, "--csv", table, "--json").out)
    assert answer["comparisons"][0]["metrics"][0]["value"] == 32.0
    assert answer["comparisons"][0]["metrics"][1]["value"] is None
    assert answer["outputs"] == [str(table)] and answer["medians"] == []
    rows = list(csv.DictReader(table.open()))
    assert [row["figure"] for row in rows] == ["psnr_face", "lip_lag"]
    assert (rows[0]["value"], rows[1]["value"], rows[1]["note"]) == ("32", "", "lips rest")
    page = tmp_path / "report.html"
    assert talkcli("eval", *files, "--report", page, "-q").code == 0
    assert "PSNR (face)" in page.read_text("utf-8") and "lips rest" in page.read_text("utf-8")
    again = talkcli("eval", *files, "--csv", table)
    assert again.code == 3 and "exists" in again.err and judged == ["a", "a", "a"]


def test_folders_are_paired_by_name(
    talkcli: Any, judged: list[str], folders: tuple[Path, Path]
) -> None:
    answer = json.loads(talkcli("eval", *folders, "--json").out)
    assert judged == ["a", "b", "bad"]
    assert [row["name"] for row in answer["comparisons"]] == ["a", "b"]
    assert answer["failed"] == [
        {"name": "bad", "error": "no face can be followed in bad.mp4", "mend": "use another video"}
    ]
    psnr = answer["medians"][0]
    assert (psnr["median"], psnr["lowest"], psnr["highest"], psnr["count"]) == (31.5, 31, 32, 2)
    assert answer["medians"][1]["median"] is None and answer["medians"][1]["count"] == 0
    text = " ".join(answer["warnings"])
    assert "only" in text and "other" in text and "bad is left out" in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "eval compares two videos"),
        (("made/a.mp4",), "eval compares two videos"),
        (("made/a.mp4", "real/a.mp4", "real/b.mp4"), "eval compares two videos"),
        (("made/a.mp4", "real/a.mp4", "--self-reenact", "real/b.mp4"), "eval compares two videos"),
        (("made", "real/a.mp4"), "not of one kind"),
        (("made/a.mp4", "real/a.mp4", "--align", "lips"), "--align takes"),
        (("made/a.mp4", "real/a.mp4", "--baselines"), "add --self-reenact"),
        (("--self-reenact", "real/a.mp4", "--by", "magic"), "--by takes"),
        (("--views", "real/a.mp4"), "at least two cameras"),
        (("--views", "real/a.mp4", "real/b.mp4", "--source-camera", "2"), "no camera 2"),
        (("--views", "real/a.mp4", "--self-reenact", "real/b.mp4"), "cameras and nothing else"),
    ],
)
def test_usage(
    talkcli: Any,
    judged: list[str],
    folders: tuple[Path, Path],
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    message: str,
) -> None:
    monkeypatch.chdir(folders[0].parent)
    answer = talkcli("eval", *arguments)
    assert (answer.code, judged) == (2, [])
    assert message in answer.err and len(answer.err.splitlines()) == 1


def test_inputs_that_cannot_be_compared(
    talkcli: Any, judged: list[str], folders: tuple[Path, Path], tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    for arguments, message in (
        ((folders[0], tmp_path / "empty"), "has the name of one"),
        ([folder / "bad.mp4" for folder in folders], "no face can be followed"),
        (("--subject", tmp_path / "empty"), "holds no talkcli project"),
    ):
        answer = talkcli("eval", *arguments)
        assert answer.code == 3 and message in answer.err
        assert len(answer.err.splitlines()) == 1


def test_files_that_are_no_videos(talkcli: Any, portrait: Path, speech: Path) -> None:
    for wrong, message in (
        (portrait, "is a picture"),
        (speech, "contains no video"),
        (portrait.with_name("none.mp4"), "does not exist"),
    ):
        for arguments in ((wrong, speech), ("--self-reenact", wrong), ("--views", wrong, wrong)):
            answer = talkcli("eval", *arguments)
            assert answer.code == 3 and message in answer.err, answer.err


def test_a_project_of_one_picture_is_no_subject(
    talkcli: Any, portrait: Path, tmp_path: Path
) -> None:
    talkcli("reconstruct", portrait, "-p", tmp_path / "me")
    answer = talkcli("eval", "--subject", tmp_path / "me")
    assert answer.code == 3 and "no avatar that was fitted to a clip" in answer.err
    assert "talkcli fit -p" in answer.err
