"""The user's files, each read once: hashed, probed, and decoded only if necessary."""

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
        path: the picture file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def check(self) -> None:
        """Check that the file can be read.

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
        """``[H, W, 4]`` uint8; not cached, since 16 megapixels take 64 MB."""
        from talkcli.media.image import read_image

        return read_image(self.path)


class Clip:
    """A video of a face that is to be tracked.

    Args:
        path: the video file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @cached_property
    def source(self) -> ProjectInput:
        """Path, hash and size."""
        return ProjectInput.of(self.path)

    @cached_property
    def info(self) -> MediaInfo:
        """The properties stated in the header.

        Raises:
            InputError: missing, empty, unreadable, a picture, only sound, or too few frames.
        """
        from talkcli.media.identify import animated_frames, describe
        from talkcli.media.read import probe, read_frames
        from talkcli.tracking.clip import FEWEST_FRAMES, too_few_frames

        try:
            info = probe(self.path)
        except InputError:
            if self.path.is_file() and describe(self.path) == "a picture":
                if count := animated_frames(self.path):
                    raise _unplayable(self.path, count) from None
                raise InputError(
                    f"{self.path} is a picture, which contains no motion",
                    "give a video of a moving face, or speech",
                ) from None
            raise
        if not info.has_video:
            raise InputError(f"{self.path} contains no video, only sound", "give a video of a face")
        # Not every container states its number of frames.
        frames = info.n_frames or sum(1 for _ in islice(read_frames(self.path), FEWEST_FRAMES))
        if frames < FEWEST_FRAMES:
            if count := animated_frames(self.path):
                raise _unplayable(self.path, count)
            raise too_few_frames(self.path, frames)
        return info

    @property
    def duration_s(self) -> float:
        """Length of the video stream in seconds, estimated from the header."""
        info = self.info
        frames, fps = info.n_frames, info.fps
        return frames / float(fps) if frames and fps else info.duration_s


def _unplayable(path: Path, frames: int) -> InputError:
    """The error for an animated picture that libav shows the first frame of at most."""
    kind = path.suffix.lstrip(".") or "animated"
    return InputError(
        f"{path} is an animated {kind} picture of {frames} frames, of which the video library "
        "reads one at most",
        f"make a clip of it: magick {path} {path.with_suffix('.gif')}",
    )


class DriveInputs:
    """The files that determine how the head moves.

    Args:
        speech: any file with sound, or None.
        driver: clip or curves of a face, or None.
        pose: clip or curves whose head pose replaces that of the driver or the idle motion, or
            None.

    Attributes:
        speech, driver, pose: as given.
    """

    def __init__(
        self,
        speech: str | Path | None,
        driver: str | Path | None = None,
        pose: str | Path | None = None,
    ) -> None:
        self.speech, self.driver, self.pose = (
            None if name is None else Path(name) for name in (speech, driver, pose)
        )
        self._clips: dict[Path, Clip] = {}
        self._curves: dict[Path, MotionCurves] = {}

    @property
    def faces(self) -> tuple[Path, ...]:
        """Driver and pose, if given, each file once."""
        return tuple(dict.fromkeys(p for p in (self.driver, self.pose) if p is not None))

    @property
    def clips(self) -> tuple[Path, ...]:
        """Those of :attr:`faces` that must be tracked."""
        return tuple(path for path in self.faces if not is_curves(path))

    @property
    def leading(self) -> Path:
        """The file that determines the length and the default name of the video."""
        return self.speech or self.driver or self.faces[0]

    def check(self) -> list[Path]:
        """Reject files that cannot drive a head, before any work is done.

        Returns:
            All of the files.

        Raises:
            UsageError: no file was given.
            InputError: a file is missing, empty, unreadable or of the wrong kind.
        """
        from talkcli.files.check import check_readable

        if self.speech is None and not self.faces:
            raise UsageError(
                "nothing was given to move the head", "give a speech file, or a clip with --driver"
            )
        files = [] if self.speech is None else [check_readable(self.speech, "a recording")]
        files += [check_readable(path, "a video of a face") for path in self.faces]
        for path in self.faces:
            # Reading a file checks it.
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
        """The sound of the video, from the speech or else the driver; opened once for all readers.

        Raises:
            InputError: there is no sound.
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
        """Close the sound, if it was opened."""
        if "sound" in self.__dict__:
            self.sound.close()
