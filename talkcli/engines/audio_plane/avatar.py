"""The avatar of one person's clip at run time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from talkcli.avatar import SOURCE_VIEW, Avatar, AvatarInfo, Backdrop, Camera, TrustedRange, View
from talkcli.engines.audio_plane.offsets import DrivenOffsets
from talkcli.engines.audio_plane.played import OffsetsAndPlanes, PlayedPlanes
from talkcli.engines.portrait.avatar import PortraitAvatar
from talkcli.motion.voice import VoiceMap
from talkcli.types import Gaussians, MotionCurves, MotionFrame, SplatArrays

ENGINE = "audio-plane"
#: A head turned this much further than any frame shows it still looks like itself, degrees.
_BEYOND_DEG = 20.0


@dataclass
class SubjectAvatar:
    """A head fitted to a clip; see :class:`talkcli.avatar.Avatar`.

    Attributes:
        portrait: the avatar of the clip's best frame, with fitted splats; its correction holds
            what follows the expression.
        clip: motion of the clip's frames, as the avatar makes it.
        source: frame of the clip that the portrait was built from.
        held_out: first frame of the clip that was not fitted.
        voices: how the person's lips follow speech, by the name of the speech model.
    """

    portrait: PortraitAvatar
    clip: MotionCurves
    source: int
    held_out: int
    voices: Mapping[str, VoiceMap] = field(default_factory=dict)

    @property
    def info(self) -> AvatarInfo:
        """What is known of it, its person's motion and lips among it."""
        known, planes = self.portrait.info, self.planes
        return replace(
            known,
            engine=ENGINE,
            needs=known.needs | ({"speech"} if planes and planes.driver.speech else set()),
            trusted=self.trusted,
            voices=self.voices,
            motion=self.clip,
        )

    @cached_property
    def trusted(self) -> TrustedRange:
        """Head yaws and pitches that the clip and the symmetry of heads support, degrees."""
        turned = np.array(self.portrait.source_euler[:2])
        angles = turned + self.clip.rotation[self.clip.tracked, :2]
        seen = np.abs(angles[:, 0]).max(initial=0.0)
        low, high = angles[:, 1].min(initial=0.0), angles[:, 1].max(initial=0.0)
        return TrustedRange(
            (float(-seen - _BEYOND_DEG), float(seen + _BEYOND_DEG)),
            (float(low - _BEYOND_DEG), float(high + _BEYOND_DEG)),
        )

    @cached_property
    def source_motion(self) -> MotionFrame:
        """Expression and pose of the source frame."""
        return self.clip.frames[self.source]

    @property
    def offsets(self) -> DrivenOffsets:
        """What follows the expression."""
        found = self.portrait.correction
        if isinstance(found, OffsetsAndPlanes):
            return found.offsets
        assert isinstance(found, DrivenOffsets)
        return found

    @property
    def planes(self) -> PlayedPlanes | None:
        """The Audio-Plane field, if it was fitted with one."""
        found = self.portrait.correction
        return found.planes if isinstance(found, OffsetsAndPlanes) else None

    def pose(self, motion: MotionFrame | None = None, view: View = SOURCE_VIEW) -> SplatArrays:
        """The splats of one frame; without a motion, those of the source frame."""
        return self.portrait.pose(motion or self.source_motion, view)

    def camera(self, motion: MotionFrame | None = None, view: View = SOURCE_VIEW) -> Camera:
        """The source frame's camera, or how far it has gone around the person."""
        return self.portrait.camera(motion, view)

    def backdrop(self, motion: MotionFrame | None = None) -> Backdrop:
        """The source frame and its plate."""
        return self.portrait.backdrop(motion)

    def playback(self) -> Avatar:
        """The same avatar without what no frame shows."""
        return PlayedSubject(self)

    def neutral(self) -> Gaussians:
        """The whole neutral head, including its back."""
        return self.portrait.neutral()


class PlayedSubject:
    """A fitted avatar for frame after frame; see :class:`talkcli.avatar.Avatar`.

    Args:
        avatar: the whole avatar, which must not change meanwhile.
    """

    def __init__(self, avatar: SubjectAvatar) -> None:
        self._avatar, self._played = avatar, avatar.portrait.playback()

    @property
    def info(self) -> AvatarInfo:
        """That of the whole avatar."""
        return self._avatar.info

    def pose(self, motion: MotionFrame | None = None, view: View = SOURCE_VIEW) -> SplatArrays:
        """The splats of one frame that can be seen."""
        return self._played.pose(motion or self._avatar.source_motion, view)

    def camera(self, motion: MotionFrame | None = None, view: View = SOURCE_VIEW) -> Camera:
        """The camera of a frame."""
        return self._played.camera(motion, view)

    def backdrop(self, motion: MotionFrame | None = None) -> Backdrop:
        """What lies behind the head."""
        return self._avatar.backdrop(motion)

    def neutral(self) -> Gaussians:
        """The whole neutral head."""
        return self._avatar.neutral()

    def playback(self) -> PlayedSubject:
        """Itself."""
        return self
