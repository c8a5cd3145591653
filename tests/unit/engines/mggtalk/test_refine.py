"""What a decoder adds to the analytic avatar."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from talkcli.engines.audio_plane.offsets import FEATURES, DrivenOffsets
from talkcli.engines.mggtalk.checkpoint import load_decoded, save_decoded
from talkcli.engines.mggtalk.nets import OffsetDecoder
from talkcli.engines.mggtalk.refine import refined
from talkcli.engines.portrait.avatar import PortraitAvatar
from talkcli.types import MotionFrame
from tests.support.decoders import SMALL, random_decoder
from tests.support.portraits import motion_of

MOTIONS = (
    None,
    MotionFrame.neutral(),
    motion_of(jawOpen=0.8, mouthLowerDownLeft=0.4),
    replace(motion_of(eyeBlinkLeft=1.0), rotation=np.float32([12, 4, 2])),
)


@pytest.mark.parametrize("how", ["untrained", "no strength", "saved"])
def test_no_residual_is_the_analytic_avatar_bit_by_bit(
    avatar: PortraitAvatar, tmp_path: Path, how: str
) -> None:
    if how == "no strength":
        same = refined(avatar, random_decoder(), strength=0.0)
    else:
        nothing = OffsetDecoder(SMALL, torch.zeros(FEATURES), torch.ones(FEATURES))
        same = refined(avatar, nothing)
    if how == "saved":
        save_decoded(same, tmp_path)
        same = load_decoded(tmp_path)
    assert same.info.engine == "mggtalk" and avatar.info.engine == "portrait"
    # Fresh buffers: what is hidden keeps the covariances of earlier frames.
    same, analytic = replace(same), replace(avatar)
    for motion in MOTIONS:
        found, wanted = same.pose(motion), analytic.pose(motion)
        for name in ("means", "covars", "opacities", "colors"):
            np.testing.assert_array_equal(getattr(found, name), getattr(wanted, name))


def test_the_source_stays_as_photographed(avatar: PortraitAvatar) -> None:
    changed = refined(avatar, random_decoder())
    np.testing.assert_array_equal(changed.pose(None).colors, avatar.pose(None).colors)
    talking = changed.pose(MOTIONS[2]).means.copy()
    assert np.abs(talking - avatar.pose(MOTIONS[2]).means).max() > 0.01


def test_shades_are_deeper_on_light_skin(avatar: PortraitAvatar) -> None:
    dark = replace(avatar, splats=replace(avatar.splats, colors=avatar.splats.colors / 3))
    shapes = []
    for head in (avatar, dark):
        offsets = refined(head, random_decoder(replace(SMALL, widths=()))).correction
        assert isinstance(offsets, DrivenOffsets)
        shapes.append(np.abs(offsets.shapes[..., 4:]).mean())
        assert (np.diff(offsets.index) > 0).all()
    assert shapes[1] < 0.7 * shapes[0]
