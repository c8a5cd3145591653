"""Novel views: an avatar made and driven from one camera, as others saw it at the same time."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import numpy as np

from talkcli.avatar import SOURCE_VIEW, View
from talkcli.errors import InputError, UsageError
from talkcli.face.pose import euler_to_rotation, rotation_to_euler
from talkcli.pipeline.evaluate.compare import Comparison, Context, compare, compare_measured
from talkcli.pipeline.evaluate.pairs import pair_times
from talkcli.pipeline.evaluate.reenact import frame_of, source_frame
from talkcli.pipeline.evaluate.still import AlignedStill
from talkcli.pipeline.stages.avatar import ensure_avatar
from talkcli.pipeline.stages.inputs import Clip, Picture
from talkcli.pipeline.stages.landmarks import MeasuredClip, measure_clips
from talkcli.pipeline.video.scene import AvatarPlayer
from talkcli.progress import Reporter
from talkcli.project import Project, cached_project_root
from talkcli.project.run import Run
from talkcli.shapes import Float
from talkcli.types import MotionCurves, MotionFrame

#: Instants that two cameras must share with a face in both.
_FEWEST = 3


@dataclass(frozen=True)
class Views:
    """What a comparison of views is asked to do.

    Attributes:
        cameras: clips of the same performance, taken at the same time.
        source: which of them the avatar is made and driven from.
        source_frame: number of the frame that becomes the portrait; None for the first neutral one.
    """

    cameras: tuple[Path, ...]
    source: int = 0
    source_frame: int | None = None


def compare_views(task: Views, context: Context) -> tuple[list[Comparison], str]:
    """Draw an avatar as the other cameras see it, and compare it with what they saw.

    Args:
        task: the cameras.
        context: settings, progress and times. Faces are laid over each other in every frame.

    Returns:
        For every other camera the avatar and the bare source frame, and the protocol in words.

    Raises:
        UsageError: fewer than two cameras, or no such source.
        InputError: a clip without a face, or without an instant in common with the source.
    """
    from talkcli.face.model import FaceModel
    from talkcli.tracking.clip import solve_spool

    if len(task.cameras) < 2:
        raise UsageError("--views compares at least two cameras", "give --views CAM0 CAM1")
    if not 0 <= task.source < len(task.cameras):
        raise UsageError(f"there is no camera {task.source}", f"give 0 to {len(task.cameras) - 1}")
    clips = [Clip(path) for path in task.cameras]
    measured = measure_clips(clips, context.recipe, context.reporter, context.watch)
    source = measured[task.source]
    person, curves = solve_spool(source.spool, FaceModel.load())
    frame = source_frame(task.source_frame, curves, source)
    picture = frame_of(source, frame)
    settings = replace(context.settings, align="frame")
    context = replace(context, settings=settings, made_here=True)
    results: list[Comparison] = []
    with tempfile.TemporaryDirectory(prefix="talkcli-eval-") as name:
        stage = _Stage(Path(name), picture, curves, frame, context)
        for camera in measured:
            if camera is source:
                continue
            _, seen = solve_spool(camera.spool, FaceModel.load(), person)
            turn = camera_turn(curves, seen, camera.path)
            made = Path(name) / f"{camera.path.stem}.mp4"
            stage.film(made, turn, source.clip.info.fps or Fraction(25))
            results.append(compare(camera.path.stem, Clip(made), camera.clip, context))
            results.append(_compare_still(picture, source, frame, camera, context))
    return results, _protocol(source, frame)


def camera_turn(source: MotionCurves, other: MotionCurves, path: Path) -> Float[np.ndarray, "3 3"]:
    """The rotation from one camera to another: the mean over all instants that both saw.

    Args:
        source: tracked in the one.
        other: tracked in the other, as the same person.
        path: of the other, for messages.

    Raises:
        InputError: hardly an instant at which both saw the face.
    """
    pairing = pair_times(other.times, source.times)
    both = other.tracked[pairing.made] & source.tracked[pairing.real]
    if both.sum() < _FEWEST:
        raise InputError(
            f"{path} and the source camera do not see the face at the same time",
            "give clips that begin at the same instant",
        )
    turns = [
        euler_to_rotation(*other.rotation[k]) @ euler_to_rotation(*source.rotation[n]).T
        for k, n in zip(pairing.made[both], pairing.real[both], strict=True)
    ]
    u, _, vt = np.linalg.svd(np.sum(turns, axis=0))
    return np.asarray(u @ np.diag([1.0, 1.0, np.linalg.det(u @ vt)]) @ vt)


def seen_from(
    curves: MotionCurves, turn: Float[np.ndarray, "3 3"], frame: int
) -> Iterator[MotionFrame]:
    """A tracked performance as another camera sees it, relative to one of its frames.

    Args:
        curves: tracked in the source camera.
        turn: rotation from that camera to the other.
        frame: the frame that the avatar was made from.
    """
    base = curves.rotation[frame]
    for motion in curves.frames:
        seen = np.array(rotation_to_euler(turn @ euler_to_rotation(*motion.rotation)))
        yield replace(
            motion,
            rotation=(seen - base).astype(np.float32),
            translation=np.zeros(3, np.float32),
        )


class _Stage:
    """An avatar made from a frame, and the performance that moves it."""

    def __init__(
        self,
        folder: Path,
        picture: np.ndarray,
        curves: MotionCurves,
        frame: int,
        context: Context,
    ) -> None:
        from talkcli.media.image import write_image

        portrait = Picture(folder / "portrait.png")
        write_image(portrait.path, picture, overwrite=True)
        self._curves, self._frame, self._context = curves, frame, context
        size = context.recipe.video.size or max(picture.shape[:2]) // 2 * 2
        video = replace(context.recipe.video, size=size)
        recipe = replace(context.recipe, video=video)
        root = cached_project_root(portrait.source.sha256)
        run = Run(Project.create(root), recipe, context.reporter, context.watch)
        avatar = ensure_avatar(run, portrait).avatar
        self._yaw = avatar.info.turned[0]
        still_body = recipe.motion.still_body
        self._player = AvatarPlayer(
            avatar, video, recipe.backend, context.watch, still_body=still_body
        )

    def film(self, output: Path, turn: np.ndarray, fps: Fraction) -> None:
        """Draw the whole performance as another camera sees it."""
        orbit_deg = rotation_to_euler(turn)[0]
        # The camera goes around the person by its own yaw; the rest is the head's.
        motions = [
            replace(motion, rotation=motion.rotation - np.array([orbit_deg, 0, 0], np.float32))
            for motion in seen_from(self._curves, turn, self._frame)
        ]
        view = View(self._yaw + orbit_deg, orbit_deg)
        crf = self._context.recipe.video.crf
        write_film(self._player, motions, output, fps, crf, self._context.reporter, view)


def write_film(
    player: AvatarPlayer,
    motions: Sequence[MotionFrame],
    output: Path,
    fps: Fraction,
    crf: int,
    reporter: Reporter,
    view: View = SOURCE_VIEW,
) -> None:
    """Write a silent video of an avatar that is to be judged.

    Args:
        player: draws it.
        motions: one per frame.
        output: the file.
        fps: frames per second.
        crf: H.264 quality.
        reporter: receives progress.
        view: where it is seen from.
    """
    from talkcli.media.write import Encoding, FrameFormat, VideoWriter

    shape = FrameFormat(player.width, player.height, fps)
    task = reporter.begin("render", len(motions))
    encoding, duration_s = Encoding(crf=crf), len(motions) / float(fps)
    with VideoWriter(output, shape, duration_s=duration_s, encoding=encoding) as writer:
        for motion in motions:
            writer.write(player.pictures(motion, [view])[0])
            task.advance()
    reporter.end(task)


def _compare_still(
    picture: np.ndarray, source: MeasuredClip, frame: int, camera: MeasuredClip, context: Context
) -> Comparison:
    points = source.spool.points(frame)
    assert points is not None
    still = AlignedStill(source.path, picture, points, camera)
    with still.spool:
        name = f"{camera.path.stem}, source frame"
        return compare_measured(name, still, camera, context, ())


def _protocol(source: MeasuredClip, frame: int) -> str:
    return (
        f"novel views: an avatar of frame {frame} of {source.path.name}, driven by that camera's "
        "tracked face and drawn as the other cameras see it, head and body; the rotation between "
        "two cameras is the mean over the clip of that between the tracked heads; in every frame "
        "the faces are laid over each other by a similarity of rigid landmarks"
    )
