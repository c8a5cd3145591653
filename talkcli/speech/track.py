"""Expression, activity and emphasis of a recording over time, in bounded memory."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from talkcli.shapes import Float, Float32
from talkcli.speech.features import (
    FRAME_RATE,
    NAT_PER_DB,
    SAMPLE_RATE,
    LevelNormaliser,
    LogMelStream,
    frame_energy,
)
from talkcli.speech.model import WEIGHTS, SpeechPrediction, load_speech_model, weights_path
from talkcli.speech.states import StateWindows
from talkcli.speech.vad import VoiceGate
from talkcli.types import ARKIT_NAMES

_ACTIVITY_S = 0.6  # time constant with which activity follows speech
# Emphasis: loudness over 0.12 s relative to that over 3 s, from 0 at 2 dB to 1 at 8 dB.
_STRESS_S, _STRESS_MEAN_S = 0.12, 3.0
_STRESS_FROM_DB, _STRESS_FULL_DB = 2.0, 8.0
_STRESS_SOFT_S = 0.2  # brows take about this long to rise and fall
# Liveliness: deviation of the loudness over 0.12 s within 3 s, from 0 at 3.5 dB to 1 at 7.5 dB;
# half of the recordings at hand lie between 5.1 and 6.2 dB.
_FLAT_DB, _LIVELY_DB = 3.5, 7.5
# What is softer than the mean by this much is a pause within the speech; what is louder by as much
# is speech that begins.
_PAUSE_DB, _FORGET_S, _ATTACK_S = 12.0, 20.0, 0.3
# Probability of a voice below which lips are shut and above which they are free. At .1 and .35
# single frames of speech are lost: held-out aperture r .02 lower.
_NO_VOICE, _SURE_VOICE = 0.03, 0.12


@dataclass(frozen=True)
class SpeechRow:
    """What the sound asks of the face at one instant.

    Attributes:
        weights: lower-face expression, 0–1; zero in silence.
        activity: slow measure of speaking, 0–1.
        emphasis: stress in the voice, 0–1.
        liveliness: slow measure of how much the loudness varies, 0–1.
    """

    weights: Float[np.ndarray, " 52"]
    activity: float
    emphasis: float
    liveliness: float


_SILENT = SpeechRow(np.zeros(len(ARKIT_NAMES), np.float32), 0.0, 0.0, 0.0)


class SpeechTrack:
    """Expression, activity and emphasis of a recording at increasing times.

    Sound is read as far as the requested time needs (0.3 s beyond it) and past rows are dropped,
    so memory is bounded by one block.

    Args:
        audio_blocks: mono sound at 16 kHz, in blocks of any size.
        weights: name of a shipped speech model.
        states: whether :meth:`window` will be called.
    """

    def __init__(
        self,
        audio_blocks: Iterable[Float32[np.ndarray, " _"]],
        weights: str = WEIGHTS[0],
        *,
        states: bool = False,
    ) -> None:
        self._blocks = iter(_short_blocks(audio_blocks))
        self._mel, self._normaliser = LogMelStream(), LevelNormaliser()
        self._gate, self._lips = VoiceGate(), load_speech_model(weights_path(weights)).stream()
        # Avatars are fitted to the states of one model, whichever moves the lips.
        shared = self._lips if weights == WEIGHTS[0] else None
        self._states = StateWindows(shared) if states else None
        self._stress = _Stress()
        self._energies: deque[float] = deque()
        self._gates: deque[float] = deque()
        self._weights: deque[np.ndarray] = deque()
        self._voices: deque[float] = deque()
        self._rows: deque[SpeechRow] = deque()
        self._first = 0  # index of the oldest row that is kept
        self._activity = 0.0
        self._ended = False

    def at(self, time_s: float) -> SpeechRow:
        """The row at a time, interpolated between frames of 10 ms; silence beyond the end.

        Args:
            time_s: seconds from the start, not before the last time requested.
        """
        position = time_s * FRAME_RATE
        wanted = int(position)
        while not self._ended and self._first + len(self._rows) <= wanted + 1:
            self._pull()
        while self._rows and self._first < wanted:
            self._rows.popleft()
            self._first += 1
        # Past the end, activity decays as in a pause, slowly enough to hide the seam.
        before = self._rows[0] if self._rows else self._fading(wanted)
        after = self._rows[1] if len(self._rows) > 1 else self._fading(wanted + 1)
        share = position - wanted
        return SpeechRow(
            weights=before.weights + share * (after.weights - before.weights),
            activity=before.activity + share * (after.activity - before.activity),
            emphasis=before.emphasis + share * (after.emphasis - before.emphasis),
            liveliness=before.liveliness + share * (after.liveliness - before.liveliness),
        )

    def window(self, time_s: float) -> Float32[np.ndarray, "16 D"]:
        """``[16, D]`` the speech network's states around a time; see :mod:`talkcli.speech.states`.

        Args:
            time_s: as for :meth:`at`.
        """
        assert self._states is not None
        while not self._ended and not self._states.cover(time_s):
            self._pull()
        return self._states.at(time_s)

    def _fading(self, index: int) -> SpeechRow:
        """Silence after the last row, ``index`` frames from the start."""
        since = max(0, index - self._last)
        activity = self._activity * math.exp(-since / (_ACTIVITY_S * FRAME_RATE))
        return SpeechRow(_SILENT.weights, activity, 0.0, self._stress.liveliness)

    def _pull(self) -> None:
        block = next(self._blocks, None)
        if block is not None:
            self._take(self._mel.push(block))
        else:
            self._take(self._mel.finish())
            self._hear(self._normaliser.finish())
            self._keep(self._lips.finish())
            if self._states is not None:
                self._states.finish()
            self._gates.extend(self._gate.finish())
            self._ended = True
        self._join()

    def _take(self, log_mel: np.ndarray) -> None:
        self._energies.extend(frame_energy(log_mel).tolist())
        self._gates.extend(self._gate.push(log_mel))
        self._hear(self._normaliser.push(log_mel))

    def _hear(self, features: np.ndarray) -> None:
        self._keep(self._lips.push(features))
        if self._states is not None:
            self._states.push(features)

    def _keep(self, predicted: SpeechPrediction) -> None:
        self._weights.extend(predicted.weights)
        self._voices.extend(predicted.voice.tolist())

    def _join(self) -> None:
        """Make the rows for which energy, gate and lips are all known."""
        for _ in range(min(len(self._gates), len(self._weights))):
            gate = float(self._gates.popleft()) * trust_voice(self._voices.popleft())
            self._activity += (gate - self._activity) / (_ACTIVITY_S * FRAME_RATE)
            emphasis = self._stress.push(self._energies.popleft(), gate)
            weights, liveliness = gate * self._weights.popleft(), self._stress.liveliness
            self._rows.append(SpeechRow(weights, self._activity, emphasis, liveliness))

    @property
    def _last(self) -> int:
        return self._first + len(self._rows) - 1


def trust_voice(chance: float) -> float:
    """Factor on the lips for the network's voice output: 0 for noise, 1 for speech or music."""
    return min(max((chance - _NO_VOICE) / (_SURE_VOICE - _NO_VOICE), 0.0), 1.0)


