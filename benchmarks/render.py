"""The CPU renderer's speed, and the comparisons that its design rests on.

    python -m benchmarks.render                 everything, about two minutes
    python -m benchmarks.render --only forward  one section: forward, fit, loss, scalar, neighbour

Times are milliseconds, the median and the best of interleaved runs: variants take turns, so that
whatever else the machine does falls on all of them alike.
"""

# ruff: noqa: E402  (libraries read their settings once, at import)

from __future__ import annotations

import argparse
import math
import multiprocessing
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from talkcli import runtime

runtime.configure()

import numba
import numpy as np
import torch
import torch.nn.functional as F

from talkcli.render import render
from talkcli.render.cpu import Workspace, rasterize
from talkcli.render.cpu import layout as at
from talkcli.render.cpu.jit import FASTMATH
from talkcli.render.cpu.loss import l1_ssim
from talkcli.render.cpu.raster import NOTHING, Frame, Splats, draw, flat, pack_camera, prepare
from talkcli.render.reference import world_covariances
from talkcli.types import Cameras, Gaussians

Job = Callable[[], object]


@dataclass
class Scene:
    """Splats and one square camera."""

    gaussians: Gaussians
    cameras: Cameras

    def arrays(self) -> list[np.ndarray]:
        """Means, covariances, opacities, colours, view matrix and K, for ``rasterize``."""
        g, c = self.gaussians, self.cameras
        full = world_covariances(g)
        upper = torch.stack([full[:, i, j] for i in range(3) for j in range(i, 3)], -1)
        tensors = [g.means, upper, g.opacities, g.colors, c.viewmats[0], c.Ks[0]]
        return [tensor.numpy() for tensor in tensors]

    def job(self, threads: int) -> Job:
        """Renders one frame from numpy."""
        means, covars, opacities, colors, view, K = self.arrays()
        size, workspace = self.cameras.width, Workspace()
        return lambda: rasterize(
            means, covars, opacities, colors, view, K, size, size, workspace, threads=threads
        )


def head(count: int, size: int) -> Scene:
    """An ellipsoid that fills half of the picture, splats of 0.7 to 1.5 px lying on its surface."""
    rng = np.random.default_rng(0)
    distance, focal = 6.0, 1.2 * size
    radius = math.sqrt(0.5 * size * size / (math.pi * 0.8)) * distance / focal
    half_axes = radius * np.array([0.8, 1.0, 0.72])
    normals = rng.normal(size=(count, 3))
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    means = normals * half_axes
    outward = normals / half_axes
    outward /= np.linalg.norm(outward, axis=1, keepdims=True)
    # The half-way quaternion from z to the normal.
    quats = np.concatenate([1 + outward[:, 2:], np.stack([-outward[:, 1], outward[:, 0]], 1)], 1)
    quats = np.concatenate([quats, np.zeros((count, 1))], 1)
    sigmas = rng.uniform(0.7, 1.5, (count, 3))
    sigmas[:, 2] = 0.3
    return Scene(
        Gaussians(
            means=tensor(means),
            opacities=tensor(rng.uniform(0.82, 0.98, count)),
            colors=tensor(0.5 + 0.5 * np.sin(7 * means)),
            quats=tensor(quats),
            scales=tensor(sigmas * distance / focal),
        ),
        camera(size, focal, distance),
    )


def portrait(size: int) -> Scene:
    """One splat of 0.7 px per pixel of a relief, in the order of its rows: 300k at 618 px."""
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


def camera(size: int, focal: float, distance: float) -> Cameras:
    view = torch.eye(4)
    view[2, 3] = distance
    K = torch.tensor([[focal, 0, size / 2], [0, focal, size / 2], [0, 0, 1]])
    return Cameras(view[None], K[None], size, size)


def tensor(array: np.ndarray) -> torch.Tensor:
    return torch.tensor(array, dtype=torch.float32)


def interleaved(jobs: dict[str, Job], repeats: int) -> dict[str, np.ndarray]:
    """Milliseconds of each job, run in turns, after one round to warm up."""
    times: dict[str, list[float]] = {name: [] for name in jobs}
    for turn in range(repeats + 1):
        for name, job in jobs.items():
            start = time.perf_counter()
            job()
            if turn:
                times[name].append(1e3 * (time.perf_counter() - start))
    return {name: np.array(values) for name, values in times.items()}


def report(times: dict[str, np.ndarray]) -> dict[str, float]:
    """Print a line per job; returns the medians."""
    for name, values in times.items():
        median, best = np.median(values), values.min()
        rate = f"{1e3 / median:7.1f}/s (best {1e3 / best:.1f})"
        print(f"  {name:44s} median {median:7.2f} ms   best {best:7.2f} ms  {rate}")
    return {name: float(np.median(values)) for name, values in times.items()}


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
            jobs[f"{name}, {threads} thread{'s' * (threads > 1)}"] = scene.job(threads)
    report(interleaved(jobs, 40))


def bench_fit() -> None:
    print("fitting: render, L1 + SSIM, backward, Adam over all parameters, ms per iteration")
    for count, size in ((20_000, 256), (60_000, 512), (120_000, 512)):
        scene = head(count, size)
        with torch.no_grad():
            target = render(scene.gaussians, scene.cameras, backend="cpu").rgb[0]
        step = fitting_step(scene, target)
        report(interleaved({f"{count // 1000}k splats, {size} px": step}, 40))


