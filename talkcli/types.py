"""Plain data that passes between packages. torch is not imported here, so that help stays fast.

Frames, units and names are defined in ``docs/conventions.md``: the head frame is right-handed, in
centimetres (x to the subject's left, y up, z out of the face), and cameras are as in OpenCV.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from talkcli.shapes import Bool, Float, Float32

if TYPE_CHECKING:
    from torch import Tensor
else:

    class _TensorType(type):
        def __instancecheck__(cls, value: object) -> bool:
            torch = sys.modules.get("torch")
            return torch is not None and isinstance(value, torch.Tensor)

    class Tensor(metaclass=_TensorType):
        """Stands for ``torch.Tensor`` in annotations; nothing is one before torch is imported."""


#: ARKit's 52 expression names, in the order in which Live Link Face writes them.
ARKIT_NAMES: tuple[str, ...] = (
    "eyeBlinkLeft", "eyeLookDownLeft", "eyeLookInLeft", "eyeLookOutLeft", "eyeLookUpLeft",
    "eyeSquintLeft", "eyeWideLeft", "eyeBlinkRight", "eyeLookDownRight", "eyeLookInRight",
    "eyeLookOutRight", "eyeLookUpRight", "eyeSquintRight", "eyeWideRight", "jawForward",
    "jawRight", "jawLeft", "jawOpen", "mouthClose", "mouthFunnel", "mouthPucker", "mouthRight",
    "mouthLeft", "mouthSmileLeft", "mouthSmileRight", "mouthFrownLeft", "mouthFrownRight",
    "mouthDimpleLeft", "mouthDimpleRight", "mouthStretchLeft", "mouthStretchRight",
    "mouthRollLower", "mouthRollUpper", "mouthShrugLower", "mouthShrugUpper", "mouthPressLeft",
    "mouthPressRight", "mouthLowerDownLeft", "mouthLowerDownRight", "mouthUpperUpLeft",
    "mouthUpperUpRight", "browDownLeft", "browDownRight", "browInnerUp", "browOuterUpLeft",
    "browOuterUpRight", "cheekPuff", "cheekSquintLeft", "cheekSquintRight", "noseSneerLeft",
    "noseSneerRight", "tongueOut",
)  # fmt: skip


def shape_columns(name: str) -> list[int]:
    """Indices in ``ARKIT_NAMES`` of a shape, or of its left and right half."""
    names = [name] if name in ARKIT_NAMES else [f"{name}Left", f"{name}Right"]
    return [ARKIT_NAMES.index(n) for n in names]


@dataclass(frozen=True)
class MotionFrame:
    """The motion of a head at one instant, relative to the neutral head.

    Attributes:
        expression: ``[52]`` ARKit weights (mostly 0–1) in the order of ``ARKIT_NAMES``.
        rotation: ``[3]`` head yaw, pitch, roll in degrees *relative to the source pose*.
        translation: ``[3]`` head shift in the head frame, centimetres.
        gaze: ``[2]`` eye yaw and pitch in degrees relative to the source gaze, both eyes.
        speech: ``[16, D]``, the window of speech features around the frame, for avatars that
            follow sound directly; None without speech.
        clip_frame: frame of the subject's clip from which torso and background are taken, for
            avatars fitted to a clip; None otherwise.
    """

    expression: Float[np.ndarray, " 52"]
    rotation: Float[np.ndarray, " 3"]
    translation: Float[np.ndarray, " 3"]
    gaze: Float[np.ndarray, " 2"]
    speech: Float[np.ndarray, "16 D"] | None = None
    clip_frame: int | None = None

    @staticmethod
    def neutral() -> MotionFrame:
        """The head at rest in the source's pose and gaze, with closed mouth and open eyes."""
        zeros = np.zeros(3, np.float32)
        return MotionFrame(np.zeros(52, np.float32), zeros, zeros, np.zeros(2, np.float32))


