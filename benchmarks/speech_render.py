"""Do rendered mouths move like the real ones? Clips against videos driven by their own sound.

    python benchmarks/speech_render.py ../shared/data -o /tmp/lips --clips 10

Per clip: the first neutral frame becomes the portrait; the clip's sound, with a second of silence
inserted in the middle, drives it; the video is tracked like any clip. Printed: the correlation of
the lip aperture with the real one, as predicted by the weights and as measured in the video, and
the share of the frames in the inserted silence whose aperture is below 2 % of the face height. The
shipped model may know the speakers: compare the two correlations with each other, never with
held-out ones.
"""

from __future__ import annotations

import argparse
import json
from fractions import Fraction
from pathlib import Path

from talkcli import runtime

runtime.configure()

import numpy as np  # noqa: E402
from PIL import Image  # noqa: E402
from scipy.io import wavfile  # noqa: E402

from talkcli.cli.app import run  # noqa: E402
from talkcli.errors import TalkcliError  # noqa: E402
from talkcli.face.model import FaceModel  # noqa: E402
from talkcli.media.read import read_frames  # noqa: E402
from talkcli.motion import TalkSettings, motion_frames  # noqa: E402
from talkcli.motion.retarget import reference_frame  # noqa: E402
from talkcli.tracking.clip import track_clip  # noqa: E402
from talkcli.train.clips import Clip, clip_landmarks, load_clips  # noqa: E402
from talkcli.train.expression import lip_aperture, solve_clips  # noqa: E402
from talkcli.train.speech.scores import correlation  # noqa: E402

FPS = Fraction(25)
RATE = 16000
SHUT_CM = 0.02 * 17.7  # 2 % of the face height
SILENCE_S, SETTLE_S = 1.0, 0.12  # at either end of the silence the mouth may still be moving


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, help="folder with speech_clips.json")
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--cache", type=Path, default=None)
    parser.add_argument("--clips", type=int, default=10)
    parser.add_argument("--size", default="0", help="longest side; 0 is the portrait's own")
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    cache = options.cache or runtime.cache_root() / "speech"
    rows = []
    for clip, path in chosen_clips(options.data, cache / "tracks", options.clips):
        row = measure(clip, path, options.output, options.size)
        rows.append(row)
        print(f"{clip.name[:44]:46}predicted r {row[0]:.3f}  seen r {row[1]:.3f}  "
              f"shut in silence {row[2]:.2f}", flush=True)  # fmt: skip
    means = np.array(rows).mean(0)
    print(f"{'mean':46}predicted r {means[0]:.3f}  seen r {means[1]:.3f}  "
          f"shut in silence {means[2]:.2f}")  # fmt: skip


def chosen_clips(data: Path, cache: Path, count: int) -> list[tuple[Clip, Path]]:
    """The longest clip of each of the speakers with the longest ones, cut to 10 s."""
    entries = json.loads((data / "speech_clips.json").read_text())
    usable = [e for e in entries if e["usable_speech"] and e["frontal_share"] > 0.9]
    usable.sort(key=lambda e: -e["frames_25fps"])
    best = {e["speaker"]: e for e in reversed(usable)}
    files = {e["file"] for e in sorted(best.values(), key=lambda e: -e["frames_25fps"])[:count]}
    folder = cache.parent / "chosen"
    folder.mkdir(parents=True, exist_ok=True)
    picked = [e | {"file": str(data / e["file"])} for e in entries if e["file"] in files]
    (folder / "speech_clips.json").write_text(json.dumps(picked))
    clips = load_clips(folder, cache)
    return [(shorten(clip), Path(e["file"])) for clip, e in zip(clips, picked, strict=True)]


def shorten(clip: Clip, seconds: float = 10.0) -> Clip:
    keep = clip.times < seconds
    return Clip(
        clip.name, clip.speaker, clip.licence, clip.lag_s, clip.times[keep], clip.points[keep],
        clip.pcm[: int(seconds * RATE)],
    )  # fmt: skip


def measure(clip: Clip, path: Path, output: Path, size: str) -> tuple[float, float, float]:
    """Predicted r, r measured in the video, share of shut frames in the inserted silence."""
    (track,) = solve_clips([clip], FaceModel.load())
    portrait, sound, video = (output / f"{clip.name}.{end}" for end in ("png", "wav", "mp4"))
    save_portrait(path, portrait)
    half = len(clip.pcm) // 2
    pause = np.zeros(int(SILENCE_S * RATE), np.float32)
    pcm = np.concatenate([clip.pcm[:half], pause, clip.pcm[half:]])
    wavfile.write(sound, RATE, (np.clip(pcm, -1, 1) * 32767).astype(np.int16))
    code = run(["animate", str(portrait), str(sound), "-o", str(video), "--still", "--size", size,
                "--blink-rate", "0", "-y", "-q"])  # fmt: skip
    if code:
        raise TalkcliError(f"{video} was not made (exit code {code})")
    times, points = clip_landmarks(video)
    (seen,) = solve_clips(
        [Clip("video", clip.speaker, clip.licence, 0.0, times, points, pcm)], FaceModel.load()
    )
    begin = half / RATE
    moments = track.clip.speech_times
    moments = moments + np.where(moments > begin, SILENCE_S, 0.0)
    weights = np.array(
        [f.expression for f in motion_frames([pcm], len(times), FPS, TalkSettings(still=True), 0)]
    )
    predicted = lip_aperture(np.einsum("tk,kvd->tvd", weights, FaceModel.load().basis))
    real = track.aperture[track.valid]
    values = [
        correlation(np.interp(moments, times, found)[track.valid], real)
        for found in (predicted, seen.aperture)
    ]
    silent = (times > begin + SETTLE_S) & (times < begin + SILENCE_S - SETTLE_S)
    # Apertures are relative to the most closed fifth of the frames: in the video, the silence.
    return values[0], values[1], float((seen.aperture[silent] < SHUT_CM).mean())


def save_portrait(path: Path, target: Path) -> None:
    """Save the first neutral frame of a clip."""
    wanted = reference_frame(track_clip(path).curves)
    for index, frame in enumerate(read_frames(path, max_side=1280)):
        if index == wanted:
            Image.fromarray(frame.rgb).save(target)
            return


if __name__ == "__main__":
    main()
