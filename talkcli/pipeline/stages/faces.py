"""The faces of a picture as the portrait stage stores them, and how one is chosen."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from talkcli.errors import InputError, UsageError
from talkcli.files.check import read_json
from talkcli.progress import Reporter

if TYPE_CHECKING:
    from talkcli.tracking.landmarks import Face

#: Below this face height the eyes are only a few pixels wide, which is unusable. The documented
#: limit is 64, and the landmarks measure up to 5 % too small.
MIN_FACE_PX = 61
#: Below this face height the result is visibly blurred.
SMALL_FACE_PX = 128
#: Beyond this yaw the far eye is hidden and its landmarks are guesses.
PROFILE_YAW_DEG = 45.0
_FILE = "faces.json"
_LANDMARKS = 478
#: No picture is larger; see ``talkcli.media.image``.
_LONGEST_SIDE = 1 << 16


@dataclass(frozen=True)
class FoundFace:
    """A face as the portrait stage stores it.

    Attributes:
        points: ``[478][3]`` landmarks, as in :class:`talkcli.tracking.landmarks.Face`.
        size_px: height from forehead to chin, pixels.
        yaw_deg: head yaw, > 0 towards image right.
    """

    points: list[list[float]]
    size_px: float
    yaw_deg: float

    @property
    def centre(self) -> tuple[int, int]:
        """The pixel at the centre of the landmarks."""
        columns = [sorted(point[axis] for point in self.points) for axis in (0, 1)]
        x, y = ((column[0] + column[-1]) / 2 for column in columns)
        return round(x), round(y)


@dataclass(frozen=True)
class FoundFaces:
    """What the portrait stage found.

    Attributes:
        width: width of the picture, pixels.
        height: height of the picture, pixels.
        faces: the faces, largest first.
    """

    width: int
    height: int
    faces: tuple[FoundFace, ...]

    def save(self, directory: Path) -> None:
        """Write ``faces.json``."""
        text = json.dumps({"schema": 1, **asdict(self)})
        (directory / _FILE).write_text(text, encoding="utf-8")

    @staticmethod
    def load(directory: Path) -> FoundFaces:
        """Read what :meth:`save` wrote.

        Raises:
            InputError: the file is unreadable, or its faces cannot come from a picture.
        """
        path = directory / _FILE
        try:
            document = read_json(path)
            width, height = document["width"], document["height"]
            sides = type(width) is type(height) is int and min(width, height) > 0
            if not sides or max(width, height) > _LONGEST_SIDE:
                raise ValueError(f"a picture of {width!r} by {height!r}")
            faces = tuple(FoundFace(**row) for row in document["faces"])
            for face in faces:
                _check_face(face, 2 * max(width, height))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(f"{path} holds no faces ({error})", "run the command again") from error
        return FoundFaces(width, height, faces)


def _check_face(face: FoundFace, reach: float) -> None:
    """Reject a face that no detector can have found.

    Args:
        face: the face as read from the file.
        reach: largest distance of a landmark from the corner of the picture, pixels.

    Raises:
        ValueError: the face is impossible; the message says why.
    """
    points = face.points
    if not isinstance(points, list) or len(points) != _LANDMARKS:
        raise ValueError(f"a face without {_LANDMARKS} landmarks")
    numbers = [*(number for point in points for number in point), face.size_px, face.yaw_deg]
    if any(len(point) != 3 for point in points) or not all(
        type(number) in (int, float) and abs(number) <= reach for number in numbers
    ):
        raise ValueError("a landmark far from the picture")
    if not (face.size_px > 0 and abs(face.yaw_deg) <= 180):
        raise ValueError(f"a face of {face.size_px} pixels, turned by {face.yaw_deg}°")


def describe_face(face: Face) -> FoundFace:
    """Size and pose of a detected face."""
    from talkcli.face.model import FaceModel
    from talkcli.face.pose import DEPTH_SCALE, fit_pose, rotation_to_euler

    scaled = face.points * (1.0, 1.0, DEPTH_SCALE)
    yaw, _, _ = rotation_to_euler(fit_pose(scaled, FaceModel.load().vertices).rotation)
    return FoundFace(face.points.tolist(), face.size_px, yaw)


def choose_face(faces: Sequence[FoundFace], which: str, portrait: Path, reporter: Reporter) -> int:
    """Choose the face to animate, with a warning about anything that will look poor.

    Args:
        faces: the faces, largest first.
        which: ``largest``, or an index as a string.
        portrait: path of the picture, for messages.
        reporter: warned of several faces, a small face and a profile.

    Returns:
        The index of the face.

    Raises:
        UsageError: ``which`` is neither of these.
        InputError: there is no face, none with that index, or it is too small.
    """
    if which != "largest" and not which.isdecimal():
        raise UsageError(f"--face takes 'largest' or a number, not {which!r}")
    if not faces:
        raise InputError(
            f"no face was found in {portrait}",
            "use a picture that shows the face from the front, at least 128 px high",
        )
    index = 0 if which == "largest" else int(which)
    places = ", ".join(
        f"{i} at {face.centre} {face.size_px:.0f} px" for i, face in enumerate(faces)
    )
    if index >= len(faces):
        raise InputError(
            f"{portrait} has no face {index}, only {places}",
            f"choose --face 0 to {len(faces) - 1}" if len(faces) > 1 else "omit --face",
        )
    if len(faces) > 1 and which == "largest":
        reporter.warn(
            f"{portrait} shows {len(faces)} faces ({places}); using the largest "
            "(choose another with --face INDEX)"
        )
    face = faces[index]
    if face.size_px < MIN_FACE_PX:
        raise InputError(
            f"the face in {portrait} at {face.centre} is {face.size_px:.0f} px high, too small",
            "use a picture with a face at least 64 px high (128 px or more gives good results)",
        )
    if face.size_px < SMALL_FACE_PX:
        reporter.warn(
            f"the face in {portrait} is only {face.size_px:.0f} px high: expect a blurred result"
        )
    if abs(face.yaw_deg) > PROFILE_YAW_DEG:
        reporter.warn(
            f"the face in {portrait} is turned by {face.yaw_deg:+.0f}°, more than "
            f"{PROFILE_YAW_DEG:.0f}°: its hidden half will be guessed"
        )
    return index