class _Stress:
    """Smoothed loudness relative to that of the last seconds, 0–1, and how much it varies."""

    def __init__(self) -> None:
        self._quick = self._mean = math.nan
        self._value = 0.0
        self._square = (0.5 * (_FLAT_DB + _LIVELY_DB)) ** 2

    @property
    def liveliness(self) -> float:
        """How much the loudness of the last seconds of speech varied, 0–1."""
        deviation = math.sqrt(self._square)
        return min(max((deviation - _FLAT_DB) / (_LIVELY_DB - _FLAT_DB), 0.0), 1.0)

    def push(self, energy: float, gate: float) -> float:
        stress = 0.0
        if gate > 0.0:
            if math.isnan(self._mean):
                self._quick = self._mean = energy
            self._quick += (energy - self._quick) / (_STRESS_S * FRAME_RATE)
            louder = (self._quick - self._mean) / NAT_PER_DB
            self._follow(gate, louder)
            above = louder - _STRESS_FROM_DB
            stress = gate * min(max(above / (_STRESS_FULL_DB - _STRESS_FROM_DB), 0.0), 1.0)
        self._value += (stress - self._value) / (_STRESS_SOFT_S * FRAME_RATE)
        return self._value

    def _follow(self, gate: float, louder: float) -> None:
        """Move the mean towards the loudness; pauses within the speech hardly count."""
        seconds = _STRESS_MEAN_S if abs(louder) < _PAUSE_DB else _FORGET_S
        if louder >= _PAUSE_DB:
            seconds = _ATTACK_S
        elif louder > -_PAUSE_DB:
            self._square += gate * (louder**2 - self._square) / (_STRESS_MEAN_S * FRAME_RATE)
        self._mean += gate * (self._quick - self._mean) / (seconds * FRAME_RATE)


def _short_blocks(blocks: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    """Blocks of at most a second, since rows are made, and held, block by block."""
    for block in blocks:
        for start in range(0, len(block), SAMPLE_RATE):
            yield block[start : start + SAMPLE_RATE]
