"""Dark frames of glasses: they stay on the nose while lids, brows and cheeks move behind them.

If bound to the skin like other pixels, the upper rims are dragged over the eyes at each blink. They
are therefore separate splats in front of the skin, which continues behind them.
"""

from __future__ import annotations

import cv2
import numpy as np

from talkcli.engines.portrait.build.geometry import HeadGeometry
from talkcli.engines.portrait.build.images import (
    blur,
    dilate,
    erode,
    fill_smooth,
    filled,
    mean_color,
)
from talkcli.face.topology import EYE_LEFT, EYE_RIGHT

#: Where frames lie: sideways from the middle of the nose, above and below the eyes. These lengths
#: are relative to the distance between the middles of the eyes, as are those below without a unit.
_ASIDE, _ABOVE, _BELOW = 1.0, 0.34, 0.52
#: The bridge: a dark path across the nose, which reaches the rims on either side.
_BRIDGE_ASIDE, _BRIDGE_ABOVE, _BRIDGE_BELOW, _RIM_ASIDE = 0.17, 0.22, 0.2, 0.3
#: Frames are darker than this share of the skin around them, and their bridge is dark over this
#: share of its width. Of 107 pictures, four show dark frames: in these four the whole bridge is
#: dark, and in no other picture is half of it.
_DARK, _ACROSS = 0.62, 0.85
#: The skin around a pixel is the brighter part (percentile) of a window this wide, computed at this
#: many pixels between the eyes.
_WINDOW, _SKIN_QUANTILE, _COARSE_PX = 0.28, 0.7, 60
#: Brows and lashes are dark too, and may touch the frame: whatever is this close to the eye is left
#: out, and so are brows unless they are as dark as this quantile of the frame.
_LASHES_FH, _FRAME_QUANTILE = 0.012, 0.8
#: Frames are at least this far in front of the skin, centimetres.
_LIFT_CM = 0.5


def glasses_frame(rgb: np.ndarray, geometry: HeadGeometry) -> np.ndarray:
    """``[S, S]`` bool: pixels of a dark frame of glasses, if there is one.

    Thin, bright and rimless frames are not found.

    Args:
        rgb: ``[S, S, 3]`` float32 crop, 0–1.
        geometry: the measured head.
    """
    aside, below, distance = _eye_frame(geometry)
    zone = (np.abs(aside) < _ASIDE) & (below > -_ABOVE) & (below < _BELOW)
    luma = mean_color(rgb)
    shade = _DARK * _skin_around(luma, zone, distance)
    dark = zone & (luma < shade)
    lashes = max(1, int(_LASHES_FH * geometry.face_height))
    dark &= ~dilate(geometry.eye_mask(), lashes)
    frame = _bridged(dark & ~_brows(geometry), aside, below)
    if frame.any():
        black = dark & (luma <= np.quantile(luma[frame], _FRAME_QUANTILE))
        _, things = cv2.connectedComponents((frame | black).astype(np.uint8), connectivity=8)
        frame = np.isin(things, np.unique(things[frame]))
        # Shadows beside the nose are connected to the frame but less dark.
        frame &= luma < 0.5 * (np.median(luma[frame]) + shade)
        # The rim's soft edge belongs to the frame.
        frame = dilate(erode(dilate(frame, 2), 2))
    return np.asarray(frame)


def without_frame(colors: np.ndarray, frame: np.ndarray) -> np.ndarray:
    """Colours ``[S, S, 3]`` with those around a frame ``[S, S]`` extended behind it."""
    around = ~dilate(frame)
    return np.where(frame[..., None], fill_smooth(colors, around.astype(np.float32)), colors)


def frame_depth(depth: np.ndarray, frame: np.ndarray, geometry: HeadGeometry) -> np.ndarray:
    """``[S, S]`` depth of a frame ``[S, S]``: flat but for a bend, in front of the skin ``depth``.

    The skin behind falls off steeply beside the eyes; a frame that followed it would tear when the
    head turns.
    """
    rows, columns = np.nonzero(frame)
    x, y = (columns - columns.mean()) / len(frame), (rows - rows.mean()) / len(frame)
    terms = np.stack([np.ones(len(x)), x, y, x**2], -1)
    fitted, *_ = np.linalg.lstsq(terms, depth[frame], rcond=None)
    smooth = depth.copy()
    smooth[frame] = terms @ fitted
    return np.minimum(smooth, depth - _LIFT_CM * geometry.pose.scale)


