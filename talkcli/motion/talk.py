"""From blocks of sound to motion frames, in memory independent of the length."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import count

import numpy as np

from talkcli.avatar import SpokenLips
from talkcli.errors import UsageError
from talkcli.motion.expression import MOODS, Voice
from talkcli.motion.idle import IdleMotion, IdleSettings
from talkcli.shapes import Float32
from talkcli.speech.model import WEIGHTS
from talkcli.speech.track import SpeechTrack
from talkcli.types import MotionFrame


@dataclass(frozen=True)
class TalkSettings:
    """How a speaking head moves.

    Attributes:
        head_motion: factor on idle head motion, from 0 (none) to 1.
        still: no motion of head, gaze and brows; blinks and lips remain.
        blink_rate: mean blinks per minute.
        lip_strength: factor on the expression predicted from speech.
        mood: one of :data:`talkcli.motion.expression.MOODS`.
        expressiveness: factor on brows, lids, smiles and uneven sides; 1 is natural.
        speech_model: one of ``talkcli.speech.model.WEIGHTS``.
        voice: how the person's own lips follow speech, see :mod:`talkcli.motion.voice`; None for
            those of anybody.
        states: give each frame the speech network's states around it, for avatars that need them.
    """

    head_motion: float = 1.0
    still: bool = False
    blink_rate: float = 17.0
    lip_strength: float = 1.0
    mood: str = "neutral"
    expressiveness: float = 1.0
    speech_model: str = WEIGHTS[0]
    voice: SpokenLips | None = None
    states: bool = False

    def __post_init__(self) -> None:
        for name in ("head_motion", "blink_rate", "lip_strength", "expressiveness"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= 0):
                raise UsageError(f"{name} is {value}", "give a number of at least 0")
        if self.mood not in MOODS:
            raise UsageError(f"there is no mood {self.mood}", f"give one of {', '.join(MOODS)}")


def motion_frames(
    audio_blocks: Iterable[Float32[np.ndarray, " _"]],
    n_frames: int | None,
    fps: Fraction,
    settings: TalkSettings,
    seed: int,
) -> Iterator[MotionFrame]:
    """Motion of a speaking head, frame ``i`` at ``(i + 0.5) / fps`` seconds.

    Args:
        audio_blocks: mono sound at 16 kHz, in blocks of any size; silence follows.
        n_frames: number of frames; None for as many as are asked for.
        fps: frames per second.
        settings: how the head moves.
        seed: the same seed gives the same idle motion, at any frame rate.

    Yields:
        Exactly ``n_frames`` frames, or frames without end.

    Raises:
        InputError: the samples are not mono or not finite, or the speech model is damaged.
    """
    speech = SpeechTrack(audio_blocks, settings.speech_model, states=settings.states)
    idle = IdleMotion(
        seed,
        IdleSettings(
            head_motion=settings.head_motion,
            blink_rate=settings.blink_rate,
            still=settings.still,
            mood=settings.mood,
            expressiveness=settings.expressiveness,
        ),
    )
    for index in count() if n_frames is None else range(n_frames):
        time_s = float((index + Fraction(1, 2)) / fps)
        row = speech.at(time_s)
        pose = idle.at(time_s, Voice(row.activity, row.emphasis, row.liveliness))
        own = row.weights if settings.voice is None else settings.voice(row.weights)
        lips = idle.uneven(settings.lip_strength * own, time_s)
        yield MotionFrame(
            expression=np.minimum(lips + pose.expression, 1.0).astype(np.float32),
            rotation=pose.rotation.astype(np.float32),
            translation=pose.translation.astype(np.float32),
            gaze=pose.gaze.astype(np.float32),
            speech=speech.window(time_s) if settings.states else None,
        )
