"""How good are portrait avatars? A table over a folder of pictures, and contact sheets.

    python benchmarks/portrait_quality.py ../shared/data/portraits -o /tmp/quality --size 512

Per picture: PSNR and SSIM of the head in the source view with the source's expression; holes,
face re-detection and pose over seven views; the seam figure; build time. Two sheets per picture:
views, and expressions from the front and at 25°. The last lines sum up sources by their yaw.

*holes*: share of the head's closed silhouette (3 px inside) with less than 70 % coverage, worst of
±30°, beyond the gaps between curls in the source itself. Gaps between head and shoulders do not
count.
*seam*: image gradient across the border between seen and completed surface, relative to the
gradient inside the face, without lips, lids, nostrils and occlusions; worst of ±30°. Poses are
measured by FaceMesh, which also built the head, so look at the sheets before trusting them.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

from talkcli import runtime

runtime.configure()

import cv2  # noqa: E402
import numpy as np  # noqa: E402
from scipy import ndimage  # noqa: E402
from skimage.metrics import structural_similarity  # noqa: E402

from benchmarks.studio import Studio, loaded_avatar, motion_of  # noqa: E402
from talkcli.config import PortraitConfig  # noqa: E402
from talkcli.engines.portrait.build.crop import cut_crop  # noqa: E402
from talkcli.engines.portrait.splats import Layer  # noqa: E402
from talkcli.errors import InputError  # noqa: E402
from talkcli.face.model import FaceModel  # noqa: E402
from talkcli.face.pose import DEPTH_SCALE, fit_pose, rotation_to_euler  # noqa: E402
from talkcli.face.topology import EYE_LEFT, EYE_RIGHT, FACE_OVAL, LIPS  # noqa: E402
from talkcli.media.image import read_image  # noqa: E402
from talkcli.tracking.landmarks import detect_faces, landmarks_in_crop  # noqa: E402
from talkcli.types import MotionFrame  # noqa: E402

VIEWS = ((-30, 0), (-15, 0), (0, 0), (15, 0), (30, 0), (0, -15), (0, 15))
EXPRESSIONS: dict[str, dict[str, float]] = {
    "neutral": {},
    "half open": {"jawOpen": 0.25, "mouthUpperUp": 0.15},
    "wide": {"jawOpen": 0.7, "mouthUpperUp": 0.4, "mouthLowerDown": 0.3},
    "round": {"jawOpen": 0.25, "mouthPucker": 0.9},
    "ee": {"jawOpen": 0.1, "mouthStretch": 0.8, "mouthUpperUp": 0.6, "mouthLowerDown": 0.5},
    "smile": {"mouthSmile": 0.9},
    "half blink": {"eyeBlink": 0.5},
    "blink": {"eyeBlink": 1.0},
    "gaze": {},
}
COLUMNS = [
    "yaw",
    "psnr",
    "ssim",
    "holes",
    "found",
    "yaw30",
    "yaw15",
    "pitch",
    "seam",
    "splats",
    "build_s",
]


#: Wings, nostrils and tip of the nose.
_NOSE_BASE = (48, 115, 220, 64, 98, 97, 2, 326, 327, 294, 440, 344, 278, 4, 45, 275, 19, 94)
#: Width of the margin of the face that the seam figure leaves out, face heights.
_MARGIN_FH = 0.06


def source_fidelity(studio: Studio, wanted: np.ndarray, inside: Any) -> dict[str, float]:
    shown, alpha = studio.picture(None, None)
    weight, _ = studio.share(studio.avatar.splats.head_weight, None, None)
    head = (alpha > 0.5) & (weight > 0.5)
    x0, y0, x1, y1 = inside
    real = np.zeros_like(head)
    real[y0:y1, x0:x1] = True
    head &= real
    error = float(((shown - wanted) ** 2)[head].mean())
    _, similarity = structural_similarity(
        shown, wanted.astype(shown.dtype), channel_axis=2, data_range=1, full=True
    )
    return {
        "psnr": -10 * np.log10(max(error, 1e-12)),
        "ssim": float(similarity[head].mean()),
    }


def hole_share(studio: Studio, motion: MotionFrame | None, yaw: float | None) -> float:
    """Percentage of the head's closed silhouette through which the background shows."""
    weight, alpha = studio.share(studio.avatar.splats.head_weight, motion, yaw)
    pad = np.pad((alpha > 0.5) & (weight > 0.5), 20)
    closed = ndimage.binary_fill_holes(ndimage.binary_closing(pad, iterations=8))[20:-20, 20:-20]
    inner = ndimage.binary_erosion(closed, iterations=3)
    return 100 * float((alpha[inner] < 0.7).mean())


