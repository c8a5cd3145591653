"""From a corpus to shipped weights: distillation, teachers, students, natural size."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch

from talkcli.files.atomic import staged_file
from talkcli.speech.model import SpeechModel
from talkcli.train.expression import SPEECH_SHAPES, lip_aperture
from talkcli.train.speech.batches import TrainingExample, normalised
from talkcli.train.speech.corpus import Corpus, RecipeSettings, learnable
from talkcli.train.speech.distillation import distil
from talkcli.train.speech.lags import with_lags, wrong_lags
from talkcli.train.speech.natural_size import natural_size, speakers_of
from talkcli.train.speech.network import LipNet
from talkcli.train.speech.optimise import LipSizes, Report, at_frames, fit_network, outputs
from talkcli.train.speech.self_training import Teach, recording_examples, soften_targets
from talkcli.train.speech.speakers import FOLDS
from talkcli.train.speech.teachers import TeacherNet, at_features, encoded_examples
from talkcli.types import ARKIT_NAMES, shape_columns

#: ``[T, 15 + 2]`` network outputs or ``[T, 15]`` weights by index of the clip, at the video frames
#: unless said to be at 50 Hz.
Predictions = dict[int, np.ndarray]

_SPEAKING = 0.5  # calibration uses frames whose energy gate is above this
_POLL_S = 2.0  # how often finished networks are looked for
_DISTILLATION_DROPOUT = 0.1


@dataclass(frozen=True)
class Job:
    """A student to train, with teachers of the same clips.

    Attributes:
        members: indices of the clips.
        settings: how.
        seed: of the network and its batches.
    """

    members: tuple[int, ...]
    settings: RecipeSettings
    seed: int


def train(
    corpus: Corpus, groups: Sequence[Sequence[int]], settings: RecipeSettings, report: Report
) -> list[LipNet]:
    """Train a network on each group of clips; finished ones are read from ``corpus.kept``."""
    _distil_once(corpus, settings, report)
    jobs = [Job(tuple(group), settings, settings.seed) for group in groups]

    def progress(done: int) -> None:
        report(f"network {done} of {len(jobs)} trained")

    _run_jobs(corpus, jobs, settings.jobs, progress)
    return [_load_student(corpus, job) for job in jobs]


def cross_validate(corpus: Corpus, settings: RecipeSettings, report: Report) -> Predictions:
    """Held-out outputs of every scored clip, by networks that never met its speaker.

    Args:
        corpus: all clips.
        settings: how; with ``free_only`` the networks learn from free clips only.
        report: called with lines of progress.

    Returns:
        Outputs at 50 Hz, see :func:`on_frames`.
    """
    networks = train(corpus, _others(corpus, settings, 1.0), settings, report)
    predictions = {}
    for i in corpus.scored:
        net = networks[int(corpus.folds[i])]
        predictions[i] = outputs([net], normalised(corpus.examples[i].mels[0]))
    return predictions


def cross_validate_teachers(
    corpus: Corpus, settings: RecipeSettings, report: Report, share: float
) -> Predictions:
    """Like :func:`cross_validate`, with teachers trained on a random share of the clips.

    They bound what the shipped network can learn about lips, and train in a minute.
    """
    predictions: Predictions = {}
    with _one_thread():
        for fold, members in enumerate(_others(corpus, settings, share)):
            teach = _teachers(corpus, Job(tuple(members), settings, settings.seed))
            held_out = [i for i in corpus.scored if corpus.folds[i] == fold]
            predictions |= {i: teach(corpus.encoded[i]) for i in held_out}
            report(f"teachers of {share:.0%} of the clips: {fold + 1} of {FOLDS} trained")
    return predictions


def on_frames(corpus: Corpus, predictions: Predictions) -> Predictions:
    """Outputs at 50 Hz interpolated at the video frames of their clips."""
    return {i: at_frames(out, corpus.examples[i].positions) for i, out in predictions.items()}


def correct_lags(corpus: Corpus, settings: RecipeSettings, report: Report) -> Corpus:
    """The corpus with lags corrected where single teachers clearly contradict the listed ones."""
    taught = cross_validate_teachers(corpus, replace(settings, teachers=1), report, 1.0)
    lags = wrong_lags(corpus, taught)
    for i, lag in lags.items():
        clip = corpus.tracks[i].clip
        report(f"{clip.name}: listed with a lag of {clip.lag_s:.2f} s, taken with {lag:.2f} s")
    return with_lags(corpus, lags)


def _others(corpus: Corpus, settings: RecipeSettings, share: float) -> list[list[int]]:
    """For every fold, a random share of the clips of other speakers."""
    rng = np.random.default_rng(settings.seed + 1)
    allowed = np.array(learnable(corpus, settings))
    groups = []
    for fold in range(FOLDS):
        others = allowed[corpus.folds[allowed] != fold]
        count = max(1, round(share * len(others)))
        groups.append(np.sort(rng.choice(others, count, replace=False)).tolist())
    return groups


def calibrate(
    corpus: Corpus, held_out: Predictions, network: LipNet, settings: RecipeSettings
) -> SpeechModel:
    """The model to ship: the network and the mapping of held-out predictions to natural size."""
    allowed = set(learnable(corpus, settings))
    known = [i for i in held_out if i in allowed]
    speaking = [corpus.tracks[i].valid & (voice_at(corpus.examples[i]) > _SPEAKING) for i in known]
    sides = np.array([len(shape_columns(name)) for name in SPEECH_SHAPES])
    straight = np.array([[-10.0, 10.0], [-10.0, 10.0]], np.float32)
    plain = SpeechModel(
        layout=settings.layout,
        networks=(network.export(),),
        shapes=SPEECH_SHAPES,
        maps=np.repeat(straight[None], len(SPEECH_SHAPES), axis=0),
        aperture=np.zeros(len(ARKIT_NAMES)),
        curve=straight,
    )
    model = replace(plain, aperture=plain.full(lip_aperture(corpus.basis) / sides))
    outputs = [
        held_out[i][flags, : len(SPEECH_SHAPES)] for i, flags in zip(known, speaking, strict=True)
    ]
    return natural_size(model, outputs, speakers_of([corpus.tracks[i] for i in known], speaking))


def voice_at(example: TrainingExample) -> np.ndarray:
    """Energy gate ``[T]`` at the video frames of a clip."""
    return np.interp(example.positions, np.arange(len(example.voice)), example.voice)


def _run_jobs(
    corpus: Corpus, jobs: Sequence[Job], workers: int, progress: Callable[[int], None]
) -> None:
    """Train every student that is not finished, on ``workers`` processes of one thread each."""
    if workers < 2 or len(jobs) < 2:
        for done, job in enumerate(jobs, 1):
            _train_students(corpus, [job])
            progress(done)
        return
    paths = [_student_path(corpus, job) for job in jobs]
    # Each worker gets a fixed share, so that the corpus (about 1 GB) is sent once per worker.
    with ProcessPoolExecutor(workers) as pool:
        pending = {pool.submit(_train_students, corpus, jobs[k::workers]) for k in range(workers)}
        told = 0
        while pending or told < len(jobs):
            finished, pending = wait(pending, timeout=_POLL_S)
            for future in finished:
                future.result()
            done = sum(path.is_file() for path in paths)
            for count in range(told + 1, done + 1):
                progress(count)
            told = done


def _train_students(corpus: Corpus, jobs: Sequence[Job]) -> None:
    with _one_thread():
        for job in jobs:
            path = _student_path(corpus, job)
            if not path.is_file():
                _write(path, _train_student(corpus, job).state_dict())


@contextmanager
def _one_thread() -> Iterator[None]:
    """Torch on one thread: these networks are too small to share, and workers fill the cores."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _train_student(corpus: Corpus, job: Job) -> LipNet:
    from safetensors.torch import load_file

    settings = job.settings
    examples = [corpus.examples[i] for i in job.members]
    encoded = [corpus.encoded[i] for i in job.members]
    teach = _teachers(corpus, job)
    learnt = soften_targets(examples, encoded, teach, corpus.basis)
    learnt += recording_examples(corpus.sounds[: corpus.recordings], teach, corpus.basis)
    learnt += corpus.backgrounds
    net = LipNet(settings.layout, len(SPEECH_SHAPES))
    net.load_state_dict(load_file(_distilled_path(corpus, settings)))
    sizes = LipSizes.of(corpus.basis)
    return fit_network(net, learnt, corpus.spoken, sizes, settings.student, job.seed)


