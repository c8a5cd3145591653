"""How good are views from aside? Avatars of one frame beside what a camera saw of the same person.

    python -m benchmarks.true_views ../shared/data -o /tmp/views --json /tmp/views.json
    python -m benchmarks.true_views ../shared/data -o /tmp/views --clips nersemble d12

Two kinds of truth. Synchronous cameras (``multiview/<take>_cam<k>.mp4``): the avatar of a frame of
the middle camera, driven by what that camera tracked, drawn as the outer ones stood. Clips in which
a person turns by 20° or more: the avatar of the most frontal neutral frame, with the pose and the
expression of later frames, in bands around 15, 30 and 45° from the source. Faces are laid over
each other by a similarity of rigid landmarks. Figures are medians over the pictures of a band:

*face*, *head*: PSNR (dB) and SSIM in the regions of ``talkcli eval``; *lpips*: ST-LPIPS of the
head's square; *landmarks*: mean distance, % of the face height; *iou*: intersection over union of
the mattes of both pictures above the mouth, within a face height of the face; *ear*: distance of
the tragi, % of the face height. A sheet per clip shows source, truth and avatar.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from talkcli import runtime

runtime.configure()

import cv2  # noqa: E402
import numpy as np  # noqa: E402
from scipy.optimize import least_squares  # noqa: E402

from benchmarks.studio import loaded_avatar, opaque  # noqa: E402
from talkcli.avatar import SOURCE_VIEW, View  # noqa: E402
from talkcli.config import PortraitConfig, Recipe, VideoConfig  # noqa: E402
from talkcli.engines.audio_plane.motion import face_pixels  # noqa: E402
from talkcli.engines.portrait.avatar import PortraitAvatar  # noqa: E402
from talkcli.errors import InputError  # noqa: E402
from talkcli.face.measures import face_height  # noqa: E402
from talkcli.face.model import FaceModel  # noqa: E402
from talkcli.face.topology import CHIN_TIP, EARS, FOREHEAD_TOP, LIPS, RIGID  # noqa: E402
from talkcli.layers.matte import picture_probability  # noqa: E402
from talkcli.metrics.crops import head_squares  # noqa: E402
from talkcli.metrics.image import psnr, ssim_map  # noqa: E402
from talkcli.metrics.landmarks import landmark_error  # noqa: E402
from talkcli.metrics.pair import FramePair  # noqa: E402
from talkcli.metrics.perceptual import StLpips, load_stlpips  # noqa: E402
from talkcli.metrics.regions import face_regions  # noqa: E402
from talkcli.pipeline.evaluate.pairs import (  # noqa: E402
    moved_points,
    pair_times,
    plane_similarity,
    warped,
)
from talkcli.pipeline.evaluate.views import camera_turn, seen_from  # noqa: E402
from talkcli.pipeline.stages.inputs import Clip  # noqa: E402
from talkcli.pipeline.stages.landmarks import MeasuredClip, measure_clips  # noqa: E402
from talkcli.pipeline.video.scene import AvatarPlayer  # noqa: E402
from talkcli.progress import Reporter, SilentReporter, Stopwatch  # noqa: E402
from talkcli.tracking.clip import solve_spool  # noqa: E402
from talkcli.tracking.landmarks import Face, detect_faces  # noqa: E402
from talkcli.types import MotionCurves, MotionFrame  # noqa: E402

#: Yaw from the source, degrees: the names of the bands, and where they begin and end.
BANDS = {15: (10.0, 22.0), 30: (22.0, 38.0), 45: (38.0, 55.0)}
#: Pictures per side of a band, and instants of synchronous cameras.
PER_BAND, INSTANTS = 3, 20
#: Yaw up to which the source of a clip may be turned. What a source costs, in degrees of yaw: a
#: degree of pitch, and lips open by a face height beyond closed ones (face heights).
FRONTAL_DEG, PITCH_SHARE, DEG_PER_FH, CLOSED_FH = 12.0, 0.7, 200.0, 0.03
FIGURES = ("face", "ssim", "head", "head_ssim", "lpips", "landmarks", "iou", "ear")
SIDE = 320


@dataclass(frozen=True)
class Truth:
    """A picture that a camera took, and the motion that should give it.

    Attributes:
        band: what its figures are collected under.
        frame: its number in ``clip``.
        clip: shows it.
        motion: of the head relative to the source.
        around: whether a camera stood aside, which shows the body from there, too.
    """

    band: str
    frame: int
    clip: MeasuredClip
    motion: MotionFrame
    around: bool = False


@dataclass(frozen=True)
class Take:
    """A source frame and the pictures that its avatar is compared with."""

    name: str
    source: MeasuredClip
    frame: int
    truths: tuple[Truth, ...]


def most_frontal(curves: MotionCurves, measured: MeasuredClip) -> int:
    """The tracked frame that is nearest to the front with lips nearest to closed."""

    def cost(frame: int) -> float:
        points = measured.spool.points(frame)
        if points is None or not curves.tracked[frame]:
            return float("inf")
        gap = float(np.linalg.norm((points[13] - points[14])[:2]) / face_height(points))
        yaw, pitch = np.abs(curves.rotation[frame, :2])
        return float(yaw + PITCH_SHARE * pitch + DEG_PER_FH * max(0.0, gap - CLOSED_FH))

    return min(range(len(measured.spool)), key=cost)


def turned_take(path: Path, reporter: Reporter) -> Take | None:
    """The take of one clip; None if nobody turns in it far enough."""
    (measured,) = measure_clips([Clip(path)], Recipe(), reporter, Stopwatch())
    _, curves = solve_spool(measured.spool, FaceModel.load())
    source = most_frontal(curves, measured)
    if abs(curves.rotation[source, 0]) > FRONTAL_DEG:
        return None
    yaw = curves.rotation[:, 0] - curves.rotation[source, 0]
    motions = list(seen_from(curves, np.eye(3), source))
    truths = []
    for band, (least, most) in BANDS.items():
        for side in (-1, 1):
            inside = (side * yaw > least) & (side * yaw < most)
            inside &= curves.tracked & (np.abs(curves.rotation[:, 1]) < 20)
            frames = [
                int(k) for k in np.flatnonzero(inside) if measured.spool.points(int(k)) is not None
            ]
            chosen = frames[:: max(1, -(-len(frames) // PER_BAND))][:PER_BAND]
            truths += [Truth(str(band), k, measured, motions[k]) for k in chosen]
    if not any(truth.band != "15" for truth in truths):
        return None
    return Take(path.stem, measured, source, tuple(truths))


def camera_take(cameras: list[Path], reporter: Reporter) -> Take:
    """The take of synchronous cameras, of which the middle one is the source."""
    clips = [Clip(path) for path in cameras]
    measured = measure_clips(clips, Recipe(), reporter, Stopwatch())
    middle = measured[len(measured) // 2]
    person, curves = solve_spool(middle.spool, FaceModel.load())
    frame = most_frontal(curves, middle)
    truths = []
    for camera in measured:
        if camera is middle:
            continue
        _, seen = solve_spool(camera.spool, FaceModel.load(), person)
        turn = camera_turn(curves, seen, camera.path)
        motions = list(seen_from(curves, turn, frame))
        pairing = pair_times(camera.spool.middles, middle.spool.middles)
        step = max(1, len(pairing) // INSTANTS)
        for k, n in list(zip(pairing.made, pairing.real, strict=True))[::step]:
            if camera.spool.points(int(k)) is None or not curves.tracked[n]:
                continue
            truths.append(Truth(camera.path.stem[-4:], int(k), camera, motions[n], around=True))
    return Take(cameras[0].stem[:-5], middle, frame, tuple(truths))


def posed(avatar: PortraitAvatar, truth: Truth, points: np.ndarray) -> MotionFrame:
    """The truth's motion with the rotation at which the avatar's rigid landmarks fit best.

    FaceMesh's own depth, by which poses are tracked, turns heads seen from far aside too little.
    """
    rigid = list(RIGID)

    def turned(angles: np.ndarray) -> MotionFrame:
        return replace(truth.motion, rotation=angles.astype(np.float32))

    wanted = points[rigid, :2] - points[rigid, :2].mean(0)

    def apart(angles: np.ndarray) -> np.ndarray:
        drawn = face_pixels(avatar, turned(angles))[rigid, :2]
        drawn -= drawn.mean(0)
        return np.asarray((drawn * (drawn * wanted).sum() / (drawn**2).sum() - wanted).ravel())

    start = truth.motion.rotation.astype(np.float64)
    return turned(least_squares(apart, start, diff_step=1e-2, max_nfev=20).x)


def pictures(clip: MeasuredClip, frames: set[int]) -> dict[int, np.ndarray]:
    """Some frames of a clip, by number."""
    found = {}
    for index, rgb in enumerate(clip.frames()):
        if index in frames:
            found[index] = rgb.copy()
        if len(found) == len(frames):
            break
    return found


def judged(take: Take, output: Path, size: int) -> Iterator[tuple[Truth, dict[str, float]]]:
    """Draw the avatar of a take at every truth, and measure; a sheet goes to ``output``."""
    source = pictures(take.source, {take.frame})[take.frame]
    points = take.source.spool.points(take.frame)
    assert points is not None
    face = _nearest(detect_faces(source), points)
    avatar = loaded_avatar(opaque(source), face, PortraitConfig(), size)
    video = VideoConfig(size=max(source.shape[:2]) // 2 * 2)
    player = AvatarPlayer(avatar, video, "cpu", Stopwatch(), still_body=True)
    lpips = load_stlpips()
    wanted: dict[int, tuple[MeasuredClip, set[int]]] = {}
    for truth in take.truths:
        wanted.setdefault(id(truth.clip), (truth.clip, set()))[1].add(truth.frame)
    real = {key: pictures(clip, frames) for key, (clip, frames) in wanted.items()}
    rows = []
    for truth in take.truths:
        target = truth.clip.spool.points(truth.frame)
        assert target is not None
        motion = posed(avatar, truth, target)
        made = player.pictures(*_seen(avatar, motion, truth.around))[0]
        faces = detect_faces(made)
        rgb = real[id(truth.clip)][truth.frame]
        if not faces:
            yield truth, dict.fromkeys(FIGURES, float("nan"))
            continue
        turn, shift = plane_similarity(faces[0].points, target)
        laid = warped(made, turn, shift, (rgb.shape[0], rgb.shape[1]))
        found = moved_points(faces[0].points, turn, shift)
        yield truth, figures(laid, rgb, found, target, lpips)
        rows.append((motion, _cut(rgb, target), _cut(laid, target)))
    _sheet(output / f"{take.name}.png", _cut(source, points), rows)


def _seen(
    avatar: PortraitAvatar, motion: MotionFrame, around: bool
) -> tuple[MotionFrame, list[View]]:
    """A head that turns, or the same head seen by a camera that goes around by its yaw."""
    if not around:
        return motion, [SOURCE_VIEW]
    yaw = float(motion.rotation[0])
    still = replace(motion, rotation=motion.rotation * np.array([0, 1, 1], np.float32))
    return still, [View(avatar.source_euler[0] + yaw, yaw)]


def figures(
    made: np.ndarray, real: np.ndarray, found: np.ndarray, wanted: np.ndarray, lpips: StLpips
) -> dict[str, float]:
    """The figures of one picture, in the pixels of the real one."""
    regions = face_regions(wanted, *real.shape[:2])
    pair = FramePair(0, 0.0, made, real, found, wanted, regions)
    similarity = ssim_map(pair.made_luma, pair.real_luma)
    height = float(face_height(wanted))
    squares = head_squares(pair)
    ears = np.linalg.norm((found - wanted)[list(EARS), :2], axis=1)
    return {
        "face": psnr(made, real, regions["face"]),
        "ssim": float(similarity[regions["face"]].mean()),
        "head": psnr(made, real, regions["head"]),
        "head_ssim": float(similarity[regions["head"]].mean()),
        "lpips": float("nan") if squares is None else lpips(*squares),
        "landmarks": landmark_error(found, wanted),
        "iou": silhouette_iou(made, real, wanted, height),
        "ear": 100 * float(ears.mean() / height),
    }


def silhouette_iou(made: np.ndarray, real: np.ndarray, points: np.ndarray, height: float) -> float:
    """Intersection over union of the heads above the mouth, by the matte of each picture."""
    up = (points[FOREHEAD_TOP] - points[CHIN_TIP])[:2] / height
    lips = points[list(LIPS), :2].mean(0)
    y, x = np.mgrid[: real.shape[0], : real.shape[1]] + 0.5
    middle = (points[FOREHEAD_TOP] + points[CHIN_TIP])[:2] / 2
    near = np.hypot(x - middle[0], y - middle[1]) < 1.2 * height
    above = ((x - lips[0]) * up[0] + (y - lips[1]) * up[1]) > 0
    one, other = (
        (picture_probability(picture, points, height) > 0.5) & near & above
        for picture in (made, real)
    )
    return float((one & other).sum() / max(1, (one | other).sum()))


def _nearest(faces: list[Face], points: np.ndarray) -> Face:
    middle = points[:, :2].mean(0)
    return min(faces, key=lambda face: float(np.hypot(*(face.points[:, :2].mean(0) - middle))))


def _cut(rgb: np.ndarray, points: np.ndarray) -> np.ndarray:
    """The head's square, at the size of a sheet."""
    middle = points[:, :2].mean(0)
    reach = 1.15 * float(face_height(points))
    turn = np.eye(2) * SIDE / (2 * reach)
    return warped(rgb, turn, SIDE / 2 - turn @ middle, (SIDE, SIDE))