@dataclass(frozen=True)
class MotionCurves:
    """A recorded motion of ``n`` frames.

    Attributes:
        times: ``[n]`` seconds from the start, increasing: the middle of each frame's display.
        expression: ``[n, 52]`` as in ``MotionFrame``.
        rotation: ``[n, 3]`` degrees; in a recording relative to the camera, not to a source pose.
        translation: ``[n, 3]`` cm, likewise.
        gaze: ``[n, 2]`` degrees.
        tracked: ``[n]`` bool, False where the frame was filled in from others.
        duration_s: seconds from the start to the end of the last frame's display.
        relative: whether rotation and translation are relative to the source pose of the avatar
            that they are meant for, as those of its own clip are.
    """

    times: Float[np.ndarray, " n"]
    expression: Float[np.ndarray, "n 52"]
    rotation: Float[np.ndarray, "n 3"]
    translation: Float[np.ndarray, "n 3"]
    gaze: Float[np.ndarray, "n 2"]
    tracked: Bool[np.ndarray, " n"]
    duration_s: float
    relative: bool = False

    def __len__(self) -> int:
        return len(self.times)

    @property
    def frames(self) -> list[MotionFrame]:
        """The curves frame by frame."""
        parts = (self.expression, self.rotation, self.translation, self.gaze)
        return [MotionFrame(*row) for row in zip(*parts, strict=True)]


@dataclass
class SplatArrays:
    """The N splats of one frame as numpy arrays, whose memory the next frame may reuse.

    Attributes:
        means: ``[N, 3]`` float32 centres, world units (centimetres of the head frame).
        covars: ``[N, 6]`` float32 upper triangle xx, xy, xz, yy, yz, zz of the world covariance.
        opacities: ``[N]`` float32 in 0–1.
        colors: ``[N, 3]`` float32 sRGB-encoded.
    """

    means: Float32[np.ndarray, "N 3"]
    covars: Float32[np.ndarray, "N 6"]
    opacities: Float32[np.ndarray, " N"]
    colors: Float32[np.ndarray, "N 3"]

    def __len__(self) -> int:
        return len(self.means)

    def gaussians(self) -> Gaussians:
        """The same splats as tensors that share the memory of these arrays."""
        import torch

        return Gaussians(
            means=torch.from_numpy(self.means),
            opacities=torch.from_numpy(self.opacities),
            colors=torch.from_numpy(self.colors),
            covars=torch.from_numpy(self.covars),
        )


@dataclass
class Gaussians:
    """A set of N Gaussians, in gsplat's format, with SH degree 0: one colour each.

    Attributes:
        means: ``[N, 3]`` centres, world units (centimetres of the head frame for avatars).
        opacities: ``[N]`` in 0–1.
        colors: ``[N, 3]`` sRGB-encoded, 0–1 (values slightly outside are allowed, not clamped).
        quats: ``[N, 4]`` wxyz, need not be normalised. Given together with ``scales``.
        scales: ``[N, 3]`` standard deviations along the local axes, world units.
        covars: ``[N, 6]`` upper triangle xx, xy, xz, yy, yz, zz of the world covariance;
            replaces ``quats`` and ``scales`` if the shape is known directly.
    """

    means: Float[Tensor, "N 3"]
    opacities: Float[Tensor, " N"]
    colors: Float[Tensor, "N 3"]
    quats: Float[Tensor, "N 4"] | None = None
    scales: Float[Tensor, "N 3"] | None = None
    covars: Float[Tensor, "N 6"] | None = None

    def __len__(self) -> int:
        return len(self.means)


@dataclass
class Cameras:
    """C pinhole cameras of one size, OpenCV axes (x right, y down, z forward).

    Attributes:
        viewmats: ``[C, 4, 4]`` world to camera.
        Ks: ``[C, 3, 3]`` in pixels; pixel centres lie at +0.5.
        width, height: pixels.
    """

    viewmats: Float[Tensor, "C 4 4"]
    Ks: Float[Tensor, "C 3 3"]
    width: int
    height: int


@dataclass
class Rendered:
    """The result of ``talkcli.render.render``, one image per camera.

    Attributes:
        rgb: ``[C, H, W, 3]`` premultiplied by coverage, plus the background if one was given.
        alpha: ``[C, H, W, 1]`` coverage, 0–1.
        depth: ``[C, H, W, 1]`` alpha-weighted camera z (divide by alpha for the expected depth), or
            None.
        features: ``[C, H, W, F]`` splatted extra channels, or None.
    """

    rgb: Float[Tensor, "C H W 3"]
    alpha: Float[Tensor, "C H W 1"]
    depth: Float[Tensor, "C H W 1"] | None = None
    features: Float[Tensor, "C H W F"] | None = None