def seam_figure(studio: Studio, yaw: float) -> float:
    """Image gradient across the border of the completion, relative to that inside the face."""
    motion = MotionFrame.neutral()
    picture, _ = studio.picture(motion, yaw)
    completed = np.isin(studio.avatar.splats.layers, (Layer.COMPLETION, Layer.SHELL))
    share, alpha = studio.share(completed, motion, yaw)
    face = np.zeros(alpha.shape, np.uint8)
    points = landmarks_in_crop((picture * 255).astype(np.uint8))
    if points is None:
        return float("nan")
    cv2.fillPoly(face, [np.round(points[list(FACE_OVAL), :2]).astype(np.int32)], 1)
    whole = ndimage.binary_erosion(face > 0, iterations=4)
    for group in (LIPS, EYE_LEFT.rim, EYE_RIGHT.rim, _NOSE_BASE):
        # Lips, lids and nostrils have edges of their own.
        hull = cv2.convexHull(np.round(points[list(group), :2]).astype(np.int32))
        cv2.fillPoly(face, [hull], 0)
    # At the margin of the face, hair and ears end anyway: only the face itself can show a seam.
    margin = int(_MARGIN_FH * np.ptp(points[:, 1]))
    inside = ndimage.binary_erosion(face > 0, iterations=margin)
    inside &= ~studio.occlusions(motion, yaw)
    luma = cv2.GaussianBlur(picture.mean(-1), (0, 0), 1.0)
    gy, gx = np.gradient(luma)
    sy, sx = np.gradient(cv2.GaussianBlur(share, (0, 0), 1.0))
    steep = np.hypot(sx, sy)
    border = inside & (np.abs(share - 0.5) < 0.3) & (steep > 0.05)
    if border.sum() < max(30, 0.005 * inside.sum()):
        return 0.0
    across = np.abs(gx * sx + gy * sy)[border] / steep[border]
    # Across one direction only, a gradient of any direction contributes 2/π of its length.
    within = np.hypot(gx, gy)[whole & ~border].mean() * 2 / np.pi
    return float(across.mean() / max(within, 1e-6))


def view_figures(studio: Studio) -> dict[str, Any]:
    template = FaceModel.load().vertices
    pitch0 = studio.avatar.source_euler[1]
    errors: dict[tuple[int, int], tuple[float, float]] = {}
    holes = [0.0]
    open_at_rest = hole_share(studio, None, None)
    for yaw, pitch in VIEWS:
        picture, _ = studio.picture(motion_of({}, pitch), yaw)
        if abs(yaw) == 30:
            holes.append(hole_share(studio, motion_of({}, pitch), yaw) - open_at_rest)
        points = landmarks_in_crop((picture * 255).astype(np.uint8))
        if points is None:
            continue
        pose = fit_pose(points * (1, 1, DEPTH_SCALE), template)
        found = rotation_to_euler(pose.rotation)
        errors[yaw, pitch] = (found[0] - yaw, found[1] - pitch0 - pitch)

    def worst(axis: int, size: int, which: int) -> float:
        values = [abs(e[which]) for key, e in errors.items() if abs(key[axis]) == size]
        return max(values, default=float("nan"))

    return {
        "holes": max(holes),
        "found": len(errors),
        "yaw30": worst(0, 30, 0),
        "yaw15": worst(0, 15, 0),
        "pitch": worst(1, 15, 1),
        "seam": max(seam_figure(studio, -30), seam_figure(studio, 30)),
    }


def labelled(picture: np.ndarray, text: str, height: int) -> np.ndarray:
    scale = height / picture.shape[0]
    size = (max(1, round(picture.shape[1] * scale)), height)
    shrink = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    image = cv2.resize((np.clip(picture, 0, 1) * 255).astype(np.uint8), size, interpolation=shrink)
    for color, width in (((0, 0, 0), 3), ((255, 255, 255), 1)):
        cv2.putText(image, text, (6, 18), cv2.FONT_HERSHEY_SIMPLEX, 0.5, color, width)
    return image[..., ::-1]


