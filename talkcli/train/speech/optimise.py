"""Training lip networks: losses on real lips and on synthetic phonemes, and the loop."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from talkcli.face.topology import LIPS
from talkcli.speech.network import HEADS, SUBFRAMES
from talkcli.train.expression import SPEECH_SHAPES, lip_aperture, lip_width
from talkcli.train.speech import phonemes
from talkcli.train.speech.batches import Batch, Batcher, Normalise, TrainingExample, normalised

_VOICE = 0.2  # weight of the voice head's loss
# Rows with fewer frames give no useful correlation; cm² added so that still lips keep it finite.
_FEWEST, _STILL = 20.0, 0.01
_WIDTH_FOLLOWS = 0.5  # weight of the correlation of width relative to that of aperture

Report = Callable[[str], None]
_Net = TypeVar("_Net", bound=nn.Module)
_Learner = TypeVar("_Learner", bound=nn.Module)


@dataclass(frozen=True)
class FitSettings:
    """How to train one network.

    Attributes:
        steps: optimiser steps; more of them overfit to the known speakers.
        rows: rows of real speech in a batch, 3 s each.
        spoken_rows: rows of synthetic speech in a batch.
        rate: peak learning rate.
        constraint: weight of the lip constraints on synthetic speech.
        velocity: weight of the error of differences between frames.
        follow: weight of one minus the correlation of aperture and width within a row.
        neutral: penalty on the correction of each clip's neutral face.
    """

    steps: int
    rows: int = 16
    spoken_rows: int = 0
    rate: float = 2e-3
    constraint: float = 0.0
    velocity: float = 2.0
    follow: float = 1.0
    neutral: float = 30.0


@dataclass(frozen=True)
class LipSizes:
    """How the shapes move the lips.

    Attributes:
        lips: ``[15, 40, 3]`` displacement of ``LIPS`` at weight 1, cm.
        aperture: ``[15]`` cm.
        width: ``[15]`` cm.
    """

    lips: torch.Tensor
    aperture: torch.Tensor
    width: torch.Tensor

    @staticmethod
    def of(basis: np.ndarray) -> LipSizes:
        """From a basis ``[15, 478, 3]``, see ``expression.speech_basis``."""
        parts = (basis[:, list(LIPS)], lip_aperture(basis), lip_width(basis))
        return LipSizes(*(torch.tensor(part, dtype=torch.float32) for part in parts))


class Learner(nn.Module):
    """The network with a correction of every clip's neutral face, used in training only."""

    def __init__(self, net: nn.Module, examples: int) -> None:
        super().__init__()
        self.net = net
        # The tracked neutral face is off by some tenths of a millimetre, differently in each clip.
        self.offsets = nn.Embedding(examples, len(SPEECH_SHAPES))
        nn.init.zeros_(self.offsets.weight)


def fit_network(
    net: _Net,
    examples: Sequence[TrainingExample],
    spoken: Sequence[TrainingExample],
    sizes: LipSizes,
    settings: FitSettings,
    seed: int,
    normalise: Normalise = normalised,
) -> _Net:
    """Train one network, ``LipNet`` or ``TeacherNet``.

    Args:
        net: starting point, changed in place; its last layer, ``out``, is initialised anew.
        examples: real clips.
        spoken: synthetic speech; may be empty.
        sizes: how the shapes move the lips.
        settings: batches, losses and learning rate.
        seed: of the batches.
        normalise: turns what the examples hold into the network's inputs.

    Returns:
        The network with the moving average of its weights, ready for use.
    """
    torch.manual_seed(seed)
    _begin_output(net, examples)
    learner = Learner(net, len(examples))
    spread = torch.tensor(_spread(examples))
    rng = np.random.default_rng(seed)
    real = Batcher(examples, rng, normalise)
    speaking = settings.spoken_rows and len(spoken)
    synthetic = Batcher(spoken, rng, normalise) if speaking else None

    def loss() -> torch.Tensor:
        batch = real.batch(settings.rows)
        if synthetic is None:
            out = learner.net(torch.from_numpy(batch.features))
            return _real_loss(learner, out, batch, sizes, spread, settings)
        extra = synthetic.batch(settings.spoken_rows)
        out = learner.net(torch.from_numpy(np.concatenate([batch.features, extra.features])))
        total = _real_loss(learner, out[: settings.rows], batch, sizes, spread, settings)
        out = out[settings.rows :]
        total = total + _VOICE * _voice_loss(out, extra)
        return total + settings.constraint * _constraint_loss(out, extra, sizes)

    averaged = optimise(learner, loss, settings.steps, settings.rate)
    net.load_state_dict(averaged.net.state_dict())
    return net.eval()


