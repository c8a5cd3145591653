"""What a fit draws is what the fitted avatar shows, and its gradients are those of the drawing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from talkcli.engines.audio_plane.offsets import FEATURES, DrivenOffsets, Mixer
from talkcli.engines.audio_plane.surface import (
    FADE,
    FittedSplats,
    FittedSurface,
    RestChange,
    baked,
    fade_of,
)
from talkcli.engines.portrait.avatar import PortraitAvatar
from talkcli.engines.portrait.splats import Layer
from talkcli.render import render
from talkcli.render.cpu import Workspace, rasterize
from talkcli.types import Cameras, MotionFrame
from tests.support.portraits import motion_of

MOTIONS = {
    "rest": MotionFrame.neutral(),
    "wide": motion_of(jawOpen=0.8, mouthLowerDownLeft=0.4, mouthLowerDownRight=0.4),
    "parted": motion_of(jawOpen=0.1),
    "blink": motion_of(eyeBlinkLeft=1.0, eyeBlinkRight=1.0),
    "turn": replace(
        motion_of(mouthSmileLeft=0.7),
        rotation=np.float32([14, -6, 5]),
        translation=np.float32([0.5, 0.2, -0.4]),
    ),
}


@pytest.fixture(scope="module")
def keep(avatar: PortraitAvatar) -> np.ndarray:
    """Every splat that is not the neck's."""
    return np.flatnonzero(avatar.splats.head_weight > FADE[0])


def fitted_of(avatar: PortraitAvatar, keep: np.ndarray) -> FittedSplats:
    return FittedSplats.of_head(avatar.splats, keep)


def changed(surface: FittedSurface, seed: int = 0) -> RestChange:
    """A change as large as a fit makes it: .2 mm, a tenth of the size, 13 grey levels."""
    made = RestChange.none(surface.opacities)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for tensor, size in zip(made.parameters(), (0.02, 0.1, 0.05, 0.5), strict=True):
            tensor += size * torch.randn(tensor.shape, generator=generator)
    return made


def offsets_of(avatar: PortraitAvatar, keep: np.ndarray) -> tuple[np.ndarray, DrivenOffsets]:
    """Offsets that do not depend on the expression: as a fit has them, and as they are played."""
    shape = np.random.default_rng(4).normal(size=(len(keep), 7)).astype(np.float32)
    shape *= np.float32([0.02, 0.02, 0.02, 0.05, 0.04, 0.04, 0.04])
    nothing = np.zeros((1, FEATURES), np.float32)
    mixer = Mixer(
        nothing[0], nothing[0] + 1, nothing, np.zeros(1, np.float32),
        np.zeros((1, 1), np.float32), np.ones(1, np.float32),
    )  # fmt: skip
    faded = shape * fade_of(avatar.splats)[keep, None]
    return shape, DrivenOffsets(keep.astype(np.int32), faded[None], mixer)


def cameras(avatar: PortraitAvatar) -> Cameras:
    camera = avatar.camera()
    matrices = (torch.from_numpy(m.astype(np.float32))[None] for m in (camera.viewmat, camera.K))
    return Cameras(*matrices, camera.width, camera.height)


def as_fitted(avatar: PortraitAvatar, gaussians: object) -> np.ndarray:
    with torch.no_grad():
        drawn = render(gaussians, cameras(avatar), backend="cpu")
    return (drawn.rgb[0] + (1 - drawn.alpha[0]) * 0.5).numpy()


def as_played(avatar: PortraitAvatar, keep: np.ndarray, motion: MotionFrame) -> np.ndarray:
    camera = avatar.camera()
    rgb, alpha = rasterize(avatar.part(keep).pose(motion), camera, Workspace())[:2]
    shape = camera.height, camera.width, -1
    return rgb.reshape(shape) + (1 - alpha.reshape(shape)) * np.float32(0.5)


def decibels(one: np.ndarray, other: np.ndarray) -> float:
    return float(-10 * np.log10(((one - other) ** 2).mean()))


@pytest.mark.parametrize("name", MOTIONS)
def test_what_is_baked_is_what_was_fitted(
    avatar: PortraitAvatar, keep: np.ndarray, name: str
) -> None:
    surface, motion = FittedSurface(avatar, fitted_of(avatar, keep)), MOTIONS[name]
    change = changed(surface)
    shape, offsets = offsets_of(avatar, keep)
    done = baked(avatar, fitted_of(avatar, keep), change)
    done.correction = offsets
    fitted = as_fitted(avatar, surface.posed(motion, change, torch.from_numpy(shape)))
    played = as_played(done, keep, motion)
    assert decibels(fitted, played) > 45
    # The change is no small one.
    assert decibels(played, as_played(avatar, keep, motion)) < 38


@pytest.mark.parametrize("name", MOTIONS)
def test_without_a_change_it_is_the_portrait(
    avatar: PortraitAvatar, keep: np.ndarray, name: str
) -> None:
    surface, motion = FittedSurface(avatar, fitted_of(avatar, keep)), MOTIONS[name]
    fitted = as_fitted(avatar, surface.posed(motion, RestChange.none(surface.opacities)))
    # Opacities begin at .98 at most.
    assert decibels(fitted, as_played(avatar, keep, motion)) > 45


