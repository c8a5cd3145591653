"""Fit the linear speech-to-lips model that ships in talkcli/data, and score it.

    python scripts/fit_speech.py --data ../shared/data

Tracks every usable clip of the data folder (once; about four minutes on two cores), solves
expression weights, cross-validates over speakers, prints the table of docs/motion.md and writes
``talkcli/data/speech_ridge.safetensors``. Only regression coefficients leave the data folder.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from talkcli.motion.speech import DEFAULT_PATH, SpeechModel
from talkcli.tracking.facemodel import FaceModel
from talkcli.train import speech_ridge
from talkcli.train.clips import load_clips
from talkcli.train.expression import lip_aperture, lip_width, solve_clips, speech_basis
from talkcli.train.scores import LipScore, closure_auc, over_speakers, score_clip
from talkcli.train.speech_ridge import Example

#: Deviations are stretched until held-out apertures spread as real ones do, but no further than
#: this: at 2.5 clipping at 0 costs r .003 and jitter grows by a quarter.
MAX_GAIN = 1.8
CURVE_SHARES = (0.01, 0.05, 0.1, 0.2, 0.35, 0.5, 0.65, 0.8, 0.9, 0.95, 0.98, 0.995)


def main() -> None:
    options = parse_arguments()
    clips = load_clips(options.data, options.cache, progress=show_progress)
    if options.free_only:
        clips = [clip for clip in clips if clip.free]
    model = FaceModel.load()
    tracks = solve_clips(clips, model)
    explained = [track.explained for track in tracks if track.valid.sum() >= 60]
    minutes = sum(int(t.valid.sum()) for t in tracks) / 25 / 60
    print(f"{len(tracks)} clips, {minutes:.1f} min, {len({t.clip.speaker for t in tracks})} speakers")
    print(f"lip motion explained by the shapes, median: {np.median(explained):.3f}")

    examples = speech_ridge.make_examples(tracks)
    held_out = speech_ridge.cross_validate(examples, report=lambda text: print(text, flush=True))
    basis = speech_basis(model)
    sizes = lip_aperture(basis), lip_width(basis)
    mean = speech_ridge.mean_speech(examples)[0]
    gain = choose_gain(examples, held_out, sizes[0])
    full = speech_ridge.spread_shapes(lip_aperture(basis) / side_count(basis))
    identity = np.array([[-10.0, 10.0], [-10.0, 10.0]])
    draft = speech_ridge.fit(examples, gain, identity, full)
    curve = choose_curve(examples, held_out, draft, mean)
    shipped = speech_ridge.fit(examples, gain, curve, full)

    print(f"gain {gain:.2f}; aperture curve, cm:\n{np.round(curve, 2)}")
    report("regression", scores_of(examples, held_out, sizes))
    restored = {
        i: restore(shipped, mean + values) for i, values in held_out.items()
    }
    report("restored", scores_of(examples, restored, sizes))
    report("other speaker's sound", scores_of(examples, mismatched(held_out), sizes))
    shipped.save(options.output, description(tracks, options.free_only))
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


def side_count(basis: np.ndarray) -> np.ndarray:
    """How many ARKit shapes make up each speech shape: 1, or 2 for a left and a right half."""
    from talkcli.train.expression import SPEECH_SHAPES, shape_columns

    return np.array([len(shape_columns(name)) for name in SPEECH_SHAPES], float)


def choose_gain(
    examples: Sequence[Example], held_out: dict[int, np.ndarray], aperture: np.ndarray
) -> float:
    ratios = []
    for i, values in held_out.items():
        valid = examples[i].track.valid
        real = examples[i].track.aperture[valid].std() / examples[i].amplitude
        ratios.append(real / (values @ aperture)[valid].std())
    return float(min(MAX_GAIN, np.median(ratios)))


def choose_curve(
    examples: Sequence[Example],
    held_out: dict[int, np.ndarray],
    draft: SpeechModel,
    mean: np.ndarray,
) -> np.ndarray:
    """Quantiles of held-out predictions against those of real apertures at amplitude 1."""
    predicted, real = [], []
    for i, values in held_out.items():
        track = examples[i].track
        weights = draft.restore(speech_ridge.spread_shapes(mean + values))
        predicted.append((weights @ draft.aperture)[track.valid])
        real.append(track.aperture[track.valid] / examples[i].amplitude)
    before = np.quantile(np.concatenate(predicted), CURVE_SHARES)
    after = np.maximum(np.quantile(np.concatenate(real), CURVE_SHARES), 0.0)
    before = np.maximum.accumulate(before + 1e-4 * np.arange(len(before)))
    return np.array([before, np.maximum.accumulate(after)])


def restore(model: SpeechModel, raw: np.ndarray) -> np.ndarray:
    """``[T, 15]`` regression output to shipped weights of the same shapes."""
    from talkcli.train.expression import SPEECH_SHAPES, shape_columns

    weights = model.restore(speech_ridge.spread_shapes(raw))
    return weights[:, [shape_columns(name)[0] for name in SPEECH_SHAPES]]


def mismatched(held_out: dict[int, np.ndarray]) -> dict[int, np.ndarray]:
    """Every clip with the prediction of another one: the score that chance gets."""
    keys = list(held_out)
    return {
        key: np.resize(held_out[other], held_out[key].shape)
        for key, other in zip(keys, keys[len(keys) // 2 :] + keys[: len(keys) // 2], strict=True)
    }


def scores_of(
    examples: Sequence[Example],
    predictions: dict[int, np.ndarray],
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
    rest = [score for score in scores if not score.speaker.startswith("GRID") and "GRID" not in score.speaker]
    print(f"{title}: {len(scores)} clips, {len({s.speaker for s in scores})} speakers held out")
    for key in ("aperture_r", "width_r", "amplitude", "jitter"):
        print(f"  {key:11s} {over_speakers(scores, key)}   without GRID {over_speakers(rest, key)}")
    print(f"  closure AUC {closure_auc(scores):.3f}")


def description(tracks: Sequence, free_only: bool) -> str:
    kind = "freely licensed clips" if free_only else "all usable clips"
    frames = sum(int(track.valid.sum()) for track in tracks)
    return f"ridge regression, log-mel to ARKit weights; {kind}, {frames} frames"


if __name__ == "__main__":
    main()
