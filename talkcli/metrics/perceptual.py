"""Perceptual distances: ST-LPIPS, LPIPS and FID, each if its weights are installed.

ST-LPIPS (Ghildyal and Liu, "Shift-tolerant perceptual similarity metric", ECCV 2022) is LPIPS with
another AlexNet: its first convolution steps by one pixel, and blurred subsampling by two follows it
and every pooling. Its weights come with the package ``stlpips-pytorch``, of which nothing but the
file of weights is used. Its values are not those of LPIPS.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import pickle
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from talkcli.errors import InputError, MissingDependencyError
from talkcli.metrics.crops import FID, LPIPS, NOTE, ST_LPIPS, head_squares
from talkcli.metrics.pair import FramePair
from talkcli.metrics.result import FrameValues, Metric
from talkcli.shapes import UInt8
from talkcli.weights.store import require_model

_PACKAGE, _FILE = "stlpips_pytorch", "weights/vST0.0/alex_shift_tolerant.pth"
#: Name, shape and padding of every convolution.
_CONVS = (
    ("net.slice1.0", (64, 3, 11, 11), 2),
    ("net.slice2.5", (192, 64, 5, 5), 2),
    ("net.slice3.9", (384, 192, 3, 3), 1),
    ("net.slice4.11", (256, 384, 3, 3), 1),
    ("net.slice5.13", (256, 256, 3, 3), 1),
)
#: Blurs that halve the picture: after the first convolution, and after the poolings before the
#: second and the third.
_BLURS = ("net.slice1.1", "net.slice2.4", "net.slice3.8")
#: Keeps vectors of zeros from being divided by zero.
_EPS = 1e-10
_FID_BATCH = 8


class StLpips:
    """The distance of two pictures.

    Args:
        weights: of the AlexNet variant, by their names in the package's file.

    Raises:
        ValueError: a tensor is missing or has another shape.
    """

    def __init__(self, weights: Mapping[str, torch.Tensor]) -> None:
        wanted: dict[str, tuple[int, ...]] = {f"{name}.weight": shape for name, shape, _ in _CONVS}
        wanted |= {f"{name}.bias": shape[:1] for name, shape, _ in _CONVS}
        wanted |= {
            f"{name}.filt": (channels, 1, 3, 3)
            for name, channels in zip(_BLURS, (64, 64, 192), strict=True)
        }
        wanted |= {
            f"lin{k}.model.1.weight": (1, shape[0], 1, 1) for k, (_, shape, _) in enumerate(_CONVS)
        }
        wanted |= dict.fromkeys(("scaling_layer.shift", "scaling_layer.scale"), (1, 3, 1, 1))
        for name, shape in wanted.items():
            found = tuple(weights[name].shape) if name in weights else "nothing"
            if found != shape:
                raise ValueError(f"{name} should be {shape}, and is {found}")
        self._weights = {name: weights[name].float() for name in wanted}

    @torch.no_grad()
    def __call__(self, one: UInt8[np.ndarray, "h w 3"], other: UInt8[np.ndarray, "h w 3"]) -> float:
        """The distance, 0 for the same picture.

        Args:
            one: sRGB, 0–255.
            other: likewise, of the same size.
        """
        pair = np.stack([one, other]).transpose(0, 3, 1, 2).astype(np.float32)
        scaled = torch.from_numpy(pair / 127.5 - 1.0) - self._weights["scaling_layer.shift"]
        total = 0.0
        for number, seen in enumerate(
            self._features(scaled / self._weights["scaling_layer.scale"])
        ):
            unit = seen / (seen.square().sum(1, keepdim=True).sqrt() + _EPS)
            apart = (unit[:1] - unit[1:]).square()
            weighted = functional.conv2d(apart, self._weights[f"lin{number}.model.1.weight"])
            total += float(weighted.mean())
        return total

    def _features(self, seen: torch.Tensor) -> Iterator[torch.Tensor]:
        for number, (name, _, padding) in enumerate(_CONVS):
            if 0 < number < 3:
                seen = self._blur(functional.max_pool2d(seen, 3, 1), _BLURS[number])
            seen = functional.conv2d(
                seen,
                self._weights[f"{name}.weight"],
                self._weights[f"{name}.bias"],
                padding=padding,
            )
            if number == 0:
                seen = self._blur(seen, _BLURS[0])
            seen = functional.relu(seen)
            yield seen

    def _blur(self, seen: torch.Tensor, name: str) -> torch.Tensor:
        wide = functional.pad(seen, (2, 2, 2, 2), mode="reflect")
        kernel = self._weights[f"{name}.filt"]
        return functional.conv2d(wide, kernel, stride=2, groups=seen.shape[1])


def load_stlpips(path: Path | None = None) -> StLpips:
    """ST-LPIPS with the weights of the package ``stlpips-pytorch``; the package is not imported.

    Args:
        path: a file of weights in its place.

    Raises:
        MissingDependencyError: the package is not installed.
        InputError: its file of weights is another one.
    """
    if path is None:
        package = importlib.util.find_spec(_PACKAGE)
        places = None if package is None else package.submodule_search_locations
        if not places:
            raise MissingDependencyError(
                "the package stlpips-pytorch is not installed",
                "run: pip install 'talkcli[perceptual]'",
            )
        path = Path(next(iter(places))) / _FILE
    try:
        return StLpips(torch.load(path, map_location="cpu", weights_only=True))
    except (OSError, ValueError, TypeError, RuntimeError, pickle.UnpicklingError) as error:
        raise InputError(
            f"{path} does not hold the weights of ST-LPIPS ({error})",
            "reinstall stlpips-pytorch",
        ) from error


class StLpipsScores:
    """Mean ST-LPIPS of the head."""

    def __init__(self) -> None:
        self._distance = load_stlpips()
        self._values = FrameValues.of(ST_LPIPS)

    def add(self, pair: FramePair) -> None:
        """See :class:`talkcli.metrics.pair.PairMetric`."""
        squares = head_squares(pair)
        self._values.add(None if squares is None else self._distance(*squares))

    def finish(self) -> list[Metric]:
        """See :class:`talkcli.metrics.pair.PairMetric`."""
        return [_noted(self._values.metric("no frame shows a face"))]


class LpipsScores:
    """Mean LPIPS (Zhang et al., CVPR 2018) of the head, by torchmetrics."""

    def __init__(self) -> None:
        trunk = require_model("lpips-alexnet")
        image = _torchmetrics("lpip")
        with _hub_of(trunk):
            self._metric = image.LearnedPerceptualImagePatchSimilarity(
                net_type="alex", normalize=True
            )
        self._values = FrameValues.of(LPIPS)

    def add(self, pair: FramePair) -> None:
        """See :class:`talkcli.metrics.pair.PairMetric`."""
        squares = head_squares(pair)
        if squares is None:
            self._values.add(None)
            return
        made, real = (_tensor([square]).float() / 255.0 for square in squares)
        with torch.no_grad():
            self._values.add(float(self._metric(made, real)))
        self._metric.reset()

    def finish(self) -> list[Metric]:
        """See :class:`talkcli.metrics.pair.PairMetric`."""
        return [_noted(self._values.metric("no frame shows a face"))]


class FidScores:
    """FID (Heusel et al., NeurIPS 2017) between the made and the real heads, by torchmetrics."""

    def __init__(self) -> None:
        weights = require_model("fid-inception")
        self._metric = _torchmetrics("fid").FrechetInceptionDistance(
            feature=2048, feature_extractor_weights_path=str(weights)
        )
        self._waiting: list[tuple[np.ndarray, np.ndarray]] = []
        self._count = 0

    def add(self, pair: FramePair) -> None:
        """See :class:`talkcli.metrics.pair.PairMetric`."""
        squares = head_squares(pair)
        if squares is not None:
            self._waiting.append(squares)
        if len(self._waiting) == _FID_BATCH:
            self._flush()

    def finish(self) -> list[Metric]:
        """See :class:`talkcli.metrics.pair.PairMetric`."""
        self._flush()
        if self._count < 2:
            return [FID.with_note("fewer than two frames show a face")]
        note = f"{NOTE}; of {self._count} frames, and only comparable between as many"
        return [replace(FID, value=float(self._metric.compute()), note=note)]

    def _flush(self) -> None:
        if not self._waiting:
            return
        made, real = (_tensor(side) for side in zip(*self._waiting, strict=True))
        with torch.no_grad():
            self._metric.update(real, real=True)
            self._metric.update(made, real=False)
        self._count += len(self._waiting)
        self._waiting = []


def _noted(row: Metric) -> Metric:
    return row if row.value is None else row.with_note(NOTE)


def _tensor(pictures: Any) -> torch.Tensor:
    """``[n, 3, h, w]`` uint8."""
    return torch.from_numpy(np.ascontiguousarray(np.stack(pictures).transpose(0, 3, 1, 2)))


def _torchmetrics(module: str) -> Any:
    """A module of ``torchmetrics.image``.

    Raises:
        MissingDependencyError: it, or what it needs, is not installed.
    """
    missing = [
        name
        for name in ("torchmetrics", "torchvision", "torch_fidelity")
        if importlib.util.find_spec(name) is None
    ]
    if missing:
        raise MissingDependencyError(
            f"{' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} not installed",
            "run: pip install 'talkcli[perceptual]'",
        )
    try:
        return importlib.import_module(f"torchmetrics.image.{module}")
    except (ImportError, RuntimeError) as error:
        # A torchvision for CUDA beside a torch without it, for one.
        raise MissingDependencyError(
            f"torchmetrics cannot be loaded ({error})",
            "install the torchvision that belongs to this torch",
        ) from error


@contextmanager
def _hub_of(file: Path) -> Iterator[None]:
    """Let torch's hub find a file that is installed, so that nothing is downloaded."""
    before = torch.hub.get_dir()
    with tempfile.TemporaryDirectory(prefix="talkcli-hub-") as folder:
        place = Path(folder, "checkpoints")
        place.mkdir()
        os.symlink(file, place / file.name)
        torch.hub.set_dir(folder)
        try:
            yield
        finally:
            torch.hub.set_dir(before)
