"""What the parts of a trained decoder are worth: each is taken away in turn.

    python -m benchmarks.decoder_parts PAIRS --data DIR --weights decoder.safetensors

Mean PSNR over frames of held-out people, drawn under their aligned motion as in training: the gain
over the analytic avatar in the face, the mouth and the cheeks, dB.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from talkcli import runtime

runtime.configure()

import numpy as np  # noqa: E402
import torch  # noqa: E402
from torch import Tensor  # noqa: E402

from talkcli.engines.mggtalk.nets import CHANNELS, OffsetDecoder  # noqa: E402
from talkcli.engines.mggtalk.weights import load_decoder  # noqa: E402
from talkcli.metrics.image import psnr  # noqa: E402
from talkcli.train.mggtalk.pairs import FRAMES, load_pairs  # noqa: E402
from talkcli.train.mggtalk.people import filmed_people  # noqa: E402
from talkcli.train.mggtalk.trainer import REGIONS, Person  # noqa: E402

#: Frames of each person.
_LOOKS = 6
#: From a decoder, a person, another person and a frame to mixed maps.
Mixture = Callable[[OffsetDecoder, Person, Person, int], Tensor]


def whole(decoder: OffsetDecoder, person: Person, other: Person, number: int) -> Tensor:
    shares = decoder.shares(person.features[number][None])
    return decoder.mixed(shares, decoder.own(person.maps))


def of_all(decoder: OffsetDecoder, person: Person, other: Person, number: int) -> Tensor:
    return decoder.mixed(decoder.shares(person.features[number][None]), None)


def own_alone(decoder: OffsetDecoder, person: Person, other: Person, number: int) -> Tensor:
    return whole(decoder, person, other, number) - of_all(decoder, person, other, number)


def of_another(decoder: OffsetDecoder, person: Person, other: Person, number: int) -> Tensor:
    shares = decoder.shares(person.features[number][None])
    return decoder.mixed(shares, decoder.own(other.maps))


def still(decoder: OffsetDecoder, person: Person, other: Person, number: int) -> Tensor:
    mean = person.features.mean(0, keepdim=True)
    return decoder.mixed(decoder.shares(mean), decoder.own(person.maps))


def another_moment(decoder: OffsetDecoder, person: Person, other: Person, number: int) -> Tensor:
    moment = (number + len(person.features) // 2) % len(person.features)
    return whole(decoder, person, other, moment)


def without(first: int, end: int, sheets: tuple[int, ...] = (0, 1)) -> Mixture:
    """Channels of some sheets are nothing."""

    def mixture(decoder: OffsetDecoder, person: Person, other: Person, number: int) -> Tensor:
        maps = whole(decoder, person, other, number).clone()
        for sheet in sheets:
            maps[:, sheet * CHANNELS + first : sheet * CHANNELS + end] = 0
        return maps

    return mixture


PARTS: dict[str, Mixture] = {
    "whole": whole,
    "shapes of all alone": of_all,
    "the person's own shapes alone": own_alone,
    "shapes of another person": of_another,
    "expression held at its mean": still,
    "expression of another moment": another_moment,
    "without shift": without(0, 3),
    "without size": without(3, 4),
    "without colour": without(4, 7),
    "without eyes and mouth's inside": without(0, 7, (1,)),
    "without skin": without(0, 7, (0,)),
}


def scores(person: Person, number: int, offsets: Tensor) -> list[float]:
    image = 255 * np.clip(person.draw(number, offsets).numpy(), 0, 1)
    real = person.pairs.pictures[number].astype(np.float32)
    return [psnr(image, real, person.pairs.region(number, name)) for name in REGIONS]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pairs", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--weights", type=Path, required=True)
    options = parser.parse_args()
    decoder, people = load_decoder(options.weights), {}
    for clip in filmed_people(options.data, 3):
        ready = (options.pairs / clip.name / FRAMES).exists()
        if clip.held_out and ready and clip.person not in people:
            people[clip.person] = Person(load_pairs(options.pairs / clip.name))
    gains: dict[str, list[np.ndarray]] = {name: [] for name in PARTS}
    everyone = list(people.values())
    with torch.no_grad():
        for place, person in enumerate(everyone):
            other = everyone[place - 1]
            for number in range(0, len(person.pairs), max(1, len(person.pairs) // _LOOKS)):
                nothing = torch.zeros(len(person.pairs.keep), CHANNELS)
                before = np.array(scores(person, number, nothing))
                for name, mixture in PARTS.items():
                    maps = mixture(decoder, person, other, number)
                    offsets = person.offsets(maps, decoder.units)[0]
                    gains[name].append(np.array(scores(person, number, offsets)) - before)
    print(f"{len(everyone)} people\n{'':34}" + "".join(name.rjust(9) for name in REGIONS))
    for name, found in gains.items():
        print(name.ljust(34) + "".join(f"{value:+9.2f}" for value in np.mean(found, 0)))


if __name__ == "__main__":
    main()