def test_a_baked_avatar_leaves_the_neck_and_the_portrait_alone(
    avatar: PortraitAvatar, keep: np.ndarray
) -> None:
    before = {n: getattr(avatar.splats, n).copy() for n in ("positions", "colors", "opacities")}
    fitted = fitted_of(avatar, keep)
    done = baked(avatar, fitted, changed(FittedSurface(avatar, fitted)))
    others = np.setdiff1d(np.arange(len(avatar.splats)), keep)
    assert len(others) and done.seen is None
    for name, array in before.items():
        np.testing.assert_array_equal(getattr(avatar.splats, name), array)
        np.testing.assert_array_equal(getattr(done.splats, name)[others], array[others])
    moved = np.linalg.norm(done.splats.positions - avatar.splats.positions, axis=1)[keep]
    assert not moved[avatar.splats.layers[keep] == Layer.SHELL].any()
    completed = np.isin(avatar.splats.layers, (Layer.COMPLETION, Layer.SHELL))
    np.testing.assert_array_equal(
        done.splats.opacities[completed], avatar.splats.opacities[completed]
    )
    # The shell apart, which stays as it is.
    weight = np.where(avatar.splats.layers == Layer.SHELL, np.nan, avatar.splats.head_weight)[keep]
    # From one to the other of the two weights, the fit fades in, opacities with it.
    fade, free = fitted.fade, ~completed[keep]
    made = np.abs(done.splats.opacities - avatar.splats.opacities)[keep]
    assert made[free & (fade < 0.01)].max(initial=0) < 0.01 < made[free & (fade == 1)].mean()
    assert moved[weight > FADE[1]].mean() > 0.02
    low = weight < FADE[0] + 0.2 * (FADE[1] - FADE[0])
    assert not low.any() or moved[low].mean() < 0.2 * moved[weight > FADE[1]].mean()


def test_what_lies_around_is_drawn_as_it_is(avatar: PortraitAvatar, keep: np.ndarray) -> None:
    neck = np.setdiff1d(np.arange(len(avatar.splats)), keep)
    fitted, motion = replace(fitted_of(avatar, keep), around=neck), MOTIONS["turn"]
    surface = FittedSurface(avatar, fitted)
    drawn = surface.posed(motion, changed(surface))
    still = avatar.part(neck).pose(motion)
    assert len(drawn.means) == len(avatar.splats)
    np.testing.assert_allclose(drawn.means.detach().numpy()[len(keep) :], still.means, atol=1e-5)
    np.testing.assert_allclose(drawn.colors.detach().numpy()[len(keep) :], still.colors, atol=1e-5)


@pytest.mark.parametrize("name", ["parted", "turn"])
def test_gradients_are_those_of_finite_differences(avatar: PortraitAvatar, name: str) -> None:
    keep = np.sort(np.random.default_rng(1).choice(len(avatar.splats), 60, replace=False))
    surface, motion = FittedSurface(avatar, fitted_of(avatar, keep)), MOTIONS[name]
    change = changed(surface)
    generator = torch.Generator().manual_seed(3)
    offsets = (0.03 * torch.randn(60, 7, generator=generator)).requires_grad_()
    weights = [torch.randn(60, n, generator=generator) for n in (3, 6, 1, 3)]

    def figure() -> torch.Tensor:
        splats = surface.posed(motion, change, offsets)
        parts = (splats.means, 100 * splats.covars, splats.opacities[:, None], splats.colors)
        return sum(((w * p).sum() for w, p in zip(weights, parts, strict=True)), torch.zeros(()))

    leaves = [*change.parameters(), offsets]
    gradients = torch.autograd.grad(figure(), leaves)
    for leaf, gradient in zip(leaves, gradients, strict=True):
        direction = torch.randn(leaf.shape, generator=generator)
        step = 2e-3
        with torch.no_grad():
            leaf += step * direction
            above = figure()
            leaf -= 2 * step * direction
            below = figure()
            leaf += step * direction
        expected = float((gradient * direction).sum())
        # Single precision: figures near 1,000 are off by 1e-4, a step's difference of them by .03.
        assert float(above - below) / (2 * step) == pytest.approx(expected, rel=0.01, abs=0.15)


def test_shifts_turn_with_the_head(avatar: PortraitAvatar, keep: np.ndarray) -> None:
    surface, motion = FittedSurface(avatar, fitted_of(avatar, keep)), MOTIONS["turn"]
    change = RestChange.none(surface.opacities)
    before = surface.posed(motion, change).means.detach().numpy()
    with torch.no_grad():
        change.shift[:] = torch.tensor([0.0, 0.0, 0.1])
    way = surface.posed(motion, change).means.detach().numpy() - before
    shell = avatar.splats.layers[keep] == Layer.SHELL
    whole = (avatar.splats.head_weight[keep] >= 0.99) & ~shell
    assert not way[shell].any()
    axis = avatar.head_rotation(motion, None)[:, 2]
    np.testing.assert_allclose(way[whole].mean(0), 0.1 * axis, atol=2e-3)
