"""CPU time per frame of the networks of two other talking heads, beside this machine's sgemm.

The networks are built here from their published descriptions, layer by layer, with random weights:
what they cost depends on their shapes alone. Each runs in one thread.

- Wav2Lip's generator (Prajwal et al., "A Lip Sync Expert Is All You Need", ACM MM 2020): 96 x 96
  pixels around the mouth, which its user still has to put back into the picture.
- SadTalker's face renderer (Zhang et al., CVPR 2023; that of face-vid2vid, Wang et al., CVPR 2021,
  with a SPADE decoder): 256 x 256 pixels, dense motion and generation, without the networks that
  find the motion.

Usage: ``python -m benchmarks.rivals [--json]``
"""

from __future__ import annotations

import argparse
import itertools
import json
import time
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from talkcli.bench.yardstick import take_turn


class Convolution(nn.Sequential):
    """Convolution, batch normalisation, the input added if asked for, and ReLU."""

    def __init__(
        self,
        ins: int,
        outs: int,
        kernel: int = 3,
        stride: int | tuple[int, int] = 1,
        padding: int = 1,
        *,
        skip: bool = False,
    ) -> None:
        super().__init__(nn.Conv2d(ins, outs, kernel, stride, padding), nn.BatchNorm2d(outs))
        self._skip = skip

    def forward(self, x: Tensor) -> Tensor:
        """``[B, ins, H, W]`` to ``[B, outs, h, w]``."""
        out = super().forward(x)
        return F.relu(out + x if self._skip else out)


def _rising(ins: int, outs: int, stride: int, padding: int) -> nn.Module:
    extra = stride - 1
    up = nn.ConvTranspose2d(ins, outs, 3, stride, padding, output_padding=extra)
    return nn.Sequential(up, nn.BatchNorm2d(outs), nn.ReLU())


