"""From speech features to the expression of the lower face.

:func:`load_speech_model` is the entry point; a :class:`LipStream` turns the features of
:mod:`talkcli.speech.features` into ARKit weights, both at 100 frames per second. It runs small
temporal convolutional networks (:mod:`talkcli.speech.network`) trained by ``talkcli train speech``;
``docs/speech_model.md`` describes their training data and accuracy.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from talkcli.errors import InputError
from talkcli.files.tensors import Rule, TensorSchema
from talkcli.shapes import Float, Float32, Int
from talkcli.speech.features import N_MELS
from talkcli.speech.network import HEADS, SUBFRAMES, Layout, NetworkStream
from talkcli.types import ARKIT_NAMES, shape_columns
from talkcli.weights.registry import shipped

SCHEMA = 4
#: Names of the shipped models, as ``motion.speech_model`` takes them; the first is the default.
WEIGHTS = ("speech", "speech-clean")

_FILE = TensorSchema(
    title="speech model",
    version=SCHEMA,
    mend="reinstall talkcli",
    rules={"maps": Rule("shapes 2 m"), "aperture": Rule("52"), "curve": Rule("2 n")},
)
_MAX_OPENING = 3.0  # largest factor by which the opening is stretched to the wanted aperture


@dataclass(frozen=True)
class SpeechPrediction:
    """Expression predicted from sound, at 100 frames per second.

    Attributes:
        weights: of ``ARKIT_NAMES``, 0–1.
        voice: probability that somebody speaks, 0–1; lips may move shortly before and after.
    """

    weights: Float32[np.ndarray, "frames 52"]
    voice: Float[np.ndarray, " frames"]


@dataclass(frozen=True)
class SpeechModel:
    """Networks from features to expression weights, and a mapping to natural size.

    A network that can explain half of the motion predicts only that half. So every shape is mapped
    through a rising line of its own, which gives predictions the distribution of real speech, and
    so is the resulting lip aperture: closed as often and open as wide.

    Attributes:
        layout: sizes of the networks.
        networks: tensors of each network; their outputs are averaged.
        shapes: names of the outputs; those without a side move both sides.
        maps: of every shape, its weight before and after the mapping, increasing.
        aperture: lip aperture of every shape at weight 1, cm in the head frame.
        curve: aperture before and after the mapping, cm, increasing.
    """

    layout: Layout
    networks: tuple[Mapping[str, np.ndarray], ...]
    shapes: tuple[str, ...]
    maps: Float[np.ndarray, "shapes 2 knots"]
    aperture: Float[np.ndarray, " 52"]
    curve: Float[np.ndarray, "2 apertures"]

    def stream(self) -> LipStream:
        """A fresh stream at time zero."""
        return LipStream(self)

    @property
    def active(self) -> Int[np.ndarray, " active"]:
        """Indices of the shapes that speech drives."""
        return np.array(sorted(i for name in self.shapes for i in shape_columns(name)))

    def full(self, values: Float[np.ndarray, "*frames shapes"]) -> Float[np.ndarray, "*frames 52"]:
        """Values of ``shapes`` as values of ``ARKIT_NAMES``, with both sides alike."""
        full = np.zeros((*values.shape[:-1], len(ARKIT_NAMES)))
        for k, name in enumerate(self.shapes):
            full[..., shape_columns(name)] = values[..., k : k + 1]
        return full

    def restore(
        self, predicted: Float[np.ndarray, "frames 52"]
    ) -> Float32[np.ndarray, "frames 52"]:
        """Predicted weights scaled to natural size, 0–1, without crossed lips.

        Shapes that part the lips are scaled together to the wanted aperture; shapes that press
        them together keep their weights unless they would outweigh the others.
        """
        weights, parting, pressing = self._stretched(predicted)
        wanted = np.interp(parting - pressing, self.curve[0], self.curve[1])
        held = np.minimum(1.0, _MAX_OPENING * parting / np.maximum(pressing, 1e-6))
        opened = (wanted + held * pressing) / np.maximum(parting, 1e-3)
        weights[:, self.aperture > 0] *= np.clip(opened, 0.0, _MAX_OPENING)[:, None]
        weights = np.clip(weights, 0.0, 1.0)
        # Even full weights may part the lips less than wanted: pressing must not outweigh parting.
        limit = (weights @ np.maximum(self.aperture, 0.0)) / np.maximum(pressing, 1e-6)
        weights[:, self.aperture < 0] *= np.minimum(held, limit)[:, None]
        return weights.astype(np.float32)

    def plain_aperture(
        self, predicted: Float[np.ndarray, "frames 52"]
    ) -> Float[np.ndarray, " frames"]:
        """Lip aperture after the maps and before the curve, cm."""
        _, parting, pressing = self._stretched(predicted)
        return parting - pressing

    def _stretched(self, predicted: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        weights = np.zeros_like(predicted, dtype=np.float64)
        for name, (before, after) in zip(self.shapes, self.maps, strict=True):
            columns = shape_columns(name)
            mapped = np.interp(predicted[:, columns[0]], before, after)
            weights[:, columns] = mapped[:, None]
        parting = weights @ np.maximum(self.aperture, 0.0)
        pressing = weights @ np.maximum(-self.aperture, 0.0)
        return weights, parting, pressing

    def save(self, path: Path, description: str) -> None:
        """Write the model with its schema version and a line that says where it comes from."""
        tensors = {
            f"{k}.{key}": value.astype(np.float16)
            for k, network in enumerate(self.networks)
            for key, value in network.items()
        }
        for name in ("maps", "aperture", "curve"):
            tensors[name] = getattr(self, name).astype(np.float32)
        header = {
            "description": description,
            "layout": self.layout.as_json(),
            "networks": len(self.networks),
            "shapes": list(self.shapes),
        }
        _FILE.write(path, tensors, header)


def weights_path(name: str = WEIGHTS[0]) -> Path:
    """Path of a shipped model: ``speech`` or ``speech-clean``."""
    return shipped(name)


@lru_cache(maxsize=2)
def load_speech_model(path: Path | None = None) -> SpeechModel:
    """Read a speech model, by default the first of :data:`WEIGHTS`.

    Raises:
        InputError: the file is missing, damaged or of another schema.
    """
    path = weights_path() if path is None else path
    tensors, header = _FILE.read(path)
    try:
        model = SpeechModel(
            layout=Layout.from_json(header["layout"]),
            networks=tuple(_network(tensors, f"{k}.") for k in range(header["networks"])),
            shapes=tuple(header["shapes"]),
            maps=tensors["maps"],
            aperture=tensors["aperture"],
            curve=tensors["curve"],
        )
        model.stream()  # finds tensors that are missing or do not fit the layout
        if not len(model.active) or not model.networks:
            raise ValueError("it has no networks or no shapes")
        if len(model.maps) != len(model.shapes):
            raise ValueError("its maps are of other shapes")
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(f"the speech model {path} is damaged ({error})", _FILE.mend) from error
    return model


def _network(tensors: Mapping[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    return {key[len(prefix) :]: value for key, value in tensors.items() if key.startswith(prefix)}


class LipStream:
    """Turns features into weights, 20 frames behind; block sizes do not affect the result."""

    def __init__(self, model: SpeechModel) -> None:
        self._model = model
        self._networks = [NetworkStream(tensors, model.layout) for tensors in model.networks]
        self._last: np.ndarray | None = None  # output at 50 Hz that the next row starts from
        self._taken = self._given = 0

    @property
    def states(self) -> Float32[np.ndarray, "frames D"]:
        """``[frames, D]`` hidden states of all networks in the last call, 25 a second."""
        return np.concatenate([net.states for net in self._networks], 1)

    def push(self, features: Float[np.ndarray, "frames 80"]) -> SpeechPrediction:
        """Take normalised features and return the rows they complete."""
        self._taken += len(features)
        return self._rows(_mean([net.push(features) for net in self._networks]), ended=False)

    def finish(self) -> SpeechPrediction:
        """The last rows; in total there is one per feature frame."""
        return self._rows(_mean([net.finish() for net in self._networks]), ended=True)

    def _rows(self, outputs: np.ndarray, ended: bool) -> SpeechPrediction:
        shapes = len(self._model.shapes)
        weights = self._model.restore(self._model.full(outputs[:, :shapes]))
        voice = 1.0 / (1.0 + np.exp(-outputs[:, shapes + HEADS.index("voice")]))
        rows = np.concatenate([weights, voice[:, None]], 1)
        if self._last is not None:
            rows = np.concatenate([self._last, rows])
        if len(rows):
            self._last = rows[-1:]
        # Between two outputs lies one row; the last output is the first of the next call.
        halves = 0.5 * (rows[:-1] + rows[1:])
        full = np.stack([rows[:-1], halves], 1).reshape(-1, rows.shape[1])
        if ended:
            held = np.repeat(rows[-1:], SUBFRAMES, axis=0)
            full = np.concatenate([full, held])[: self._taken - self._given]
        self._given += len(full)
        return SpeechPrediction(full[:, :-1].astype(np.float32), full[:, -1])


def _mean(outputs: Sequence[np.ndarray]) -> np.ndarray:
    return np.mean(outputs, axis=0)


def predict(model: SpeechModel, features: Float[np.ndarray, "frames 80"]) -> SpeechPrediction:
    """Expression over a whole recording, one row per feature frame."""
    stream = model.stream()
    parts = [stream.push(np.asarray(features).reshape(-1, N_MELS)), stream.finish()]
    return SpeechPrediction(
        np.concatenate([part.weights for part in parts]),
        np.concatenate([part.voice for part in parts]),
    )
