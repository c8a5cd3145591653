"""Sizes and effort of a training of the decoder."""

from __future__ import annotations

from dataclasses import dataclass, field

from talkcli.engines.mggtalk.nets import DecoderSize
from talkcli.errors import UsageError


@dataclass(frozen=True)
class DecoderRecipe:
    """How a decoder is trained.

    Attributes:
        size: of its networks.
        steps: number of steps, one person each.
        frames: frames of that person per step.
        clips: largest number of clips per person.
        free_only: leave out clips that are for research only.
        rates: Adam's step for the shapes of all, the mixing network, and the network of the maps.
        dropout: share of the mixing network's features hidden in each step.
        noise: added to them, in their standard deviations.
        mouth_weight: extra weight of the mouth in the loss.
        pull: towards no offsets, in the channels' units.
        smooth: pull of neighbours in the shapes towards each other.
        soften: cells of the map by which the shapes of all are blurred at the end.
        tint: colours of a step are multiplied by 1 plus and minus this.
        evaluate_every: steps between evaluations.
    """

    size: DecoderSize = field(default_factory=DecoderSize)
    steps: int = 12_000
    frames: int = 4
    clips: int = 3
    free_only: bool = False
    rates: tuple[float, float, float] = (4e-3, 1e-3, 5e-4)
    dropout: float = 0.05
    noise: float = 0.1
    mouth_weight: float = 0.5
    pull: float = 1e-2
    smooth: float = 1e-2
    soften: float = 1.5
    tint: float = 0.15
    evaluate_every: int = 1000


#: ``nano`` trains in an hour or two of one CPU core, ``base`` on a GPU.
RECIPES = {
    "nano": DecoderRecipe(),
    "base": DecoderRecipe(
        size=DecoderSize(32, 128, (64, 128, 192, 256)), steps=60_000, frames=8, clips=12
    ),
}


def recipe_named(name: str) -> DecoderRecipe:
    """A recipe by its name.

    Raises:
        UsageError: there is no such recipe.
    """
    if name not in RECIPES:
        raise UsageError(f"there is no size {name}", f"give --size {' or '.join(RECIPES)}")
    return RECIPES[name]