def _load_student(corpus: Corpus, job: Job) -> LipNet:
    from safetensors.torch import load_file

    net = LipNet(job.settings.layout, len(SPEECH_SHAPES))
    net.load_state_dict(load_file(_student_path(corpus, job)))
    return net.eval()


def _student_path(corpus: Corpus, job: Job) -> Path:
    return corpus.kept / f"student-{_fingerprint(corpus, job)}.safetensors"


def _teachers(corpus: Corpus, job: Job) -> Teach:
    examples = [corpus.examples[i] for i in job.members]
    seen = encoded_examples(examples, [corpus.encoded[i] for i in job.members])
    sizes, settings = LipSizes.of(corpus.basis), job.settings
    teachers = []
    for seed in range(job.seed, job.seed + settings.teachers):
        torch.manual_seed(seed)
        net = TeacherNet()
        teachers.append(fit_network(net, seen, [], sizes, settings.teacher, seed, _unchanged))

    def teach(states: np.ndarray) -> np.ndarray:
        return outputs(teachers, at_features(states))

    return teach


def _unchanged(features: np.ndarray) -> np.ndarray:
    return features


def _distil_once(corpus: Corpus, settings: RecipeSettings, report: Report) -> None:
    """Distil the network that all groups of clips start from, unless it is finished."""
    path = _distilled_path(corpus, settings)
    if not path.is_file():
        torch.manual_seed(settings.seed)
        net = LipNet(settings.layout, len(SPEECH_SHAPES), _DISTILLATION_DROPOUT)
        distil(net, corpus.sounds, settings.distillation, settings.seed, report)
        _write(path, net.state_dict())


