"""What the engine mggtalk gains over portrait, in self-reenactments of held-out people.

    python -m benchmarks.decoder CLIP.mp4 … -o OUT --weights decoder.safetensors

Every clip is made again from its first neutral frame, by its own face and by its own sound, with
both engines, through the pipeline and from files. What is done already in ``OUT`` is kept. The
tables give each clip's figures of ``portrait`` and what ``mggtalk`` adds, and the medians.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from talkcli import runtime

runtime.configure()

import numpy as np  # noqa: E402

from talkcli.config import Recipe  # noqa: E402
from talkcli.errors import TalkcliError  # noqa: E402
from talkcli.pipeline.evaluate.compare import Context, EvalSettings  # noqa: E402
from talkcli.pipeline.evaluate.reenact import Reenactment, reenact  # noqa: E402
from talkcli.progress import SilentReporter, Stopwatch  # noqa: E402

ENGINES = ("portrait", "mggtalk")
FIGURES = (
    *("psnr_face", "psnr_mouth", "psnr_cheeks", "ssim_face", "st_lpips", "lip_aperture_r"),
    *("lip_aperture_size", "landmark_error_lips", "jitter", "flicker_torso"),
)


def measured(clip: Path, by: str, engine: str, weights: str, lag_s: float, out: Path) -> Any:
    """The figures of one reenactment, kept as JSON beside its video; None if it fails."""
    name = f"{clip.stem}.{by}.{engine}"
    record = out / f"{name}.json"
    if not record.exists():
        recipe = replace(Recipe(), engine=engine)
        recipe = replace(recipe, mggtalk=replace(recipe.mggtalk, weights=weights))
        watch = Stopwatch()
        context = Context(recipe, EvalSettings(lag_s, "none"), SilentReporter(), watch)
        task = Reenactment(clip, by, output=out / f"{name}.mp4")
        try:
            (found, *_), _ = reenact(task, context, overwrite=True)
        except TalkcliError as error:
            print(f"{name}: {error}", flush=True)
            return None
        figures = {name: found.value(name) for name in FIGURES}
        seconds = {part: round(time, 2) for part, time in watch.seconds.items()}
        record.write_text(json.dumps({"figures": figures, "seconds": seconds}) + "\n")
    return json.loads(record.read_text())["figures"]


def table(rows: dict[str, list[dict[str, float]]]) -> str:
    """Figures of both engines: per clip, and the medians of what the second adds."""
    head = "clip".ljust(34) + "".join(name.rjust(22) for name in FIGURES)
    lines, gains = [head], []
    for clip, (before, after) in rows.items():
        pairs = [(before[name], after[name]) for name in FIGURES]
        cells = [
            "–" if None in pair else f"{pair[0]:.3f} {pair[1] - pair[0]:+.3f}" for pair in pairs
        ]
        gains.append([np.nan if None in pair else pair[1] - pair[0] for pair in pairs])
        lines.append(clip[:33].ljust(34) + "".join(cell.rjust(22) for cell in cells))
    if gains:
        medians = [f"{value:+.3f}" for value in np.nanmedian(gains, 0)]
        lines.append("median gain".ljust(34) + "".join(cell.rjust(22) for cell in medians))
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clips", nargs="+", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--weights", default=Recipe().mggtalk.weights)
    parser.add_argument("--by", nargs="+", default=["video", "speech"])
    parser.add_argument("--engines", nargs="+", default=list(ENGINES))
    parser.add_argument("--lags", type=Path, help="JSON: seconds by name of the clip")
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    lags = json.loads(options.lags.read_text()) if options.lags else {}
    for by in options.by:
        rows = {}
        for clip in options.clips:
            lag = lags.get(clip.stem, 0.0) if by == "speech" else 0.0
            found = [
                measured(clip, by, engine, options.weights, lag, options.output)
                for engine in options.engines
            ]
            if len(found) == len(ENGINES) and None not in found:
                rows[clip.stem] = found
        print(f"\nby {by}\n{table(rows)}", flush=True)


if __name__ == "__main__":
    main()
