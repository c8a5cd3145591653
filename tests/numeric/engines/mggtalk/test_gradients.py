"""What a training draws is what the avatar shows, and its gradients are those of the drawing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from talkcli.engines.mggtalk.refine import refined
from talkcli.engines.portrait.avatar import PortraitAvatar
from talkcli.render.cpu import Workspace, rasterize
from talkcli.train.mggtalk.pairs import FramePairs
from talkcli.train.mggtalk.trainer import Person
from tests.support.decoders import flushing_pairs, random_decoder


@pytest.fixture(scope="module")
def pairs(avatar: PortraitAvatar) -> FramePairs:
    """Six frames."""
    return flushing_pairs(avatar)


def test_what_is_trained_is_what_is_played(pairs: FramePairs) -> None:
    decoder, person, number = random_decoder(), Person(pairs), 3
    with torch.no_grad():
        own = decoder.own(person.maps)
        maps = decoder.mixed(decoder.shares(person.features[number][None]), own)
        drawn = person.draw(number, person.offsets(maps, decoder.units)[0]).numpy()
    played = refined(pairs.avatar, decoder).part(pairs.keep)
    rgb, alpha = rasterize(played.pose(pairs.motions[number]), pairs.camera, Workspace())[:2]
    shape = pairs.pictures.shape[1:3]
    shown = rgb.reshape(*shape, 3) + (1 - alpha.reshape(*shape, 1)) * pairs.plate
    # Offsets below the least that are played, and the order of sums: half a grey level.
    assert np.abs(drawn - shown).max() < 0.5 / 255 * 8
    assert np.abs(drawn - shown).mean() < 0.2 / 255


def test_gradients_reach_the_networks_through_the_renderer(pairs: FramePairs) -> None:
    decoder, person, number = random_decoder(spread=0.1, seed=1), Person(pairs), 2
    face = person.mask(number, "face")

    def loss() -> torch.Tensor:
        own = decoder.own(person.maps)
        maps = decoder.mixed(decoder.shares(person.features[number][None]), own)
        image = person.draw(number, person.offsets(maps, decoder.units)[0])
        return ((image - person.target(number)) * face).square().sum()

    loss().backward()
    assert decoder.network is not None
    # With steps in whose range the error is linear, and large enough for single precision.
    parameters = {
        "common": (decoder.common, 0.1),
        "mix": (decoder.mix.weight, 0.01),
        "last": (decoder.network.last.weight, 0.03),
        "first": (decoder.network.down[0].first.weight, 0.003),
    }
    for name, (parameter, step) in parameters.items():
        assert parameter.grad is not None
        along = parameter.grad / parameter.grad.norm()
        slope = float(parameter.grad.norm())
        with torch.no_grad():
            parameter += step * along
            above = float(loss())
            parameter -= 2 * step * along
            below = float(loss())
            parameter += step * along
        # Within 1 %. Seeds whose gradients cancel to a tenth of these show what splats that are cut
        # off at 1/255 lack, which have none.
        assert (above - below) / (2 * step) == pytest.approx(slope, rel=0.03), name


def test_the_face_is_a_region_of_its_own(pairs: FramePairs) -> None:
    face, mouth, cheeks = (pairs.region(0, name) for name in ("face", "mouth", "cheeks"))
    assert face.sum() > cheeks.sum() > mouth.sum() > 0
    assert not (cheeks & mouth).any() and not (cheeks & ~face).any()
    assert replace(pairs).camera.width == face.shape[1]