def contact_sheets(studio: Studio, source: np.ndarray, inside: Any, path: Path) -> None:
    x0, y0, x1, y1 = inside
    size = 420
    rows = [labelled(source[y0:y1, x0:x1], "source", size)]
    for yaw, pitch in VIEWS:
        shown = studio.picture(motion_of({}, pitch), yaw)[0][y0:y1, x0:x1]
        rows.append(labelled(shown, f"yaw {yaw} pitch {pitch}", size))
    views = np.vstack([np.hstack(rows[:4]), np.hstack(rows[4:])])
    cv2.imwrite(str(path.with_name(f"{path.name}_views.png")), views)
    side, unit = studio.side, studio.side / 2.75
    middle, chin = side // 2, int(side / 2 + 0.62 * unit)
    top, reach = max(0, int(chin - 1.3 * unit)), int(0.65 * unit)
    sheet = []
    for angle in (0.0, 25.0):
        row = []
        for name, weights in EXPRESSIONS.items():
            motion = motion_of(weights, gaze=(12, 0) if name == "gaze" else (0, 0))
            shown = studio.picture(motion, angle)[0]
            row.append(labelled(shown[top:chin, middle - reach : middle + reach], name, 360))
        sheet.append(np.hstack(row))
    cv2.imwrite(str(path.with_name(f"{path.name}_expressions.png")), np.vstack(sheet))


def judge(path: Path, output: Path, side: int) -> dict[str, Any]:
    rgba = read_image(path)
    faces = detect_faces(np.ascontiguousarray(rgba[..., :3]))
    if not faces:
        return {"name": path.stem, "error": "no face"}
    config = PortraitConfig()
    started = time.perf_counter()
    avatar = loaded_avatar(rgba, faces[0], config, side)
    seconds = time.perf_counter() - started
    crop = cut_crop(rgba, faces[0], side, config.max_crop)
    studio = Studio(avatar)
    contact_sheets(studio, crop.rgb, crop.inside, output / path.stem)
    return {
        "name": path.stem,
        "face_px": faces[0].size_px,
        "yaw": avatar.source_euler[0],
        **source_fidelity(studio, crop.rgb, crop.inside),
        **view_figures(studio),
        "splats": len(avatar.splats),
        "build_s": seconds,
    }


def summary(rows: list[dict[str, Any]], low: float, high: float) -> str:
    chosen = [r for r in rows if "psnr" in r and low <= abs(r["yaw"]) < high]
    if not chosen:
        return ""
    parts = [f"|yaw| {low:.0f}-{high:.0f}: {len(chosen)} sources"]
    for name, worst in (("psnr", min), ("ssim", min), ("holes", max), ("yaw30", max),
                        ("yaw15", max), ("seam", max), ("found", min)):  # fmt: skip
        values = [r[name] for r in chosen]
        parts.append(f"{name} {np.nanmedian(values):.3g} (worst {worst(values):.3g})")
    return ", ".join(parts)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("folder", type=Path)
    parser.add_argument("-o", "--output", type=Path, default=Path("out/quality"))
    parser.add_argument("--size", type=int, default=512, help="longest side of the picture")
    parser.add_argument("--only", default="", help="comma-separated parts of file names")
    args = parser.parse_args()
    args.output.mkdir(parents=True, exist_ok=True)
    wanted = [part for part in args.only.split(",") if part]
    rows = []
    print(f"{'name':44s} " + " ".join(f"{c:>7s}" for c in COLUMNS))
    for path in sorted(args.folder.iterdir()):
        if wanted and not any(part in path.name for part in wanted):
            continue
        try:
            row = judge(path, args.output, args.size)
        except InputError as error:
            row = {"name": path.stem, "error": str(error)}
        rows.append(row)
        figures = " ".join(f"{row[c]:7.3g}" for c in COLUMNS) if "psnr" in row else row["error"]
        print(f"{row['name'][-44:]:44s} {figures}", flush=True)
    (args.output / "figures.json").write_text(json.dumps(rows, indent=1))
    for low, high in ((0, 10), (10, 36), (36, 90)):
        print(summary(rows, low, high))


if __name__ == "__main__":
    main()