def fitting_step(scene: Scene, target: torch.Tensor) -> Job:
    """One iteration of an optimisation that starts from grey, faint, enlarged splats."""
    g = scene.gaussians
    assert g.quats is not None and g.scales is not None
    count = len(g)
    leaves = {
        "means": g.means.clone(),
        "quats": g.quats.clone(),
        "scales": g.scales.log() + 0.2,
        "opacities": torch.full((count,), 0.4),
        "colors": torch.zeros(count, 3),
    }
    for leaf in leaves.values():
        leaf.requires_grad_()
    optimizer = torch.optim.Adam(
        [{"params": [leaf], "lr": 1e-3} for leaf in leaves.values()], eps=1e-15, fused=True
    )

    def step() -> None:
        gaussians = replace(
            g,
            means=leaves["means"],
            quats=leaves["quats"],
            scales=leaves["scales"].exp(),
            opacities=leaves["opacities"].sigmoid(),
            colors=leaves["colors"].sigmoid(),
        )
        image = render(gaussians, scene.cameras, backend="cpu").rgb[0]
        l1_ssim(image, target).backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return step


def torch_loss(image: torch.Tensor, target: torch.Tensor, weight: float) -> torch.Tensor:
    """The loss as the fastest of torch's ways: channels as groups, a separable window."""
    taps = torch.exp(-((torch.arange(11) - 5.0) ** 2) / (2 * 1.5**2))
    rows = (taps / taps.sum()).view(1, 1, 1, 11).repeat(3, 1, 1, 1)

    def blur(planes: torch.Tensor) -> torch.Tensor:
        across = F.conv2d(planes, rows, padding=(0, 5), groups=3)
        return F.conv2d(across, rows.transpose(2, 3), padding=(5, 0), groups=3)

    x, y = image.permute(2, 0, 1)[None], target.permute(2, 0, 1)[None]
    mean_x, mean_y = blur(x), blur(y)
    var_x, var_y = blur(x * x) - mean_x**2, blur(y * y) - mean_y**2
    cov = blur(x * y) - mean_x * mean_y
    ssim = (2 * mean_x * mean_y + 1e-4) * (2 * cov + 9e-4)
    ssim = ssim / ((mean_x**2 + mean_y**2 + 1e-4) * (var_x + var_y + 9e-4))
    return (1 - weight) * (x - y).abs().mean() + weight * (1 - ssim.mean())


def bench_loss() -> None:
    print("loss and its gradient, ms")

    def gradient(loss: Callable[..., torch.Tensor], *images: torch.Tensor) -> Job:
        return lambda: loss(*images, 0.2).backward()

    for size in (256, 512):
        image, target = torch.rand(size, size, 3), torch.rand(size, size, 3)
        image.requires_grad_()
        medians = report(
            interleaved(
                {
                    f"fused, {size} px": gradient(l1_ssim, image, target),
                    f"torch, separable, {size} px": gradient(torch_loss, image, target),
                },
                20,
            )
        )
        fused, separable = medians.values()
        print(f"  torch / fused = {separable / fused:.1f}")


_EIGHT = np.float32(8)


@numba.njit(fastmath=FASTMATH, error_model="numpy")
def blend_scalar(lists, records, background, outputs, size):  # type: ignore[no-untyped-def]
    """The textbook rasteriser: one pixel after another walks its tile's list."""
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
                opaque = min(at.ALPHA_MAX, np.float32(math.exp(-_EIGHT * eighth)))
                if opaque < at.ALPHA_MIN:
                    continue
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
    print("blending of 60k splats at 512 px on one thread, against one pixel at a time, ms")
    frame, workspace = prepared(head(60_000, 512))
    pixels = 512 * 512
    outputs = tuple(np.empty(n, np.float32) for n in (3 * pixels, pixels))
    background = np.zeros(3, np.float32)
    ours = (*outputs, NOTHING, NOTHING)
    size = (512, 512, frame.tiles_x)
    draw(frame, NOTHING, background, ours, workspace)
    medians = report(
        interleaved(
            {
                "windows of sixteen": lambda: draw(frame, NOTHING, background, ours, workspace),
                "pixel by pixel": lambda: blend_scalar(
                    frame.lists(), frame.records, background, outputs, size
                ),
            },
            8,
        )
    )
    windows, scalar = medians.values()
    print(f"  pixel by pixel / windows = {scalar / windows:.0f}")


def prepared(scene: Scene) -> tuple[Frame, Workspace]:
    means, covars, opacities, colors, view, K = (flat(array) for array in scene.arrays())
    size = (scene.cameras.width, scene.cameras.height)
    packed = pack_camera(view.reshape(4, 4), K.reshape(3, 3), size, 0.3)
    workspace = Workspace()
    splats = Splats(means, NOTHING, NOTHING, covars, opacities, colors)
    return prepare(splats, packed, size, workspace, 1), workspace


def bench_neighbour() -> None:
    print("60k splats at 512 px beside a busy process: CPU time per frame")
    scene = head(60_000, 512)
    jobs = {threads: scene.job(threads) for threads in (1, 2)}
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
    "fit": bench_fit,
    "loss": bench_loss,
    "scalar": bench_scalar,
    "neighbour": bench_neighbour,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=SECTIONS, action="append")
    chosen = parser.parse_args().only or list(SECTIONS)
    print(
        f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, torch {torch.__version__}, "
        f"numba {numba.__version__}"
    )
    for name in chosen:
        SECTIONS[name]()


if __name__ == "__main__":
    main()
