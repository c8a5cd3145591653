"""The sample portrait speaks: the real command, in processes of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import wave
from pathlib import Path

import numpy as np
import pytest

ASSETS = Path(__file__).parents[2] / "assets"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Holds one second of the sample's speech, the videos and the cache of this module."""
    folder = tmp_path_factory.mktemp("animate")
    with wave.open(str(ASSETS / "speech.wav")) as source:
        settings, sound = source.getparams(), source.readframes(source.getframerate())
    with wave.open(str(folder / "speech.wav"), "wb") as second:
        second.setparams(settings)
        second.writeframes(sound)
    return folder


def start(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "talkcli", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "TALKCLI_CACHE": str(folder / "cache")},
    )


def animate(folder: Path, name: str, *options: str) -> dict:
    out = str(folder / name)
    command = ["animate", str(ASSETS / "portrait.png"), str(folder / "speech.wav")]
    with start(folder, *command, "-o", out, "--json", "--size", "256", *options) as process:
        answer, told = process.communicate()
    assert process.returncode == 0, told
    assert "Traceback" not in told
    return json.loads(answer)


def read_video(path: Path) -> tuple[np.ndarray, dict]:
    """``[n, H, W, 3]`` frames and what the streams say."""
    import av

    with av.open(str(path)) as container:
        video, audio = container.streams.video[0], container.streams.audio[0]
        facts = {
            "codecs": (video.codec_context.name, audio.codec_context.name),
            "pixels": video.codec_context.pix_fmt,
            "primaries": video.codec_context.color_primaries,
            "rate": video.average_rate,
            "video_s": float(video.duration * video.time_base),
            "audio_s": float(audio.duration * audio.time_base),
        }
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video)]
    return np.stack(frames), facts


def test_killed_run_is_resumed_and_the_second_speech_reuses_the_avatar(folder: Path) -> None:
    speech = str(folder / "speech.wav")
    portrait = str(ASSETS / "portrait.png")
    killed = start(
        folder, "animate", portrait, speech, "-o", str(folder / "container.mp4"), "--size", "256"
    )
    # As soon as the faces are stored, in the middle of building the avatar.
    while not list(folder.glob("cache/projects/*/portrait/current")) and killed.poll() is None:
        time.sleep(0.01)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    assert killed.returncode == -signal.SIGKILL

    first = animate(folder, "container.mp4")
    assert [stage["status"] for stage in first["stages"]] == ["reused", "executed"]
    second = animate(folder, "again.mp4", "--seed", "1")
    assert [stage["status"] for stage in second["stages"]] == ["reused", "reused"]
    assert not [path for path in folder.rglob(".*") if path.name.startswith((".tmp", ".talk"))]

    frames, facts = read_video(folder / "container.mp4")
    assert facts["codecs"] == ("h264", "aac") and facts["pixels"] == "yuv420p"
    assert facts["primaries"] == 1 and facts["rate"] == 25
    assert frames.shape == (25, first["height"], first["width"], 3)
    assert max(first["height"], first["width"]) == 256
    assert abs(facts["video_s"] - 1.0) <= 0.02 and abs(facts["audio_s"] - 1.0) <= 0.05
    # Something moves, and the corners, which the head never reaches, do not.
    changes = np.ptp(frames.astype(int), axis=0).max(-1)
    assert changes.max() > 20
    assert max(changes[:8, :8].max(), changes[:8, -8:].max()) <= 3


@pytest.mark.slow
def test_same_seed_gives_the_same_video(folder: Path) -> None:
    animate(folder, "a.mp4", "--seed", "7", "--fps", "10")
    animate(folder, "b.mp4", "--seed", "7", "--fps", "10")
    assert np.array_equal(read_video(folder / "a.mp4")[0], read_video(folder / "b.mp4")[0])


def test_views_turn_the_head(folder: Path) -> None:
    from talkcli.tracking.landmarks import detect_faces

    result = animate(folder, "views.mp4", "--views", "-30,0,30", "--still", "--fps", "10")
    frames, _ = read_video(folder / "views.mp4")
    assert frames.shape[2] == result["width"] and result["width"] % 3 == 0
    noses = []
    for view in np.split(frames[5], 3, axis=1):
        face = detect_faces(np.ascontiguousarray(view))[0].points
        # The nose tip between the outer corners of the eyes, 0 right to 1 left.
        noses.append((face[1, 0] - face[33, 0]) / (face[263, 0] - face[33, 0]))
    assert noses[0] < 0.35 < noses[1] < 0.65 < noses[2]


@pytest.mark.slow
def test_drive_and_render_take_what_reconstruct_has_built(folder: Path) -> None:
    project = str(folder / "me")
    portrait = str(ASSETS / "portrait.png")
    ply = folder / "me.ply"
    for command in (
        ["reconstruct", portrait, "-p", project, "--ply", str(ply)],
        ["drive", "-p", project, str(folder / "speech.wav"), "-o", str(folder / "drive.mp4"),
         "--fps", "10", "--size", "256"],
        ["render", "-p", project, "--views", "-15,15", "--expr", "jawOpen=.6", "--size", "256",
         "-o", str(folder / "faces.png")],
    ):  # fmt: skip
        with start(folder, *command) as process:
            _, told = process.communicate()
        assert process.returncode == 0, told
    assert ply.read_bytes().startswith(b"ply\nformat binary_little_endian 1.0\n")
    assert len(read_video(folder / "drive.mp4")[0]) == 10
    assert (folder / "faces.png").stat().st_size > 10_000
