from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from talkcli.errors import InputError, MissingDependencyError
from talkcli.face.alignment import PICTURE_DEPTH, align_heads
from talkcli.face.model import FaceModel
from talkcli.face.pose import DEPTH_SCALE, IMAGE_TO_HEAD, euler_to_rotation
from talkcli.face.topology import CHIN, EYE_LEFT, EYE_RIGHT, JAW_LINE
from talkcli.tracking import follow
from talkcli.tracking.clip import solve_spool
from talkcli.tracking.follow import FaceFollower, landmark_model, open_landmarks
from talkcli.tracking.gaps import FilledFrame
from talkcli.tracking.landmarks import Face
from talkcli.tracking.person import estimate_identity
from talkcli.tracking.smooth import keep_edges, measurement_noise, smooth_motion
from talkcli.tracking.solver import (
    CORE,
    MARGIN,
    PerformanceSolver,
    PoseScale,
    shut_lids,
)
from talkcli.tracking.spool import LandmarkSpool, Measured
from talkcli.types import ARKIT_NAMES, MotionCurves

FPS = 25
INDEX = {name: i for i, name in enumerate(ARKIT_NAMES)}


def performance(frames: int) -> tuple[np.ndarray, np.ndarray]:
    """Weights ``[T, 52]`` and angles ``[T, 3]`` of somebody who talks, blinks and looks about."""
    t = np.arange(frames) / FPS
    weights = np.zeros((frames, 52))
    weights[:, INDEX["jawOpen"]] = 0.3 * np.maximum(0, np.sin(8 * t))
    weights[:, INDEX["mouthSmileLeft"]] = 0.5 * np.maximum(0, np.sin(1.3 * t + 2)) ** 2
    weights[:, INDEX["browInnerUp"]] = 0.6 * np.maximum(0, np.sin(0.9 * t + 4)) ** 4
    blink = np.exp(-(((t + 0.7) % 2.5 - 1.2) ** 2) / 0.006)
    weights[:, [INDEX["eyeBlinkLeft"], INDEX["eyeBlinkRight"]]] = blink[:, None]
    angles = np.stack([12 * np.sin(0.8 * t), 5 * np.sin(0.5 * t), 4 * np.cos(0.7 * t)], 1)
    return weights, angles


def landmarks(
    weights: np.ndarray, angles: np.ndarray, gaze_cm: np.ndarray | None = None, noise: float = 0.0
) -> np.ndarray:
    """``[T, 478, 3]`` of the template's face, 10 px per cm, and the irises moved along x."""
    model = FaceModel.load()
    faces = model.vertices + np.einsum("tk,kvd->tvd", weights, model.basis)
    if gaze_cm is not None:
        for eye in (EYE_LEFT, EYE_RIGHT):
            faces[:, [eye.iris_centre, *eye.iris_rim], 0] += gaze_cm[:, None]
    rng = np.random.default_rng(0)
    points = []
    for face, turn in zip(faces, angles, strict=True):
        image = 10 * face @ (IMAGE_TO_HEAD @ euler_to_rotation(*turn)).T + (300, 200, 0)
        points.append(image / (1, 1, DEPTH_SCALE) + rng.normal(0, noise, face.shape))
    return np.array(points)


def solved(points: np.ndarray, sharp: np.ndarray | None = None) -> MotionCurves:
    with LandmarkSpool() as spool:
        for k, face in enumerate(points):
            there = None if np.isnan(face[0, 0]) else face
            spool.append(Measured(k / FPS, there, 10.0 if sharp is None else float(sharp[k])))
        return solve_spool(spool, FaceModel.load())[1]