def optimise(
    learner: _Learner,
    loss: Callable[[], torch.Tensor],
    steps: int,
    rate: float,
    report: Report | None = None,
) -> _Learner:
    """Train a module with AdamW and a cosine schedule.

    Args:
        learner: changed in place.
        loss: draws the next batch and returns its loss.
        steps: optimiser steps.
        rate: peak learning rate.
        report: called with the smoothed loss every 500 steps.

    Returns:
        A copy of the module with the moving average of its weights.
    """
    optimiser = torch.optim.AdamW(
        learner.parameters(), lr=rate, weight_decay=0.02, betas=(0.9, 0.98)
    )
    average = copy.deepcopy(learner)
    smooth = 0.0
    learner.train()
    for step in range(steps):
        warm = min(1.0, (step + 1) / 80)
        for group in optimiser.param_groups:
            group["lr"] = rate * warm * (0.5 + 0.5 * math.cos(math.pi * step / steps)) + 1e-5
        value = loss()
        optimiser.zero_grad()
        value.backward()
        torch.nn.utils.clip_grad_norm_(learner.parameters(), 1.0)
        optimiser.step()
        with torch.no_grad():
            decay = min(0.995, 1.0 - 1.0 / (step + 2))
            for kept, fresh in zip(average.parameters(), learner.parameters(), strict=True):
                kept.lerp_(fresh, 1.0 - decay)
        smooth += (float(value.detach()) - smooth) / min(step + 1, 50)
        if report is not None and step % 500 == 499:
            report(f"step {step + 1} of {steps}: loss {smooth:.3f}")
    return average.eval()


def _real_loss(
    learner: Learner,
    out: torch.Tensor,
    batch: Batch,
    sizes: LipSizes,
    spread: torch.Tensor,
    settings: FitSettings,
) -> torch.Tensor:
    """Loss on real lips at the video frames: vertices, aperture, width, weights, velocities."""
    found = _at(out, torch.from_numpy(batch.positions))
    offset = learner.offsets(torch.from_numpy(batch.example))
    shapes = found[..., : len(SPEECH_SHAPES)] + offset
    error = shapes - torch.from_numpy(batch.weights)
    trust = torch.from_numpy(batch.trust)
    total = trust.sum() + 1e-6
    axes = torch.tensor([1.0, 1.0, 0.5])
    moved = torch.einsum("bms,svk->bmvk", error, sizes.lips) * axes
    size = torch.stack([shapes @ sizes.aperture, shapes @ sizes.width], -1)
    size_error = size - torch.from_numpy(batch.sizes)
    each = 26.0 * (moved**2).sum(-1).mean(-1)
    each = each + 2.0 * (size_error**2 * torch.tensor([1.0, 1.5])).sum(-1)
    each = each + 0.1 * ((error / spread) ** 2).mean(-1)
    closed = functional.binary_cross_entropy_with_logits(
        found[..., -2], torch.from_numpy(batch.closed), reduction="none"
    )
    loss = ((each + 0.1 * closed) * trust).sum() / total
    same = torch.from_numpy((batch.example[:, 1:] == batch.example[:, :-1]).astype(np.float32))
    pairs = same * trust[:, 1:] * trust[:, :-1]
    drift = (moved[:, 1:] - moved[:, :-1]).square().sum(-1).mean(-1)
    size_drift = (size_error[:, 1:] - size_error[:, :-1]).square().sum(-1)
    velocity = ((26.0 * drift + 2.0 * size_drift) * pairs).sum() / (pairs.sum() + 1e-6)
    voice = _voice_loss(out, batch)
    follow = _follow_loss(found, batch, sizes)
    held = settings.neutral * (offset**2 * trust[..., None]).sum() / total
    loss = loss + settings.velocity * velocity + settings.follow * follow
    return loss + _VOICE * voice + held


def _follow_loss(found: torch.Tensor, batch: Batch, sizes: LipSizes) -> torch.Tensor:
    """One minus the correlation within each row, of aperture and of width."""
    trust = torch.from_numpy(batch.trust)
    count = trust.sum(1, keepdim=True)
    counts = (count[:, 0] > _FEWEST).float()
    shapes = found[..., : len(SPEECH_SHAPES)]
    total = torch.zeros(())
    for k, (size, share) in enumerate(((sizes.aperture, 1.0), (sizes.width, _WIDTH_FOLLOWS))):
        sides = [shapes @ size, torch.from_numpy(batch.sizes[..., k])]
        means = [(side * trust).sum(1, keepdim=True) / (count + 1e-3) for side in sides]
        a, b = ((side - mean) * trust for side, mean in zip(sides, means, strict=True))
        r = (a * b).sum(1) / torch.sqrt((a**2).sum(1) * (b**2).sum(1) + _STILL)
        total = total + share * ((1.0 - r) * counts).sum() / (counts.sum() + 1e-3)
    return total


