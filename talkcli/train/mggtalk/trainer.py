"""Trains the decoder through the renderer: one person and a few of their frames in each step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from talkcli.engines.audio_plane.offsets import motion_features
from talkcli.engines.audio_plane.surface import FittedSplats, FittedSurface
from talkcli.engines.mggtalk.canonical import canonical_splats, source_maps
from talkcli.engines.mggtalk.nets import OffsetDecoder
from talkcli.engines.mggtalk.refine import splat_units
from talkcli.engines.mggtalk.sampling import SplatSampler
from talkcli.metrics.image import psnr
from talkcli.optim.loop import sample_of
from talkcli.optim.losses import photometric
from talkcli.render import render
from talkcli.shapes import Float, Float32
from talkcli.train.mggtalk.pairs import FramePairs
from talkcli.train.mggtalk.recipe import DecoderRecipe
from talkcli.types import Cameras

#: Losses are a few hundredths; Adam's epsilon should not matter.
_LOSS_SCALE = 1000.0
#: Standard deviation below which a feature counts as constant.
_LEAST_SPREAD = 0.03
#: Held-out frames looked at of each clip.
_LOOKS = 6
REGIONS = ("face", "mouth", "cheeks")


@dataclass(frozen=True)
class Gain:
    """Mean PSNR of held-out people's frames, dB, and what the analytic avatars reach.

    Attributes:
        decoded: by region, with the decoder.
        analytic: by region, without.
        people: by person, what the decoder gains in the face.
    """

    decoded: Mapping[str, float]
    analytic: Mapping[str, float]
    people: Mapping[str, float]

    def told(self) -> str:
        """One line."""
        parts = [
            f"{name} {self.decoded[name]:.2f} ({self.decoded[name] - self.analytic[name]:+.2f})"
            for name in REGIONS
        ]
        better = sum(gain > 0 for gain in self.people.values())
        return f"{', '.join(parts)} dB; better for {better} of {len(self.people)} people"


class Person:
    """A prepared clip, ready to be drawn.

    Args:
        pairs: the clip.
    """

    def __init__(self, pairs: FramePairs) -> None:
        self.pairs = pairs
        splats = canonical_splats(pairs.avatar)
        keep = pairs.keep
        self.maps = torch.from_numpy(source_maps(pairs.avatar, splats))
        self._sampler = SplatSampler(splats, keep)
        self._units = torch.from_numpy(splat_units(pairs.avatar, splats, np.ones(7))[keep])
        self.surface = FittedSurface(pairs.avatar, FittedSplats.of_head(pairs.avatar.splats, keep))
        # The whole avatar takes ten times the memory of what is drawn.
        self.features = torch.from_numpy(np.array([motion_features(m) for m in pairs.motions]))
        camera = pairs.camera
        self._cameras = Cameras(
            torch.from_numpy(camera.viewmat.astype(np.float32))[None],
            torch.from_numpy(camera.K.astype(np.float32))[None],
            camera.width,
            camera.height,
        )

    def offsets(self, maps: Float[Tensor, "B C side side"], units: Tensor) -> Tensor:
        """``[B, M, 7]`` offsets of the drawn splats, from mixed maps in the channels' units."""
        return self._sampler(maps) * (self._units * units)

    def draw(
        self, number: int, offsets: Float[Tensor, "M 7"], tint: Float[Tensor, " 3"] | None = None
    ) -> Float[Tensor, "h w 3"]:
        """``[h, w, 3]`` a frame, its colours multiplied by ``tint``."""
        gaussians = self.surface.offset(self.pairs.motions[number], offsets)
        drawn = render(gaussians, self._cameras, backend="cpu", depth=False)
        image = drawn.rgb[0] + (1 - drawn.alpha[0]) * self._plate
        return image if tint is None else image * tint

    def target(self, number: int) -> Float[Tensor, "h w 3"]:
        """``[h, w, 3]`` 0–1 what the frame really shows."""
        return torch.from_numpy(self.pairs.pictures[number]).float() / 255

    def mask(self, number: int, name: str) -> Float[Tensor, "h w 1"]:
        """``[h, w, 1]`` a region of the frame."""
        return torch.from_numpy(self.pairs.region(number, name))[..., None].float()

    @cached_property
    def _plate(self) -> Tensor:
        return torch.from_numpy(self.pairs.plate)


