"""A prepared clip on one page: best frame, background, crops with their mattes, and a time line."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from talkcli.layers.clip import PreparedClip
from talkcli.shapes import UInt8
from talkcli.types import ARKIT_NAMES

#: Name of the page in the stage's directory.
SHEET = "contact_sheet.png"
_WIDE, _GAP = 1600, 8  # pixels of the page, and between its parts
_TOP, _COLUMNS = 440, 8  # height of the upper pictures, and crops in a row
_CURVE, _STRIP = 70, 18  # height of curves, and of the strip of usable frames
#: Paper, ink, what is removed from pictures, and good, bad and held-out frames.
_PAPER, _INK, _GREEN = (250, 250, 248), (40, 40, 40), (0, 177, 64)
_GOOD, _BAD, _HELD = (70, 150, 90), (200, 70, 60), (150, 180, 210)
_JAW = ARKIT_NAMES.index("jawOpen")


def contact_sheet(clip: PreparedClip) -> UInt8[np.ndarray, "H 1600 3"]:
    """Draw the page, sRGB."""
    rows = [_top(clip), *_crops(clip), *_time_lines(clip)]
    gap = np.full((_GAP, _WIDE, 3), _PAPER, np.uint8)
    parts = [gap]
    for row in rows:
        parts += [row, gap]
    return np.concatenate(parts)


def write_sheet(clip: PreparedClip, path: Path) -> None:
    """Draw the page into a PNG file that nothing reads yet.

    Raises:
        OSError: the disk is full.
    """
    done, data = cv2.imencode(".png", contact_sheet(clip)[..., ::-1])
    assert done
    path.write_bytes(data.tobytes())


def _paper(height: int) -> np.ndarray:
    return np.full((height, _WIDE, 3), _PAPER, np.uint8)


def _top(clip: PreparedClip) -> np.ndarray:
    """The best frame with the box, the background, and figures."""
    page = _paper(_TOP)
    best = clip.best_picture().copy()
    x, y, side = (round(value) for value in clip.box)
    thick = max(1, round(max(best.shape) / 400))
    cv2.rectangle(best, (x, y), (x + side, y + side), _GREEN, thick)
    room = (_WIDE - 4 * _GAP) // 3
    left = _GAP
    for picture in (best, clip.plate):
        shown = _fitted(picture, room, _TOP)
        page[: shown.shape[0], left : left + shown.shape[1]] = shown
        left += shown.shape[1] + _GAP
    for line, text in enumerate(_figures(clip)):
        _write(page, text, (left + _GAP, 24 + 26 * line))
    return page


def _figures(clip: PreparedClip) -> list[str]:
    said = clip.verdict
    start, end = clip.segment
    lines = [
        f"{start:.2f} to {end:.2f} s, {len(clip)} frames at {float(clip.fps):.2f}/s",
        f"{int(clip.usable.sum())} usable, {len(clip.stored)} stored, best {clip.best}",
        f"{clip.width}x{clip.height}, crops {clip.crop_pixels} of {clip.box.side:.0f} px",
        f"sound {1000 * clip.offset_s:+.0f} ms" if clip.sound else "no sound",
    ]
    wanted = ("yaw_deg", "pitch_deg", "lip_opening_cm", "lip_width_cm", "sharpness", "face_px")
    lines += [f"{name}: {said[name]}" for name in wanted if name in said]
    reasons = said.get("reasons", {})
    lines += [f"{word}: {share:.1%}" for word, share in reasons.items() if share]
    return lines + [f"missing {text.split(':')[0]}" for text in said.get("missing", ())]


def _crops(clip: PreparedClip) -> list[np.ndarray]:
    """A row of crops, and below it what their mattes leave."""
    count = len(clip.stored)
    numbers = np.linspace(0, count - 1, min(count, _COLUMNS)).round().astype(int)
    side = (_WIDE - (_COLUMNS + 1) * _GAP) // _COLUMNS
    crops, cut = _paper(side), _paper(side)
    for column, number in enumerate(numbers):
        crop = clip.crop(int(number))
        matte = clip.matte(int(number))[..., None] / 255.0
        left = _GAP + column * (side + _GAP)
        crops[:, left : left + side] = _fitted(crop, side, side)
        mixed = (crop * matte + np.array(_GREEN) * (1 - matte)).astype(np.uint8)
        cut[:, left : left + side] = _fitted(mixed, side, side)
        label = f"{clip.curves.times[clip.stored[number]]:.2f} s"
        _write(crops, label, (left + 4, 16), (255, 255, 255))
    return [crops, cut]


def _time_lines(clip: PreparedClip) -> list[np.ndarray]:
    """Usable and stored frames over time, then yaw, pitch and jaw."""
    strip = _paper(_STRIP)
    width = _WIDE - 2 * _GAP
    place = np.linspace(0, len(clip) - 1, width).round().astype(int)
    stored = np.zeros(len(clip), bool)
    stored[clip.stored] = True
    colours = np.where(clip.usable[place, None], _GOOD, _BAD)
    strip[: 2 * _STRIP // 3, _GAP:-_GAP] = colours
    strip[2 * _STRIP // 3 :, _GAP:-_GAP] = np.where(stored[place, None], _HELD, _PAPER)
    curves = {
        "yaw": clip.curves.rotation[:, 0],
        "pitch": clip.curves.rotation[:, 1],
        "jawOpen": clip.curves.expression[:, _JAW],
    }
    return [strip, *(_curve(name, values) for name, values in curves.items())]


def _curve(name: str, values: np.ndarray) -> np.ndarray:
    page = _paper(_CURVE)
    low, high = float(values.min()), float(values.max())
    x = np.linspace(_GAP, _WIDE - _GAP, len(values))
    y = (_CURVE - 4) - (values - low) / max(high - low, 1e-6) * (_CURVE - 8)
    line = np.stack([x, y], 1).round().astype(np.int32)
    cv2.polylines(page, [line], False, _GOOD, 1, cv2.LINE_AA)
    _write(page, f"{name} {low:.2f} to {high:.2f}", (_GAP + 4, 14))
    return page


def _fitted(picture: np.ndarray, width: int, height: int) -> np.ndarray:
    scale = min(width / picture.shape[1], height / picture.shape[0])
    size = max(1, round(picture.shape[1] * scale)), max(1, round(picture.shape[0] * scale))
    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(picture, size, interpolation=way))


def _write(
    page: np.ndarray, text: str, place: tuple[int, int], colour: tuple[int, int, int] = _INK
) -> None:
    cv2.putText(page, text, place, cv2.FONT_HERSHEY_SIMPLEX, 0.45, colour, 1, cv2.LINE_AA)
