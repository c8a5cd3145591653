"""Training examples from real clips, synthetic speech and backgrounds, and batches of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from talkcli.speech.features import (
    FRAME_RATE,
    N_MELS,
    SAMPLE_RATE,
    LevelNormaliser,
    LogMelStream,
)
from talkcli.speech.vad import VoiceGate
from talkcli.train.expression import SPEECH_SHAPES, TrackedSpeech
from talkcli.train.speech.noise import augment, coloured_noise, music
from talkcli.train.speech.phonemes import SILENT, TARGETS, Utterance

#: Raw log-mel ``[F, 80]``, or whatever an example holds in its place, to features ``[F, C]``.
Normalise = Callable[[np.ndarray], np.ndarray]

#: Length of a batch row: 3 s of features, filled up with several clips where they are short.
ROW = 300
_FRAMES = 110  # at most this many video frames in a row
_ENOUGH = ROW - 40  # feature frames; a row this full takes no further clip
# Copies of a clip with steady noise, and with one of the augmentations of ``noise``, and how often
# each is drawn relative to the original. Without copies, held-out aperture r and closure AUC are
# .04 lower and clips with a noise floor get r .1 to .3; simulated vocal tracts, changed speeds and
# masked bands gained nothing.
_NOISY_COPIES, _AUGMENTED_COPIES = 2, 3
_COPY_ODDS = (1.0,) + (0.3,) * _NOISY_COPIES + (0.2,) * _AUGMENTED_COPIES
_CLOSED_SHARE, _CLOSED_CM = 0.15, 0.06  # of the clip's p90; lips that touch
_BACKGROUND_STEP = 4  # feature frames between the moments at which lips must be shut


@dataclass(frozen=True)
class TrainingExample:
    """Sound and what the lips do in it.

    Attributes:
        mels: raw log-mel ``[F, 80]`` of the clean recording, then of augmented copies.
        odds: relative chance of each copy to be drawn.
        voice: ``[F]`` whether somebody speaks, 0–1, from the clean recording.
        positions: ``[T]`` feature frame of every video frame.
        weights: ``[T, 15]`` of ``SPEECH_SHAPES`` at amplitude 1.
        sizes: ``[T, 2]`` lip aperture and width at amplitude 1, cm.
        closed: ``[T]`` 1 where lips touch.
        trust: ``[T]`` weight of the frame in the loss, 0 where nothing was measured.
        phonemes: ``[F, 10]`` of synthetic speech, see ``phonemes.TARGETS``; else zero.
        group: speaker; clips of one group may share a row.
        share: how often it is drawn, relative to its length.
    """

    mels: tuple[np.ndarray, ...]
    odds: tuple[float, ...]
    voice: np.ndarray
    positions: np.ndarray
    weights: np.ndarray
    sizes: np.ndarray
    closed: np.ndarray
    trust: np.ndarray
    phonemes: np.ndarray
    group: str
    share: float


@dataclass(frozen=True)
class Batch:
    """Rows of features with targets: ``B`` rows of at most ``M`` video frames.

    Attributes:
        features: ``[B, 300, C]``.
        positions: ``[B, M]`` feature frame in the row.
        weights: ``[B, M, 15]``.
        sizes: ``[B, M, 2]``.
        closed: ``[B, M]``.
        trust: ``[B, M]``, 0 in padding.
        example: ``[B, M]`` index of the example that a frame comes from.
        voice: ``[B, 150]`` at 50 Hz.
        phonemes: ``[B, 150, 10]`` at 50 Hz.
    """

    features: np.ndarray
    positions: np.ndarray
    weights: np.ndarray
    sizes: np.ndarray
    closed: np.ndarray
    trust: np.ndarray
    example: np.ndarray
    voice: np.ndarray
    phonemes: np.ndarray


def log_mel(pcm: np.ndarray) -> np.ndarray:
    """Raw log-mel ``[F, 80]`` float32 of a whole recording."""
    stream = LogMelStream()
    return np.concatenate([stream.push(pcm), stream.finish()]).astype(np.float32)


def normalised(raw: np.ndarray) -> np.ndarray:
    """Features ``[F, 80]`` of raw log-mel, as the stream computes them."""
    norm = LevelNormaliser()
    return np.concatenate([norm.push(raw), norm.finish()])


def voice_gate(raw: np.ndarray) -> np.ndarray:
    """Energy gate ``[F]`` of raw log-mel."""
    gate = VoiceGate()
    return np.concatenate([gate.push(raw.astype(np.float64)), gate.finish()])


def clip_example(
    track: TrackedSpeech,
    amplitude: float,
    share: float,
    voices: Sequence[np.ndarray],
    rng: np.random.Generator,
) -> TrainingExample:
    """The training example of a tracked clip.

    Args:
        track: the measured clip.
        amplitude: of the speaker, see ``speakers.speaker_amplitudes``.
        share: how often it is drawn, relative to its length.
        voices: recordings from which babble is mixed.
        rng: source of the augmented copies.
    """
    pcm = track.clip.pcm
    clean = log_mel(pcm)
    copies = [add_noise(clean, rng) for _ in range(_NOISY_COPIES)]
    copies += [log_mel(augment(pcm, voices, rng)) for _ in range(_AUGMENTED_COPIES)]
    wide = float(np.quantile(track.aperture[track.valid], 0.9))
    closed = track.aperture < max(_CLOSED_SHARE * wide, _CLOSED_CM)
    return TrainingExample(
        mels=(clean, *copies),
        odds=_COPY_ODDS,
        voice=voice_gate(clean).astype(np.float32),
        positions=track.clip.speech_times * FRAME_RATE,
        weights=track.weights / amplitude,
        sizes=np.stack([track.aperture, track.width], 1).astype(np.float32) / amplitude,
        closed=closed.astype(np.float32),
        trust=track.valid.astype(np.float32),
        phonemes=np.zeros((len(clean), len(TARGETS)), np.float32),
        group=track.clip.speaker,
        share=share,
    )


def utterance_example(spoken: Utterance) -> TrainingExample:
    """The training example of synthetic speech: phonemes, but no face."""
    clean = log_mel(spoken.pcm)
    phonemes = spoken.targets[: len(clean)]
    empty = np.zeros(0, np.float32)
    return TrainingExample(
        mels=(clean,),
        odds=(1.0,),
        voice=(1.0 - phonemes[:, SILENT]).astype(np.float32),
        positions=empty,
        weights=np.zeros((0, len(SPEECH_SHAPES)), np.float32),
        sizes=np.zeros((0, 2), np.float32),
        closed=empty,
        trust=empty,
        phonemes=phonemes,
        group=spoken.voice,
        share=1.0,
    )


def background_example(seconds: float, share: float, rng: np.random.Generator) -> TrainingExample:
    """Music or noise with nobody speaking: lips stay shut."""
    length = int(seconds * SAMPLE_RATE)
    made = (
        music(length, rng) if rng.random() < 0.6 else coloured_noise(length, rng.uniform(0, 2), rng)
    )
    pcm = made / max(float(np.std(made)), 1e-9) * 10.0 ** (rng.uniform(-50, -20) / 20.0)
    clean = log_mel(pcm.astype(np.float32))
    positions = np.arange(1.0, len(clean) - 1.0, _BACKGROUND_STEP)
    still = np.ones(len(positions), np.float32)
    return TrainingExample(
        mels=(clean, log_mel(augment(pcm, [pcm], rng))),
        odds=(1.0, 1.0),
        voice=np.zeros(len(clean), np.float32),
        positions=positions,
        weights=np.zeros((len(positions), len(SPEECH_SHAPES)), np.float32),
        sizes=np.zeros((len(positions), 2), np.float32),
        closed=still,
        trust=still,
        phonemes=np.zeros((len(clean), len(TARGETS)), np.float32),
        group="background",
        share=share,
    )


class Batcher:
    """Draws batches from examples.

    Args:
        examples: drawn in proportion to length times share, each in one of its copies.
        rng: source of every choice.
        normalise: turns what the examples hold into the network's inputs.
    """

    def __init__(
        self,
        examples: Sequence[TrainingExample],
        rng: np.random.Generator,
        normalise: Normalise = normalised,
    ) -> None:
        self._examples, self._rng = examples, rng
        # Half precision: in full, 25 minutes of clips in six copies take .3 GB in every worker.
        self._features = [
            [normalise(np.asarray(mel, np.float32)).astype(np.float16) for mel in example.mels]
            for example in examples
        ]
        weight = np.array([len(x.mels[0]) * x.share for x in examples], float)
        self._odds = weight / weight.sum()
        self._groups: dict[str, list[int]] = {}
        for index, example in enumerate(examples):
            self._groups.setdefault(example.group, []).append(index)

    def batch(self, rows: int) -> Batch:
        """Draw a batch."""
        shapes = len(SPEECH_SHAPES)
        batch = Batch(
            features=np.zeros((rows, ROW, self._features[0][0].shape[1]), np.float32),
            positions=np.zeros((rows, _FRAMES), np.float32),
            weights=np.zeros((rows, _FRAMES, shapes), np.float32),
            sizes=np.zeros((rows, _FRAMES, 2), np.float32),
            closed=np.zeros((rows, _FRAMES), np.float32),
            trust=np.zeros((rows, _FRAMES), np.float32),
            example=np.zeros((rows, _FRAMES), np.int64),
            voice=np.zeros((rows, ROW // 2), np.float32),
            phonemes=np.zeros((rows, ROW // 2, len(TARGETS)), np.float32),
        )
        for row in range(rows):
            index = int(self._rng.choice(len(self._examples), p=self._odds))
            group = self._groups[self._examples[index].group]
            filled = frames = 0
            while filled < _ENOUGH:
                used, count = self._place(batch, row, (filled, frames), index)
                filled, frames = filled + used, frames + count
                index = int(self._rng.choice(group))
        return batch

    def _place(self, batch: Batch, row: int, at: tuple[int, int], index: int) -> tuple[int, int]:
        """Copy one example into a row; ``at`` is its first free feature frame and video frame.

        Returns:
            How many feature frames and video frames were filled.
        """
        example, rng = self._examples[index], self._rng
        odds = np.array(example.odds)
        features = self._features[index][int(rng.choice(len(odds), p=odds / odds.sum()))]
        begin, first = at
        length = min(ROW - begin, len(features))
        start = int(rng.integers(len(features) - length + 1))
        batch.features[row, begin : begin + length] = features[start : start + length]
        half = np.arange(start, start + length)[::2]
        grid = slice((begin + 1) // 2, (begin + 1) // 2 + len(half))
        fits = batch.voice[row, grid].shape[0]
        batch.voice[row, grid] = example.voice[np.minimum(half, len(example.voice) - 1)][:fits]
        batch.phonemes[row, grid] = example.phonemes[half][:fits]
        places = example.positions - start
        seen = np.flatnonzero((places >= 0) & (places <= length - 1))[: _FRAMES - first]
        frames = slice(first, first + len(seen))
        batch.positions[row, frames] = places[seen] + begin
        batch.weights[row, frames] = example.weights[seen]
        batch.sizes[row, frames] = example.sizes[seen]
        batch.closed[row, frames] = example.closed[seen]
        batch.trust[row, frames] = example.trust[seen]
        batch.example[row, frames] = index
        return length, len(seen)


def over_bands(values: np.ndarray) -> np.ndarray:
    """``[80]``: a curve over the mel bands, interpolated between evenly spaced values ``[n]``."""
    return np.interp(np.arange(N_MELS), np.linspace(0, N_MELS - 1, len(values)), values)


def add_noise(raw: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Raw log-mel ``[F, 80]`` with steady coloured noise 3 to 25 dB below the loud parts."""
    loud = float(np.quantile(np.exp(raw).mean(1), 0.9))
    tilt = over_bands(rng.uniform(-12, 6, 6) - np.linspace(0, 12, 6))
    colour = 10.0 ** (tilt / 10.0)
    level = loud * 10.0 ** (-rng.uniform(3.0, 25.0) / 10.0) / colour.mean()
    # Power in a band of 25 ms of noise: the mean of two squares of normal deviates.
    noise = 0.5 * rng.standard_gamma(2.0, raw.shape)
    return np.log(np.exp(raw) + noise * level * colour).astype(np.float32)
