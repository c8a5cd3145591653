"""The table of fitted avatars."""

from __future__ import annotations

from scripts.results_fitted import fitted_section


def row(clip: str, psnr: float | None) -> dict[str, object]:
    values = {"psnr_face": psnr, "lip_aperture_r": 0.5}
    return {
        "clip": clip,
        "recipe": "audio-plane-fast",
        "comparisons": [{"name": "fitted, by video", "values": values}],
        "shuffled_db": -1.234,
        "preprocess_s": 60.4,
        "fit_s": 90.6,
    }


def test_medians_and_clips() -> None:
    text = fitted_section([row("a", 30.0), row("b", 33.0), row("c", 31.0)])
    assert "Medians over 3 clips" in text and "--recipe\naudio-plane-fast" in text
    assert "| fitted, by video | 31.00 | – |" in text
    assert "| b | 33.00 | 0.50 | -1.23 dB | 60 s, 91 s |" in text


def test_figures_that_are_missing_are_left_out() -> None:
    assert "| a | – | 0.50 |" in fitted_section([row("a", None)])
