"""The public functions about clips refuse what their commands refuse."""

from __future__ import annotations

from pathlib import Path

import pytest

import talkcli
from talkcli.errors import InputError, UsageError

ASSETS = Path(__file__).parents[2] / "assets"


def test_they_are_offered_with_the_others() -> None:
    assert {"preprocess", "fit", "evaluate"} <= set(dir(talkcli)) & set(talkcli.__all__)


def test_a_picture_is_no_clip(tmp_path: Path) -> None:
    run = talkcli.RunOptions(project=tmp_path / "p.talk")
    with pytest.raises(InputError):
        talkcli.preprocess(ASSETS / "portrait.png", run=run)


def test_a_fit_needs_a_prepared_clip(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="talkcli preprocess"):
        talkcli.fit(tmp_path / "nothing.talk")


def test_settings_are_checked(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="crop"):
        talkcli.fit(tmp_path, crop=1)


def test_a_video_is_not_compared_with_a_folder(tmp_path: Path) -> None:
    (tmp_path / "made.mp4").write_bytes(b"")
    (tmp_path / "real").mkdir()
    with pytest.raises((InputError, UsageError)):
        talkcli.evaluate(tmp_path / "made.mp4", tmp_path / "real")
