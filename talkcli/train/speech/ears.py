"""What teachers hear: the main directions of a speech encoder's hidden states, kept on disk."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from talkcli.files.atomic import staged_file
from talkcli.train.speech.encoder import SpeechEncoder

#: Directions that are kept. They hold 76 % of the variance; teachers that hear all 1152 values of
#: Whisper tiny.en fit the speakers that they know (held-out aperture r .75 instead of .78).
DIRECTIONS = 192
_EVERY = 4  # hidden states that the directions are found from


@dataclass(frozen=True)
class Ears:
    """A speech encoder and its main directions.

    Attributes:
        encoder: gives hidden states.
        mean: ``[C]`` of the hidden states.
        directions: ``[C, 192]``; what comes out has 1 as its mean variance.
        cache: folder where what was heard is kept.
        name: of encoder and directions, in the names of kept files.
    """

    encoder: SpeechEncoder
    mean: np.ndarray
    directions: np.ndarray
    cache: Path
    name: str

    @staticmethod
    def train(path: Path, sounds: Sequence[np.ndarray], cache: Path) -> Ears:
        """Find the main directions.

        Args:
            path: of the encoder.
            sounds: mono sound at 16 kHz.
            cache: folder, made when missing.

        Raises:
            InputError: the file holds no encoder.
        """
        cache.mkdir(parents=True, exist_ok=True)
        encoder = SpeechEncoder(path)
        digest = hashlib.sha256(path.read_bytes())
        for pcm in sounds:
            digest.update(pcm.tobytes())
        name = digest.hexdigest()[:12]
        store = cache / f"ears-{name}.npz"
        if not store.is_file():
            mean, directions = _main_directions(
                np.concatenate([encoder.hear(pcm)[::_EVERY] for pcm in sounds])
            )
            with staged_file(store) as stream:
                np.savez(stream, mean=mean, directions=directions)
        with np.load(store) as kept:
            return Ears(encoder, kept["mean"], kept["directions"], cache, name)

    def hear(self, pcm: np.ndarray) -> np.ndarray:
        """``[T, 192]`` float16, 50 a second, of mono sound at 16 kHz."""
        key = hashlib.sha256(pcm.tobytes()).hexdigest()[:16]
        store = self.cache / f"heard-{self.name}-{key}.npy"
        if not store.is_file():
            states = self.encoder.hear(pcm).astype(np.float32)
            with staged_file(store) as stream:
                np.save(stream, ((states - self.mean) @ self.directions).astype(np.float16))
        return np.asarray(np.load(store))


def _main_directions(states: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and directions: every state scaled to one, then rotated, then tamed.

    Divided by the root of its standard deviation, the first direction does not drown the others,
    nor does noise in the last ones come to count as much.
    """
    mean = states.mean(0, dtype=np.float32)
    scaled = states - mean
    spread = scaled.std(0) + 0.05
    scaled /= spread
    values, vectors = np.linalg.eigh(scaled.T @ scaled / len(scaled))
    values, vectors = values[::-1][:DIRECTIONS], vectors[:, ::-1][:, :DIRECTIONS]
    tamed = np.maximum(values, 1e-6) ** 0.25
    directions = vectors / tamed / np.sqrt((values / tamed**2).mean())
    return mean, (directions / spread[:, None]).astype(np.float32)
