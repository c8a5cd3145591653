"""The Audio-Plane field as it is played, without torch, against what was trained."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from talkcli.config import FitConfig
from talkcli.engines.audio_plane.field import DrivenField
from talkcli.engines.audio_plane.offsets import CHANNEL_UNITS
from talkcli.engines.audio_plane.played import PlayedPlanes
from talkcli.types import MotionFrame

SPLATS, FRAMES = 300, 40
#: Single precision, through two layers of sums of up to 192 products.
_ATOL = 2e-5


def _motions() -> list[MotionFrame]:
    rng = np.random.default_rng(5)
    return [
        MotionFrame(
            expression=rng.uniform(0, 1, 52).astype(np.float32),
            rotation=rng.normal(0, 8, 3).astype(np.float32),
            translation=np.zeros(3, np.float32),
            gaze=rng.normal(0, 5, 2).astype(np.float32),
            speech=rng.normal(0, 1, (16, 24)).astype(np.float32),
        )
        for _ in range(FRAMES)
    ]


def _fields(config: FitConfig) -> tuple[DrivenField, PlayedPlanes, list[MotionFrame], np.ndarray]:
    torch.manual_seed(1)
    rng = np.random.default_rng(2)
    places, fade = rng.normal(0, 5, (SPLATS, 3)), rng.uniform(0, 1, SPLATS).astype(np.float32)
    motions = _motions()
    field = DrivenField(places, motions, np.arange(30), config, "cpu")
    with torch.no_grad():
        for parameter in field.module.deform[-1].parameters():
            parameter.normal_()
    played = field.played(np.arange(SPLATS) * 2, fade, np.full(7, 1e-9, np.float32))
    return field, played, motions, fade


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"planes": "speech"},
        {"join": "add"},
        {"join": "multiply"},
        {"attention": False},
        {"dynamic": False},
    ],
    ids=str,
)
def test_it_plays_what_was_trained(changed: dict) -> None:
    config = replace(FitConfig(planes="expression", shapes=0), **changed)
    field, played, motions, fade = _fields(config)
    kept = played.index // 2
    assert len(kept) > SPLATS // 2
    seen = []
    for number in (0, 7, 35):
        with torch.no_grad():
            wanted = field.changes(number)[0].numpy() * CHANNEL_UNITS * fade[:, None]
        found = played.offsets(motions[number])
        scale = max(1.0, float(np.abs(wanted).max()))
        np.testing.assert_allclose(found, wanted[kept], atol=_ATOL * scale, rtol=1e-4)
        seen.append(found)
    # Millimetres, while differences between the twins are far below a micrometre.
    assert np.abs(seen[0] - seen[1]).max() > 1e-2


def test_a_part_moves_its_splats_alike() -> None:
    _, played, motions, _ = _fields(FitConfig(planes="expression"))
    order = played.index[::3]
    part = played.part(order)
    np.testing.assert_array_equal(part.index, np.arange(len(order)))
    whole = played.offsets(motions[3])
    np.testing.assert_allclose(part.offsets(motions[3]), whole[::3], atol=1e-6)


def test_without_speech_it_rests_at_the_mean() -> None:
    _, played, motions, _ = _fields(FitConfig(planes="speech"))
    mean = played.driver.mean.reshape(16, 24)
    found = played.offsets(replace(motions[0], speech=None))
    np.testing.assert_allclose(found, played.offsets(replace(motions[0], speech=mean)), atol=1e-6)


def test_the_mask_holds_dynamic_splats_to_the_mouth() -> None:
    field, *_ = _fields(FitConfig(planes="expression", margin=0.2, mask_weight=2.0))
    mouth = torch.tensor([[1.0, 1.0, 0.0, 0.0]])
    shown = torch.tensor([[0.9, 0.5, 0.15, 0.6]])
    # .3 and .4 beyond the margin, of four pixels.
    assert field.mask_loss(shown, mouth).item() == pytest.approx(2 * 0.7 / 4)
