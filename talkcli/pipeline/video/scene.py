"""Turn motion into finished pictures of an avatar in front of its background."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from talkcli.avatar import Avatar, Backdrop, View
from talkcli.compose.body import BodyMotion, follow
from talkcli.config import VideoConfig
from talkcli.progress import Stopwatch
from talkcli.render.player import Images, draw_head, player
from talkcli.types import MotionFrame

if TYPE_CHECKING:
    from talkcli.compose.blend import Canvas


class Head(NamedTuple):
    """A drawn head and its backdrop.

    Attributes:
        images: colour and coverage of the head.
        backdrop: backdrop of the frame.
        body: how its torso has moved, if it has.
        orbit_deg: how far the camera has gone around.
    """

    images: Images
    backdrop: Backdrop
    body: BodyMotion | None = None
    orbit_deg: float = 0.0


class AvatarPlayer:
    """Turns motion frames into finished pictures.

    :meth:`head` and :meth:`paint` may run in two different threads, but each in only one.

    Args:
        avatar: the avatar to pose and draw.
        video: its size and background apply.
        backend: the requested renderer.
        watch: receives the seconds of ``load``, ``render`` (including posing) and ``compose``.
        still_body: keep the torso where it is; otherwise it follows the head.

    Attributes:
        backend: the renderer in use.
    """

    def __init__(
        self,
        avatar: Avatar,
        video: VideoConfig,
        backend: str,
        watch: Stopwatch,
        *,
        still_body: bool = False,
    ) -> None:
        with watch.measure("load"):
            self._avatar, self._video, self._watch = avatar, video, watch
            self._player = player(backend)
            self.backend = self._player.backend
            self._moving = not still_body
            self._compose(avatar.backdrop())

    def _compose(self, backdrop: Backdrop) -> None:
        from talkcli.compose.blend import Compositor

        self._backdrop = backdrop
        self._compositor = Compositor(
            backdrop, bg=self._video.bg, size=self._video.size or None, moving=self._moving
        )

    @property
    def width(self) -> int:
        """Width of one view, pixels."""
        return self._compositor.width

    @property
    def height(self) -> int:
        """Height of one view, pixels."""
        return self._compositor.height

    @property
    def channels(self) -> int:
        """Channels of a picture: 3, or 4 if it is transparent."""
        return 4 if self._compositor.transparent else 3

    def pictures(self, motion: MotionFrame, views: Sequence[View]) -> list[np.ndarray]:
        """One ``[height, width, channels]`` uint8 picture per view."""
        images = self.images()
        return [self.paint(self.head(motion, view, images), self.canvas()) for view in views]

    def images(self) -> Images:
        """Buffers for one head."""
        return Images.empty(self._avatar.camera())

    def canvas(self, pixels: np.ndarray | None = None) -> Canvas:
        """Buffer for one picture, see :meth:`talkcli.compose.blend.Compositor.canvas`."""
        return self._compositor.canvas(pixels)

    def head(self, motion: MotionFrame, view: View, images: Images) -> Head:
        """Pose and render one view, into ``images`` if possible."""
        with self._watch.measure("render"):
            backdrop, body = self._avatar.backdrop(motion), None
            if self._moving and backdrop.behind is not None:
                camera = self._avatar.camera(motion)
                body, motion = follow(motion, camera, view)
                if body is not None and view.orbit_deg:
                    body = body.seen_after(view.orbit_deg, camera)
            matrix = None if body is None else body.matrix
            drawn = draw_head(self._player, self._avatar, motion, view, images, matrix)
            return Head(drawn, backdrop, body, view.orbit_deg)

    def paint(self, head: Head, canvas: Canvas) -> np.ndarray:
        """Composite a head over its backdrop; modifies the head and returns the canvas's pixels."""
        with self._watch.measure("compose"):
            if head.backdrop is not self._backdrop:
                self._compose(head.backdrop)
            body = None if head.body is None else head.body.affine
            return self._compositor.frame(
                *head.images, canvas, dense=True, body=body, orbit_deg=head.orbit_deg
            )
