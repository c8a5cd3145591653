"""Self-reenactment: one frame of a clip becomes a portrait, which the clip itself then drives."""

from __future__ import annotations

import tempfile
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from talkcli.config import Recipe
from talkcli.errors import InputError, UsageError
from talkcli.metrics.sync import SyncScore
from talkcli.pipeline.animate import animate
from talkcli.pipeline.evaluate.compare import (
    Comparison,
    Context,
    compare,
    compare_measured,
    synchrony,
)
from talkcli.pipeline.evaluate.still import AlignedStill
from talkcli.pipeline.request import Request
from talkcli.pipeline.stages.heard import listen
from talkcli.pipeline.stages.inputs import Clip, DriveInputs
from talkcli.pipeline.stages.landmarks import MeasuredClip, measure_clips
from talkcli.types import MotionCurves

#: What may drive the portrait.
BY = ("video", "speech")
#: Lips and sound that differ by less look and sound as one: some frames, as broadcasters allow.
_IN_STEP_MS = 60.0
#: An offset this certain is told; two seconds of clear speech reach it.
_SURE = 0.7
_OURS, _STATIC, _STILL = "talkcli", "static mouth", "2D-aligned source"


@dataclass(frozen=True)
class Reenactment:
    """What a self-reenactment is asked to do.

    Attributes:
        clip: a clip of a face.
        by: ``video``: the tracked face drives everything; ``speech``: the clip's sound moves the
            lips, and everything else is tracked, as for fitted avatars: idle brows, lids and gaze
            would be drawn at random.
        source_frame: number of the frame that becomes the portrait; None for the first neutral one.
        baselines: also judge the same video with a mouth that stays shut, and the portrait laid
            over every frame.
        output: where the made video is kept, or None.
    """

    clip: Path
    by: str = "video"
    source_frame: int | None = None
    baselines: bool = False
    output: Path | None = None

    def protocol(self, frame: int) -> str:
        """How figures were measured, in words."""
        what = (
            "the clip's own tracked face drives pose and expression"
            if self.by == "video"
            else "the clip's own sound moves the lips, its tracked face the rest"
        )
        return (
            f"self-reenactment by {self.by}: frame {frame} of {self.clip.name} is the portrait and "
            f"is left out, {what}; measured in the pixels of the clip"
        )


def reenact(
    task: Reenactment, context: Context, *, overwrite: bool
) -> tuple[list[Comparison], str]:
    """Make a clip again from one of its frames, and compare it with itself.

    Args:
        task: the clip, and what drives the portrait. A known lag (``settings.lag_s``) is how much
            later than its sound the clip's mouth moves; speech then moves the mouth so much later.
        context: settings, progress and times.
        overwrite: whether an existing ``task.output`` may be replaced.

    Returns:
        Comparisons, ours first, and the protocol in words.

    Raises:
        UsageError: an unknown way to drive, or no such frame.
        InputError: no video, no face in it, or no sound to speak.
        MissingDependencyError: the requested landmark network or renderer is not available.
    """
    from talkcli.face.model import FaceModel
    from talkcli.motion.retarget import relative_to
    from talkcli.tracking.clip import solve_spool

    if task.by not in BY:
        raise UsageError(f"--by takes {' or '.join(BY)}, not {task.by!r}")
    clip = Clip(task.clip)
    if task.by == "speech" and not clip.info.has_audio:
        raise InputError(f"{task.clip} has no sound to speak", "use --by video")
    (measured,) = measure_clips((clip,), context.recipe, context.reporter, context.watch)
    with context.watch.measure("solve"):
        person, curves = solve_spool(measured.spool, FaceModel.load())
        if task.by == "speech" and not context.settings.lag_s:
            heard = listen(clip, person, context.recipe.motion.speech_model)
            warn_of_lag(task.clip, synchrony(measured, person, curves, heard), context)
    frame = source_frame(task.source_frame, curves, measured)
    picture = frame_of(measured, frame)
    with tempfile.TemporaryDirectory(prefix="talkcli-eval-") as name:
        studio = _Studio(Path(name), task, context, measured, relative_to(curves, frame))
        studio.keep_portrait(picture, points_of(measured, frame))
        made = task.output or Path(name) / "made.mp4"
        studio.film(made, overwrite=overwrite)
        settings = replace(context.settings, lag_s=studio.late_s, leave_out=frame)
        context = replace(context, settings=settings, made_here=True)
        results = [compare(_OURS, Clip(made), clip, context)]
        if task.baselines:
            shut = Path(name) / "static.mp4"
            studio.film(shut, static=True)
            results.append(compare(_STATIC, Clip(shut), clip, context))
            results.append(_compare_still(picture, frame, measured, context))
    return results, task.protocol(frame)


def warn_of_lag(clip: Path, score: SyncScore, context: Context) -> None:
    """Warn of a clip whose lips and sound are not in step.

    Args:
        clip: as the user named it.
        score: of its lips and sound.
        context: its reporter is warned.
    """
    offset, certain = score.offset_ms, score.confidence
    if offset is None or certain is None or certain < _SURE or abs(offset) < _IN_STEP_MS:
        return
    way = "after" if offset > 0 else "before"
    context.reporter.warn(
        f"the lips in {clip} move {abs(offset):.0f} ms {way} what is heard ({certain:.0%} "
        f"certain); add --lag-ms {offset:.0f} to move those of the portrait so, too"
    )


