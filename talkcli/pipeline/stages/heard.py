"""What the speech network hears in a clip, to be compared with what its lips do."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from talkcli.face.measures import lip_aperture
from talkcli.metrics.observed import HEARD_HZ, Heard
from talkcli.pipeline.stages.inputs import Clip
from talkcli.shapes import Float32

if TYPE_CHECKING:
    from talkcli.tracking.person import Person

#: Speech rows are zero in pauses between words, too; a pause shorter than this is still speech.
_PAUSE_S = 0.3


def listen(clip: Clip, person: Person, speech_model: str) -> Heard | None:
    """What the speech network hears in a video, as an opening of this person's lips.

    Args:
        clip: the video.
        person: whose shapes turn weights into centimetres.
        speech_model: one of ``talkcli.speech.model.WEIGHTS``.

    Returns:
        None for a silent file.
    """
    from talkcli.media.audio import open_sound
    from talkcli.speech.features import SAMPLE_RATE
    from talkcli.speech.track import SpeechTrack

    if not clip.info.has_audio:
        return None
    opening = lip_aperture(person.basis)
    aperture, sounding = array("d"), bytearray()
    with open_sound(clip.path) as sound:
        blocks = _Counted(sound.blocks(SAMPLE_RATE))
        track = SpeechTrack(blocks, speech_model)
        while not blocks.ended or len(aperture) < blocks.samples * HEARD_HZ / SAMPLE_RATE:
            weights = track.at(len(aperture) / HEARD_HZ).weights
            aperture.append(float(weights @ opening))
            sounding.append(bool(weights.any()))
        late = round(sound.start_s * HEARD_HZ)
    silent = ~_bridged(np.array(sounding, np.uint8) > 0, _PAUSE_S * HEARD_HZ)
    # The sound may begin before the picture or after it.
    before = max(0, late)
    return Heard(
        np.concatenate([np.zeros(before), aperture])[max(0, -late) :],
        np.concatenate([np.ones(before, bool), silent])[max(0, -late) :],
    )


class _Counted:
    """Blocks of sound, and how much of it has passed."""

    def __init__(self, blocks: Iterable[np.ndarray]) -> None:
        self._blocks = blocks
        self.samples = 0
        self.ended = False

    def __iter__(self) -> Iterator[np.ndarray]:
        for block in self._blocks:
            self.samples += len(block)
            yield block
        self.ended = True


def _bridged(flags: np.ndarray, longest: float) -> np.ndarray:
    """True values, and the gaps of at most ``longest`` values between them."""
    filled = flags.copy()
    places = np.flatnonzero(flags)
    for before, after in pairwise(places):
        if 1 < after - before <= longest:
            filled[before:after] = True
    return filled


def speech_between(clip: Clip, start_s: float, end_s: float) -> Float32[np.ndarray, "k 80"]:
    """Speech features of a stretch of a clip, 100 a second; silence where there is no sound.

    They are normalised over the whole sound, as when the clip is spoken by an avatar.

    Args:
        clip: a clip with sound.
        start_s: where the stretch begins, seconds from the first moment of the clip.
        end_s: where it ends.
    """
    from talkcli.media.audio import open_sound
    from talkcli.speech.features import (
        FRAME_RATE,
        SAMPLE_RATE,
        LevelNormaliser,
        LogMelStream,
    )

    mel, level = LogMelStream(), LevelNormaliser()
    with open_sound(clip.path) as sound:
        rows = [level.push(mel.push(block)) for block in sound.blocks(SAMPLE_RATE)]
        rows += [level.push(mel.finish()), level.finish()]
        start_s, end_s = start_s - sound.start_s, end_s - sound.start_s
    spoken = np.concatenate(rows)
    quiet = spoken.min(0)
    first, end = round(start_s * FRAME_RATE), round(end_s * FRAME_RATE)
    wanted = np.tile(quiet, (max(0, end - first), 1))
    low, high = max(first, 0), min(end, len(spoken))
    if low < high:
        wanted[low - first : high - first] = spoken[low:high]
    return wanted.astype(np.float32)
