"""The small parts of the pipeline that need no engine."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from talkcli.avatar import View
from talkcli.config import VideoConfig
from talkcli.errors import InputError, UsageError
from talkcli.pipeline.checks import check_outputs, view_paths
from talkcli.pipeline.stages.avatar import fit_picture
from talkcli.pipeline.stages.faces import FoundFace, choose_face
from talkcli.pipeline.stills import parse_expression
from talkcli.pipeline.video.views import plan_views
from talkcli.progress import SilentReporter, Stopwatch
from talkcli.speech.sound import PeakMeter, shift
from talkcli.types import ARKIT_NAMES


def blocks(*lengths: int) -> list[np.ndarray]:
    start, made = 0, []
    for length in lengths:
        made.append(np.arange(start, start + length, dtype=np.float32))
        start += length
    return made


def test_shift_later_begins_with_silence() -> None:
    heard = np.concatenate(list(shift(blocks(5, 5), 1.0)))
    assert heard.tolist() == [0.0] * 16 + list(range(10))


def test_shift_earlier_skips_across_blocks() -> None:
    # 1 ms are 16 samples of 16 kHz.
    heard = np.concatenate(list(shift(blocks(10, 3, 20), -1.0)))
    assert heard.tolist() == list(range(16, 33))
    assert list(shift(blocks(10), -1.0)) == []


def test_loudness_passes_everything_on() -> None:
    meter = PeakMeter()
    heard = list(meter.tap([np.zeros(4, np.float32), np.zeros(0, np.float32)]))
    assert [len(block) for block in heard] == [4, 0] and meter.silent
    list(meter.tap([np.array([0.1, -0.5], np.float32)]))
    assert meter.peak == 0.5 and not meter.silent


def test_views_stay_and_paths_move() -> None:
    assert plan_views(VideoConfig(), 2.0)(1.3) == (View(),)
    assert plan_views(VideoConfig(views=(-30, 30)), 2.0)(1.3) == (
        View(-30.0, -30.0),
        View(30.0, 30.0),
    )
    turned = VideoConfig(views=(-30, 30), view_mode="head")
    assert plan_views(turned, 2.0)(1.3) == (View(-30.0), View(30.0))
    arc = plan_views(VideoConfig(camera_path="arc", camera_yaw_deg=20), 3.0)
    assert [arc(t)[0].yaw_deg for t in (0, 1.5, 3)] == pytest.approx([-20, 0, 20], abs=1e-9)
    orbit = plan_views(VideoConfig(camera_path="orbit"), 4.0)
    assert [orbit(t)[0].yaw_deg for t in (0, 1, 2, 3, 4)] == pytest.approx(
        [0, 30, 0, -30, 0], abs=1e-9
    )
    # Long videos hold whole orbits of about eight seconds.
    long = plan_views(VideoConfig(camera_path="orbit"), 31.0)
    assert long(31.0 / 16)[0].yaw_deg == pytest.approx(30)


def test_view_paths() -> None:
    out = Path("a/talk.mp4")
    assert view_paths(out, (View(-30), View(0)), "strip") == (out,)
    assert view_paths(out, (View(),), "files") == (out,)
    assert view_paths(out, (View(-12.5), View(0), View(30)), "files") == (
        Path("a/talk_-12.5.mp4"),
        Path("a/talk_0.mp4"),
        Path("a/talk_+30.mp4"),
    )


def test_outputs_are_checked(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_text("x")
    link = tmp_path / "link"
    link.symlink_to(source)
    checked: list[Path] = []
    check_outputs([tmp_path / "new"], [source], checked.append)
    assert checked == [tmp_path / "new"]
    with pytest.raises(InputError, match="also an input"):
        check_outputs([link], [source], checked.append)
    with pytest.raises(UsageError, match="twice"):
        check_outputs([source, source], [], checked.append)


def test_expression_weights_by_name() -> None:
    weights = parse_expression(["jawOpen=.5, mouthPucker=1", "eyeBlinkLeft=0.25"])
    assert weights.dtype == np.float32 and weights.shape == (52,)
    found = {ARKIT_NAMES[i]: weights[i] for i in np.flatnonzero(weights)}
    assert found == {"jawOpen": 0.5, "mouthPucker": 1.0, "eyeBlinkLeft": 0.25}
    assert not parse_expression([]).any()
    with pytest.raises(UsageError, match=r"jawOpn.*is it jawOpen.*eyeBlinkLeft must be"):
        parse_expression(["jawOpn=1", "eyeBlinkLeft=2"])


def a_face(size: float, yaw: float = 0.0) -> FoundFace:
    return FoundFace([[0.0, 0.0, 0.0], [20.0, 10.0, 0.0]], size, yaw)


def test_a_face_is_named_by_its_centre() -> None:
    assert a_face(200.5).centre == (10, 5)


@pytest.mark.parametrize(
    ("size", "yaw", "warnings"), [(128, 45, 0), (127.9, 0, 1), (64, 0, 1), (100, 46, 2)]
)
def test_limits_of_size_and_yaw(size: float, yaw: float, warnings: int) -> None:
    reporter = SilentReporter()
    assert choose_face([a_face(size, yaw)], "largest", Path("p.png"), reporter) == 0
    assert len(reporter.warnings) == warnings


def test_chosen_face_is_the_one_that_must_be_large_enough() -> None:
    faces = [a_face(200), a_face(60)]
    assert choose_face(faces, "0", Path("p.png"), SilentReporter()) == 0
    with pytest.raises(InputError, match=r"at \(\d+, \d+\) is 60 px high, too small"):
        choose_face(faces, "1", Path("p.png"), SilentReporter())


def test_stopwatch_adds_up_parts() -> None:
    watch = Stopwatch()
    for _ in range(2):
        with watch.measure("a"):
            pass
    watch.add("b", 2.0)
    watch.add("b", 1.0)
    assert set(watch.seconds) == {"a", "b"} and watch.seconds["b"] == 3.0


def test_large_pictures_are_reduced_with_their_landmarks() -> None:
    rgba = np.zeros((300, 401, 4), np.uint8)
    rgba[..., :3] = (200, 100, 50)
    rgba[:, 200:, 3] = 255
    rgba[:, :200, :3] = (0, 255, 0)
    points = np.array([[401.0, 300.0, 401.0], [0.0, 0.0, 0.0]])
    picture, moved = fit_picture(rgba, points, 200)
    assert picture.shape == (150, 200, 4)
    np.testing.assert_allclose(moved, [[200, 150, 200], [0, 0, 0]])
    # The green of the transparent part stays out of the opaque one.
    solid = picture[picture[..., 3] > 128]
    assert np.abs(solid[:, :3].astype(int) - (200, 100, 50)).max() <= 3
    same, kept = fit_picture(rgba, points, 401)
    assert same is rgba and kept is points
