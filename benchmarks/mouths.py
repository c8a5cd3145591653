"""Do rendered open mouths look like the real ones? Maps of the inside, compared.

    python benchmarks/mouths.py ../shared/data/clips/*.mp4 -o /tmp/mouths

Per clip: the first neutral frame becomes the portrait, the frames with the widest open mouths drive
it, and the region between the lips is unrolled in both (across from corner to corner, down from lip
line to lip line) in units of the skin's colour. Printed: the mean difference of the maps, and the
median over the clips of the colour quantiles from the darkest to the brightest pixels, which
the constants of ``engines/portrait/build/mouth_colors.py`` come from. ``pairs.png`` shows one frame
of each clip next to its rendering. Clips whose faces are less than 130 px high are left out.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from talkcli import runtime

runtime.configure()

import cv2  # noqa: E402
import numpy as np  # noqa: E402
from PIL import Image, ImageDraw  # noqa: E402

from benchmarks.reenactment import picked_frames  # noqa: E402
from benchmarks.studio import Studio, loaded_avatar, opaque  # noqa: E402
from talkcli.config import PortraitConfig  # noqa: E402
from talkcli.errors import TalkcliError  # noqa: E402
from talkcli.face.topology import INNER_CORNERS, INNER_LOWER, INNER_UPPER  # noqa: E402
from talkcli.motion.retarget import DrivenMotion, RetargetSettings, reference_frame  # noqa: E402
from talkcli.tracking.clip import MAX_SIDE, track_clip  # noqa: E402
from talkcli.tracking.landmarks import detect_faces  # noqa: E402
from talkcli.types import ARKIT_NAMES, MotionCurves, MotionFrame  # noqa: E402

FRAMES, APART = 12, 4
LEAST_FACE_PX, LEAST_OPEN_CM, FACE_CM = 130, 0.45, 17.7
ACROSS, DOWN = 49, 44
QUANTILES = ((0, 0.05), (0.05, 0.25), (0.25, 0.5), (0.5, 0.75), (0.75, 0.9), (0.9, 1))
#: Cheeks, nose and chin.
SKIN = (50, 101, 36, 205, 280, 330, 266, 425, 1, 4, 5, 195, 117, 346, 199, 175)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("clips", type=Path, nargs="+")
    parser.add_argument("-o", "--output", type=Path, required=True)
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    rows, tiles = [], []
    for path in options.clips:
        try:
            pairs = mouth_pairs(path)
        except TalkcliError as error:
            print(f"{path.stem[:44]:46}{error}")
            continue
        if not pairs:
            continue
        real, ours = (np.array([pair[k] for pair in pairs]) for k in (0, 1))
        rows.append([quantile_colors(real), quantile_colors(ours)])
        tiles.append(labelled(pairs[len(pairs) // 2][2], path.stem))
        print(f"{path.stem[:44]:46}frames {len(pairs):2d}  difference of single maps "
              f"{np.abs(real - ours).mean():.3f}  of mean maps "
              f"{np.abs(real.mean(0) - ours.mean(0)).mean():.3f}", flush=True)  # fmt: skip
    if not rows:
        print("no clip shows an open mouth in a face that is large enough")
        return
    medians = np.median(rows, 0)
    for k, (low, high) in enumerate(QUANTILES):
        print(f"{low:4.0%} to {high:4.0%}: real {medians[0, k].round(2)} ours "
              f"{medians[1, k].round(2)}")  # fmt: skip
    save_sheet(tiles, options.output / "pairs.png")


def mouth_pairs(path: Path) -> list[tuple[np.ndarray, np.ndarray, Image.Image]]:
    """Per open frame: real map, rendered map, both mouths side by side."""
    curves = track_clip(path).curves
    start, opened = reference_frame(curves), open_frames(curves)
    frames = picked_frames(path, [start, *opened], MAX_SIDE)
    faces = detect_faces(frames[start])
    if not faces or faces[0].size_px < LEAST_FACE_PX:
        return []
    config = PortraitConfig(fit_iterations=3)
    studio = Studio(loaded_avatar(opaque(frames[start]), faces[0], config))
    motion = DrivenMotion(curves, RetargetSettings())
    pairs = []
    for index in opened:
        found = detect_faces(frames[index])
        if not found or opening_cm(found[0].points) < LEAST_OPEN_CM:
            continue
        posed = motion.at(float(curves.times[index]))
        posed = replace(posed, rotation=np.zeros(3), translation=np.zeros(3))
        shown = (studio.picture(posed, None)[0] * 255 + 0.5).astype(np.uint8)
        places = projected(studio, posed)
        both = beside(frames[index], found[0].points, shown, places)
        pairs.append((mouth_map(frames[index], found[0].points), mouth_map(shown, places), both))
    return pairs


def open_frames(curves: MotionCurves) -> list[int]:
    """Frames with the widest open mouths and little head turn, some frames apart."""
    weights = curves.expression
    opened = weights[:, ARKIT_NAMES.index("jawOpen")] - weights[:, ARKIT_NAMES.index("mouthClose")]
    turned = np.abs(curves.rotation[:, 0] - np.median(curves.rotation[:, 0]))
    usable = np.flatnonzero((np.asarray(curves.tracked) > 0) & (turned < 12))
    chosen: list[int] = []
    for index in usable[np.argsort(-opened[usable])]:
        if len(chosen) < FRAMES and all(abs(index - other) >= APART for other in chosen):
            chosen.append(int(index))
    return chosen


def opening_cm(points: np.ndarray) -> float:
    height = np.linalg.norm(points[10, :2] - points[152, :2])
    return float(np.linalg.norm(points[13, :2] - points[14, :2]) / height * FACE_CM)


def projected(studio: Studio, motion: MotionFrame) -> np.ndarray:
    """``[478, 2]`` the avatar's own vertices in its picture."""
    avatar = studio.avatar
    vertices = avatar.vertices + avatar.displacement(motion)
    seen = (vertices @ avatar.viewmat[:3, :3].T + avatar.viewmat[:3, 3]) @ avatar.K.T
    return np.asarray(seen[:, :2] / seen[:, 2:])


