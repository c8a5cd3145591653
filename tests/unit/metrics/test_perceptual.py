"""Perceptual distances on small weights that the tests make, and rows without them."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from talkcli.errors import InputError, MissingDependencyError
from talkcli.metrics import perceptual
from talkcli.metrics.crops import EVERY, SIDE, Unavailable, head_squares
from talkcli.metrics.optional import optional_metrics
from talkcli.metrics.perceptual import FidScores, LpipsScores, StLpips, StLpipsScores, load_stlpips
from talkcli.metrics.result import Metric
from tests.support.pairs import face_picture, face_points, frame_pair


def made_weights(seed: int = 0) -> dict[str, torch.Tensor]:
    """Random weights in the layout of ``alex_shift_tolerant.pth``, and its fixed blurs."""
    maker = torch.Generator().manual_seed(seed)
    found = {
        "scaling_layer.shift": torch.tensor([-0.030, -0.088, -0.188]).view(1, 3, 1, 1),
        "scaling_layer.scale": torch.tensor([0.458, 0.448, 0.450]).view(1, 3, 1, 1),
    }
    convs = {
        "net.slice1.0": (64, 3, 11, 11), "net.slice2.5": (192, 64, 5, 5),
        "net.slice3.9": (384, 192, 3, 3), "net.slice4.11": (256, 384, 3, 3),
        "net.slice5.13": (256, 256, 3, 3),
    }  # fmt: skip
    for number, (name, shape) in enumerate(convs.items()):
        spread = 1.0 / math.sqrt(math.prod(shape[1:]))
        found[f"{name}.weight"] = torch.randn(shape, generator=maker) * spread
        found[f"{name}.bias"] = torch.zeros(shape[0])
        found[f"lin{number}.model.1.weight"] = torch.rand((1, shape[0], 1, 1), generator=maker)
    row = torch.tensor([0.25, 0.5, 0.25])
    for name, channels in (("slice1.1", 64), ("slice2.4", 64), ("slice3.8", 192)):
        found[f"net.{name}.filt"] = torch.outer(row, row).expand(channels, 1, 3, 3).clone()
    return found


@pytest.fixture(scope="module")
def distance() -> StLpips:
    return StLpips(made_weights())


@pytest.fixture(scope="module")
def picture() -> np.ndarray:
    return face_picture(face_points())


def test_the_same_picture_has_no_distance_and_worse_ones_have_more(
    distance: StLpips, picture: np.ndarray
) -> None:
    blurred = [cv2.GaussianBlur(picture, (0, 0), sigma) for sigma in (1.0, 2.0, 4.0)]
    noise = np.random.default_rng(0).normal(size=picture.shape) * 30
    noisy = (picture + noise).clip(0, 255).astype(np.uint8)
    found = [distance(picture, other) for other in (picture, *blurred)]
    assert found[0] == 0.0 and found == sorted(found) and found[1] > 0.0
    assert distance(picture, noisy) > 0.0
    assert distance(picture, noisy) == pytest.approx(distance(noisy, picture), rel=1e-5)


def slow_distance(weights: dict[str, torch.Tensor], one: np.ndarray, other: np.ndarray) -> float:
    """The same network from PyTorch's own layers."""
    from torch import nn

    def conv(name: str, padding: int) -> nn.Conv2d:
        weight = weights[f"{name}.weight"]
        layer = nn.Conv2d(*weight.shape[1::-1], tuple(weight.shape[2:]), padding=padding)
        layer.load_state_dict({"weight": weight, "bias": weights[f"{name}.bias"]})
        return layer

    def blur(name: str) -> nn.Sequential:
        kernel = weights[f"net.{name}.filt"]
        layer = nn.Conv2d(len(kernel), len(kernel), 3, stride=2, groups=len(kernel), bias=False)
        layer.load_state_dict({"weight": kernel})
        return nn.Sequential(nn.ReflectionPad2d(2), layer)

    pool = nn.MaxPool2d(3, stride=1)
    slices = (
        nn.Sequential(conv("net.slice1.0", 2), blur("slice1.1"), nn.ReLU()),
        nn.Sequential(pool, blur("slice2.4"), conv("net.slice2.5", 2), nn.ReLU()),
        nn.Sequential(pool, blur("slice3.8"), conv("net.slice3.9", 1), nn.ReLU()),
        nn.Sequential(conv("net.slice4.11", 1), nn.ReLU()),
        nn.Sequential(conv("net.slice5.13", 1), nn.ReLU()),
    )
    seen = torch.from_numpy(np.stack([one, other]).transpose(0, 3, 1, 2) / 127.5 - 1.0).float()
    seen = (seen - weights["scaling_layer.shift"]) / weights["scaling_layer.scale"]
    total = 0.0
    with torch.no_grad():
        for number, part in enumerate(slices):
            seen = part(seen)
            unit = seen / (seen.norm(dim=1, keepdim=True) + 1e-10)
            scale = weights[f"lin{number}.model.1.weight"]
            total += float((scale * (unit[:1] - unit[1:]) ** 2).sum(1).mean())
    return total


