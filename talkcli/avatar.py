"""The interface between avatars and everything that uses them.

Engines (:mod:`talkcli.engines.registry`) make avatars; ``drive``, ``render``, ``export`` and
``bench`` know only what is defined here. World space is the head frame of the source pose, in
centimetres; cameras follow OpenCV. See ``docs/conventions.md``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np

from talkcli.progress import Task
from talkcli.shapes import Float, UInt8
from talkcli.types import Gaussians, MotionCurves, MotionFrame, SplatArrays


@dataclass(frozen=True)
class PictureFrame:
    """Where the square crop of the head lies in its picture.

    Attributes:
        width: width of the picture, pixels.
        height: height of the picture, pixels.
        crop_x: left edge of the crop in picture pixels; may be negative.
        crop_y: top edge of the crop; likewise.
        crop_side: side of the crop in picture pixels.
        crop_pixels: side of the crop as built and rendered, pixels.
    """

    width: int
    height: int
    crop_x: float
    crop_y: float
    crop_side: float
    crop_pixels: int


@dataclass(frozen=True)
class View:
    """The direction a head is seen from.

    Attributes:
        yaw_deg: head yaw relative to the camera in degrees, > 0 towards image right; None keeps
            that of the source.
        orbit_deg: how much of that yaw is the camera's way around the person, body and all; by the
            rest, the head turns on its body.
    """

    yaw_deg: float | None = None
    orbit_deg: float = 0.0

    @property
    def turned_deg(self) -> float | None:
        """Yaw of the head on its body, as the source's camera would see it; None: the source's."""
        return None if self.yaw_deg is None else self.yaw_deg - self.orbit_deg


#: The view of the source photograph.
SOURCE_VIEW = View()


@dataclass(frozen=True)
class Camera:
    """A pinhole camera with OpenCV axes.

    Attributes:
        viewmat: ``[4, 4]`` world to camera.
        K: ``[3, 3]`` intrinsics in pixels; pixel centres lie at +0.5.
        width: image width, pixels.
        height: image height, pixels.
    """

    viewmat: Float[np.ndarray, "4 4"]
    K: Float[np.ndarray, "3 3"]
    width: int
    height: int


@dataclass(frozen=True, eq=False)
class Stance:
    """Where a body stands before the source's camera, for cameras that go around it.

    Attributes:
        camera: the source's.
        surface: ``[n, 3]`` points of the head as the camera sees it, down to the collar, in the
            camera's axes, cm; about one per pixel of the crop.
        weight: ``[n]`` how far each of them follows the head: 1 on the head, 0 on the torso.
        nape: ``[k, 3]`` the lower rim of the back of the head, from one side to the other, in the
            camera's axes, cm; none if it is not known.
        nape_colors: ``[k, 3]`` its colours, sRGB 0–1.
    """

    camera: Camera
    surface: Float[np.ndarray, "n 3"]
    weight: Float[np.ndarray, " n"]
    nape: Float[np.ndarray, "k 3"] = field(default_factory=lambda: np.zeros((0, 3), np.float32))
    nape_colors: Float[np.ndarray, "k 3"] = field(
        default_factory=lambda: np.zeros((0, 3), np.float32)
    )


@dataclass(frozen=True, eq=False)
class Backdrop:
    """What a rendered head is composited over.

    Attributes:
        source: ``[H, W, 4]`` uint8 RGBA, the whole picture, straight alpha.
        plate: ``[S, S, 3]`` float32 0–1 or uint8, the crop with the head removed.
        frame: position of the crop in ``source``.
        torso: ``[H, W]`` uint8 matte of the person without the head, or None; needed to replace the
            background and to move the torso.
        behind: ``[H, W, 4]`` uint8, the background continued behind the rim of the torso, with how
            far it replaces the picture's pixels when the torso moves; None if it stays still.
        stance: tells where the body stands, which films from the front never ask; None if no camera
            can go around it.
    """

    source: UInt8[np.ndarray, "height width 4"]
    plate: Float[np.ndarray, "side side 3"] | UInt8[np.ndarray, "side side 3"]
    frame: PictureFrame
    torso: UInt8[np.ndarray, "height width"] | None = None
    behind: UInt8[np.ndarray, "height width 4"] | None = None
    stance: Callable[[], Stance] | None = None


@dataclass(frozen=True)
class TrustedRange:
    """From where it is known what a head looks like: what was seen, and what symmetry supports.

    Attributes:
        yaw: lowest and highest head yaw, degrees.
        pitch: likewise.
    """

    yaw: tuple[float, float]
    pitch: tuple[float, float]


@runtime_checkable
class SpokenLips(Protocol):
    """How one person's lips follow speech."""

    def __call__(self, weights: Float[np.ndarray, " 52"]) -> Float[np.ndarray, " 52"]:
        """``[52]`` the person's expression, from what the speech network asks of any face."""