def mouth_map(picture: np.ndarray, points: np.ndarray) -> np.ndarray:
    """``[DOWN, ACROSS, 3]`` the region between the lips, in units of the skin's median colour."""
    right, left = points[list(INNER_CORNERS), :2]
    width = np.linalg.norm(left - right)
    axis = (left - right) / width
    down = np.array([-axis[1], axis[0]])
    share = np.linspace(0.08, 0.92, ACROSS)
    rows = []
    for line in (INNER_UPPER, INNER_LOWER):
        offset = points[[INNER_CORNERS[0], *line, INNER_CORNERS[1]], :2] - right
        rows.append(np.interp(share, offset @ axis / width, offset @ down))
    along = np.linspace(0.05, 0.95, DOWN)[:, None]
    height = rows[0] * (1 - along) + rows[1] * along
    places = (right + share[None, :, None] * width * axis + height[..., None] * down).astype(
        np.float32
    )
    colors = cv2.remap(picture, places[..., 0], places[..., 1], cv2.INTER_LINEAR)
    return np.asarray(colors / np.maximum(skin_color(picture, points), 1))


def skin_color(picture: np.ndarray, points: np.ndarray) -> np.ndarray:
    mask = np.zeros(picture.shape[:2], np.uint8)
    radius = max(2, round(0.02 * float(np.linalg.norm(points[10, :2] - points[152, :2]))))
    for x, y in points[list(SKIN), :2].astype(int):
        cv2.circle(mask, (int(x), int(y)), radius, 1, -1)
    return np.asarray(np.median(picture[mask > 0], 0))


def quantile_colors(maps: np.ndarray) -> np.ndarray:
    """``[6, 3]`` mean colours of the pixels between quantiles of brightness."""
    pixels = maps.reshape(-1, 3)
    pixels = pixels[np.argsort(pixels.mean(1))]
    n = len(pixels)
    return np.array([pixels[int(a * n) : max(int(b * n), 1)].mean(0) for a, b in QUANTILES])


def beside(
    real: np.ndarray, real_points: np.ndarray, shown: np.ndarray, places: np.ndarray
) -> Image.Image:
    sheet = Image.new("RGB", (600, 225))
    for k, (picture, points) in enumerate(((real, real_points), (shown, places))):
        x, y = points[[13, 14, 61, 291], :2].mean(0)
        half = 0.2 * float(np.linalg.norm(points[10, :2] - points[152, :2]))
        box = (int(x - half), int(y - 0.75 * half), int(x + half), int(y + 0.75 * half))
        sheet.paste(Image.fromarray(picture).crop(box).resize((300, 225)), (300 * k, 0))
    return sheet


def labelled(tile: Image.Image, name: str) -> Image.Image:
    ImageDraw.Draw(tile).text((3, 3), name[:40], fill=(255, 255, 0))
    return tile


def save_sheet(tiles: list[Image.Image], target: Path, columns: int = 3) -> None:
    sheet = Image.new("RGB", (600 * columns, 225 * -(-len(tiles) // columns)))
    for k, tile in enumerate(tiles):
        sheet.paste(tile, (600 * (k % columns), 225 * (k // columns)))
    sheet.save(target)


if __name__ == "__main__":
    main()
