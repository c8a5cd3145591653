"""From speech to video, end to end: time per stage, time to the first frame, memory.

    python -m benchmarks.playback                       a minute at 512 px, one view and three
    python -m benchmarks.playback --seconds 1800 --fps 10 --size 256 --views none
    python -m benchmarks.playback --against ../before   the same with another checkout, in turns

Every run is a separate process: the real command with a stored avatar and the sample's speech,
repeated. The best of ``--runs`` runs counts; with ``--against`` the checkouts take turns, so that
other load affects both alike. Seconds of stages overlap and include waiting for a core; CPU
seconds, including ffmpeg's, are steadier on a busy machine.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
import wave
from pathlib import Path
from typing import Any

from talkcli import runtime

ROOT = Path(__file__).parents[1]
ASSETS = ROOT / "assets"
STAGES = ("load", "motion", "render", "compose", "encode")


def make_speech(path: Path, seconds: float) -> None:
    """Write the sample's sound, repeated to a length."""
    with wave.open(str(ASSETS / "speech.wav")) as source:
        settings, sound = source.getparams(), source.readframes(source.getnframes())
    wanted = round(seconds * settings.framerate) * settings.sampwidth * settings.nchannels
    with wave.open(str(path), "wb") as target:
        target.setparams(settings)
        target.writeframes((sound * (wanted // len(sound) + 1))[:wanted])


def talkcli(checkout: Path, *arguments: str) -> tuple[dict[str, Any], float, float]:
    """Run the command line of a checkout: its JSON answer, wall seconds and CPU seconds."""
    before, start = os.times(), time.perf_counter()
    run = subprocess.run(
        [sys.executable, "-m", "talkcli", *arguments, "-y", "-q", "--json"],
        cwd=checkout,
        stdout=subprocess.PIPE,
        check=True,
    )
    wall, after = time.perf_counter() - start, os.times()
    used = after.children_user + after.children_system
    return json.loads(run.stdout), wall, used - before.children_user - before.children_system


def measure(checkout: Path, arguments: list[str], duration_s: float) -> dict[str, float]:
    """One run as rows of the table."""
    answer, wall, cpu = talkcli(checkout, *arguments)
    rows = {name: answer["seconds"].get(name, 0.0) for name in STAGES}
    rows["wall"] = wall
    rows["CPU"] = cpu
    rows["x real time"] = duration_s / wall
    rows["first frame"] = answer.get("first_frame_s") or float("nan")
    rows["peak MB"] = answer["peak_memory_mb"] or float("nan")
    return rows


def show(title: str, columns: dict[str, dict[str, float]]) -> None:
    """Print a column per checkout; rows are seconds except where named otherwise."""
    width = max(14, *(len(name) + 2 for name in columns))
    print(title)
    print(" " * 14 + "".join(name.rjust(width) for name in columns))
    for row in next(iter(columns.values())):
        print(row.rjust(12) + "  " + "".join(f"{c[row]:{width}.2f}" for c in columns.values()))


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--fps", default="25")
    parser.add_argument("--views", nargs="*", default=["none", "-30,0,30"])
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument("--against", type=Path, help="another checkout of talkcli")
    settings = parser.parse_args()
    runtime.configure()
    checkouts = {"this": ROOT}
    if settings.against:
        checkouts["other"] = settings.against.resolve()
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        make_speech(place / "speech.wav", settings.seconds)
        make_speech(place / "short.wav", 1.0)
        common = ["--size", str(settings.size), "--fps", settings.fps, "-o", str(place / "a.mp4")]
        portrait = str(ASSETS / "portrait.png")
        for name, checkout in checkouts.items():
            # Build the avatar and compile the kernels.
            project = str(place / name)
            talkcli(checkout, "animate", portrait, str(place / "short.wav"), "-p", project, *common)
        print(
            f"{platform.machine()}, {runtime.available_cpus()} cores, load "
            f"{os.getloadavg()[0]:.1f}; {settings.seconds:.0f} s of speech at {settings.size} px, "
            f"{settings.fps} fps"
        )
        for views in settings.views:
            drive = ["drive", str(place / "speech.wav"), *common]
            if views != "none":
                drive.append(f"--views={views}")
            best: dict[str, dict[str, float]] = {}
            for _ in range(settings.runs):
                for name, checkout in checkouts.items():
                    arguments = [*drive, "-p", str(place / name)]
                    rows = measure(checkout, arguments, settings.seconds)
                    if name not in best or rows["wall"] < best[name]["wall"]:
                        best[name] = rows
            show("one view" if views == "none" else f"views {views}", best)


if __name__ == "__main__":
    main()
