"""One set of assertions for every back-end behind ``render``."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from talkcli.errors import MissingDependencyError, UsageError
from talkcli.render import choose_backend, render
from talkcli.render.api import RASTERIZE_MODES
from talkcli.render.backend import cuda_obstacle
from tests.support.render import FAST_BACKENDS, assert_images_agree
from tests.support.scenes import RECIPES, make_scene


@pytest.mark.parametrize("backend", FAST_BACKENDS)
@pytest.mark.parametrize("mode", RASTERIZE_MODES)
@pytest.mark.parametrize("covars", [False, True], ids=["quats", "covars"])
@pytest.mark.parametrize("name", RECIPES)
def test_back_end_matches_the_reference(name: str, covars: bool, mode: str, backend: str) -> None:
    scene = make_scene(RECIPES[name], seed=1, cameras=2, covars=covars)
    background = torch.tensor([[0.1, 0.2, 0.3], [0.9, 0.4, 0.0]], dtype=torch.float64)
    expected = render(
        scene.gaussians,
        scene.cameras,
        background=background,
        backend="reference",
        rasterize_mode=mode,
    )
    single = scene.to(torch.float32)
    actual = render(
        single.gaussians,
        single.cameras,
        background=background.float(),
        backend=backend,
        rasterize_mode=mode,
    )
    assert actual.features is None
    assert_images_agree(actual.rgb, expected.rgb)
    assert_images_agree(actual.alpha, expected.alpha)
    assert_images_agree(actual.depth, expected.depth, scale=10.0)


@pytest.mark.parametrize("backend", FAST_BACKENDS)
@pytest.mark.parametrize("channels", [1, 5, 32])
def test_features_are_blended_as_colours_are(channels: int, backend: str) -> None:
    scene = make_scene(RECIPES["several tiles"])
    generator = torch.Generator().manual_seed(0)
    features = torch.rand(len(scene.gaussians), channels, generator=generator).double()
    expected = render(scene.gaussians, scene.cameras, features=features, backend="reference")
    single = scene.to(torch.float32)
    actual = render(single.gaussians, single.cameras, features=features.float(), backend=backend)
    assert actual.features is not None and expected.features is not None
    assert actual.features.shape == (1, 65, 99, channels)
    assert_images_agree(actual.features, expected.features)


def test_one_background_serves_every_camera() -> None:
    scene = make_scene(RECIPES["one"], cameras=2).to(torch.float32)
    color = torch.tensor([0.1, 0.2, 0.3])
    one = render(scene.gaussians, scene.cameras, background=color, backend="cpu")
    each = render(scene.gaussians, scene.cameras, background=color.repeat(2, 1), backend="cpu")
    assert torch.equal(one.rgb, each.rgb)


@pytest.mark.parametrize(
    ("field", "shape"),
    [("means", (3, 2)), ("opacities", (4,)), ("colors", (3,)), ("quats", (3, 3))],
)
def test_shapes_that_do_not_fit_are_named(field: str, shape: tuple[int, ...]) -> None:
    scene = make_scene(RECIPES["plain"]).to(torch.float32)
    setattr(scene.gaussians, field, torch.zeros(shape))
    with pytest.raises(ValueError, match="has shape"):
        render(scene.gaussians, scene.cameras, backend="cpu")


def test_a_shape_is_given_once() -> None:
    scene = make_scene(RECIPES["one"]).to(torch.float32)
    scene.gaussians.covars = torch.zeros(1, 6)
    with pytest.raises(ValueError, match="either covars"):
        render(scene.gaussians, scene.cameras, backend="cpu")


def test_more_features_than_the_kernels_take_are_refused() -> None:
    scene = make_scene(RECIPES["one"]).to(torch.float32)
    with pytest.raises(ValueError, match="1 to 32"):
        render(scene.gaussians, scene.cameras, features=torch.zeros(1, 33), backend="cpu")


def test_a_mode_that_nobody_knows_is_refused() -> None:
    scene = make_scene(RECIPES["one"]).to(torch.float32)
    with pytest.raises(ValueError, match="classic or antialiased, not smooth"):
        render(scene.gaussians, scene.cameras, backend="cpu", rasterize_mode="smooth")


@pytest.mark.parametrize("backend", ["reference", *FAST_BACKENDS])
def test_antialiasing_keeps_the_light_of_a_shrinking_splat(backend: str) -> None:
    """A splat of half the size covers a quarter, even far below a pixel; classic ones do not."""
    scene = make_scene(RECIPES["one"]).to(torch.float32)
    scene.gaussians.means.zero_()
    scene.gaussians.opacities.fill_(0.9)
    covered = {}
    for mode in RASTERIZE_MODES:
        for sigma in (0.2, 0.1):
            # 56 px of focal length at distance 4: sigma is given in px.
            scene.gaussians.scales.fill_(sigma * 4 / 56)
            drawn = render(scene.gaussians, scene.cameras, backend=backend, rasterize_mode=mode)
            covered[mode, sigma] = drawn.alpha.sum().item()
    assert covered["classic", 0.1] / covered["classic", 0.2] > 0.8
    # Not quite a quarter: less of a fainter splat's fringe reaches 1/255.
    assert 0.2 < covered["antialiased", 0.1] / covered["antialiased", 0.2] < 0.26


def test_unknown_back_end_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="auto, cpu, cuda, reference"):
        choose_backend("metal")


@pytest.mark.skipif(cuda_obstacle() is None, reason="CUDA and gsplat are here")
def test_cuda_never_falls_back_silently() -> None:
    with pytest.raises(MissingDependencyError, match="--backend cpu"):
        choose_backend("cuda")
    assert choose_backend("auto").name == "cpu"
    assert choose_backend("auto").reason


@pytest.mark.parametrize(
    ("gsplat", "version", "device", "words"),
    [
        (False, None, False, "gsplat is not installed"),
        (True, None, False, "without CUDA"),
        (True, "12.4", False, "no CUDA device"),
        (True, "12.4", True, None),
    ],
)
def test_the_missing_piece_is_named(
    gsplat: bool,
    version: str | None,
    device: bool,
    words: str | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("talkcli.render.backend.cuda_obstacle", cuda_obstacle.__wrapped__)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: object() if gsplat else None)
    monkeypatch.setattr("torch.version.cuda", version)
    monkeypatch.setattr("torch.cuda.is_available", lambda: device)
    assert choose_backend("auto").name == ("cpu" if words else "cuda")
    if words is None:
        assert choose_backend("cuda").name == "cuda"
        return
    with pytest.raises(MissingDependencyError, match=words):
        choose_backend("cuda")


@pytest.mark.parametrize("obstacle", [None, ("no CUDA device", "check nvidia-smi")])
def test_the_choice_and_its_reason_are_logged_once(obstacle: tuple[str, str] | None) -> None:
    # A process of its own: what was said once in this one is not said again.
    code = (
        "import logging, sys; from talkcli.render import backend\n"
        "logging.basicConfig(stream=sys.stdout, level='INFO', format='%(message)s')\n"
        f"backend.cuda_obstacle = lambda: {obstacle!r}\n"
        "for _ in range(3): choice = backend.choose_backend('auto')\n"
        "print(choice.name, choice.reason, sep='\\n')"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, run.stderr
    said, name, reason = run.stdout.splitlines()
    assert name == ("cpu" if obstacle else "cuda")
    assert f"back-end {name} (--backend auto: {reason})" in said
