"""Small settings and made data to train speech networks with."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest

from talkcli.errors import MissingDependencyError
from talkcli.face.model import FaceModel
from talkcli.speech.network import Layout
from talkcli.train.expression import solve_clips, speech_basis
from talkcli.train.speech.batches import TrainingExample, background_example, clip_example
from talkcli.train.speech.corpus import Corpus, RecipeSettings
from talkcli.train.speech.distillation import DistillationSettings, make_sound
from talkcli.train.speech.encoder_features import COMPONENTS
from talkcli.train.speech.optimise import FitSettings
from talkcli.train.speech.phonemes import check_espeak
from talkcli.train.speech.speakers import speaker_amplitudes, speaker_folds
from tests.support.clips import made_clip, made_weights
from tests.support.motion import sentence

SMALL = Layout(width=16, dilations=(1, 2), rights=(2, 1))
QUICK = FitSettings(steps=6, rows=2, spoken_rows=2, constraint=1.0)
RECIPE = RecipeSettings(
    layout=SMALL,
    distillation=DistillationSettings(steps=4, rows=2),
    student=QUICK,
    teacher=FitSettings(steps=3, rows=2),
    teachers=1,
    jobs=1,
)


def example(speaker: str = "someone", frames: int = 90) -> TrainingExample:
    (track,) = solve_clips([made_clip(made_weights(frames), speaker)], FaceModel.load())
    return clip_example(track, 1.0, 1.0, [sentence()], np.random.default_rng(0))


def random_states(pcm: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return rng.normal(size=(len(pcm) // 320 + 1, COMPONENTS)).astype(np.float16)


def corpus(tmp_path: Path, people: int = 6) -> Corpus:
    return replace(made_corpus(people), kept=tmp_path)


@lru_cache(maxsize=2)
def made_corpus(people: int) -> Corpus:
    """Built once, and changed by nobody: half a second of tracking and listening."""
    clips = [made_clip(made_weights(70), f"s{k}") for k in range(people)]
    tracks = solve_clips(clips, FaceModel.load())
    folds = speaker_folds(tracks)
    rng = np.random.default_rng(0)
    return Corpus(
        tracks=tracks,
        examples=[clip_example(track, 1.0, 1.0, [sentence()], rng) for track in tracks],
        spoken=[background_example(4.0, 1.0, rng)],
        backgrounds=[background_example(4.0, 1.0, rng)],
        encoded=[random_states(track.clip.pcm, rng) for track in tracks],
        sounds=[make_sound(sentence(), random_states(sentence(), rng), [sentence()], rng)],
        recordings=1,
        folds=np.array([folds[track.clip.speaker] for track in tracks]),
        amplitudes=speaker_amplitudes(tracks),
        basis=speech_basis(FaceModel.load()),
        kept=Path(),
    )


def need_espeak() -> None:
    """Skips the test where there is no espeak-ng."""
    try:
        check_espeak()
    except MissingDependencyError:
        pytest.skip("needs espeak-ng")
