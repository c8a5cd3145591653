"""The measurements of ``talkcli bench`` on a CUDA device, through gsplat.

    pip install 'talkcli[cuda]'                     with the torch and CUDA of the machine
    python -m pytest -m gpu                         first make sure that pictures are right
    python -m benchmarks.gpu -o benchmarks/gpu.md

Writes a Markdown page: forward frames, backward passes and fit iterations per second for heads of
60k, 120k and 300k splats at 512 and 1024 px, and whole videos of the sample with one and three
views. gsplat compiles its kernels in the warm-up round, which is not counted. Without gsplat or a
CUDA device nothing is measured and the exit code is 4.
"""

# ruff: noqa: E402  (libraries read their settings once, at import)

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from itertools import product
from pathlib import Path

from talkcli import runtime

runtime.configure()

from talkcli.bench.run import BenchRequest, BenchResult, run_bench
from talkcli.errors import TalkcliError
from talkcli.render import choose_backend

SCENES = tuple(product((60_000, 120_000, 300_000), (512, 1024)))


def page(result: BenchResult) -> str:
    """The figures as Markdown."""
    machine = result.machine
    versions = ", ".join(f"{name} {value}" for name, value in machine["versions"].items() if value)
    lines = [
        "# The renderer on a GPU",
        "",
        f"{machine['gpu']}; {machine['cpu']}, {machine['threads']} threads; {machine['system']}; "
        f"{versions}. Made by `python -m benchmarks.gpu`; medians.",
        "",
        "| splats | px | forward/s | backward/s | fit iterations/s |",
        "|---|---|---|---|---|",
    ]
    for scene in result.renderer:
        rates = (1e3 / each.median_ms for each in (scene.forward, scene.backward, scene.fit))
        cells = " | ".join(f"{rate:.0f}" for rate in rates)
        lines.append(f"| {scene.splats} | {scene.size} | {cells} |")
    lines += ["", "| video | frames/s | real-time factor | first frame |", "|---|---|---|---|"]
    for video in result.videos:
        lines.append(
            f"| {video.duration_s:.0f} s, {video.views} view(s) of 512 px "
            f"| {25 * video.duration_s / video.total_s:.0f} | {video.real_time_factor:.2f} "
            f"| {video.first_frame_s:.2f} s |"
        )
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str]) -> int:
    """Measure, write the page and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--output", type=Path, help="the page (default: standard output)")
    output: Path | None = parser.parse_args(arguments).output
    try:
        choose_backend("cuda")
        text = page(run_bench(BenchRequest(backend="cuda", scenes=SCENES)))
    except TalkcliError as error:
        print(f"benchmarks.gpu: {error}", file=sys.stderr)
        return error.exit_code
    if output is None:
        print(text)
    else:
        output.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
