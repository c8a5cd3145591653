"""The speed of the CPU renderer, and the comparisons behind its design.

    python -m benchmarks.render                 everything, about three minutes
    python -m benchmarks.render --only forward  one section: forward, backward, fit, antialiased,
                                                cameras, loss, scalar, neighbour

Times are milliseconds of wall time unless marked CPU, the median and the best of interleaved runs:
variants take turns, so that other load affects all alike. ``talkcli bench`` measures whole videos.
"""

# ruff: noqa: E402  (libraries read their settings once, at import)

from __future__ import annotations

import argparse
import math
import multiprocessing
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from talkcli import runtime

runtime.configure()

import numba
import numpy as np
import torch

from talkcli.bench.machine import describe_machine
from talkcli.bench.renderer import (
    SCENES,
    backward_job,
    differentiable_frame_job,
    fitting_job,
    frame_job,
    torch_l1_ssim,
)
from talkcli.bench.scenes import Scene, camera, head, tensor
from talkcli.bench.timing import Job, Timing, interleaved
from talkcli.kernels import pool
from talkcli.kernels.jit import FASTMATH
from talkcli.render import render
from talkcli.render.api import RASTERIZE_MODES
from talkcli.render.cpu import RasterSettings, Workspace, rasterize
from talkcli.render.cpu import layout as at
from talkcli.render.cpu.loss import l1_ssim
from talkcli.render.cpu.raster import NOTHING, FlatSplats, Frame, draw, flat, prepare
from talkcli.types import Gaussians


def portrait(size: int) -> Scene:
    """A relief with one splat of 0.7 px per pixel, in row order: about 300k at 618 px."""
    grid = np.linspace(-1, 1, int(size * 1.207))
    x, y = (axis.reshape(-1) * 10 for axis in np.meshgrid(grid, grid))
    inside = x * x + y * y < 100
    x, y = x[inside], y[inside]
    distance, focal = 100.0, size * 0.5 / 10.8 * 100
    z = 0.8 * np.sqrt(110 - x * x - y * y)
    means = np.stack([x, y, -z], 1)
    sigma = np.full((len(x), 3), 0.7 * distance / focal)
    quats = np.tile([1.0, 0, 0, 0], (len(x), 1))
    return Scene(
        Gaussians(
            means=tensor(means),
            opacities=torch.full((len(x),), 0.97),
            colors=tensor(0.5 + 0.5 * np.sin(means)),
            quats=tensor(quats),
            scales=tensor(sigma),
        ),
        camera(size, focal, distance),
    )


def report(times: dict[str, Timing]) -> list[float]:
    """Print a line per job and return the medians in ms."""
    for name, timing in times.items():
        median, best = timing.median_ms, timing.best_ms
        rate = f"{1e3 / median:7.1f}/s (best {1e3 / best:.1f})"
        print(f"  {name:44s} median {median:7.2f} ms   best {best:7.2f} ms  {rate}")
    return [timing.median_ms for timing in times.values()]


def bench_forward() -> None:
    print("forward, RGB and alpha, ms")
    scenes = {
        "20k splats, 256 px": head(20_000, 256),
        "60k splats, 512 px": head(60_000, 512),
        "120k splats, 512 px": head(120_000, 512),
        "300k small splats, 512 px": portrait(512),
    }
    jobs: dict[str, Job] = {}
    for name, scene in scenes.items():
        for threads in (1, 2):
            jobs[f"{name}, {threads} thread{'s' * (threads > 1)}"] = frame_job(
                scene, threads=threads
            )
    report(interleaved(jobs, 40))


def bench_backward() -> None:
    print("a frame with torch, and the gradients of all its parameters, ms")
    for count, size in SCENES:
        scene = head(count, size)
        name = f"{count // 1000}k splats, {size} px"
        jobs = {
            f"{name}, forward": differentiable_frame_job(scene),
            f"{name}, backward": backward_job(scene),
        }
        forward, backward = report(interleaved(jobs, 40))
        print(f"  backward / forward = {backward / forward:.2f}")


def bench_fit() -> None:
    print("fitting: render, L1 + SSIM, backward, Adam over all parameters, ms per iteration")
    for count, size in SCENES:
        job = fitting_job(head(count, size))
        report(interleaved({f"{count // 1000}k splats, {size} px": job}, 40))


def bench_antialiased() -> None:
    print("60k splats at 512 px with and without antialiasing, ms")
    scene = head(60_000, 512)
    splats, camera, workspace = scene.splats(), scene.camera(), Workspace()

    def frame(mode: str) -> Job:
        settings = RasterSettings(rasterize_mode=mode)
        return lambda: rasterize(splats, camera, workspace, settings=settings)

    report(interleaved({mode: frame(mode) for mode in RASTERIZE_MODES}, 40))


def bench_cameras() -> None:
    print("eight cameras: one call or a call each; threads on one frame or a frame each, ms")
    for count, size in SCENES[:2]:
        scene = head(count, size)
        one = scene.cameras
        all_eight = replace(one, viewmats=one.viewmats.repeat(8, 1, 1), Ks=one.Ks.repeat(8, 1, 1))
        name = f"{count // 1000}k splats, {size} px"
        jobs: dict[str, Job] = {
            f"{name}, one call": partial(render, scene.gaussians, all_eight, backend="cpu"),
            f"{name}, a call each": eight_times(
                partial(render, scene.gaussians, one, backend="cpu")
            ),
            f"{name}, threads share a frame": eight_times(frame_job(scene, threads=2)),
            f"{name}, a frame per thread": at_once([frame_job(scene, threads=1) for _ in range(8)]),
        }
        report(interleaved(jobs, 15))


