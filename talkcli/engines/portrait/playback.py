"""Plays a portrait avatar without the half of its splats that no frame shows.

From any side, most of a head is hidden: its back, and the completed surfaces and the mouth's inside
beneath the skin. Directions are divided into cells, one about each view and more where the head
turns further; in each, a few sample frames tell which splats can be seen, and only those are posed
and drawn.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import replace
from typing import NamedTuple, Protocol

import numpy as np

from talkcli.avatar import SOURCE_VIEW, Avatar, AvatarInfo, Backdrop, Camera, View
from talkcli.engines.portrait.splats import Layer, RestSplats
from talkcli.render.cpu import Workspace, backproject
from talkcli.shapes import Bool, Float, Integer
from talkcli.types import ARKIT_NAMES, Gaussians, MotionFrame, SplatArrays, shape_columns

#: A cell reaches this far to both sides in yaw, in pitch and in how far the camera has gone around,
#: degrees. Half as far saves 3 % more.
_REACH_DEG = (12.0, 10.0, 12.0)
#: A splat is left out if its blend weights add up to less in every sample frame. Over three heads
#: and views, frames of speech then differ from those of all splats by 50 dB and more (median 58 to
#: 65), frames of random expressions by 50 and more, and half of the splats remain. With .1 these
#: are 49, 43 and .47; with .03, 53, 53 and .53.
_LEAST_WEIGHT = 0.05
#: Frames of a cell before its samples begin: less would not be repaid in a short visit.
_FIRST_FRAMES = 4
#: Cells whose splats are kept ready, each with some 20 MB of buffers.
_CELLS_READY = 4

#: Few splats, which gaze, lids and the opening of the mouth uncover.
_ALWAYS = (Layer.EYE, Layer.IRIS, Layer.LID, Layer.LASHES, Layer.PICTURE_MOUTH)
#: Splats that hide the mouth's inside. No choice of expressions shows all that lips may uncover, so
#: in some samples they are left out: what is seen of the inside then may be seen.
_OUTSIDE = (Layer.SKIN, Layer.COMPLETION, Layer.SHELL, Layer.LID)
_WIDE = {
    "jawOpen": 0.7,
    "eyeWide": 0.5,
    "mouthSmile": 0.5,
    "mouthUpperUp": 0.4,
    "mouthLowerDown": 0.4,
}
_ROUND = {"jawOpen": 0.5, "mouthFunnel": 0.8, "browInnerUp": 0.8, "cheekPuff": 0.4}
_SHUT = {"jawOpen": 0.15, "mouthPucker": 0.6, "eyeBlink": 1.0, "browDown": 0.7}


class _Sample(NamedTuple):
    """Expression, place in the cell (-1 … 1 in yaw and pitch), and whether the skin is left out."""

    weights: dict[str, float]
    across: float = 0
    down: float = 0
    bare: bool = False


#: Taken from the last to the first; alike expressions follow each other and are computed once.
_SAMPLES = (
    _Sample(_SHUT), _Sample(_ROUND), _Sample(_WIDE, -1), _Sample(_WIDE, 1), _Sample(_WIDE),
    _Sample(_WIDE, -1, bare=True), _Sample(_WIDE, 1, bare=True), _Sample({}, bare=True),
    _Sample({}, -1, -1), _Sample({}, 1, -1), _Sample({}, -1, 1), _Sample({}, 1, 1),
)  # fmt: skip
#: Those for other directions than the source's, which are looked for while a video is made.
_SIDE_SAMPLES = _SAMPLES[4:]

#: Yaw and pitch of a cell's middle, degrees from those of the source, and how much of that yaw is
#: the camera's.
Cell = tuple[float, float, float]
SOURCE_CELL: Cell = (0.0, 0.0, 0.0)


class DivisibleAvatar(Avatar, Protocol):
    """What is needed of a portrait avatar; see there."""

    splats: RestSplats
    seen: Bool[np.ndarray, " N"] | None

    @property
    def source_euler(self) -> tuple[float, float, float]:
        """Yaw, pitch and roll of the source, degrees."""

    def part(self, order: Integer[np.ndarray, " M"]) -> Avatar:
        """An avatar of some of the splats."""


class PlayedPortrait:
    """An avatar for frame after frame; see :class:`talkcli.avatar.Avatar`.

    What is drawn depends only on the frames asked for so far, not on time or threads.

    Args:
        avatar: the whole avatar, which must not change meanwhile.
    """

    def __init__(self, avatar: DivisibleAvatar) -> None:
        self._avatar = avatar
        self._parts: OrderedDict[Cell, Avatar] = OrderedDict()
        self._cells: dict[Cell, Search | Bool[np.ndarray, " N"]] = {}
        # One for all searches: it takes some 30 MB.
        self._workspace = Workspace()
        if avatar.seen is not None:
            self._cells[SOURCE_CELL] = avatar.seen

    @property
    def info(self) -> AvatarInfo:
        """That of the whole avatar."""
        return self._avatar.info

    def camera(self, motion: MotionFrame | None = None, view: View = SOURCE_VIEW) -> Camera:
        """The camera of a frame."""
        return self._avatar.camera(motion, view)

    def backdrop(self, motion: MotionFrame | None = None) -> Backdrop:
        """What lies behind the head."""
        return self._avatar.backdrop(motion)

    def neutral(self) -> Gaussians:
        """The whole neutral head."""
        return self._avatar.neutral()

    def playback(self) -> PlayedPortrait:
        """Itself."""
        return self

    def pose(self, motion: MotionFrame | None = None, view: View = SOURCE_VIEW) -> SplatArrays:
        """The splats of one frame that can be seen."""
        if motion is None:
            return self._avatar.pose(motion, view)
        return self._part(self._cell(motion, view)).pose(motion, view)

    def _cell(self, motion: MotionFrame, view: View) -> Cell:
        """The nearest cell that reaches this far, or a new one."""
        base = 0.0 if view.yaw_deg is None else view.yaw_deg - self._avatar.source_euler[0]
        wanted = np.array([base + motion.rotation[0], motion.rotation[1], view.orbit_deg])
        away = {cell: float(np.max(np.abs(wanted - cell) / _REACH_DEG)) for cell in self._cells}
        nearest = min(away, key=away.__getitem__, default=SOURCE_CELL)
        if away.get(nearest, 2.0) <= 1:
            return nearest
        steps, middle = 2 * np.array(_REACH_DEG), (base, 0.0, view.orbit_deg)
        yaw, pitch, orbit = middle + steps * np.round((wanted - middle) / steps)
        cell = float(yaw), float(pitch), float(orbit)
        self._cells[cell] = Search(self._avatar, cell)
        return cell

    def _part(self, cell: Cell) -> Avatar:
        if cell in self._parts:
            self._parts.move_to_end(cell)
            return self._parts[cell]
        known = self._cells[cell]
        if isinstance(known, Search):
            if not known.step(self._workspace):
                return self._avatar
            known = self._cells[cell] = known.seen
            if not any(isinstance(other, Search) for other in self._cells.values()):
                self._workspace = Workspace()
        self._parts[cell] = self._avatar.part(np.flatnonzero(known))
        if len(self._parts) > _CELLS_READY:
            self._parts.popitem(last=False)
        return self._parts[cell]


class Search:
    """Finds the splats that can be seen in one cell, a sample at a time.

    Args:
        avatar: the whole avatar.
        cell: where to look.
    """

    def __init__(self, avatar: DivisibleAvatar, cell: Cell) -> None:
        self._avatar, self._cell = avatar, cell
        self._left = list(_SAMPLES if cell == SOURCE_CELL else _SIDE_SAMPLES)
        self._wait = _FIRST_FRAMES
        self._layers = avatar.splats.layers
        self._most = np.zeros(len(avatar.splats), np.float32)

    @property
    def seen(self) -> Bool[np.ndarray, " N"]:
        """``[N]`` whether a splat can be seen, from the samples so far."""
        return np.asarray((self._most > _LEAST_WEIGHT) | np.isin(self._layers, _ALWAYS))

    def step(self, workspace: Workspace) -> bool:
        """One more frame of the cell, or one more sample; returns whether all are taken."""
        if self._wait:
            self._wait -= 1
        elif self._left:
            self._take(self._left.pop(), workspace)
        return not self._left

    def _take(self, sample: _Sample, workspace: Workspace) -> None:
        yaw, pitch, orbit = self._cell
        yaw += _REACH_DEG[0] * sample.across - orbit
        pitch += _REACH_DEG[1] * sample.down
        motion = replace(
            MotionFrame.neutral(),
            expression=_expression(sample.weights),
            rotation=np.array([yaw, pitch, 0.0], np.float32),
        )
        view = View(self._avatar.source_euler[0] + orbit, orbit) if orbit else SOURCE_VIEW
        camera, splats = self._avatar.camera(motion, view), self._avatar.pose(motion, view)
        if sample.bare:
            outside = np.isin(self._layers, _OUTSIDE)
            splats = replace(splats, opacities=np.where(outside, 0, splats.opacities))
        nothing = np.zeros((camera.height, camera.width, 1), np.float32)
        _, weight = backproject(splats, nothing, camera, workspace)
        np.maximum(self._most, weight, out=self._most)


def seen_from_the_front(avatar: DivisibleAvatar) -> Bool[np.ndarray, " N"]:
    """``[N]`` whether a splat can be seen in the cell of the source's direction."""
    search, workspace = Search(avatar, SOURCE_CELL), Workspace()
    while not search.step(workspace):
        pass
    return search.seen


def _expression(weights: dict[str, float]) -> Float[np.ndarray, " 52"]:
    found = np.zeros(len(ARKIT_NAMES), np.float32)
    for name, weight in weights.items():
        found[shape_columns(name)] = weight
    return found
