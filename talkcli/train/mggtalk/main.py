"""``talkcli train mggtalk``: from a folder of clips to weights of the decoder."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from talkcli.engines.mggtalk.weights import save_decoder
from talkcli.errors import InputError
from talkcli.files.check import explained_writes
from talkcli.optim.loop import Budget, LoopSettings, Progress, train
from talkcli.progress import Task
from talkcli.train.mggtalk.pairs import load_pairs
from talkcli.train.mggtalk.people import FilmedPerson, filmed_people
from talkcli.train.mggtalk.prepare import prepare_clips
from talkcli.train.mggtalk.recipe import DecoderRecipe
from talkcli.train.mggtalk.trainer import DecoderTraining, Person

CHECKPOINT = "checkpoint.safetensors"


@dataclass(frozen=True)
class DecoderRun:
    """What is trained, and where.

    Attributes:
        data: folder with ``manifest.json`` and ``speech_clips.json``.
        pairs: folder of prepared clips, filled where they are missing.
        work: folder of checkpoint and weights.
        minutes: limit on the time of training; 0 for none.
        seed: of all random numbers.
    """

    data: Path
    pairs: Path
    work: Path
    minutes: float = 0.0
    seed: int = 0

    @property
    def weights(self) -> Path:
        """The file of weights."""
        return self.work / "decoder.safetensors"


def prepare(run: DecoderRun, recipe: DecoderRecipe, report: Callable[[str], None]) -> list[Path]:
    """Prepare all clips of a data folder; returns the folders of the usable ones.

    Raises:
        InputError: the folder has no lists of clips.
    """
    return prepare_clips(_chosen(run, recipe), run.pairs, report)


def train_decoder(
    run: DecoderRun, recipe: DecoderRecipe, task: Task, report: Callable[[str], None]
) -> str:
    """Prepare what is missing, train, and write the weights.

    Args:
        run: what and where; training goes on from its checkpoint.
        recipe: how.
        task: is advanced with every step.
        report: is told of every clip and evaluation.

    Returns:
        What held-out people gain, in one line.

    Raises:
        InputError: no usable clips, a damaged checkpoint, or an output that cannot be written.
    """
    with explained_writes(run.work):
        run.work.mkdir(parents=True, exist_ok=True)
    done = {place.name for place in prepare(run, recipe, report)}
    clips = [clip for clip in _chosen(run, recipe) if clip.name in done]
    taught = [clip for clip in clips if not clip.held_out]
    held_out = _first_of_each([clip for clip in clips if clip.held_out])
    if not taught or not held_out:
        raise InputError(
            f"{run.data} holds {len(taught)} clips to train on and {len(held_out)} held out",
            "name a folder with clips of more people",
        )
    training = DecoderTraining(_people(run, taught), _people(run, held_out), recipe, run.seed)

    def tell(progress: Progress) -> None:
        assert training.gain is not None
        report(f"step {progress.iteration}: {training.gain.told()}")

    budget = Budget(recipe.steps, 60 * run.minutes or math.inf)
    settings = LoopSettings(run.seed, recipe.evaluate_every)
    progress = train(training, budget, settings, run.work / CHECKPOINT, task, report=tell)
    if recipe.soften:
        training.decoder.soften(recipe.soften)
        training.evaluate(progress.iteration)
    told = describe_training(training, progress, taught)
    save_decoder(run.weights, training.decoder, told)
    assert training.gain is not None
    return training.gain.told()


def describe_training(
    training: DecoderTraining, progress: Progress, clips: Sequence[FilmedPerson]
) -> dict[str, Any]:
    """JSON values about a training, for the header of its weights.

    Args:
        training: evaluated last with the weights that are written.
        progress: of its loop.
        clips: that it was trained on.
    """
    gain = training.gain
    assert gain is not None
    return {
        "clips": len(clips),
        "people": len({clip.person for clip in clips}),
        "free": all(clip.free for clip in clips),
        "steps": progress.iteration,
        "held_out_people": len(gain.people),
        "held_out_gain_db": {
            name: round(gain.decoded[name] - gain.analytic[name], 3) for name in gain.decoded
        },
    }


def _chosen(run: DecoderRun, recipe: DecoderRecipe) -> list[FilmedPerson]:
    found = filmed_people(run.data, recipe.clips)
    return [clip for clip in found if clip.free or clip.held_out or not recipe.free_only]


def _first_of_each(clips: Sequence[FilmedPerson]) -> list[FilmedPerson]:
    first: dict[str, FilmedPerson] = {}
    for clip in clips:
        first.setdefault(clip.person, clip)
    return list(first.values())


def _people(run: DecoderRun, clips: Sequence[FilmedPerson]) -> list[Person]:
    return [Person(load_pairs(run.pairs / clip.name)) for clip in clips]