def test_a_performance_is_found_again() -> None:
    weights, angles = performance(300)
    gaze_cm = 0.2 * (np.sin(np.arange(300) / 12) > 0.6)
    curves = solved(landmarks(weights, angles, gaze_cm, noise=0.05))
    assert curves.tracked.all()
    assert curves.duration_s == pytest.approx(300 / FPS)
    np.testing.assert_allclose(curves.times, (np.arange(300) + 0.5) / FPS, atol=1e-6)
    moving = curves.rotation - curves.rotation.mean(0) - (angles - angles.mean(0))
    assert np.abs(moving).max() < 1.0
    for name, least in (("jawOpen", 0.98), ("mouthSmileLeft", 0.95), ("browInnerUp", 0.95)):
        found, wanted = curves.expression[:, INDEX[name]], weights[:, INDEX[name]]
        assert np.corrcoef(found, wanted)[0, 1] > least, name
    blinks = weights[:, INDEX["eyeBlinkLeft"]]
    for side in ("Left", "Right"):
        found = curves.expression[:, INDEX[f"eyeBlink{side}"]]
        assert found[blinks > 0.98].min() > 0.97
        assert found[blinks < 0.01].max() < 0.1
    # 2 mm of an eyeball's radius of 12 mm are 9.6°; blinks must not disturb it.
    aside = curves.gaze[gaze_cm > 0, 0].mean() - curves.gaze[gaze_cm == 0, 0].mean()
    assert aside == pytest.approx(9.6, abs=1.0)
    assert curves.expression[gaze_cm > 0, INDEX["eyeLookOutLeft"]].mean() > 0.2


@pytest.mark.parametrize("opening", [0.0, 0.08, 0.15])
def test_blinks_shut_the_lids(opening: float) -> None:
    """FaceMesh leaves shut lids up to 15 % open, and squints shut them as well."""
    weights = np.zeros((120, 52))
    shut = np.arange(120) % 40 > 35
    weights[:, [INDEX["eyeBlinkLeft"], INDEX["eyeBlinkRight"]]] = shut[:, None] * (1 - opening)
    weights[:, [INDEX["eyeSquintLeft"], INDEX["eyeSquintRight"]]] = shut[:, None] * 0.3
    found = solved(landmarks(weights, np.zeros((120, 3)))).expression
    for side in ("Left", "Right"):
        assert found[shut, INDEX[f"eyeBlink{side}"]].min() > 0.97
        assert found[~shut, INDEX[f"eyeBlink{side}"]].max() < 0.05


def test_narrowed_eyes_stay_as_they_are() -> None:
    closure = np.linspace(-0.3, 1.0, 131)
    blink = np.clip(0.9 * closure, 0.0, 1.0)
    found = shut_lids(blink, closure)
    np.testing.assert_array_equal(found[closure < 0.6], blink[closure < 0.6])
    assert found[closure > 0.92].min() == 1.0
    steps = np.diff(found)
    assert steps.min() >= 0 and steps.max() < 0.03, "neither back nor in a jump"


def test_chins_stay_where_they_are_seen() -> None:
    """A chin that goes less far than the model's jaw must not be drawn down with it."""
    model = FaceModel.load()
    weights = np.zeros((100, 52))
    weights[:, INDEX["jawOpen"]] = 0.8 * (np.arange(100) % 20 > 9)
    chin = np.ones((478, 1))
    chin[list(CHIN + JAW_LINE)] = 0.75
    faces = model.vertices + chin * np.einsum("tk,kvd->tvd", weights, model.basis)
    points = 10 * faces @ IMAGE_TO_HEAD.T + (300, 200, 0)
    points = points / (1, 1, DEPTH_SCALE)
    person = estimate_identity(points, model)
    moved = np.einsum("tk,kvd->tvd", solved(points).expression, person.basis)
    opened = weights[:, INDEX["jawOpen"]] > 0
    beyond = (faces - person.neutral - moved)[opened][:, list(CHIN), 1]
    off = float(np.sqrt((beyond**2).mean()))
    assert off < 0.09, "cm; .073, and .116 with chins at the weight .7 of jaw lines"


def test_depth_hardly_turns_heads() -> None:
    """FaceMesh's depth follows expressions; what the picture shows is the pose."""
    angles = np.array([[0.0, 0.0, 0.0], [25.0, -10.0, 5.0], [-15.0, 12.0, -8.0]])
    points = landmarks(np.zeros((3, 52)), angles)
    model = FaceModel.load()
    wanted = np.array([euler_to_rotation(*turn) for turn in angles])
    for weight in (1.0, PICTURE_DEPTH):
        heads = align_heads(points, model.vertices, weight)
        np.testing.assert_allclose(heads.rotations, wanted, atol=1e-6)
        np.testing.assert_allclose(heads.points[0, :468], model.vertices[:468], atol=1e-5)
    tipped = points.copy()
    tipped[..., 2] += 0.15 * (points[..., 1] - 200)  # leans by 8.5° in depth alone
    errors = []
    for weight in (1.0, PICTURE_DEPTH):
        turned = align_heads(tipped, model.vertices, weight).rotations
        errors.append(np.degrees(np.abs(turned - wanted).max()))
    assert errors[1] < 0.5 * errors[0]


