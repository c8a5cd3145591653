"""Heads of the sample portrait: poses by name, and pictures drawn as the product draws them."""

from __future__ import annotations

import numpy as np

from talkcli.avatar import View
from talkcli.config import PortraitConfig
from talkcli.engines.portrait.avatar import PortraitAvatar
from talkcli.engines.portrait.build.build import build_portrait
from talkcli.engines.portrait.build.crop import cut_crop
from talkcli.engines.portrait.build.geometry import HeadGeometry, head_geometry
from talkcli.face.model import FaceModel
from talkcli.face.pose import DEPTH_SCALE
from talkcli.render import player
from talkcli.render.solid import solidify
from talkcli.tracking.landmarks import Face, detect_faces
from talkcli.types import ARKIT_NAMES, MotionFrame

#: What the fixture ``avatar`` is built with.
SMALL, SMALL_SIDE = PortraitConfig(fit_iterations=8), 320


def motion_of(**weights: float) -> MotionFrame:
    """A head that keeps still, with the given ARKit weights."""
    expression = np.zeros(52, np.float32)
    for name, value in weights.items():
        expression[ARKIT_NAMES.index(name)] = value
    zeros = np.zeros(3, np.float32)
    return MotionFrame(expression, zeros, zeros, np.zeros(2, np.float32))


def draw_head(
    avatar: PortraitAvatar, motion: MotionFrame | None = None, yaw: float | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """The head alone in its crop: ``[S, S, 3]`` premultiplied colour, ``[S, S]`` coverage."""
    images = player.draw_head(player.player("cpu"), avatar, motion, View(yaw))
    solidify(*images)
    return images


def shown(
    avatar: PortraitAvatar, motion: MotionFrame | None = None, yaw: float | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """The crop with the head before its plate, ``[S, S, 3]`` in 0–1, and the head's coverage."""
    rgb, alpha = draw_head(avatar, motion, yaw)
    return np.clip(rgb + (1 - alpha[..., None]) * avatar.plate, 0, 1), alpha


def as_picture(colors: np.ndarray) -> np.ndarray:
    """``[S, S, 3]`` in 0–1 as an opaque ``[S, S, 4]`` uint8 picture."""
    opaque = np.full(colors.shape[:2], 255)
    return np.dstack([colors * 255 + 0.5, opaque]).astype(np.uint8)


def measured(picture: np.ndarray, face: Face) -> tuple[np.ndarray, HeadGeometry]:
    """The crop ``[S, S, 3]`` of a picture at up to 512 px, and the head measured in it."""
    crop = cut_crop(picture, face, 512, 1024)
    alpha = np.ones(crop.rgb.shape[:2], np.float32)
    return crop.rgb, head_geometry(crop.points, alpha, FaceModel.load(), DEPTH_SCALE)


def rebuilt(picture: np.ndarray) -> PortraitAvatar:
    """The avatar of an ``[H, W, 4]`` picture, as small as the fixture's, without a fit."""
    face = detect_faces(np.ascontiguousarray(picture[..., :3]))[0]
    return build_portrait(picture, face, PortraitConfig(max_crop=SMALL_SIDE, fit_iterations=0))
