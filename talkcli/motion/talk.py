"""From blocks of sound to motion frames, in memory that does not grow with the film's length."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from talkcli.errors import UsageError
from talkcli.motion.idle import IdleMotion
from talkcli.speech.model import WEIGHTS
from talkcli.speech.track import SpeechTrack
from talkcli.types import MotionFrame


@dataclass(frozen=True)
class TalkSettings:
    """How lively the head is.

    Attributes:
        head_motion: factor on idle head motion, 0 (none) to 1.
        still: no head, gaze or brow motion; blinks and lips stay.
        blink_rate: blinks per minute.
        lip_strength: factor on the expression that speech causes.
        speech_model: one of ``talkcli.speech.model.WEIGHTS``.
    """

    head_motion: float = 1.0
    still: bool = False
    blink_rate: float = 17.0
    lip_strength: float = 1.0
    speech_model: str = WEIGHTS[0]

    def __post_init__(self) -> None:
        for name in ("head_motion", "blink_rate", "lip_strength"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= 0):
                raise UsageError(f"{name} is {value}", "give a number from 0 upwards")


def motion_frames(
    audio_blocks: Iterable[np.ndarray],
    n_frames: int,
    fps: Fraction,
    settings: TalkSettings,
    seed: int,
) -> Iterator[MotionFrame]:
    """Motion of a speaking head, frame ``i`` at ``(i + 0.5) / fps`` seconds.

    Args:
        audio_blocks: ``[n]`` float32 each, 16 kHz mono, blocks of any size; what lies beyond their
            end is silence.
        n_frames: how many frames to make.
        fps: frames per second.
        settings: how lively the head is.
        seed: same seed, same idle motion, at any frame rate.

    Yields:
        Exactly ``n_frames`` frames.

    Raises:
        InputError: samples that are not mono or not finite, or damaged model files.
    """
    speech = SpeechTrack(audio_blocks, settings.speech_model)
    idle = IdleMotion(seed, settings.head_motion, settings.blink_rate, settings.still)
    for index in range(n_frames):
        time_s = float((index + Fraction(1, 2)) / fps)
        row = speech.at(time_s)
        pose = idle.at(time_s, row.activity, row.emphasis)
        lips = np.minimum(settings.lip_strength * row.weights, 1.0)
        yield MotionFrame(
            expression=(lips + pose.expression).astype(np.float32),
            rotation=pose.rotation.astype(np.float32),
            translation=pose.translation.astype(np.float32),
            gaze=pose.gaze.astype(np.float32),
        )