class DecoderTraining:
    """A training in progress; see :class:`talkcli.optim.loop.Trainable`.

    Args:
        people: prepared clips to train on.
        held_out: prepared clips that are only looked at.
        recipe: how.
        seed: of the order, the noise and the first weights.
    """

    def __init__(
        self,
        people: Sequence[Person],
        held_out: Sequence[Person],
        recipe: DecoderRecipe,
        seed: int = 0,
    ) -> None:
        self._people, self._held_out, self._recipe, self._seed = people, held_out, recipe, seed
        features = torch.cat([person.features for person in people])
        torch.manual_seed(seed)
        self.decoder = OffsetDecoder(
            recipe.size, features.mean(0), features.std(0) + _LEAST_SPREAD, recipe.dropout
        )
        common, mixing, network = recipe.rates
        decoder = self.decoder
        groups: list[dict[str, object]] = [
            {"params": [decoder.common], "lr": common},
            {"params": [*decoder.hidden.parameters(), *decoder.mix.parameters()], "lr": mixing},
        ]
        if decoder.network is not None:
            groups.append({"params": list(decoder.network.parameters()), "lr": network})
        self.optimizer = torch.optim.Adam(groups, fused=True)
        self._analytic: dict[str, list[float]] = {}
        self.gain: Gain | None = None

    def parameters(self) -> Mapping[str, Tensor]:
        """See :class:`talkcli.optim.loop.Trainable`; what normalises the features is kept, too."""
        return self.decoder.state_dict(keep_vars=True)

    def step(self, iteration: int, generator: np.random.Generator) -> Tensor:
        """See :class:`talkcli.optim.loop.Trainable`."""
        recipe = self._recipe
        person = self._people[sample_of(iteration, len(self._people), self._seed)]
        count = min(recipe.frames, len(person.pairs))
        numbers = generator.choice(len(person.pairs), count, replace=False)
        tint = 1 + recipe.tint * generator.uniform(-1, 1, 3).astype(np.float32)
        color = torch.from_numpy(tint)
        decoder = self.decoder.train()
        features = person.features[numbers]
        noise = generator.standard_normal(features.shape).astype(np.float32)
        shares = decoder.shares(features + recipe.noise * decoder.scale * torch.from_numpy(noise))
        maps = decoder.mixed(shares, decoder.own(tinted(person.maps, color)))
        offsets = person.offsets(maps, decoder.units)
        loss = recipe.pull * maps.square().mean() + recipe.smooth * _roughness(maps)
        for row, number in enumerate(numbers):
            target = person.target(number) * color
            image = person.draw(number, offsets[row], color)
            face, mouth = person.mask(number, "face"), person.mask(number, "mouth")
            loss = loss + photometric(image * face, target * face) / count
            within = ((image - target).abs() * mouth).mean()
            loss = loss + recipe.mouth_weight * within / count
        return loss * _LOSS_SCALE

    def evaluate(self, iteration: int) -> float:
        """See :class:`talkcli.optim.loop.Trainable`: the mean of what face and mouth gain, dB."""
        self.gain = self.measure(self._held_out)
        gained = [self.gain.decoded[name] - self.gain.analytic[name] for name in REGIONS[:2]]
        return float(np.mean(gained))

    def measure(self, people: Sequence[Person]) -> Gain:
        """How much better the decoder shows some people than the analytic avatars do."""
        decoder = self.decoder.eval()
        found, before = [], []
        gained: dict[str, list[float]] = {}
        for person in people:
            with torch.no_grad():
                own = decoder.own(person.maps)
                for number in range(0, len(person.pairs), max(1, len(person.pairs) // _LOOKS)):
                    maps = decoder.mixed(decoder.shares(person.features[number][None]), own)
                    offsets = person.offsets(maps, decoder.units)[0]
                    scores = _scores(person, number, offsets)
                    key = f"{id(person)}.{number}"
                    if key not in self._analytic:
                        self._analytic[key] = _scores(person, number, torch.zeros_like(offsets))
                    analytic = self._analytic[key]
                    found.append(scores)
                    before.append(analytic)
                    gained.setdefault(person.pairs.person, []).append(scores[0] - analytic[0])
        return Gain(
            _by_region(found),
            _by_region(before),
            {name: float(np.mean(values)) for name, values in gained.items()},
        )


def tinted(
    maps: Float[Tensor, "channels side side"], color: Float[Tensor, " 3"]
) -> Float[Tensor, "channels side side"]:
    """Maps of a source with multiplied colours; see :mod:`talkcli.engines.mggtalk.canonical`."""
    found = maps.clone()
    for first in (0, 14):
        part = slice(first, first + 3)
        found[part] = (maps[part] + 2) * color[:, None, None] - 2
    return found


def _scores(person: Person, number: int, offsets: Tensor) -> list[float]:
    image = 255 * np.clip(person.draw(number, offsets).numpy(), 0, 1)
    real: Float32[np.ndarray, "h w 3"] = person.pairs.pictures[number].astype(np.float32)
    return [psnr(image, real, person.pairs.region(number, name)) for name in REGIONS]


def _by_region(scores: list[list[float]]) -> dict[str, float]:
    means = np.mean(scores, 0)
    return {name: float(value) for name, value in zip(REGIONS, means, strict=True)}


def _roughness(maps: Float[Tensor, "B C side side"]) -> Tensor:
    across = (maps[..., 1:] - maps[..., :-1]).square().mean()
    down = (maps[..., 1:, :] - maps[..., :-1, :]).square().mean()
    found: Tensor = across + down
    return found
