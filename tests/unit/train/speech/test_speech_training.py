"""The network's training: parity with the stream, losses, data, and a whole tiny run."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter1d
from typer.testing import CliRunner

from talkcli.cli.app import app
from talkcli.errors import MissingDependencyError
from talkcli.face.model import FaceModel
from talkcli.speech.features import loud_levels
from talkcli.speech.model import load_speech_model, predict
from talkcli.speech.network import Layout, NetworkStream
from talkcli.train.expression import SPEECH_SHAPES, lip_aperture, solve_clips, speech_basis
from talkcli.train.speech import phonemes, recipe, ridge
from talkcli.train.speech.batches import (
    Batcher,
    TrainingExample,
    add_noise,
    background_example,
    clip_example,
    log_mel,
    normalised,
)
from talkcli.train.speech.corpus import Corpus, RecipeSettings
from talkcli.train.speech.distillation import DistillationSettings, distil, make_sound
from talkcli.train.speech.encoder_features import COMPONENTS
from talkcli.train.speech.lags import with_lags, wrong_lags
from talkcli.train.speech.network import LipNet, RunningNorm
from talkcli.train.speech.optimise import FitSettings, LipSizes, at_frames, fit_network, outputs
from talkcli.train.speech.recordings import load_recordings, other_voices, same_sound
from talkcli.train.speech.report import mismatched, score, table
from talkcli.train.speech.self_training import recording_examples, soften_targets
from talkcli.train.speech.speakers import FOLDS, speaker_amplitudes, speaker_folds
from talkcli.train.speech.teachers import TeacherNet, at_features, encoded_examples
from tests.support.clips import made_clip, made_weights
from tests.support.encoder import write_encoder
from tests.support.memory import held_bytes
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
    values = np.random.default_rng(0).normal(size=(100, 80)).astype(np.float32)
    sizes = [held_bytes(stream)]
    for _ in range(30):
        stream.push(values)
        sizes.append(held_bytes(stream))
    assert len(set(sizes[3:])) == 1
    # Columns that the layers look back to, beside the weights; 100 frames of features are 32 KB.
    assert sizes[-1] - sizes[0] < 10_000


def test_running_norm_gets_over_a_louder_room() -> None:
    """A step in the level of the input is forgotten within some time constants."""
    torch.manual_seed(0)
    norm = RunningNorm(16, 20.0)
    steady = torch.randn(1, 400, 16)
    louder = 3.0 * steady + 5.0
    first, second = norm(steady), norm(torch.cat([steady, louder], 1))[:, 400:]
    assert (second[:, :5] - first[:, :5]).abs().mean() > 0.5
    assert (second[:, 200:] - first[:, 200:]).abs().max() < 0.05


def test_normaliser_kernel_agrees_with_plain_python() -> None:
    raw = np.random.default_rng(0).normal(-8.0, 4.0, (400, 80))
    states = [np.array([-9.0, -27.0, 0.0]) for _ in range(2)]
    slow = loud_levels.py_func(raw, states[0])
    np.testing.assert_allclose(loud_levels(raw, states[1]), slow, rtol=1e-9)
    np.testing.assert_allclose(states[1], states[0])


def test_a_batch_shows_frames_where_they_are() -> None:
    """Features hold the frame's own index: it must be found at the frame's position."""
    made = example()
    ramp = np.arange(len(made.mels[0]), dtype=np.float32)
    positions = np.sort(np.random.default_rng(1).uniform(0, len(ramp) - 2, 90))
    weights = np.repeat(positions[:, None], len(SPEECH_SHAPES), 1).astype(np.float32)
    made = replace(made, positions=positions, weights=weights)
    shown = np.repeat(ramp[:, None], 80, 1)
    batcher = Batcher([made], np.random.default_rng(0), lambda mel: shown)
    batch = batcher.batch(4)
    for row in range(4):
        for k in np.flatnonzero(batch.trust[row]):
            low = int(batch.positions[row, k])
            part = batch.positions[row, k] - low
            if low + 1 < 300 and batch.features[row, low + 1, 0] > batch.features[row, low, 0]:
                seen = batch.features[row, low : low + 2, 0] @ (1 - part, part)
                assert seen == pytest.approx(batch.weights[row, k, 0], abs=0.02)
    assert batch.trust.sum() > 50


def test_noise_fills_the_pauses() -> None:
    clean = log_mel(sentence())
    loud = clean.mean(1) > np.quantile(clean.mean(1), 0.8)
    for seed in range(5):
        noisy = add_noise(clean, np.random.default_rng(seed))
        assert noisy.shape == clean.shape
        assert np.isfinite(noisy).all()
        assert (noisy >= clean - 1e-5).all()
        added = np.exp(noisy) - np.exp(clean)
        speech = np.quantile(np.exp(clean).mean(1), 0.9)
        assert 3.0 - 1.0 < 10 * np.log10(speech / added.mean()) < 25.0 + 1.0
        # Rises where there was nothing, steady from frame to frame.
        assert (noisy - clean)[~loud].mean() > (noisy - clean)[loud].mean()


def test_every_copy_of_a_lesson_is_drawn() -> None:
    made = example()
    named = {id(mel): float(k) for k, mel in enumerate(made.mels)}
    batcher = Batcher([made], np.random.default_rng(0),
                      lambda mel: np.full(mel.shape, named[id(mel)], np.float32))  # fmt: skip
    seen = {float(batcher.batch(1).features[0, 0, 0]) for _ in range(100)}
    assert seen == set(named.values())


def test_training_is_repeatable_and_learns() -> None:
    examples = [example("a"), example("b")]
    spoken = [background_example(4.0, 1.0, np.random.default_rng(0))]
    sizes = LipSizes.of(speech_basis(FaceModel.load()))

    def fitted(steps: int) -> LipNet:
        torch.manual_seed(1)
        settings = replace(QUICK, steps=steps)
        return fit_network(LipNet(SMALL, 15), examples, spoken, sizes, settings, 0)

    one, two, other = fitted(60), fitted(60), fitted(3)

    def output_of(net: LipNet) -> np.ndarray:
        return at_frames(outputs([net], normalised(examples[0].mels[0])), examples[0].positions)

    assert output_of(one).shape == (90, len(SPEECH_SHAPES) + 2)
    np.testing.assert_array_equal(output_of(one), output_of(two))

    def error(net: LipNet) -> float:
        weights = output_of(net)[:, : len(SPEECH_SHAPES)]
        return float(((weights - examples[0].weights) ** 2).mean())

    assert error(one) < 0.85 * error(other)  # .72


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


def test_cross_validation_keeps_speakers_apart(tmp_path: Path) -> None:
    made = corpus(tmp_path)
    assert set(made.folds) == set(range(FOLDS))
    messages: list[str] = []
    outputs_50hz = recipe.cross_validate(made, RECIPE, messages.append)
    held_out = recipe.on_frames(made, outputs_50hz)
    assert set(held_out) == set(range(6))
    by_ridge = ridge.cross_validate(made.tracks, made.examples, made.folds.tolist())
    assert all(values.shape == (70, len(SPEECH_SHAPES)) for values in by_ridge.values())
    assert all(s.values["aperture_r"] > 0.9 for s in score(made, {0: made.examples[0].weights}))
    assert mismatched(held_out)[0].shape == held_out[0].shape
    taught = recipe.cross_validate_teachers(made, RECIPE, messages.append, 0.5)
    assert {i: v.shape for i, v in recipe.on_frames(made, taught).items()} == {
        i: v.shape for i, v in held_out.items()
    }
    # What is finished is not trained again.
    before = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    again = recipe.cross_validate(made, RECIPE, messages.append)
    np.testing.assert_array_equal(again[0], outputs_50hz[0])
    assert {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == before


@pytest.mark.slow  # 14 s, most of them imports of torch
def test_worker_processes_train_the_same_networks(tmp_path: Path) -> None:
    """Two workers give what one process gives, and every finished network is reported once."""
    made = corpus(tmp_path)
    groups = [[0, 1], [1, 2], [2, 3]]
    for name in ("alone", "together"):
        (tmp_path / name).mkdir()
    alone = recipe.train(replace(made, kept=tmp_path / "alone"), groups, RECIPE, lambda text: None)
    told: list[str] = []
    together = recipe.train(
        replace(made, kept=tmp_path / "together"), groups, replace(RECIPE, jobs=2), told.append
    )
    for one, other in zip(alone, together, strict=True):
        assert torch.equal(one.out.weight, other.out.weight)
    assert [text for text in told if text.startswith("network")] == [
        f"network {k} of 3 trained" for k in (1, 2, 3)
    ]


@pytest.mark.parametrize("shift", [-0.08, 0.0, 0.12])
def test_a_wrong_lag_is_found_and_no_right_one(tmp_path: Path, shift: float) -> None:
    """Outputs that hold the true lips ``shift`` seconds later than the list says."""
    made = corpus(tmp_path, people=2)
    rng = np.random.default_rng(0)
    moves = gaussian_filter1d(rng.normal(size=400), 2.0)  # every 10 ms
    positions = np.arange(4.0, 284.0, 4.0)
    tracks, examples, taught = list(made.tracks), list(made.examples), {}
    jaw = made.basis[SPEECH_SHAPES.index("jawOpen")]
    times = np.arange(400)
    for i, moved in enumerate((shift, 0.0)):
        track = tracks[i]
        count = int(track.valid.sum())
        clip = replace(track.clip, times=positions[:count] / 100)
        aperture = np.interp(positions[:count] - 100 * moved, times, moves)
        aperture = aperture + 0.3 * aperture.std() * rng.normal(size=count)
        tracks[i] = replace(track, clip=clip, aperture=aperture)
        examples[i] = replace(examples[i], positions=clip.speech_times * 100)
        out = np.zeros((200, len(SPEECH_SHAPES) + 2), np.float32)
        out[:, SPEECH_SHAPES.index("jawOpen")] = moves[::2]
        taught[i] = out
    assert lip_aperture(jaw) > 0.5
    made = replace(made, tracks=tracks, examples=examples)
    lags = wrong_lags(made, taught)
    assert lags == ({0: pytest.approx(shift, abs=0.021)} if shift else {})
    right = with_lags(made, lags)
    if shift:
        assert right.tracks[0].clip.lag_s == lags[0]
        np.testing.assert_allclose(
            right.examples[0].positions, positions[: len(tracks[0].aperture)] - 100 * lags[0]
        )
    assert right.tracks[1] is tracks[1] and right.examples[1] is examples[1]
    assert not wrong_lags(right, taught)


def test_a_pupil_learns_from_its_teachers_and_from_recordings(tmp_path: Path) -> None:
    made = corpus(tmp_path)

    def learnt(settings: RecipeSettings = RECIPE, of: Corpus = made) -> torch.Tensor:
        (net,) = recipe.train(of, [[0, 1, 2]], settings, lambda text: None)
        return net.out.weight.detach()

    first = learnt()
    better = replace(RECIPE, teacher=replace(RECIPE.teacher, steps=6))
    undistilled = replace(RECIPE, distillation=replace(RECIPE.distillation, steps=1))
    others = [learnt(better), learnt(undistilled), learnt(of=replace(made, recordings=0))]
    assert all(not torch.equal(first, other) for other in others)
    assert len(list(tmp_path.glob("student-*.safetensors"))) == 4
    assert len(list(tmp_path.glob("distilled-*.safetensors"))) == 2


def test_teachers_soften_what_was_measured() -> None:
    made, basis = example(), speech_basis(FaceModel.load())
    shapes = len(SPEECH_SHAPES)
    sound = make_sound(sentence(), random_states(sentence(), np.random.default_rng(0)), [],
                       np.random.default_rng(0))  # fmt: skip

    def teach(states: np.ndarray) -> np.ndarray:
        out = np.full((len(states), shapes + 2), 0.2, np.float32)
        out[:, shapes:] = (-9.0, 9.0)
        return out

    (soft,) = soften_targets([made], [sound.encoded], teach, basis)
    np.testing.assert_allclose(soft.weights, 0.4 * made.weights + 0.12, atol=1e-6)
    assert np.abs(soft.sizes - made.sizes).max() > 0.01
    (told,) = recording_examples([sound], teach, basis)
    np.testing.assert_allclose(told.weights, 0.2, atol=1e-6)
    assert told.closed.max() < 0.01 < 0.99 < told.voice.min()
    assert len(told.voice) == len(told.phonemes) == len(told.mels[0]) == len(told.mels[1])


def test_a_teacher_sees_states_where_they_are() -> None:
    """A change in one hidden state moves the lips around it and nowhere else."""
    torch.manual_seed(0)
    net = TeacherNet().eval()
    states = np.zeros((200, COMPONENTS), np.float16)
    before = outputs([net], at_features(states))
    states[100] = 5.0
    moved = np.abs(outputs([net], at_features(states)) - before).max(1)
    assert before.shape == (200, len(SPEECH_SHAPES) + 2)
    assert 98 <= moved.argmax() <= 102
    assert moved[:60].max() == moved[140:].max() == 0.0
    made = example()
    (seen,) = encoded_examples(
        [made], [random_states(np.zeros(len(made.voice) * 160), np.random.default_rng(0))]
    )
    assert len(seen.mels[0]) == len(seen.voice) == len(seen.phonemes)


def test_distillation_learns_what_the_encoder_outputs() -> None:
    """Hidden states that depend on the sound are learnt; the loss says so."""
    rng = np.random.default_rng(0)
    pcm = sentence()
    features = normalised(log_mel(pcm))[::2]
    states = np.tile(features, (1, 3))[:, :COMPONENTS].astype(np.float16)
    losses: list[str] = []
    torch.manual_seed(0)
    distil(LipNet(SMALL, 15), [make_sound(pcm, states, [], rng)],
           DistillationSettings(steps=500, rows=2), 0, losses.append)  # fmt: skip
    (loss,) = (float(text.rsplit(" ", 1)[1]) for text in losses)
    assert loss < 0.3  # .19; of random states, which cannot be learnt, .97


def test_recordings_of_a_clip_are_known(tmp_path: Path) -> None:
    import soundfile

    rng = np.random.default_rng(0)
    pcm = sentence()
    clip = log_mel(pcm)
    noisy = (0.2 * pcm + 0.002 * rng.normal(size=len(pcm))).astype(np.float32)
    assert same_sound(log_mel(np.concatenate([np.zeros(9999, np.float32), noisy])), clip)
    assert not same_sound(log_mel(pcm[::-1].copy()), clip)
    assert not same_sound(log_mel(rng.normal(size=len(pcm)).astype(np.float32)), clip)
    assert not same_sound(clip[:20], clip)
    (tmp_path / "speech").mkdir()
    soundfile.write(tmp_path / "speech" / "same.wav", pcm, 16000)
    soundfile.write(tmp_path / "speech" / "other.wav", pcm[::-1], 16000)
    (tmp_path / "speech" / "notes.txt").write_text("no sound")
    assert len(load_recordings(tmp_path, [])) == 2
    assert len(load_recordings(tmp_path, [clip])) == 1
    assert load_recordings(tmp_path / "speech", [clip]) == []


def test_other_voices_are_faster_or_slower() -> None:
    sounds = [np.tile(sentence(), 2)] * 24 + [np.zeros(16000, np.float32)]
    pieces = other_voices(sounds, np.random.default_rng(0))
    total = sum(map(len, sounds))
    assert len(pieces) > 1
    assert all(len(piece) < 60 * 16000 for piece in pieces)
    assert 0.7 * total < sum(map(len, pieces)) < 1.7 * total
    assert all(0.15 < np.abs(piece).max() < 1.0 for piece in pieces)
    assert other_voices([], np.random.default_rng(0)) == []


def test_calibrated_model_has_natural_size(tmp_path: Path) -> None:
    made = corpus(tmp_path)
    (net,) = recipe.train(made, [[0, 1, 2]], RECIPE, lambda text: None)
    held_out = {}
    for i, each in enumerate(made.examples):
        shrunk = each.weights.mean(0) + 0.5 * (each.weights - each.weights.mean(0))
        held_out[i] = np.concatenate([shrunk, np.full((70, 2), 3.0)], 1)
    model = recipe.calibrate(made, held_out, net, RECIPE)
    restored = model.restore(model.full(held_out[0][:, : len(SPEECH_SHAPES)])) @ model.aperture
    real = made.examples[0].sizes[:, 0]
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
         "-o", str(target), "--steps", "3", "--utterances", "10",
         "--encoder", str(write_encoder(tmp_path / "model.bin"))],
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert "natural size, voice gate" in result.output
    assert "unseen voices and languages" in result.output
    model = load_speech_model(target)
    rows = predict(model, normalised(example().mels[0]))
    assert np.isfinite(rows.weights).all()
