"""Pictures of avatars made different: framing, flips, backgrounds, light, blur, JPEG, occlusion."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from talkcli.engines.splat_portrait.align import Alignment, grid_of, sample
from talkcli.engines.splat_portrait.unet import LOOK_PX, MAP_PX
from talkcli.shapes import Float
from talkcli.train.avatar_views import ALPHA, PICTURE_PX, PLACE, AvatarView, AvatarViews, warped

#: By how much an alignment may be off when the maps are learned, as one that was found is:
#: standard deviations of centre, logarithm of scale, roll (radians), and turn.
_OFF = (0.015, 0.03, 0.04, 0.08)
#: Every third is off by more, so that a wrong one is seen through and mended.
_WRONG_SHARE, _WRONG = 0.33, 4.0
#: Of how many of the windows that pose is learned from are those of a first look.
_FIRST_LOOKS = 0.5
#: Windows per picture, to find the head in.
_WINDOWS = 2
#: Turned and expressive drawings are inputs as often as photographs together.
_SOURCE_SHARE = 0.55


@dataclass(frozen=True)
class Shown:
    """A view as a picture that may be met.

    Attributes:
        view: what it was.
        truth: where the head is.
        clean: ``[1, 3, P, P]`` in another light, not mirrored yet.
        spoiled: the same with blur, noise, and something before the head.
        flipped: whether it is to be mirrored.
        gain: ``[3, 1, 1]`` factor on its colours.
        bias: what was added to them.
    """

    view: AvatarView
    truth: Alignment
    clean: Float[Tensor, "1 3 P P"]
    spoiled: Float[Tensor, "1 3 P P"]
    flipped: bool
    gain: Float[Tensor, "3 1 1"]
    bias: float


@dataclass(frozen=True)
class Looks:
    """Crops in which a head is to be found.

    Attributes:
        windows: ``[2, 3, 64, 64]``.
        targets: where it is there.
    """

    windows: Float[Tensor, "W 3 L L"]
    targets: Alignment


@dataclass(frozen=True)
class Sample:
    """One training sample; all one picture.

    Attributes:
        looks: windows to find the head in.
        picture: ``[1, 3, 128, 128]`` the aligned picture.
        clean: the same without blur, noise and occlusion: colours for splats.
        seen: the alignment that it was cut with, a little off.
        maps: ``[1, 11, 128, 128]`` what is to be said of it; lengths as they appear.
        shown: the picture.
    """

    looks: Looks
    picture: Float[Tensor, "1 3 M M"]
    clean: Float[Tensor, "1 3 M M"]
    seen: Alignment
    maps: Float[Tensor, "1 11 M M"]
    shown: Shown


def joined(parts: Sequence[Alignment]) -> Alignment:
    """Several alignments as one of all their heads."""
    each = [vars(part) for part in parts]
    return Alignment(**{name: torch.cat([one[name] for one in each]) for name in each[0]})


def draw_sample(
    people: list[AvatarViews], generator: np.random.Generator, source: int | None = None
) -> Sample:
    """A random sample.

    Args:
        people: to choose from.
        generator: its next numbers decide everything.
        source: number of the person whose source view is wanted, unmixed with another background;
            None for anybody's any view.
    """
    shown = _show(people, generator, source)
    looks = draw_looks(shown, generator)
    seen = _nearly(shown.truth, generator)
    place = _mirrored(grid_of(seen.matrix(), MAP_PX), shown.flipped)
    maps = warped(shown.view.maps[None].float(), place)
    return Sample(
        looks=looks,
        picture=sample(shown.spoiled, place),
        clean=sample(shown.clean, place),
        seen=seen,
        maps=_apparent(maps, shown.truth, seen, shown.flipped),
        shown=shown,
    )


def draw_look(people: list[AvatarViews], generator: np.random.Generator) -> Looks:
    """Windows on a random view, without anything else, at half the resolution."""
    return draw_looks(_show(people, generator, None, PICTURE_PX // 2), generator)


def draw_looks(shown: Shown, generator: np.random.Generator) -> Looks:
    """Random windows on a picture."""
    windows = joined([_window(shown.truth, generator) for _ in range(_WINDOWS)])
    grid = _mirrored(grid_of(windows.matrix(), LOOK_PX), shown.flipped)
    small = shown.spoiled
    if small.shape[-1] == PICTURE_PX:
        small = functional.avg_pool2d(small, 2)
    seen = sample(small.expand(_WINDOWS, -1, -1, -1), grid)
    return Looks(seen, _within(shown.truth, windows))


def _show(
    people: list[AvatarViews],
    generator: np.random.Generator,
    source: int | None,
    side: int = PICTURE_PX,
) -> Shown:
    number = int(generator.integers(len(people))) if source is None else source
    person, other = people[number], people[int(generator.integers(len(people)))]
    view = person.views[0 if generator.random() < _SOURCE_SHARE else int(generator.integers(1, 3))]
    if source is not None:
        view = person.views[0]
    picture, plate = view.picture[None].float() / 255, other.plate[None].float() / 255
    if side < PICTURE_PX:
        picture, plate = (functional.avg_pool2d(each, 2) for each in (picture, plate))
    if generator.random() < 0.35 and source is None:
        picture = _before(picture, view, plate)
    gain = generator.uniform(0.7, 1.25) * generator.uniform(0.88, 1.12, 3)
    bias = float(generator.uniform(-0.06, 0.1))
    scale = torch.from_numpy(gain.astype(np.float32))[:, None, None]
    clean = (picture * scale + bias).clamp(0, 1)
    flipped = bool(generator.random() < 0.5)
    return Shown(
        view=view,
        truth=view.seen.mirrored() if flipped else view.seen,
        clean=clean,
        spoiled=_spoiled(clean, generator),
        flipped=flipped,
        gain=scale,
        bias=bias,
    )


def _mirrored(grid: Tensor, flipped: bool) -> Tensor:
    return grid * grid.new_tensor([-1.0, 1.0]) if flipped else grid


def _before(picture: Tensor, view: AvatarView, plate: Tensor) -> Tensor:
    """The head before another background."""
    alpha = view.maps[None, ALPHA : ALPHA + 1].float()
    alpha = functional.interpolate(alpha, size=picture.shape[2:], mode="bilinear")
    return picture * alpha + plate * (1 - alpha)


def _apparent(maps: Tensor, truth: Alignment, seen: Alignment, flipped: bool) -> Tensor:
    """Maps in the lengths that an alignment makes them appear, and in the mirror image."""
    maps = maps.clone()
    maps[:, :2] *= (truth.scale / seen.scale)[:, None, None, None]
    if flipped:
        maps[:, PLACE.start] *= -1
    return maps


def _nearly(truth: Alignment, generator: np.random.Generator) -> Alignment:
    centre, scale, roll, turn = _OFF
    noise = torch.from_numpy(generator.normal(size=6).astype(np.float32))[None]
    noise *= _WRONG if generator.random() < _WRONG_SHARE else 1.0
    return Alignment(
        truth.centre + centre * noise[:, :2],
        truth.scale * (scale * noise[:, 2]).exp(),
        truth.roll + roll * noise[:, 3],
        truth.turn + turn * noise[:, 4:],
    )


def _window(truth: Alignment, generator: np.random.Generator) -> Alignment:
    """A square to look for the head in: any, or nearly that of the head."""
    if generator.random() > _FIRST_LOOKS:
        return _nearly(truth, generator)
    numbers = generator.uniform(-1, 1, 4).astype(np.float32)
    centre = torch.from_numpy(0.12 * numbers[None, :2])
    scale = torch.from_numpy(np.exp(0.18 * numbers[2:3]))
    roll = torch.from_numpy(0.2 * numbers[3:4])
    return Alignment(centre, scale, roll, truth.turn)


def _within(truth: Alignment, window: Alignment) -> Alignment:
    """Where a head is in a window of its crop."""
    inverse = window.inverse()
    centre = (inverse[:, :, :2] @ truth.centre[..., None])[..., 0] + inverse[:, :, 2]
    turn = truth.turn.expand(len(centre), -1)
    return Alignment(centre, truth.scale / window.scale, truth.roll - window.roll, turn)


def _spoiled(picture: Tensor, generator: np.random.Generator) -> Tensor:
    """Blur, noise, JPEG's blocks, and something before the head, each now and then."""
    side = picture.shape[-1]
    if generator.random() < 0.3:
        small = int(generator.integers(side // 4, side // 2))
        picture = functional.interpolate(picture, size=(small, small), mode="area")
        picture = functional.interpolate(picture, size=(side, side), mode="bilinear")
    if generator.random() < 0.2:
        image = (picture[0].permute(1, 2, 0).numpy() * 255).astype(np.uint8)
        quality = [cv2.IMWRITE_JPEG_QUALITY, int(generator.integers(15, 60))]
        image = cv2.imdecode(cv2.imencode(".jpg", image, quality)[1], cv2.IMREAD_COLOR)
        picture = torch.from_numpy(image.astype(np.float32) / 255).permute(2, 0, 1)[None]
    if generator.random() < 0.15:
        size = generator.uniform(0.08, 0.3, 2) * side
        x, y = generator.uniform(0.15, 0.85, 2) * side
        mask = np.zeros((side, side), np.float32)
        box = (
            (float(x), float(y)),
            (float(size[0]), float(size[1])),
            float(generator.random() * 90),
        )
        cv2.ellipse(mask, box, 1.0, -1)
        color = torch.from_numpy(generator.random(3).astype(np.float32))[:, None, None]
        cover = torch.from_numpy(mask)
        picture = picture * (1 - cover) + color * cover
    if generator.random() < 0.5:
        noise = generator.normal(0, generator.uniform(0, 0.02), picture.shape).astype(np.float32)
        picture = picture + torch.from_numpy(noise)
    return picture.clamp(0, 1)
