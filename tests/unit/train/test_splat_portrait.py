"""Training on two made-up people: the loss falls, a kill changes nothing, two processes are one."""

from __future__ import annotations

import copy
import csv
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from talkcli.config import Recipe, load_recipe
from talkcli.engines.splat_portrait.network import SplatPortraitNet
from talkcli.engines.splat_portrait.unet import NetworkSize
from talkcli.errors import InputError
from talkcli.optim.loop import Alone
from talkcli.progress import SilentReporter
from talkcli.train.avatar_views import load_views
from talkcli.train.head_training import HeadTraining
from talkcli.train.mean_maps import fit_mean_maps
from talkcli.train.splat_portrait import CHECKPOINT, CURVE, train_splat_portrait
from tests.support.heads import write_pack

ROOT = Path(__file__).parents[3]
SMALL = (
    "splat_portrait.widths=[8, 16]", "splat_portrait.attention=1", "train.warmup=3",
    "train.look_steps=2", "train.rate=0.004", "train.ema=0.9", "seed=3",
)  # fmt: skip


@pytest.fixture(scope="module")
def pack(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two people to train on, and two others."""
    return write_pack(tmp_path_factory.mktemp("pack"))


def recipe(*more: str) -> Recipe:
    return load_recipe("splat-portrait-nano", sets=[*SMALL, *more])


def curve(folder: Path) -> list[dict[str, str]]:
    with (folder / CURVE).open(newline="") as stream:
        return list(csv.DictReader(stream))


def test_the_loss_falls(pack: Path) -> None:
    config = recipe("train.look_steps=0").train
    people = load_views(pack, "train")
    torch.manual_seed(0)
    network = SplatPortraitNet(NetworkSize((8, 16), 1, 1, 4, 9))
    network.mean.copy_(fit_mean_maps(people))
    model = HeadTraining(network, copy.deepcopy(network), people, people, config, Alone())
    losses = []
    for step in range(60):
        # The same batch every time, so that the figures compare; every second one with a view.
        loss = model.step(step, np.random.default_rng(5))
        model.optimizer.zero_grad()
        loss.backward()
        model.optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-2] < 0.7 * losses[0] and losses[-1] < 0.7 * losses[1]


def test_without_people_held_out_some_are_left_out(tmp_path: Path) -> None:
    steps = recipe("train.steps=1", "train.batch=1")
    with pytest.raises(InputError, match="nobody to train on"):
        train_splat_portrait(
            write_pack(tmp_path / "none", train=0), tmp_path / "a", steps, SilentReporter()
        )
    pack = write_pack(tmp_path / "own", train=3, held=0)
    assert train_splat_portrait(pack, tmp_path / "b", steps, SilentReporter()).people == 2


class Killed(BaseException):
    """The process is gone."""


class Killing(SilentReporter):
    """Kills the training after some steps."""

    def __init__(self, after: int) -> None:
        super().__init__()
        self.left = after

    def advance(self, steps: int = 1) -> None:
        self.left -= steps
        if self.left < 0:
            raise Killed


def test_a_killed_training_ends_where_an_unbroken_one_does(
    pack: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = recipe("train.steps=8", "train.every=4", "train.batch=2")
    train_splat_portrait(pack, tmp_path / "whole", steps, SilentReporter())
    monkeypatch.setattr("talkcli.optim.loop.CHECKPOINT_S", 0.0)
    with pytest.raises(Killed):
        train_splat_portrait(pack, tmp_path / "broken", steps, Killing(5))
    train_splat_portrait(pack, tmp_path / "broken", steps, SilentReporter())
    whole, broken = (load_file(tmp_path / n / CHECKPOINT) for n in ("whole", "broken"))
    assert set(whole) == set(broken)
    for name, values in whole.items():
        np.testing.assert_array_equal(values, broken[name], err_msg=name)
    rows = [[row["step"] for row in curve(tmp_path / n)] for n in ("whole", "broken")]
    assert rows[0] == rows[1]


def test_a_checkpoint_of_another_network_is_told_of(pack: Path, tmp_path: Path) -> None:
    steps = recipe("train.steps=1", "train.batch=1")
    train_splat_portrait(pack, tmp_path, steps, SilentReporter())
    other = recipe("train.steps=1", "train.batch=1", "splat_portrait.widths=[8, 24]")
    with pytest.raises(InputError, match="another fit"):
        train_splat_portrait(pack, tmp_path, other, SilentReporter())


_WORKER = """
from talkcli import runtime; runtime.configure()
import sys
from pathlib import Path
import torch
torch.set_num_threads(1)
from talkcli.config import load_recipe
from talkcli.progress import SilentReporter
from talkcli.train.splat_portrait import train_splat_portrait
train_splat_portrait(Path(sys.argv[1]), Path(sys.argv[2]),
                     load_recipe("splat-portrait-nano", sets=sys.argv[3:]), SilentReporter())
"""


def test_two_processes_step_as_one(pack: Path, tmp_path: Path) -> None:
    steps = recipe("train.steps=3", "train.every=1", "train.batch=4")
    train_splat_portrait(pack, tmp_path / "one", steps, SilentReporter())
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    sets = [*SMALL, "train.steps=3", "train.every=1", "train.batch=4"]
    command = [sys.executable, "-c", _WORKER, str(pack), str(tmp_path / "two"), *sets]
    team = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    workers = [
        subprocess.Popen(command, cwd=ROOT, env={**os.environ, **team, "RANK": rank})
        for rank in ("0", "1")
    ]
    assert [worker.wait(timeout=300) for worker in workers] == [0, 0]
    one, two = (
        torch.tensor([float(row["loss"]) for row in curve(tmp_path / name)[1:]])
        for name in ("one", "two")
    )
    # Sums of the same gradients in another order; the curve has four digits.
    np.testing.assert_allclose(one, two, atol=2e-4)
    weights = [load_file(tmp_path / name / CHECKPOINT) for name in ("one", "two")]
    for name, values in weights[0].items():
        if name.startswith("value."):
            np.testing.assert_allclose(values, weights[1][name], atol=1e-4, err_msg=name)
