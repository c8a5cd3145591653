"""Gradients of the fast back-ends against autograd through the reference."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from talkcli.render import render
from talkcli.render.api import RASTERIZE_MODES
from talkcli.types import Rendered
from tests.support.render import FAST_BACKENDS
from tests.support.scenes import RECIPES, Scene, make_scene

#: Relative L2 error. Single precision and the approximate exponential reach 2e-5; what is left is
#: for flips at alpha = 1/255 (see tests/support/render.py), of which a small scene has none or one.
TOLERANCE = 1e-4

FIELDS = ("means", "quats", "scales", "covars", "opacities", "colors")
NAMES = [name for name in RECIPES if name != "none"]


def leaves(scene: Scene, dtype: torch.dtype, channels: int) -> dict[str, torch.Tensor]:
    """Everything that ``render`` is differentiable in, as leaves."""
    generator = torch.Generator().manual_seed(7)
    values = {f: getattr(scene.gaussians, f) for f in FIELDS}
    values["viewmats"] = scene.cameras.viewmats
    cameras = len(scene.cameras.viewmats)
    values["background"] = torch.rand(cameras, 3, generator=generator)
    if channels:
        values["features"] = torch.rand(len(scene.gaussians), channels, generator=generator)
    return {
        name: value.to(dtype).clone().requires_grad_()
        for name, value in values.items()
        if value is not None
    }


def draw(
    scene: Scene, values: dict[str, torch.Tensor], backend: str, mode: str = "classic"
) -> Rendered:
    gaussians = replace(scene.gaussians, **{f: values[f] for f in FIELDS if f in values})
    Ks = scene.cameras.Ks.to(values["means"].dtype)
    cameras = replace(scene.cameras, viewmats=values["viewmats"], Ks=Ks)
    extra = {"background": values["background"], "features": values.get("features")}
    return render(gaussians, cameras, backend=backend, rasterize_mode=mode, **extra)


def gradients(
    scene: Scene,
    dtype: torch.dtype,
    backend: str,
    channels: int = 0,
    depth: bool = True,
    mode: str = "classic",
) -> dict[str, torch.Tensor]:
    """Gradients of a random linear function of all images."""
    values = leaves(scene, dtype, channels)
    rendered = draw(scene, values, backend, mode)
    generator = torch.Generator().manual_seed(11)
    total = torch.zeros((), dtype=dtype)
    images = [rendered.rgb, rendered.alpha, rendered.features]
    for image in [*images, rendered.depth] if depth else images:
        if image is not None:
            weights = torch.randn(image.shape, generator=generator)
            total = total + (image * weights.to(dtype)).sum()
    total.backward()
    return {name: value.grad.double() for name, value in values.items() if value.grad is not None}


def assert_gradients_agree(
    actual: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]
) -> None:
    assert actual.keys() == expected.keys()
    errors = {
        name: (actual[name] - expected[name]).norm() / expected[name].norm().clamp_min(1e-12)
        for name in expected
    }
    assert all(error <= TOLERANCE for error in errors.values()), errors


@pytest.mark.parametrize("backend", FAST_BACKENDS)
@pytest.mark.parametrize("mode", RASTERIZE_MODES)
@pytest.mark.parametrize("covars", [False, True], ids=["quats", "covars"])
@pytest.mark.parametrize("name", NAMES)
def test_gradients_match_the_reference(name: str, covars: bool, mode: str, backend: str) -> None:
    scene = make_scene(RECIPES[name], seed=2, cameras=2, covars=covars)
    expected = gradients(scene, torch.float64, "reference", mode=mode)
    actual = gradients(scene, torch.float32, backend, mode=mode)
    assert_gradients_agree(actual, expected)


@pytest.mark.parametrize("backend", FAST_BACKENDS)
@pytest.mark.parametrize("channels", [1, 6, 32])
def test_feature_gradients_match_the_reference(channels: int, backend: str) -> None:
    scene = make_scene(RECIPES["plain"], seed=4)
    expected = gradients(scene, torch.float64, "reference", channels, depth=False)
    actual = gradients(scene, torch.float32, backend, channels, depth=False)
    assert_gradients_agree(actual, expected)


def test_gradients_without_depth_match_the_reference() -> None:
    scene = make_scene(RECIPES["several tiles"], seed=6)
    expected = gradients(scene, torch.float64, "reference", depth=False)
    assert_gradients_agree(gradients(scene, torch.float32, "cpu", depth=False), expected)


def test_gradients_are_the_same_bits_for_any_number_of_threads(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    scene = make_scene(RECIPES["several tiles"], cameras=2)
    results = []
    for threads in ("1", "2", "3", "2"):
        monkeypatch.setenv("OMP_NUM_THREADS", threads)
        results.append(gradients(scene, torch.float32, "cpu", channels=2))
    for other in results[1:]:
        assert all(torch.equal(results[0][name], other[name]) for name in other)


def test_a_second_forward_leaves_a_pending_backward_alone() -> None:
    scene, other = make_scene(RECIPES["several tiles"]), make_scene(RECIPES["plain"])
    alone = gradients(scene, torch.float32, "cpu")
    values = leaves(scene, torch.float32, 0)
    first = draw(scene, values, "cpu")
    for _ in range(6):
        draw(other, leaves(other, torch.float32, 0), "cpu").rgb.sum().backward()
    generator = torch.Generator().manual_seed(11)
    images = (first.rgb, first.alpha, first.depth)
    sum((i * torch.randn(i.shape, generator=generator)).sum() for i in images).backward()
    assert all(torch.equal(values[name].grad.double(), alone[name]) for name in alone)


@pytest.mark.parametrize("name", ["rgb", "alpha", "depth", "features"])
def test_one_image_alone_can_be_differentiated(name: str) -> None:
    scene = make_scene(RECIPES["plain"], seed=8)
    results = {}
    for backend, dtype in (("cpu", torch.float32), ("reference", torch.float64)):
        values = leaves(scene, dtype, channels=2)
        getattr(draw(scene, values, backend), name).square().sum().backward()
        zero = torch.zeros(())
        results[backend] = {
            n: (zero if v.grad is None else v.grad.double()) * torch.ones(v.shape)
            for n, v in values.items()
        }
    assert_gradients_agree(results["cpu"], results["reference"])
