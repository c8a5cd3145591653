"""What the network learns from: real clips and synthetic speech, cut into noisy batches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from talkcli.motion.features import (
    FRAME_RATE,
    N_MELS,
    LevelNormaliser,
    LogMelStream,
    mel_centres,
)
from talkcli.motion.vad import VoiceGate
from talkcli.train.expression import SPEECH_SHAPES, TrackedSpeech
from talkcli.train.noise import coloured_noise, music, spoil
from talkcli.train.phonemes import SILENT, Utterance

#: A row of a batch: 3 s of features, filled with several clips where they are short.
ROW = 300
_FRAMES = 110  # at most this many video frames in a row
_SPEED = 0.15  # ± log speed
_SPOILT_COPIES = 3
# Shares of the draws that take the recording as it is, and with its spectrum bent alone. With half
# of the draws changed, held-out aperture r on clean recordings is .03 lower.
_PLAIN_SHARE, _CLEAN_SHARE = 0.85, 0.05
_CLOSED_SHARE, _CLOSED_CM = 0.15, 0.06  # of the clip's p90; lips that touch


@dataclass(frozen=True)
class Lesson:
    """Sound, and what lips do in it.

    Attributes:
        mels: raw log-mel ``[F, 80]`` of the clean recording, then of spoilt copies.
        voice: ``[F]`` whether somebody speaks, 0–1, from the clean recording.
        positions: ``[T]`` feature frame of every video frame.
        weights: ``[T, 15]`` of ``SPEECH_SHAPES`` at amplitude 1.
        sizes: ``[T, 2]`` lip aperture and width at amplitude 1, cm.
        closed: ``[T]`` 1 where lips touch.
        trust: ``[T]`` weight of the frame, 0 where nothing was measured.
        phonemes: ``[F, 10]`` of synthetic speech, see ``phonemes.TARGETS``.
        group: clips of one group (speaker) may share a row.
        share: how often it is drawn, times its length.
    """

    mels: tuple[np.ndarray, ...]
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
    """Rows of features with targets; ``B`` rows, ``M`` frames at most in each.

    Attributes:
        features: ``[B, 300, 80]``.
        positions: ``[B, M]`` feature frame in the row.
        weights: ``[B, M, 15]``.
        sizes: ``[B, M, 2]``.
        closed: ``[B, M]``.
        trust: ``[B, M]``, 0 in padding.
        lesson: ``[B, M]`` which clip a frame comes from.
        voice: ``[B, 150]`` at 50 Hz.
        phonemes: ``[B, 150, 10]`` at 50 Hz.
    """

    features: np.ndarray
    positions: np.ndarray
    weights: np.ndarray
    sizes: np.ndarray
    closed: np.ndarray
    trust: np.ndarray
    lesson: np.ndarray
    voice: np.ndarray
    phonemes: np.ndarray


def log_mel(pcm: np.ndarray) -> np.ndarray:
    """Raw log-mel ``[F, 80]`` float32 of a whole recording."""
    stream = LogMelStream()
    return np.concatenate([stream.push(pcm), stream.finish()]).astype(np.float32)


def normalised(raw: np.ndarray) -> np.ndarray:
    """Features ``[F, 80]`` of raw log-mel, as a stream makes them."""
    norm = LevelNormaliser()
    return np.concatenate([norm.push(raw), norm.finish()])


def voice_gate(raw: np.ndarray) -> np.ndarray:
    """Energy gate ``[F]`` of raw log-mel."""
    gate = VoiceGate()
    return np.concatenate([gate.push(raw.astype(np.float64)), gate.finish()])


def clip_lesson(
    track: TrackedSpeech,
    amplitude: float,
    share: float,
    voices: Sequence[np.ndarray],
    rng: np.random.Generator,
) -> Lesson:
    """A tracked clip.

    Args:
        track: what was measured.
        amplitude: of the speaker.
        share: how often it is drawn.
        voices: recordings for babble.
        rng: of the spoilt copies.
    """
    pcm = track.clip.pcm
    clean = log_mel(pcm)
    copies = [log_mel(spoil(pcm, voices, rng)) for _ in range(_SPOILT_COPIES)]
    wide = float(np.quantile(track.aperture[track.valid], 0.9))
    closed = track.aperture < max(_CLOSED_SHARE * wide, _CLOSED_CM)
    return Lesson(
        mels=(clean, *copies),
        voice=voice_gate(clean).astype(np.float32),
        positions=track.clip.speech_times * FRAME_RATE,
        weights=track.weights / amplitude,
        sizes=np.stack([track.aperture, track.width], 1).astype(np.float32) / amplitude,
        closed=closed.astype(np.float32),
        trust=track.valid.astype(np.float32),
        phonemes=np.zeros((len(clean), 10), np.float32),
        group=track.clip.speaker,
        share=share,
    )


def utterance_lesson(
    spoken: Utterance, voices: Sequence[np.ndarray], rng: np.random.Generator
) -> Lesson:
    """Synthetic speech: phonemes, but no face."""
    clean = log_mel(spoken.pcm)
    empty = np.zeros(0, np.float32)
    return Lesson(
        mels=(clean, log_mel(spoil(spoken.pcm, voices, rng))),
        voice=(1.0 - spoken.targets[: len(clean), SILENT]).astype(np.float32),
        positions=empty,
        weights=np.zeros((0, len(SPEECH_SHAPES)), np.float32),
        sizes=np.zeros((0, 2), np.float32),
        closed=empty,
        trust=empty,
        phonemes=spoken.targets[: len(clean)],
        group=spoken.voice,
        share=1.0,
    )


def background_lesson(seconds: float, rng: np.random.Generator) -> Lesson:
    """Music or noise without anybody speaking: lips stay shut."""
    length = int(seconds * 16000)
    made = (
        music(length, rng) if rng.random() < 0.6 else coloured_noise(length, rng.uniform(0, 2), rng)
    )
    pcm = made / max(float(np.std(made)), 1e-9) * 10.0 ** (rng.uniform(-50, -20) / 20.0)
    silent = np.zeros((length // 160 + 1, 10), np.float32)
    silent[:, SILENT] = 1.0
    return utterance_lesson(Utterance("background", pcm.astype(np.float32), silent), [pcm], rng)


class Batcher:
    """Draws rows from lessons, with features that are spoilt anew now and then.

    Args:
        lessons: to draw from, by length times share.
        rng: of every choice.
        augment: whether to spoil at all.
    """

    def __init__(
        self, lessons: Sequence[Lesson], rng: np.random.Generator, augment: bool = True
    ) -> None:
        self._lessons, self._rng, self._augment = lessons, rng, augment
        weight = np.array([len(x.mels[0]) * x.share for x in lessons], float)
        self._odds = weight / weight.sum()
        self._groups: dict[str, list[int]] = {}
        for index, lesson in enumerate(lessons):
            self._groups.setdefault(lesson.group, []).append(index)
        self._plain = np.ones(len(lessons), bool)
        self._features = [self._draw(k) for k in range(len(lessons))]

    def refresh(self, share: float) -> None:
        """Spoil a random share of the lessons anew."""
        for index in np.flatnonzero(self._rng.random(len(self._lessons)) < share):
            self._features[index] = self._draw(int(index))

    def _draw(self, index: int) -> np.ndarray:
        lesson, chance = self._lessons[index], self._rng.random()
        self._plain[index] = not self._augment or chance < _PLAIN_SHARE
        if self._plain[index]:
            return normalised(lesson.mels[0])
        clean = chance < _PLAIN_SHARE + _CLEAN_SHARE
        pick = 0 if clean else int(self._rng.integers(1, len(lesson.mels)))
        return normalised(spoil_mel(lesson.mels[pick], self._rng))

    def batch(self, rows: int) -> Batch:
        """Draw a batch."""
        shapes = len(SPEECH_SHAPES)
        batch = Batch(
            features=np.zeros((rows, ROW, N_MELS), np.float32),
            positions=np.zeros((rows, _FRAMES), np.float32),
            weights=np.zeros((rows, _FRAMES, shapes), np.float32),
            sizes=np.zeros((rows, _FRAMES, 2), np.float32),
            closed=np.zeros((rows, _FRAMES), np.float32),
            trust=np.zeros((rows, _FRAMES), np.float32),
            lesson=np.zeros((rows, _FRAMES), np.int64),
            voice=np.zeros((rows, ROW // 2), np.float32),
            phonemes=np.zeros((rows, ROW // 2, 10), np.float32),
        )
        for row in range(rows):
            index = int(self._rng.choice(len(self._lessons), p=self._odds))
            group = self._groups[self._lessons[index].group]
            filled = frames = 0
            while filled < ROW - 40:
                used, count = self._place(batch, row, (filled, frames), index)
                filled, frames = filled + used, frames + count
                index = int(self._rng.choice(group))
        return batch

    def _place(self, batch: Batch, row: int, at: tuple[int, int], index: int) -> tuple[int, int]:
        """One clip into the row from feature frame and video frame ``at`` on."""
        lesson, rng = self._lessons[index], self._rng
        features = self._features[index]
        plain = self._plain[index]
        speed = 1.0 if plain else float(np.exp(rng.uniform(-_SPEED, _SPEED)))
        begin, first = at
        room = ROW - begin
        start = rng.uniform(0.0, max(len(features) - room * speed, 0.0) + 1e-6)
        length = min(room, max(int((len(features) - 1 - start) / speed), 1))
        where = start + speed * np.arange(length)
        low = np.minimum(where.astype(int), len(features) - 2)
        part = (where - low)[:, None].astype(np.float32)
        block = features[low] * (1 - part) + features[low + 1] * part
        if not plain:
            block = hide_parts(block, rng)
        batch.features[row, begin : begin + length] = block
        half = low[::2]
        grid = slice((begin + 1) // 2, (begin + 1) // 2 + len(half))
        fits = batch.voice[row, grid].shape[0]
        batch.voice[row, grid] = lesson.voice[np.minimum(half, len(lesson.voice) - 1)][:fits]
        batch.phonemes[row, grid] = lesson.phonemes[half][:fits]
        places = (lesson.positions - start) / speed
        seen = np.flatnonzero((places >= 0) & (places <= length - 1))[: _FRAMES - first]
        frames = slice(first, first + len(seen))
        batch.positions[row, frames] = places[seen] + begin
        batch.weights[row, frames] = lesson.weights[seen]
        batch.sizes[row, frames] = lesson.sizes[seen]
        batch.closed[row, frames] = lesson.closed[seen]
        batch.trust[row, frames] = lesson.trust[seen]
        batch.lesson[row, frames] = index
        return length, len(seen)


def spoil_mel(raw: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Another vocal tract, another room, another level: random changes of raw log-mel ``[F, 80]``.

    Frequencies are stretched by up to 10 %, the spectrum is bent by up to 4 dB, steady noise comes
    in 10–40 dB below the speech.
    """
    mel = raw
    if rng.random() < 0.7:
        hertz = mel_centres()
        at = np.interp(hertz * np.exp(rng.uniform(-0.1, 0.1)), hertz, np.arange(N_MELS))
        low = np.minimum(at.astype(int), N_MELS - 2)
        part = (at - low).astype(np.float32)
        mel = mel[:, low] * (1 - part) + mel[:, low + 1] * part
    knots = np.linspace(0, N_MELS - 1, 6)
    bend = np.interp(np.arange(N_MELS), knots, rng.uniform(-4.0, 4.0, 6))
    mel = mel + (bend + rng.uniform(-3.0, 3.0)).astype(np.float32) * 0.2303
    if rng.random() < 0.3:
        loud = float(np.quantile(np.exp(mel).mean(1), 0.9))
        tilt = np.interp(np.arange(N_MELS), knots, rng.uniform(-12, 6, 6) - np.linspace(0, 10, 6))
        colour = 10.0 ** (tilt / 10.0)
        level = loud * 10.0 ** (-rng.uniform(10.0, 40.0) / 10.0) / colour.mean()
        noise = rng.standard_gamma(2.0, mel.shape).astype(np.float32) * 0.5
        mel = np.log(np.exp(mel) + noise * (level * colour).astype(np.float32))
    return mel


def hide_parts(features: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Two bands and two moments set to the mean (Park et al. 2019, SpecAugment)."""
    out = features.copy()
    for _ in range(2):
        width = rng.integers(0, 12)
        begin = rng.integers(0, N_MELS - width)
        out[:, begin : begin + width] = 0.0
        width = min(int(rng.integers(0, 14)), len(out) - 1)
        begin = rng.integers(0, len(out) - width)
        out[begin : begin + width] = 0.0
    return out
