"""From the analytic avatar and a trained decoder to an avatar with offset shapes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from talkcli.engines.audio_plane.offsets import DrivenOffsets, Mixer
from talkcli.engines.mggtalk.canonical import CanonicalSplats, canonical_splats, source_maps
from talkcli.engines.mggtalk.nets import OffsetDecoder
from talkcli.engines.mggtalk.sampling import SplatSampler
from talkcli.engines.portrait.avatar import PortraitAvatar
from talkcli.engines.portrait.playback import seen_from_the_front
from talkcli.shapes import Float, Float32

#: Name of the engine.
ENGINE = "mggtalk"
#: Offsets of a shape below these are not played: 5 µm, 1 % of the size, a fifth of a grey level.
_LEAST_OFFSET = np.array([5e-4, 5e-4, 5e-4, 1e-2, 8e-4, 8e-4, 8e-4], np.float32)
#: Colours change by a share of themselves and this: shades are deeper on light skin, but dark
#: things have some, too.
_LEAST_COLOR = 0.1


def splat_units(
    avatar: PortraitAvatar, splats: CanonicalSplats, units: Float[np.ndarray, " 7"]
) -> Float32[np.ndarray, "N 7"]:
    """``[N, 7]`` what a unit of a map's channel means for each splat.

    Args:
        avatar: the head.
        splats: its splats on the mean face.
        units: ``[7]`` of the channels.
    """
    found = splats.share[:, None] * units
    found[:, 4:] *= _LEAST_COLOR + np.clip(avatar.splats.colors, 0, 1)
    return found.astype(np.float32)


def refined(
    avatar: PortraitAvatar, decoder: OffsetDecoder, strength: float = 1.0
) -> PortraitAvatar:
    """The avatar with what a decoder adds to it.

    Args:
        avatar: the analytic avatar.
        decoder: with trained weights.
        strength: scale of the offsets.

    Returns:
        An avatar that shares the other's arrays. If the decoder changes nothing visible, it has no
        correction, and is the analytic avatar.
    """
    splats = canonical_splats(avatar)
    index = np.flatnonzero(splats.share > 0)
    with torch.no_grad():
        own = decoder.own(torch.from_numpy(source_maps(avatar, splats)))
        each = decoder.mixed(torch.eye(decoder.size.shapes), own)
        found = SplatSampler(splats, index)(each).numpy()
        units = splat_units(avatar, splats, decoder.units.numpy())[index]
    # As they will be stored, so that a loaded avatar is the same.
    shapes = (strength * found * units).astype(np.float16).astype(np.float32)
    moved = (np.abs(shapes) > _LEAST_OFFSET).any((0, 2))
    if not moved.any():
        return replace(avatar, correction=None, engine=ENGINE)
    offsets = DrivenOffsets(
        index[moved].astype(np.int32),
        np.ascontiguousarray(shapes[:, moved], np.float32),
        mixer_of(decoder),
    )
    done = replace(avatar, correction=offsets, engine=ENGINE, seen=None)
    done.seen = seen_from_the_front(done)
    return done


def mixer_of(decoder: OffsetDecoder) -> Mixer:
    """The network that mixes the shapes, as it is played."""
    arrays = (
        decoder.mean, decoder.scale, decoder.hidden.weight * decoder.used, decoder.hidden.bias,
        decoder.mix.weight, decoder.mix.bias,
    )  # fmt: skip
    return Mixer(*(array.detach().cpu().numpy().copy() for array in arrays))
