"""Offsets that follow the expression: as trained, as played, and of a part of the splats."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from talkcli.engines.audio_plane.network import OffsetBasis
from talkcli.engines.audio_plane.offsets import (
    CHANNEL_UNITS,
    FEATURES,
    MOST_UNUSUAL,
    DrivenOffsets,
    motion_features,
)
from talkcli.types import MotionFrame
from tests.support.subjects import known_motion

SPLATS = 9
MOTIONS = known_motion().frames


def trained_basis() -> OffsetBasis:
    """A basis that has learnt something, whatever."""
    torch.manual_seed(2)
    features = np.stack([motion_features(m) for m in MOTIONS])
    basis = OffsetBasis(SPLATS, features, shapes=3, hidden=6)
    with torch.no_grad():
        basis.shapes.normal_()
    return basis.eval()


def played(basis: OffsetBasis) -> DrivenOffsets:
    return DrivenOffsets(
        np.array([1, 4, 5, 6, 10, 11, 20, 21, 30], np.int32), basis.played_shapes(), basis.mixer()
    )


def test_a_basis_begins_without_effect() -> None:
    features = np.stack([motion_features(m) for m in MOTIONS])
    basis = OffsetBasis(SPLATS, features)
    assert not basis(torch.from_numpy(features[7])).any()


@pytest.mark.parametrize("number", [0, 7, 12, 39])
def test_what_is_played_is_what_was_trained(number: int) -> None:
    basis, motion = trained_basis(), MOTIONS[number]
    trained = basis(torch.from_numpy(motion_features(motion))).detach().numpy() * CHANNEL_UNITS
    # Sums of 57 products in single precision, in another order.
    np.testing.assert_allclose(played(basis).offsets(motion), trained, rtol=1e-4, atol=1e-6)


def test_features_are_expression_turn_and_gaze() -> None:
    motion = replace(MOTIONS[3], rotation=np.float32([20, -40, 10]), gaze=np.float32([5, -10]))
    features = motion_features(motion)
    assert features.shape == (FEATURES,) and features.dtype == np.float32
    np.testing.assert_array_equal(features[:52], motion.expression)
    np.testing.assert_allclose(features[52:], [1, -2, 0.5, 0.5, -1])


def test_what_the_clip_does_not_show_is_limited() -> None:
    """Further away than the limit, nothing changes any more."""
    mixer = trained_basis().mixer()
    far = MOTIONS[0]
    for factor in (10.0, 1000.0):
        wild = MotionFrame(
            np.where(np.arange(52) % 2, 1, -1).astype(np.float32) * factor,
            np.float32([1, 1, -1]) * 100 * factor,
            far.translation,
            np.float32([1, -1]) * 100 * factor,
        )
        x = (motion_features(wild) - mixer.mean) / mixer.scale
        assert (np.abs(x) > MOST_UNUSUAL).all()
        shares = mixer.shares(wild)
        edge = np.maximum(mixer.hidden_weight @ (MOST_UNUSUAL * np.sign(x)) + mixer.hidden_bias, 0)
        np.testing.assert_allclose(shares, mixer.weight @ edge + mixer.bias, rtol=1e-4, atol=1e-5)


def test_translation_does_not_drive() -> None:
    mixer = trained_basis().mixer()
    elsewhere = replace(MOTIONS[5], translation=np.float32([3, 4, 5]))
    np.testing.assert_array_equal(mixer.shares(elsewhere), mixer.shares(MOTIONS[5]))


def test_they_change_their_splats_alone() -> None:
    offsets, motion = played(trained_basis()), MOTIONS[9]
    rng = np.random.default_rng(0)
    positions, colors = rng.random((40, 3), np.float32), rng.random((40, 3), np.float32)
    spread = rng.random(40, np.float32)
    before = positions.copy(), spread.copy(), colors.copy()
    offsets.apply(motion, positions, spread, colors)
    moved = offsets.offsets(motion)
    index, others = offsets.index, np.setdiff1d(np.arange(40), offsets.index)
    for array, old in zip((positions, spread, colors), before, strict=True):
        np.testing.assert_array_equal(array[others], old[others])
    np.testing.assert_allclose(positions[index], before[0][index] + moved[:, :3], rtol=1e-6)
    # Spread is a variance: twice the logarithm of the size.
    np.testing.assert_allclose(spread[index], before[1][index] * np.exp(2 * moved[:, 3]), rtol=1e-6)
    np.testing.assert_allclose(colors[index], before[2][index] + moved[:, 4:], rtol=1e-6)


@pytest.mark.parametrize(
    "order", [np.arange(40), np.array([4, 5, 7, 21, 35]), np.array([0, 2]), np.arange(0)]
)
def test_a_part_does_to_its_splats_what_the_whole_does(order: np.ndarray) -> None:
    offsets, motion = played(trained_basis()), MOTIONS[9]
    rng = np.random.default_rng(0)
    arrays = [rng.random(shape, np.float32) for shape in ((40, 3), (40,), (40, 3))]
    chosen = [array[order] for array in arrays]
    offsets.apply(motion, *arrays)
    part = offsets.part(order)
    assert (np.diff(part.index) > 0).all() and len(part.index) == np.isin(
        offsets.index, order
    ).sum()
    part.apply(motion, *chosen)
    for array, own in zip(arrays, chosen, strict=True):
        np.testing.assert_allclose(array[order], own, rtol=1e-6)
