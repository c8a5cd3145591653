"""Small prepared clips, made up."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np

from talkcli.face.model import FaceModel
from talkcli.layers.clip import Box, PreparedClip
from talkcli.layers.pictures import encode_picture
from talkcli.tracking.cover import empty_view
from talkcli.tracking.survey import Survey
from talkcli.types import MotionCurves

FRAMES, SIDE = 12, 64


def made_curves(frames: int = FRAMES, fps: float = 25.0) -> MotionCurves:
    """Somebody who turns slowly and opens the jaw."""
    times = (np.arange(frames) + 0.5) / fps
    expression = np.zeros((frames, 52), np.float32)
    rotation = np.zeros((frames, 3), np.float32)
    rotation[:, 0] = np.linspace(-5, 5, frames)
    zeros = np.zeros((frames, 3), np.float32)
    return MotionCurves(
        times, expression, rotation, zeros, zeros[:, :2], np.ones(frames, bool), frames / fps
    )


def made_clip(**changes: object) -> PreparedClip:
    """A clip of grey pictures; crops are not stored yet."""
    vertices = FaceModel.load().vertices * (2.0, -2.0, -2.0) + (50.0, 40.0, 0.0)
    clip = PreparedClip(
        fps=Fraction(25),
        width=96,
        height=80,
        segment=(1.0, 1.0 + FRAMES / 25),
        turned=0,
        curves=made_curves(),
        points=np.repeat(vertices[None], FRAMES, 0).astype(np.float32),
        usable=np.arange(FRAMES) % 3 > 0,
        best=4,
        box=Box(-3.0, 5.0, float(SIDE)),
        stored=np.flatnonzero(np.arange(FRAMES) % 3 > 0),
        plate=np.full((80, 96, 3), 90, np.uint8),
        offset_s=-0.04,
        sync_confidence=0.97,
        sound=True,
        speech=np.linspace(-1, 1, 48 * 80, dtype=np.float32).reshape(48, 80),
        verdict={"usable_min": 0.005, "missing": ["length"]},
        _best=np.full((80, 96, 3), 120, np.uint8),
    )
    return replace(clip, **changes)  # type: ignore[arg-type]


def made_pictures(count: int, side: int = SIDE) -> tuple[list[bytes], list[bytes]]:
    """Encoded crops, each of its own grey, and mattes whose left half grows."""
    crops, mattes = [], []
    for number in range(count):
        crops.append(encode_picture(np.full((side, side, 3), 10 * number, np.uint8)))
        matte = np.zeros((side, side), np.uint8)
        matte[:, : 4 + number] = 255
        mattes.append(encode_picture(matte))
    return crops, mattes


def save(clip: PreparedClip, directory: Path) -> None:
    """Save a made clip with made pictures."""
    clip.save(directory, *made_pictures(len(clip.stored), clip.crop_pixels))


def made_survey(frames: int, **changes: object) -> Survey:
    """Figures of frames that all show a face well."""
    full = np.ones(frames, bool)
    survey = Survey(
        times=(np.arange(frames) + 0.5) / 25,
        cut=np.zeros(frames, bool),
        found=full,
        inside=full,
        sharp=np.full(frames, 20.0),
        clear=full,
        angles=np.zeros((frames, 3)),
        mouth=np.tile([0.5, 5.0], (frames, 1)),
        height=np.full(frames, 200.0),
        views=np.repeat(empty_view()[None] + np.uint8(120), frames, 0),
    )
    return replace(survey, **changes)  # type: ignore[arg-type]
