"""What a head is laid over: the still picture, as seen from each side that is asked for."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from talkcli.avatar import Backdrop
from talkcli.compose.color import named_color
from talkcli.compose.torso import MovedTorso
from talkcli.compose.window import CropWindow
from talkcli.errors import UsageError
from talkcli.imaging import over_white
from talkcli.layers.colors import split_layers
from talkcli.layers.patches import fill_patches
from talkcli.layers.plate import depth_inside
from talkcli.tracking.landmarks import CROP_SIDE_FH

if TYPE_CHECKING:
    from talkcli.compose.orbit import OrbitedTorso

_FEATHER_PX = 6.0  # width at the crop's border over which the plate fades into the picture
#: Light that may go with a torso beyond its coverage, and what counts as hiding all behind it.
_REST, _OPAQUE = 0.02, 0.05
#: Sides that are kept ready; a camera that moves shows each once.
_KEPT = 8
#: Outside the torso's matte, face heights that show its light, and by which a neck reaches up
#: behind the jaw; inside, the depth up to which the background is continued.
_RIM_FH, _JAW_FH, _DEPTH_FH = 0.04, 0.25, 0.6
#: The background is continued at this many pixels of the longer side: most are out of focus.
_FILLED_PX = 512


@dataclass(frozen=True, eq=False)
class Ground:
    """A still picture from one side.

    Attributes:
        still: ``[height, width, 3 or 4]`` uint8.
        torso: what of it moves; None if nothing does.
    """

    still: np.ndarray
    torso: MovedTorso | None


class Grounds:
    """The still picture of a backdrop, from any side.

    Args:
        backdrop: picture, plate, the crop's place, the torso's matte and where it stands.
        window: the crop in the output.
        size: width and height of the output.
        bg: as the compositor takes it.
        moving: whether the torso will move in any frame.

    Attributes:
        front: as the source's camera sees it.

    Raises:
        UsageError: the background is not a colour, or is a new background for an avatar without
            a torso matte.
        InputError: the background picture cannot be read.
    """

    def __init__(
        self, backdrop: Backdrop, window: CropWindow, size: tuple[int, int], bg: str, moving: bool
    ) -> None:
        self._backdrop, self._window, self._size, self._moving = backdrop, window, size, moving
        self._new = None if bg in ("keep", "plate") else bg
        self._ground: np.ndarray | None = None
        self._ground_bytes: np.ndarray | None = None
        if self._new not in (None, "transparent"):
            self._ground = _ground(bg, *size)
        self._face_px = backdrop.frame.crop_side / CROP_SIDE_FH * size[0] / backdrop.source.shape[1]
        self._still = self._still_picture()
        torso = backdrop.torso
        self._cover = None if torso is None else self._fitted(torso) / np.float32(255)
        self.front = self._from_the_front()
        self._orbited: OrbitedTorso | None = None
        self._sides: OrderedDict[float, Ground] = OrderedDict()

    def at(self, orbit_deg: float) -> Ground:
        """The picture once the camera has gone around the person by some degrees."""
        if not orbit_deg or self._cover is None or self._backdrop.stance is None:
            return self.front
        if orbit_deg not in self._sides:
            self._sides[orbit_deg] = self._from_the_side(orbit_deg)
            if len(self._sides) > _KEPT:
                self._sides.popitem(last=False)
        return self._sides[orbit_deg]

    def _from_the_front(self) -> Ground:
        still, cover, fill = self._still, self._cover, self._backdrop.behind
        behind = self._behind(still, cover, fill) if self._moving else None
        if self._new is not None:
            still, behind = self._over_background(still, cover)
        torso = None
        if self._moving and cover is not None and fill is not None:
            torso = MovedTorso(still, cover, behind, self._face_px)
        return Ground(to_bytes(still), torso)

    def _from_the_side(self, orbit_deg: float) -> Ground:
        if self._orbited is None:
            self._orbited = self._orbited_torso()
        still = self._orbited.draw(orbit_deg)
        cover = np.ascontiguousarray(still[..., 3])
        if self._ground is not None:
            still = still[..., :3] + self._ground * (1 - cover[..., None])
        torso = None
        if self._moving:
            torso = MovedTorso(still, cover, self._ground_bytes, self._face_px)
        return Ground(to_bytes(still), torso)

    def _orbited_torso(self) -> OrbitedTorso:
        # Films from the front need none of it; its solver takes .2 s to import.
        from talkcli.compose.orbit import OrbitedTorso

        cover, tell = self._cover, self._backdrop.stance
        assert cover is not None and tell is not None
        stance = tell()
        if self._new is None:
            self._ground = self._clean(cover)
        if self._ground is not None:
            self._ground_bytes = to_bytes(self._ground)
        colors, _ = split_layers(self._still, cover)
        intrinsics = self._window.intrinsics(stance.camera.K)
        return OrbitedTorso(colors, cover, stance, intrinsics, self._face_px)

    def _clean(self, cover: np.ndarray) -> np.ndarray:
        """The still picture without the torso, ``[height, width, 3]`` float32 0–1."""
        width, height = self._size
        fh = self._face_px
        away = cv2.distanceTransform((cover <= 0.02).astype(np.uint8), cv2.DIST_L2, 5) / fh
        hole = away <= _RIM_FH
        # What the plate has made up near the neck, neck behind the jaw among it, is no background.
        picture = _fit(_on_white(self._backdrop.source), width, height)
        made_up = np.abs(self._still - picture).max(-1) > 0.02
        hole |= made_up & (away <= _JAW_FH)
        scale = min(1.0, _FILLED_PX / max(width, height))
        size = max(8, round(width * scale)), max(8, round(height * scale))
        share = cv2.resize(hole.astype(np.float32), size, interpolation=cv2.INTER_AREA)
        small = cv2.resize(self._still, size, interpolation=cv2.INTER_AREA)
        gap = share > 0
        near = depth_inside(share) <= _DEPTH_FH * fh * scale
        filled = fill_patches(small, gap & near, ~gap)
        large = cv2.resize(filled, (width, height), interpolation=cv2.INTER_CUBIC)
        soft = cv2.GaussianBlur(hole.astype(np.float32), (0, 0), max(0.8, 0.01 * fh))
        soft = np.clip(2 * soft, 0, 1)[..., None]
        return np.clip(self._still + (large - self._still) * soft, 0, 1)

    def _still_picture(self) -> np.ndarray:
        """The picture with the plate in it, ``[height, width, 3]`` float32 0–1."""
        backdrop, window = self._backdrop, self._window
        picture = _fit(_on_white(backdrop.source), *self._size)
        plate = backdrop.plate.astype(np.float32)
        if backdrop.plate.dtype == np.uint8:
            plate /= 255
        x0, y0, x1, y1 = window.box
        part = picture[y0:y1, x0:x1]
        part += (window.cut(plate) - part) * window.ramp(_FEATHER_PX)[..., None]
        return np.clip(picture, 0, 1)

    def _over_background(
        self, still: np.ndarray, cover: np.ndarray | None
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """The torso alone, over a new background or premultiplied with its alpha.

        Returns:
            The picture, and the background as bytes; None if transparent.
        """
        if cover is None:
            raise UsageError(
                f"this avatar was built without the torso's outline that --bg {self._new} needs",
                "build it again from its picture",
            )
        colors, _ = split_layers(still, cover)  # removes the old background from the rim
        if self._ground is None:
            return np.dstack([colors * cover[..., None], cover]), None
        ground = self._ground
        return ground + (colors - ground) * cover[..., None], to_bytes(ground)

    def _behind(
        self, still: np.ndarray, cover: np.ndarray | None, fill: np.ndarray | None
    ) -> np.ndarray | None:
        """The still picture without the torso's rim, ``[height, width, 3]`` uint8.

        A fill may be wrong. Where the torso would need colours that it cannot have to make up for
        it, the background is what is left of the picture instead.
        """
        if cover is None or fill is None:
            return None
        fill = self._fitted(fill).astype(np.float32) / 255
        behind = still + (fill[..., :3] - still) * fill[..., 3:]
        through = 1 - cover[..., None]
        torso = np.clip(still - through * behind, -_REST, 1 - through + _REST)
        left = np.clip((still - torso) / np.maximum(through, _OPAQUE), 0, 1)
        return to_bytes(np.where(through > _OPAQUE, left, behind))

    def _fitted(self, image: np.ndarray) -> np.ndarray:
        return _fit(image, *self._size)


def _ground(bg: str, width: int, height: int) -> np.ndarray:
    """A colour or a picture that fills the frame, ``[height, width, 3]`` float32 0–1."""
    if color := named_color(bg):
        return np.full((height, width, 3), [level / 255 for level in color], np.float32)
    from talkcli.media.image import read_image

    picture = read_image(bg)
    scale = max(width / picture.shape[1], height / picture.shape[0])
    # Only what shows is enlarged: a strip of 1 x 32,000 would fill the memory.
    across, down = max(1, round(width / scale)), max(1, round(height / scale))
    left, top = (picture.shape[1] - across) // 2, (picture.shape[0] - down) // 2
    shown = over_white(picture[top : top + down, left : left + across])
    return _fit(shown, width, height).astype(np.float32) / 255


def _on_white(picture: np.ndarray) -> np.ndarray:
    """Convert RGBA bytes to ``[H, W, 3]`` float32 0–1, white where transparent."""
    return over_white(picture).astype(np.float32) / 255


def _fit(image: np.ndarray, width: int, height: int) -> np.ndarray:
    """Resize an image, into a new array."""
    if image.shape[:2] == (height, width):
        return image.copy()
    shrink = height * width < image.shape[0] * image.shape[1]
    method = cv2.INTER_AREA if shrink else cv2.INTER_CUBIC
    return cv2.resize(image, (width, height), interpolation=method)


def to_bytes(image: np.ndarray) -> np.ndarray:
    """Convert floats 0–1 to bytes; four channels are premultiplied and become straight alpha."""
    if image.shape[2] == 4:
        alpha = image[..., 3:]
        image = np.concatenate([image[..., :3] / np.maximum(alpha, 1e-4), alpha], 2)
    return cv2.convertScaleAbs(np.maximum(image, 0), alpha=255)
