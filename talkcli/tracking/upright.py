"""Finds which way up a clip is, since the header may be wrong if the phone was held upside down.

The networks recognise sideways faces, but they see an upside-down face as an upright one that does
not exist, with the mouth for brows. What gives it away is its shape, and that it changes when the
picture is mirrored.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from talkcli.face.alignment import align_heads
from talkcli.face.model import FaceModel
from talkcli.face.pose import rotation_to_euler
from talkcli.tracking.landmarks import detect_faces, survives_mirroring

#: Quarter turns, clockwise.
TURNS = (0, 90, 180, 270)
#: Frames to examine, and how many of them must show a face for a decision.
_LOOKS = (0, 5, 15, 30, 60, 100)
_ENOUGH = 3
_SIDE = 640
#: A head that leans further is lying on its side.
_MOST_ROLL_DEG = 50.0
#: Centimetres between a face and the template. In the first frames of 45 clips, three of four faces
#: are below this; upside down, none is (.45 to 1.18).
_CERTAIN_CM = 0.4
#: A turn has to fit better than none by this factor; in upright clips, false turns reach .96.
_BETTER = 0.9


def find_turn(path: Path) -> int:
    """Find the degrees clockwise by which a clip must be turned to show its face upright.

    If a face in the first frame fits best as it is, the clip is upright; otherwise several early
    frames are examined in four turns. Without a clear majority, the clip stays as it is.

    Args:
        path: a video file.

    Returns:
        0, 90, 180 or 270.

    Raises:
        InputError: not a readable video.
    """
    from talkcli.media.read import read_frames

    votes: list[int] = []
    for index, frame in enumerate(read_frames(path, max_side=_SIDE)):
        if index in _LOOKS:
            misfit = _misfit(frame.rgb)
            if misfit < _CERTAIN_CM:
                return 0
            misfits = [misfit, *(_misfit(turned(frame.rgb, turn)) for turn in TURNS[1:])]
            best = int(np.argmin(misfits))
            if math.isfinite(misfits[best]):
                if best == 0 and not votes:
                    return 0
                votes.append(TURNS[best] if misfits[best] < _BETTER * misfit else 0)
        if index >= _LOOKS[-1] or len(votes) == _ENOUGH:
            break
    return next((turn for turn in TURNS[1:] if 2 * votes.count(turn) > len(votes)), 0)


def turned(rgb: np.ndarray, degrees: int) -> np.ndarray:
    """Turn a picture clockwise by a multiple of 90 degrees."""
    return np.ascontiguousarray(np.rot90(rgb, -degrees // 90)) if degrees else rgb


def _misfit(rgb: np.ndarray) -> float:
    """How far the largest face deviates from an upright one: cm, infinite without a face."""
    faces = detect_faces(rgb, small=False)
    if not faces:
        return math.inf
    points = faces[0].points
    heads = align_heads(points[None], FaceModel.load().vertices)
    roll = rotation_to_euler(heads.rotations[0])[2]
    if abs(roll) > _MOST_ROLL_DEG or not survives_mirroring(rgb, points):
        return math.inf
    return float(heads.residuals[0])
