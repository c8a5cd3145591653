"""The motion of the head in a video, from speech, another face, or both."""

from __future__ import annotations

import collections
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from talkcli.avatar import AvatarInfo
from talkcli.config import MotionConfig
from talkcli.errors import InputError
from talkcli.motion.curves import is_curves
from talkcli.pipeline.stages.inputs import DriveInputs
from talkcli.pipeline.stages.track import ensure_track
from talkcli.project.run import Run
from talkcli.project.store import Project
from talkcli.speech.sound import RATE_HZ, LookAhead, PeakMeter, shift
from talkcli.types import MotionFrame

if TYPE_CHECKING:
    from talkcli.avatar import AvatarInfo, SpokenLips
    from talkcli.media.audio import Sound
    from talkcli.motion.retarget import RetargetSettings
    from talkcli.types import MotionCurves


_HASHED_BYTES = 1 << 20


@dataclass(frozen=True)
class Heard:
    """The sound and the length of a video.

    Attributes:
        sound: sound that goes into the video, or None.
        duration_s: length of the video in seconds; None until the sound has been read, if its
            container does not state it; an estimate in a plan if a clip must be tracked to know it.
        start_s: when the sound begins, in seconds of the video.
    """

    sound: Sound | None
    duration_s: float | None
    start_s: float = 0.0


def curve_frames(
    curves: MotionCurves, motion: MotionConfig, fps: Fraction, info: AvatarInfo
) -> Iterator[MotionFrame]:
    """The motion of one face, frame ``i`` at ``(i + 0.5) / fps`` seconds, to its end."""
    from talkcli.media.write import frame_count
    from talkcli.motion.retarget import DrivenMotion

    driven = DrivenMotion(curves, _scales(motion, info))
    return driven.frames(frame_count(curves.duration_s, fps), fps)


def _scales(motion: MotionConfig, info: AvatarInfo | None) -> RetargetSettings:
    from talkcli.motion.retarget import RetargetSettings

    turned = (0.0, 0.0, 0.0) if info is None else info.turned
    return RetargetSettings(motion.expr_scale, motion.pose_scale, motion.driver_mode, turned)


def portrait_hash(project: Project) -> str:
    """Hash of the picture that a project was made from; empty if it was made from none."""
    source = project.inputs.get("portrait")
    return "" if source is None else source.sha256


def own_seed(portrait: str, sound: Path) -> int:
    """A seed that is the same for the same picture and sound, and differs between any two pairs.

    Args:
        portrait: see :func:`portrait_hash`.
        sound: file of the speech; its size and first megabyte are hashed, which takes an hour's
            recording no longer than a word's.
    """
    digest = hashlib.sha256(f"{portrait} {sound.stat().st_size} ".encode())
    with sound.open("rb") as stream:
        digest.update(stream.read(_HASHED_BYTES))
    return int.from_bytes(digest.digest()[:4], "little")


