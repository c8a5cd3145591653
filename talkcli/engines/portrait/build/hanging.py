"""Hair that hangs beside the neck: does it turn with the head, or rest on the chest?

A weight that falls with the height below the jaw shears a bob at the jaw like a torn paper. Hair
that is connected with the head's and ends before it reaches the chest turns with the head as a
whole; longer hair rests on the chest, and bends down the neck as the neck does.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from talkcli.engines.portrait.build.images import blur, coloured_like, highest_color, lengths
from talkcli.imaging import disc

#: Hair ends freely above this height below the jaw (face heights); chests begin there.
_CHEST_FH = 0.62
#: Hair beside the neck is sought outside this share of the neck's half width.
_NECK = 0.75
#: Hair of the head lies this far above the jaw and outside the face (face heights), and is unlike
#: the face's skin by this many deviations.
_ABOVE_FH, _OUTSIDE_FH, _UNLIKE = 0.1, 0.05, 1.2
#: Colours up to this many deviations from the head's hair are hair, too.
_ALIKE = 2.0
#: Where less of the head's hair than this looks like skin, what looks like skin is no hair.
_SKIN_LIKE = 0.3
#: Locks are wider than twice this (face heights). Shoulders are wider than the hair at the jaw by
#: the factor, and covered by a coat like hair if more than the share of them looks like it.
_LOCK_FH, _SHOULDER, _COAT = 0.025, 1.25, 0.5
#: Less hair than this (square face heights) is none; the weight changes over this distance.
_LEAST_FH2, _SOFT_FH = 0.01, 0.03


@dataclass(frozen=True)
class HangingHair:
    """Hair beside the neck.

    Attributes:
        free: ``[S, S]`` float32 0–1, hair that ends before the chest.
        falls_fh: how far it falls below the jaw on the side where it is longer, face heights; 0
            where hair ends above the jaw.
    """

    free: np.ndarray
    falls_fh: float


def hanging_hair(
    rgb: np.ndarray,
    alpha: np.ndarray,
    below_jaw: np.ndarray,
    across: np.ndarray,
    face_distance: np.ndarray,
    face_height: float,
) -> HangingHair:
    """Find hair that hangs beside the neck, and whether it ends before the chest.

    Args:
        rgb: ``[S, S, 3]`` crop.
        alpha: ``[S, S]`` matte.
        below_jaw: ``[S, S]`` face heights below the jaw line.
        across: ``[S, S]`` signed distance from the neck's axis in half neck widths.
        face_distance: ``[S, S]`` pixels to the face, 0 on it.
        face_height: pixels.
    """
    nothing = np.zeros(alpha.shape, np.float32)
    solid = alpha > 0.6
    skin = rgb[(face_distance == 0) & solid]
    head = solid & (below_jaw < -_ABOVE_FH) & (face_distance > _OUTSIDE_FH * face_height)
    head &= lengths((rgb - np.median(skin, 0)) / (skin.std(0) + 0.03)) > _UNLIKE * np.sqrt(3)
    if head.sum() < _LEAST_FH2 * face_height**2:
        return HangingHair(nothing, 0.0)
    colors = rgb[head]
    off = np.abs(rgb - np.median(colors, 0)) / (colors.std(0) + 0.03)
    alike = solid & (highest_color(off) < _ALIKE) & (face_distance > 0)
    like_skin = coloured_like(rgb, np.median(skin, 0))
    if like_skin[head].mean() < _SKIN_LIKE:
        alike &= ~like_skin
    beside = alike & (np.abs(across) > _NECK) & (below_jaw >= -_ABOVE_FH)
    # Halos of the matte and shadows behind an ear are narrow, and so are gaps between strands.
    narrow = disc(_LOCK_FH * face_height)
    closed = cv2.morphologyEx((beside | head).astype(np.uint8), cv2.MORPH_CLOSE, narrow)
    thick = cv2.morphologyEx(closed, cv2.MORPH_OPEN, narrow)
    beside, head = beside & (thick > 0), head & (thick > 0)
    _, labels = cv2.connectedComponents(thick)
    joined = np.isin(labels, np.unique(labels[head]))
    hanging = joined & beside
    free, falls = nothing.astype(bool), 0.0
    for side in (across < 0, across >= 0):
        lock = hanging & side & (below_jaw > 0)
        if lock.sum() < _LEAST_FH2 * face_height**2:
            continue
        end = float(np.percentile(below_jaw[lock], 98))
        falls = max(falls, min(end, _shoulder(solid & side, hanging, across, below_jaw)))
        if end < _CHEST_FH and not _cut_off(lock):
            free |= hanging & side
    soft = blur(free, _SOFT_FH * face_height) if free.any() else nothing
    return HangingHair(soft, falls)


def _shoulder(
    person: np.ndarray, hair: np.ndarray, across: np.ndarray, below_jaw: np.ndarray
) -> float:
    """Height below the jaw, face heights, from which on what looks like hair may be a dark coat.

    There the person is wider than the hair is at the jaw, and looks like hair out to the edge.

    Args:
        person: ``[S, S]`` bool, solid, on one side of the neck.
        hair: ``[S, S]`` bool.
        across: as for :func:`hanging_hair`.
        below_jaw: as for :func:`hanging_hair`.
    """
    level = hair & person & (np.abs(below_jaw) < _ABOVE_FH)
    widest = np.abs(across[level]).max() if level.any() else 1.0
    wide = person & (np.abs(across) > _SHOULDER * widest) & (below_jaw > 0)
    coat = wide & hair
    if coat.sum() < _COAT * wide.sum():
        return np.inf
    return float(np.percentile(below_jaw[coat], 5)) if coat.any() else np.inf


def _cut_off(lock: np.ndarray) -> bool:
    """Whether the picture ends before the hair does."""
    rows = np.flatnonzero(lock.any(1))
    return bool(rows[-1] >= len(lock) - 2)