@dataclass(frozen=True)
class AvatarInfo:
    """What is known about an avatar before it is posed.

    Attributes:
        engine: name of the engine that made it.
        splats: number of Gaussians.
        width: width of its picture, pixels.
        height: height of its picture, pixels.
        fps: frame rate of the clip it was fitted to; None for an avatar made from one picture.
        needs: what each motion frame must provide: ``expression``, ``speech``, ``clip_frame``.
        trusted: from where it is known how the head looks; None if that was not measured.
        voices: how its person's lips follow what a speech model predicts, by the model's name.
        motion: how its person moves, of an avatar fitted to a clip; None for one of a picture.
        turned: yaw, pitch, roll of the head in its picture, degrees.
    """

    engine: str
    splats: int
    width: int
    height: int
    fps: Fraction | None = None
    needs: frozenset[str] = field(default_factory=lambda: frozenset({"expression"}))
    trusted: TrustedRange | None = None
    voices: Mapping[str, SpokenLips] = field(default_factory=dict, compare=False, repr=False)
    motion: MotionCurves | None = field(default=None, compare=False, repr=False)
    turned: tuple[float, float, float] = (0.0, 0.0, 0.0)


@runtime_checkable
class Avatar(Protocol):
    """A head that can be posed, rendered and exported, whichever engine made it."""

    @property
    def info(self) -> AvatarInfo:
        """Engine, size and required motion."""

    def pose(self, motion: MotionFrame | None = None, view: View = SOURCE_VIEW) -> SplatArrays:
        """The splats of one frame; a motion of None gives the source as photographed.

        The arrays belong to the avatar and are valid until the next call.
        """

    def camera(self, motion: MotionFrame | None = None, view: View = SOURCE_VIEW) -> Camera:
        """The camera of a frame; its image is as large as the crop of the head."""

    def backdrop(self, motion: MotionFrame | None = None) -> Backdrop:
        """What lies behind the head: the same object for as long as it does not change."""

    def playback(self) -> Avatar:
        """An avatar whose frames look the same and cost less where many of them are drawn."""

    def neutral(self) -> Gaussians:
        """The whole neutral head, including its back, to be viewed from any side."""


@dataclass(frozen=True)
class PictureSource:
    """What an engine that starts from one picture makes an avatar from.

    Attributes:
        rgba: ``[H, W, 4]`` uint8, straight alpha, no larger than the video it is made for.
        points: ``[478, 3]`` landmarks of the chosen face, in pixels of ``rgba``.
        output_side: longest side of the video in pixels.
    """

    rgba: UInt8[np.ndarray, "height width 4"]
    points: Float[np.ndarray, "478 3"]
    output_side: int


@dataclass(frozen=True)
class ClipSource:
    """What an engine that starts from a clip makes an avatar from.

    Attributes:
        directory: the clip as ``talkcli preprocess`` has prepared it, see
            :class:`talkcli.layers.clip.PreparedClip`.
        work: folder that checkpoints and previews are kept in while the avatar is made; it outlives
            a run that is stopped.
        task: is advanced with every step.
        resume: whether a checkpoint is also gone on from where it had reached its end.
    """

    directory: Path
    work: Path
    task: Task
    resume: bool = False


#: What avatars are made from.
Source = PictureSource | ClipSource
