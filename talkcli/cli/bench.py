"""``talkcli bench``: describe this machine and measure its speed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Optional

import typer

from talkcli.cli.flags import a_number
from talkcli.cli.options import CommonOptions, expand_options
from talkcli.cli.progress import reporting
from talkcli.cli.show import write_json


@expand_options
def bench_command(
    *,
    quick: Annotated[bool, typer.Option("--quick", help="Rough figures in a minute.")] = False,
    seconds: Annotated[
        float,
        typer.Option(
            metavar="S",
            min=0,
            max=3600,
            callback=a_number,
            help="Length of the test videos; 0 skips them.",
        ),
    ] = 60.0,
    portrait: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(metavar="PORTRAIT", help="A picture with a face (default: the sample)."),
    ] = None,
    speech: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(metavar="SPEECH", help="Audio file (default: the sample)."),
    ] = None,
    backend: Annotated[str, typer.Option(metavar="NAME", help="auto, cpu or cuda.")] = "auto",
    isa: Annotated[
        str, typer.Option(metavar="NAME", help="native, or avx2: without AVX-512.")
    ] = "native",
    common: CommonOptions,
) -> None:
    """Measure how fast this machine renders, builds a portrait and makes videos."""
    from talkcli.bench.isa import restrict

    # Libraries read it once, at import.
    restrict(isa)
    from talkcli.bench.run import BenchRequest, run_bench

    request = BenchRequest(backend=backend, seconds=seconds, portrait=portrait, speech=speech)
    with reporting(quiet=common.quiet, verbose=common.verbose) as reporter:
        result = run_bench(request.quick() if quick else request, reporter)
    answer = {**result.as_json(), "warnings": list(reporter.warnings)}
    if common.as_json:
        write_json(answer)
    else:
        typer.echo("\n".join(bench_lines(answer)))


def bench_lines(answer: dict[str, Any]) -> list[str]:
    """Format the figures as a readable table."""
    machine = answer["machine"]
    versions = ", ".join(f"{name} {value}" for name, value in machine["versions"].items() if value)
    lines = [
        f"{machine['cpu']}, {machine['isa']}, {machine['cores']} cores, "
        f"{machine['threads']} threads, load {machine['load']}; GPU: {machine['gpu'] or 'none'}",
        f"{versions}; {machine['system']}",
        "one core: sgemm {sgemm_gflops:.1f} GFLOP/s ({sgemm_lowest:.1f} to {sgemm_highest:.1f}), "
        "x264 {x264_fps:.0f} frames of 512 px per second of CPU".format(**answer["speed"]),
        f"renderer {answer['backend']} ({answer['reason']}), per second: median (best)",
    ]
    for scene in answer["renderer"]:
        rates = [
            f"{name} {scene[name]['per_second']:7.1f} ({scene[name]['best_per_second']:.1f})"
            for name in ("forward", "backward", "fit")
        ]
        lines.append(f"  {scene['splats']:7d} splats, {scene['size']} px:  " + "  ".join(rates))
    if answer["build"]:
        build = answer["build"]
        lines.append(
            f"portrait build {build['seconds']:.2f} s; first frame of a new picture after "
            f"{build['first_frame_s']:.2f} s"
        )
    if answer["cost"]:
        cost = answer["cost"]
        parts = ", ".join(f"{name} {value:.2f}" for name, value in cost["per_second"].items())
        lines += [
            f"CPU seconds per second of film, one view, one thread: {parts}; "
            f"{cost['cpu_per_second']:.2f} in all, and {cost['start_s']:.2f} to start",
            f"normalised cost of a frame: {cost['frame_ms']:.1f} ms of CPU are worth "
            f"{cost['normalised_gflop']:.2f} GFLOP of sgemm",
        ]
    for video in answer["animate"]:
        lines.append(
            f"{video['duration_s']:.0f} s of video, "
            f"{video['views']} view{'s' * (video['views'] > 1)}: "
            f"made in {video['total_s']:.1f} s, real-time factor {video['real_time_factor']:.2f} "
            f"({1 / video['real_time_factor']:.2f} times real-time speed), "
            f"first frame after {video['first_frame_s']:.2f} s, "
            f"CPU {video['cpu_s']:.1f} s"
        )
    return lines
