"""The lip network on a stream: small convolutions over time, in numpy.

Every layer keeps the inputs that its next output still needs, so block sizes do not affect the
result and the state is a few kilobytes. Beyond both ends of the stream every layer sees zeros, as
in ``talkcli.train.speech.network``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np

from talkcli.shapes import Float, Float32
from talkcli.speech.features import FRAME_RATE

#: Outputs besides the shapes, as logits: whether the lips touch, whether somebody speaks.
HEADS = ("closed", "voice")
#: The network runs at 25 Hz and gives two outputs, 20 ms apart, per step.
SUBFRAMES, STRIDE = 2, 4
_LAYER_NORM_EPS = 1e-5

#: Mean and variance of groups of channels are averaged over this many seconds and start from a
#: learnt guess that weighs this many frames. With a layer norm of single frames the held-out lip
#: error is .02 higher.
NORM_GROUPS, NORM_S, NORM_GUESS = 8, 2.4, 8.0
NORM_LEAST = 1e-4  # smallest variance


@dataclass(frozen=True)
class Layout:
    """Sizes of a network.

    Attributes:
        width: channels.
        stem_kernel: taps of the first convolution and of the two that halve the rate.
        stem_rights: how many taps of each of these lie ahead.
        kernel: taps of each block.
        dilations: distance of a block's taps, in steps of 40 ms.
        rights: steps ahead that each block sees.
    """

    width: int = 64
    stem_kernel: int = 5
    stem_rights: tuple[int, ...] = (1, 2, 2)
    kernel: int = 7
    dilations: tuple[int, ...] = (1, 1, 2, 2, 4)
    rights: tuple[int, ...] = (2, 1, 0, 0, 0)

    @property
    def look_ahead(self) -> int:
        """Feature frames of 10 ms that a row needs beyond its own time.

        A row between two steps waits for the later one, which is at most 1 frame ahead of the
        last sub-frame's successor.
        """
        fine, first, second = self.stem_rights
        stem = fine + first + 2 * second
        return stem + STRIDE * sum(self.rights) + STRIDE // SUBFRAMES - 1

    def as_json(self) -> dict[str, Any]:
        """Plain values for a file header."""
        return asdict(self)

    @staticmethod
    def from_json(values: Mapping[str, Any]) -> Layout:
        """The inverse of :meth:`as_json`."""
        lists: dict[str, Any] = {
            key: tuple(v) if isinstance(v, list) else v for key, v in values.items()
        }
        return Layout(**lists)


@runtime_checkable
class _Layer(Protocol):
    def push(self, x: np.ndarray) -> np.ndarray: ...

    def finish(self) -> np.ndarray: ...


class _Taps:
    """Windows over ``span`` inputs, of which ``right`` lie ahead, every ``stride`` inputs."""

    def __init__(self, channels: int, span: int, right: int, stride: int) -> None:
        self._kept = np.zeros((span - 1 - right, channels), np.float32)
        self._span, self._right, self._stride = span, right, stride

    def push(self, x: np.ndarray) -> np.ndarray:
        """``[n, C]`` to ``[m, C, span]`` windows."""
        kept = np.concatenate([self._kept, x])
        count = max(0, (len(kept) - self._span) // self._stride + 1)
        self._kept = kept[count * self._stride :]
        if count == 0:
            return np.zeros((0, kept.shape[1], self._span), np.float32)
        windows = np.lib.stride_tricks.sliding_window_view(kept, self._span, axis=0)
        return windows[:: self._stride][:count]

    def finish(self) -> np.ndarray:
        """The windows that reach beyond the end."""
        return self.push(np.zeros((self._right, self._kept.shape[1]), np.float32))


class _Stem:
    """Convolution, running norm where the rate is halved, SiLU."""

    def __init__(self, tensors: Mapping[str, np.ndarray], index: int, layout: Layout) -> None:
        name = ("fine", "first", "second")[index]
        stride = 1 if index == 0 else 2
        shape = (layout.stem_kernel, layout.stem_rights[index], stride)
        self._conv = _Conv(tensors, name, shape)
        self._norm = (
            None if index == 0 else _RunningNorm(tensors, f"{name}_norm", norm_frames(index - 1))
        )

    def push(self, x: np.ndarray) -> np.ndarray:
        return self._apply(self._conv.push(x))

    def finish(self) -> np.ndarray:
        return self._apply(self._conv.finish())

    def _apply(self, x: np.ndarray) -> np.ndarray:
        return _silu(x if self._norm is None else self._norm.push(x))


class _Conv:
    """Convolution of ``[n, C]`` to ``[m, C']``; ``shape`` is taps, taps ahead, stride."""

    def __init__(
        self, tensors: Mapping[str, np.ndarray], name: str, shape: tuple[int, int, int]
    ) -> None:
        kernel = tensors[f"{name}.weight"]
        # Windows are [C, taps].
        self._matrix = kernel.transpose(1, 0, 2).reshape(-1, kernel.shape[2])
        self._bias = tensors[f"{name}.bias"]
        self._taps = _Taps(kernel.shape[1], *shape)

    def push(self, x: np.ndarray) -> np.ndarray:
        return self._apply(self._taps.push(x))

    def finish(self) -> np.ndarray:
        return self._apply(self._taps.finish())

    def _apply(self, windows: np.ndarray) -> np.ndarray:
        flat = windows.reshape(len(windows), len(self._matrix))
        return flat @ self._matrix + self._bias


class _RunningNorm:
    """Group norm (Wu and He 2018) with the mean and variance of the last seconds.

    Both are kept as decaying sums: ``s[t] = keep * s[t - 1] + x[t]``.
    """

    def __init__(self, tensors: Mapping[str, np.ndarray], name: str, frames: float) -> None:
        self._weight, self._bias = tensors[f"{name}.weight"], tensors[f"{name}.bias"]
        mean = tensors[f"{name}.mean"].astype(np.float64)
        square = mean**2 + np.exp(tensors[f"{name}.log_variance"].astype(np.float64))
        self._keep = np.exp(-1.0 / frames)
        self._sums = NORM_GUESS * np.concatenate([mean, square, [1.0]])

    def push(self, x: np.ndarray) -> np.ndarray:
        """``[n, C]`` to the same."""
        if not len(x):
            return x
        grouped = x.reshape(len(x), NORM_GROUPS, -1)
        moments = np.concatenate(
            [grouped.mean(2), (grouped**2).mean(2), np.ones((len(x), 1))], axis=1
        )
        # 75 iterations per second of sound. Importing scipy.signal for its filter would take half
        # of the time to the first frame of a video.
        for row in moments:
            row += self._keep * self._sums
            self._sums = row.copy()
        mean, square = np.split(moments[:, :-1] / moments[:, -1:], 2, axis=1)
        spread = np.sqrt(np.maximum(square - mean**2, NORM_LEAST))
        normed = (grouped - mean[:, :, None]) / spread[:, :, None]
        return (normed.reshape(x.shape) * self._weight + self._bias).astype(np.float32)


def norm_frames(index: int) -> float:
    """Frames over which the norm after the first or second halving averages."""
    return NORM_S * FRAME_RATE / 2.0 ** (index + 1)


class _Block:
    """Depth-wise convolution, perceptron, shortcut."""

    def __init__(self, tensors: Mapping[str, np.ndarray], index: int, layout: Layout) -> None:
        name = f"blocks.{index}"
        part = {key[len(name) + 1 :]: v for key, v in tensors.items() if key.startswith(f"{name}.")}
        self._part = part
        self._kernel = part["depth"].T  # [C, taps]
        self._dilation, self._right = layout.dilations[index], layout.rights[index]
        span = (layout.kernel - 1) * self._dilation + 1
        self._taps = _Taps(layout.width, span, self._right, 1)
        self._waiting = np.zeros((0, layout.width), np.float32)

    def push(self, x: np.ndarray) -> np.ndarray:
        normed = _layer_norm(x, self._part["norm.weight"], self._part["norm.bias"])
        self._waiting = np.concatenate([self._waiting, x])
        return self._apply(self._taps.push(normed))

    def finish(self) -> np.ndarray:
        return self._apply(self._taps.finish())

    def _apply(self, windows: np.ndarray) -> np.ndarray:
        taps = windows[:, :, :: self._dilation]
        y = np.einsum("nck,ck->nc", taps, self._kernel)
        y = _silu(y @ self._part["up.weight"] + self._part["up.bias"])
        y = y @ self._part["down.weight"] + self._part["down.bias"]
        out = self._waiting[: len(y)] + y
        self._waiting = self._waiting[len(y) :]
        return out


class NetworkStream:
    """One network on one stream, from features at 100 Hz to shapes and logits at 50 Hz.

    Args:
        tensors: its weights, as exported by ``talkcli.train.speech.network.LipNet``.
        layout: its sizes.

    Attributes:
        states: ``[frames, width]`` what the rows of the last call were made from, 25 a second.
    """

    def __init__(self, tensors: Mapping[str, np.ndarray], layout: Layout) -> None:
        self._tensors = tensors
        self.states = np.zeros((0, layout.width), np.float32)
        self._layers: list[_Layer] = [_Stem(tensors, k, layout) for k in range(3)]
        self._layers += [_Block(tensors, k, layout) for k in range(len(layout.dilations))]

    def push(self, features: Float[np.ndarray, "new 80"]) -> Float32[np.ndarray, "frames outputs"]:
        """Take features and return the rows they complete: shapes, then the logits of ``HEADS``."""
        x = np.asarray(features, np.float32)
        for layer in self._layers:
            x = layer.push(x)
        return self._outputs(x)

    def finish(self) -> Float32[np.ndarray, "frames outputs"]:
        """The last rows: each layer in turn sees zeros after its last input."""
        rest = np.zeros((0, self._tensors["fine.weight"].shape[1]), np.float32)
        for layer in self._layers:
            rest = np.concatenate([layer.push(rest), layer.finish()])
        return self._outputs(rest)

    def _outputs(self, x: np.ndarray) -> np.ndarray:
        self.states = _layer_norm(x, self._tensors["norm.weight"], self._tensors["norm.bias"])
        y = self.states @ self._tensors["out.weight"] + self._tensors["out.bias"]
        return y.reshape(SUBFRAMES * len(y), y.shape[1] // SUBFRAMES)


def _layer_norm(x: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> np.ndarray:
    centred = x - x.mean(-1, keepdims=True)
    variance = (centred**2).mean(-1, keepdims=True)
    return centred / np.sqrt(variance + _LAYER_NORM_EPS) * weight + bias


def _silu(x: np.ndarray) -> np.ndarray:
    return x / (1.0 + np.exp(-np.clip(x, -60.0, 60.0)))
