"""The decoder's networks against their definition."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from talkcli.engines.audio_plane.offsets import FEATURES
from talkcli.engines.mggtalk.canonical import MAP_CHANNELS, SIDE
from talkcli.engines.mggtalk.nets import DecoderSize, OffsetDecoder
from talkcli.engines.mggtalk.refine import mixer_of
from talkcli.types import MotionFrame
from tests.support.decoders import SMALL, random_decoder
from tests.support.portraits import motion_of


def test_a_new_decoder_changes_nothing() -> None:
    decoder = OffsetDecoder(DecoderSize(), torch.zeros(FEATURES), torch.ones(FEATURES))
    own = decoder.own(torch.randn(MAP_CHANNELS, SIDE, SIDE))
    assert own is not None and own.shape == (16, 14, SIDE // 2, SIDE // 2)
    shares = decoder.shares(torch.randn(3, FEATURES))
    assert shares.shape == (3, 16) and shares.abs().max() > 0
    assert not decoder.mixed(shares, own).any()


def test_offsets_are_a_sum_of_shapes() -> None:
    decoder = random_decoder()
    with torch.no_grad():
        own = decoder.own(torch.randn(MAP_CHANNELS, SIDE, SIDE))
        shares = torch.randn(2, SMALL.shapes)
        each = decoder.mixed(torch.eye(SMALL.shapes), own)
        summed = torch.einsum("bk,kchw->bchw", shares, each)
        # Sums of three products of single precision.
        torch.testing.assert_close(decoder.mixed(shares, own), summed, atol=1e-5, rtol=1e-5)


def test_only_what_is_kept_changes() -> None:
    for shades, inside in ((False, True), (True, False)):
        decoder = random_decoder(replace(SMALL, shades=shades, inside=inside))
        with torch.no_grad():
            own = decoder.own(torch.randn(MAP_CHANNELS, SIDE, SIDE))
            maps = decoder.mixed(torch.eye(SMALL.shapes), own)
        assert maps[:, :3].any()
        assert bool(maps[:, 3:7].any()) == shades and bool(maps[:, 7:].any()) == inside


def test_softened_shapes_are_blurred_both_ways() -> None:
    decoder = random_decoder(replace(SMALL, widths=()))
    with torch.no_grad():
        decoder.common.zero_()
        decoder.common[1, 2, 64, 40] = 1.0
    decoder.soften(1.5)
    found = decoder.common[1, 2]
    # A Gaussian of unit sum; its middle is 1 / (2 pi 1.5^2).
    assert abs(float(found.sum()) - 1) < 1e-5
    assert abs(float(found[64, 40]) - 1 / (2 * np.pi * 1.5**2)) < 1e-3
    torch.testing.assert_close(found[64, 42], found[66, 40])
    assert not decoder.common[0].any()


def test_the_played_network_gives_the_trained_shares() -> None:
    decoder = random_decoder()
    mixer = mixer_of(decoder)
    for motion in (MotionFrame.neutral(), motion_of(jawOpen=0.7, mouthFunnel=0.4)):
        features = torch.from_numpy(np.concatenate([motion.expression, np.zeros(5, np.float32)]))
        with torch.no_grad():
            trained = decoder.shares(features[None])[0].numpy()
        np.testing.assert_allclose(mixer.shares(motion), trained, atol=1e-6)
