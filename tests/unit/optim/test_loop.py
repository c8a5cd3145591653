"""A training that is killed anywhere and goes on ends where an unbroken one does."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file

from talkcli.errors import InputError
from talkcli.optim import loop
from talkcli.optim.loop import Budget, LoopSettings, Progress, sample_of, train
from talkcli.progress import SilentReporter


class Killed(BaseException):
    """The process is gone; nothing of the loop may catch this."""


class Line:
    """Fits a line to noisy points by Adam; dropout and noise make each step depend on chance."""

    def __init__(self, *, width: int = 3, killed_at: int | None = None) -> None:
        torch.manual_seed(0)
        self.weight = torch.zeros(width, requires_grad=True)
        self.bias = torch.zeros(1, requires_grad=True)
        self.optimizer = torch.optim.Adam(
            [{"params": [self.weight], "lr": 0.1}, {"params": [self.bias], "lr": 0.01}]
        )
        self.killed_at, self.evaluated, self.rates = killed_at, [], []
        self.steps = 0

    def parameters(self) -> dict[str, torch.Tensor]:
        return {"layer.weight": self.weight, "layer.bias": self.bias}

    def step(self, iteration: int, generator: np.random.Generator) -> torch.Tensor:
        if iteration == self.killed_at:
            raise Killed
        self.steps += 1
        self.rates.append([group["lr"] for group in self.optimizer.param_groups])
        x = torch.from_numpy(generator.standard_normal(len(self.weight)).astype(np.float32))
        x = torch.nn.functional.dropout(x, 0.3)
        place = sample_of(iteration, 7, 3)
        return ((x * self.weight).sum() + self.bias - x.sum() - 0.1 * place).square().sum()

    def evaluate(self, iteration: int) -> float:
        self.evaluated.append(iteration)
        return -float((self.weight.detach() - 1).square().sum())

    @property
    def state(self) -> np.ndarray:
        return torch.cat([self.weight, self.bias]).detach().numpy()


class Steps(SilentReporter):
    """Counts what it is told."""

    done = 0

    def advance(self, steps: int = 1) -> None:
        self.done += steps


def trained(model: Line, place: Path, iterations: int = 40, **options: Any) -> Progress:
    settings = options.pop("settings", LoopSettings(seed=5, evaluate_every=10))
    task = options.pop("task", Steps())
    return train(model, Budget(iterations), settings, place / "c.safetensors", task, **options)


@pytest.fixture
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """A checkpoint after each step instead of each minute."""
    monkeypatch.setattr(loop, "CHECKPOINT_S", -1.0)


@pytest.mark.parametrize("moment", [0, 1, 9, 10, 11, 39])
def test_killed_and_resumed_it_ends_as_an_unbroken_run(
    tmp_path: Path, often: None, moment: int
) -> None:
    unbroken = Line()
    (tmp_path / "a").mkdir()
    whole = trained(unbroken, tmp_path / "a")
    with pytest.raises(Killed):
        trained(Line(killed_at=moment), tmp_path)
    again, task = Line(), Steps()
    rest = trained(again, tmp_path, task=task)
    assert again.steps == 40 - moment and task.done == 40
    np.testing.assert_array_equal(again.state, unbroken.state)
    assert again.rates == unbroken.rates[moment:]
    assert (rest.iteration, rest.scores, rest.loss) == (40, whole.scores, whole.loss)


def test_killed_after_every_single_step(tmp_path: Path, often: None) -> None:
    unbroken = Line()
    (tmp_path / "a").mkdir()
    trained(unbroken, tmp_path / "a", 12)
    for moment in range(1, 12):
        with pytest.raises(Killed):
            trained(Line(killed_at=moment), tmp_path, 12)
    last = Line()
    trained(last, tmp_path, 12)
    assert last.steps == 1
    np.testing.assert_array_equal(last.state, unbroken.state)


def test_killed_between_the_last_step_and_the_end(
    tmp_path: Path, often: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The steps are all done, but nothing says so yet: their result is looked at again."""
    save = loop._save

    def killed(model: Any, progress: loop.Progress, *arguments: Any) -> None:
        if progress.ended:
            raise Killed
        save(model, progress, *arguments)

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(loop, "_save", killed)
        trained(Line(), tmp_path)
    again, told = Line(), []
    progress = trained(again, tmp_path, report=told.append)
    assert again.steps == 0 and again.evaluated == [40] and told
    assert [at for at, _ in progress.scores] == [0, 10, 20, 30, 40]


def test_a_finished_training_starts_anew_or_goes_on(tmp_path: Path) -> None:
    first = Line()
    trained(first, tmp_path, 20)
    again = Line()
    trained(again, tmp_path, 20)
    assert again.steps == 0 and again.evaluated == [20]
    anew = Line()
    trained(anew, tmp_path, 10)
    assert anew.steps == 10
    once_more = Line()
    trained(once_more, tmp_path, 20)
    np.testing.assert_array_equal(once_more.state, first.state)
    further = Line()
    progress = trained(further, tmp_path, 30, beyond=True)
    assert further.steps == 10 and progress.iteration == 30
    # Further, it is not what 30 steps in one go give: the rates had already fallen.
    same = Line()
    progress = trained(same, tmp_path, 30, beyond=True)
    assert same.steps == 0 and same.evaluated == [30] and progress.iteration == 30
    np.testing.assert_array_equal(same.state, further.state)


