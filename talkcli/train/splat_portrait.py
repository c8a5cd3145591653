"""``talkcli train splat-portrait``: learn heads from avatars of many people."""

from __future__ import annotations

import copy
import csv
import json
import math
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import torch

from talkcli.config import Recipe
from talkcli.engines.splat_portrait.look import look_at
from talkcli.engines.splat_portrait.network import SplatPortraitNet
from talkcli.engines.splat_portrait.unet import NetworkSize
from talkcli.face.model import FaceModel
from talkcli.files.atomic import staged_path, write_text_atomic
from talkcli.optim.loop import Budget, LoopSettings, Progress, train
from talkcli.progress import Task, describe
from talkcli.train.avatar_views import AvatarViews, load_views
from talkcli.train.distributed import joined_team
from talkcli.train.head_scores import maps_in_crop
from talkcli.train.head_training import HeadTraining
from talkcli.train.mean_maps import fit_mean_maps

if TYPE_CHECKING:
    from talkcli.optim.loop import Team

#: Files of a training's folder.
CHECKPOINT, WEIGHTS, CURVE, PREVIEW = (
    "checkpoint.safetensors",
    "weights.safetensors",
    "curve.csv",
    "preview.png",
)
#: People that are looked at during a training.
_LOOKED_AT = 20
_PREVIEWS = 6


@dataclass(frozen=True)
class Trained:
    """What a training came to.

    Attributes:
        steps: of all its runs.
        people: trained on.
        scores: of people that it was not trained on.
        weights: file of the weights.
    """

    steps: int
    people: int
    scores: dict[str, float]
    weights: Path


def train_splat_portrait(
    pack: Path, output: Path, recipe: Recipe, task: Task, *, resume: bool = False
) -> Trained:
    """Train the network, or go on.

    Args:
        pack: folder of a pack of avatars.
        output: folder of checkpoint, weights, curve and preview.
        recipe: its ``splat_portrait`` and ``train`` settings and the seed apply.
        task: is advanced with every step.
        resume: go on from a training that has come to its end, with another budget.

    Raises:
        InputError: no such pack, a checkpoint of another network, or a folder that cannot be
            written.
    """
    config, wanted = recipe.train, recipe.splat_portrait
    size = NetworkSize(
        wanted.widths, wanted.blocks, wanted.attention, wanted.patch, wanted.frequencies
    )
    people, others = _split(pack, config.people)
    output.mkdir(parents=True, exist_ok=True)
    with joined_team() as team:
        model = _model(size, people, others, recipe, team, (output / CHECKPOINT).exists())
        log = _Log(model, output, task, people)
        progress = train(
            model,
            Budget(config.steps, config.minutes * 60 if config.minutes else math.inf),
            LoopSettings(
                seed=recipe.seed, evaluate_every=config.every, clip=config.clip,
                warmup=config.warmup, team=team,
            ),
            output / CHECKPOINT,
            task,
            report=log,
            beyond=resume,
        )  # fmt: skip
    scores = {} if model.scores is None else model.scores.as_json()
    return Trained(progress.iteration, len(people), scores, output / WEIGHTS)


def _split(pack: Path, limit: int) -> tuple[list[AvatarViews], list[AvatarViews]]:
    """Who is trained on, and who is only looked at: held-out people, or else one of twenty."""
    people = load_views(pack, "train", limit)
    others = load_views(pack, "held", _LOOKED_AT)
    if not others and len(people) > 1:
        count = -(-len(people) // 20)
        people, others = people[count:], people[:count]
    return people, others or people


def _model(
    size: NetworkSize,
    people: list[AvatarViews],
    others: list[AvatarViews],
    recipe: Recipe,
    team: Team,
    going_on: bool,
) -> HeadTraining:
    """The network at its start; the mean maps of one that goes on come from its checkpoint."""
    torch.manual_seed(recipe.seed)
    network = SplatPortraitNet(size)
    if not going_on:
        network.mean.copy_(fit_mean_maps(people))
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    network.to(device)
    return HeadTraining(network, copy.deepcopy(network).eval(), people, others, recipe.train, team)


@dataclass
class _Log:
    """After every look: a line of the curve, the weights, and a sheet of what they see."""

    model: HeadTraining
    folder: Path
    task: Task
    people: list[AvatarViews]
    began: float = field(default_factory=time.perf_counter)

    def __call__(self, progress: Progress) -> None:
        assert self.model.scores is not None
        scores = self.model.scores.as_json()
        row = {
            "step": progress.iteration, "seconds": round(progress.seconds, 1),
            "people": len(self.people), "loss": round(progress.loss, 4), **scores,
            **{f"loss {name}": round(value, 4) for name, value in self.model.parts.items()},
        }  # fmt: skip
        rate = progress.seconds / max(progress.iteration, 1)
        left = rate * (self.model.config.steps - progress.iteration)
        describe(
            self.task,
            f"loss {progress.loss:.3f}, depth {scores['depth_mm']:.2f} mm, "
            f"IoU {scores['iou']:.3f}, {1 / max(rate, 1e-9):.1f} steps/s, {left / 60:.0f} min left",
        )
        self._write_curve(row)
        facts: dict[str, Any] = {
            "steps": progress.iteration, "people": len(self.people), "scores": scores,
            "licences": sorted({"MIT"}), "recipe": asdict(self.model.config),
        }  # fmt: skip
        self.model.average.save(self.folder / WEIGHTS, facts)
        with staged_path(self.folder / PREVIEW) as place:
            cv2.imwrite(f"{place}.png", _sheet(self.model)[..., ::-1])
            Path(f"{place}.png").replace(place)

    def _write_curve(self, row: dict[str, Any]) -> None:
        """Add a line; those of steps that a kill has undone are dropped."""
        path = self.folder / CURVE
        rows: list[dict[str, Any]] = []
        if path.exists():
            with path.open(encoding="utf-8", newline="") as stream:
                rows = [r for r in csv.DictReader(stream) if int(r["step"]) < row["step"]]
        names = list(dict.fromkeys(name for each in (*rows, row) for name in each))
        lines = [",".join(names)]
        lines += [",".join(str(each.get(name, "")) for name in names) for each in (*rows, row)]
        write_text_atomic(path, "\n".join(lines) + "\n")


def _sheet(model: HeadTraining) -> np.ndarray:
    """Pictures of others, their coverage and depth as given and as wanted, one person a row."""
    rows = []
    device = model.device
    with torch.no_grad():
        for person in model.others[:_PREVIEWS]:
            view = person.views[0]
            picture = view.picture[None].float().to(device) / 255
            given = maps_in_crop(look_at(model.average, picture, FaceModel.load()))
            wanted = view.maps.float()
            shown = cv2.resize(view.picture.permute(1, 2, 0).numpy(), wanted.shape[1:][::-1])
            planes = [
                given[2] * 255, wanted[2] * 255, (given[0] + 12) * 8 * (given[2] > 0.5),
                (wanted[0] + 12) * 8 * (wanted[2] > 0.5), given[6] * 255, wanted[10] * 255,
            ]  # fmt: skip
            grey = [np.clip(p.numpy(), 0, 255).astype(np.uint8)[..., None] for p in planes]
            rows.append(np.hstack([shown, *(np.repeat(g, 3, 2) for g in grey)]))
    return np.vstack(rows)


def facts_of(weights: Path) -> dict[str, Any]:
    """What the header of a file of weights says."""
    from safetensors import safe_open

    with safe_open(weights, framework="np") as file:
        return dict(json.loads(file.metadata()["talkcli"]))
