"""Every figure against a known answer: copies of a video that differ in one thing each.

The video is the sample portrait, talking and nodding, 60 frames of 320 pixels. What moves, and by
how much, is known from how each copy is made; what must not move gets the tolerance of what
FaceMesh makes of pictures that are hardly different.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from talkcli.config import Recipe
from talkcli.engines.portrait.avatar import PortraitAvatar
from talkcli.errors import InputError
from talkcli.pipeline.evaluate.compare import Comparison, Context, EvalSettings, compare
from talkcli.pipeline.stages.inputs import Clip
from talkcli.progress import SilentReporter, Stopwatch
from tests.support.films import CODEC, FPS, shown, talking
from tests.support.media import make_audio, make_clip, run_ffmpeg, write_video
from tests.support.motion import RATE, sentence, silence

FRAMES = 60


@pytest.fixture(scope="module")
def film(avatar: PortraitAvatar) -> Callable[[float], np.ndarray]:
    """``[60, H, W, 3]`` frames with a factor on the lips."""

    @lru_cache(maxsize=4)
    def frames(lips: float) -> np.ndarray:
        pictures = talking(avatar, FRAMES, lips)
        pictures.flags.writeable = False
        return pictures

    return frames


@pytest.fixture(scope="module")
def judged(
    film: Callable[[float], np.ndarray], tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., Comparison]:
    """Compare frames with the original; the original is tracked once."""
    folder = tmp_path_factory.mktemp("videos")
    real = make_clip(folder / "real.mp4", film(1.0), str(FPS), *CODEC)

    def judge(
        frames: np.ndarray | Path, settings: EvalSettings | None = None, fps: str = str(FPS)
    ) -> Comparison:
        made = frames
        if isinstance(frames, np.ndarray):
            made = make_clip(folder / f"{len(list(folder.iterdir()))}.mp4", frames, fps, *CODEC)
        context = Context(Recipe(), settings or EvalSettings(), SilentReporter(), Stopwatch())
        return compare("made", Clip(Path(made)), Clip(real), context)

    return judge


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    monkeypatch.setenv("TALKCLI_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))


@pytest.fixture(scope="module")
def same(
    judged: Callable[..., Comparison],
    film: Callable[[float], np.ndarray],
    tmp_path_factory: pytest.TempPathFactory,
) -> Comparison:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TALKCLI_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
        return judged(film(1.0))


def values(comparison: Comparison) -> dict[str, float]:
    return {row.name: row.value for row in comparison.metrics if row.value is not None}


def frames_of(comparison: Comparison, name: str) -> np.ndarray:
    found = next(row.frames for row in comparison.metrics if row.name == name)
    assert found is not None
    return found


def test_equal_videos_have_the_best_of_every_figure(same: Comparison) -> None:
    found = values(same)
    for row in same.metrics:
        if row.value is None or row.name.startswith("flicker"):
            continue
        if row.better in ("zero", "lower"):
            assert row.value == pytest.approx(0.0, abs=1e-9), row.name
        if row.better == "one" or row.name.endswith("_r") or row.name.startswith("ssim"):
            assert row.value == pytest.approx(1.0, abs=1e-6), row.name
    assert found["psnr_frame"] == 120.0 and found["closures_met"] == 100.0
    silent = {row.name for row in same.metrics if row.value is None}
    assert silent >= {"shut_in_pauses", "sync_peak", "sync_offset", "sync_confidence"}
    assert same.facts["frames_used"] == FRAMES and same.facts["frames_without_face"] == 0
    # What moves in the original is what is said of its flicker.
    assert f"real clip: {found['flicker_background']:.2f}" in str(
        next(row.note for row in same.metrics if row.name == "flicker_background")
    )


def test_noise_lowers_psnr_by_its_power(judged: Callable, film: Callable, same: Comparison) -> None:
    rng = np.random.default_rng(0)
    sigma = 6.0
    # Grey noise, since the encoder stores colour at half the size.
    noisy = film(1.0) + rng.normal(0, sigma, film(1.0).shape[:3])[..., None]
    found = values(judged(np.clip(noisy + 0.5, 0, 255).astype(np.uint8)))
    for region in ("face", "head", "frame"):
        # Dark and bright pixels are clipped, which takes some of the noise away.
        assert found[f"psnr_{region}"] == pytest.approx(20 * np.log10(255 / sigma), abs=0.6)
        assert found[f"ssim_{region}"] < 0.9
    # The mean absolute deviation of noise is .8 of its deviation.
    assert found["flicker_background"] == pytest.approx(0.8 * sigma, rel=0.15)
    # Steps are means over many pixels.
    assert found["seam"] < 1.0
    assert found["lip_aperture_r"] > 0.95 and abs(found["lip_lag"]) < 10


@pytest.mark.slow
def test_blur_lowers_detail_and_leaves_motion(judged: Callable, film: Callable) -> None:
    blurred = gaussian_filter(film(1.0).astype(np.float32), (0, 2, 2, 0))
    found = values(judged(np.round(blurred).astype(np.uint8)))
    assert found["psnr_face"] < 40 and found["ssim_face"] < 0.97
    assert found["landmark_error"] < 0.6 and found["lip_aperture_r"] > 0.93
    assert abs(found["lip_lag"]) < 8 and found["closures_met"] > 80


@pytest.mark.slow
def test_a_shift_moves_the_place_and_no_shape(judged: Callable, film: Callable) -> None:
    shift = 6
    moved = np.roll(film(1.0), shift, axis=2)
    moved[:, :, :shift] = film(1.0)[:, :, :1]
    comparison = judged(moved)
    found = values(comparison)
    height = 100 * shift / found["place_error"]
    assert 60 < height < 320  # the face height that the figure implies, pixels
    assert found["psnr_face"] < 28 and found["ssim_face"] < 0.8
    # FaceMesh sees the same face in another crop.
    assert found["landmark_error"] < 0.4 and found["lmd"] < 0.6
    assert found["lip_aperture_r"] > 0.98 and found["apd"] < 0.01
    # With the faces laid over each other, the pictures agree again.
    aligned = values(judged(moved, EvalSettings(align="frame")))
    assert "place_error" not in aligned and "jitter" not in aligned
    assert aligned["psnr_face"] > found["psnr_face"] + 6


def test_frozen_lips_cost_the_lips(judged: Callable, film: Callable) -> None:
    comparison = judged(film(0.0))
    found = values(comparison)
    assert abs(found["lip_aperture_r"]) < 0.4 and found["lip_aperture_size"] < 0.25
    assert "lip_lag" not in found
    assert found["landmark_error_lips"] > 2 * found["landmark_error"] > 0.5
    # The head nods as before.
    assert found["apd"] < 0.02 and found["place_error"] < 1.0
    # While the lips are shut the pictures are equal.
    assert np.nanmin(frames_of(comparison, "psnr_face")) < 35


def test_a_delay_of_three_frames_is_found(judged: Callable, film: Callable) -> None:
    frames = film(1.0)
    late = np.concatenate([np.repeat(frames[:1], 3, 0), frames[:-3]])
    found = values(judged(late))
    assert found["lip_lag"] == pytest.approx(120.0, abs=10.0)
    assert found["lip_aperture_r"] < 0.7
    # A known lag is taken out: the real video then shows things three frames earlier.
    corrected = judged(late, EvalSettings(lag_s=-0.12))
    assert values(corrected)["lip_lag"] == pytest.approx(0.0, abs=5.0)
    assert values(corrected)["psnr_frame"] == 120.0
    assert corrected.facts["frames_used"] == FRAMES - 3
    assert corrected.facts["made_dropped"] == corrected.facts["real_dropped"] == 3


@pytest.mark.slow
def test_a_delayed_sound_moves_synchrony_and_nothing_else(
    avatar: PortraitAvatar, tmp_path: Path
) -> None:
    from talkcli.motion import TalkSettings, motion_frames

    pcm = sentence()[: 3 * RATE]
    settings = TalkSettings(still=True, blink_rate=0)
    motions = motion_frames(iter([pcm]), len(pcm) * FPS // RATE, Fraction(FPS), settings, 0)
    frames = shown(avatar, motions)
    files = []
    for late_s in (0.0, 0.12):
        name = tmp_path / f"late{round(1000 * late_s)}"
        late = np.concatenate([silence(late_s), pcm])[: len(pcm), None]
        sound = make_audio(name.with_suffix(".wav"), late, RATE)
        files.append(write_video(name.with_suffix(".mp4"), frames, audio=sound))
    context = Context(Recipe(), EvalSettings(), SilentReporter(), Stopwatch())
    comparison = compare("late", Clip(files[1]), Clip(files[0]), context)
    found = values(comparison)
    assert found["psnr_frame"] == 120.0 and found["lip_lag"] == pytest.approx(0.0, abs=1e-6)
    assert found["lip_aperture_r"] == pytest.approx(1.0) and found["aed"] == 0.0
    # Three frames of 40 ms, found within one.
    note = next(row.note for row in comparison.metrics if row.name == "sync_offset")
    before = float(note.removeprefix("real clip: ").removesuffix(" ms"))
    assert found["sync_offset"] - before == pytest.approx(-120.0, abs=40.0)
    assert found["sync_peak"] > 0.5


@pytest.mark.slow
def test_a_brighter_head_has_a_seam_of_its_brightness(judged: Callable, film: Callable) -> None:
    from talkcli.metrics.regions import face_regions
    from talkcli.tracking.landmarks import detect_faces

    frames = film(1.0).astype(int)
    for k in range(FRAMES):
        points = detect_faces(film(1.0)[k])[0].points
        frames[k][face_regions(points, *frames.shape[1:3])["head"]] += 10
    found = values(judged(np.clip(frames, 0, 255).astype(np.uint8)))
    assert found["seam"] == pytest.approx(10.0, rel=0.25)
    assert found["psnr_head"] == pytest.approx(20 * np.log10(25.5), abs=1.0)


@pytest.mark.slow
def test_trembling_frames_have_jitter(judged: Callable, film: Callable) -> None:
    rng = np.random.default_rng(0)
    shaken = np.array([np.roll(f, rng.integers(-2, 3, 2), (0, 1)) for f in film(1.0)])
    found = values(judged(shaken))
    assert found["jitter"] > 2.0
    assert found["lip_aperture_r"] > 0.95


@pytest.mark.slow
def test_size_rate_and_length_may_differ(judged: Callable, film: Callable) -> None:
    half = film(1.0)[:, ::2, ::2]
    small = judged(half)
    assert (small.facts["width"], small.facts["align"]) == (film(1.0).shape[2], "none")
    assert values(small)["psnr_frame"] > 22 and values(small)["lip_aperture_r"] > 0.95
    fast = judged(np.repeat(film(1.0), 2, axis=0)[:100], fps="50")
    assert fast.facts["frames_used"] == 50
    assert fast.facts["real_dropped"] == 10 and fast.facts["made_dropped"] == 50
    assert values(fast)["psnr_frame"] == 120.0
    # Another crop: the shapes differ, so faces are laid over each other.
    crop = judged(film(1.0)[:, 20:])
    assert crop.facts["align"] == "frame" and values(crop)["psnr_face"] > 26


def test_frames_without_a_face_count_for_the_frame_only(judged: Callable, film: Callable) -> None:
    frames = film(1.0).copy()
    frames[30:45] = 128
    comparison = judged(frames)
    assert comparison.facts["frames_used"] == FRAMES
    assert 15 <= comparison.facts["frames_without_face"] < 45
    per_frame = frames_of(comparison, "landmark_error")
    assert np.isnan(per_frame[30:45]).all()
    assert np.isfinite(per_frame[:30]).all()


def test_videos_that_cannot_be_compared(judged: Callable, film: Callable, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no face can be followed"):
        judged(np.full_like(film(1.0), 90))
    with pytest.raises(InputError, match="no instant in common"):
        judged(film(1.0), replace(EvalSettings(), lag_s=30.0))
    sound = tmp_path / "sound.wav"
    run_ffmpeg("-f", "lavfi", "-i", "sine=duration=1", sound)
    with pytest.raises(InputError, match="contains no video"):
        judged(sound)
