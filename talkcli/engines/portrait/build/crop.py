"""The standard square around a head, cut from its picture."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from talkcli.avatar import PictureFrame
from talkcli.face.measures import face_height
from talkcli.imaging import over_white
from talkcli.shapes import Float, UInt8
from talkcli.tracking.landmarks import Face, crop_rectangle

#: Smaller crops are enlarged to this; below it, eyes and teeth have too few pixels.
MIN_CROP_PX = 192
#: Small pictures are enlarged to this: at their own resolution, splats bridge lips that part by
#: less than two pixels, and teeth did not show in pictures of 226 pixels. The PSNR of eight
#: pictures of 224 to 262 pixels rises from 43.0 to 44.5 dB, the worst from 36.4 to 40.9, for one
#: more second of building.
SMALL_CROP_PX = 512
#: Crops of this size count as large enough: a tenth more pixels would show nothing more, cost a
#: quarter more splats, and make every frame be shrunk again.
_NEARLY_LARGE_PX = 448


@dataclass(frozen=True)
class Crop:
    """The head's square cut from the picture, padded by replication, below by reflection.

    Attributes:
        rgb: ``[S, S, 3]`` float32 0–1, white where the picture is transparent.
        alpha: ``[S, S]`` the picture's own transparency, or None.
        points: ``[478, 3]`` landmarks in crop pixels, FaceMesh depth.
        inside: x0, y0, x1, y1 of real pixels within the crop.
        frame: its place in the picture.
    """

    rgb: Float[np.ndarray, "S S 3"]
    alpha: Float[np.ndarray, "S S"] | None
    points: Float[np.ndarray, "478 3"]
    inside: tuple[int, int, int, int]
    frame: PictureFrame

    @property
    def face_height(self) -> float:
        """Distance from forehead to chin, crop pixels."""
        return float(face_height(self.points))


def cut_crop(
    picture: UInt8[np.ndarray, "H W C"], face: Face, output_side: int, max_crop: int
) -> Crop:
    """Cut and scale the standard head crop out of a picture.

    Args:
        picture: ``[H, W, 4]`` uint8 RGBA.
        face: in pixels of the picture.
        output_side: longest side of the video, pixels; the crop is cut at that scale.
        max_crop: longest side of the crop, pixels.
    """
    height, width = picture.shape[:2]
    x, y, side = (round(v) for v in crop_rectangle(face.points))
    scale = min(1.0, output_side / max(height, width))
    own = round(side * scale)
    least = MIN_CROP_PX if scale < 1 or own >= _NEARLY_LARGE_PX else SMALL_CROP_PX
    pixels = min(max(own, least), max_crop)
    left, top = max(0, -x), max(0, -y)
    right, bottom = max(0, x + side - width), max(0, y + side - height)
    padded = cv2.copyMakeBorder(picture, top, 0, left, right, cv2.BORDER_REPLICATE)
    # Below, a raised chest shows a little of it: mirrored cloth is cloth, smeared cloth is not.
    padded = cv2.copyMakeBorder(padded, 0, bottom, 0, 0, cv2.BORDER_REFLECT_101)
    cut = padded[y + top : y + top + side, x + left : x + left + side]
    # Composited on white before scaling, lest colours under full transparency bleed into the rim.
    if int(cut[..., 3].min()) < 255:
        cut = np.dstack([over_white(cut), cut[..., 3]])
    shrink = cv2.INTER_AREA if pixels < side else cv2.INTER_CUBIC
    cut = cv2.resize(np.ascontiguousarray(cut), (pixels, pixels), interpolation=shrink)
    ratio = pixels / side
    inside = (
        int(np.ceil(left * ratio)),
        int(np.ceil(top * ratio)),
        int((side - right) * ratio),
        int((side - bottom) * ratio),
    )
    transparent = bool((picture[..., 3] < 250).any())
    return Crop(
        rgb=cut[..., :3].astype(np.float32) / 255,
        alpha=cut[..., 3].astype(np.float32) / 255 if transparent else None,
        points=(face.points - (x, y, 0)) * ratio,
        inside=inside,
        frame=PictureFrame(width, height, x, y, side, pixels),
    )
