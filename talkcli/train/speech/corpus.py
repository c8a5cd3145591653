"""Everything the speech network learns from, gathered from a folder of clips."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from talkcli.errors import InputError
from talkcli.face.model import FaceModel
from talkcli.speech.features import SAMPLE_RATE
from talkcli.speech.network import Layout
from talkcli.train.clips import Clip, load_clips
from talkcli.train.expression import TrackedSpeech, solve_clips, speech_basis
from talkcli.train.speech import phonemes
from talkcli.train.speech.batches import (
    TrainingExample,
    background_example,
    clip_example,
    utterance_example,
)
from talkcli.train.speech.distillation import DistillationSettings, Sound, make_sound
from talkcli.train.speech.encoder import find_encoder
from talkcli.train.speech.encoder_features import COMPONENTS, EncoderFeatures
from talkcli.train.speech.noise import augment
from talkcli.train.speech.optimise import FitSettings, Report
from talkcli.train.speech.recordings import load_recordings, other_voices
from talkcli.train.speech.speakers import is_scored, speaker_amplitudes, speaker_folds

_SHORT_SHARE = 0.3  # clips of 1.2 s outnumber all others: each is drawn this much less often
_BACKGROUND_SHARE = 0.5  # without backgrounds, music opens the mouth in nearly all frames
#: Wider than 64 channels pays only with hours of sound to distil from: lips alone fill 64.
LAYOUT = Layout(width=128, dilations=(1, 1, 2, 4, 1, 2, 4), rights=(2, 1, 0, 0, 0, 0, 0))
TEACHER = FitSettings(steps=300)
STUDENT = FitSettings(steps=1000, rate=1e-3, spoken_rows=6, constraint=1.0)
# Synthetic speech is drawn less often; all other sound comes three times, two of them with the
# voice changed.
_SPOKEN_SHARE, _REVOICED = 0.2, 2
_FITTED = 220  # clips, evenly spread, that the encoder's principal components are found from


@dataclass(frozen=True)
class RecipeSettings:
    """What to train.

    Attributes:
        layout: sizes of the network.
        distillation: its first stage, imitating the speech encoder.
        student: its second stage, learning lips from clips and teachers.
        teacher: how each teacher is trained; the student learns their mean output.
        teachers: number of teachers.
        utterances: number of synthetic utterances.
        backgrounds: number of pieces of music and noise, 6 s each.
        encoder: file of the speech encoder; ``None`` takes the installed package's.
        jobs: networks trained at the same time, each on one core.
        free_only: learn from freely licensed clips alone, without recordings.
        seed: of everything random.
    """

    layout: Layout = LAYOUT
    distillation: DistillationSettings = field(default_factory=DistillationSettings)
    student: FitSettings = STUDENT
    teacher: FitSettings = TEACHER
    teachers: int = 3
    utterances: int = 700
    backgrounds: int = 150
    encoder: Path | None = None
    jobs: int = 2
    free_only: bool = False
    seed: int = 0


@dataclass(frozen=True)
class Corpus:
    """All training data.

    Attributes:
        tracks: measurements of every clip.
        examples: of every clip, in the same order.
        spoken: synthetic speech.
        backgrounds: music and noise, in which lips are shut.
        encoded: ``[T, 192]`` encoder features of every clip; empty where they are not needed.
        sounds: for distillation: recordings, and clips of people whose lips are not scored.
        recordings: number of sounds, the first ones, that come without video.
        folds: ``[clips]`` the fold of the cross-validation that holds the clip's speaker out.
        amplitudes: how widely each speaker opens the lips, relative to a typical one.
        basis: ``[15, 478, 3]`` displacements of ``SPEECH_SHAPES`` at weight 1, cm.
        kept: folder of finished networks, so that an interrupted run can go on.
    """

    tracks: Sequence[TrackedSpeech]
    examples: Sequence[TrainingExample]
    spoken: Sequence[TrainingExample]
    backgrounds: Sequence[TrainingExample]
    encoded: Sequence[np.ndarray]
    sounds: Sequence[Sound]
    recordings: int
    folds: np.ndarray
    amplitudes: dict[str, float]
    basis: np.ndarray
    kept: Path

    @property
    def scored(self) -> list[int]:
        """Indices of the clips that are long enough to be scored."""
        return [i for i, track in enumerate(self.tracks) if is_scored(track)]


def prepare(data: Path, cache: Path, settings: RecipeSettings, report: Report) -> Corpus:
    """Track, solve and encode every clip; synthesise speech.

    Raises:
        InputError: the folder has no list of clips, or a clip cannot be read.
        MissingDependencyError: espeak-ng or the speech encoder is not installed.
    """
    phonemes.check_espeak()
    encoder = find_encoder(settings.encoder)
    model = FaceModel.load()
    tracks = _tracks(data, cache, model, report)
    amplitudes = speaker_amplitudes(tracks)
    rng = np.random.default_rng(settings.seed)
    voices = [track.clip.pcm for track in tracks if _may_learn(track.clip, settings)]
    examples = _clip_examples(tracks, amplitudes, voices, rng)
    utterances = phonemes.utterances(settings.utterances, settings.seed)
    report(f"synthetic speech: {_minutes([u.pcm for u in utterances]):.0f} min")
    known = [x.mels[0] for x, track in zip(examples, tracks, strict=True) if is_scored(track)]
    recordings = [] if settings.free_only else load_recordings(data, known)
    report(f"{len(recordings)} recordings, {_minutes(recordings):.1f} min")
    fitted = voices[:: -(-len(voices) // _FITTED)]
    features = EncoderFeatures.fit(encoder, fitted, cache / "encoder")
    encoded = [_encoded(features, track, settings) for track in tracks]
    sounds = _sounds(features, recordings, _unscored(tracks, settings), rng)
    sounds += [
        make_sound(u.pcm, features.encode(u.pcm), [], rng, _SPOKEN_SHARE) for u in utterances
    ]
    report(f"{len(sounds)} sounds encoded with {encoder.name}")
    folds = speaker_folds(tracks)
    kept = cache / "networks"
    kept.mkdir(parents=True, exist_ok=True)
    return Corpus(
        tracks=tracks,
        examples=examples,
        spoken=[utterance_example(u) for u in utterances],
        backgrounds=[
            background_example(6.0, _BACKGROUND_SHARE, rng) for _ in range(settings.backgrounds)
        ],
        encoded=encoded,
        sounds=sounds,
        recordings=len(recordings),
        folds=np.array([folds[track.clip.speaker] for track in tracks]),
        amplitudes=amplitudes,
        basis=speech_basis(model),
        kept=kept,
    )


def learnable(corpus: Corpus, settings: RecipeSettings) -> list[int]:
    """Indices of the clips whose licence the settings allow to learn from."""
    return [i for i, track in enumerate(corpus.tracks) if _may_learn(track.clip, settings)]


def _may_learn(clip: Clip, settings: RecipeSettings) -> bool:
    return clip.free or not settings.free_only


def _tracks(data: Path, cache: Path, model: FaceModel, report: Report) -> list[TrackedSpeech]:
    def progress(done: int, total: int) -> None:
        if done % 50 == 0 or done == total:
            report(f"{done} of {total} clips tracked")

    tracks = solve_clips(load_clips(data, cache / "tracks", progress), model)
    if not tracks:
        raise InputError(f"no clip of {data} shows a face that can be followed")
    report(f"{len(tracks)} clips, {sum(track.seconds for track in tracks) / 60:.1f} min")
    return tracks


def _clip_examples(
    tracks: Sequence[TrackedSpeech],
    amplitudes: dict[str, float],
    voices: Sequence[np.ndarray],
    rng: np.random.Generator,
) -> list[TrainingExample]:
    return [
        clip_example(
            track,
            amplitudes[track.clip.speaker],
            1.0 if is_scored(track) else _SHORT_SHARE,
            voices,
            rng,
        )
        for track in tracks
    ]


def _encoded(
    features: EncoderFeatures, track: TrackedSpeech, settings: RecipeSettings
) -> np.ndarray:
    """Encoder features of a clip that is learnt from or scored, else none."""
    if is_scored(track) or _may_learn(track.clip, settings):
        return features.encode(track.clip.pcm)
    return np.zeros((0, COMPONENTS), np.float16)


def _unscored(tracks: Sequence[TrackedSpeech], settings: RecipeSettings) -> list[np.ndarray]:
    """The sound of people whose lips are not scored, so that every fold may use it."""
    scored = {track.clip.speaker for track in tracks if is_scored(track)}
    others = [track.clip for track in tracks if track.clip.speaker not in scored]
    return [clip.pcm for clip in others if _may_learn(clip, settings)]


def _sounds(
    features: EncoderFeatures,
    recordings: Sequence[np.ndarray],
    clips: Sequence[np.ndarray],
    rng: np.random.Generator,
) -> list[Sound]:
    """Sounds for distillation; the unchanged recordings come first."""
    sounds = [*recordings, *clips]
    voices = list(sounds)
    for _ in range(_REVOICED):
        sounds += other_voices(recordings, rng) + other_voices(clips, rng)
    return [
        make_sound(pcm, features.encode(pcm), [augment(pcm, voices, rng)], rng) for pcm in sounds
    ]


def _minutes(sounds: Sequence[np.ndarray]) -> float:
    return sum(map(len, sounds)) / SAMPLE_RATE / 60.0
