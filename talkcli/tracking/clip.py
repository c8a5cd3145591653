"""The performance in a clip: head pose, ARKit weights and gaze of one face in every frame.

There are two passes but one decoding: landmarks go to a temporary file as they are measured; then,
with the person's neutral face known, they are solved in windows. Apart from the curves themselves
(250 bytes a frame), memory does not grow with the clip. A clip in which nothing is found is read
once more, with a closer search for small faces.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from talkcli.errors import InputError
from talkcli.face.model import FaceModel
from talkcli.tracking.follow import FaceFollower, open_landmarks
from talkcli.tracking.gaps import fill_gaps
from talkcli.tracking.person import Person, align_to_self, estimate_identity
from talkcli.tracking.smooth import measurement_noise
from talkcli.tracking.solver import PerformanceSolver, PoseScale
from talkcli.tracking.spool import LandmarkSpool, Measured, sharpness
from talkcli.tracking.upright import find_turn, turned
from talkcli.types import MotionCurves

#: Larger clips are scaled down to this before the face is searched for.
MAX_SIDE = 1280
#: Fewer frames with a face do not suffice to identify the person.
FEWEST_FRAMES = 3
_SAMPLE = 400  # frames, spread over the clip, from which the person is estimated
_NOISE_SAMPLE = 3000  # successive frames on which noise is measured


@dataclass(frozen=True)
class TrackedClip:
    """The result of tracking a clip.

    Attributes:
        curves: times are the middles of the frames' display; ``rotation`` is the head's yaw,
            pitch, roll relative to the camera; ``translation`` is the travel of the neck's pivot
            from its usual place, as seen from the camera (x to image right, y up, z towards it).
        person: identity and neutral face.
        landmarks: name of the landmark network.
        faces_seen: largest number of faces found in one frame.
        turned: degrees clockwise by which the frames were turned to show the face upright.
    """

    curves: MotionCurves
    person: Person
    landmarks: str
    faces_seen: int
    turned: int = 0

    @property
    def flagged(self) -> float:
        """Share of the frames that are filled in because no face could be measured in them."""
        return float(1.0 - self.curves.tracked.mean())


def track_clip(
    path: Path,
    *,
    face: int = 0,
    landmarks: str = "auto",
    progress: Callable[[], None] | None = None,
) -> TrackedClip:
    """Track one face through a clip.

    Args:
        path: a video file.
        face: index among the faces of the first frame that shows any, 0 for the largest.
        landmarks: the landmark network; see :func:`talkcli.tracking.follow.landmark_model`.
        progress: called after each measured frame.

    Raises:
        InputError: not a video, too few frames, or no face that can be followed in it.
        MissingDependencyError: the landmark network cannot be loaded.
    """
    with LandmarkSpool() as spool:
        seen = spool_clip(path, spool, face=face, landmarks=landmarks, progress=progress)
        return solve_clip(spool, seen)


def solve_clip(spool: LandmarkSpool, seen: Seen) -> TrackedClip:
    """The performance in a clip whose landmarks are known.

    Args:
        spool: landmarks of at least ``FEWEST_FRAMES`` frames.
        seen: how the face was found.
    """
    person, curves = solve_spool(spool, FaceModel.load())
    return TrackedClip(curves, person, seen.landmarks, seen.faces_seen, seen.turned)


@dataclass(frozen=True)
class Seen:
    """How the face in a clip was found.

    Attributes:
        landmarks: name of the landmark network.
        faces_seen: largest number of faces found in one frame.
        turned: degrees clockwise by which the frames were turned to show the face upright.
    """

    landmarks: str
    faces_seen: int
    turned: int


class Onlooker(Protocol):
    """Sees every frame of a clip beside the landmark network."""

    def restart(self) -> None:
        """Forget all frames: the clip is read anew."""

    def is_cut(self, rgb: np.ndarray) -> bool:
        """Whether a frame, ``[H, W, 3]`` uint8, begins another scene."""

    def see(self, rgb: np.ndarray, points: np.ndarray | None) -> None:
        """Look at the same frame and its landmarks, ``[478, 3]`` in its pixels, if any."""


def spool_clip(
    path: Path,
    spool: LandmarkSpool,
    *,
    face: int = 0,
    landmarks: str = "auto",
    progress: Callable[[], None] | None = None,
    onlooker: Onlooker | None = None,
) -> Seen:
    """Measure the landmarks of one face in every frame of a clip.

    Args:
        path: a video file.
        spool: new; receives the landmarks.
        face: see :func:`track_clip`.
        landmarks: see :func:`track_clip`.
        progress: called after each measured frame.
        onlooker: sees every frame; where it sees a cut, the face is searched for anew.

    Raises:
        InputError: not a video, too few frames, or no face that can be followed in it.
        MissingDependencyError: the landmark network cannot be loaded.
    """
    turn = find_turn(path)
    with closing(open_landmarks(landmarks)) as source:
        follower = FaceFollower(source, face)
        for measured in measure_clip(path, follower, turn, onlooker):
            spool.append(measured)
            if progress is not None:
                progress()
        if len(spool) < FEWEST_FRAMES:
            raise too_few_frames(path, len(spool))
        if spool.found < FEWEST_FRAMES:
            spool.clear()
            if onlooker is not None:
                onlooker.restart()
            follower = FaceFollower(source, face, small=True)
            for measured in measure_clip(path, follower, turn, onlooker):
                spool.append(measured)
        if spool.found < FEWEST_FRAMES:
            raise InputError(
                f"no face can be followed in {path}",
                "use a video that shows one face from the front, at least 64 px high",
            )
        return Seen(source.name, follower.faces_seen, turn)


def too_few_frames(path: Path, count: int) -> InputError:
    """The error for a clip that is hardly more than a picture."""
    frames = "one frame" if count == 1 else f"{count} frames"
    return InputError(
        f"{path} has only {frames}: nothing moves in it",
        "give a video of a face that moves, or sound to speak",
    )


def measure_clip(
    path: Path, follower: FaceFollower, turn: int = 0, onlooker: Onlooker | None = None
) -> Iterator[Measured]:
    """Measure the landmarks of every frame of a clip.

    Args:
        path: a video file.
        follower: a new follower, for the face.
        turn: degrees clockwise by which the frames are turned first, a multiple of 90.
        onlooker: see :func:`spool_clip`.

    Raises:
        InputError: not a video, or its first frame with faces lacks the wanted one.
    """
    from talkcli.media.read import read_frames

    for frame in read_frames(path, max_side=MAX_SIDE):
        rgb = turned(frame.rgb, turn)
        if onlooker is not None and onlooker.is_cut(rgb):
            follower.forget()
        points = follower.follow(rgb)
        if onlooker is not None:
            onlooker.see(rgb, points)
        sharp = 0.0 if points is None else sharpness(rgb, points)
        yield Measured(frame.time_s, points, sharp)


def solve_spool(
    spool: LandmarkSpool, model: FaceModel, person: Person | None = None
) -> tuple[Person, MotionCurves]:
    """Estimate the person in a clip and the performance, from its landmarks.

    Args:
        spool: landmarks of at least ``FEWEST_FRAMES`` frames.
        model: face template.
        person: who it is, if that is known from another clip.
    """
    person = person or estimate_identity(spool.sample(_SAMPLE), model)
    scale = _pose_scale(spool, person)
    solver = PerformanceSolver(person, scale)
    filled = fill_gaps(iter(spool), person)
    return person, _join(solver.solve(filled), spool.duration_s)


def _pose_scale(spool: LandmarkSpool, person: Person) -> PoseScale:
    """Usual place and size of the head, and the noise of its measured pose."""
    points = spool.sample(_SAMPLE)
    heads, _ = align_to_self(points, person.rigid)
    run = spool.run(_NOISE_SAMPLE)
    usual = PoseScale(
        place=np.median(heads.shifts[:, :2], axis=0),
        scale=float(np.median(heads.scales)),
        noise=np.zeros(6),
        step_s=spool.step_s,
    )
    return usual.with_noise(measurement_noise(usual.pose_of(run, person)))


def _join(parts: Iterable[MotionCurves], duration_s: float) -> MotionCurves:
    pieces = list(parts)
    names = ("times", "expression", "rotation", "translation", "gaze", "tracked")
    joined = {name: np.concatenate([getattr(p, name) for p in pieces]) for name in names}
    return MotionCurves(**joined, duration_s=duration_s)