def test_windows_leave_no_seam() -> None:
    """What a frame says hardly depends on where in its window it lies."""
    count, late = 2 * CORE + 40, 70
    points = landmarks(*performance(count), noise=0.05)
    person = estimate_identity(points[::3], FaceModel.load())
    scale = PoseScale(np.array([300.0, 200.0]), 10.0, np.full(6, 0.1), 1 / FPS)
    frames = [FilledFrame((k + 0.5) / FPS, face, True) for k, face in enumerate(points)]
    solver = PerformanceSolver(person, scale)
    whole, part = (
        np.concatenate([curves.expression for curves in solver.solve(iter(some))])
        for some in (frames, frames[late:])
    )
    assert len(whole) == count and len(part) == count - late
    inner = slice(MARGIN, None)
    assert np.abs(part[inner] - whole[late:][inner]).max() < 1e-3


def test_gaps_are_bridged_flagged_and_held() -> None:
    weights, angles = performance(200)
    points = landmarks(weights, angles)
    clean = solved(points)
    points[50:56] = np.nan  # 0.24 s: bridged
    points[100:140] = np.nan  # 1.6 s: held
    points[195:] = np.nan
    curves = solved(points)
    gone = np.zeros(200, bool)
    gone[50:56] = gone[100:140] = gone[195:] = True
    np.testing.assert_array_equal(~curves.tracked, gone)
    assert len(curves) == 200
    assert np.abs(curves.rotation - clean.rotation)[48:58].max() < 1.5
    assert np.ptp(curves.rotation[105:130, 0]) < 0.5
    assert np.isfinite(curves.expression).all()
    steps = np.abs(np.diff(curves.rotation[:, 0]))
    assert steps.max() < 3.0, "the way back from a held pose must not be a jump"


def test_wild_and_blurred_frames_are_taken_out() -> None:
    points = landmarks(*performance(150))
    clean = solved(points)
    points[40] += (40.0, 0.0, 0.0)  # half a face aside, for one frame
    points[80, :200] *= 1.3  # a face that is none
    sharp = np.full(150, 10.0)
    sharp[120] = 1.0
    curves = solved(points, sharp)
    assert np.flatnonzero(~curves.tracked).tolist() == [40, 80, 120]
    assert np.abs(curves.rotation - clean.rotation).max() < 1.0
    assert np.abs(curves.translation - clean.translation).max() < 0.2


def test_the_neutral_face_is_the_resting_one() -> None:
    """Most frames rest; some smile with closed lips, some talk."""
    weights, angles = performance(200)
    weights[:] = 0
    weights[:50, [INDEX["mouthSmileLeft"], INDEX["mouthSmileRight"]]] = 0.8
    weights[50:110, INDEX["jawOpen"]] = 0.4
    person = estimate_identity(landmarks(weights, angles, noise=0.05), FaceModel.load())
    rest = landmarks(np.zeros((1, 52)), np.zeros((1, 3)))[0] / 10 * (1, -1, -DEPTH_SCALE)
    corner = person.neutral[61, 1] - person.neutral[13, 1]
    assert corner == pytest.approx(rest[61, 1] - rest[13, 1], abs=0.08)


def test_spool_samples_rare_faces() -> None:
    face = landmarks(np.zeros((1, 52)), np.zeros((1, 3)))[0]
    with LandmarkSpool() as spool:
        for k in range(5000):
            spool.append(Measured(k / FPS, face if k in (17, 2503, 4999) else None))
        assert spool.found == 3
        assert spool.sample(100).shape == (3, 478, 3)
        assert spool.run(100).shape == (3, 478, 3)


