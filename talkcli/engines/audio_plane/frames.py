"""What a fit compares with: frames of the clip, in the pixels of the avatar's crop.

Only the window that the head covers in some frame is kept. The neck is the portrait's own: pixels
that the rig moves less than half as much as the head are no target. Around the head, what the matte
calls background is replaced by the avatar's plate, so that hair does not learn what is behind it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import cv2
import numpy as np

from talkcli.avatar import SOURCE_VIEW, Camera
from talkcli.compose.body import BodyMotion, follow
from talkcli.engines.audio_plane.surface import FIT_FADE, FittedSplats, fade_of
from talkcli.engines.portrait.avatar import PortraitAvatar
from talkcli.face.topology import FACE_OVAL, LIPS
from talkcli.imaging import smoothstep
from talkcli.layers.clip import PreparedClip
from talkcli.render.cpu import Workspace, backproject, rasterize
from talkcli.shapes import Bool, Float, Float32, UInt8
from talkcli.types import MotionFrame, SplatArrays

#: Frames in which splats are looked for that are seen at all.
_LOOKS = 60
#: A splat whose blend weights add up to less in all of them is left as it is.
_LEAST_WEIGHT = 0.05
#: A splat takes all of a fit if a tenth of the frames show this much of it. What hardly shows at
#: the rim of a cheek takes on, at full rate, whatever pleases the few frames that show it, and from
#: the side it is a speck.
_OFTEN = 0.3
#: Splats with less of the head's weight belong to the neck.
_LEAST_HEAD = FIT_FADE[0]
_MARGIN_PX = 8
#: Targets up to this many bytes are kept; of longer clips, they are decoded when they are needed.
_KEEP_BYTES = 600 << 20
#: The mouth's region reaches this far beyond the lips, crop sides: 7 px of 256.
_MOUTH_REACH = 7 / 256
#: Width of the background around the head that is compared, too, crop sides.
_RING = 6 / 256
#: Pixels with less of the person are background.
_BACKGROUND = 0.1


@dataclass(eq=False)
class FitFrames:
    """Frames of a clip as targets.

    Args:
        avatar: built from the clip's source frame.
        clip: the clip.
        motions: of all frames, aligned with the avatar.

    Attributes:
        poses: the motions relative to the body, which follows the head as it does in a video.
        fitted: splats that can be seen in some frame and belong to the head.
        window: x0, y0, x1, y1 of the crop.
    """

    avatar: PortraitAvatar
    clip: PreparedClip
    motions: Sequence[MotionFrame]
    poses: Sequence[MotionFrame] = field(init=False)
    fitted: FittedSplats = field(init=False)
    window: tuple[int, int, int, int] = field(init=False)

    def __post_init__(self) -> None:
        self._workspace = Workspace()
        self._targets: dict[int, UInt8[np.ndarray, "h w 3"]] = {}
        self._regions: dict[int, UInt8[np.ndarray, " bits"]] = {}
        self._heads: dict[int, UInt8[np.ndarray, " bits"]] = {}
        self._bytes = 0
        self._place = {int(number): place for place, number in enumerate(self.clip.stored)}
        side, frame = self.avatar.frame.crop_pixels, self.avatar.frame
        followed = [self._followed(motion) for motion in self.motions]
        self._bodies = [body for body, _ in followed]
        self.poses = [pose for _, pose in followed]
        looks = self._spread_out(_LOOKS)
        most, often = self._shown(looks)
        seen = most > _LEAST_WEIGHT
        self._drawn = self.avatar.part(np.flatnonzero(seen))
        weight = np.clip(self._drawn.splats.head_weight, 0, 1).astype(np.float32)
        self._weight = np.repeat(weight[:, None], 3, 1)
        splats = self.avatar.splats
        fade = fade_of(splats, FIT_FADE) * smoothstep(often / _OFTEN)
        head = seen & (splats.head_weight > _LEAST_HEAD)
        self.fitted = FittedSplats(
            np.flatnonzero(head), fade[head].astype(np.float32), np.flatnonzero(seen & ~head)
        )
        # Where the head moves between the frames looked at, the margin covers it.
        covered = np.any([self._whole_head(i) for i in looks], axis=0)
        rows, columns = np.flatnonzero(covered.any(1)), np.flatnonzero(covered.any(0))
        self.window = (
            max(0, int(columns[0]) - _MARGIN_PX),
            max(0, int(rows[0]) - _MARGIN_PX),
            min(side, int(columns[-1]) + 1 + _MARGIN_PX),
            min(side, int(rows[-1]) + 1 + _MARGIN_PX),
        )
        box_x, box_y, box_side = self.clip.box
        scale = frame.crop_pixels / frame.crop_side
        ratio = scale * box_side / self.clip.crop_pixels
        left, top = (box_x - frame.crop_x) * scale, (box_y - frame.crop_y) * scale
        # From pixel centres to pixel centres.
        half = 0.5 * (ratio - 1)
        self._warp = np.array([[ratio, 0, left + half], [0, ratio, top + half]])
        self._points = (self.clip.points[..., :2] - (frame.crop_x, frame.crop_y)) * scale

    def camera(self, index: int) -> Camera:
        """The avatar's camera in a frame, cut to the window."""
        x0, y0, x1, y1 = self.window
        whole = self._camera(index)
        K = whole.K.copy()
        K[:2, 2] -= (x0, y0)
        return Camera(whole.viewmat, K, x1 - x0, y1 - y0)

    def body(self, index: int) -> Float[np.ndarray, "4 4"] | None:
        """``[4, 4]`` how the body has moved in a frame, in the camera's axes."""
        body = self._bodies[index]
        return None if body is None else body.matrix

    @cached_property
    def plate(self) -> Float[np.ndarray, "h w 3"]:
        """``[h, w, 3]`` what is behind the head."""
        x0, y0, x1, y1 = self.window
        return np.ascontiguousarray(self.avatar.plate[y0:y1, x0:x1], np.float32)

    def target(self, index: int) -> UInt8[np.ndarray, "h w 3"]:
        """``[h, w, 3]`` uint8 a stored frame of the clip, its background replaced by the plate."""
        found = self._targets.get(index)
        if found is None:
            found = self._before_plate(index)
            if self._bytes + found.nbytes <= _KEEP_BYTES:
                self._bytes += found.nbytes
                self._targets[index] = found
        return found

    def head(self, index: int) -> Bool[np.ndarray, "h w"]:
        """``[h, w]`` where the avatar's head is in a frame."""
        x0, y0, x1, y1 = self.window
        if index not in self._heads:
            self._heads[index] = np.packbits(self._whole_head(index)[y0:y1, x0:x1])
        return self._unpacked(self._heads[index])

    def _unpacked(self, bits: np.ndarray) -> Bool[np.ndarray, "h w"]:
        x0, y0, x1, y1 = self.window
        shape = y1 - y0, x1 - x0
        return np.unpackbits(bits, count=shape[0] * shape[1]).reshape(shape) > 0

    def region(self, index: int) -> Bool[np.ndarray, "h w"]:
        """``[h, w]`` where a frame is compared: the head, and background close to it."""
        if index not in self._regions:
            self.target(index)
        return self._unpacked(self._regions[index])

    def face(self, index: int) -> Bool[np.ndarray, "h w"]:
        """``[h, w]`` within the outline of the measured face."""
        return self._hull(index, FACE_OVAL) > 0

    def mouth(self, index: int) -> Bool[np.ndarray, "h w"]:
        """``[h, w]`` the measured lips and a margin around them."""
        reach = max(1, round(_MOUTH_REACH * self.avatar.frame.crop_pixels))
        lips = self._hull(index, LIPS)
        return cv2.dilate(lips, np.ones((2 * reach + 1, 2 * reach + 1), np.uint8)) > 0

    def _before_plate(self, index: int) -> UInt8[np.ndarray, "h w 3"]:
        x0, y0, x1, y1 = self.window
        place = self._place[index]
        crop, matte = (
            self._warped(picture)[y0:y1, x0:x1]
            for picture in (self.clip.crop(place), self.clip.matte(place))
        )
        share = matte.astype(np.float32) / 255
        reach = max(1, round(_RING * self.avatar.frame.crop_pixels))
        brush = np.ones((2 * reach + 1, 2 * reach + 1), np.uint8)
        head = self.head(index)
        around = cv2.dilate(head.astype(np.uint8), brush) > 0
        compared = share < _BACKGROUND
        # Beside the upper face it can only be hair; lower down, shoulders come close.
        compared[: max(0, int(self._points[index, list(LIPS), 1].mean()) - y0)] = True
        self._regions[index] = np.packbits(head | (around & compared))
        # Within the face, a matte can only be wrong.
        face = cv2.dilate(self._hull(index, FACE_OVAL), brush)
        share = np.where(face > 0, 1, share)[..., None]
        mixed = share * crop + (1 - share) * 255 * self.plate
        return (mixed + 0.5).astype(np.uint8)

    def _hull(self, index: int, numbers: Sequence[int]) -> np.ndarray:
        x0, y0, x1, y1 = self.window
        mask = np.zeros((y1 - y0, x1 - x0), np.uint8)
        points = self._points[index, list(numbers)] - (x0, y0)
        cv2.fillConvexPoly(mask, cv2.convexHull(points.astype(np.int32)), 1)
        return mask

    def _spread_out(self, count: int) -> list[int]:
        usable = np.flatnonzero(self.clip.usable)
        return [int(i) for i in usable[:: max(1, len(usable) // count)]]

    def _followed(self, motion: MotionFrame) -> tuple[BodyMotion | None, MotionFrame]:
        if self.avatar.behind is None:
            return None, motion
        return follow(motion, self.avatar.camera(), SOURCE_VIEW)

    def _camera(self, index: int) -> Camera:
        camera, body = self.avatar.camera(), self.body(index)
        return camera if body is None else replace(camera, viewmat=body @ camera.viewmat)

    def _shown(
        self, looks: Sequence[int]
    ) -> tuple[Float32[np.ndarray, " N"], Float32[np.ndarray, " N"]]:
        """``[N]`` pixels of each splat in the frame that shows most of it, and in a tenth of all.

        A splat that nothing hides and that is not seen from the side shows about one pixel.
        """
        weights = []
        for index in looks:
            camera = self._camera(index)
            nothing = np.zeros((camera.height, camera.width, 1), np.float32)
            posed = self.avatar.pose(self.poses[index])
            weights.append(backproject(posed, nothing, camera, self._workspace)[1].copy())
        ordered = np.sort(np.array(weights, np.float32), axis=0)[::-1]
        return ordered[0], ordered[: max(1, len(looks) // 10)].mean(0)

    def _whole_head(self, index: int) -> Bool[np.ndarray, "S S"]:
        """``[S, S]`` where the head covers the crop in a frame."""
        posed = self._drawn.pose(self.poses[index])
        shares = SplatArrays(posed.means, posed.covars, posed.opacities, self._weight)
        share, alpha = rasterize(shares, self._camera(index), self._workspace)[:2]
        side = self.avatar.frame.crop_pixels
        alpha = alpha.reshape(side, side)
        head = share.reshape(side, side, 3)[..., 0]
        return np.asarray((alpha > 0.5) & (head > 0.5 * alpha))

    def _warped(self, crop: np.ndarray) -> np.ndarray:
        side = self.avatar.frame.crop_pixels
        how = {"flags": cv2.INTER_LINEAR, "borderMode": cv2.BORDER_REPLICATE}
        if self._warp[0, 0] > 0.75:
            return np.asarray(cv2.warpAffine(crop, self._warp, (side, side), **how))
        # Averaged over four samples, lest a reduced frame shimmers.
        double = 2 * self._warp + np.array([[0, 0, 0.5], [0, 0, 0.5]])
        large = cv2.warpAffine(crop, double, (2 * side, 2 * side), **how)
        return np.asarray(cv2.resize(large, (side, side), interpolation=cv2.INTER_AREA))