def _constraint_loss(out: torch.Tensor, batch: Batch, sizes: LipSizes) -> torch.Tensor:
    """Loss on synthetic speech: what the lips must do in each phoneme.

    Shut at p, b, m and in silence; at most 0.3 cm apart at f and v; at least 0.9 cm apart at open
    vowels; narrow when rounded, wide when spread. Closure is bounded on both sides, or the lips
    would be driven through each other.
    """
    shapes = out[..., : len(SPEECH_SHAPES)]
    aperture, width = shapes @ sizes.aperture, shapes @ sizes.width
    wanted = torch.from_numpy(batch.phonemes)
    closed, labial = _peaks(wanted[..., phonemes.CLOSED]), _peaks(wanted[..., phonemes.LABIODENTAL])
    silent = (wanted[..., phonemes.SILENT] > 0.95).float()
    wide = (wanted[..., phonemes.OPEN] > 0.6).float()
    rounded = wanted[..., phonemes.ROUND]
    spread = ((wanted[..., phonemes.SPREAD] > 0.45) & (rounded < 0.2)).float()
    relu = functional.relu

    def mean(mask: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
        return (mask * value).sum() / (mask.sum() + 1.0)

    shut = relu(aperture - 0.06) ** 2 + relu(-0.03 - aperture) ** 2
    between = relu(aperture - 0.3) ** 2 + relu(0.05 - aperture) ** 2
    loss = 1.5 * mean(closed, (aperture - 0.03) ** 2) + 2.0 * (silent * shut).mean()
    loss = loss + 0.7 * mean(labial, between) + 0.7 * (wide * relu(0.9 - aperture) ** 2).mean()
    loss = loss + 2.0 * ((rounded > 0.6).float() * relu(width + 0.2) ** 2).mean()
    loss = loss + 2.0 * (spread * relu(0.1 - width) ** 2).mean()
    touching = torch.clamp(wanted[..., phonemes.CLOSED] + silent, 0.0, 1.0)
    head = functional.binary_cross_entropy_with_logits(out[..., -2], touching)
    return loss + 0.1 * head


def _peaks(values: torch.Tensor) -> torch.Tensor:
    highest = functional.max_pool1d(values[:, None], 3, 1, 1)[:, 0]
    return ((values > 0.35) & (values >= highest - 1e-4)).float()


def _voice_loss(out: torch.Tensor, batch: Batch) -> torch.Tensor:
    return functional.binary_cross_entropy_with_logits(out[..., -1], torch.from_numpy(batch.voice))


def _at(out: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
    """Outputs ``[B, N, C]`` at 50 Hz interpolated at feature frames: ``[B, M, C]``."""
    where = (positions / 2.0).clamp(0.0, out.shape[1] - 1.001)
    low = where.long()
    part = (where - low)[..., None]
    index = low[..., None].expand(-1, -1, out.shape[2])
    return out.gather(1, index) * (1.0 - part) + out.gather(1, index + 1) * part


def _begin_output(net: nn.Module, examples: Sequence[TrainingExample]) -> None:
    """Start from nearly still lips at the mean expression."""
    mean = np.concatenate([x.weights[x.trust > 0] for x in examples]).mean(0)
    bias = np.concatenate([mean, np.zeros(len(HEADS))]).astype(np.float32)
    out = net.get_submodule("out")
    assert isinstance(out, nn.Linear)
    nn.init.normal_(out.weight, std=0.01)
    with torch.no_grad():
        out.bias.copy_(torch.from_numpy(np.tile(bias, SUBFRAMES)))


def _spread(examples: Sequence[TrainingExample]) -> np.ndarray:
    return (
        np.concatenate([x.weights[x.trust > 0] for x in examples]).std(0).astype(np.float32) + 0.03
    )


@torch.no_grad()
def outputs(networks: Sequence[nn.Module], features: np.ndarray) -> np.ndarray:
    """Mean output ``[T, 17]`` at 50 Hz of some networks for features ``[F, C]``."""
    batch = torch.from_numpy(features)[None]
    return np.asarray(torch.stack([net(batch)[0] for net in networks]).mean(0).numpy())


def at_frames(out: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """Outputs ``[T, C]`` at 50 Hz interpolated at feature frames ``[M]``: ``[M, C]``."""
    rows = torch.from_numpy(out)[None], torch.from_numpy(positions.astype(np.float32))[None]
    return _at(*rows)[0].numpy()
