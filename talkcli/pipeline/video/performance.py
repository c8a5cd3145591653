"""What moves the head in a film: speech, another face, or both."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from talkcli.config import MotionConfig, Recipe
from talkcli.errors import InputError
from talkcli.motion.curves import is_curves, load_curves
from talkcli.pipeline.stages.track import ensure_track
from talkcli.progress import Reporter, Stopwatch
from talkcli.project import Project
from talkcli.speech.sound import RATE_HZ, PeakMeter, shift
from talkcli.types import MotionFrame

if TYPE_CHECKING:
    from talkcli.types import MotionCurves


@dataclass(frozen=True)
class Movers:
    """The files that say how the head moves.

    Attributes:
        speech: any file with sound, or None.
        driver: film or curves of a face, or None.
        pose: film or curves whose head pose replaces the driver's or the idle one, or None.
    """

    speech: Path | None
    driver: Path | None = None
    pose: Path | None = None

    @property
    def faces(self) -> tuple[Path, ...]:
        """Driver and pose, as far as given and each file once."""
        return tuple(dict.fromkeys(p for p in (self.driver, self.pose) if p is not None))

    @property
    def title(self) -> str:
        """Name of the file that gives the film its length and its default name."""
        return (self.speech or self.driver or self.faces[0]).stem


@dataclass(frozen=True)
class Sound:
    """What is heard and how long the film is.

    Attributes:
        file: whose sound goes into the film, or None.
        duration_s: of the film.
        start_s: when in the driver's time the sound begins, where it is the driver's own.
    """

    file: Path | None
    duration_s: float
    start_s: float = 0.0


class Performance:
    """The motion of a film, from tracked faces and speech.

    Args:
        movers: inputs.
        project: holds or receives the tracking stages.
        recipe: ``motion`` and ``tracking`` are read.
        reporter: told about progress and doubts.
        watch: gets the seconds of ``track``.

    Attributes:
        stages: tracking stages that were run or reused.
        sound: what is heard, and the film's length.
    """

    def __init__(
        self, movers: Movers, project: Project, recipe: Recipe, reporter: Reporter, watch: Stopwatch
    ) -> None:
        self._movers, self._recipe = movers, recipe
        self._peak_meter = PeakMeter()
        self._curves: dict[Path, MotionCurves] = {}
        stages = []
        for path in movers.faces:
            if is_curves(path):
                self._curves[path] = load_curves(path)
                continue
            tracked = ensure_track(project, path, recipe, reporter, watch)
            self._curves[path] = tracked.curves
            stages.append(tracked.stage)
        self.stages = tuple(stages)
        self.sound = self._choose_sound()

    @property
    def silent(self) -> bool:
        """Whether speech was given and nothing was heard in it; known after the last frame."""
        return self._movers.speech is not None and self._peak_meter.silent

    def frames(self, count: int, fps: Fraction) -> Iterator[MotionFrame]:
        """The motion, frame ``i`` at ``(i + 0.5) / fps`` seconds."""
        from talkcli.motion.retarget import lips_from, pose_from

        movers, motion = self._movers, self._recipe.motion
        if movers.speech is None:
            return self._driven(motion.sync_offset_ms / 1000).frames(count, fps)
        if movers.driver is not None:
            lips = self._spoken(
                replace(motion, head_motion=0, still=True, blink_rate=0), count, fps
            )
            return lips_from(lips, self._driven().frames(count, fps))
        if movers.pose is not None:
            calm = self._spoken(replace(motion, head_motion=0), count, fps)
            return pose_from(calm, self._driven().frames(count, fps))
        return self._spoken(motion, count, fps)

    def _driven(self, delay_s: float = 0.0) -> Any:
        from talkcli.motion.retarget import DrivenMotion, RetargetSettings

        movers, motion = self._movers, self._recipe.motion
        return DrivenMotion(
            self._curves[movers.driver or movers.faces[0]],
            RetargetSettings(motion.expr_scale, motion.pose_scale),
            None if movers.pose is None else self._curves[movers.pose],
            start_s=self.sound.start_s - delay_s,
        )

    def _spoken(self, motion: MotionConfig, count: int, fps: Fraction) -> Iterator[MotionFrame]:
        from talkcli.media.audio import stream_pcm
        from talkcli.motion import TalkSettings, motion_frames

        assert self._movers.speech is not None
        sound = self._peak_meter.tap(stream_pcm(self._movers.speech, RATE_HZ))
        settings = TalkSettings(
            head_motion=motion.head_motion,
            still=motion.still,
            blink_rate=motion.blink_rate,
            lip_strength=motion.lip_strength,
            speech_model=motion.speech_model,
        )
        return motion_frames(
            shift(sound, motion.sync_offset_ms), count, fps, settings, self._recipe.seed
        )

    def _choose_sound(self) -> Sound:
        from talkcli.media.audio import probe_audio
        from talkcli.media.read import probe

        movers = self._movers
        if movers.speech is not None:
            return Sound(movers.speech, probe_audio(movers.speech).duration_s)
        leading = movers.driver or movers.faces[0]
        duration_s = self._curves[leading].duration_s
        if is_curves(leading) or not probe(leading).has_audio:
            return Sound(None, duration_s)
        try:
            # A film's sound may begin after its picture; the encoder puts its start at 0.
            return Sound(leading, duration_s, probe_audio(leading).start_s)
        except InputError:
            # A sound track that nothing can be decoded from is as good as none.
            return Sound(None, duration_s)
