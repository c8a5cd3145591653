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
from talkcli.motion.features import FRAME_RATE, N_MELS
from talkcli.types import ARKIT_NAMES

SCHEMA = 1
DEFAULT_PATH = Path(__file__).parent.parent / "data" / "speech_ridge.safetensors"

#: Neighbouring mel bands are averaged; above-average energy gets a slope of its own.
N_INPUTS = N_MELS
#: Frames of 10 ms before and after the moment that the filter sees. The later ones, the
#: normaliser's delay and half an analysis window make the look-ahead: 0.29 s.
PAST, FUTURE = 24, 20

_MAX_OPENING = 3.0  # how far predicted opening may be stretched to reach the wanted aperture

# Every voice and microphone shifts and scales the regression a little; over the first seconds of
# speech its own mean and spread replace the typical ones. Held-out r stays within .005, while the
# 10 % of clips in which lips never came together close.
_PRIOR_S, _MEMORY_S = 2.0, 10.0
_MAX_RESCALE = 1.7
# Normalised features average about -0.3 in speech and -3 in pauses.
_SPEAKING_LEVEL = -1.2


@dataclass(frozen=True)
class SpeechModel:
    """A linear filter from features to expression weights, and the way back to natural size.

    A regression that knows a third of the truth predicts a third of the motion. So deviations
    from the mean expression are multiplied by ``gain``, and the lip aperture that results is
    mapped through ``curve``, which gives held-out predictions the distribution of real speech:
    closed as often, and open as wide.

    Attributes:
        kernel: ``[45, 80, 52]`` float32, taps from 24 frames before to 20 after the moment, to
            deviations from ``mean``.
        bias: ``[52]`` added to the filter's output.
        mean: ``[52]`` mean weights of real speech.
        spread: typical standard deviation of the predicted aperture within a clip, cm.
        gain: factor on deviations.
        aperture: ``[52]`` lip aperture of every shape at weight 1, cm of the head frame.
        curve: ``[2, n]`` aperture before and after, cm, increasing.
    """

    kernel: np.ndarray
    bias: np.ndarray
    mean: np.ndarray
    spread: float
    gain: float
    aperture: np.ndarray
    curve: np.ndarray

    def stream(self) -> LipStream:
        """A fresh stream at time zero."""
        return LipStream(self)

    @property
    def active(self) -> np.ndarray:
        """Indices of the shapes that speech drives."""
        return np.flatnonzero(np.abs(self.kernel).sum((0, 1)))

    def restore(self, deviations: np.ndarray) -> np.ndarray:
        """Deviations ``[k, 52]`` from the mean to weights of natural size, 0–1, lips not crossed.

        Shapes that part the lips share the scaling to the wanted aperture; shapes that press them
        together keep their weights unless they would win.
        """
        weights, parting, pressing = self._stretched(deviations)
        wanted = np.interp(parting - pressing, self.curve[0], self.curve[1])
        held = np.minimum(1.0, _MAX_OPENING * parting / np.maximum(pressing, 1e-6))
        opened = (wanted + held * pressing) / np.maximum(parting, 1e-3)
        weights[:, self.aperture > 0] *= np.clip(opened, 0.0, _MAX_OPENING)[:, None]
        weights = np.clip(weights, 0.0, 1.0)
        # Full weights may part the lips less than wanted; those that press must not win then.
        limit = (weights @ np.maximum(self.aperture, 0.0)) / np.maximum(pressing, 1e-6)
        weights[:, self.aperture < 0] *= np.minimum(held, limit)[:, None]
        return weights.astype(np.float32)

    def plain_aperture(self, deviations: np.ndarray) -> np.ndarray:
        """``[k]`` lip aperture in cm after the gain but before the curve."""
        _, parting, pressing = self._stretched(deviations)
        return parting - pressing

    def _stretched(self, deviations: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        weights = np.clip(self.mean + self.gain * deviations, 0.0, 1.0)
        parting = weights @ np.maximum(self.aperture, 0.0)
        pressing = weights @ np.maximum(-self.aperture, 0.0)
        return weights, parting, pressing

    def save(self, path: Path, description: str) -> None:
        """Write the model with its schema version and a line that says where it comes from."""
        from safetensors.numpy import save_file

        active = self.active
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
            "spread": self.spread,
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
        spread=float(header["spread"]),
        gain=float(header["gain"]),
        aperture=tensors["aperture"],
        curve=tensors["curve"],
    )