class MotionMix:
    """The motion of a video, from tracked faces and speech.

    Args:
        inputs: the files that move the head.
        run: its project holds or receives the tracking stages, its ``motion`` and ``tracking``
            settings apply, and ``track`` is timed.

    Attributes:
        stages: tracking stages that were run or reused.
        heard: the sound and the length of the video.
    """

    def __init__(self, inputs: DriveInputs, run: Run) -> None:
        self._inputs, self._recipe = inputs, run.recipe
        self._peak_meter = PeakMeter()
        self._voice: SpokenLips | None = None
        self._curves: dict[Path, MotionCurves] = {}
        self._states = False
        stages = []
        for path in inputs.faces:
            if is_curves(path):
                self._curves[path] = inputs.curves(path)
                continue
            tracked = ensure_track(run, inputs.clip(path))
            stages.append(tracked.stage)
            if tracked.curves is not None:
                self._curves[path] = tracked.curves
        self.stages = tuple(stages)
        self.heard = self._choose_sound()

    @property
    def silent(self) -> bool:
        """Whether speech was given but proved silent; known after the last frame."""
        return self._inputs.speech is not None and self._peak_meter.silent

    @property
    def duration_s(self) -> float | None:
        """Seconds; None until the end of the sound is known, at the latest after the last frame."""
        if self.heard.duration_s is not None or self.heard.sound is None:
            return self.heard.duration_s
        return self.heard.sound.duration_s

    def measure(self) -> float:
        """Seconds, by decoding the whole sound (seconds per hour of it) if nothing else tells."""
        from talkcli.media.audio import sound_duration

        known = self.duration_s
        return sound_duration(self._inputs.leading) if known is None else known

    def frames(
        self, fps: Fraction, portrait: str = "", info: AvatarInfo | None = None
    ) -> Iterator[MotionFrame]:
        """The motion, frame ``i`` at ``(i + 0.5) / fps`` seconds, to the end of the video.

        Must be called before any other reader of the sound starts, so that one decoder feeds both.

        Args:
            fps: frames per second.
            portrait: see :func:`portrait_hash`; without a seed, idle motion follows from it and
                the sound.
            info: of the avatar: the motion of its own person is played back and forth beneath
                speech that nothing else accompanies, and the lips follow it as that person's do.
        """
        from talkcli.motion.retarget import DrivenMotion, RetargetSettings, lips_from, pose_from

        inputs, motion = self._inputs, self._recipe.motion
        own = None if info is None else info.motion
        if info is not None:
            self._voice = info.voices.get(motion.speech_model)
            self._states = "speech" in info.needs
        if inputs.speech is None:
            driven = self._driven(info, motion.sync_offset_ms / 1000).frames(None, fps)
            return self._until_the_end(driven, fps, None)
        seed = self._recipe.seed or own_seed(portrait, inputs.speech)
        blocks = LookAhead(inputs.sound.blocks(RATE_HZ))
        if inputs.driver is not None:
            calm = replace(motion, head_motion=0, still=True, blink_rate=0)
            mixed = lips_from(
                self._spoken(blocks, calm, fps, seed), self._driven(info).frames(None, fps)
            )
        elif inputs.pose is not None:
            calm = replace(motion, head_motion=0)
            mixed = pose_from(
                self._spoken(blocks, calm, fps, seed), self._driven(info).frames(None, fps)
            )
        elif own is not None and not motion.still:
            calm = replace(motion, head_motion=0, still=True, blink_rate=0, expressiveness=0)
            scales = RetargetSettings(pose_scale=motion.head_motion)
            played = DrivenMotion(own, scales).frames(None, fps)
            mixed = lips_from(self._spoken(blocks, calm, fps, seed), played)
        else:
            mixed = self._spoken(blocks, motion, fps, seed)
        return self._until_the_end(mixed, fps, blocks)

    def _until_the_end(
        self, frames: Iterator[MotionFrame], fps: Fraction, blocks: LookAhead | None
    ) -> Iterator[MotionFrame]:
        from talkcli.media.write import frame_count

        for index in count():
            if blocks is not None and self.duration_s is None:
                # A frame belongs to the video if the sound reaches its midpoint.
                blocks.reach(float((index + Fraction(1, 2)) / fps))
            if self.duration_s is not None and index >= frame_count(self.duration_s, fps):
                break
            yield next(frames)
        if blocks is not None:
            # The sound beyond the last frame has not been metered yet, but may be all there is.
            collections.deque(self._peak_meter.tap(blocks), maxlen=0)

    def _driven(self, info: AvatarInfo | None, delay_s: float = 0.0) -> Any:
        from talkcli.motion.retarget import DrivenMotion

        inputs, motion = self._inputs, self._recipe.motion
        return DrivenMotion(
            self._curves[inputs.driver or inputs.faces[0]],
            _scales(motion, info),
            None if inputs.pose is None else self._curves[inputs.pose],
            start_s=-delay_s,
        )

    def _spoken(
        self, blocks: LookAhead, motion: MotionConfig, fps: Fraction, seed: int
    ) -> Iterator[MotionFrame]:
        from talkcli.motion import TalkSettings, motion_frames

        settings = TalkSettings(
            head_motion=motion.head_motion,
            still=motion.still,
            blink_rate=motion.blink_rate,
            lip_strength=motion.lip_strength,
            mood=motion.mood,
            expressiveness=motion.expressiveness,
            speech_model=motion.speech_model,
            voice=self._voice,
            states=self._states,
        )
        heard = shift(self._peak_meter.tap(blocks), motion.sync_offset_ms)
        return motion_frames(heard, None, fps, settings, seed)

    def _choose_sound(self) -> Heard:
        inputs = self._inputs
        if inputs.speech is not None:
            return Heard(inputs.sound, inputs.sound.exact_duration_s)
        leading = inputs.leading
        tracked = leading in self._curves
        duration_s = (
            self._curves[leading].duration_s if tracked else inputs.clip(leading).duration_s
        )
        if is_curves(leading) or not inputs.clip(leading).info.has_audio:
            return Heard(None, duration_s)
        try:
            return Heard(inputs.sound, duration_s, inputs.sound.start_s)
        except InputError:
            # A sound track that cannot be decoded is treated as absent.
            return Heard(None, duration_s)


class Performance:
    """The motion of a head, available at any frame rate.

    Args:
        mix: the motion, from speech and tracked faces.
    """

    def __init__(self, mix: MotionMix) -> None:
        self._mix = mix

    @property
    def duration_s(self) -> float | None:
        """Seconds; None until the sound has been read to its end (MP3, Ogg)."""
        return self._mix.duration_s

    def measure(self) -> float:
        """Seconds, by decoding the whole sound (seconds per hour of it) if nothing else tells."""
        return self._mix.measure()

    def frames(
        self, fps: Fraction, portrait: str = "", info: AvatarInfo | None = None
    ) -> Iterator[MotionFrame]:
        """One motion per frame, frame ``i`` at ``(i + 0.5) / fps`` seconds.

        Args:
            fps: frames per second.
            portrait: see :func:`portrait_hash`.
            info: of the avatar that moves; None for any frontal one.
        """
        return self._mix.frames(fps, portrait, info)
