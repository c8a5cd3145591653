"""The page of results says what was measured, and no more."""

from __future__ import annotations

from typing import Any

from scripts.results_page import page


def comparison(name: str, **values: float | None) -> dict[str, Any]:
    rows = [{"name": key, "value": value} for key, value in values.items()]
    return {"name": name, "frames_used": 74, "metrics": rows}


def clip(name: str, ours: float, shut: float, still: float, face: float) -> dict[str, Any]:
    """A clip with these face PSNRs; LMDs are a tenth of what is missing to 40."""

    def one(title: str, psnr: float) -> dict[str, Any]:
        r = None if title == "2D-aligned source" else 0.5
        return comparison(title, psnr_face=psnr, lmd_lips=(40 - psnr) / 10, lip_aperture_r=r)

    speech = [
        one("talkcli", ours), one("static mouth", shut), one("2D-aligned source", still)
    ]  # fmt: skip
    return {
        "clip": f"Source-Folder__{name}",
        "lag_ms": 40,
        "speech": {"comparisons": speech},
        "video": {"comparisons": [one("talkcli", face)]},
    }


CLIPS = [
    clip("a", ours=30.0, shut=29.0, still=28.0, face=32.0),
    clip("b", ours=26.0, shut=27.0, still=26.5, face=28.0),
    clip("c", ours=28.0, shut=27.5, still=25.0, face=29.0),
    {"clip": "Source__d", "lag_ms": 0, "speech": None, "video": None},
]


def test_medians_and_duels() -> None:
    text = page(CLIPS, None, None, seconds=3.0)
    assert "3 of 4 real clips" in text and "the first 3 s" in text
    medians = {line.split(" | ")[0]: line for line in text.splitlines() if line.startswith("| ")}
    assert medians["| talkcli, by its sound"].startswith("| talkcli, by its sound | 28.00 | –")
    assert medians["| static mouth"].startswith("| static mouth | 27.50")
    # Gains over the better baseline: +1, -1, +.5 by sound; +3, +1, +1.5 by face.
    assert "face PSNR in 2 of 3 clips (median gain +0.50)" in text
    assert "face PSNR in 3 of 3 clips (median gain +1.50)" in text
    # LMD is better where it is lower: .1, -.1, .05.
    assert "LMD of the lips in 2 of 3 clips (median gain +0.05)" in text
    # Where a baseline has no correlation there is no duel: the aligned source, and so both.
    duels = [line for line in text.splitlines() if "* beats " in line]
    assert len(duels) == 6  # two ways to make a clip again, against each baseline and against both
    for line in duels:
        assert ("lip correlation in" in line) == ("beats *static mouth*" in line)
    assert "| Source-Folder: a | 40 | 29.00 · 28.00 · 30.00 · 32.00 |" in text


def test_what_was_not_measured_is_not_made_up() -> None:
    text = page(CLIPS, None, None, seconds=0.0)
    assert "Novel views" not in text and "the whole" in text
    assert "Not measured in this run" in text


def test_views_and_cost() -> None:
    views = {
        "protocol": "novel views: an avatar",
        "comparisons": [comparison("cam0", psnr_face=20.58, yaw_error=7.4)],
    }
    cost = {"cpu_per_second": 0.9, "frame_ms": 36.0, "normalised_gflop": 3.2}
    bench = {
        "machine": {"cpu": "a CPU", "isa": "avx2", "cores": 2, "load": 0.1},
        "speed": {"sgemm_gflops": 90.0},
        "cost": cost,
    }
    network = {"network": "another, 96 x 96", "cpu_ms": 1500.0}
    rivals = {"sgemm_gflops": 80.0, "networks": [network]}
    text = page(CLIPS, views, bench, seconds=3.0, rivals=rivals)
    assert "| cam0 | 20.58 | – |" in text and "74 instants" in text
    assert "with encoding | 36.0 | 90.0 | 3.24 |" in text and "a CPU (avx2" in text
    assert "| another, 96 x 96 | 1,500.0 | 80.0 | 120.00 |" in text and "random weights" in text
    assert "random weights" not in page(CLIPS, views, bench, seconds=3.0)