def _distilled_path(corpus: Corpus, settings: RecipeSettings) -> Path:
    digest = hashlib.sha256()
    for sound in corpus.sounds:
        digest.update(np.ascontiguousarray(sound.encoded[::50]).tobytes())
    own = [asdict(settings.layout), asdict(settings.distillation), settings.seed]
    digest.update(json.dumps(own).encode())
    return corpus.kept / f"distilled-{digest.hexdigest()[:16]}.safetensors"


def _write(path: Path, state: dict[str, torch.Tensor]) -> None:
    from safetensors.torch import save

    with staged_file(path) as stream:
        stream.write(save({key: value.contiguous() for key, value in state.items()}))


def _fingerprint(corpus: Corpus, job: Job) -> str:
    """Identifies a student by its training data and settings."""
    digest = hashlib.sha256()
    for i in job.members:
        example = corpus.examples[i]
        digest.update(example.group.encode())
        digest.update(np.ascontiguousarray(example.weights).tobytes())
        digest.update(np.ascontiguousarray(example.positions).tobytes())
        digest.update(np.ascontiguousarray(example.mels[0][::50]).tobytes())
    settings = job.settings
    how = [asdict(settings.student), asdict(settings.teacher), settings.teachers, job.seed]
    what = [len(corpus.spoken), len(corpus.backgrounds), corpus.recordings]
    start = _distilled_path(corpus, settings).stem
    digest.update(json.dumps([how, what, start]).encode())
    return digest.hexdigest()[:16]
