"""How well does a portrait follow its own clip? A table over clips, and contact sheets.

    python benchmarks/reenactment.py CLIP.mp4 … -o /tmp/reenactment
    python benchmarks/reenactment.py CLIP.mp4 … --portrait OTHER.png -o /tmp/cross

Self-reenactment: the portrait is the clip's first neutral frame, and the tracked clip drives it.
Per clip, over 60 frames: PSNR inside the face against the real frame, next to that of the portrait
itself aligned to the face in 2D; mean landmark distance in % of the face height (measured by
FaceMesh in output and frame), for all landmarks and for the lips; AED and APD. Real frames are
aligned to the output by a similarity of rigid landmarks; ``place`` is how far that moves the face,
in % of its height. With ``--portrait`` only sheets are made: driver above, output below.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from talkcli import runtime
from talkcli.face.measures import face_height

runtime.configure()

import cv2  # noqa: E402
import numpy as np  # noqa: E402

from benchmarks.studio import Studio, loaded_avatar, opaque  # noqa: E402
from talkcli.config import PortraitConfig  # noqa: E402
from talkcli.face.model import FaceModel  # noqa: E402
from talkcli.face.topology import FACE_OVAL, LIPS, RIGID  # noqa: E402
from talkcli.media.image import read_image  # noqa: E402
from talkcli.media.read import read_frames  # noqa: E402
from talkcli.metrics.expression import average_expression_distance, average_pose_distance  # noqa: E402
from talkcli.metrics.image import psnr  # noqa: E402
from talkcli.metrics.landmarks import landmark_error  # noqa: E402
from talkcli.motion.retarget import DrivenMotion, RetargetSettings, reference_frame  # noqa: E402
from talkcli.tracking.clip import TrackedClip, solve_spool, track_clip  # noqa: E402
from talkcli.tracking.landmarks import detect_faces, landmarks_in_crop  # noqa: E402
from talkcli.tracking.spool import LandmarkSpool, Measured  # noqa: E402
from talkcli.types import MotionCurves  # noqa: E402

FRAMES = 60
SHOWN = 8
COLUMNS = ("psnr", "aligned", "gain", "nme", "nme0", "lips", "place", "aed", "apd")


def similarity(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """``[2, 3]`` similarity of rigid landmarks in the picture plane."""
    rigid = list(RIGID)
    matrix, _ = cv2.estimateAffinePartial2D(
        source[rigid, :2].astype(np.float32), target[rigid, :2].astype(np.float32), method=cv2.LMEDS
    )
    return np.asarray(matrix)


def warp(picture: np.ndarray, matrix: np.ndarray, side: int) -> np.ndarray:
    border = cv2.BORDER_REPLICATE
    return cv2.warpAffine(picture, matrix, (side, side), flags=cv2.INTER_AREA, borderMode=border)


def picked_frames(path: Path, wanted: list[int], size: int) -> dict[int, np.ndarray]:
    frames = enumerate(read_frames(path, max_side=size))
    return {index: frame.rgb for index, frame in frames if index in set(wanted)}


def face_region(points: np.ndarray, side: int) -> np.ndarray:
    mask = np.zeros((side, side), np.uint8)
    hull = cv2.convexHull(points[list(FACE_OVAL), :2].astype(np.int32))
    cv2.fillConvexPoly(mask, hull, 1)
    return mask > 0


def compare(
    shown: np.ndarray, frame: np.ndarray, portrait: np.ndarray, place: np.ndarray
) -> tuple[dict[str, float], np.ndarray] | None:
    """Figures of one frame, and the real frame aligned to the output.

    Args:
        shown: ``[S, S, 3]`` output.
        frame: ``[H, W, 3]`` the real frame.
        portrait: ``[S, S, 3]`` the portrait in the output's crop.
        place: ``[2, 3]`` from the frame to the crop.
    """
    side = shown.shape[0]
    in_place = warp(frame, place, side)
    found, wanted, source = map(landmarks_in_crop, (shown, in_place, portrait))
    if found is None or wanted is None or source is None:
        return None
    move = similarity(wanted, found)
    real = warp(frame, _after(move, place), side)
    aligned = wanted[:, :2] @ move[:, :2].T + move[:, 2]
    mask = face_region(aligned, side)
    base = warp(portrait, similarity(source, np.c_[aligned, aligned[:, 0]]), side)
    height = float(face_height(found))
    centre = (wanted - found)[list(RIGID), :2].mean(0)
    lips = list(LIPS)
    figures = {
        "psnr": psnr(shown, real, mask),
        "aligned": psnr(base, real, mask),
        "nme": landmark_error(found, wanted),
        "nme0": landmark_error(source, wanted),
        "lips": 100 * float(np.linalg.norm((aligned - found[:, :2])[lips], axis=1).mean()) / height,
        "place": 100 * float(np.linalg.norm(centre)) / height,
    }
    figures["gain"] = figures["psnr"] - figures["aligned"]
    return figures, real


def _after(second: np.ndarray, first: np.ndarray) -> np.ndarray:
    square = np.vstack([first, [0, 0, 1]])
    return np.asarray(second @ square)


def retrack(shots: list[np.ndarray], times: np.ndarray) -> MotionCurves:
    """Curves tracked in rendered frames, each detected anew, since they may be far apart."""
    with LandmarkSpool() as spool:
        for shot, time_s in zip(shots, times, strict=True):
            spool.append(Measured(float(time_s), landmarks_in_crop(shot), 1.0))
        return solve_spool(spool, FaceModel.load())[1]


def part(curves: MotionCurves, indices: list[int], times: np.ndarray) -> MotionCurves:
    arrays = {
        name: getattr(curves, name)[indices]
        for name in ("expression", "rotation", "translation", "gaze", "tracked")
    }
    return MotionCurves(times=times, duration_s=float(times[-1]) + 1.0, **arrays)


def judge(path: Path, output: Path, size: int) -> dict[str, float]:
    track = track_clip(path)
    curves = track.curves
    start = reference_frame(curves)
    indices = np.linspace(0, len(curves) - 1, min(FRAMES, len(curves))).round().astype(int).tolist()
    frames = picked_frames(path, [start, *indices], size)
    source = frames[start]
    studio = Studio(loaded_avatar(opaque(source), detect_faces(source)[0], PortraitConfig(), size))
    place = _crop_matrix(studio)
    motion = DrivenMotion(curves, RetargetSettings())
    portrait = warp(source, place, studio.side)
    rows, shots, reals, kept = [], [], [], []
    for index in indices:
        shown = drawn(studio, motion, float(curves.times[index]))
        compared = compare(shown, frames[index], portrait, place)
        if compared is not None:
            rows.append(compared[0])
            reals.append(compared[1])
            shots.append(shown)
            kept.append(index)
    figures = {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}
    times = np.arange(len(kept)) / 5.0
    again, wanted = retrack(shots, times), part(curves, kept, times + 0.1)
    figures["aed"] = average_expression_distance(again, wanted)
    wanted.rotation[:] -= wanted.rotation[0]
    again.rotation[:] -= again.rotation[0]
    figures["apd"] = average_pose_distance(again, wanted)
    sheet(output / f"{path.stem}.png", reals, shots, expressive(curves, kept))
    return figures


def cross(path: Path, portrait: Path, output: Path, size: int) -> None:
    track: TrackedClip = track_clip(path)
    rgba = read_image(portrait)
    face = detect_faces(np.ascontiguousarray(rgba[..., :3]))[0]
    studio = Studio(loaded_avatar(rgba, face, PortraitConfig(), size))
    motion = DrivenMotion(track.curves, RetargetSettings())
    indices = expressive(track.curves, list(range(len(track.curves))))
    frames = picked_frames(path, indices, size)
    shots = [drawn(studio, motion, float(track.curves.times[i])) for i in indices]
    reals = [cv2.resize(_square(frames[i]), shots[0].shape[:2]) for i in indices]
    sheet(output / f"{portrait.stem}_{path.stem}.png", reals, shots, list(range(len(shots))))


def drawn(studio: Studio, motion: DrivenMotion, time_s: float) -> np.ndarray:
    picture, _ = studio.picture(motion.at(time_s), None)
    return (picture * 255 + 0.5).astype(np.uint8)


def expressive(curves: MotionCurves, kept: list[int]) -> list[int]:
    """Indices into ``kept``: a neutral frame, then those that differ most from each other."""
    weights = curves.expression[kept]
    posed = np.concatenate([weights, curves.rotation[kept] / 20, curves.gaze[kept] / 15], 1)
    chosen = [int(weights.sum(1).argmin())]
    while len(chosen) < min(SHOWN, len(kept)):
        apart = np.linalg.norm(posed[:, None] - posed[chosen], axis=-1).min(1)
        chosen.append(int(apart.argmax()))
    return chosen


def _crop_matrix(studio: Studio) -> np.ndarray:
    frame = studio.avatar.frame
    scale = frame.crop_pixels / frame.crop_side
    return np.array([[scale, 0, -frame.crop_x * scale], [0, scale, -frame.crop_y * scale]])


def _square(picture: np.ndarray) -> np.ndarray:
    height, width = picture.shape[:2]
    side = min(height, width)
    y, x = (height - side) // 2, (width - side) // 2
    return picture[y : y + side, x : x + side]


def sheet(path: Path, reals: list[np.ndarray], shots: list[np.ndarray], chosen: list[int]) -> None:
    rows = [np.hstack([pictures[i] for i in chosen]) for pictures in (reals, shots)]
    cv2.imwrite(str(path), np.vstack(rows)[..., ::-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("clips", type=Path, nargs="+")
    parser.add_argument("--portrait", type=Path, help="another face; makes sheets only")
    parser.add_argument("-o", "--output", type=Path, default=Path("out/reenactment"))
    parser.add_argument("--size", type=int, default=512, help="longest side of the pictures")
    args = parser.parse_args()
    args.output.mkdir(parents=True, exist_ok=True)
    rows = []
    print(f"{'clip':40s} " + " ".join(f"{name:>7s}" for name in COLUMNS))
    for path in args.clips:
        if args.portrait is not None:
            cross(path, args.portrait, args.output, args.size)
            continue
        row = judge(path, args.output, args.size)
        rows.append(row)
        print(
            f"{path.stem[-40:]:40s} " + " ".join(f"{row[name]:7.3f}" for name in COLUMNS),
            flush=True,
        )
    if rows:
        mean = " ".join(f"{np.mean([row[name] for row in rows]):7.3f}" for name in COLUMNS)
        print(f"{'mean':40s} {mean}")


if __name__ == "__main__":
    main()