def test_smoother_takes_noise_and_keeps_motion() -> None:
    rng = np.random.default_rng(0)
    times = np.cumsum(rng.uniform(0.02, 0.06, 400))
    truth = np.stack([10 * np.sin(1.5 * times), np.where(times % 6 < 3, 0.0, 5.0)], 1)
    noisy = truth + rng.normal(0, 0.3, truth.shape)
    noise = measurement_noise(noisy)
    np.testing.assert_allclose(noise, 0.3, rtol=0.3)
    smooth = smooth_motion(times, noisy, noise, np.array([60.0, 60.0]))
    assert (smooth - truth)[:, 0].std() < 0.65 * 0.3
    np.testing.assert_array_equal(smooth_motion(times[:2], noisy[:2], noise, noise), noisy[:2])


def test_edges_stay_edges() -> None:
    step = np.repeat([[0.0, 0.0], [12.0, -3.0]], 20, axis=0)
    noisy = step + np.random.default_rng(0).normal(0, 0.5, step.shape)
    kept = keep_edges(noisy, 2, 3.0)
    assert np.abs(kept - step).max() < np.abs(noisy - step).max()
    assert kept[20, 0] - kept[19, 0] > 10


class Source:
    """A network that knows where the face is, and sees only what its square shows."""

    name = "made"

    def __init__(self, face: np.ndarray) -> None:
        self.face, self.restarts, self.seen = face, 0, True

    def measure(self, rgb: np.ndarray) -> np.ndarray | None:
        return (
            None if not self.seen else rgb.shape[1] / 3.0 * (self.face + np.array([1.5, 1.5, 0.0]))
        )

    def restart(self) -> None:
        self.restarts += 1

    def close(self) -> None: ...


@pytest.fixture
def unit_face() -> Iterator[np.ndarray]:
    """Landmarks of height 1 about the origin."""
    flat = FaceModel.load().vertices * (1, -1, -1)
    flat = flat - (flat.min(0) + flat.max(0)) / 2
    yield flat / np.linalg.norm(flat[10] - flat[152])


def test_follower_searches_less_and_less(
    monkeypatch: pytest.MonkeyPatch, unit_face: np.ndarray
) -> None:
    searches: list[int] = []
    frame = np.zeros((200, 300, 3), np.uint8)
    found: list[Face] = []
    monkeypatch.setattr(follow, "detect_faces", lambda rgb, small: searches.append(1) or found)
    source = Source(unit_face)
    follower = FaceFollower(source)
    assert all(follower.follow(frame) is None for _ in range(120))
    assert 5 < len(searches) < 12
    found.append(Face(unit_face * 80 + (150, 100, 0)))
    points = next(p for p in (follower.follow(frame) for _ in range(30)) if p is not None)
    np.testing.assert_allclose(points, found[0].points, atol=1e-6)
    assert follower.faces_seen == 1
    # Lost and found again, at once.
    source.seen = False
    assert follower.follow(frame) is None
    source.seen = True
    assert follower.follow(frame) is not None


def test_follower_takes_the_face_that_was_asked_for(
    monkeypatch: pytest.MonkeyPatch, unit_face: np.ndarray
) -> None:
    faces = [Face(unit_face * size + (x, 90, 0)) for size, x in ((80, 220), (60, 70))]
    monkeypatch.setattr(follow, "detect_faces", lambda rgb, small: faces)
    frame = np.zeros((200, 300, 3), np.uint8)
    second = FaceFollower(Source(unit_face), 1)
    points = second.follow(frame)
    assert points is not None and points[:, 0].mean() < 120
    assert second.faces_seen == 2
    with pytest.raises(InputError, match="no face 2, only 2"):
        FaceFollower(Source(unit_face), 2).follow(frame)


def test_landmark_network_is_chosen_by_setting_and_variable(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv(follow.MODEL_VARIABLE, raising=False)
    assert landmark_model("auto") is None
    monkeypatch.setenv(follow.MODEL_VARIABLE, "/somewhere/face_landmarker.task")
    assert landmark_model("auto") == Path("/somewhere/face_landmarker.task")
    assert landmark_model("bundled") is None
    assert landmark_model("mine.task") == Path("mine.task")
    broken = tmp_path / "broken.task"
    broken.write_bytes(b"no model")
    for path in (broken, tmp_path / "missing.task"):
        with pytest.raises(MissingDependencyError, match=path.name):
            open_landmarks(str(path))