def _sheet(
    path: Path, source: np.ndarray, rows: list[tuple[MotionFrame, np.ndarray, np.ndarray]]
) -> None:
    """Source, truths and avatars: two rows of at most seven pictures, evenly chosen."""
    chosen = rows[:: max(1, -(-len(rows) // 7))]
    columns = [np.vstack([source, np.full_like(source, 128)])]
    for motion, real, made in chosen:
        column = np.vstack([real, made])
        cv2.putText(
            column,
            f"{motion.rotation[0]:.0f}",
            (6, 22),
            cv2.FONT_HERSHEY_SIMPLEX,
            0.7,
            (255, 255, 0),
            2,
        )
        columns.append(column)
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.ascontiguousarray(np.hstack(columns)[..., ::-1]))


def takes(data: Path, only: list[str], reporter: Reporter) -> Iterator[Take]:
    """All takes under a folder, or those whose names contain one of some words."""

    def wanted(path: Path) -> bool:
        return not only or any(word in path.stem for word in only)

    groups: dict[str, list[Path]] = defaultdict(list)
    for path in sorted((data / "multiview").glob("*_cam*.mp4")):
        groups[path.stem[:-5]].append(path)
    for cameras in groups.values():
        if wanted(cameras[0]):
            yield camera_take(cameras, reporter)
    for path in sorted((data / "clips").glob("*.mp4")):
        if not wanted(path):
            continue
        try:
            take = turned_take(path, reporter)
        except InputError as error:
            print(f"{path.stem}: {error}")
            continue
        if take is not None:
            yield take


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--clips", nargs="*", default=[])
    parser.add_argument("--size", type=int, default=512)
    options = parser.parse_args()
    table: dict[str, dict[str, list[dict[str, float]]]] = {}
    print(f"{'take':34}{'band':>6}{'n':>4}" + "".join(f"{name:>10}" for name in FIGURES))
    for take in takes(options.data, options.clips, SilentReporter()):
        bands: dict[str, list[dict[str, float]]] = defaultdict(list)
        for truth, row in judged(take, options.output, options.size):
            bands[truth.band].append(row)
        table[take.name] = dict(bands)
        for band, rows in bands.items():
            _print(take.name[-33:], band, rows)
    for band in map(str, BANDS):
        medians = [medians_of(bands[band]) for bands in table.values() if band in bands]
        if medians:
            _print("median of takes", band, medians)
    if options.json:
        options.json.write_text(json.dumps(table))


def medians_of(rows: list[dict[str, float]]) -> dict[str, float]:
    return {name: float(np.nanmedian([row[name] for row in rows])) for name in FIGURES}


def _print(name: str, band: str, rows: list[dict[str, float]]) -> None:
    medians = medians_of(rows)
    cells = "".join(f"{medians[figure]:10.3f}" for figure in FIGURES)
    print(f"{name:34}{band:>6}{len(rows):>4}{cells}", flush=True)


if __name__ == "__main__":
    main()
