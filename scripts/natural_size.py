"""Map the outputs of the shipped speech networks to natural size again, without training them.

    python scripts/natural_size.py ../shared/data --cache /tmp/tracks

Outputs are taken over the recordings in ``speech``, whose speakers the lips never learnt from; real
sizes from the clips of ``speech_clips.json`` that are long enough to show a distribution.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from talkcli import runtime

runtime.configure()

import numpy as np  # noqa: E402
from safetensors import safe_open  # noqa: E402

from talkcli.face.model import FaceModel  # noqa: E402
from talkcli.media.audio import stream_pcm  # noqa: E402
from talkcli.speech.features import LevelNormaliser, LogMelStream  # noqa: E402
from talkcli.speech.model import (  # noqa: E402
    WEIGHTS,
    SpeechModel,
    load_speech_model,
    weights_path,
)
from talkcli.speech.network import STRIDE, SUBFRAMES, NetworkStream  # noqa: E402
from talkcli.speech.vad import VoiceGate  # noqa: E402
from talkcli.train.clips import Clip, load_clips  # noqa: E402
from talkcli.train.expression import solve_clips  # noqa: E402
from talkcli.train.speech.natural_size import LEAST_FRAMES, natural_size, speakers_of  # noqa: E402

SPEAKING = 0.5
RATE, MOST_S = 16000, 20
LEAST_ROWS = 200  # four seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, help="folder with speech_clips.json and speech")
    parser.add_argument("--cache", type=Path, required=True, help="keeps the landmarks")
    options = parser.parse_args()
    tracks = solve_clips(long_clips(options.data, options.cache), FaceModel.load())
    gates = [gate_of(track.clip.pcm) for track in tracks]
    speaking = [
        track.valid & (at(gate, track.clip.speech_times) > SPEAKING)
        for track, gate in zip(tracks, gates, strict=True)
    ]
    speakers = speakers_of(tracks, speaking)
    sounds = [first_seconds(path) for path in sorted((options.data / "speech").iterdir())]
    for name in WEIGHTS:
        path = weights_path(name)
        model = load_speech_model(path)
        outputs = [
            spoken for pcm in sounds if len(spoken := spoken_outputs(model, pcm)) > RATE // 80
        ]
        with safe_open(path, "np") as file:
            description = json.loads(file.metadata()["talkcli"])["description"]
        natural_size(model, outputs, speakers).save(path, description)
        print(f"{name}: {len(outputs)} recordings, {len(speakers)} speakers")


def long_clips(data: Path, cache: Path) -> list[Clip]:
    """The usable clips of at least :data:`LEAST_FRAMES`."""
    entries = json.loads((data / "speech_clips.json").read_text())
    long = [e | {"file": str((data / e["file"]).resolve())} for e in entries
            if e["usable_speech"] and e["frames_25fps"] >= LEAST_FRAMES]  # fmt: skip
    cache.mkdir(parents=True, exist_ok=True)
    (cache / "speech_clips.json").write_text(json.dumps(long))
    return load_clips(cache, cache)


def first_seconds(path: Path) -> np.ndarray:
    return np.concatenate(list(stream_pcm(path)))[: MOST_S * RATE]


def gate_of(pcm: np.ndarray) -> np.ndarray:
    gate, mel = VoiceGate(), LogMelStream()
    return np.concatenate([gate.push(mel.push(pcm)), gate.push(mel.finish()), gate.finish()])


def at(values: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Values at 100 Hz at some times."""
    return np.interp(100.0 * times, np.arange(len(values)), values)


def spoken_outputs(model: SpeechModel, pcm: np.ndarray) -> np.ndarray:
    """``[n, shapes]`` what the network gives while somebody speaks."""
    mel, level = LogMelStream(), LevelNormaliser()
    net = NetworkStream(model.networks[0], model.layout)
    rows = [net.push(level.push(mel.push(pcm))), net.push(level.push(mel.finish()))]
    rows += [net.push(level.finish()), net.finish()]
    outputs = np.concatenate(rows)[:, : len(model.shapes)]
    gate = gate_of(pcm)[:: STRIDE // SUBFRAMES]
    count = min(len(gate), len(outputs))
    return outputs[:count][gate[:count] > SPEAKING]


if __name__ == "__main__":
    main()
