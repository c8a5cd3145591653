"""What a fit compares with: frames of the clip, in the pixels of the avatar's crop.

Only the window that the head covers in some frame is kept. The neck is the portrait's own: pixels
that the rig moves less than half as much as the head are no target. Around the head, what the matte
calls background is replaced by the avatar's plate, so that hair does not learn what is behind it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import cv2
import numpy as np

from talkcli.avatar import Camera
from talkcli.engines.portrait.avatar import PortraitAvatar
from talkcli.face.topology import FACE_OVAL, LIPS
from talkcli.layers.clip import PreparedClip
from talkcli.render.cpu import Workspace, backproject, rasterize
from talkcli.shapes import Bool, Float, Integer, UInt8
from talkcli.types import MotionFrame, SplatArrays

#: Frames in which splats are looked for that are seen at all.
_LOOKS = 60
#: A splat whose blend weights add up to less in all of them is left as it is.
_LEAST_WEIGHT = 0.05
#: Splats with less of the head's weight belong to the neck.
_LEAST_HEAD = 0.25
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
        keep: ``[M]`` splats that can be seen in some frame and belong to the head.
        window: x0, y0, x1, y1 of the crop.
    """

    avatar: PortraitAvatar
    clip: PreparedClip
    motions: Sequence[MotionFrame]
    keep: Integer[np.ndarray, " M"] = field(init=False)
    window: tuple[int, int, int, int] = field(init=False)

    def __post_init__(self) -> None:
        self._workspace = Workspace()
        self._targets: dict[int, UInt8[np.ndarray, "h w 3"]] = {}
        self._regions: dict[int, UInt8[np.ndarray, " bits"]] = {}
        self._heads: dict[int, UInt8[np.ndarray, " bits"]] = {}
        self._bytes = 0
        self._place = {int(number): place for place, number in enumerate(self.clip.stored)}
        side, frame = self.avatar.frame.crop_pixels, self.avatar.frame
        looks = self._spread_out(_LOOKS)
        seen = self._seen(looks)
        self._drawn = self.avatar.part(np.flatnonzero(seen))
        weight = np.clip(self._drawn.splats.head_weight, 0, 1).astype(np.float32)
        self._weight = np.repeat(weight[:, None], 3, 1)
        self.keep = np.flatnonzero(seen & (self.avatar.splats.head_weight > _LEAST_HEAD))
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

    @cached_property
    def camera(self) -> Camera:
        """The avatar's camera, cut to the window."""
        x0, y0, x1, y1 = self.window
        K = self.avatar.K.copy()
        K[:2, 2] -= (x0, y0)
        return Camera(self.avatar.viewmat, K, x1 - x0, y1 - y0)

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
        self._regions[index] = np.packbits(head | (around & (share < _BACKGROUND)))
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

    def _seen(self, looks: Sequence[int]) -> Bool[np.ndarray, " N"]:
        camera = self.avatar.camera()
        nothing = np.zeros((camera.height, camera.width, 1), np.float32)
        most = np.zeros(len(self.avatar.splats), np.float32)
        for index in looks:
            posed = self.avatar.pose(self.motions[index])
            _, weight = backproject(posed, nothing, camera, self._workspace)
            np.maximum(most, weight, out=most)
        return np.asarray(most > _LEAST_WEIGHT)

    def _whole_head(self, index: int) -> Bool[np.ndarray, "S S"]:
        """``[S, S]`` where the head covers the crop in a frame."""
        posed = self._drawn.pose(self.motions[index])
        shares = SplatArrays(posed.means, posed.covars, posed.opacities, self._weight)
        share, alpha = rasterize(shares, self.avatar.camera(), self._workspace)[:2]
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
