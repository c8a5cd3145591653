"""From speech features to the expression of the lower face.

:func:`load_speech_model` is the one door: whatever model is behind it, a :class:`LipStream` takes
features of :mod:`talkcli.motion.features` frame by frame and gives ARKit weights at the same 100
frames per second. The model here is linear: a ridge regression over 0.4 s of log-mel, fitted by
``scripts/fit_speech.py`` (see ``docs/motion.md``).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from talkcli.errors import InputError
from talkcli.motion.features import N_MELS
from talkcli.types import ARKIT_NAMES

SCHEMA = 1
DEFAULT_PATH = Path(__file__).parent.parent / "data" / "speech_ridge.safetensors"

#: Neighbouring mel bands are averaged; above-average energy gets a slope of its own.
N_INPUTS = N_MELS
#: Frames of 10 ms before and after the moment that the filter sees. The later ones, the
#: normaliser's delay and half an analysis window make the look-ahead: 0.29 s.
PAST, FUTURE = 24, 20

_JAW = ARKIT_NAMES.index("jawOpen")
# Shapes that part the lips; they share the scaling to the wanted aperture.
_OPENERS = tuple(
    i
    for i, name in enumerate(ARKIT_NAMES)
    if name.startswith(("jawOpen", "mouthClose", "mouthUpperUp", "mouthLowerDown"))
)
_MAX_OPENING_SCALE = 3.0


@dataclass(frozen=True)
class SpeechModel:
    """A linear filter from features to expression weights, and the way back to natural size.

    A regression that knows a third of the truth predicts a third of the motion. So deviations
    from the mean expression are multiplied by ``gain``, and the lip aperture that results is
    mapped through ``curve``, which gives held-out predictions the distribution of real speech:
    closed as often, and open as wide.

    Attributes:
        kernel: ``[45, 80, 52]`` float32, taps from 24 frames before to 20 after the moment.
        bias: ``[52]`` weights for average speech.
        mean: ``[52]`` mean weights of real speech.
        gain: factor on deviations from the mean.
        aperture: ``[52]`` lip aperture of every shape at weight 1, cm of the head frame.
        curve: ``[2, n]`` aperture before and after, cm, increasing.
    """

    kernel: np.ndarray
    bias: np.ndarray
    mean: np.ndarray
    gain: float
    aperture: np.ndarray
    curve: np.ndarray

    def stream(self) -> LipStream:
        """A fresh stream at time zero."""
        return LipStream(self)

    def restore(self, raw: np.ndarray) -> np.ndarray:
        """Regression output ``[k, 52]`` to weights of natural size, 0–1."""
        weights = np.clip(self.mean + self.gain * (raw - self.mean), 0.0, 1.0)
        openers = list(_OPENERS)
        opening = weights[:, openers] @ self.aperture[openers]
        shaping = weights @ self.aperture - opening
        wanted = np.interp(opening + shaping, self.curve[0], self.curve[1])
        scale = (wanted - shaping) / np.maximum(opening, 1e-3)
        weights[:, openers] *= np.clip(scale, 0.0, _MAX_OPENING_SCALE)[:, None]
        return np.clip(weights, 0.0, 1.0).astype(np.float32)

    def save(self, path: Path, description: str) -> None:
        """Write the model with its schema version and a line that says where it comes from."""
        from safetensors.numpy import save_file

        active = np.flatnonzero(np.abs(self.kernel).sum((0, 1)) + np.abs(self.bias))
        tensors = {
            "kernel": self.kernel[..., active].astype(np.float32),
            "bias": self.bias[active].astype(np.float32),
            "mean": self.mean[active].astype(np.float32),
            "aperture": self.aperture.astype(np.float32),
            "curve": self.curve.astype(np.float32),
        }
        header = {
            "schema": SCHEMA,
            "description": description,
            "shapes": [ARKIT_NAMES[i] for i in active],
            "gain": self.gain,
        }
        packed = {key: np.ascontiguousarray(value) for key, value in tensors.items()}
        save_file(packed, path, {"talkcli": json.dumps(header)})


@lru_cache(maxsize=2)
def load_speech_model(path: Path = DEFAULT_PATH) -> SpeechModel:
    """Read a speech model.

    Raises:
        InputError: the file is missing, damaged or of another schema.
    """
    from safetensors import SafetensorError, safe_open

    reinstall = "reinstall talkcli"
    try:
        with safe_open(path, framework="np") as file:
            header = json.loads((file.metadata() or {}).get("talkcli", "{}"))
            if header.get("schema") != SCHEMA:
                raise InputError(
                    f"speech model {path} has schema {header.get('schema')}", reinstall
                )
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise InputError(f"speech model {path} cannot be read ({error})", reinstall) from error
    columns = [ARKIT_NAMES.index(name) for name in header["shapes"]]

    def spread(values: np.ndarray) -> np.ndarray:
        full = np.zeros((*values.shape[:-1], len(ARKIT_NAMES)), np.float32)
        full[..., columns] = values
        return full

    return SpeechModel(
        kernel=spread(tensors["kernel"]),
        bias=spread(tensors["bias"]),
        mean=spread(tensors["mean"]),
        gain=float(header["gain"]),
        aperture=tensors["aperture"],
        curve=tensors["curve"],
    )


class LipStream:
    """Features in, weights out, 20 frames behind; any block size gives the same weights."""

    def __init__(self, model: SpeechModel) -> None:
        self._model = model
        active = np.flatnonzero(np.abs(model.kernel).sum((0, 1)))
        self._active = active
        self._taps = model.kernel[..., active].reshape(-1, len(active))
        # Before the start lies average speech: zeros, as after the end.
        self._history = np.zeros((PAST, N_INPUTS), np.float32)

    def push(self, features: np.ndarray) -> np.ndarray:
        """Take ``[k, 80]`` normalised features, return weights ``[m, 52]`` float32, 0–1."""
        inputs = np.concatenate([self._history, expand(features)])
        length = PAST + 1 + FUTURE
        count = max(0, len(inputs) - length + 1)
        self._history = inputs[count:]
        raw = np.tile(self._model.bias, (count, 1))
        if count:
            windows = np.lib.stride_tricks.sliding_window_view(inputs, length, axis=0)
            flat = windows.transpose(0, 2, 1).reshape(count, -1)
            raw[:, self._active] += flat @ self._taps
        return self._model.restore(raw)

    def finish(self) -> np.ndarray:
        """Weights of the last 20 frames: ``[20, 52]`` (fewer after a shorter stream)."""
        return self.push(np.zeros((FUTURE, N_MELS), np.float32))


def expand(features: np.ndarray) -> np.ndarray:
    """Inputs of the filter: ``[k, 80]`` features to ``[k, 80]`` pooled bands and their excess.

    Forty pooled bands and, again, their part above zero: with separate slopes below and above the
    mean, held-out aperture r rises from .495 to .507.
    """
    pooled = features.reshape(len(features), N_MELS // 2, 2).mean(-1)
    return np.concatenate([pooled, np.maximum(pooled, 0.0)], -1).astype(np.float32)
