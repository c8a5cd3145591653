"""The whole way from a folder of clips to shipped weights and their table of scores."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch

from talkcli.errors import InputError
from talkcli.motion.speech import SpeechModel, shape_columns
from talkcli.motion.speech_net import Layout
from talkcli.tracking.facemodel import FaceModel
from talkcli.train import phonemes
from talkcli.train.clips import load_clips
from talkcli.train.expression import (
    SPEECH_SHAPES,
    TrackedSpeech,
    lip_aperture,
    solve_clips,
    speech_basis,
)
from talkcli.train.recordings import load_recordings
from talkcli.train.self_training import recorded, softened
from talkcli.train.speakers import FOLDS, is_scored, speaker_amplitudes, speaker_folds
from talkcli.train.speech_data import Lesson, background_lesson, clip_lesson, utterance_lesson
from talkcli.train.speech_fit import FitSettings, LipSizes, at_frames, fit_network, outputs
from talkcli.train.speech_net import LipNet
from talkcli.types import ARKIT_NAMES

Report = Callable[[str], None]
#: ``[T, 15 + 2]`` network outputs, or ``[T, 15]`` weights, by index of the clip.
Predictions = dict[int, np.ndarray]

#: Deviations from the mean are stretched before the curve maps the aperture.
GAIN = 1.25
_CURVE_SHARES = (0.01, 0.05, 0.1, 0.2, 0.35, 0.5, 0.65, 0.8, 0.9, 0.95, 0.98, 0.995)
#: Beyond the last share the curve goes on at half its slope instead of a plateau.
_CURVE_TAIL_CM = (1.0, 0.5)
_SHORT_SHARE = 0.3  # clips of 1.2 s outnumber all others: each is drawn this much less often
_BACKGROUND_SHARE = 0.5  # music opens the mouth in 9 % of the frames; without, in nearly all
_SPEAKING = 0.5  # of the energy gate: frames that calibration looks at

#: Three teachers hear a stream, three the whole recording, as far ahead as it goes.
_FAR = Layout(stem_rights=(2, 2, 2), rights=(3, 3, 6, 6, 12))
TEACHERS = (FitSettings(),) * 3 + (FitSettings(whole=True, layout=_FAR),) * 3
STUDENT = FitSettings(steps=1000, spoken_rows=6, constraint=1.0)


@dataclass(frozen=True)
class RecipeSettings:
    """What to train.

    Attributes:
        fits: of each network; their outputs are averaged.
        teachers: of the networks whose mean output every network learns too; may be none.
        utterances: of synthetic speech.
        backgrounds: of music and noise, 6 s each.
        jobs: networks trained at once, each on one core.
        free_only: learn from freely licensed clips alone.
        seed: of everything.
    """

    fits: tuple[FitSettings, ...] = (STUDENT,) * 2
    teachers: tuple[FitSettings, ...] = TEACHERS
    utterances: int = 700
    backgrounds: int = 150
    jobs: int = 2
    free_only: bool = False
    seed: int = 0

    @property
    def teachers_in_use(self) -> tuple[FitSettings, ...]:
        """Teachers in use: of a dozen people without recordings they know no more than a pupil."""
        return () if self.free_only else self.teachers

    @property
    def layout(self) -> Layout:
        """Sizes that all networks share."""
        return self.fits[0].layout


@dataclass(frozen=True)
class Corpus:
    """Everything there is to learn from.

    Attributes:
        tracks: of every clip.
        lessons: of every clip, in the same order.
        spoken: synthetic speech.
        backgrounds: music and noise, in which lips are shut.
        recordings: raw log-mel ``[F, 80]`` of people without a picture.
        folds: ``[clips]`` which fold of the cross-validation holds a clip's speaker out.
        amplitudes: of each speaker.
        basis: ``[15, 478, 3]`` of ``SPEECH_SHAPES``.
        kept: where finished networks are kept, so that an interrupted run goes on.
    """

    tracks: Sequence[TrackedSpeech]
    lessons: Sequence[Lesson]
    spoken: Sequence[Lesson]
    backgrounds: Sequence[Lesson]
    recordings: Sequence[np.ndarray]
    folds: np.ndarray
    amplitudes: dict[str, float]
    basis: np.ndarray
    kept: Path

    @property
    def scored(self) -> list[int]:
        """Clips long enough to count in a score."""
        return [i for i, track in enumerate(self.tracks) if is_scored(track)]


@dataclass(frozen=True)
class Job:
    """One network to train: on these lessons, from this seed, after these teachers."""

    members: tuple[int, ...]
    settings: FitSettings
    seed: int
    teachers: tuple[Job, ...] = ()


def prepare(data: Path, cache: Path, settings: RecipeSettings, report: Report) -> Corpus:
    """Track, solve and listen to every clip; synthesise speech.

    Raises:
        InputError: the folder has no list of clips, or a clip cannot be read.
        MissingDependencyError: no espeak-ng on this machine.
    """
    phonemes.check_espeak()

    def progress(done: int, total: int) -> None:
        if done % 50 == 0 or done == total:
            report(f"{done} of {total} clips tracked")

    clips = load_clips(data, cache / "tracks", progress)
    model = FaceModel.load()
    tracks = solve_clips(clips, model)
    if not tracks:
        raise InputError(f"no clip of {data} shows a face that can be followed")
    amplitudes = speaker_amplitudes(tracks)
    rng = np.random.default_rng(settings.seed)
    voices = [track.clip.pcm for track in tracks if track.clip.free or not settings.free_only]
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
    report(f"{len(tracks)} clips, {sum(track.seconds for track in tracks) / 60:.1f} min")
    spoken = [utterance_lesson(u) for u in phonemes.utterances(settings.utterances, settings.seed)]
    report(f"synthetic speech: {sum(len(x.mels[0]) for x in spoken) / 6000:.0f} min")
    scored = [x.mels[0] for x, track in zip(lessons, tracks, strict=True) if is_scored(track)]
    recordings = [] if settings.free_only else load_recordings(data, scored)
    report(f"{len(recordings)} recordings, {sum(map(len, recordings)) / 6000:.1f} min")
    folds = speaker_folds(tracks)
    kept = cache / "networks"
    kept.mkdir(parents=True, exist_ok=True)
    return Corpus(
        tracks=tracks,
        lessons=lessons,
        spoken=spoken,
        backgrounds=[
            background_lesson(6.0, _BACKGROUND_SHARE, rng) for _ in range(settings.backgrounds)
        ],
        recordings=recordings,
        folds=np.array([folds[track.clip.speaker] for track in tracks]),
        amplitudes=amplitudes,
        basis=speech_basis(model),
        kept=kept,
    )


def learnable(corpus: Corpus, settings: RecipeSettings) -> list[int]:
    """Clips whose licence the settings allow to learn from."""
    return [i for i, track in enumerate(corpus.tracks) if track.clip.free or not settings.free_only]


def train(
    corpus: Corpus, groups: Sequence[Sequence[int]], settings: RecipeSettings, report: Report
) -> list[list[LipNet]]:
    """Networks for each group of clips, one of each kind."""
    jobs = []
    for group in groups:
        members = tuple(group)
        teachers = tuple(
            Job(members, fit, settings.seed + 10 + k)
            for k, fit in enumerate(settings.teachers_in_use)
        )
        jobs += [
            Job(members, fit, settings.seed + k, teachers) for k, fit in enumerate(settings.fits)
        ]
    taught = dict.fromkeys(teacher for job in jobs for teacher in job.teachers)
    for done, _ in enumerate(_states(corpus, list(taught), settings.jobs), 1):
        report(f"teacher {done} of {len(taught)} trained")
    nets = []
    for done, state in enumerate(_states(corpus, jobs, settings.jobs), 1):
        net = LipNet(settings.layout, len(SPEECH_SHAPES))
        net.load_state_dict(state)
        nets.append(net.eval())
        report(f"network {done} of {len(jobs)} trained")
    count = len(settings.fits)
    return [nets[k : k + count] for k in range(0, len(nets), count)]


def cross_validate(
    corpus: Corpus,
    settings: RecipeSettings,
    report: Report,
    share: float = 1.0,
) -> Predictions:
    """Held-out outputs of every scored clip, by networks that never heard its speaker.

    Args:
        corpus: all clips.
        settings: how; with ``free_only`` the networks learn from free clips alone.
        report: told of progress.
        share: of the clips to learn from, drawn at random.
    """
    rng = np.random.default_rng(settings.seed + 1)
    allowed = np.array(learnable(corpus, settings))
    groups = []
    for fold in range(FOLDS):
        others = allowed[corpus.folds[allowed] != fold]
        count = max(1, round(share * len(others)))
        groups.append(np.sort(rng.choice(others, count, replace=False)).tolist())
    networks = train(corpus, groups, settings, report)
    predictions = {}
    for i in corpus.scored:
        lesson = corpus.lessons[i]
        out = outputs(networks[int(corpus.folds[i])], settings.fits, lesson.mels[0])
        predictions[i] = at_frames(out, lesson.positions)
    return predictions


def calibrate(
    corpus: Corpus, held_out: Predictions, networks: Sequence[LipNet], settings: RecipeSettings
) -> SpeechModel:
    """The model to ship: networks, and what brings held-out predictions to natural size."""
    allowed = set(learnable(corpus, settings))
    known = [i for i in held_out if i in allowed]
    speaking = {
        i: corpus.tracks[i].valid & (voice_at(corpus.lessons[i]) > _SPEAKING) for i in known
    }
    mean = np.concatenate([corpus.lessons[i].weights[speaking[i]] for i in known]).mean(0)
    sides = np.array([len(shape_columns(name)) for name in SPEECH_SHAPES])
    straight = np.array([[-10.0, 10.0], [-10.0, 10.0]], np.float32)
    plain = SpeechModel(
        layout=settings.layout,
        networks=tuple(net.export() for net in networks),
        shapes=SPEECH_SHAPES,
        mean=np.zeros(len(ARKIT_NAMES)),
        gain=GAIN,
        aperture=np.zeros(len(ARKIT_NAMES)),
        curve=straight,
    )
    values = asdict(plain) | {
        "layout": plain.layout,
        "mean": plain.full(mean),
        "aperture": plain.full(lip_aperture(corpus.basis) / sides),
    }
    model = SpeechModel(**values)
    count = len(SPEECH_SHAPES)
    before = [model.plain_aperture(model.full(held_out[i][speaking[i], :count])) for i in known]
    after = [corpus.lessons[i].sizes[speaking[i], 0] for i in known]
    knots = np.array([np.quantile(np.concatenate(p), _CURVE_SHARES) for p in (before, after)])
    knots = np.maximum(knots, [[-np.inf], [0.0]])
    tail = knots[:, -1:] + np.array(_CURVE_TAIL_CM)[:, None]
    return SpeechModel(**(values | {"curve": np.concatenate([knots, tail], 1)}))


def voice_at(lesson: Lesson) -> np.ndarray:
    """Energy gate ``[T]`` at the video frames of a clip."""
    return np.interp(lesson.positions, np.arange(len(lesson.voice)), lesson.voice)


def _states(corpus: Corpus, jobs: Sequence[Job], workers: int) -> Iterable[dict[str, torch.Tensor]]:
    if workers < 2 or len(jobs) < 2:
        _adopt(corpus)
        yield from map(_train_one, jobs)
        return
    with ProcessPoolExecutor(workers, initializer=_adopt, initargs=(corpus,)) as pool:
        yield from pool.map(_train_one, jobs)


_adopted: list[Corpus] = []


def _adopt(corpus: Corpus) -> None:
    """Give a worker process the corpus once instead of with every job."""
    torch.set_num_threads(1)
    _adopted[:] = [corpus]


def _train_one(job: Job) -> dict[str, torch.Tensor]:
    from safetensors.torch import load_file

    (corpus,) = _adopted
    path = corpus.kept / f"net-{_fingerprint(corpus, job)}.safetensors"
    if not path.is_file():
        lessons = [corpus.lessons[i] for i in job.members]
        if job.teachers:
            lessons = _lessons_of_teachers(corpus, lessons, job)
        if job.settings.spoken_rows:
            lessons += corpus.backgrounds
        sizes = LipSizes.of(corpus.basis)
        net = fit_network(lessons, corpus.spoken, sizes, job.settings, job.seed)
        _write(path, net.state_dict())
    return load_file(path)


def _lessons_of_teachers(corpus: Corpus, lessons: Sequence[Lesson], job: Job) -> list[Lesson]:
    """Clips softened by the teachers, and recordings without a picture."""
    networks = []
    for teacher in job.teachers:
        net = LipNet(teacher.settings.layout, len(SPEECH_SHAPES))
        net.load_state_dict(_train_one(teacher))
        networks.append(net.eval())
    settings = [teacher.settings for teacher in job.teachers]

    def teach(raw: np.ndarray) -> np.ndarray:
        return outputs(networks, settings, raw)

    rng = np.random.default_rng(job.seed)
    soft = softened(lessons, teach, corpus.basis)
    return soft + recorded(corpus.recordings, teach, corpus.basis, rng)


def _write(path: Path, state: dict[str, torch.Tensor]) -> None:
    from safetensors.torch import save_file

    partial = path.with_suffix(".part")
    save_file({key: value.contiguous() for key, value in state.items()}, partial)
    partial.replace(path)


def _fingerprint(corpus: Corpus, job: Job) -> str:
    """Changes with what is learnt from and how."""
    digest = hashlib.sha256()
    for i in job.members:
        lesson = corpus.lessons[i]
        digest.update(lesson.group.encode())
        digest.update(np.ascontiguousarray(lesson.weights).tobytes())
        digest.update(np.ascontiguousarray(lesson.mels[0][::50]).tobytes())
    extra = [len(corpus.spoken), len(corpus.backgrounds), len(corpus.recordings)]
    own = [asdict(job.settings), job.seed, extra if job.settings.spoken_rows else 0]
    teachers = [_fingerprint(corpus, teacher) for teacher in job.teachers]
    digest.update(json.dumps([own, teachers]).encode())
    return digest.hexdigest()[:16]
