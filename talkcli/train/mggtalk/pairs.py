"""A prepared clip on disk: the avatar of one frame, and other frames with their motion.

A folder holds ``avatar.safetensors``, as :mod:`talkcli.engines.portrait.checkpoint` writes it, and
``frames.safetensors``. Targets are in the pixels of the avatar's crop, cut to the window that holds
the face in all of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from talkcli.avatar import Camera
from talkcli.engines.portrait.avatar import PortraitAvatar
from talkcli.engines.portrait.checkpoint import load_avatar
from talkcli.files.tensors import Header, Rule, Tensors, TensorSchema
from talkcli.metrics.regions import face_regions
from talkcli.shapes import Bool, Float32, Int32, UInt8
from talkcli.types import MotionFrame

SCHEMA = 1
MEND = "prepare it again with: talkcli train mggtalk --data DIR --prepare-only"
FRAMES = "frames.safetensors"
_FAR = 1e4


@dataclass(frozen=True)
class FramePairs:
    """One person's avatar, and how the person looks in other frames.

    Attributes:
        avatar: of the source frame.
        keep: ``[M]`` splats that are seen in the window in some frame.
        window: x0, y0, x1, y1 of the crop.
        motions: of the frames, relative to the source.
        pictures: ``[n, h, w, 3]`` the frames.
        points: ``[n, 478, 2]`` landmarks in pixels of the window.
        person: whose they are.
        free: whether the clip's licence allows free use.
    """

    avatar: PortraitAvatar
    keep: Int32[np.ndarray, " M"]
    window: tuple[int, int, int, int]
    motions: tuple[MotionFrame, ...]
    pictures: UInt8[np.ndarray, "n h w 3"]
    points: Float32[np.ndarray, "n 478 2"]
    person: str
    free: bool

    def __len__(self) -> int:
        return len(self.pictures)

    @cached_property
    def camera(self) -> Camera:
        """The avatar's camera, cut to the window."""
        return window_camera(self.avatar, self.window)

    @cached_property
    def plate(self) -> Float32[np.ndarray, "h w 3"]:
        """``[h, w, 3]`` what is behind the head."""
        x0, y0, x1, y1 = self.window
        return np.ascontiguousarray(self.avatar.plate[y0:y1, x0:x1], np.float32)

    def region(self, number: int, name: str) -> Bool[np.ndarray, "h w"]:
        """``[h, w]`` a part of the face in a frame.

        Args:
            number: of the frame.
            name: of :func:`talkcli.metrics.regions.face_regions`.
        """
        return face_regions(self.points[number], *self.pictures.shape[1:3])[name]


def window_camera(avatar: PortraitAvatar, window: tuple[int, int, int, int]) -> Camera:
    """The avatar's camera, cut to a window x0, y0, x1, y1 of its crop."""
    x0, y0, x1, y1 = window
    K = avatar.K.copy()
    K[:2, 2] -= (x0, y0)
    return Camera(avatar.viewmat, K, x1 - x0, y1 - y0)


def save_frames(directory: Path, pairs: FramePairs) -> None:
    """Write everything but the avatar into a folder that nothing reads yet."""
    names = ("expression", "rotation", "translation", "gaze")
    curves: Mapping[str, np.ndarray] = {
        name: np.array([getattr(motion, name) for motion in pairs.motions], np.float32)
        for name in names
    }
    tensors: Tensors = {
        "keep": pairs.keep.astype(np.int32),
        "pictures": pairs.pictures,
        "points": pairs.points.astype(np.float32),
        **curves,
    }
    header: Header = {
        "window": list(pairs.window),
        "person": pairs.person,
        "free": pairs.free,
    }
    _FILE.save(directory / FRAMES, tensors, header)


def load_pairs(directory: Path) -> FramePairs:
    """Read a prepared clip.

    Raises:
        InputError: files are missing, damaged or of a newer schema.
    """
    tensors, header = _FILE.read(directory / FRAMES)
    curves = (tensors[name] for name in ("expression", "rotation", "translation", "gaze"))
    x0, y0, x1, y1 = header["window"]
    return FramePairs(
        avatar=load_avatar(directory),
        keep=tensors["keep"],
        window=(x0, y0, x1, y1),
        motions=tuple(MotionFrame(*row) for row in zip(*curves, strict=True)),
        pictures=tensors["pictures"],
        points=tensors["points"],
        person=header["person"],
        free=header["free"],
    )


_FILE = TensorSchema(
    title="prepared clip",
    version=SCHEMA,
    mend=MEND,
    rules={
        "keep": Rule("M", "i", low=0),
        "pictures": Rule("n h w 3", "u"),
        "points": Rule("n 478 2", low=-_FAR, high=_FAR),
        "expression": Rule("n 52", low=-_FAR, high=_FAR),
        "rotation": Rule("n 3", low=-_FAR, high=_FAR),
        "translation": Rule("n 3", low=-_FAR, high=_FAR),
        "gaze": Rule("n 2", low=-_FAR, high=_FAR),
    },
)
