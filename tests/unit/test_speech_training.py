"""The network's training: parity with the stream, losses, data, and a whole tiny run."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from talkcli.cli.app import app
from talkcli.errors import MissingDependencyError
from talkcli.motion.features import loud_levels
from talkcli.motion.speech import heard, load_speech_model
from talkcli.motion.speech_net import Layout, NetworkStream
from talkcli.tracking.facemodel import FaceModel
from talkcli.train import phonemes, speech_recipe, speech_ridge
from talkcli.train.expression import SPEECH_SHAPES, solve_clips, speech_basis
from talkcli.train.speakers import FOLDS, speaker_amplitudes, speaker_folds
from talkcli.train.speech_data import (
    Batcher,
    Lesson,
    background_lesson,
    clip_lesson,
    normalised,
    spoil_mel,
)
from talkcli.train.speech_fit import FitSettings, LipSizes, fit_network, predict
from talkcli.train.speech_net import LipNet
from talkcli.train.speech_recipe import Corpus, RecipeSettings
from talkcli.train.speech_report import mismatched, score, table
from tests.unit.motion_samples import sentence
from tests.unit.test_motion_fit import made_clip, made_weights

SMALL = Layout(width=16, dilations=(1, 2), rights=(2, 1))
QUICK = FitSettings(layout=SMALL, steps=6, rows=2, spoken_rows=2, constraint=1.0, phoneme=0.3)


def lesson(speaker: str = "someone", frames: int = 90) -> Lesson:
    (track,) = solve_clips([made_clip(made_weights(frames), speaker)], FaceModel.load())
    return clip_lesson(track, 1.0, 1.0, [sentence()], np.random.default_rng(0))


@pytest.mark.parametrize("layout", [SMALL, Layout()])
@pytest.mark.parametrize("frames", [1, 2, 3, 4, 5, 17, 161])
@pytest.mark.parametrize("size", [1, 7, 1000])
def test_stream_computes_what_was_trained(layout: Layout, frames: int, size: int) -> None:
    torch.manual_seed(0)
    net = LipNet(layout, 15).eval()
    features = torch.randn(1, frames, 80)
    wanted = net(features)[0].detach().numpy()
    stream = NetworkStream(net.export(), layout)
    values = features[0].numpy()
    parts = [stream.push(values[k : k + size]) for k in range(0, frames, size)]
    found = np.concatenate([*parts, stream.finish()])
    assert found.shape == wanted.shape
    np.testing.assert_allclose(found, wanted, atol=1e-4)


def test_stream_forgets() -> None:
    stream = NetworkStream(LipNet(Layout(), 15).export(), Layout())

    def held() -> int:
        parts = [layer._taps._kept for layer in stream._layers]
        parts += [layer._waiting for layer in stream._layers[2:]]
        return sum(part.nbytes for part in parts)

    values = np.random.default_rng(0).normal(size=(100, 80)).astype(np.float32)
    sizes = []
    for _ in range(30):
        stream.push(values)
        sizes.append(held())
    assert len(set(sizes[2:])) == 1
    assert sizes[-1] < 100_000


def test_normaliser_kernel_agrees_with_plain_python() -> None:
    raw = np.random.default_rng(0).normal(-8.0, 4.0, (400, 80))
    states = [np.array([-9.0, -27.0, 0.0]) for _ in range(2)]
    slow = loud_levels.py_func(raw, states[0])
    np.testing.assert_allclose(loud_levels(raw, states[1]), slow, rtol=1e-9)
    np.testing.assert_allclose(states[1], states[0])


def test_a_batch_shows_frames_where_they_are() -> None:
    """Features hold the frame's own index: it must be found at the frame's position."""
    made = lesson()
    ramp = np.arange(len(made.mels[0]), dtype=np.float32)
    positions = np.sort(np.random.default_rng(1).uniform(0, len(ramp) - 2, 90))
    weights = np.repeat(positions[:, None], len(SPEECH_SHAPES), 1).astype(np.float32)
    batcher = Batcher([replace(made, positions=positions, weights=weights)],
                      np.random.default_rng(0), augment=False)  # fmt: skip
    batcher._features = [np.repeat(ramp[:, None], 80, 1)]
    batch = batcher.batch(4)
    for row in range(4):
        for k in np.flatnonzero(batch.trust[row]):
            low = int(batch.positions[row, k])
            part = batch.positions[row, k] - low
            if low + 1 < 300 and batch.features[row, low + 1, 0] > batch.features[row, low, 0]:
                seen = batch.features[row, low : low + 2, 0] @ (1 - part, part)
                assert seen == pytest.approx(batch.weights[row, k, 0], abs=0.02)
    assert batch.trust.sum() > 50


def test_spoilt_mel_stays_speech() -> None:
    made = lesson()
    for seed in range(5):
        spoilt = spoil_mel(made.mels[0], np.random.default_rng(seed))
        assert spoilt.shape == made.mels[0].shape
        assert np.isfinite(spoilt).all()
        loud = made.mels[0].mean(1) > np.quantile(made.mels[0].mean(1), 0.6)
        assert spoilt[loud].mean() > spoilt[~loud].mean()


def test_training_is_repeatable_and_learns() -> None:
    lessons = [lesson("a"), lesson("b")]
    spoken = [background_lesson(4.0, np.random.default_rng(0))]
    sizes = LipSizes.of(speech_basis(FaceModel.load()))
    losses: list[str] = []
    settings = replace(QUICK, steps=100)
    one, two = (fit_network(lessons, spoken, sizes, settings, 0, losses.append) for _ in range(2))
    other = fit_network(lessons, spoken, sizes, replace(QUICK, steps=3), 0)
    features = normalised(lessons[0].mels[0])
    found = predict([one], lessons[0], features)
    assert found.shape == (90, len(SPEECH_SHAPES) + 2)
    np.testing.assert_array_equal(found, predict([two], lessons[0], features))

    def error(net: LipNet) -> float:
        weights = predict([net], lessons[0], features)[:, : len(SPEECH_SHAPES)]
        return float(((weights - lessons[0].weights) ** 2).mean())

    assert error(one) < 0.9 * error(other)
    assert len(losses) == 2


def test_phonemes_say_what_lips_do() -> None:
    row = phonemes.phoneme_row
    assert row("m")[phonemes.CLOSED] == row("b")[phonemes.CLOSED] == 1.0
    assert row("f")[phonemes.LABIODENTAL] == 1.0
    assert row("ɑː")[phonemes.OPEN] > 0.9
    assert row("uː")[phonemes.ROUND] == 1.0
    assert row("iː")[phonemes.SPREAD] == 1.0
    assert row("")[phonemes.SILENT] == 1.0
    assert row("ä")[phonemes.OPEN] == 1.0  # a with a mark over it
    assert row("t")[phonemes.CLOSED] == row("t")[phonemes.SILENT] == 0.0


def test_synthetic_speech_is_timed() -> None:
    try:
        phonemes.check_espeak()
    except MissingDependencyError:
        pytest.skip("needs espeak-ng")
    spoken = phonemes.speak("Mama papa baby.", "en-us+f2", np.random.default_rng(0))
    assert spoken.targets.shape == (len(spoken.pcm) // 160 + 1, 10)
    closed = spoken.targets[:, phonemes.CLOSED]
    peaks = (closed[1:-1] > 0.35) & (closed[1:-1] >= closed[:-2]) & (closed[1:-1] > closed[2:])
    assert 4 <= peaks.sum() <= 6  # quick ones merge
    level = np.array([np.abs(spoken.pcm[k * 160 : k * 160 + 160]).max() for k in range(30)])
    assert level.max() < 1e-3  # silence in front
    unseen = phonemes.utterances(6, 0, held_out=True)
    assert {u.voice.split("+")[0] for u in unseen} <= {"es", "it", "ja", "tr", "pl"}


def test_missing_espeak_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(phonemes.ctypes.util, "find_library", lambda name: None)
    monkeypatch.setattr(phonemes, "_LIBRARIES", ("libnone.so",))
    phonemes._espeak.cache_clear()
    with pytest.raises(MissingDependencyError, match="espeak-ng"):
        phonemes.check_espeak()
    result = CliRunner().invoke(
        app, ["train", "speech", "--data", str(tmp_path), "-o", str(tmp_path / "w.safetensors")]
    )
    assert isinstance(result.exception, MissingDependencyError)
    assert result.exception.exit_code == 4


def corpus(tmp_path: Path, people: int = 6) -> Corpus:
    clips = [made_clip(made_weights(70), f"s{k}") for k in range(people)]
    tracks = solve_clips(clips, FaceModel.load())
    folds = speaker_folds(tracks)
    rng = np.random.default_rng(0)
    return Corpus(
        tracks=tracks,
        lessons=[clip_lesson(track, 1.0, 1.0, [sentence()], rng) for track in tracks],
        spoken=[background_lesson(4.0, rng)],
        folds=np.array([folds[track.clip.speaker] for track in tracks]),
        amplitudes=speaker_amplitudes(tracks),
        basis=speech_basis(FaceModel.load()),
        kept=tmp_path,
    )


def test_cross_validation_keeps_speakers_apart(tmp_path: Path) -> None:
    made = corpus(tmp_path)
    assert set(made.folds) == set(range(FOLDS))
    settings = RecipeSettings(fits=(QUICK,), jobs=1)
    messages: list[str] = []
    held_out = speech_recipe.cross_validate(made, settings, messages.append)
    assert set(held_out) == set(range(6))
    ridge = speech_ridge.cross_validate(made.tracks, made.lessons, made.folds.tolist())
    assert all(values.shape == (70, len(SPEECH_SHAPES)) for values in ridge.values())
    assert all(s.values["aperture_r"] > 0.9 for s in score(made, {0: made.lessons[0].weights}))
    assert mismatched(held_out)[0].shape == held_out[0].shape
    # What is finished is not trained again.
    before = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    again = speech_recipe.cross_validate(made, settings, messages.append)
    np.testing.assert_array_equal(again[0], held_out[0])
    assert {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == before


def test_calibrated_model_has_natural_size(tmp_path: Path) -> None:
    made = corpus(tmp_path)
    settings = RecipeSettings(fits=(QUICK,), jobs=1)
    (nets,) = speech_recipe.train(made, [[0, 1, 2]], settings, lambda text: None)
    held_out = {}
    for i, each in enumerate(made.lessons):
        shrunk = each.weights.mean(0) + 0.5 * (each.weights - each.weights.mean(0))
        held_out[i] = np.concatenate([shrunk, np.full((70, 2), 3.0)], 1)
    model = speech_recipe.calibrate(made, held_out, nets, settings)
    restored = model.restore(model.full(held_out[0][:, : len(SPEECH_SHAPES)])) @ model.aperture
    real = made.lessons[0].sizes[:, 0]
    assert np.quantile(restored, 0.9) == pytest.approx(np.quantile(real, 0.9), rel=0.15)
    assert np.quantile(restored, 0.1) < 0.1
    text = table(made, held_out, model)
    assert "6 clips, 6 speakers held out" in text
    assert text.count("\n| ") == 6


@pytest.mark.slow
def test_the_whole_recipe(shared_data: Path, tmp_path: Path) -> None:
    try:
        phonemes.check_espeak()
    except MissingDependencyError:
        pytest.skip("needs espeak-ng")
    listed = json.loads((shared_data / "speech_clips.json").read_text())
    chosen = {}
    for entry in listed:
        if "GRID" in entry["speaker"] and entry["usable_speech"]:
            chosen.setdefault(entry["speaker"], entry)
    (tmp_path / "speech_clips.json").write_text(json.dumps(list(chosen.values())[:6]))
    (tmp_path / "clips").symlink_to(shared_data / "clips")
    target = tmp_path / "made.safetensors"
    result = CliRunner().invoke(
        app,
        ["train", "speech", "--data", str(tmp_path), "--cache", str(tmp_path / "cache"),
         "-o", str(target), "--steps", "3", "--utterances", "10"],
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert "natural size, voice gate" in result.output
    assert "unseen voices and languages" in result.output
    model = load_speech_model(target)
    rows = heard(model, normalised(lesson().mels[0]))
    assert np.isfinite(rows.weights).all()