def _stage(
    ins: int, outs: int, stride: int | tuple[int, int], skips: int, kernel: int = 3
) -> nn.Module:
    first = Convolution(ins, outs, kernel, stride, kernel // 2)
    return nn.Sequential(first, *(Convolution(outs, outs, skip=True) for _ in range(skips)))


def _bottom(ins: int) -> nn.Module:
    return nn.Sequential(Convolution(ins, 512, 3, 1, 0), Convolution(512, 512, 1, 1, 0))


class LipGenerator(nn.Module):
    """Wav2Lip's generator: half-masked face and reference in, mouth out."""

    def __init__(self) -> None:
        super().__init__()
        stages = [(6, 16, 1, 0, 7), (16, 32, 2, 2, 3), (32, 64, 2, 3, 3), (64, 128, 2, 2, 3)]
        stages += [(128, 256, 2, 2, 3), (256, 512, 2, 1, 3)]
        self.face = nn.ModuleList([*(_stage(*stage) for stage in stages), _bottom(512)])
        self.sound = nn.Sequential(
            _stage(1, 32, 1, 2),
            _stage(32, 64, (3, 1), 2),
            _stage(64, 128, 3, 2),
            _stage(128, 256, (3, 2), 1),
            _bottom(256),
        )
        widths = [(512, 512, 0), (1024, 512, 1), (1024, 512, 2), (768, 384, 2)]
        widths += [(512, 256, 2), (320, 128, 2), (160, 64, 2)]
        self.rise = nn.ModuleList()
        for ins, outs, stride in widths:
            if stride == 0:
                self.rise.append(Convolution(ins, outs, 1, 1, 0))
                continue
            layers = [Convolution(outs, outs, skip=True) for _ in range(stride)]
            self.rise.append(nn.Sequential(_rising(ins, outs, stride, stride - 1), *layers))
        self.last = nn.Sequential(Convolution(80, 32), nn.Conv2d(32, 3, 1), nn.Sigmoid())

    def forward(self, mel: Tensor, face: Tensor) -> Tensor:
        """``mel [B, 1, 80, 16]`` and ``face [B, 6, 96, 96]`` to ``[B, 3, 96, 96]``."""
        seen = []
        for stage in self.face:
            face = stage(face)
            seen.append(face)
        out = self.sound(mel)
        for rise in self.rise:
            out = torch.cat([rise(out), seen.pop()], 1)
        return self.last(out)


class Spade(nn.Module):
    """Normalisation whose scale and shift are convolutions of a feature map."""

    def __init__(self, channels: int, label: int) -> None:
        super().__init__()
        self.norm = nn.InstanceNorm2d(channels)
        self.shared = nn.Sequential(nn.Conv2d(label, 128, 3, padding=1), nn.ReLU())
        self.gamma = nn.Conv2d(128, channels, 3, padding=1)
        self.beta = nn.Conv2d(128, channels, 3, padding=1)

    def forward(self, x: Tensor, features: Tensor) -> Tensor:
        """``x [B, C, H, W]``, normalised as ``features [B, label, h, w]`` say."""
        features = self.shared(F.interpolate(features, size=x.shape[2:]))
        return self.norm(x) * (1 + self.gamma(features)) + self.beta(features)


class SpadeBlock(nn.Module):
    """Residual block of two normalised convolutions, and a third where the width changes."""

    def __init__(self, ins: int, outs: int, label: int) -> None:
        super().__init__()
        middle = min(ins, outs)
        self.norms = nn.ModuleList([Spade(ins, label), Spade(middle, label)])
        self.convs = nn.ModuleList(
            [nn.Conv2d(ins, middle, 3, padding=1), nn.Conv2d(middle, outs, 3, padding=1)]
        )
        changes = ins != outs
        self.short_norm = Spade(ins, label) if changes else None
        self.short = nn.Conv2d(ins, outs, 1, bias=False) if changes else None

    def forward(self, x: Tensor, features: Tensor) -> Tensor:
        """``x [B, ins, H, W]`` to ``[B, outs, H, W]``."""
        out = x
        for norm, conv in zip(self.norms, self.convs, strict=True):
            out = conv(F.leaky_relu(norm(out, features), 0.2))
        if self.short is not None and self.short_norm is not None:
            x = self.short(self.short_norm(x, features))
        return x + out


def _solid(ins: int, outs: int) -> nn.Module:
    return nn.Sequential(nn.Conv3d(ins, outs, 3, padding=1), nn.BatchNorm3d(outs), nn.ReLU())


class SolidResidual(nn.Module):
    """Two convolutions of a volume of features, added to it."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norms = nn.ModuleList([nn.BatchNorm3d(channels) for _ in range(2)])
        self.convs = nn.ModuleList([nn.Conv3d(channels, channels, 3, padding=1) for _ in range(2)])

    def forward(self, x: Tensor) -> Tensor:
        """``[B, C, D, H, W]`` to the same."""
        out = x
        for norm, conv in zip(self.norms, self.convs, strict=True):
            out = conv(F.relu(norm(out)))
        return x + out


class DenseMotion(nn.Module):
    """Where each part of the feature volume moves to, from 15 key points."""

    def __init__(
        self, points: int = 15, compress: int = 4, base: int = 32, depth: int = 16
    ) -> None:
        super().__init__()
        self.points = points
        self.compress = nn.Sequential(nn.Conv3d(32, compress, 1), nn.BatchNorm3d(compress))
        ins = (points + 1) * (compress + 1)
        widths = [ins, *(min(1024, base * 2 ** (i + 1)) for i in range(5))]
        self.down = nn.ModuleList(
            [_solid(before, after) for before, after in itertools.pairwise(widths)]
        )
        self.up = nn.ModuleList()
        for i in reversed(range(5)):
            held = min(1024, base * 2 ** (i + 1)) * (1 if i == 4 else 2)
            self.up.append(_solid(held, min(1024, base * 2**i)))
        outs = base + ins
        self.mask = nn.Conv3d(outs, points + 1, 7, padding=3)
        self.occlusion = nn.Conv2d(outs * depth, 1, 7, padding=3)

    def forward(self, volume: Tensor) -> tuple[Tensor, Tensor]:
        """``[B, 32, 16, H, W]`` to where it moves ``[B, 16, H, W, 3]`` and what stays visible."""
        small = F.relu(self.compress(volume))
        batch, channels, *size = small.shape
        grid = F.affine_grid(torch.eye(3, 4)[None], [batch, channels, *size], align_corners=True)
        moved = [F.grid_sample(small, grid, align_corners=True) for _ in range(self.points + 1)]
        heat = torch.rand(batch, self.points + 1, *size)
        x = torch.cat([torch.stack(moved, 1), heat[:, :, None]], 2).flatten(1, 2)
        held = [x]
        for down in self.down:
            held.append(F.avg_pool3d(down(held[-1]), (1, 2, 2)))
        out = held.pop()
        for up in self.up:
            out = up(F.interpolate(out, scale_factor=(1, 2, 2)))
            out = torch.cat([out, held.pop()], 1)
        share = self.mask(out).softmax(1)
        flow = (share[..., None] * grid[:, None]).sum(1)
        return flow, torch.sigmoid(self.occlusion(out.flatten(1, 2)))


class FaceRenderer(nn.Module):
    """Appearance volume, dense motion and SPADE decoder for 256 x 256 pixels."""

    def __init__(self) -> None:
        super().__init__()
        self.first = Convolution(3, 64)
        self.down = nn.ModuleList([Convolution(64, 128), Convolution(128, 256)])
        self.to_volume = nn.Conv2d(256, 512, 1)
        self.volume = nn.Sequential(*(SolidResidual(32) for _ in range(6)))
        self.motion = DenseMotion()
        self.from_volume = nn.Sequential(Convolution(512, 256), nn.Conv2d(256, 256, 1))
        self.begin = nn.Conv2d(256, 512, 3, padding=1)
        self.middle = nn.ModuleList([SpadeBlock(512, 512, 256) for _ in range(6)])
        self.rise = nn.ModuleList([SpadeBlock(512, 256, 256), SpadeBlock(256, 64, 256)])
        self.last = nn.Conv2d(64, 3, 3, padding=1)

    def forward(self, picture: Tensor) -> Tensor:
        """``[B, 3, 256, 256]`` to the same."""
        x = self.first(picture)
        for down in self.down:
            x = F.avg_pool2d(down(x), 2)
        volume = self.to_volume(x)
        batch, _, height, width = volume.shape
        volume = self.volume(volume.view(batch, 32, 16, height, width))
        flow, occlusion = self.motion(volume)
        volume = F.grid_sample(volume, flow, align_corners=True)
        features = self.from_volume(volume.flatten(1, 2)) * occlusion
        x = self.begin(features)
        for block in self.middle:
            x = block(x, features)
        for block in self.rise:
            x = block(F.interpolate(x, scale_factor=2), features)
        return torch.sigmoid(self.last(F.leaky_relu(x, 0.2)))


def cpu_ms(run: Callable[[], object], times: int) -> float:
    """Least CPU milliseconds of ``times`` runs, after one that does not count."""
    run()
    best = float("inf")
    for _ in range(times):
        start = time.process_time()
        run()
        best = min(best, time.process_time() - start)
    return 1e3 * best


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    torch.manual_seed(0)
    gflops = take_turn().sgemm_gflops
    lips, renderer = LipGenerator().eval(), FaceRenderer().eval()
    mel, face = torch.rand(1, 1, 80, 16), torch.rand(1, 6, 96, 96)
    picture = torch.rand(1, 3, 256, 256)
    with torch.inference_mode():
        costs = {
            "Wav2Lip, generator, 96 x 96": cpu_ms(lambda: lips(mel, face), 10),
            "SadTalker, face renderer, 256 x 256": cpu_ms(lambda: renderer(picture), 1),
        }
    rows = [
        {"network": name, "cpu_ms": round(ms, 1), "normalised_gflop": round(ms * gflops / 1e3, 1)}
        for name, ms in costs.items()
    ]
    if options.json:
        print(json.dumps({"sgemm_gflops": round(gflops, 1), "networks": rows}))
        return
    print(f"one core, sgemm {gflops:.0f} GFLOP/s; random weights, one thread, CPU time per frame")
    for row in rows:
        name, ms, normalised = row["network"], row["cpu_ms"], row["normalised_gflop"]
        print(f"{name:40s} {ms:9.1f} ms {normalised:9.1f} GFLOP")


if __name__ == "__main__":
    main()
