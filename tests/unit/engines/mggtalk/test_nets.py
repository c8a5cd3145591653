"""The decoder's networks against their definition."""

from __future__ import annotations

import numpy as np
import torch

from talkcli.engines.audio_plane.offsets import FEATURES
from talkcli.engines.mggtalk.canonical import MAP_CHANNELS, SIDE
from talkcli.engines.mggtalk.nets import DecoderSize, OffsetDecoder, sampled
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


def test_what_is_sampled_is_the_mean_of_four_cells() -> None:
    maps = torch.randn(2, 14, SIDE, SIDE)
    place = torch.rand(50, 2) * 1.8 - 0.9
    sheet = torch.randint(0, 2, (50,))
    found = sampled(maps, place, sheet)
    for k in range(50):
        x, y = ((place[k] + 1) * SIDE / 2 - 0.5).tolist()
        column, row = int(np.floor(x)), int(np.floor(y))
        right, down = x - column, y - row
        block = maps[:, 7 * sheet[k] : 7 * sheet[k] + 7, row : row + 2, column : column + 2]
        weights = torch.tensor(
            [[(1 - down) * (1 - right), (1 - down) * right], [down * (1 - right), down * right]]
        )
        wanted = (block * weights).sum((-1, -2))
        torch.testing.assert_close(found[:, k], wanted, atol=1e-4, rtol=1e-4)


def test_the_played_network_gives_the_trained_shares() -> None:
    decoder = random_decoder()
    mixer = mixer_of(decoder)
    for motion in (MotionFrame.neutral(), motion_of(jawOpen=0.7, mouthFunnel=0.4)):
        features = torch.from_numpy(np.concatenate([motion.expression, np.zeros(5, np.float32)]))
        with torch.no_grad():
            trained = decoder.shares(features[None])[0].numpy()
        np.testing.assert_allclose(mixer.shares(motion), trained, atol=1e-6)
