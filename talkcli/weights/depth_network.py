"""Monocular depth networks of others as ONNX files, such as Depth Anything V2 Small's.

The network takes ``[1, 3, h, w]``, sRGB normalised as ImageNet's, and gives a map of relative
inverse depth: larger is nearer, up to a factor and an offset that nobody knows.
:func:`fitted_depth` finds both where depth is known.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np

from talkcli.errors import InputError, MissingDependencyError
from talkcli.files.check import check_readable
from talkcli.shapes import Bool, Float, Float32, UInt8

#: Side that pictures are brought to where a network takes any, pixels, and what sides are a
#: multiple of: the patches of a vision transformer.
_SIDE, _PATCH = 518, 14
_MEAN = np.array([0.485, 0.456, 0.406], np.float32)
_SPREAD = np.array([0.229, 0.224, 0.225], np.float32)
_MEND = "give the ONNX file of a monocular depth network, such as Depth Anything V2 Small's"
#: Fewer known pixels do not tell a factor from an offset.
_FEWEST = 16


class DepthNetwork:
    """A depth network, loaded.

    Args:
        path: an ``.onnx`` file.

    Raises:
        MissingDependencyError: onnxruntime is not installed.
        InputError: the file cannot be read, or holds no such network.
    """

    def __init__(self, path: Path) -> None:
        check_readable(path, "a depth network")
        try:
            import onnxruntime
        except ImportError as error:
            raise MissingDependencyError(
                "depth networks need onnxruntime, which is not installed",
                "run: pip install 'talkcli[depth]'",
            ) from error
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4  # errors are raised; the log would repeat them on stderr
        try:
            self._session: Any = onnxruntime.InferenceSession(
                str(path), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # its exceptions have no common class
            reason = str(error).splitlines()[0]
            raise InputError(f"{path} cannot be loaded ({reason})", _MEND) from error
        inputs = self._session.get_inputs()
        shape = inputs[0].shape if len(inputs) == 1 else []
        if len(shape) != 4 or shape[1] not in (3, "3") or inputs[0].type != "tensor(float)":
            raise InputError(f"{path} is no depth network: it does not take one picture", _MEND)
        self._path, self._name, self._shape = path, inputs[0].name, shape[2:]

    def inverse_depth(self, rgb: UInt8[np.ndarray, "H W 3"]) -> Float32[np.ndarray, "H W"]:
        """``[H, W]`` relative inverse depth of a picture, larger where it is nearer.

        Args:
            rgb: ``[H, W, 3]`` uint8, sRGB.

        Raises:
            InputError: the network gives no map of the picture.
        """
        height, width = rgb.shape[:2]
        size = self._size(width, height)
        shrinks = size[0] * size[1] < width * height
        small = cv2.resize(rgb, size, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC)
        planes = ((small.astype(np.float32) / 255 - _MEAN) / _SPREAD).transpose(2, 0, 1)[None]
        try:
            found = np.squeeze(self._session.run(None, {self._name: planes})[0])
        except Exception as error:
            reason = str(error).splitlines()[0]
            raise InputError(f"{self._path} cannot be run ({reason})", _MEND) from error
        if found.ndim != 2 or found.dtype.kind != "f" or not np.isfinite(found).all():
            raise InputError(f"{self._path} is no depth network: it gives no map", _MEND)
        whole = cv2.resize(found.astype(np.float32), (width, height))
        return np.asarray(whole, np.float32)

    def _size(self, width: int, height: int) -> tuple[int, int]:
        """Width and height that the network is given."""
        scale = _SIDE / min(width, height)
        wanted = (height * scale, width * scale)
        rows, columns = (
            own if isinstance(own, int) and own > 0 else max(1, round(want / _PATCH)) * _PATCH
            for own, want in zip(self._shape, wanted, strict=True)
        )
        return columns, rows


def fitted_depth(
    inverse: Float[np.ndarray, "H W"],
    known: Float[np.ndarray, "H W"],
    mask: Bool[np.ndarray, "H W"],
) -> Float32[np.ndarray, "H W"]:
    """Depth from relative inverse depth, by the factor and offset that fit where depth is known.

    Args:
        inverse: from :meth:`DepthNetwork.inverse_depth`.
        known: depth, in any unit, above 0 within the mask.
        mask: where it is known.

    Returns:
        ``[H, W]`` depth in the same unit, at most ten times the farthest known.

    Raises:
        InputError: they do not fit: too few pixels, or nearer ones are farther.
    """
    if mask.sum() < _FEWEST:
        raise InputError("depth is known in too few pixels for a depth network", "leave it out")
    wanted = 1 / known[mask]
    columns = np.stack([inverse[mask], np.ones(int(mask.sum()))], 1)
    (factor, offset), *_ = np.linalg.lstsq(columns, wanted, rcond=None)
    if factor <= 0:
        raise InputError("the depth network sees the face inside out", "leave it out")
    least = 0.1 / float(known[mask].max())
    return np.asarray(1 / np.maximum(factor * inverse + offset, least), np.float32)
