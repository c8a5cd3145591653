"""Do films made with defaults move as people do? Real clips and films, tracked alike.

    python -m benchmarks.alive ../shared/data -o /tmp/films

Twelve portraits speak with sounds of other people, as ``talkcli animate`` makes them, and the
first neutral frame of nine clips with the clip's own sound. Films and real clips are followed by
FaceMesh; pose and size are taken out (unit: distance of the outer eye corners). Printed: medians
and quartiles of both, and for the same person and words the sizes and correlations of lips and
corners. Films that are there already are measured again and not made again. The shipped speech
model knows the speakers of the clips: compare those correlations with other versions, not with
held-out ones.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from talkcli import runtime

runtime.configure()

import numpy as np  # noqa: E402
from PIL import Image  # noqa: E402
from scipy.io import wavfile  # noqa: E402
from scipy.ndimage import gaussian_filter1d, median_filter  # noqa: E402

from talkcli.cli.app import run  # noqa: E402
from talkcli.errors import TalkcliError  # noqa: E402
from talkcli.face.alignment import PICTURE_DEPTH, align_heads  # noqa: E402
from talkcli.face.measures import EYES  # noqa: E402
from talkcli.face.model import FaceModel  # noqa: E402
from talkcli.face.pose import rotation_to_euler  # noqa: E402
from talkcli.face.topology import BROW_LEFT, BROW_RIGHT, OUTER_CORNERS, Eye  # noqa: E402
from talkcli.media.audio import stream_pcm  # noqa: E402
from talkcli.media.read import read_frames  # noqa: E402
from talkcli.metrics.series import runs  # noqa: E402
from talkcli.motion.retarget import reference_frame  # noqa: E402
from talkcli.tracking.clip import track_clip  # noqa: E402
from talkcli.tracking.person import align_to_self  # noqa: E402
from talkcli.train.clips import clip_landmarks  # noqa: E402

#: Portraits and the sounds they speak with: other people's, in eight languages.
PAIRS = (
    ("GeneFace__000033.jpg", "dreamtalk__audio_German2.flac"),
    ("SadTalker__source_image_people_0.jpg", "SadTalker__driven_audio_fayu.flac"),
    ("echomimic__test_imgs_b.jpg", "SadTalker__driven_audio_chinese_news.flac"),
    ("dreamtalk__src_img_uncropped_male_face.jpg", "whisper__jfk.flac"),
    ("LivePortrait__source_s12.jpg", "dreamtalk__audio_italian2.flac"),
    ("HelloMeme__reference_images_harris.jpg", "echomimic__test_audios_echomimic_en_girl.flac"),
    ("AniPortrait__ref_images_solo.jpg", "SadTalker__driven_audio_japanese.flac"),
    ("GeneFace__000114.jpg", "SadTalker__driven_audio_RD_Radio34_002.flac"),
    ("SadTalker__source_image_happy1.jpg", "dreamtalk__audio_spanish1.flac"),
    ("MuseTalk__demo_man_man.jpg", "SadTalker__driven_audio_eluosi.flac"),
    ("dreamtalk__src_img_cropped_menglu2.jpg", "echomimic__test_audios_walden.flac"),
    ("AAAI22-one-shot-talking-face__imgs_AdamSmith_0.jpg", "video-retalking__audio_1.flac"),
)
#: Clips whose own first neutral frame speaks with their own sound.
OWN = (
    "EDTalk__pose_source2",
    "LatentSync__demo2_video",
    "yerfor-MimicTalk__data_raw_examples_Trump_10s",
    "yerfor-MimicTalk__data_raw_examples_German_20s",
    "PC-AVS__Input_00098",
    "DFRF__vids_cnn2_25fps",
    "LatentSync__demo1_video",
    "HelloMeme__drive_videos_xzy3",
    "EDTalk__uncrop_Obama",
)
SECONDS, RATE, FPS = 10.0, 16000, 25.0
LEAST_S = 5.9  # of a real clip
SHUT = 0.03
BLINK = 0.55  # of the open eye; below it a blink
#: Label, digits and the issue's measure of every row.
ROWS = {
    "opening": "lip opening p95",
    "speed": "opening speed p95 /s",
    "width": "mouth width p97-p3",
    "corners": "corners' height sd",
    "shut": "lips shut, share",
    "brows": "brow height sd",
    "lids": "lid opening sd, blinks left out",
    "blink": "blink depth",
    "blinks": "blinks per minute",
    "bursts": "head speed sd/mean",
    "head": "head speed, deg/s",
    "power12": "share of head power 1-2 Hz",
    "power24": "share of head power 2-4 Hz",
    "yaw": "yaw sd, deg",
    "pitch": "pitch sd, deg",
    "roll": "roll sd, deg",
    "sides": "left-right difference of corners, sd",
    "jitter": "opening jitter",
}


@dataclass(frozen=True)
class Curves:
    """What FaceMesh sees of one person, 25 rows per second, in outer-eye distances and degrees."""

    opening: np.ndarray
    width: np.ndarray
    corners: np.ndarray
    sides: np.ndarray
    brows: np.ndarray
    lids: np.ndarray
    angles: np.ndarray
    times: np.ndarray


def curves_of(times: np.ndarray, points: np.ndarray) -> Curves:
    """From landmarks in pixels, pose and size taken out."""
    found = np.isfinite(points[:, 0, 0])
    times, points = times[found], points[found]
    _, rigid = align_to_self(points, FaceModel.load().vertices)
    heads = align_heads(points, rigid, PICTURE_DEPTH)
    unit = np.linalg.norm(rigid[33] - rigid[263])
    grid = np.arange(times[0], times[-1], 1.0 / FPS)

    def even(values: np.ndarray) -> np.ndarray:
        return np.interp(grid, times, values)

    face = heads.points / unit
    height = face[:, OUTER_CORNERS, 1]
    lids = np.mean([eye_opening(face, eye) for eye in EYES], 0)
    angles = np.array([rotation_to_euler(turn) for turn in heads.rotations])
    return Curves(
        opening=even(face[:, 13, 1] - face[:, 14, 1]),
        width=even(np.linalg.norm(face[:, 61, :2] - face[:, 291, :2], axis=1)),
        corners=even(height.mean(1)),
        sides=even(height[:, 0] - height[:, 1]),
        brows=even(face[:, BROW_LEFT + BROW_RIGHT, 1].mean(1)),
        lids=even(lids),
        angles=np.stack([even(angle) for angle in angles.T], 1),
        times=grid,
    )


def eye_opening(face: np.ndarray, eye: Eye) -> np.ndarray:
    """Height of the opening over the distance of its corners."""
    tall = (face[:, eye.upper[2:5], 1] - face[:, eye.lower[2:5], 1]).mean(1)
    return tall / np.linalg.norm(face[:, eye.corners[0], :2] - face[:, eye.corners[1], :2], axis=1)


def statistics(seen: Curves) -> dict[str, float]:
    """The table's rows for one video; NaN where it shows no blink."""
    opening = seen.opening
    usual = median_filter(seen.lids, 51, mode="nearest")
    depths = [float(1 - (seen.lids / usual)[a:b].min()) for a, b in runs(seen.lids < BLINK * usual)]
    near = np.convolve(seen.lids < 0.8 * usual, np.ones(9), "same") > 0
    smooth = gaussian_filter1d(seen.angles, 1.0, axis=0)
    speed = np.linalg.norm(np.diff(smooth, axis=0), axis=1) * FPS
    centred = seen.angles - seen.angles.mean(0)
    power = np.abs(np.fft.rfft(centred * np.hanning(len(centred))[:, None], axis=0)) ** 2
    hertz = np.fft.rfftfreq(len(centred), 1 / FPS)
    power = power.sum(1) * ((hertz > 0.05) & (hertz < 8.0))
    yaw, pitch, roll = seen.angles.std(0)
    return {
        "opening": float(np.quantile(opening, 0.95)),
        "speed": float(np.quantile(np.abs(np.diff(opening)) * FPS, 0.95)),
        "width": float(np.subtract(*np.quantile(seen.width, (0.97, 0.03)))),
        "corners": float(seen.corners.std()),
        "shut": float((opening < SHUT).mean()),
        "brows": float(seen.brows.std()),
        "lids": float(seen.lids[~near].std()),
        "blink": float(np.median(depths)) if depths else np.nan,
        "blinks": 60.0 * FPS * len(depths) / len(opening),
        "bursts": float(speed.std() / speed.mean()),
        "head": float(speed.mean()),
        "power12": float(power[(hertz >= 1) & (hertz < 2)].sum() / power.sum()),
        "power24": float(power[(hertz >= 2) & (hertz < 4)].sum() / power.sum()),
        "yaw": float(yaw),
        "pitch": float(pitch),
        "roll": float(roll),
        "sides": float(seen.sides.std()),
        "jitter": float(np.abs(np.diff(opening, 2)).mean() / np.abs(np.diff(opening)).mean()),
    }


