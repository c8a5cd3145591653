"""The work behind ``talkcli train speech``."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from talkcli.errors import InputError
from talkcli.train.speech.corpus import Corpus, RecipeSettings, learnable, prepare
from talkcli.train.speech.encoder import RATE
from talkcli.train.speech.optimise import Report
from talkcli.train.speech.recipe import (
    calibrate,
    correct_lags,
    cross_validate,
    on_frames,
    train,
)
from talkcli.train.speech.report import (
    minutes_curve,
    processed_speech,
    score,
    table,
    unseen_voices,
)
from talkcli.train.speech.speakers import FOLDS


def train_speech(
    data: Path,
    cache: Path,
    output: Path,
    settings: RecipeSettings,
    report: Report,
    curve: bool = False,
) -> str:
    """Cross-validate over speakers, train on everything and write the weights.

    Args:
        data: folder with ``speech_clips.json``.
        cache: keeps landmarks and finished networks, so that a second run is quick.
        output: file for the weights.
        settings: what to train.
        report: called with lines of progress.
        curve: also measure training on fewer clips.

    Returns:
        The scores as Markdown tables.

    Raises:
        InputError: a clip cannot be read, or there are too few speakers.
        MissingDependencyError: espeak-ng or the speech encoder is not installed.
    """
    corpus = prepare(data, cache, settings, report)
    if len({track.clip.speaker for track in corpus.tracks}) < FOLDS or not corpus.scored:
        raise InputError(
            f"{data} has too few speakers to hold some out", f"add clips of at least {FOLDS} people"
        )
    listed = corpus
    corpus = correct_lags(listed, settings, report)
    outputs = cross_validate(corpus, settings, report)
    held_out = on_frames(corpus, outputs)
    (network,) = train(corpus, [learnable(corpus, settings)], settings, report)
    model = calibrate(corpus, held_out, network, settings)
    output.parent.mkdir(parents=True, exist_ok=True)
    model.save(output, describe(corpus, settings))
    report(f"wrote {output}, {output.stat().st_size / 1e3:.0f} kB")
    more = [("network, lags as listed", score(listed, on_frames(listed, outputs)))]
    more += minutes_curve(corpus, settings, report) if curve else []
    parts = [
        table(corpus, held_out, model, more),
        unseen_voices(model, settings.seed),
        processed_speech(model, corpus, settings.seed),
    ]
    return "\n\n".join(parts)


def describe(corpus: Corpus, settings: RecipeSettings) -> str:
    """One line for the header of the weights."""
    members = learnable(corpus, settings)
    frames = sum(int(corpus.tracks[i].valid.sum()) for i in members)
    speakers = len({corpus.tracks[i].clip.speaker for i in members})
    spoken_min = np.sum([len(example.mels[0]) for example in corpus.spoken]) / 6000
    recorded = corpus.sounds[: corpus.recordings]
    recorded_min = np.sum([len(sound.encoded) for sound in recorded]) / 60 / RATE
    kind = "freely licensed clips" if settings.free_only else "all usable clips"
    return (
        f"temporal convolutional network, log-mel to ARKit weights; {kind}: {len(members)} clips "
        f"of {speakers} speakers, {frames} frames; {recorded_min:.0f} min of recordings, "
        f"{spoken_min:.0f} min of espeak-ng speech"
    )
