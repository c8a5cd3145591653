"""The way from a corpus to shipped weights: teachers, listening, pupils, natural size."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch

from talkcli.files.atomic import staged_file
from talkcli.speech.model import SpeechModel, shape_columns
from talkcli.train.expression import SPEECH_SHAPES, lip_aperture
from talkcli.train.speech.batches import Lesson, normalised
from talkcli.train.speech.corpus import Corpus, RecipeSettings, learnable
from talkcli.train.speech.lags import with_lags, wrong_lags
from talkcli.train.speech.listening import listen
from talkcli.train.speech.network import LipNet
from talkcli.train.speech.optimise import LipSizes, Report, at_frames, fit_network, outputs
from talkcli.train.speech.self_training import Teach, recorded, softened
from talkcli.train.speech.speakers import FOLDS
from talkcli.train.speech.teachers import TeacherNet, at_features, heard_lessons
from talkcli.types import ARKIT_NAMES

#: ``[T, 15 + 2]`` network outputs, or ``[T, 15]`` weights, by index of the clip; at video frames
#: or, where it says so, at 50 Hz.
Predictions = dict[int, np.ndarray]

#: Deviations from the mean are stretched before the curve maps the aperture.
GAIN = 1.25
_CURVE_SHARES = (0.01, 0.05, 0.1, 0.2, 0.35, 0.5, 0.65, 0.8, 0.9, 0.95, 0.98, 0.995)
#: Beyond the last share the curve goes on at half its slope instead of a plateau.
_CURVE_TAIL_CM = (1.0, 0.5)
_SPEAKING = 0.5  # of the energy gate: frames that calibration looks at
_LISTENING_DROPOUT = 0.1


@dataclass(frozen=True)
class Job:
    """A pupil to train: on these clips, after teachers of the same clips, from this seed."""

    members: tuple[int, ...]
    settings: RecipeSettings
    seed: int


def train(
    corpus: Corpus, groups: Sequence[Sequence[int]], settings: RecipeSettings, report: Report
) -> list[LipNet]:
    """A network for each group of clips."""
    _listener(corpus, settings, report)
    jobs = [Job(tuple(group), settings, settings.seed) for group in groups]
    nets = []
    for done, state in enumerate(_states(corpus, jobs, settings.jobs), 1):
        net = LipNet(settings.layout, len(SPEECH_SHAPES))
        net.load_state_dict(state)
        nets.append(net.eval())
        report(f"network {done} of {len(jobs)} trained")
    return nets


def cross_validate(corpus: Corpus, settings: RecipeSettings, report: Report) -> Predictions:
    """Held-out outputs of every scored clip, by networks that never heard its speaker.

    Args:
        corpus: all clips.
        settings: how; with ``free_only`` the networks learn from free clips alone.
        report: told of progress.

    Returns:
        Outputs at 50 Hz, see :func:`on_frames`.
    """
    networks = train(corpus, _others(corpus, settings, 1.0), settings, report)
    predictions = {}
    for i in corpus.scored:
        net = networks[int(corpus.folds[i])]
        predictions[i] = outputs([net], normalised(corpus.lessons[i].mels[0]))
    return predictions


def cross_validate_teachers(
    corpus: Corpus, settings: RecipeSettings, report: Report, share: float
) -> Predictions:
    """As :func:`cross_validate`, by the teachers, from a random share of the clips.

    What they know of lips is what the network that ships can learn; they train in a minute.
    """
    _adopt(corpus)
    predictions: Predictions = {}
    for fold, members in enumerate(_others(corpus, settings, share)):
        teach = _teachers(corpus, Job(tuple(members), settings, settings.seed))
        held_out = [i for i in corpus.scored if corpus.folds[i] == fold]
        predictions |= {i: teach(corpus.heard[i]) for i in held_out}
        report(f"teachers of {share:.0%} of the clips: {fold + 1} of {FOLDS} trained")
    return predictions


def on_frames(corpus: Corpus, predictions: Predictions) -> Predictions:
    """Outputs at 50 Hz taken at the video frames of their clips."""
    return {i: at_frames(out, corpus.lessons[i].positions) for i, out in predictions.items()}


def correct_lags(corpus: Corpus, settings: RecipeSettings, report: Report) -> Corpus:
    """The corpus with another lag where single teachers clearly hear one, see :mod:`lags`."""
    taught = cross_validate_teachers(corpus, replace(settings, teachers=1), report, 1.0)
    lags = wrong_lags(corpus, taught)
    for i, lag in lags.items():
        clip = corpus.tracks[i].clip
        report(f"{clip.name}: listed with a lag of {clip.lag_s:.2f} s, taken with {lag:.2f} s")
    return with_lags(corpus, lags)


def _others(corpus: Corpus, settings: RecipeSettings, share: float) -> list[list[int]]:
    """For every fold, clips of other speakers, a random share of them."""
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
    """The model to ship: the network, and what brings held-out predictions to natural size."""
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
        networks=(network.export(),),
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
    path = corpus.kept / f"pupil-{_fingerprint(corpus, job)}.safetensors"
    if not path.is_file():
        settings = job.settings
        lessons = [corpus.lessons[i] for i in job.members]
        heard = [corpus.heard[i] for i in job.members]
        teach = _teachers(corpus, job)
        learnt = softened(lessons, heard, teach, corpus.basis)
        learnt += recorded(corpus.sounds[: corpus.recordings], teach, corpus.basis)
        learnt += corpus.backgrounds
        net = LipNet(settings.layout, len(SPEECH_SHAPES))
        net.load_state_dict(load_file(_listener_path(corpus, settings)))
        sizes = LipSizes.of(corpus.basis)
        fit_network(net, learnt, corpus.spoken, sizes, settings.pupil, job.seed)
        _write(path, net.state_dict())
    return load_file(path)


def _teachers(corpus: Corpus, job: Job) -> Teach:
    lessons = [corpus.lessons[i] for i in job.members]
    seen = heard_lessons(lessons, [corpus.heard[i] for i in job.members])
    sizes, settings = LipSizes.of(corpus.basis), job.settings
    teachers = []
    for seed in range(job.seed, job.seed + settings.teachers):
        torch.manual_seed(seed)
        net = TeacherNet()
        teachers.append(fit_network(net, seen, [], sizes, settings.teacher, seed, _as_it_is))

    def teach(states: np.ndarray) -> np.ndarray:
        return outputs(teachers, at_features(states))

    return teach


def _as_it_is(features: np.ndarray) -> np.ndarray:
    return features


def _listener(corpus: Corpus, settings: RecipeSettings, report: Report) -> None:
    """Teach the network to listen, once for all groups of clips."""
    path = _listener_path(corpus, settings)
    if not path.is_file():
        torch.manual_seed(settings.seed)
        net = LipNet(settings.layout, len(SPEECH_SHAPES), _LISTENING_DROPOUT)
        listen(net, corpus.sounds, settings.listening, settings.seed, report)
        _write(path, net.state_dict())


def _listener_path(corpus: Corpus, settings: RecipeSettings) -> Path:
    digest = hashlib.sha256()
    for sound in corpus.sounds:
        digest.update(np.ascontiguousarray(sound.heard[::50]).tobytes())
    own = [asdict(settings.layout), asdict(settings.listening), settings.seed]
    digest.update(json.dumps(own).encode())
    return corpus.kept / f"listener-{digest.hexdigest()[:16]}.safetensors"


def _write(path: Path, state: dict[str, torch.Tensor]) -> None:
    from safetensors.torch import save

    with staged_file(path) as stream:
        stream.write(save({key: value.contiguous() for key, value in state.items()}))


def _fingerprint(corpus: Corpus, job: Job) -> str:
    """Changes with what is learnt from and how."""
    digest = hashlib.sha256()
    for i in job.members:
        lesson = corpus.lessons[i]
        digest.update(lesson.group.encode())
        digest.update(np.ascontiguousarray(lesson.weights).tobytes())
        digest.update(np.ascontiguousarray(lesson.positions).tobytes())
        digest.update(np.ascontiguousarray(lesson.mels[0][::50]).tobytes())
    settings = job.settings
    how = [asdict(settings.pupil), asdict(settings.teacher), settings.teachers, job.seed]
    what = [len(corpus.spoken), len(corpus.backgrounds), corpus.recordings]
    listener = _listener_path(corpus, settings).stem
    digest.update(json.dumps([how, what, listener]).encode())
    return digest.hexdigest()[:16]