def compared(made: Curves, real: Curves, lag_s: float) -> dict[str, float]:
    """Sizes, made over real, and correlations; the real mouth is ``lag_s`` later than the sound."""
    times = made.times[(made.times + lag_s > real.times[0]) & (made.times + lag_s < real.times[-1])]
    found = {}
    for name in ("opening", "width", "corners"):
        ours = np.interp(times, made.times, getattr(made, name))
        theirs = np.interp(times + lag_s, real.times, getattr(real, name))
        found[f"{name} r"] = float(np.corrcoef(ours, theirs)[0, 1])
        if name == "opening":
            size = np.quantile(ours, 0.95) / np.quantile(theirs, 0.95)
        else:
            low, high = (0.03, 0.97)
            size = np.subtract(*np.quantile(ours, (high, low))) / np.subtract(
                *np.quantile(theirs, (high, low))
            )
        found[f"{name} ratio"] = float(size)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, help="folder with speech_clips.json, portraits, speech")
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--size", default="384", help="longest side of the films")
    parser.add_argument("--options", default="", help="further options of talkcli animate")
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    further = ["--size", options.size, *options.options.split()]
    entries = json.loads((options.data / "speech_clips.json").read_text())
    real = {
        Path(e["file"]).stem: tracked(options.data / e["file"], options.output)
        for e in longest(entries)
    }
    films = []
    for k, (portrait, sound) in enumerate(PAIRS):
        picture = options.data / "portraits" / portrait
        pcm = sound_of(options.data / "speech" / sound)
        films.append(film(picture, pcm, options.output / f"pair{k:02d}", further))
    table([statistics(seen) for seen in real.values()], [statistics(seen) for seen in films])
    lags = {Path(e["file"]).stem: float(e["lag_s"] or 0.0) for e in entries}
    rows = []
    for name in OWN:
        clip = options.data / "clips" / f"{name}.mp4"
        portrait = options.output / f"{name}.png"
        save_portrait(clip, portrait)
        made = film(portrait, sound_of(clip), options.output / name, further)
        rows.append(compared(made, real[name], lags[name]))
        figures = "  ".join(f"{key} {value:5.2f}" for key, value in rows[-1].items())
        print(f"{name[:34]:36}{figures}", flush=True)
    medians = {key: float(np.median([row[key] for row in rows])) for key in rows[0]}
    print(f"{'median':36}" + "  ".join(f"{key} {value:5.2f}" for key, value in medians.items()))


