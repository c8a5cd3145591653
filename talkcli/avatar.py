"""The seam between avatars and everything that plays them.

An engine (:mod:`talkcli.engines.registry`) makes avatars; ``drive``, ``render``, ``export`` and
``bench`` know only what stands here. World space is the head frame of the source pose in
centimetres, cameras are OpenCV's, see ``docs/conventions.md``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, UInt8

from talkcli.types import Gaussians, MotionFrame, SplatArrays


@dataclass(frozen=True)
class PictureFrame:
    """Where the head's square crop lies in its picture.

    Attributes:
        width: of the picture, pixels.
        height: of the picture, pixels.
        crop_x: left edge of the crop in pixels of the picture; may be negative.
        crop_y: top edge.
        crop_side: side of the crop in pixels of the picture.
        crop_pixels: side of the crop as built and rendered.
    """

    width: int
    height: int
    crop_x: float
    crop_y: float
    crop_side: float
    crop_pixels: int


@dataclass(frozen=True)
class View:
    """From where a head is seen.

    Attributes:
        yaw_deg: head yaw relative to the camera in degrees, > 0 towards image right; None keeps
            the source's own.
    """

    yaw_deg: float | None = None


#: The source as photographed.
SOURCE_VIEW = View()


@dataclass(frozen=True)
class Camera:
    """One pinhole camera, OpenCV axes.

    Attributes:
        viewmat: ``[4, 4]`` world to camera.
        K: ``[3, 3]`` pixels; pixel centres lie at +0.5.
        width: pixels.
        height: pixels.
    """

    viewmat: Float[np.ndarray, "4 4"]
    K: Float[np.ndarray, "3 3"]
    width: int
    height: int


@dataclass(frozen=True, eq=False)
class Backdrop:
    """What a rendered head is laid over.

    Attributes:
        source: ``[H, W, 4]`` uint8 RGBA, the whole picture, straight alpha.
        plate: ``[S, S, 3]`` float32 0–1 or uint8, the head's crop without the head.
        frame: place of the crop in ``source``.
        torso: ``[H, W]`` uint8 matte of the person without the head, or None; other backgrounds
            need it.
    """

    source: UInt8[np.ndarray, "height width 4"]
    plate: Float[np.ndarray, "side side 3"] | UInt8[np.ndarray, "side side 3"]
    frame: PictureFrame
    torso: UInt8[np.ndarray, "height width"] | None = None


@dataclass(frozen=True)
class AvatarInfo:
    """What is known of an avatar before it is posed.

    Attributes:
        engine: name of the engine that made it.
        splats: how many Gaussians it has.
        width: of its picture, pixels.
        height: of its picture, pixels.
        fps: of the clip it was fitted to; None for an avatar of one picture.
        needs: what its motion must hold: ``expression``, ``speech``, ``clip_frame``.
    """

    engine: str
    splats: int
    width: int
    height: int
    fps: Fraction | None = None
    needs: frozenset[str] = field(default_factory=lambda: frozenset({"expression"}))


@runtime_checkable
class Avatar(Protocol):
    """A head that can be posed, seen and exported, whichever engine made it."""

    @property
    def info(self) -> AvatarInfo:
        """Engine, size and needs."""

    def pose(self, motion: MotionFrame | None = None, view: View = SOURCE_VIEW) -> SplatArrays:
        """The splats of one frame; None for the source as photographed.

        The arrays belong to the avatar and last until the next call.
        """

    def camera(self, motion: MotionFrame | None = None, view: View = SOURCE_VIEW) -> Camera:
        """The camera of a frame; its size is that of the head's picture."""

    def backdrop(self, motion: MotionFrame | None = None) -> Backdrop:
        """What lies behind the head: the same object for as long as it stands still."""

    def neutral(self) -> Gaussians:
        """The whole neutral head, its back too, for viewers from any side."""


@dataclass(frozen=True)
class PictureSource:
    """What an engine makes an avatar from when one picture is all there is.

    Attributes:
        rgba: ``[H, W, 4]`` uint8, straight alpha, no larger than the video it is made for.
        points: ``[478, 3]`` landmarks of the chosen face in its pixels.
        output_side: longest side of the video in pixels.
    """

    rgba: UInt8[np.ndarray, "height width 4"]
    points: Float[np.ndarray, "478 3"]
    output_side: int