def _eye_frame(geometry: HeadGeometry) -> tuple[np.ndarray, np.ndarray, float]:
    """``[S, S]`` positions along and across the line of the eyes, and the distance between them."""
    right, left = (geometry.landmarks[list(eye.corners)].mean(0) for eye in (EYE_RIGHT, EYE_LEFT))
    distance = float(np.linalg.norm(left - right))
    x, y = (left - right) / distance
    dx, dy = geometry.pixel_x - (left + right)[0] / 2, geometry.pixel_y - (left + right)[1] / 2
    return (dx * x + dy * y) / distance, (dy * x - dx * y) / distance, distance


def _skin_around(luma: np.ndarray, zone: np.ndarray, distance: float) -> np.ndarray:
    """``[S, S]`` brightness of the skin around each pixel of ``zone``; 0 or too low elsewhere."""
    height, width = luma.shape
    scale = min(1.0, _COARSE_PX / distance)
    size = (max(3, round(width * scale)), max(3, round(height * scale)))
    small = cv2.resize(luma, size, interpolation=cv2.INTER_AREA)
    window, soft = max(3, round(_WINDOW * distance * scale)), 0.05 * distance * scale
    # Only around the zone, since the whole head takes ten times as long. The filter reaches half a
    # window, the blur 4 sigma.
    wanted = cv2.resize(zone.astype(np.float32), size, interpolation=cv2.INTER_AREA) > 0
    reach = window + int(5 * soft) + 2
    box = tuple(slice(max(k.min() - reach, 0), k.max() + reach) for k in np.nonzero(wanted))
    bright = np.zeros_like(small)
    bright[box] = _local_quantile(small[box], _SKIN_QUANTILE, window)
    return cv2.resize(blur(bright, soft), (width, height))


def _local_quantile(image: np.ndarray, share: float, side: int) -> np.ndarray:
    """``[H, W]`` quantile of the square window around each pixel.

    Interpolated between 32 levels, at each of which the darker pixels of all windows are counted at
    once: within a hundredth of the exact value, in a thirtieth of the time.
    """
    levels = np.linspace(image.min(), image.max(), 33, dtype=np.float32)
    darker = np.stack(
        [
            cv2.blur((image <= v).astype(np.float32), (side, side), borderType=cv2.BORDER_REFLECT)
            for v in levels
        ]
    )
    # The first level that reaches the share; the last one always does.
    upper = np.maximum((darker >= share - 1e-5).argmax(0), 1)[None]
    low = np.take_along_axis(darker, upper - 1, 0)[0]
    high = np.take_along_axis(darker, upper, 0)[0]
    part = np.clip((share - low) / np.maximum(high - low, 1e-6), 0, 1)
    return np.asarray(levels[upper[0] - 1] + part * (levels[1] - levels[0]))


def _brows(geometry: HeadGeometry) -> np.ndarray:
    mask = np.zeros(geometry.on_face.shape, bool)
    for eye in (EYE_RIGHT, EYE_LEFT):
        outline = np.round(geometry.landmarks[list(eye.brow)]).astype(np.int32)
        mask |= filled(cv2.convexHull(outline), mask.shape)
    return dilate(mask, max(1, int(0.01 * geometry.face_height)))


def _bridged(dark: np.ndarray, aside: np.ndarray, below: np.ndarray) -> np.ndarray:
    """The connected dark region that crosses the nose from rim to rim, if there is one."""
    _, labels = cv2.connectedComponents(dark.astype(np.uint8), connectivity=8)
    bridge = dark & (np.abs(aside) < _BRIDGE_ASIDE)
    bridge &= (below > -_BRIDGE_ABOVE) & (below < _BRIDGE_BELOW)
    edges = np.linspace(-_BRIDGE_ASIDE, _BRIDGE_ASIDE, 18)
    for label in np.unique(labels[bridge]):
        thing = labels == label
        across = np.histogram(aside[thing & bridge], edges)[0] > 0
        rims = (aside[thing] < -_RIM_ASIDE).any() and (aside[thing] > _RIM_ASIDE).any()
        if across.mean() > _ACROSS and rims:
            return thing
    return np.zeros_like(dark)