def longest(entries: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The longest usable clip of every speaker who is seen long enough."""
    usable = [e for e in entries if e["usable_speech"] and e["frames_25fps"] >= LEAST_S * FPS]
    usable.sort(key=lambda e: -e["frames_25fps"])
    best = {e["speaker"]: e for e in reversed(usable)}
    return sorted(best.values(), key=lambda e: e["file"])


def tracked(video: Path, kept: Path) -> Curves:
    """The first ten seconds of a video; landmarks of real clips are kept."""
    store = kept / f"{video.stem}.real.npz"
    if not store.is_file():
        times, points = clip_landmarks(video)
        np.savez(store, times=times, points=points)
    with np.load(store) as found:
        times, points = found["times"], found["points"]
    return curves_of(times[times < SECONDS], points[times < SECONDS])


def sound_of(path: Path) -> np.ndarray:
    pcm = np.concatenate(list(stream_pcm(path)))
    return pcm[: int(SECONDS * RATE)]


def film(portrait: Path, pcm: np.ndarray, stem: Path, further: Sequence[str]) -> Curves:
    """A film as the command makes it, as seen again."""
    video, sound = stem.with_suffix(".mp4"), stem.with_suffix(".wav")
    if not video.is_file():
        wavfile.write(sound, RATE, (np.clip(pcm, -1, 1) * 32767).astype(np.int16))
        code = run(["animate", str(portrait), str(sound), "-o", str(video), "-y", "-q", *further])
        if code:
            raise TalkcliError(f"{video} was not made (exit code {code})")
    return curves_of(*clip_landmarks(video))


def save_portrait(path: Path, target: Path) -> None:
    """Save the first neutral frame of a clip."""
    if target.is_file():
        return
    wanted = reference_frame(track_clip(path).curves)
    for index, frame in enumerate(read_frames(path, max_side=1280)):
        if index == wanted:
            Image.fromarray(frame.rgb).save(target)
            return


def table(real: Sequence[dict[str, float]], made: Sequence[dict[str, float]]) -> None:
    print(f"{'':36}{'real [quartiles]':>24}{'films [quartiles]':>26}")
    for key, label in ROWS.items():
        cells = []
        for rows in (real, made):
            low, middle, high = np.nanquantile([row[key] for row in rows], (0.25, 0.5, 0.75))
            cells.append(f"{middle:8.3f} [{low:.3f}-{high:.3f}]")
        inside = np.nanquantile([row[key] for row in real], (0.25, 0.75))
        ours = np.nanmedian([row[key] for row in made])
        mark = "" if inside[0] <= ours <= inside[1] else "  outside"
        print(f"{label:36}{cells[0]:>24}{cells[1]:>26}{mark}")


if __name__ == "__main__":
    main()
