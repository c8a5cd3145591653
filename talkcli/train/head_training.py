"""What the loop trains for ``splat-portrait``: network, batches, looks at other people."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from talkcli.engines.splat_portrait.align import Alignment
from talkcli.engines.splat_portrait.network import SplatPortraitNet
from talkcli.engines.splat_portrait.splats import draw, head_splats
from talkcli.optim.loop import Team
from talkcli.sections import TrainConfig
from talkcli.train.augment import Looks, Sample, draw_look, draw_sample, joined
from talkcli.train.avatar_views import AvatarViews
from talkcli.train.distributed import share_of
from talkcli.train.head_losses import map_losses, pose_losses, total, view_loss
from talkcli.train.head_scores import HeadScores, score_heads
from talkcli.train.view_pairs import SIDE_PX, turned_view

#: Weight of a view from another side, of the step's whole loss.
_VIEW = 3.0
_DECAY_STEPS = 10
#: Pictures per sample of a batch while only heads are looked for.
_LOOKS = 8


@dataclass
class HeadTraining:
    """See :class:`talkcli.optim.loop.Trainable`.

    Attributes:
        network: what is trained.
        average: the running mean of its weights, which is what is used.
        people: trained on.
        others: looked at.
        config: batch, rates and so on.
        team: the processes that train together.
        scores: of the last look.
        parts: losses of the last step by name.
    """

    network: SplatPortraitNet
    average: SplatPortraitNet
    people: list[AvatarViews]
    others: list[AvatarViews]
    config: TrainConfig
    team: Team
    scores: HeadScores | None = None

    def __post_init__(self) -> None:
        self.parts: dict[str, float] = {}
        self.device = next(self.network.parameters()).device
        self._optimizer = torch.optim.AdamW(
            self.network.parameters(),
            self.config.rate,
            betas=(0.9, 0.98),
            weight_decay=self.config.decay,
        )

    @property
    def optimizer(self) -> torch.optim.Optimizer:
        """See :class:`talkcli.optim.loop.Trainable`."""
        return self._optimizer

    def parameters(self) -> Mapping[str, Tensor]:
        """The network's parameters, their running means, and the mean maps."""
        means = {f"mean.{k}": v for k, v in self.average.named_parameters()}
        maps = {"maps": self.network.mean, "mean.maps": self.average.mean}
        return {**dict(self.network.named_parameters()), **means, **maps}

    def step(self, iteration: int, generator: np.random.Generator) -> Tensor:
        """The loss of this process's share of a batch."""
        seeds = generator.integers(2**63, size=self.config.batch)
        if iteration < self.config.look_steps:
            return self._look(seeds)
        drawn = iteration % self.config.render_every == 0
        samples = []
        for number in share_of(self.config.batch, self.team):
            own = np.random.default_rng(seeds[number])
            first = int(own.integers(len(self.people))) if drawn and number == 0 else None
            samples.append((draw_sample(self.people, own, first), own))
        lost = self._losses([sample for sample, _ in samples])
        if drawn and 0 in share_of(self.config.batch, self.team):
            sample, own = samples[0]
            view = _VIEW * self._view_loss(sample, own)
            self.parts["view"] = float(view.detach())
            # The mean over all samples of all processes then counts it once.
            lost = lost + view * self.config.batch / len(samples)
        return lost

    def _look(self, seeds: np.ndarray) -> Tensor:
        """The loss of finding heads alone, in many windows."""
        looks = []
        for number in share_of(self.config.batch, self.team):
            own = np.random.default_rng(seeds[number])
            looks += [draw_look(self.people, own) for _ in range(_LOOKS)]
        pose = self._pose_losses(looks)
        self.parts = {name: float(value.detach().mean()) for name, value in pose.items()}
        return total(pose).mean()

    def _pose_losses(self, looks: list[Looks]) -> dict[str, Tensor]:
        windows = torch.cat([look.windows for look in looks]).to(self.device)
        targets = self._there(joined([look.targets for look in looks]))
        return pose_losses(self.network.pose(windows), targets)

    def _there(self, seen: Alignment) -> Alignment:
        return Alignment(**{key: value.to(self.device) for key, value in vars(seen).items()})

    def stepped(self, iteration: int) -> None:
        """Follow the weights."""
        keep = min(self.config.ema, (1 + iteration) / (_DECAY_STEPS + iteration))
        with torch.no_grad():
            pairs = zip(self.average.parameters(), self.network.parameters(), strict=True)
            for mean, value in pairs:
                mean.lerp_(value, 1 - keep)

    def evaluate(self, iteration: int) -> float:
        """How well people that nothing is trained on are seen: higher is better."""
        self.scores = score_heads(self.average, self.others)
        return self.scores.merit

    def _losses(self, samples: list[Sample]) -> Tensor:
        """Mean loss of the maps and poses of samples; the first's maps are kept for a view."""

        def stacked(name: str) -> Tensor:
            return torch.cat([getattr(sample, name) for sample in samples]).to(self.device)

        half = self.config.precision == "bfloat16"
        with torch.autocast(self.device.type, torch.bfloat16, enabled=half):
            maps = self.network(
                stacked("picture"), self._there(joined([sample.seen for sample in samples]))
            )
        self._first = maps.of(0)
        lost = map_losses(maps, stacked("maps"))
        pose = self._pose_losses([sample.looks for sample in samples])
        self.parts = {k: float(v.detach().mean()) for k, v in (*lost.items(), *pose.items())}
        return total(lost).mean() + total(pose).mean()

    def _view_loss(self, sample: Sample, generator: np.random.Generator) -> Tensor:
        """The source's splats against the avatar's own view from another side."""
        person = next(p for p in self.people if p.views[0] is sample.shown.view)
        wanted, device = turned_view(person, sample), self.device
        focal = sample.shown.view.focal
        splats = head_splats(self._first, sample.clean.to(device), self._there(sample.seen), focal)
        turned = splats.turned(wanted.rotation.to(device), wanted.pivot.to(device))
        drawn = draw(turned, SIDE_PX, focal)
        ground = torch.from_numpy(generator.random(3).astype(np.float32)).to(device)
        return view_loss(drawn, wanted.target.to(device), ground[:, None, None])
