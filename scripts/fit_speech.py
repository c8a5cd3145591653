"""Fit the linear speech-to-lips model that ships in talkcli/data, and score it.

    python scripts/fit_speech.py --data ../shared/data

Tracks every usable clip of the data folder (once; about four minutes on two cores), solves
expression weights, cross-validates over speakers, prints the table of docs/motion.md and writes
``talkcli/data/speech_ridge.safetensors``. Only regression coefficients leave the data folder.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from talkcli.motion.speech import DEFAULT_PATH, SpeechModel, VoiceScale
from talkcli.tracking.facemodel import FaceModel
from talkcli.train import speech_ridge
from talkcli.train.clips import load_clips
from talkcli.train.expression import (
    SPEECH_SHAPES,
    TrackedSpeech,
    lip_aperture,
    lip_width,
    shape_columns,
    solve_clips,
    speech_basis,
)
from talkcli.train.scores import LipScore, closure_auc, over_speakers, score_clip
from talkcli.train.speech_ridge import Example

#: Deviations are stretched before the curve maps the aperture; at 2.5, clipping at 0 adds jitter.
GAIN = 1.8
CURVE_SHARES = (0.01, 0.05, 0.1, 0.2, 0.35, 0.5, 0.65, 0.8, 0.9, 0.95, 0.98, 0.995)
#: Beyond the last share the curve goes on at half its slope instead of a plateau.
CURVE_TAIL_CM = (1.0, 0.5)

Predictions = dict[int, np.ndarray]


def main() -> None:
    options = parse_arguments()
    clips = load_clips(options.data, options.cache, progress=show_progress)
    if options.free_only:
        clips = [clip for clip in clips if clip.free]
    basis = speech_basis(FaceModel.load())
    tracks = solve_clips(clips, FaceModel.load())
    explained = [track.explained for track in tracks if track.valid.sum() >= 60]
    minutes = sum(track.seconds for track in tracks) / 60
    print(
        f"{len(tracks)} clips, {minutes:.1f} min, {len({t.clip.speaker for t in tracks})} speakers"
    )
    print(f"lip motion explained by the shapes, median: {np.median(explained):.3f}")

    examples = speech_ridge.make_examples(tracks)
    held_out = speech_ridge.cross_validate(examples, report=lambda text: print(text, flush=True))
    sides = np.array([len(shape_columns(name)) for name in SPEECH_SHAPES])
    aperture = speech_ridge.spread_shapes(lip_aperture(basis) / sides)
    spread = float(
        np.median(
            [(v @ lip_aperture(basis))[examples[i].speaking].std() for i, v in held_out.items()]
        )
    )
    model = dataclasses.replace(speech_ridge.fit(examples, aperture, spread), gain=GAIN)
    voiced = {i: scale_voice(model, examples[i], values) for i, values in held_out.items()}
    model = dataclasses.replace(model, curve=choose_curve(examples, voiced, model))
    print(f"aperture curve, cm:\n{np.round(model.curve, 2)}")
    restored = {i: restore(model, values) for i, values in voiced.items()}
    gated = {i: values * examples[i].gate[:, None] for i, values in restored.items()}

    sizes = lip_aperture(basis), lip_width(basis)
    report("regression", scores_of(examples, held_out, sizes))
    report("natural amplitude", scores_of(examples, restored, sizes))
    report("natural amplitude, voice gate", scores_of(examples, gated, sizes))
    report("somebody else's sound", scores_of(examples, mismatched(held_out), sizes))
    model.save(options.output, description(tracks, options.free_only))
    print(f"wrote {options.output}, {options.output.stat().st_size / 1e3:.0f} kB")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Fit the linear speech model.")
    parser.add_argument("--data", type=Path, required=True, help="folder with speech_clips.json")
    parser.add_argument("--cache", type=Path, default=Path("out/speech_tracks"))
    parser.add_argument("--free-only", action="store_true", help="only freely licensed clips")
    parser.add_argument("-o", "--output", type=Path, default=DEFAULT_PATH)
    return parser.parse_args()


def show_progress(done: int, total: int) -> None:
    if done % 50 == 0 or done == total:
        print(f"{done} of {total} clips tracked", file=sys.stderr, flush=True)


def scale_voice(model: SpeechModel, example: Example, values: np.ndarray) -> np.ndarray:
    """``[T, 15]`` held-out deviations to ``[T, 52]`` ones, scaled as the stream does it."""
    rate = 1.0 / float(np.median(np.diff(example.track.clip.times)))
    scale = VoiceScale(model, rate)
    return scale.push(speech_ridge.spread_shapes(values), example.loud)


def choose_curve(
    examples: Sequence[Example], voiced: Predictions, model: SpeechModel
) -> np.ndarray:
    """Quantiles of held-out predictions against those of real apertures at amplitude 1."""
    before = [model.plain_aperture(v)[examples[i].speaking] for i, v in voiced.items()]
    after = [
        (e.track.aperture / e.amplitude)[e.speaking] for e in map(examples.__getitem__, voiced)
    ]
    knots = np.array([np.quantile(np.concatenate(part), CURVE_SHARES) for part in (before, after)])
    knots = np.maximum(knots, [[-np.inf], [0.0]])
    tail = knots[:, -1:] + np.array(CURVE_TAIL_CM)[:, None]
    return np.concatenate([knots, tail], 1)


def restore(model: SpeechModel, voiced: np.ndarray) -> np.ndarray:
    """``[T, 52]`` deviations to shipped weights ``[T, 15]`` of the speech shapes."""
    return model.restore(voiced)[:, [shape_columns(name)[0] for name in SPEECH_SHAPES]]


def mismatched(held_out: Predictions) -> Predictions:
    """Every clip with the prediction of another one: the score that chance gets."""
    keys = list(held_out)
    return {
        key: np.resize(held_out[other], held_out[key].shape)
        for key, other in zip(keys, keys[len(keys) // 2 :] + keys[: len(keys) // 2], strict=True)
    }


def scores_of(
    examples: Sequence[Example],
    predictions: Predictions,
    sizes: tuple[np.ndarray, np.ndarray],
) -> list[LipScore]:
    scores = []
    for i, values in predictions.items():
        track = examples[i].track
        scores.append(
            score_clip(
                track.clip.speaker,
                (values @ sizes[0], values @ sizes[1]),
                (track.aperture / examples[i].amplitude, track.width / examples[i].amplitude),
                track.valid,
            )
        )
    return scores


def report(title: str, scores: list[LipScore]) -> None:
    """GRID's fixed sentences begin and end in silence, which flatters any prediction."""
    rest = [score for score in scores if "GRID" not in score.speaker]
    print(f"{title}: {len(scores)} clips, {len({s.speaker for s in scores})} speakers held out")
    for key in ("aperture_r", "width_r", "amplitude", "jitter"):
        without = f"   without GRID {over_speakers(rest, key)}" if rest else ""
        print(f"  {key:11s} {over_speakers(scores, key)}{without}")
    print(f"  closure AUC {closure_auc(scores):.3f}")


def description(tracks: Sequence[TrackedSpeech], free_only: bool) -> str:
    kind = "freely licensed clips" if free_only else "all usable clips"
    frames = sum(int(track.valid.sum()) for track in tracks)
    return f"ridge regression, log-mel to ARKit weights; {kind}, {frames} frames"


if __name__ == "__main__":
    main()
