"""Where the splats of any head lie on a mean face, and what the source shows there.

Splats are moved as the rig would move them if the mean face were an expression. A cylinder about
the head unrolls them then: its columns are angles, its rows heights. Two sheets lie one behind the
other: the skin, and what lies beneath it, which is eyes and the inside of the mouth.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from talkcli.engines.audio_plane.surface import fade_of
from talkcli.engines.portrait.avatar import PortraitAvatar
from talkcli.engines.portrait.build.images import fill_smooth
from talkcli.engines.portrait.splats import Layer, RestSplats
from talkcli.face.model import FaceModel
from talkcli.face.topology import EYE_LEFT, EYE_RIGHT, INNER_LOWER, INNER_UPPER
from talkcli.shapes import Float, Float32, Integer

#: Sheets of the map, and its rows and columns.
SHEETS, SIDE = 2, 128
SKIN_SHEET, INNER_SHEET = 0, 1
#: The cylinder's axis is this far behind the head frame's origin, centimetres: ears lie at 82°.
_AXIS_CM = 4.0
#: Half the angle that the map covers, radians; half its height and its middle, centimetres: from
#: below the chin to above the forehead.
_REACH_RAD, _REACH_CM, _MIDDLE_CM = 1.6, 10.25, -0.25
#: Channels of the source's maps; see :func:`source_maps`.
MAP_CHANNELS = 20

_UPPER = (Layer.UPPER_TEETH, Layer.PICTURE_MOUTH)
_LOWER = (Layer.LOWER_TEETH, Layer.TONGUE)
_EYES = (Layer.EYE, Layer.IRIS)
_INNER = (*_UPPER, *_LOWER, *_EYES, Layer.MOUTH_BAG)
#: Neither the back of the head nor spectacles follow an expression.
_STILL = (Layer.SHELL, Layer.GLASSES)
#: Colours come from surfaces that the source shows; completed ones count where nothing else is.
_COMPLETED_SHARE = 0.02


@dataclass(frozen=True)
class CanonicalSplats:
    """Splats on the mean face.

    Attributes:
        position: ``[N, 3]`` there, centimetres of the head frame.
        place: ``[N, 2]`` column and row, -1 to 1 across the map, clamped to it.
        sheet: ``[N]`` its number.
        share: ``[N]`` how much of an offset each takes: 1 on the face, falling to 0 around it.
    """

    position: Float32[np.ndarray, "N 3"]
    place: Float32[np.ndarray, "N 2"]
    sheet: Integer[np.ndarray, " N"]
    share: Float32[np.ndarray, " N"]


def canonical_splats(avatar: PortraitAvatar) -> CanonicalSplats:
    """Where the splats of an avatar lie on the mean face."""
    splats = avatar.splats
    inner = np.isin(splats.layers, _INNER)
    placed = splats.positions + _to_mean(avatar)
    bound = np.where(inner, 1, np.clip(splats.weights.sum(1), 0, 1))
    share = np.where(np.isin(splats.layers, _STILL), 0, bound) * fade_of(splats)
    return CanonicalSplats(
        placed.astype(np.float32),
        unrolled(placed),
        np.where(inner, INNER_SHEET, SKIN_SHEET),
        share.astype(np.float32),
    )


def unrolled(positions: Float[np.ndarray, "n 3"]) -> Float32[np.ndarray, "n 2"]:
    """``[n, 2]`` column and row of positions on the mean face, -1 to 1, clamped."""
    angle = np.arctan2(positions[:, 0], positions[:, 2] + _AXIS_CM)
    height = positions[:, 1] - _MIDDLE_CM
    place = np.stack([angle / _REACH_RAD, -height / _REACH_CM], 1)
    return np.clip(place, -1, 1).astype(np.float32)


def _to_mean(avatar: PortraitAvatar) -> Float32[np.ndarray, "N 3"]:
    """``[N, 3]`` from each splat to its place on the mean face, centimetres."""
    splats = avatar.splats
    away = FaceModel.load().vertices - avatar.vertices
    moved = _carried(splats, away)
    eyes = {0: EYE_RIGHT, 1: EYE_LEFT}
    for layers, ring in ((_UPPER, INNER_UPPER), (_LOWER, INNER_LOWER)):
        moved[np.isin(splats.layers, layers)] = away[list(ring)].mean(0)
    for left, eye in eyes.items():
        side = np.isin(splats.layers, _EYES) & ((splats.positions[:, 0] > 0) == bool(left))
        moved[side] = away[list(eye.rim)].mean(0)
    return moved.astype(np.float32)


def _carried(splats: RestSplats, shift: np.ndarray) -> np.ndarray:
    """``[N, 3]`` how far the rig moves each splat where the face's vertices move by ``shift``."""
    return np.einsum("nk,nkd->nd", splats.weights, shift[splats.vertices])


def source_maps(
    avatar: PortraitAvatar, splats: CanonicalSplats
) -> Float32[np.ndarray, "channels side side"]:
    """``[20, 128, 128]`` what the source shows of the face, in about unit size.

    Of the skin: colour (3), from the mean face to this one (3), normal (3), source cosine, shift to
    the neutral expression (3), whether anything lies there; of what is beneath: colour (3), whether
    anything lies there; and column and row of the map.

    Args:
        avatar: the head.
        splats: its splats on the mean face.
    """
    rest = avatar.splats
    skin = splats.sheet == SKIN_SHEET
    of_skin = np.concatenate(
        [
            rest.colors * 4 - 2,
            -_to_mean(avatar),
            rest.normals,
            rest.source_cosine[:, None],
            _carried(rest, avatar.neutral_shift) * 4,
        ],
        1,
    )
    weight = splats.share * rest.opacities
    seen = np.where(rest.layers == Layer.SKIN, np.clip(rest.source_cosine, 0.05, 1), 0)
    seen[rest.layers == Layer.COMPLETION] = _COMPLETED_SHARE
    parts = [
        _mapped(of_skin[skin], splats.place[skin], (weight * seen)[skin]),
        _mapped((rest.colors * 4 - 2)[~skin], splats.place[~skin], weight[~skin]),
    ]
    across = np.linspace(-1, 1, SIDE, dtype=np.float32)
    grid = np.stack([np.tile(across, (SIDE, 1)), np.tile(across[:, None], (1, SIDE))])
    return np.concatenate([*parts, grid]).astype(np.float32)


def _mapped(values: np.ndarray, place: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """``[C + 1, side, side]`` weighted means of values, filled, and where there are any."""
    cell = np.clip(((place + 1) * (SIDE / 2)).astype(int), 0, SIDE - 1)
    number = cell[:, 1] * SIDE + cell[:, 0]
    total = np.bincount(number, weight, SIDE * SIDE).reshape(SIDE, SIDE)
    sums = [np.bincount(number, weight * v, SIDE * SIDE) for v in values.T]
    mean = np.stack(sums, 1).reshape(SIDE, SIDE, -1) / np.maximum(total, 1e-6)[..., None]
    known = np.minimum(total, 1).astype(np.float32)
    filled = fill_smooth(mean.astype(np.float32), known)
    return np.concatenate([filled, known[..., None]], 2).transpose(2, 0, 1)
