"""What benchmarks draw with: avatars as users get them, saved and loaded again."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
from scipy import ndimage

from talkcli.avatar import View
from talkcli.config import DEFAULT_SIZE, PortraitConfig
from talkcli.engines.portrait.avatar import PortraitAvatar
from talkcli.engines.portrait.build.build import build_unrounded
from talkcli.engines.portrait.checkpoint import load_avatar, save_avatar
from talkcli.render.cpu import rasterize
from talkcli.render.player import draw_head, player
from talkcli.render.solid import solidify
from talkcli.tracking.landmarks import Face
from talkcli.types import ARKIT_NAMES, MotionFrame


def loaded_avatar(
    rgba: np.ndarray, face: Face, config: PortraitConfig, output_side: int = DEFAULT_SIZE
) -> PortraitAvatar:
    """The avatar of a picture, written to disk and read back.

    Every command draws loaded avatars. One straight from the builder may hold what its file does
    not: figures of such avatars once described mouths that nobody got.

    Args:
        rgba: ``[H, W, 4]`` uint8, straight alpha.
        face: where the face is, in pixels of the picture.
        config: effort.
        output_side: longest side of the video that it is made for, pixels.
    """
    with tempfile.TemporaryDirectory(prefix="talkcli-benchmark-") as folder:
        save_avatar(build_unrounded(rgba, face, config, output_side), Path(folder))
        return load_avatar(Path(folder))


def opaque(rgb: np.ndarray) -> np.ndarray:
    """``[H, W, 3]`` uint8 with a full alpha channel: ``[H, W, 4]``."""
    return np.dstack([rgb, np.full(rgb.shape[:2], 255, np.uint8)])


def motion_of(
    weights: dict[str, float], pitch: float = 0.0, gaze: tuple[float, float] = (0.0, 0.0)
) -> MotionFrame:
    """A still head with these expression weights.

    Args:
        weights: by ARKIT name; a name without a side moves both.
        pitch: of the head, degrees.
        gaze: yaw and pitch of the eyes, degrees.
    """
    expression = np.zeros(len(ARKIT_NAMES), np.float32)
    for name, value in weights.items():
        for full in [name] if name in ARKIT_NAMES else [f"{name}Left", f"{name}Right"]:
            expression[ARKIT_NAMES.index(full)] = value
    rotation = np.array([0, pitch, 0], np.float32)
    return MotionFrame(expression, rotation, np.zeros(3, np.float32), np.array(gaze, np.float32))


class Studio:
    """Draws one avatar again and again, in the square crop around its head.

    Attributes:
        avatar: what is drawn.
        side: of the crop, pixels.
    """

    def __init__(self, avatar: PortraitAvatar) -> None:
        self.avatar = avatar
        self.side = avatar.frame.crop_pixels
        self._player = player("cpu")

    def picture(
        self, motion: MotionFrame | None, yaw: float | None
    ) -> tuple[np.ndarray, np.ndarray]:
        """The crop as a viewer sees it and the head's coverage.

        Args:
            motion: None for the source's own expression and pose.
            yaw: of the head in degrees; None for the source's own.

        Returns:
            ``[S, S, 3]`` float, 0–1, over the still background; ``[S, S]`` coverage, 0–1.
        """
        rgb, alpha = draw_head(self._player, self.avatar, motion, View(yaw))
        covered = alpha.copy()
        solidify(rgb, alpha)
        return np.clip(rgb + (1 - alpha[..., None]) * self.avatar.plate, 0, 1), covered

    def share(
        self, values: np.ndarray, motion: MotionFrame | None, yaw: float | None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Alpha-weighted mean of a per-splat value ``[n]`` in every pixel, and coverage."""
        colors = np.repeat(values.astype(np.float32)[:, None], 3, 1)
        splats = replace(self.avatar.pose(motion, View(yaw)), colors=colors)
        rgb, alpha = self._player.draw(splats, self.avatar.camera())
        return rgb[..., 0] / np.maximum(alpha, 1e-3), alpha

    def occlusions(self, motion: MotionFrame | None, yaw: float | None) -> np.ndarray:
        """``[S, S]`` bool: steps in depth, where one part of the face stands before another."""
        splats = self.avatar.pose(motion, View(yaw))
        _, alpha, depth = rasterize(splats, self.avatar.camera(), depth=True)
        depth = depth / np.maximum(alpha, 0.1)
        step = np.hypot(*np.gradient(depth))
        pixel_cm = depth[alpha > 0.9].mean() / self.avatar.K[0, 0]
        return np.asarray(ndimage.binary_dilation(step > 3 * pixel_cm, iterations=3))
