"""Features for the teachers: principal components of a speech encoder's states, cached on disk."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from talkcli.files.atomic import staged_file
from talkcli.train.speech.encoder import SpeechEncoder

#: Components that are kept. They hold 76 % of the variance; teachers given all 1152 values of
#: Whisper tiny.en overfit to the speakers they know (held-out aperture r .75 instead of .78).
COMPONENTS = 192
_EVERY = 4  # every fourth hidden state goes into the fit


@dataclass(frozen=True)
class EncoderFeatures:
    """A speech encoder followed by a projection onto principal components.

    Attributes:
        encoder: gives hidden states.
        mean: ``[C]`` mean hidden state.
        components: ``[C, 192]`` projection; its outputs have mean variance 1.
        cache: folder where features are kept.
        name: identifies encoder and components in the names of cached files.
    """

    encoder: SpeechEncoder
    mean: np.ndarray
    components: np.ndarray
    cache: Path
    name: str

    @staticmethod
    def fit(path: Path, sounds: Sequence[np.ndarray], cache: Path) -> EncoderFeatures:
        """Find the principal components, or read them from the cache.

        Args:
            path: the encoder's file.
            sounds: ``[n]`` mono sound at 16 kHz each.
            cache: folder, created if missing.

        Raises:
            InputError: the file holds no encoder.
        """
        cache.mkdir(parents=True, exist_ok=True)
        encoder = SpeechEncoder(path)
        digest = hashlib.sha256(path.read_bytes())
        for pcm in sounds:
            digest.update(pcm.tobytes())
        name = digest.hexdigest()[:12]
        store = cache / f"components-{name}.npz"
        if not store.is_file():
            mean, components = _principal_components(
                np.concatenate([encoder.encode(pcm)[::_EVERY] for pcm in sounds])
            )
            with staged_file(store) as stream:
                np.savez(stream, mean=mean, components=components)
        with np.load(store) as kept:
            return EncoderFeatures(encoder, kept["mean"], kept["components"], cache, name)

    def encode(self, pcm: np.ndarray) -> np.ndarray:
        """``[T, 192]`` float16 features, 50 per second, of mono sound ``[n]`` at 16 kHz."""
        key = hashlib.sha256(pcm.tobytes()).hexdigest()[:16]
        store = self.cache / f"features-{self.name}-{key}.npy"
        if not store.is_file():
            states = self.encoder.encode(pcm).astype(np.float32)
            with staged_file(store) as stream:
                np.save(stream, ((states - self.mean) @ self.components).astype(np.float16))
        return np.asarray(np.load(store))


def _principal_components(states: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and components: states are standardised, rotated, then partly whitened.

    Each component is divided by the square root of its standard deviation. Unscaled, the first one
    would drown the others; fully whitened, the noise in the last ones would count as much.
    """
    mean = states.mean(0, dtype=np.float32)
    scaled = states - mean
    spread = scaled.std(0) + 0.05
    scaled /= spread
    values, vectors = np.linalg.eigh(scaled.T @ scaled / len(scaled))
    values, vectors = values[::-1][:COMPONENTS], vectors[:, ::-1][:, :COMPONENTS]
    divisor = np.maximum(values, 1e-6) ** 0.25
    components = vectors / divisor / np.sqrt((values / divisor**2).mean())
    return mean, (components / spread[:, None]).astype(np.float32)
