"""The tables of ``docs/speech_model.md``: held-out speakers, unseen voices, degraded sound."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from talkcli.face.topology import LIPS
from talkcli.speech.model import SpeechModel, predict
from talkcli.speech.track import trust_voice
from talkcli.train.expression import SPEECH_SHAPES, lip_aperture, lip_width
from talkcli.train.speech import noise, phonemes, ridge
from talkcli.train.speech.batches import log_mel, normalised, voice_gate
from talkcli.train.speech.corpus import Corpus, RecipeSettings
from talkcli.train.speech.optimise import Report
from talkcli.train.speech.recipe import (
    Predictions,
    cross_validate_teachers,
    on_frames,
    voice_at,
)
from talkcli.train.speech.scores import (
    LipMotion,
    LipScore,
    closure_auc,
    correlation,
    over_speakers,
    relative_loudness,
    score_clip,
)
from talkcli.train.speech.sentences import SENTENCES
from talkcli.types import shape_columns

_SHAPES = len(SPEECH_SHAPES)
_KEYS = ("aperture_r", "width_r", "lip_error", "silence", "amplitude", "jitter")
_UNSEEN_UTTERANCES = 150
CURVE_SHARES = (0.1, 0.25, 0.5, 1.0)


def table(
    corpus: Corpus,
    held_out: Predictions,
    model: SpeechModel,
    more: Sequence[tuple[str, Sequence[LipScore]]] = (),
) -> str:
    """All scores as Markdown.

    Args:
        corpus: clips with their measured lips.
        held_out: outputs of networks that never met the speaker, at the video frames.
        model: restores natural size.
        more: names and scores of further rows.
    """
    plain = {i: values[:, :_SHAPES] for i, values in held_out.items()}
    natural = {i: _natural(model, values) for i, values in plain.items()}
    gates = {i: _gate(corpus, i, held_out[i]) for i in held_out}
    by_ridge = ridge.cross_validate(corpus.tracks, corpus.examples, corpus.folds.tolist())
    rows = {
        "ridge": by_ridge,
        "network": plain,
        "network, voice gate": {i: v * gates[i] for i, v in plain.items()},
        "natural size": natural,
        "natural size, voice gate (shipped)": {i: v * gates[i] for i, v in natural.items()},
        "somebody else's sound": mismatched(plain),
    }
    lines = ["| | aperture r | without GRID | width r | without GRID | lip error / static | "
             "closure AUC | silence / p90 | amplitude | jitter |",
             "|---|---|---|---|---|---|---|---|---|---|"]  # fmt: skip
    lines += [_row(name, score(corpus, values)) for name, values in rows.items()]
    lines += [_row(name, scores) for name, scores in more]
    scores = score(corpus, plain)
    lines.append("")
    lines.append(f"{len(scores)} clips, {len({s.speaker for s in scores})} speakers held out")
    return "\n".join(lines)


def score(corpus: Corpus, predictions: Predictions) -> list[LipScore]:
    """Scores of predictions against the real lips, at the video frames."""
    lips = corpus.basis[:, list(LIPS)]
    aperture, width = lip_aperture(corpus.basis), lip_width(corpus.basis)
    scores = []
    for i, values in predictions.items():
        track, example, values = corpus.tracks[i], corpus.examples[i], values[:, :_SHAPES]
        predicted = LipMotion(
            values @ aperture, values @ width, np.einsum("ts,svk->tvk", values, lips)
        )
        real = LipMotion(track.aperture, track.width, track.lips)
        loudness = relative_loudness(example.mels[0], example.positions)
        scores.append(score_clip(track.clip.speaker, predicted, real, track.valid, loudness))
    return scores


def unseen_voices(model: SpeechModel, seed: int) -> str:
    """Closure and opening in synthetic languages and voices kept out of training."""
    closures, opened, silent = [], [], []
    for spoken in phonemes.utterances(_UNSEEN_UTTERANCES, seed + 1, held_out=True):
        rows = predict(model, normalised(log_mel(spoken.pcm)))
        aperture = rows.weights @ model.aperture
        wanted = spoken.targets[: len(aperture)]
        share = aperture / max(float(np.quantile(aperture, 0.9)), 0.05)
        touch = wanted[:, phonemes.CLOSED]
        peaks = np.flatnonzero(
            (touch[1:-1] > 0.35) & (touch[1:-1] >= touch[:-2]) & (touch[1:-1] > touch[2:])
        ) + 1  # fmt: skip
        closures += [float(share[max(p - 6, 0) : p + 7].min()) for p in peaks]
        opened.append(share[wanted[:, phonemes.OPEN] > 0.6])
        silent.append(share[wanted[:, phonemes.SILENT] > 0.95])
    shut = float((np.array(closures) < 0.3).mean())
    return (
        f"unseen voices and languages: {shut:.2f} of {len(closures)} p/b/m closed "
        f"(aperture below 0.3 of p90), open vowels {np.median(np.concatenate(opened)):.2f} of p90, "
        f"pauses {np.median(np.concatenate(silent)):.2f} before the gate"
    )


def processed_speech(model: SpeechModel, corpus: Corpus, seed: int) -> str:
    """How the gated lips respond when the sound of the scored clips is degraded, as Markdown.

    Columns: p90 of the aperture in cm, its correlation with that of the clean sound, and the share
    of frames with open lips (> 0.1 cm). The last rows are sounds without speech and a whisper.
    """
    rng = np.random.default_rng(seed)
    clips = [corpus.tracks[i].clip.pcm for i in corpus.scored][:: max(1, len(corpus.scored) // 40)]
    kinds: dict[str, Callable[[np.ndarray], np.ndarray]] = {
        "clean": lambda pcm: pcm,
        "telephone, µ-law": noise.telephone,
        "room, 0.6 s": lambda pcm: noise.reverberate(pcm, 0.6, rng),
        "pink noise, 10 dB": lambda pcm: noise.mix(
            pcm, noise.coloured_noise(len(pcm), 1.0, rng), 10.0
        ),
        "babble, 10 dB": lambda pcm: noise.mix(pcm, noise.babble(len(pcm), clips, rng), 10.0),
        "music, 5 dB": lambda pcm: noise.mix(pcm, noise.music(len(pcm), rng), 5.0),
        "music alone": lambda pcm: level(noise.music(len(pcm), rng), pcm),
        "noise alone": lambda pcm: level(noise.coloured_noise(len(pcm), 1.0, rng), pcm),
    }
    clean = [_gated_aperture(model, pcm) for pcm in clips]
    lines = ["| sound | aperture p90 | r with clean | lips open |", "|---|---|---|---|"]
    for name, change in kinds.items():
        found = [_gated_aperture(model, change(pcm).astype(np.float32)) for pcm in clips]
        follows = np.mean([correlation(a, b) for a, b in zip(found, clean, strict=True)])
        lines.append(_aperture_row(name, found, f"{follows:.2f}"))
    for voice in ("en-us+whisper", "en-us+m2"):
        spoken = phonemes.speak(SENTENCES["en-us"][0], voice, np.random.default_rng(seed))
        lines.append(_aperture_row(f"espeak-ng {voice}", [_gated_aperture(model, spoken.pcm)], ""))
    return "\n".join(lines)


def level(sound: np.ndarray, like: np.ndarray) -> np.ndarray:
    """``[n]`` sound scaled to the level of another one."""
    return sound * (float(np.std(like)) / max(float(np.std(sound)), 1e-9))


def _gated_aperture(model: SpeechModel, pcm: np.ndarray) -> np.ndarray:
    raw = log_mel(pcm)
    rows = predict(model, normalised(raw))
    trust = np.array([trust_voice(float(chance)) for chance in rows.voice])
    return (rows.weights @ model.aperture) * voice_gate(raw) * trust


def _aperture_row(name: str, apertures: Sequence[np.ndarray], follows: str) -> str:
    joined = np.concatenate(apertures)
    return f"| {name} | {np.quantile(joined, 0.9):.2f} | {follows} | {(joined > 0.1).mean():.2f} |"


def minutes_curve(
    corpus: Corpus, settings: RecipeSettings, report: Report
) -> list[tuple[str, list[LipScore]]]:
    """Scores of single teachers trained on fewer clips."""
    single = replace(settings, teachers=1)
    rows = []
    for share in CURVE_SHARES:
        taught = on_frames(corpus, cross_validate_teachers(corpus, single, report, share))
        rows.append((f"one teacher, {share:.0%} of the clips", score(corpus, taught)))
    return rows


def mismatched(predictions: Predictions) -> Predictions:
    """Every clip with the prediction of another one, for the score of chance."""
    keys = list(predictions)
    return {
        key: np.resize(predictions[other], predictions[key].shape)
        for key, other in zip(keys, keys[len(keys) // 2 :] + keys[: len(keys) // 2], strict=True)
    }


def _natural(model: SpeechModel, values: np.ndarray) -> np.ndarray:
    columns = [shape_columns(name)[0] for name in SPEECH_SHAPES]
    return model.restore(model.full(values))[:, columns]


def _gate(corpus: Corpus, index: int, outputs: np.ndarray) -> np.ndarray:
    """``[T, 1]`` the gate of playback: energy times the network's voice output."""
    chance = 1.0 / (1.0 + np.exp(-outputs[:, -1]))
    trust = np.array([trust_voice(float(c)) for c in chance])
    return (voice_at(corpus.examples[index]) * trust)[:, None]


def _row(name: str, scores: Sequence[LipScore]) -> str:
    rest = [score for score in scores if "GRID" not in score.speaker]
    cells = [name]
    for key in _KEYS:
        if key == "silence":
            cells.append(f"{closure_auc(scores):.3f}")
        interval = over_speakers(scores, key)
        exact = key in ("aperture_r", "width_r", "lip_error")
        cells.append(str(interval) if exact else f"{interval.mean:.2f}")
        if key in ("aperture_r", "width_r"):
            cells.append(str(over_speakers(rest, key)))
    return "| " + " | ".join(cells) + " |"