def eight_times(job: Job) -> Job:
    def run() -> None:
        for _ in range(8):
            job()

    return run


def at_once(jobs: list[Job]) -> Job:
    """Jobs distributed over two threads."""

    def part(number: int) -> None:
        jobs[number]()

    return lambda: pool.run(part, len(jobs), 2)


def bench_loss() -> None:
    print("loss and its gradient, ms")

    def gradient(loss: Callable[..., torch.Tensor], *images: torch.Tensor) -> Job:
        return lambda: loss(*images, 0.2).backward()

    for size in (256, 512):
        image, target = torch.rand(size, size, 3), torch.rand(size, size, 3)
        image.requires_grad_()
        jobs = {
            f"fused, {size} px": gradient(l1_ssim, image, target),
            f"torch, separable, {size} px": gradient(torch_l1_ssim, image, target),
        }
        fused, separable = report(interleaved(jobs, 20))
        print(f"  torch / fused = {separable / fused:.1f}")


_EIGHT = np.float32(8)
#: Alpha falls below 1/255 here; most pixels are past it and need no exponential.
_EIGHTH_MAX = np.float32(math.log(255) / 8)


@numba.njit(fastmath=FASTMATH, error_model="numpy")
def blend_scalar(lists, records, background, outputs, size):  # type: ignore[no-untyped-def]
    """The textbook rasteriser: every pixel walks the list of its tile."""
    (_, offsets, entries), (image, alpha), (width, height, tiles_x) = lists, outputs, size
    for y in range(height):
        for x in range(width):
            tile = y // at.TILE * tiles_x + x // at.TILE
            px, py = np.float32(x) + at.HALF, np.float32(y) + at.HALF
            left, red, green, blue = at.F1, at.F0, at.F0, at.F0
            for e in range(offsets[tile], offsets[tile + 1]):
                r = (entries[e] & 0xFFFFFFFF) * at.RECORD
                dx, dy = px - records[r + at.U], py - records[r + at.V]
                eighth = (records[r + at.A] * dx + records[r + at.B] * dy) * dx
                eighth += records[r + at.C] * dy * dy + records[r + at.LEVEL]
                if eighth > _EIGHTH_MAX:
                    continue
                opaque = min(at.ALPHA_MAX, np.float32(math.exp(-_EIGHT * eighth)))
                after = left * (at.F1 - opaque)
                if after <= at.TRANSMITTANCE_MIN:
                    break
                weight = opaque * left
                red += weight * records[r + at.RED]
                green += weight * records[r + at.GREEN]
                blue += weight * records[r + at.BLUE]
                left = after
            pixel = y * width + x
            alpha[pixel] = at.F1 - left
            image[3 * pixel] = red + left * background[0]
            image[3 * pixel + 1] = green + left * background[1]
            image[3 * pixel + 2] = blue + left * background[2]


def bench_scalar() -> None:
    print("blending of 60k splats at 512 px on one thread, against one pixel at a time, CPU ms")
    frame, workspace = prepared(head(60_000, 512))
    pixels = 512 * 512
    outputs = tuple(np.empty(n, np.float32) for n in (3 * pixels, pixels))
    background = np.zeros(3, np.float32)
    ours = (*outputs, NOTHING, NOTHING)
    size = (512, 512, frame.tiles_x)
    draw(frame, NOTHING, background, ours, workspace)
    jobs: dict[str, Job] = {
        "windows of sixteen": lambda: draw(frame, NOTHING, background, ours, workspace),
        "pixel by pixel": lambda: blend_scalar(
            frame.lists(), frame.records, background, outputs, size
        ),
    }
    windows, scalar = report(interleaved(jobs, 8, clock=time.process_time))
    print(f"  pixel by pixel / windows = {scalar / windows:.0f}")


def prepared(scene: Scene) -> tuple[Frame, Workspace]:
    s, workspace = scene.splats(), Workspace()
    shape = (flat(s.means), NOTHING, NOTHING, flat(s.covars))
    splats = FlatSplats(*shape, flat(s.opacities), flat(s.colors))
    return prepare(splats, scene.camera(), workspace, RasterSettings(threads=1)), workspace


def bench_neighbour() -> None:
    print("60k splats at 512 px beside a busy process: CPU time per frame")
    scene = head(60_000, 512)
    jobs = {threads: frame_job(scene, threads=threads) for threads in (1, 2)}
    busy = multiprocessing.get_context("spawn").Process(target=_spin, daemon=True)
    busy.start()
    used: dict[int, list[float]] = {1: [], 2: []}
    for _ in range(40):
        for threads, times in used.items():
            start = time.process_time()
            jobs[threads]()
            times.append(1e3 * (time.process_time() - start))
    busy.terminate()
    one, two = (float(np.median(times)) for times in used.values())
    print(f"  1 thread {one:.2f} ms, 2 threads {two:.2f} ms, ratio {two / one:.2f}")


def _spin() -> None:
    while True:
        sum(range(1000))


SECTIONS: dict[str, Job] = {
    "forward": bench_forward,
    "backward": bench_backward,
    "fit": bench_fit,
    "antialiased": bench_antialiased,
    "cameras": bench_cameras,
    "loss": bench_loss,
    "scalar": bench_scalar,
    "neighbour": bench_neighbour,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=SECTIONS, action="append")
    chosen = parser.parse_args().only or list(SECTIONS)
    machine = describe_machine()
    print(", ".join(f"{name} {value}" for name, value in machine.items()))
    for name in chosen:
        SECTIONS[name]()


if __name__ == "__main__":
    main()
