"""A training loop that can be killed at any moment and goes on where it was.

What happens in step ``i`` depends on ``i``, the seed and the state alone: the order of the samples
and all random numbers are drawn anew for each step. A run that was killed and resumed from its
checkpoint therefore ends where an unbroken one does.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch

from talkcli.errors import InputError
from talkcli.files.tensors import Tensors, TensorSchema
from talkcli.progress import Task

#: Seconds between checkpoints.
CHECKPOINT_S = 60.0
#: Learning rates fall along half a cosine to this share of their first value.
_LAST_RATE = 0.03
SCHEMA = 1
_FILE = TensorSchema("checkpoint", SCHEMA, "delete it and start again", {})


@dataclass(frozen=True)
class Budget:
    """When a training ends: at the first of the two limits.

    Attributes:
        iterations: number of steps.
        seconds: seconds of training, without evaluations; infinite for no limit.
    """

    iterations: int
    seconds: float = math.inf

    def as_json(self) -> list[float | None]:
        """The limits, for a header."""
        return [self.iterations, self.seconds if math.isfinite(self.seconds) else None]

    def spent(self, iteration: int, seconds: float) -> float:
        """Share of the budget that is used, 0 to 1."""
        return min(1.0, max(iteration / max(self.iterations, 1), seconds / self.seconds))


@runtime_checkable
class Trainable(Protocol):
    """What the loop trains."""

    @property
    def optimizer(self) -> torch.optim.Optimizer:
        """Its parameter groups have their first learning rates."""

    def parameters(self) -> Mapping[str, torch.Tensor]:
        """Everything that is trained, by name."""

    def step(self, iteration: int, generator: np.random.Generator) -> torch.Tensor:
        """The loss of a step.

        Args:
            iteration: number of the step, from 0.
            generator: for random numbers of this step.
        """

    def evaluate(self, iteration: int) -> float:
        """A figure of merit on what is not trained on: higher is better."""


@runtime_checkable
class Averaged(Protocol):
    """A model that keeps something besides, such as a running mean of its parameters."""

    def stepped(self, iteration: int) -> None:
        """Is called after step number ``iteration``, counted from 1, has changed the parameters."""


@runtime_checkable
class Team(Protocol):
    """Processes that train one model together, each with its share of every batch.

    Attributes:
        leads: whether this process evaluates, reports and keeps the checkpoints.
    """

    leads: bool

    def average(self, tensors: Sequence[torch.Tensor]) -> None:
        """Replace tensors by their means over all processes."""

    def agree(self, value: bool) -> bool:
        """What the leading process says."""


class Alone:
    """A team of one."""

    leads = True

    def average(self, tensors: Sequence[torch.Tensor]) -> None:
        """See :class:`Team`."""

    def agree(self, value: bool) -> bool:
        """See :class:`Team`."""
        return value


@dataclass
class Progress:
    """How far a training is.

    Attributes:
        iteration: steps done.
        seconds: seconds spent on them.
        scores: ``(iteration, figure of merit)`` of every evaluation.
        loss: smoothed loss.
        ended: whether nothing is left to do.
    """

    iteration: int
    seconds: float
    scores: list[tuple[int, float]]
    loss: float = math.nan
    ended: bool = False


@dataclass(frozen=True)
class LoopSettings:
    """How a loop runs.

    Attributes:
        seed: seed of all random numbers.
        evaluate_every: steps between evaluations.
        patience: evaluations without a better figure after which it stops; 0 never stops.
        gain: least improvement that counts.
        stop_after: share of the budget before which it never stops early.
        clip: longest gradient, over all parameters; longer ones are shortened. 0 for any.
        warmup: steps over which the learning rates rise from nothing.
        team: the processes that train together.
    """

    seed: int = 0
    evaluate_every: int = 250
    patience: int = 0
    gain: float = 0.02
    stop_after: float = 0.6
    clip: float = 0.0
    warmup: int = 0
    team: Team = field(default_factory=Alone)


def train(
    model: Trainable,
    budget: Budget,
    settings: LoopSettings,
    checkpoint: Path,
    task: Task,
    *,
    report: Callable[[Progress], None] | None = None,
    beyond: bool = False,
) -> Progress:
    """Train until the budget is spent or the figure of merit stops rising.

    Args:
        model: what is trained.
        budget: when it ends.
        settings: seed, evaluations, early stop.
        checkpoint: file that the state is kept in, about once a minute, at the end, and when the
            user interrupts; if it exists, training goes on from there, unless it had ended with
            another budget.
        task: is advanced with every step.
        report: is told after every evaluation.
        beyond: go on from a training that had ended with another budget, too.

    Returns:
        How far it came.

    Raises:
        InputError: the checkpoint is damaged, or of another model; or the loss is not finite.
    """
    first_rates = [group["lr"] for group in model.optimizer.param_groups]
    progress = _resume(model, checkpoint, None if beyond else budget) or Progress(0, 0.0, [])
    keeper = _Keeper(model, budget, settings, checkpoint, report)
    if progress.iteration:
        task.advance(progress.iteration)
    if not progress.scores:
        keeper.look(progress)
    while not progress.ended and keeper.left(progress):
        spent = budget.spent(progress.iteration, progress.seconds)
        _rate(model.optimizer, first_rates, spent, (progress.iteration + 1) / (settings.warmup + 1))
        try:
            _step(model, progress, settings)
        except KeyboardInterrupt:
            keeper.save(progress)
            raise
        task.advance()
        if keeper.stops(progress):
            break
    if keeper.looked_at != progress.iteration:
        # It was resumed where no step was left.
        keeper.look(progress)
    progress.ended = True
    keeper.save(progress)
    return progress


@dataclass
class _Keeper:
    """Evaluates, reports and saves, in the leading process alone."""

    model: Trainable
    budget: Budget
    settings: LoopSettings
    checkpoint: Path
    report: Callable[[Progress], None] | None
    looked_at: int = -1
    saved: float = field(default_factory=time.perf_counter)

    def left(self, progress: Progress) -> bool:
        """Whether some of the budget is left; clocks of several processes differ."""
        left = self.budget.spent(progress.iteration, progress.seconds) < 1
        return self.settings.team.agree(left)

    def stops(self, progress: Progress) -> bool:
        """Evaluate and save when it is time, and tell whether nothing is gained any more."""
        spent = self.budget.spent(progress.iteration, progress.seconds)
        flat = False
        if progress.iteration % self.settings.evaluate_every == 0 or spent >= 1:
            self.look(progress)
            flat = spent >= self.settings.stop_after and _flat(progress.scores, self.settings)
        if not flat and time.perf_counter() - self.saved > CHECKPOINT_S:
            self.save(progress)
            self.saved = time.perf_counter()
        return self.settings.team.agree(flat)

    def look(self, progress: Progress) -> None:
        """Evaluate and report."""
        self.looked_at = at = progress.iteration
        if not self.settings.team.leads:
            return
        progress.scores = [score for score in progress.scores if score[0] != at]
        progress.scores.append((at, self.model.evaluate(at)))
        if self.report is not None:
            self.report(progress)

    def save(self, progress: Progress) -> None:
        """Write the checkpoint."""
        if self.settings.team.leads:
            _save(self.model, progress, self.checkpoint, self.budget)


def _step(model: Trainable, progress: Progress, settings: LoopSettings) -> None:
    """Take a step and count it.

    Raises:
        InputError: the loss is not finite; nothing was changed by it.
    """
    began, number = time.perf_counter(), progress.iteration
    torch.manual_seed(settings.seed * 1_000_003 + number)
    loss = model.step(number, np.random.default_rng((settings.seed, number)))
    mean = loss.detach().clone()
    settings.team.average([mean])
    value = float(mean)
    if not math.isfinite(value):
        raise InputError(
            f"training has diverged: the loss of step {number} is {value}",
            "start again with another --seed",
        )
    model.optimizer.zero_grad()
    loss.backward()
    trained = [p for group in model.optimizer.param_groups for p in group["params"]]
    settings.team.average([p.grad for p in trained if p.grad is not None])
    if settings.clip:
        torch.nn.utils.clip_grad_norm_(trained, settings.clip)
    model.optimizer.step()
    progress.loss = value if math.isnan(progress.loss) else 0.98 * progress.loss + 0.02 * value
    progress.iteration += 1
    if isinstance(model, Averaged):
        model.stepped(progress.iteration)
    progress.seconds += time.perf_counter() - began


def sample_of(iteration: int, count: int, seed: int) -> int:
    """The sample of a step, so that each of ``count`` comes once per round, in changing order."""
    around, place = divmod(iteration, count)
    return int(np.random.default_rng((seed, around)).permutation(count)[place])


def _rate(optimizer: torch.optim.Optimizer, first: list[float], spent: float, warm: float) -> None:
    share = _LAST_RATE + (1 - _LAST_RATE) * 0.5 * (1 + math.cos(math.pi * spent))
    share *= min(1.0, warm)
    for group, rate in zip(optimizer.param_groups, first, strict=True):
        group["lr"] = rate * share


def _flat(scores: list[tuple[int, float]], settings: LoopSettings) -> bool:
    if not settings.patience or len(scores) <= settings.patience:
        return False
    before = max(score for _, score in scores[: -settings.patience])
    return max(score for _, score in scores[-settings.patience :]) < before + settings.gain


def _save(model: Trainable, progress: Progress, path: Path, budget: Budget) -> None:
    tensors: Tensors = {}
    for name, parameter in model.parameters().items():
        tensors[f"value.{name}"] = parameter.detach().cpu().numpy()
        for key, value in model.optimizer.state.get(parameter, {}).items():
            tensors[f"adam.{key}.{name}"] = np.asarray(value.detach().cpu().numpy())
    header: dict[str, Any] = {
        "iteration": progress.iteration,
        "seconds": progress.seconds,
        "scores": progress.scores,
        "ended": progress.ended,
        "budget": budget.as_json(),
        "loss": None if math.isnan(progress.loss) else progress.loss,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    _FILE.write(path, tensors, header)


def _resume(model: Trainable, path: Path, budget: Budget | None) -> Progress | None:
    """The progress that a file holds, with the model at it; None to start anew."""
    if not path.exists():
        return None
    tensors, header = _FILE.read(path)
    try:
        ended = bool(header["ended"])
        if ended and budget is not None and header["budget"] != budget.as_json():
            return None
        for name, parameter in model.parameters().items():
            value = torch.from_numpy(tensors[f"value.{name}"])
            if value.shape != parameter.shape:
                raise ValueError(f"{name} has shape {tuple(value.shape)}")
            with torch.no_grad():
                parameter.copy_(value)
            state = {
                key.split(".")[1]: torch.from_numpy(np.array(array))
                for key, array in tensors.items()
                if key.startswith("adam.") and key.split(".", 2)[2] == name
            }
            if state:
                device = parameter.device
                model.optimizer.state[parameter] = {k: v.to(device) for k, v in state.items()}
        scores = [(int(at), float(score)) for at, score in header["scores"]]
        loss = math.nan if header["loss"] is None else float(header["loss"])
        done = int(header["iteration"]), float(header["seconds"])
        # With a larger budget there is more to do.
        return Progress(*done, scores, loss, ended=ended and budget is not None)
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"the checkpoint {path} is of another fit ({error})", "delete it and start again"
        ) from error
