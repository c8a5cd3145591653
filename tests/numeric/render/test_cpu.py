"""The CPU renderer's forward pass against the definition in ``render/reference.py``."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from talkcli.render.cpu import RasterSettings, Workspace, backproject, rasterize
from talkcli.render.reference import render_reference
from talkcli.types import SplatArrays
from tests.support.render import as_arrays, assert_images_agree, play
from tests.support.scenes import RECIPES, make_scene


@pytest.mark.parametrize("name", RECIPES)
def test_rasterize_matches_the_definition(name: str) -> None:
    scene = make_scene(RECIPES[name], seed=3, covars=True)
    background = torch.tensor([[0.2, 0.5, 0.7]], dtype=torch.float64)
    expected = render_reference(scene.gaussians, scene.cameras, background, None, 0.3)
    rgb, alpha, depth = play(scene, background=background[0].numpy(), depth=True)
    assert_images_agree(rgb, expected.rgb[0])
    assert_images_agree(alpha, expected.alpha[0, ..., 0])
    # Depths reach 4 + spread / 2 and a flip moves them in proportion.
    assert_images_agree(depth, expected.depth[0, ..., 0], scale=10.0)


def test_threads_and_reuse_change_no_bit() -> None:
    scene = make_scene(RECIPES["several tiles"], covars=True)
    other = make_scene(RECIPES["dense, stops early"], covars=True)
    workspace = Workspace()
    first = play(scene, threads=1, depth=True)
    play(other, workspace=workspace, threads=2, depth=True)
    for threads in (1, 2, 3):
        again = play(scene, workspace=workspace, threads=threads, depth=True)
        assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))


def test_many_parts_change_no_bit() -> None:
    """Enough splats that projection is split over threads, and a number that 16 does not divide."""
    scene = make_scene(RECIPES["several tiles"], covars=True)
    g = scene.gaussians
    repeats = 20_001 // len(g.means) + 1
    for field in ("means", "covars", "opacities", "colors"):
        value = getattr(g, field)
        setattr(g, field, value.repeat(repeats, *[1] * (value.ndim - 1))[:20_001])
    g.means += 1e-3 * torch.randn(g.means.shape, generator=torch.Generator().manual_seed(0))
    one, two = (play(scene, threads=threads) for threads in (1, 2))
    assert all(np.array_equal(a, b) for a, b in zip(one, two, strict=True))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e38])
def test_numbers_that_are_not_finite_are_not_drawn(bad: float) -> None:
    scene = make_scene(RECIPES["plain"], covars=True)
    g = scene.gaussians
    keep = torch.arange(len(g.means)) >= 5
    g.means[0, 1] = g.covars[1, 0] = g.covars[2, 4] = g.colors[3, 2] = bad
    g.means[4, 2] = -abs(bad)
    drawn = play(scene)
    for field in ("means", "covars", "opacities", "colors"):
        setattr(g, field, getattr(g, field)[keep])
    assert all(np.array_equal(a, b) for a, b in zip(drawn, play(scene), strict=True))


def test_read_only_and_strided_input_gives_the_same_image() -> None:
    scene = make_scene(RECIPES["plain"], covars=True)
    splats, camera = as_arrays(scene)
    odd = [
        np.repeat(getattr(splats, field.name), 2, axis=0)[::2]
        for field in dataclasses.fields(splats)
    ]
    for array in odd:
        array.flags.writeable = False
    expected = rasterize(splats, camera)
    actual = rasterize(SplatArrays(*odd), camera)
    assert all(np.array_equal(a, b) for a, b in zip(expected, actual, strict=True))


@pytest.mark.parametrize("channels", [1, 3, 7])
@pytest.mark.parametrize("name", ["plain", "dense, stops early", "several tiles", "huge"])
def test_backproject_is_the_colour_gradient(name: str, channels: int) -> None:
    scene = make_scene(RECIPES[name], seed=5, covars=True)
    g, c = scene.gaussians, scene.cameras
    generator = torch.Generator().manual_seed(1)
    image = torch.randn(c.height, c.width, channels, generator=generator, dtype=torch.float64)
    values = torch.zeros(len(g), channels + 1, dtype=torch.float64, requires_grad=True)
    rendered = render_reference(g, c, None, values, 0.3)
    assert rendered.features is not None
    with_ones = torch.cat([image, torch.ones_like(image[..., :1])], -1)
    (rendered.features[0] * with_ones).sum().backward()
    splats, camera = as_arrays(scene)
    # Splats have weights whatever their colours.
    splats.colors[:] = np.nan
    results = [
        backproject(splats, image.float().numpy(), camera, settings=RasterSettings(threads=threads))
        for threads in (1, 2)
    ]
    num, den = results[0]
    assert num.shape == (len(g), channels) and den.shape == (len(g),)
    assert all(np.array_equal(a, b) for a, b in zip(*results, strict=True))
    assert values.grad is not None
    expected = values.grad.numpy()
    actual = np.concatenate([num, den[:, None]], -1)
    # Isolated flips at alpha = 1/255 dominate the difference; see IMAGE_TOLERANCE.
    assert np.linalg.norm(actual - expected) <= 1e-4 * np.linalg.norm(expected) + 1e-12


def test_backproject_of_no_splats_is_empty() -> None:
    scene = make_scene(RECIPES["none"], covars=True)
    splats, camera = as_arrays(scene)
    image = np.ones((camera.height, camera.width, 3), np.float32)
    num, den = backproject(splats, image, camera)
    assert num.shape == (0, 3) and den.shape == (0,)


def test_backproject_refuses_an_image_of_another_size() -> None:
    splats, camera = as_arrays(make_scene(RECIPES["plain"], covars=True))
    image = np.ones((camera.height, camera.width + 1, 3), np.float32)
    with pytest.raises(ValueError, match="image in a"):
        backproject(splats, image, camera)
