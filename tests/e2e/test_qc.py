"""Real clips: a delay put into the sound is found in frames."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.media import run_ffmpeg


@pytest.mark.slow
def test_sound_delayed_by_three_frames_in_a_real_clip(
    shared_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from talkcli.config import Recipe
    from talkcli.pipeline.qc import check_videos
    from talkcli.progress import SilentReporter, Stopwatch

    monkeypatch.setenv("TALKCLI_CACHE", str(tmp_path / "cache"))
    clip = shared_data / "clips" / "LipNet__GRID_sbia1a.mp4"
    late = tmp_path / "late.mp4"
    run_ffmpeg(
        "-i", clip, "-itsoffset", "0.12", "-i", clip, "-map", "0:v", "-map", "1:a",
        "-c:v", "copy", "-c:a", "aac", late,
    )  # fmt: skip
    offsets = []
    for report in check_videos([clip, late], Recipe(), SilentReporter(), Stopwatch()):
        by_name = {check.name: check for check in report.checks}
        assert by_name["sync_peak"].value is not None and by_name["sync_peak"].value > 0.8
        offsets.append(by_name["sync_offset_ms"].value)
    before, after = offsets
    assert before is not None and after is not None and abs(before) < 80.0
    # The lips are now three frames earlier than the sound; the search has steps of 10 ms.
    assert (before - after) / 40.0 == pytest.approx(3.0, abs=0.5)
