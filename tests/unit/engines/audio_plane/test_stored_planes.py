"""Audio-Plane fields of fitted avatars on disk."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from talkcli.config import FitConfig, load_recipe
from talkcli.engines.audio_plane.avatar import SubjectAvatar
from talkcli.engines.audio_plane.checkpoint import load_subject, save_subject
from talkcli.engines.audio_plane.field import DrivenField
from talkcli.engines.audio_plane.network import OffsetBasis
from talkcli.engines.audio_plane.offsets import FEATURES, DrivenOffsets
from talkcli.engines.audio_plane.played import OffsetsAndPlanes
from talkcli.errors import InputError
from talkcli.types import MotionCurves, MotionFrame
from tests.support.avatars import tiny_avatar

FRAMES, SPLATS = 30, 20


def _motions() -> list[MotionFrame]:
    rng = np.random.default_rng(6)
    zeros = np.zeros(3, np.float32)
    return [
        MotionFrame(
            rng.uniform(0, 1, 52).astype(np.float32), zeros, zeros, zeros[:2],
            rng.normal(size=(16, 8)).astype(np.float32),
        )
        for _ in range(FRAMES)
    ]  # fmt: skip


def _subject(config: FitConfig) -> SubjectAvatar:
    """An avatar with random offsets and, if the settings say so, a random field."""
    torch.manual_seed(4)
    avatar, motions, index = tiny_avatar(), _motions(), np.arange(3, 3 + SPLATS)
    zeros = np.zeros((FRAMES, 52), np.float32)
    curves = MotionCurves(
        np.arange(FRAMES) / 25 + 0.02, zeros, zeros[:, :3], zeros[:, :3], zeros[:, :2],
        np.ones(FRAMES, bool), FRAMES / 25, relative=True,
    )  # fmt: skip
    basis = OffsetBasis(SPLATS, np.ones((2, FEATURES), np.float32), shapes=config.shapes)
    torch.nn.init.normal_(basis.shapes)
    offsets = DrivenOffsets(index.astype(np.int32), basis.played_shapes(), basis.mixer())
    avatar.correction = offsets
    if config.planes != "none":
        field = DrivenField(avatar.splats.positions[index], motions, np.arange(20), config, "cpu")
        torch.nn.init.normal_(field.module.deform[-1].weight)
        planes = field.played(index, np.ones(SPLATS), np.zeros(7))
        avatar.correction = OffsetsAndPlanes(offsets, planes)
    return SubjectAvatar(avatar, curves, 2, 25)


CONFIGS = {
    "no planes": FitConfig(),
    "both": FitConfig(planes="expression"),
    "speech alone": FitConfig(planes="speech", shapes=0),
    "other forms": FitConfig(planes="speech", join="add", attention=False, dynamic=False),
}


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_what_is_loaded_moves_as_what_was_saved(config: FitConfig, tmp_path: Path) -> None:
    subject = _subject(config)
    save_subject(subject, tmp_path)
    loaded = load_subject(tmp_path)
    assert ("speech" in loaded.info.needs) == (config.planes == "speech")
    assert (loaded.planes is None) == (config.planes == "none")
    shown = []
    for motion in _motions()[:2]:
        means = subject.pose(motion).means.copy()
        # Shapes, planes and the head's own arrays are stored in half precision: 1/2048 of some cm.
        np.testing.assert_allclose(loaded.pose(motion).means, means, atol=0.02)
        shown.append(means)
    assert np.abs(shown[0] - shown[1]).max() > 0.1


def test_what_is_heard_moves_the_planes(tmp_path: Path) -> None:
    save_subject(_subject(CONFIGS["speech alone"]), tmp_path)
    avatar, (first, second, *_) = load_subject(tmp_path), _motions()
    silent = avatar.pose(replace(first, speech=None)).means.copy()
    spoken = avatar.pose(first).means.copy()
    other = avatar.pose(replace(first, speech=second.speech)).means.copy()
    assert min(np.abs(spoken - silent).max(), np.abs(spoken - other).max()) > 0.05


@pytest.mark.parametrize(
    "spoil",
    [
        lambda t: t.pop("planes.deform_in"),
        lambda t: t.pop("planes.dynamic_out"),
        lambda t: t.update({"planes.index": t["planes.index"] + 1000}),
        lambda t: t.update({"planes.index": t["planes.index"][::-1].copy()}),
        lambda t: t.update({"planes.places": t["planes.places"] + 2}),
        lambda t: t.update({"planes.mean": t["planes.mean"][:-1].copy()}),
    ],
    ids=["no network", "half a dynamism", "unknown splats", "unordered", "outside", "mean"],
)
def test_damage_is_told_of(spoil, tmp_path: Path) -> None:
    save_subject(_subject(CONFIGS["both"]), tmp_path)
    path = tmp_path / "subject.safetensors"
    with safe_open(path, "np") as file:
        metadata = file.metadata()
    tensors = load_file(path)
    spoil(tensors)
    save_file(tensors, path, metadata)
    with pytest.raises(InputError):
        load_subject(tmp_path)


@pytest.mark.parametrize("name", ["audio-plane-fast", "audio-plane", "audio-plane-paper"])
def test_recipes_load(name: str) -> None:
    fit = load_recipe(name).fit
    paper = name.endswith("paper")
    assert (fit.planes == "speech") == paper and (fit.shapes == 0) == paper
