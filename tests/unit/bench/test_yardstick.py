"""The work by which one core is measured."""

from __future__ import annotations

import subprocess
from typing import Any

import numpy as np
import pytest

from talkcli.bench import yardstick
from talkcli.bench.yardstick import Turn, Yardsticks
from talkcli.errors import TalkcliError


def test_a_turn_is_taken_in_a_process_with_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, Any] = {}

    def run(command: list[str], **options: Any) -> Any:
        seen.update(options["env"])
        return subprocess.CompletedProcess(command, 0, '{"sgemm_gflops": 2.0, "x264_fps": 3.0}', "")

    monkeypatch.setattr(subprocess, "run", run)
    assert yardstick.take_turn() == Turn(2.0, 3.0)
    assert {seen[name] for name in yardstick.THREADS} == {"1"}


def test_a_turn_measures() -> None:
    turn = yardstick.take_turn()
    assert turn.sgemm_gflops > 0.1 and turn.x264_fps > 1


def test_a_turn_that_fails_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TALKCLI_FFMPEG", "no-such-program")
    with pytest.raises(TalkcliError, match="no-such-program"):
        yardstick.take_turn()


def test_turns_are_summed_up_by_their_median() -> None:
    turns = Yardsticks([Turn(30.0, 100.0), Turn(36.0, 300.0), Turn(35.0, 200.0)])
    assert turns.as_json() == {
        "sgemm_gflops": 35.0,
        "sgemm_lowest": 30.0,
        "sgemm_highest": 36.0,
        "x264_fps": 200.0,
        "turns": 3,
    }


def test_the_clip_is_always_the_same_and_moves() -> None:
    first, second = ([*yardstick.clip(4)] for _ in range(2))
    assert all(np.array_equal(*pair) for pair in zip(first, second, strict=True))
    assert first[0].shape == (512, 512, 3) and first[0].dtype == np.uint8
    assert not np.array_equal(first[0], first[1])
    # What does not move: the corners.
    assert np.array_equal(first[0][:60, :60], first[1][:60, :60])


def test_only_the_encoder_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy parent changes nothing: children alone are looked at."""
    looks = iter([10.0, 12.5])
    monkeypatch.setattr(yardstick, "children_seconds", lambda: next(looks))
    assert yardstick.encoding_seconds(2) == 2.5