def test_it_is_the_network_of_the_layers(distance: StLpips, picture: np.ndarray) -> None:
    other = cv2.GaussianBlur(picture, (0, 0), 1.5)
    wanted = slow_distance(made_weights(), picture, other)
    # float32 sums in another order.
    assert distance(picture, other) == pytest.approx(wanted, rel=1e-4)


def test_other_weights_are_refused(tmp_path: Path) -> None:
    weights = made_weights()
    path = tmp_path / "alex.pth"
    torch.save({**weights, "net.slice3.9.weight": torch.zeros(3, 3)}, path)
    with pytest.raises(InputError, match=r"net\.slice3\.9\.weight should be"):
        load_stlpips(path)
    torch.save(weights, path)
    assert isinstance(load_stlpips(path), StLpips)
    path.write_bytes(b"no weights")
    with pytest.raises(InputError, match="does not hold the weights of ST-LPIPS"):
        load_stlpips(path)


def test_scores_see_the_head_of_every_tenth_frame(
    distance: StLpips, picture: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(perceptual, "load_stlpips", lambda: distance)
    scores, twin = StLpipsScores(), StLpipsScores()
    blurred = cv2.GaussianBlur(picture, (0, 0), 2.0)
    for index in range(EVERY + 1):
        scores.add(frame_pair(blurred, picture, index))
        twin.add(frame_pair(picture, picture, index))
    (row,), (same,) = scores.finish(), twin.finish()
    assert same.value == 0.0 and row.value is not None and row.value > 0.0
    assert row.frames is not None and np.isfinite(row.frames).sum() == 2
    assert "not LPIPS" in row.label and "every 10th frame" in row.note
    nobody = StLpipsScores()
    nobody.add(frame_pair(picture, picture, face=False))
    assert nobody.finish()[0].value is None and nobody.finish()[0].note


def test_squares_hold_the_head(picture: np.ndarray) -> None:
    found = head_squares(frame_pair(picture, picture))
    assert found is not None
    made, real = found
    assert made.shape == real.shape == (SIDE, SIDE, 3)
    np.testing.assert_array_equal(made, real)
    # The face is in the middle of the square, brighter than the ground.
    assert made[SIDE // 2, SIDE // 2].mean() > 100
    assert head_squares(frame_pair(picture, picture, 1)) is None


class FakeImage:
    """Stands for ``torchmetrics.image``: says what it was given."""

    def __init__(self) -> None:
        self.given: list[Any] = []

    def LearnedPerceptualImagePatchSimilarity(self, **options: Any) -> Any:
        hub = Path(torch.hub.get_dir(), "checkpoints", "alexnet-owt-7be5be79.pth")
        self.given.append((options, hub.read_bytes()))
        return _Distance()

    def FrechetInceptionDistance(self, **options: Any) -> Any:
        self.given.append(options)
        return _Fid()


class _Distance:
    def __call__(self, made: torch.Tensor, real: torch.Tensor) -> torch.Tensor:
        assert made.shape == (1, 3, SIDE, SIDE) and float(made.min()) >= 0.0
        assert float(made.max()) <= 1.0
        return (made - real).abs().mean()

    def reset(self) -> None:
        pass


class _Fid:
    def __init__(self) -> None:
        self.seen = {True: 0, False: 0}

    def update(self, pictures: torch.Tensor, real: bool) -> None:
        assert pictures.dtype == torch.uint8
        self.seen[real] += len(pictures)

    def compute(self) -> torch.Tensor:
        assert self.seen == {True: 12, False: 12}
        return torch.tensor(3.5)


def test_lpips_and_fid_take_the_installed_weights_and_download_nothing(
    tmp_path: Path, picture: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    trunk = tmp_path / "alexnet-owt-7be5be79.pth"
    trunk.write_bytes(b"trunk")
    fake, hub = FakeImage(), torch.hub.get_dir()
    monkeypatch.setattr(perceptual, "require_model", lambda name: trunk)
    monkeypatch.setattr(perceptual, "_torchmetrics", lambda module: fake)
    lpips, fid = LpipsScores(), FidScores()
    assert torch.hub.get_dir() == hub
    assert fake.given[0] == ({"net_type": "alex", "normalize": True}, b"trunk")
    assert fake.given[1]["feature_extractor_weights_path"] == str(trunk)
    for index in range(0, 12 * EVERY, EVERY):
        for scores in (lpips, fid):
            scores.add(frame_pair(picture // 2, picture, index))
    (row,), (far,) = lpips.finish(), fid.finish()
    assert row.value is not None and row.value > 0.05 and row.label == "LPIPS (AlexNet)"
    assert far.value == 3.5 and "of 12 frames" in far.note


def test_rows_that_cannot_be_measured_say_what_to_install(
    tmp_path: Path, picture: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TALKCLI_CACHE", str(tmp_path))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    metrics = optional_metrics(Path("talk.wav"))
    assert all(isinstance(metric, Unavailable) for metric in metrics)
    for metric in metrics:
        metric.add(frame_pair(picture, picture))
    rows = {row.name: row for metric in metrics for row in metric.finish()}
    assert set(rows) == {"st_lpips", "lpips", "fid", "identity", "lse_d", "lse_c"}
    assert all(row.value is None and row.note for row in rows.values())
    assert "pip install 'talkcli[perceptual]'" in rows["st_lpips"].note
    assert "talkcli models pull lpips-alexnet" in rows["lpips"].note
    assert "talkcli models pull fid-inception" in rows["fid"].note
    assert "pip install 'talkcli[identity]'" in rows["identity"].note
    assert "talkcli models pull syncnet" in rows["lse_d"].note
    silent = {row.name: row for metric in optional_metrics(None) for row in metric.finish()}
    assert "sound" in silent["lse_c"].note


def test_without_torch_the_rows_say_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TALKCLI_CACHE", str(tmp_path))
    monkeypatch.setitem(sys.modules, "talkcli.metrics.perceptual", None)
    monkeypatch.delattr("talkcli.metrics.perceptual")
    rows = {row.name: row for metric in optional_metrics(None) for row in metric.finish()}
    assert set(rows) == {"st_lpips", "lpips", "fid", "identity", "lse_d", "lse_c"}
    assert "pip install 'talkcli[perceptual]'" in rows["lpips"].note


def test_a_torchvision_that_does_not_fit_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(name: str) -> None:
        raise RuntimeError("operator torchvision::nms does not exist")

    monkeypatch.setattr("importlib.util.find_spec", lambda name: name)
    monkeypatch.setattr("importlib.import_module", broken)
    with pytest.raises(MissingDependencyError, match="torchvision that belongs to this torch"):
        perceptual._torchmetrics("fid")


def test_unavailable_keeps_its_rows() -> None:
    row = Metric("x", "an x", None, "", "lower")
    assert Unavailable([row], "no x here").finish() == [row.with_note("no x here")]
