"""Everything that the speech network learns from, gathered from a folder of clips."""

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
from talkcli.train.speech.batches import Lesson, background_lesson, clip_lesson, utterance_lesson
from talkcli.train.speech.ears import DIRECTIONS, Ears
from talkcli.train.speech.encoder import find_encoder
from talkcli.train.speech.listening import ListeningSettings, Sound, make_sound
from talkcli.train.speech.noise import spoil
from talkcli.train.speech.optimise import FitSettings, Report
from talkcli.train.speech.recordings import load_recordings, other_voices
from talkcli.train.speech.speakers import is_scored, speaker_amplitudes, speaker_folds

_SHORT_SHARE = 0.3  # clips of 1.2 s outnumber all others: each is drawn this much less often
_BACKGROUND_SHARE = 0.5  # without, music opens the mouth in nearly all frames
#: Wider than 64 channels only since hours of sound teach it to listen: lips alone fill 64.
LAYOUT = Layout(width=128, dilations=(1, 1, 2, 4, 1, 2, 4), rights=(2, 1, 0, 0, 0, 0, 0))
TEACHER = FitSettings(steps=300)
PUPIL = FitSettings(steps=1000, rate=1e-3, spoken_rows=6, constraint=1.0)
# Synthetic speech is drawn less often; all other sound comes three times, twice of them by other
# voices.
_SPOKEN_SHARE, _REVOICED = 0.2, 2
_SOME = 220  # clips, evenly spread, tell the main directions of what is heard


@dataclass(frozen=True)
class RecipeSettings:
    """What to train.

    Attributes:
        layout: of the network.
        listening: how it first learns to hear.
        pupil: how it then learns lips.
        teacher: how each of the teachers learns, whose mean output it learns too.
        teachers: how many.
        utterances: of synthetic speech.
        backgrounds: of music and noise, 6 s each.
        encoder: file of the speech encoder; ``None`` takes the installed package's.
        jobs: networks trained at once, each on one core.
        free_only: learn from freely licensed clips alone, without recordings.
        seed: of everything.
    """

    layout: Layout = LAYOUT
    listening: ListeningSettings = field(default_factory=ListeningSettings)
    pupil: FitSettings = PUPIL
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
    """Everything there is to learn from.

    Attributes:
        tracks: of every clip.
        lessons: of every clip, in the same order.
        spoken: synthetic speech.
        backgrounds: music and noise, in which lips are shut.
        heard: ``[T, 192]`` what teachers hear of every clip.
        sounds: to listen to: recordings, and clips of people whose lips are not scored.
        recordings: how many of the sounds, the first ones, have no picture.
        folds: ``[clips]`` which fold of the cross-validation holds a clip's speaker out.
        amplitudes: of each speaker.
        basis: ``[15, 478, 3]`` of ``SPEECH_SHAPES``.
        kept: where finished networks are kept, so that an interrupted run goes on.
    """

    tracks: Sequence[TrackedSpeech]
    lessons: Sequence[Lesson]
    spoken: Sequence[Lesson]
    backgrounds: Sequence[Lesson]
    heard: Sequence[np.ndarray]
    sounds: Sequence[Sound]
    recordings: int
    folds: np.ndarray
    amplitudes: dict[str, float]
    basis: np.ndarray
    kept: Path

    @property
    def scored(self) -> list[int]:
        """Clips long enough to count in a score."""
        return [i for i, track in enumerate(self.tracks) if is_scored(track)]


def prepare(data: Path, cache: Path, settings: RecipeSettings, report: Report) -> Corpus:
    """Track, solve and listen to every clip; synthesise speech.

    Raises:
        InputError: the folder has no list of clips, or a clip cannot be read.
        MissingDependencyError: no espeak-ng or no speech encoder on this machine.
    """
    phonemes.check_espeak()
    encoder = find_encoder(settings.encoder)
    model = FaceModel.load()
    tracks = _tracks(data, cache, model, report)
    amplitudes = speaker_amplitudes(tracks)
    rng = np.random.default_rng(settings.seed)
    voices = [track.clip.pcm for track in tracks if _may_learn(track.clip, settings)]
    lessons = [
        clip_lesson(
            track,
            amplitudes[track.clip.speaker],
            1.0 if is_scored(track) else _SHORT_SHARE,
            voices,
            rng,
        )
        for track in tracks
    ]
    utterances = phonemes.utterances(settings.utterances, settings.seed)
    report(f"synthetic speech: {_minutes([u.pcm for u in utterances]):.0f} min")
    known = [x.mels[0] for x, track in zip(lessons, tracks, strict=True) if is_scored(track)]
    recordings = [] if settings.free_only else load_recordings(data, known)
    report(f"{len(recordings)} recordings, {_minutes(recordings):.1f} min")
    ears = Ears.train(encoder, voices[:: -(-len(voices) // _SOME)], cache / "heard")
    deaf = np.zeros((0, DIRECTIONS), np.float16)
    heard = [
        ears.hear(track.clip.pcm) if is_scored(track) or _may_learn(track.clip, settings) else deaf
        for track in tracks
    ]
    sounds = _sounds(ears, recordings, _unscored(tracks, settings), rng)
    sounds += [make_sound(u.pcm, ears.hear(u.pcm), [], rng, _SPOKEN_SHARE) for u in utterances]
    report(f"{len(sounds)} sounds heard through {encoder.name}")
    folds = speaker_folds(tracks)
    kept = cache / "networks"
    kept.mkdir(parents=True, exist_ok=True)
    return Corpus(
        tracks=tracks,
        lessons=lessons,
        spoken=[utterance_lesson(u) for u in utterances],
        backgrounds=[
            background_lesson(6.0, _BACKGROUND_SHARE, rng) for _ in range(settings.backgrounds)
        ],
        heard=heard,
        sounds=sounds,
        recordings=len(recordings),
        folds=np.array([folds[track.clip.speaker] for track in tracks]),
        amplitudes=amplitudes,
        basis=speech_basis(model),
        kept=kept,
    )


def learnable(corpus: Corpus, settings: RecipeSettings) -> list[int]:
    """Clips whose licence the settings allow to learn from."""
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


def _unscored(tracks: Sequence[TrackedSpeech], settings: RecipeSettings) -> list[np.ndarray]:
    """The sound of people whose lips are not scored, so that all folds may hear it."""
    scored = {track.clip.speaker for track in tracks if is_scored(track)}
    others = [track.clip for track in tracks if track.clip.speaker not in scored]
    return [clip.pcm for clip in others if _may_learn(clip, settings)]


def _sounds(
    ears: Ears,
    recordings: Sequence[np.ndarray],
    clips: Sequence[np.ndarray],
    rng: np.random.Generator,
) -> list[Sound]:
    """Sounds to listen to, the recordings as they are first."""
    sounds = [*recordings, *clips]
    voices = list(sounds)
    for _ in range(_REVOICED):
        sounds += other_voices(recordings, rng) + other_voices(clips, rng)
    return [make_sound(pcm, ears.hear(pcm), [spoil(pcm, voices, rng)], rng) for pcm in sounds]


def _minutes(sounds: Sequence[np.ndarray]) -> float:
    return sum(map(len, sounds)) / SAMPLE_RATE / 60.0
