"""Avatars fitted to real clips, judged on what the fit has held out: the table of docs/results.md.

    python -m benchmarks.fitted ../shared/data -o OUT [--recipe audio-plane-fast] [--only NAME]

Everything goes through the commands, from files: ``preprocess``, ``fit`` and ``eval --subject``.
What is done already in ``OUT`` is kept. The last column feeds the offsets of each held-out frame
with the expression of another one: what it loses is what they know of the moment.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from talkcli.types import MotionFrame

#: At least 8 s, 450 px, with confirmed sync.
CLIPS = (
    "DFRF__vids_cnn2_25fps",
    "EDTalk__uncrop_Obama",
    "LatentSync__demo1_video",
    "LatentSync__demo2_video",
    "yerfor-MimicTalk__data_raw_examples_German_20s",
    "yerfor-MimicTalk__data_raw_examples_Trump_10s",
    "HelloMeme__drive_videos_xzy2",
)
#: Of every comparison: figures in the order of the columns, and their decimals.
_COLUMNS = {
    "psnr_face": 2,
    "ssim_face": 3,
    "stlpips": 3,
    "lmd_lips": 2,
    "lip_aperture_r": 2,
    "lip_width_r": 2,
    "jitter": 2,
}
#: Held-out frames that the offsets are shuffled over, and by how many they are moved.
_SHUFFLED, _MOVED = 40, 37


@dataclass
class _Swapped:
    """A correction that is driven by another frame."""

    inner: Any
    other: MotionFrame

    @property
    def index(self) -> np.ndarray:
        return np.asarray(self.inner.index)

    def apply(self, motion: MotionFrame, *arrays: np.ndarray) -> None:
        self.inner.apply(self.other, *arrays)

    def part(self, order: np.ndarray) -> _Swapped:
        return _Swapped(self.inner.part(order), self.other)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--recipe", default="audio-plane-fast")
    parser.add_argument("--only", nargs="*", default=[])
    asked = parser.parse_args(arguments)
    print("| clip | avatar |", " | ".join(_COLUMNS), "| mouth, shuffled |")
    print("|---|---|" + "---|" * (len(_COLUMNS) + 1))
    for clip in CLIPS:
        if asked.only and not any(name in clip for name in asked.only):
            continue
        project = asked.output / f"{clip}.talk"
        times = _fitted(asked.data / "clips" / f"{clip}.mp4", project, asked.recipe)
        answer = json.loads(_run("eval", "--subject", project, "--json", "-q"))
        loss = shuffled_loss(project)
        for one in answer["comparisons"]:
            values = {row["name"]: row["value"] for row in one["metrics"]}
            cells = [_shown(values.get(name), places) for name, places in _COLUMNS.items()]
            last = f"{loss:+.2f} dB" if one is answer["comparisons"][0] else ""
            print(f"| {clip} | {one['name']} |", " | ".join(cells), f"| {last} |", flush=True)
        print(f"  {clip}: {times}", file=sys.stderr)


def _shown(value: float | None, places: int) -> str:
    return "–" if value is None else f"{value:.{places}f}"


def _fitted(clip: Path, project: Path, recipe: str) -> str:
    told = []
    for command in (
        ("preprocess", clip, "-p", project),
        ("fit", "-p", project, "--recipe", recipe),
    ):
        began = time.perf_counter()
        _run(*command, "-q", "--json")
        told.append(f"{command[0]} {time.perf_counter() - began:.0f} s")
    return ", ".join(told)


def _run(*arguments: str | Path) -> str:
    command = [sys.executable, "-m", "talkcli", *map(str, arguments)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def shuffled_loss(project: Path) -> float:
    """By how many dB the held-out mouths get worse where the offsets see another frame."""
    from talkcli import runtime

    runtime.configure()
    from talkcli.engines.audio_plane.checkpoint import load_subject
    from talkcli.engines.audio_plane.frames import FitFrames
    from talkcli.layers.clip import PreparedClip
    from talkcli.metrics.image import psnr
    from talkcli.render.player import draw_head, player

    avatar = load_subject(_current(project / "avatar"))
    clip = PreparedClip.load(_current(project / "prepare"))
    motions = avatar.clip.frames
    frames = FitFrames(avatar.portrait, clip, motions)
    held = [int(k) for k in clip.stored if k >= avatar.held_out and clip.usable[k]]
    x0, y0, x1, y1 = frames.window
    scores = []
    for place, number in list(enumerate(held))[:: max(1, len(held) // _SHUFFLED)]:
        other = motions[held[(place + _MOVED) % len(held)]]
        swapped = replace(avatar.portrait, correction=_Swapped(avatar.portrait.correction, other))
        found = []
        for model in (avatar.portrait, swapped):
            rgb, alpha = draw_head(player("cpu"), model, motions[number])
            shown = np.clip(rgb + (1 - alpha[..., None]) * avatar.portrait.plate, 0, 1)
            drawn = 255 * shown[y0:y1, x0:x1]
            found.append(psnr(drawn, frames.target(number), frames.mouth(number)))
        scores.append(found[1] - found[0])
    return float(np.mean(scores))


def _current(stage: Path) -> Path:
    return stage / (stage / "current").read_text(encoding="utf-8").strip()


if __name__ == "__main__":
    main()
