"""Avatars fitted to real clips, judged on what the fit has held out: the table of docs/results.md.

    python -m benchmarks.fitted ../shared/data -o OUT --json fitted.json [--only NAME]

Everything goes through the commands, from files: ``preprocess``, ``fit`` and ``eval --subject``.
What is done already in ``OUT`` is kept. Besides, the offsets of each held-out frame are fed with
the expression of another one: what that loses is what they know of the moment.
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
#: Figures of the comparisons that are kept.
_FIGURES = frozenset(
    {
        *("psnr_face", "psnr_head", "psnr_frame", "ssim_face", "ssim_head", "st_lpips"),
        *("lmd_lips", "landmark_error_lips", "lip_aperture_r", "lip_width_r"),
        *("lip_aperture_size", "jitter", "seam", "sync_peak"),
    }
)
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
    """Measure the clips, print their figures, and write all of them as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder of the projects")
    parser.add_argument("--recipe", default="audio-plane-fast")
    parser.add_argument("--only", nargs="*", default=[], help="parts of the names of clips")
    parser.add_argument("--json", type=Path, help="file for what scripts/results.py reads")
    asked = parser.parse_args(arguments)
    rows = []
    for clip in CLIPS:
        if asked.only and not any(name in clip for name in asked.only):
            continue
        rows.append(_measured(asked.data, clip, asked.output, asked.recipe))
        print(json.dumps(rows[-1], indent=1), flush=True)
        if asked.json is not None:
            asked.json.write_text(json.dumps(rows, indent=1), encoding="utf-8")


def _measured(data: Path, clip: str, output: Path, recipe: str) -> dict[str, Any]:
    project = output / f"{clip}.talk"
    row: dict[str, Any] = {"clip": clip.replace("__", ": "), "recipe": recipe}
    source = data / "clips" / f"{clip}.mp4"
    for command in (
        ("preprocess", source, "-p", project),
        ("fit", "-p", project, "--recipe", recipe),
    ):
        began = time.perf_counter()
        answer = json.loads(_run(*command, "-q", "--json"))
        reused = answer["stages"][-1]["status"] == "reused"
        row[f"{command[0]}_s"] = None if reused else round(time.perf_counter() - began, 1)
        row[command[0]] = {k: answer.get(k) for k in ("fit", "prepared") if k in answer}
    answer = json.loads(_run("eval", "--subject", project, "--json", "-q"))
    row["comparisons"] = [
        {
            "name": one["name"],
            "values": {m["name"]: m["value"] for m in one["metrics"] if m["name"] in _FIGURES},
        }
        for one in answer["comparisons"]
    ]
    row["shuffled_db"] = round(shuffled_loss(project), 3)
    return row


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
    frames = FitFrames(avatar.portrait, clip, avatar.clip.frames)
    held = [int(k) for k in clip.stored if k >= avatar.held_out and clip.usable[k]]
    x0, y0, x1, y1 = frames.window
    scores = []
    for place, number in list(enumerate(held))[:: max(1, len(held) // _SHUFFLED)]:
        other = frames.poses[held[(place + _MOVED) % len(held)]]
        swapped = replace(avatar.portrait, correction=_Swapped(avatar.portrait.correction, other))
        found = []
        for model in (avatar.portrait, swapped):
            rgb, alpha = draw_head(
                player("cpu"), model, frames.poses[number], body=frames.body(number)
            )
            shown = np.clip(rgb + (1 - alpha[..., None]) * avatar.portrait.plate, 0, 1)
            drawn = 255 * shown[y0:y1, x0:x1]
            found.append(psnr(drawn, frames.target(number), frames.mouth(number)))
        scores.append(found[1] - found[0])
    return float(np.mean(scores))


def _current(stage: Path) -> Path:
    return stage / (stage / "current").read_text(encoding="utf-8").strip()


if __name__ == "__main__":
    main()
