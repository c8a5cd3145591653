"""The user's files, each looked at once: hashed, probed, decoded where that cannot be avoided."""

from __future__ import annotations

from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from talkcli.errors import InputError, UsageError
from talkcli.motion.curves import is_curves, load_curves
from talkcli.project import ProjectInput

if TYPE_CHECKING:
    import numpy as np

    from talkcli.media.audio import Sound
    from talkcli.media.read import MediaInfo
    from talkcli.types import MotionCurves


class Picture:
    """A picture that an avatar is made from.

    Args:
        path: the file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def check(self) -> None:
        """A first look.

        Raises:
            InputError: missing, empty or unreadable.
        """
        from talkcli.files.check import check_readable

        check_readable(self.path, "a picture")

    @cached_property
    def source(self) -> ProjectInput:
        """Path, hash and size."""
        return ProjectInput.of(self.path)

    def decode(self) -> np.ndarray:
        """``[H, W, 4]`` uint8; not kept here, since 16 megapixels take 64 MB."""
        from talkcli.media.image import read_image

        return read_image(self.path)


class Clip:
    """A video of a face that is tracked.

    Args:
        path: the file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @cached_property
    def source(self) -> ProjectInput:
        """Path, hash and size."""
        return ProjectInput.of(self.path)

    @cached_property
    def info(self) -> MediaInfo:
        """What the header says.

        Raises:
            InputError: missing, empty, a picture, sound alone, too short to move, or unreadable.
        """
        from talkcli.media.identify import describe
        from talkcli.media.read import probe, read_frames
        from talkcli.tracking.clip import FEWEST_FRAMES, too_few_frames

        try:
            info = probe(self.path)
        except InputError:
            if self.path.is_file() and describe(self.path) == "a picture":
                raise InputError(
                    f"{self.path} is a picture: nothing moves in it",
                    "give a video of a face that moves, or sound to speak",
                ) from None
            raise
        if not info.has_video:
            raise InputError(
                f"{self.path} has no picture in it, only sound", "give a video of a face"
            )
        # Not every container counts its frames.
        frames = info.n_frames or sum(1 for _ in islice(read_frames(self.path), FEWEST_FRAMES))
        if frames < FEWEST_FRAMES:
            raise too_few_frames(self.path, frames)
        return info

    @property
    def duration_s(self) -> float:
        """Of the picture, in seconds, as the header states it: an estimate."""
        info = self.info
        frames, fps = info.n_frames, info.fps
        return frames / float(fps) if frames and fps else info.duration_s


class DriveInputs:
    """The files that say how the head moves.

    Args:
        speech: any file with sound, or None.
        driver: clip or curves of a face, or None.
        pose: clip or curves whose head pose replaces the driver's or the idle one, or None.

    Attributes:
        speech, driver, pose: as given.
    """

    def __init__(
        self, speech: Path | None, driver: Path | None = None, pose: Path | None = None
    ) -> None:
        self.speech, self.driver, self.pose = speech, driver, pose
        self._clips: dict[Path, Clip] = {}
        self._curves: dict[Path, MotionCurves] = {}

    @property
    def faces(self) -> tuple[Path, ...]:
        """Driver and pose, as far as given and each file once."""
        return tuple(dict.fromkeys(p for p in (self.driver, self.pose) if p is not None))

    @property
    def clips(self) -> tuple[Path, ...]:
        """Those of :attr:`faces` that must be tracked."""
        return tuple(path for path in self.faces if not is_curves(path))

    @property
    def leading(self) -> Path:
        """The file that gives the video its length and its default name."""
        return self.speech or self.driver or self.faces[0]

    def check(self) -> list[Path]:
        """Refuse files that cannot move a head, before any work is done for them.

        Returns:
            All of them.

        Raises:
            UsageError: none was given.
            InputError: one is missing, empty, unreadable or of the wrong kind.
        """
        from talkcli.files.check import check_readable

        if self.speech is None and not self.faces:
            raise UsageError(
                "there is nothing to move the head by", "give a sound file, or a clip with --driver"
            )
        files = [] if self.speech is None else [check_readable(self.speech, "a recording")]
        files += [check_readable(path, "a video of a face") for path in self.faces]
        for path in self.faces:
            # Looking is checking.
            self.curves(path) if is_curves(path) else self.clip(path).info
        return files

    def clip(self, path: Path) -> Clip:
        """The clip in a file of :attr:`faces`."""
        return self._clips.setdefault(path, Clip(path))

    def curves(self, path: Path) -> MotionCurves:
        """The curves in a file of :attr:`faces`.

        Raises:
            InputError: they cannot be read.
        """
        if path not in self._curves:
            self._curves[path] = load_curves(path)
        return self._curves[path]

    @cached_property
    def sound(self) -> Sound:
        """What is heard, speech or else the driver's own sound, opened once for all who read it.

        Raises:
            InputError: there is none.
        """
        from talkcli.media.audio import open_sound

        sound = open_sound(self.leading)
        try:
            sound.check()
        except InputError:
            sound.close()
            raise
        return sound

    def close(self) -> None:
        """Close what was opened."""
        if "sound" in self.__dict__:
            self.sound.close()
