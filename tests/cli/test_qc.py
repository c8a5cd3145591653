"""``talkcli qc`` and ``--qc``: what is said on which stream, and with which exit code."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from talkcli.errors import UsageError
from talkcli.metrics.quality import Check
from talkcli.pipeline.qc import QcReport, missed
from tests.support import docs

TEXT = docs.section(docs.page("cli.md"), "## JSON output")


def keys_of(name: str) -> set[str]:
    row = next(row for row in docs.table(TEXT, "object", "keys") if row[0] == name)
    return set(docs.quoted(row[1]))


@pytest.fixture(autouse=True)
def no_faces(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tracker finds nobody, without a search in every frame."""
    for module in ("follow", "upright"):
        name = f"talkcli.tracking.{module}.detect_faces"
        monkeypatch.setattr(name, lambda rgb, small=False: [])


@pytest.fixture
def video(talkcli: Any, portrait: Path, speech: Path, tmp_path: Path) -> Path:
    """A video of the dummy engine, which draws no face."""
    path = tmp_path / "made.mp4"
    assert talkcli("animate", portrait, speech, "-o", path).code == 0
    return path


def test_a_video_without_a_face_fails_and_says_so_once(talkcli: Any, video: Path) -> None:
    answer = talkcli("qc", video)
    assert answer.code == 6
    assert "FAILED" in answer.out and "no face can be followed" in answer.out
    assert "face lost 100" in answer.error and "--set qc.face_lost=VALUE" in answer.error


def test_json_is_one_object_even_if_it_fails(talkcli: Any, video: Path) -> None:
    answer = talkcli("qc", video, "--json")
    found = json.loads(answer.out)
    assert answer.code == 6 and found["passed"] is False
    documented = {
        docs.quoted(key)[0]
        for key, commands, *_ in docs.table(TEXT, "key", "commands")
        if commands == "all" or "qc" in commands.split(", ")
    }
    assert set(found) == documented
    (report,) = found["videos"]
    assert set(report) == keys_of("each of `videos`")
    assert all(set(check) == keys_of("each of `checks` of a video") for check in report["checks"])


def test_thresholds_come_from_the_recipe(talkcli: Any, video: Path, tmp_path: Path) -> None:
    assert talkcli("qc", video, "--set", "qc.face_lost=-1").code == 0
    recipe = tmp_path / "lax.toml"
    recipe.write_text("[qc]\nface_lost = 100\n", encoding="utf-8")
    assert talkcli("qc", video, "--recipe", recipe).code == 0
    assert talkcli("qc", video, "--set", "qc.face_lost=-2").code == 2


def test_what_is_no_video_is_bad_input(talkcli: Any, portrait: Path, speech: Path) -> None:
    for path in (portrait, speech, portrait.with_name("nowhere.mp4")):
        assert talkcli("qc", path).code == 3


def test_qc_after_animate(talkcli: Any, portrait: Path, speech: Path, tmp_path: Path) -> None:
    out = tmp_path / "talk.mp4"
    answer = talkcli("animate", portrait, speech, "-o", out, "--qc", "--json")
    found = json.loads(answer.out)
    assert answer.code == 6 and out.is_file()
    assert found["outputs"] == [str(out)]
    assert [report["video"] for report in found["qc"]] == [str(out)]
    assert set(found["qc"][0]) == keys_of("each of `videos`")
    lax = talkcli("animate", portrait, speech, "-o", out, "-y", "--qc", "--set", "qc.face_lost=-1")
    assert lax.code == 0 and "passed" in lax.err and lax.out == ""


def test_a_plan_checks_nothing(talkcli: Any, portrait: Path, speech: Path) -> None:
    answer = talkcli("animate", portrait, speech, "--qc", "--dry-run", "--json")
    assert answer.code == 0 and json.loads(answer.out)["qc"] is None


@pytest.mark.parametrize(
    "options",
    [("--views", "-20,20"), ("-o", "frames"), ("-o", "frames_-7.5")],
    ids=["strip", "folder", "folder with a number"],
)
def test_what_cannot_be_checked_is_refused_before_any_work(
    talkcli: Any, engine: Any, portrait: Path, speech: Path, options: tuple[str, ...]
) -> None:
    answer = talkcli("animate", portrait, speech, "--qc", *options)
    assert answer.code == 2 and "--qc checks" in answer.error
    assert engine.calls == []


def test_the_error_names_every_missed_threshold() -> None:
    checks = (
        Check("jitter", "jitter", 3.0, "%", limit=2.0),
        Check("sync_peak", "lips follow", 0.1, "", True, limit=0.4),
        Check("seam", "seam", 1.0, "levels", limit=2.0),
    )
    error = missed([QcReport(Path("a.mp4"), 10, 1.0, checks)])
    assert error is not None and error.exit_code == 6 and error.answered
    assert error.what == "a.mp4: jitter 3 % (at most 2), lips follow 0.1 (at least 0.4)"
    assert missed([QcReport(Path("a.mp4"), 10, 1.0, checks[2:])]) is None
    assert not UsageError("x").answered
