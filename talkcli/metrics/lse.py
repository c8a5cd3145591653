"""LSE-D and LSE-C of a video, frame by frame, with SyncNet's weights if the user has them."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from talkcli.face.topology import FACE_OVAL
from talkcli.metrics.pair import FramePair
from talkcli.metrics.result import Metric
from talkcli.shapes import Float, UInt8

if TYPE_CHECKING:
    from talkcli.metrics.syncnet import Lse, SyncNet

#: SyncNet's own preparation adds this share of half the face's side to the left and to the right,
#: and twice as much below.
_PADDING = 0.4
#: Grey of what lies beyond the edge of the picture, there.
_BEYOND = 110
#: Frames that go through the network at once.
_BATCH = 8
_INT16 = 32768.0
#: What the figures are, wherever they stand.
NOTE = "25 frames/s, faces cropped by our landmarks instead of S3FD"


class LseScores:
    """LSE-D and LSE-C of the made video with a sound.

    Args:
        network: SyncNet with its weights.
        sound: file with the sound that the lips should follow.
    """

    def __init__(self, network: SyncNet, sound: Path) -> None:
        from talkcli.metrics.syncnet import SIDE, LseMeter

        self._network, self._meter = network, LseMeter()
        self._pieces = _pieces(sound)
        self._crop = np.zeros((SIDE, SIDE, 3), np.uint8)
        self._faces: deque[np.ndarray] = deque(maxlen=5)
        self._batch: list[np.ndarray] = []
        self._next: int | None = None
        self._before: float | None = None
        self._ended = False

    def add(self, pair: FramePair) -> None:
        """See :class:`talkcli.metrics.pair.PairMetric`."""
        from talkcli.metrics.syncnet import FPS

        if self._next is None:
            if pair.made_points is None:
                return
            self._next = max(0, round(pair.time_s * FPS - 0.5))
            for _ in range(self._next):
                next(self._pieces, None)
        # The frame before stays until halfway to this one.
        here = pair.time_s if self._before is None else (self._before + pair.time_s) / 2
        while (self._next + 0.5) / FPS < here:
            self._show()
        if pair.made_points is not None:
            self._crop = face_crop(pair.made, pair.made_points)
        self._before = pair.time_s
        if (self._next + 0.5) / FPS <= pair.time_s:
            self._show()

    def finish(self) -> list[Metric]:
        """See :class:`talkcli.metrics.pair.PairMetric`."""
        self._flush()
        return lse_rows(self._meter.finish(), "too few frames with a face and sound")

    def _show(self) -> None:
        """Give the present face to the network as the next frame of 25 per second."""
        assert self._next is not None
        self._next += 1
        self._faces.append(self._crop)
        if len(self._faces) == 5:
            # Blue, green, red; then frames, rows and columns.
            self._batch.append(np.stack(self._faces)[..., ::-1].transpose(3, 0, 1, 2))
        if len(self._batch) == _BATCH:
            self._flush()

    def _flush(self) -> None:
        pieces = []
        for _ in self._batch:
            piece = None if self._ended else next(self._pieces, None)
            if piece is None:
                self._ended = True
                break
            pieces.append(piece)
        faces = self._batch[: len(pieces)]
        self._batch = []
        if pieces:
            lips = self._network.look(np.stack(faces).astype(np.float32))
            self._meter.push(lips, self._network.hear(np.stack(pieces)))


def lse_rows(lse: Lse | None, why_not: str) -> list[Metric]:
    """The scores as rows of an evaluation.

    Args:
        lse: the scores; None if there are none.
        why_not: the note of rows without a value.
    """
    note = why_not if lse is None else f"{NOTE}; sound {lse.offset:+d} frames later"
    distance, confidence = (None, None) if lse is None else lse[:2]
    return [
        Metric("lse_d", "LSE-D (SyncNet)", distance, "", "lower", note=note),
        Metric("lse_c", "LSE-C (SyncNet)", confidence, "", "higher", note=note),
    ]


def face_crop(
    rgb: UInt8[np.ndarray, "h w 3"], points: Float[np.ndarray, "478 3"]
) -> UInt8[np.ndarray, "224 224 3"]:
    """The square around a face that SyncNet expects.

    Args:
        rgb: sRGB.
        points: landmarks in its pixels.
    """
    from talkcli.metrics.syncnet import SIDE

    oval = points[list(FACE_OVAL), :2]
    low, high = oval.min(0), oval.max(0)
    x, y = (low + high) / 2
    half = float((high - low).max()) / 2
    scale = SIDE / (2 * half * (1 + _PADDING))
    left, top = x - half * (1 + _PADDING), y - half
    matrix = np.array([[scale, 0, -left * scale], [0, scale, -top * scale]])
    # OpenCV counts from the centres of pixels.
    matrix[:, 2] += 0.5 * scale - 0.5
    way = cv2.INTER_LINEAR
    if scale < 0.8:
        # Warps take single samples: a picture that shrinks is averaged first.
        small = max(1, round(rgb.shape[1] * scale)), max(1, round(rgb.shape[0] * scale))
        rgb = cv2.resize(rgb, small, interpolation=cv2.INTER_AREA)
        matrix[:, :2] /= scale
    return np.asarray(
        cv2.warpAffine(
            rgb, matrix, (SIDE, SIDE), flags=way, borderMode=cv2.BORDER_CONSTANT,
            borderValue=(_BEYOND,) * 3,
        )
    )  # fmt: skip


def _pieces(sound: Path) -> Iterator[np.ndarray]:
    """``[13, 20]`` rows of sound of every frame at 25 per second, from the file's beginning."""
    from talkcli.media.audio import open_sound
    from talkcli.metrics.syncnet import MfccStream, windows

    def rows() -> Iterator[np.ndarray]:
        stream, rate = MfccStream(), 16000
        with open_sound(sound) as opened:
            late = round(opened.start_s * rate)
            skip = max(0, -late)
            if late > 0:
                yield stream.push(np.zeros(late))
            for block in opened.blocks(rate):
                # Whole numbers, as in the files that SyncNet was trained on.
                samples = np.round(np.asarray(block, float) * _INT16).clip(-_INT16, _INT16 - 1)
                yield stream.push(samples[skip:])
                skip = max(0, skip - len(samples))
        yield stream.finish()

    return windows(rows())
