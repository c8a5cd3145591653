"""The gsplat adapter, against a stand-in that insists on gsplat's documented call."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor

from talkcli.errors import MissingDependencyError
from talkcli.render import render
from talkcli.render.api import RASTERIZE_MODES
from talkcli.render.reference import render_reference
from talkcli.types import Cameras, Gaussians
from tests.support.scenes import RECIPES, make_scene


def documented_rasterization(  # noqa: PLR0913  (as documented)
    means: Tensor,
    quats: Tensor | None,
    scales: Tensor | None,
    opacities: Tensor,
    colors: Tensor,
    viewmats: Tensor,
    Ks: Tensor,
    width: int,
    height: int,
    *,
    eps2d: float = 0.3,
    backgrounds: Tensor | None = None,
    render_mode: str = "RGB",
    rasterize_mode: str = "classic",
    covars: Tensor | None = None,
) -> tuple[Tensor, Tensor, dict[str, Any]]:
    """The part of ``gsplat.rasterization`` (1.5) that the adapter uses, shapes checked as there."""
    n, c, d = len(means), len(viewmats), colors.shape[-1]
    assert means.shape == (n, 3) and opacities.shape == (n,) and colors.shape == (n, d)
    assert viewmats.shape == (c, 4, 4) and Ks.shape == (c, 3, 3)
    assert {t.dtype for t in (means, opacities, colors, viewmats, Ks)} == {torch.float32}
    assert render_mode == "RGB+D"
    if covars is None:
        assert quats is not None and quats.shape == (n, 4)
        assert scales is not None and scales.shape == (n, 3)
        shape = {"quats": quats, "scales": scales}
    else:
        assert covars.shape == (n, 3, 3) and torch.equal(covars, covars.transpose(1, 2))
        upper = [covars[:, i, j] for i in range(3) for j in range(i, 3)]
        shape = {"covars": torch.stack(upper, -1)}
    if backgrounds is not None:
        assert backgrounds.shape == (c, d)
    gaussians = Gaussians(means, opacities, colors[:, :3], **shape)
    cameras = Cameras(viewmats, Ks, width, height)
    behind = None if backgrounds is None else backgrounds[:, :3]
    features = colors[:, 3:] if d > 3 else None
    drawn = render_reference(gaussians, cameras, behind, features, eps2d, rasterize_mode)
    parts = [drawn.rgb, *([] if drawn.features is None else [drawn.features]), drawn.depth]
    return torch.cat(parts, -1), drawn.alpha, {}


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[..., Any]], None]:
    """Puts a function in the place of gsplat's and lets the adapter work on the CPU."""

    def put(rasterization: Callable[..., Any]) -> None:
        gsplat = ModuleType("gsplat")
        gsplat.rasterization = rasterization  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, "gsplat", gsplat)
        monkeypatch.setattr("talkcli.render.backend.cuda_obstacle", lambda: None)
        monkeypatch.setattr("talkcli.render.cuda.working_device", lambda home: home)

    return put


@pytest.mark.parametrize("covars", [False, True], ids=["quats", "covars"])
@pytest.mark.parametrize("channels", [0, 4])
@pytest.mark.parametrize("with_background", [False, True])
@pytest.mark.parametrize("mode", RASTERIZE_MODES)
def test_adapter_speaks_gsplat(
    install: Callable[..., None], covars: bool, channels: int, with_background: bool, mode: str
) -> None:
    install(documented_rasterization)
    scene = make_scene(RECIPES["plain"], cameras=2, covars=covars).to(torch.float32)
    extra: dict[str, Any] = {
        "rasterize_mode": mode,
        "background": torch.tensor([0.1, 0.5, 0.9]) if with_background else None,
        "features": torch.rand(len(scene.gaussians), channels) if channels else None,
    }
    expected = render(scene.gaussians, scene.cameras, backend="reference", **extra)
    actual = render(scene.gaussians, scene.cameras, backend="cuda", **extra)
    for name in ("rgb", "alpha", "depth", "features"):
        one, other = getattr(actual, name), getattr(expected, name)
        assert (one is None) == (other is None)
        assert one is None or torch.equal(one, other)


def test_gradients_pass_through_the_adapter(install: Callable[..., None]) -> None:
    install(documented_rasterization)
    scene = make_scene(RECIPES["plain"], covars=True).to(torch.float32)
    covars = scene.gaussians.covars.clone().requires_grad_()
    gaussians = replace(scene.gaussians, covars=covars)
    render(gaussians, scene.cameras, backend="cuda").rgb.sum().backward()
    assert covars.grad is not None and covars.grad.abs().sum() > 0


@pytest.mark.parametrize(
    ("failure", "words"),
    [
        (torch.cuda.OutOfMemoryError("CUDA out of memory"), "too little free memory"),
        (AttributeError("'NoneType' object has no attribute 'projection'"), "does not run"),
        (RuntimeError("Error building extension 'gsplat_cuda'"), "does not run"),
    ],
)
def test_failures_of_gsplat_are_named(
    install: Callable[..., None], failure: Exception, words: str
) -> None:
    def broken(**_arguments: Any) -> None:
        raise failure

    install(broken)
    scene = make_scene(RECIPES["one"]).to(torch.float32)
    with pytest.raises(MissingDependencyError, match=words) as raised:
        render(scene.gaussians, scene.cameras, backend="cuda")
    assert "--backend cpu" in str(raised.value)


def test_a_device_too_full_to_take_the_splats_is_named(
    install: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_upper: Tensor) -> Tensor:
        raise torch.cuda.OutOfMemoryError("CUDA out of memory")

    install(documented_rasterization)
    monkeypatch.setattr("talkcli.render.cuda.full_covariances", full)
    scene = make_scene(RECIPES["one"], covars=True).to(torch.float32)
    with pytest.raises(MissingDependencyError, match="too little free memory"):
        render(scene.gaussians, scene.cameras, backend="cuda")


def test_gsplat_that_does_not_import_is_named(
    install: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    install(documented_rasterization)
    monkeypatch.setitem(sys.modules, "gsplat", None)
    scene = make_scene(RECIPES["one"]).to(torch.float32)
    with pytest.raises(MissingDependencyError, match="does not load"):
        render(scene.gaussians, scene.cameras, backend="cuda")