class LipStream:
    """Features in, weights out, 20 frames behind; any block size gives the same weights."""

    def __init__(self, model: SpeechModel) -> None:
        self._model = model
        self._active = model.active
        self._taps = model.kernel[..., self._active].reshape(-1, len(self._active))
        self._voice = VoiceScale(model, FRAME_RATE)
        # Before the start lies average speech: zeros, as after the end.
        self._history = np.zeros((PAST, N_INPUTS), np.float32)

    def push(self, features: np.ndarray) -> np.ndarray:
        """Take ``[k, 80]`` normalised features, return weights ``[m, 52]`` float32, 0–1."""
        inputs = np.concatenate([self._history, expand(features)])
        length = PAST + 1 + FUTURE
        count = max(0, len(inputs) - length + 1)
        self._history = inputs[count:]
        if count == 0:
            return np.zeros((0, len(self._model.mean)), np.float32)
        windows = np.lib.stride_tricks.sliding_window_view(inputs, length, axis=0)
        deviations = np.tile(self._model.bias, (count, 1))
        flat = windows.transpose(0, 2, 1).reshape(count, -1)
        deviations[:, self._active] += flat @ self._taps
        loud = speaking(inputs[PAST : PAST + count])
        return self._model.restore(self._voice.push(deviations, loud))

    def finish(self) -> np.ndarray:
        """Weights of the last 20 frames: ``[20, 52]`` (fewer after a shorter stream)."""
        return self.push(np.zeros((FUTURE, N_MELS), np.float32))


def speaking(inputs: np.ndarray) -> np.ndarray:
    """Frames loud enough to learn the voice from: ``[k, 80]`` filter inputs to ``[k]`` bool."""
    return inputs[:, : N_INPUTS // 2].mean(1) > _SPEAKING_LEVEL


class VoiceScale:
    """Running mean and spread of the regression's output for the voice at hand."""

    def __init__(self, model: SpeechModel, rate: float) -> None:
        self._aperture = model.aperture
        self._typical = model.spread
        self._mean = np.zeros(len(model.mean))
        self._variance = model.spread**2
        self._count, self._limit = _PRIOR_S * rate, _MEMORY_S * rate

    def push(self, deviations: np.ndarray, loud: np.ndarray) -> np.ndarray:
        """``[k, 52]`` deviations, ``[k]`` whether to learn from them; returns them rescaled."""
        out = np.empty_like(deviations)
        for k, row in enumerate(deviations):
            if loud[k]:
                self._count = min(self._count + 1.0, self._limit)
                self._mean += (row - self._mean) / self._count
                square = float((row - self._mean) @ self._aperture) ** 2
                self._variance += (square - self._variance) / self._count
            scale = self._typical / max(self._variance, 1e-9) ** 0.5
            out[k] = (row - self._mean) * min(max(scale, 1.0 / _MAX_RESCALE), _MAX_RESCALE)
        return out


def expand(features: np.ndarray) -> np.ndarray:
    """Inputs of the filter: ``[k, 80]`` features to ``[k, 80]`` pooled bands and their excess.

    Forty pooled bands and, again, their part above zero: with separate slopes below and above the
    mean, held-out aperture r rises from .495 to .507.
    """
    pooled = features.reshape(len(features), N_MELS // 2, 2).mean(-1)
    return np.concatenate([pooled, np.maximum(pooled, 0.0)], -1).astype(np.float32)