def test_rates_fall_along_half_a_cosine(tmp_path: Path) -> None:
    model = Line()
    trained(model, tmp_path, 40)
    rates = np.array(model.rates)
    assert rates[0].tolist() == pytest.approx([0.1, 0.01])
    assert rates[20] == pytest.approx([0.1 * 0.515, 0.01 * 0.515])
    assert (np.diff(rates, axis=0) < 0).all() and rates[-1, 0] == pytest.approx(0.003, rel=0.06)


@pytest.mark.parametrize("count", [1, 2, 7, 40])
def test_each_sample_comes_once_per_round(count: int) -> None:
    order = [sample_of(i, count, 3) for i in range(5 * count)]
    rounds = np.array(order).reshape(5, count)
    assert (np.sort(rounds, 1) == np.arange(count)).all()
    if count > 2:
        assert not (rounds == rounds[0]).all()
    assert order != [sample_of(i, count, 4) for i in range(5 * count)] or count < 3


def scored(tmp_path: Path, scores: list[float], patience: int, stop_after: float = 0.0) -> int:
    """At which step a training with these figures of merit, one per step, ends."""
    (tmp_path / "c.safetensors").unlink(missing_ok=True)
    model = Line()
    model.evaluate = lambda iteration: scores[min(iteration, len(scores) - 1)]  # type: ignore
    settings = LoopSettings(0, 1, patience, gain=0.5, stop_after=stop_after)
    return trained(model, tmp_path, 10, settings=settings).iteration


def test_it_stops_when_the_figure_of_merit_stops_rising(tmp_path: Path) -> None:
    rising = [float(k) for k in range(11)]
    flat = [0.0, 1.0, 2.0, 2.4, 2.3, 2.2, 2.4, 2.4, 2.4, 2.4, 2.4]
    assert scored(tmp_path, rising, 2) == 10
    assert scored(tmp_path, flat, 2) == 4
    assert scored(tmp_path, flat, 3) == 5
    assert scored(tmp_path, flat, 2, stop_after=0.6) == 6
    assert scored(tmp_path, flat, 0) == 10


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_loss_that_is_no_number_ends_it_before_it_does_harm(tmp_path: Path, value: float) -> None:
    model = Line()
    model.step = lambda iteration, generator: model.weight.sum() * value  # type: ignore
    with pytest.raises(InputError, match="step 0"):
        trained(model, tmp_path)
    assert not (tmp_path / "c.safetensors").exists()


def test_a_budget_is_spent_at_the_first_limit() -> None:
    assert Budget(100).spent(50, 1e9) == 0.5
    assert Budget(100, 10.0).spent(50, 9.0) == 0.9
    assert Budget(100, 10.0).spent(100, 1.0) == Budget(100, 10.0).spent(1, 11.0) == 1.0


def test_time_that_has_passed_counts_after_a_break(tmp_path: Path, often: None) -> None:
    with pytest.raises(Killed):
        trained(Line(killed_at=5), tmp_path)
    path = tmp_path / "c.safetensors"
    tensors, header = loop._FILE.read(path)
    loop._FILE.write(path, tensors, {**header, "seconds": 100.0})
    model = Line()
    progress = train(model, Budget(40, 60.0), LoopSettings(5), path, Steps())
    assert model.steps == 0 and progress.seconds == 100.0


def test_checkpoints_of_others_are_told_of(tmp_path: Path, often: None) -> None:
    with pytest.raises(Killed):
        trained(Line(width=4, killed_at=3), tmp_path)
    with pytest.raises(InputError, match=r"is of another fit .*delete it") as told:
        trained(Line(), tmp_path)
    assert "shape (4,)" in str(told.value)


@pytest.mark.parametrize("spoil", ["cut", "empty", "noise", "nan", "headless", "missing"])
def test_damaged_checkpoints_are_told_of(tmp_path: Path, often: None, spoil: str) -> None:
    path = tmp_path / "c.safetensors"
    with pytest.raises(Killed):
        trained(Line(killed_at=3), tmp_path)
    content, tensors = path.read_bytes(), load_file(path)
    if spoil == "nan":
        tensors["value.layer.bias"][:] = np.nan
    if spoil == "missing":
        del tensors["value.layer.bias"]
    damaged = {"cut": content[: len(content) // 2], "empty": b"", "noise": content[::-1]}
    if spoil in damaged:
        path.write_bytes(damaged[spoil])
    elif spoil == "headless":
        save_file(tensors, path)
    else:
        _, header = loop._FILE.read(path)
        import json

        save_file(tensors, path, {"talkcli": json.dumps(header)})
    with pytest.raises(InputError, match="delete it and start again") as told:
        trained(Line(), tmp_path)
    assert str(path) in str(told.value)