def _compare_still(
    picture: np.ndarray, frame: int, measured: MeasuredClip, context: Context
) -> Comparison:
    still = AlignedStill(measured.path, picture, points_of(measured, frame), measured)
    # It has the times of the clip.
    settings = replace(context.settings, lag_s=0.0)
    context = replace(context, settings=settings)
    with still.spool:
        return compare_measured(_STILL, still, measured, context, (measured.clip,))


def source_frame(wanted: int | None, curves: MotionCurves, measured: MeasuredClip) -> int:
    """The frame that becomes the portrait.

    Args:
        wanted: a number from 0, or None for the first neutral frame.
        curves: of the clip.
        measured: the clip.

    Raises:
        UsageError: there is no frame with that number.
        InputError: it shows no face.
    """
    from talkcli.motion.retarget import reference_frame

    count = len(measured.spool)
    if wanted is None:
        found = reference_frame(curves)
        if measured.spool.points(found) is not None:
            return found
        return next(k for k in range(count) if measured.spool.points(k) is not None)
    if not 0 <= wanted < count:
        raise UsageError(
            f"{measured.path} has no frame {wanted}", f"give --source-frame 0 to {count - 1}"
        )
    if measured.spool.points(wanted) is None:
        raise InputError(
            f"frame {wanted} of {measured.path} shows no face", "choose another --source-frame"
        )
    return wanted


def points_of(measured: MeasuredClip, number: int) -> np.ndarray:
    """``[478, 3]`` the landmarks of a frame that shows a face."""
    points = measured.spool.points(number)
    assert points is not None
    return points


def frame_of(measured: MeasuredClip, number: int) -> np.ndarray:
    """``[H, W, 3]`` one frame of a clip."""
    with closing(measured.frames()) as frames:
        for index, rgb in enumerate(frames):
            if index == number:
                return rgb
    raise InputError(f"{measured.path} changed while it was read", "run the command again")


class _Studio:
    """Makes the videos of a reenactment in a folder.

    Attributes:
        late_s: how much later the clip shows what the made video shows.
    """

    def __init__(
        self,
        folder: Path,
        task: Reenactment,
        context: Context,
        measured: MeasuredClip,
        curves: MotionCurves,
    ) -> None:
        from talkcli.media.audio import open_sound
        from talkcli.motion.curves import write_npz

        self._folder, self._task, self._context = folder, task, context
        self._clip, self._faces = measured.clip, int(measured.about["faces_seen"])
        self._face = context.recipe.portrait.face
        self.late_s = 0.0
        if task.by == "speech":
            # A video that speaks begins with its sound.
            with open_sound(task.clip) as sound:
                self.late_s = sound.start_s
            curves = _begin_at(curves, self.late_s)
        write_npz(folder / "curves.npz", curves)

    def keep_portrait(self, picture: np.ndarray, points: np.ndarray) -> None:
        """Write the portrait; of several faces, the one with these landmarks is meant."""
        from talkcli.media.image import write_image
        from talkcli.tracking.landmarks import detect_faces

        if self._faces > 1:
            away = [np.linalg.norm(face.points - points) for face in detect_faces(picture)]
            self._face = str(np.argmin(away)) if away else self._face
        self._size = max(picture.shape[:2]) // 2 * 2
        write_image(self._folder / "portrait.png", picture, overwrite=True)

    def film(self, output: Path, *, static: bool = False, overwrite: bool = True) -> None:
        """Make a video; ``static`` with lips that stay shut."""
        motion = self._folder / "curves.npz"
        if self._task.by == "speech":
            inputs = DriveInputs(self._task.clip, motion)
        else:
            inputs = DriveInputs(None, self._shut_lips() if static else motion)
        request = Request("eval", self._recipe(static), None, output, overwrite)
        context = self._context
        animate(request, inputs, self._folder / "portrait.png", context.reporter, context.watch)

    def _shut_lips(self) -> Path:
        from talkcli.motion.curves import load_curves, write_npz
        from talkcli.motion.retarget import SPOKEN

        curves = load_curves(self._folder / "curves.npz")
        shut = self._folder / "shut.npz"
        write_npz(shut, replace(curves, expression=np.where(SPOKEN, 0.0, curves.expression)))
        return shut

    def _recipe(self, static: bool) -> Recipe:
        """The user's recipe, at the clip's own size and frame rate."""
        recipe, fps = self._context.recipe, self._clip.info.fps
        size = recipe.video.size or self._size
        video = replace(recipe.video, size=size, fps=str(fps or 25), views=(), camera_path="none")
        motion, portrait = recipe.motion, replace(recipe.portrait, face=self._face)
        if self._task.by == "speech":
            late_ms = motion.sync_offset_ms + 1000.0 * self._context.settings.lag_s
            strength = 0.0 if static else motion.lip_strength
            motion = replace(motion, sync_offset_ms=late_ms, lip_strength=strength)
        return replace(recipe, video=video, motion=motion, portrait=portrait)


def _begin_at(curves: MotionCurves, start_s: float) -> MotionCurves:
    """The same motion on a clock that starts later."""
    inside = curves.times > start_s
    names = ("expression", "rotation", "translation", "gaze", "tracked")
    parts = {name: getattr(curves, name)[inside] for name in names}
    times, duration_s = curves.times[inside] - start_s, curves.duration_s - start_s
    return replace(curves, times=times, duration_s=duration_s, **parts)
