"""What the portrait engine knows of a picture, as maps for a network to learn from.

The avatar of a picture is drawn as the picture shows it, turned, and turned with another
expression. Each drawing comes with the depth of its first and last surface, its coverage, how far
every pixel follows the head, and the vertices of the face: exact targets from sides that no clip
shows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import torch

from talkcli.avatar import View
from talkcli.config import PortraitConfig
from talkcli.engines.portrait.avatar import PortraitAvatar
from talkcli.engines.portrait.build.build import build_unrounded
from talkcli.engines.portrait.splats import Layer
from talkcli.errors import InputError
from talkcli.face.pose import NECK_PIVOT
from talkcli.imaging import over_white
from talkcli.render import render
from talkcli.render.solid import solidify
from talkcli.shapes import Float, UInt8
from talkcli.tracking.landmarks import Face, crop_rectangle, detect_faces
from talkcli.train.packs import as_jpeg, as_png, picture_of
from talkcli.types import Cameras, Gaussians, MotionFrame, SplatArrays, shape_columns

#: Kind of the packs that hold these records.
KIND = "avatars"
#: Sides of the source's picture and of the maps, pixels.
PICTURE_PX, MAP_PX = 256, 128
#: Depths are stored in steps of .2 mm, from 40 cm before the head's origin.
_STEP_CM, _NEAREST_CM = 0.02, -40.0
#: Turned views reach as far as Splat-Portrait's extreme poses: yaw and pitch, degrees.
_YAW_DEG, _PITCH_DEG = 45.0, 12.5
_FIT_ITERATIONS = 3
_SURFACES = (Layer.SKIN, Layer.COMPLETION, Layer.SHELL)
#: Pixels that are covered less have no depth.
_COVERED = 0.05


@dataclass(frozen=True)
class Drawing:
    """One view of an avatar, the head alone; cameras look along z, and depth is camera z.

    Attributes:
        rgb: ``[S, S, 3]`` uint8 the view before its background.
        alpha: ``[M, M]`` float32 coverage of head and neck, 0–1.
        front: ``[M, M]`` float32 depth of the first surface behind the head's origin, centimetres.
        back: ``[M, M]`` float32 that of the last surface.
        weight: ``[M, M]`` float32 share of the head's rotation, 0–1.
        back_rgb: ``[m, m, 3]`` uint8 colour of the last surface.
        vertices: ``[478, 3]`` float32 the face, camera axes, centimetres from the head's origin.
        origin: ``[3]`` the head's origin in the camera's frame, centimetres.
        euler: ``[3]`` yaw, pitch, roll, degrees.
        focal: focal length in sides of the picture.
    """

    rgb: UInt8[np.ndarray, "S S 3"]
    alpha: Float[np.ndarray, "M M"]
    front: Float[np.ndarray, "M M"]
    back: Float[np.ndarray, "M M"]
    weight: Float[np.ndarray, "M M"]
    back_rgb: UInt8[np.ndarray, "m m 3"]
    vertices: Float[np.ndarray, "478 3"]
    origin: Float[np.ndarray, " 3"]
    euler: Float[np.ndarray, " 3"]
    focal: float

    def packed(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """JSON values and arrays for a record."""
        facts = {
            "origin": [float(v) for v in self.origin],
            "euler": [float(v) for v in self.euler],
            "focal": self.focal,
        }
        half = (MAP_PX // 2, MAP_PX // 2)
        back = cv2.resize(self.back, half, interpolation=cv2.INTER_AREA)
        return facts, {
            "rgb": as_jpeg(self.rgb),
            "alpha": as_png(_bytes(self.alpha)),
            "front": as_png(_steps(self.front)),
            "back": as_png(_steps(back)),
            "weight": as_png(_bytes(cv2.resize(self.weight, half, interpolation=cv2.INTER_AREA))),
            "back_rgb": as_jpeg(self.back_rgb, 80),
            "vertices": self.vertices.astype(np.float16),
        }

    @staticmethod
    def unpacked(facts: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Drawing:
        """The inverse of :meth:`packed`, all maps at :data:`MAP_PX`."""

        def plane(name: str) -> np.ndarray:
            image = picture_of(arrays[name]).astype(np.float32)
            size = (MAP_PX, MAP_PX)
            return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_LINEAR))

        return Drawing(
            rgb=picture_of(arrays["rgb"]),
            alpha=plane("alpha") / 255,
            front=plane("front") * _STEP_CM + _NEAREST_CM,
            back=plane("back") * _STEP_CM + _NEAREST_CM,
            weight=plane("weight") / 255,
            back_rgb=picture_of(arrays["back_rgb"]),
            vertices=arrays["vertices"].astype(np.float32),
            origin=np.array(facts["origin"]),
            euler=np.array(facts["euler"]),
            focal=float(facts["focal"]),
        )


def teach(
    rgba: UInt8[np.ndarray, "H W 4"], generator: np.random.Generator
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Build the avatar of the largest face of a picture, and draw it from three sides.

    Args:
        rgba: ``[H, W, 4]`` uint8, straight alpha.
        generator: chooses the other two views and the expression of the last.

    Returns:
        JSON values and arrays for a record; names of the arrays begin with the view's number:
        0 the source, 1 turned, 2 turned and with another expression. ``plate`` is what is behind.

    Raises:
        InputError: no face is found.
    """
    faces = detect_faces(np.ascontiguousarray(over_white(rgba)), small=False)
    if not faces:
        raise InputError("no face was found", "use another picture")
    config = PortraitConfig(max_crop=PICTURE_PX, fit_iterations=_FIT_ITERATIONS)
    avatar = build_unrounded(rgba, faces[0], config, max(rgba.shape[:2]))
    facts: dict[str, Any] = {"views": []}
    arrays: dict[str, np.ndarray] = {"plate": as_jpeg(_resized(_levels(avatar.plate), MAP_PX), 80)}
    picture = crop_of(rgba, faces[0])
    for number, (motion, view) in enumerate(_looks(avatar, generator)):
        drawn = draw_view(avatar, motion, view)
        if number == 0:
            drawn = Drawing(**{**vars(drawn), "rgb": picture})
        own, maps = drawn.packed()
        facts["views"].append(own)
        arrays |= {f"{number}.{name}": array for name, array in maps.items()}
    return facts, arrays


def crop_of(rgba: UInt8[np.ndarray, "H W 4"], face: Face) -> UInt8[np.ndarray, "S S 3"]:
    """``[S, S, 3]`` the standard crop of a face at :data:`PICTURE_PX`, its edges continued."""
    x, y, side = crop_rectangle(face.points)
    scale = PICTURE_PX / side
    matrix = np.array([[scale, 0, -x * scale], [0, scale, -y * scale]])
    rgb = np.ascontiguousarray(over_white(rgba))
    if scale < 1:
        rgb = cv2.GaussianBlur(rgb, (0, 0), 0.4 / scale)
    size = (PICTURE_PX, PICTURE_PX)
    return np.asarray(
        cv2.warpAffine(rgb, matrix, size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    )


def _looks(
    avatar: PortraitAvatar, generator: np.random.Generator
) -> list[tuple[MotionFrame | None, View]]:
    """Motion and view of the three drawings."""
    yaw = avatar.source_euler[0]
    sides = [(-_YAW_DEG, yaw - 12.0), (yaw + 12.0, _YAW_DEG)]
    widths = np.array([max(high - low, 0.0) for low, high in sides])
    low, high = sides[int(generator.random() * widths.sum() > widths[0])]
    turned = View(float(generator.uniform(low, max(high, low + 1))))
    still = MotionFrame.neutral()
    pitch, roll = generator.uniform(-_PITCH_DEG, _PITCH_DEG), generator.normal(0, 6)
    motion = MotionFrame(
        _expression(generator),
        np.array([0, pitch, roll], np.float32),
        still.translation,
        generator.uniform(-8, 8, 2).astype(np.float32),
    )
    aside = View(float(generator.uniform(-_YAW_DEG, _YAW_DEG)))
    return [(None, View()), (None, turned), (motion, aside)]


def _expression(generator: np.random.Generator) -> Float[np.ndarray, " 52"]:
    """``[52]`` a random expression."""
    found = np.zeros(52, np.float32)
    moves = {
        "jawOpen": (0.6, 0.8), "mouthSmile": (0.35, 0.9), "mouthPucker": (0.2, 0.9),
        "mouthFunnel": (0.2, 0.6), "mouthFrown": (0.15, 0.6), "mouthPress": (0.1, 0.6),
        "mouthUpperUp": (0.2, 0.5), "mouthLowerDown": (0.2, 0.5), "browInnerUp": (0.3, 0.9),
        "browDown": (0.2, 0.8), "eyeBlink": (0.25, 1.0), "eyeWide": (0.15, 0.7),
        "cheekPuff": (0.1, 0.6), "jawLeft": (0.1, 0.5), "jawRight": (0.1, 0.5),
    }  # fmt: skip
    for name, (chance, most) in moves.items():
        if generator.random() < chance:
            found[shape_columns(name)] = generator.uniform(0, most)
    return found


def draw_view(avatar: PortraitAvatar, motion: MotionFrame | None, view: View) -> Drawing:
    """Draw an avatar and its maps; a motion of None keeps the source's expression."""
    splats, camera = avatar.pose(motion, view, hidden=True), avatar.camera(motion, view)
    size = MAP_PX / camera.width
    intrinsics = camera.K * np.array([[size], [size], [1.0]])
    cameras = Cameras(
        torch.from_numpy(camera.viewmat).float()[None],
        torch.from_numpy(intrinsics).float()[None],
        MAP_PX,
        MAP_PX,
    )
    weight = np.clip(avatar.splats.head_weight, 0, 1)[:, None].astype(np.float32)
    with torch.no_grad():
        drawn = render(
            splats.gaussians(), cameras, features=torch.from_numpy(weight), backend="cpu"
        )
    assert drawn.features is not None and drawn.depth is not None
    own = drawn.alpha[0, ..., 0].numpy()
    safe = np.maximum(own, 1e-3)
    turn = avatar.head_rotation(motion, view.yaw_deg)
    to_camera = camera.viewmat[:3, :3] @ turn
    lean = NECK_PIVOT - turn @ NECK_PIVOT
    origin = camera.viewmat[:3, :3] @ lean + camera.viewmat[:3, 3]
    front = drawn.depth[0, ..., 0].numpy() / safe - origin[2]
    back, back_rgb = _last_surface(avatar, splats, cameras)
    back = np.maximum(np.where(np.isnan(back), front, back - origin[2]), front)
    rgb, alpha = drawn.rgb[0].numpy().copy(), own.copy()
    solidify(rgb, alpha)
    covered = own > _COVERED
    delta = np.zeros(3) if motion is None else motion.rotation
    yaw, pitch, roll = avatar.source_euler
    return Drawing(
        rgb=_levels(rgb + (1 - alpha[..., None]) * _behind(avatar)),
        alpha=alpha,
        front=np.where(covered, front, 0).astype(np.float32),
        back=np.where(covered, back, 0).astype(np.float32),
        weight=np.where(covered, drawn.features[0, ..., 0].numpy() / safe, 0).astype(np.float32),
        back_rgb=_resized(_levels(back_rgb), MAP_PX // 2),
        vertices=((avatar.vertices + avatar.displacement(motion)) @ to_camera.T).astype(np.float32),
        origin=origin,
        euler=np.array(
            [(yaw if view.yaw_deg is None else view.yaw_deg) + delta[0], pitch + delta[1],
             roll + delta[2]]
        ),
        focal=float(camera.K[0, 0] / camera.width),
    )  # fmt: skip


def _behind(avatar: PortraitAvatar) -> Float[np.ndarray, "M M 3"]:
    plate = np.asarray(avatar.plate, np.float32)
    return np.asarray(cv2.resize(plate, (MAP_PX, MAP_PX), interpolation=cv2.INTER_AREA))


def _last_surface(
    avatar: PortraitAvatar, splats: SplatArrays, cameras: Cameras
) -> tuple[Float[np.ndarray, "M M"], Float[np.ndarray, "M M 3"]]:
    """Depth (NaN where there is none) and colour of what a ray leaves last.

    Every splat is moved along its ray to the other side of a plane, so that the last one is met
    first.
    """
    chosen = np.isin(avatar.splats.layers, _SURFACES) & (avatar.splats.opacities > 0.3)
    view = cameras.viewmats[0]
    points = torch.from_numpy(splats.means[chosen]) @ view[:3, :3].T + view[:3, 3]
    plane = 2 * view[2, 3]
    mirrored = plane - points[:, 2:]
    points = (points * (mirrored / points[:, 2:])).contiguous()
    variance = (0.8 * mirrored[:, 0] / cameras.Ks[0, 0, 0]) ** 2
    covars = torch.zeros(len(points), 6)
    covars[:, [0, 3, 5]] = variance[:, None]
    flat = Gaussians(
        means=points,
        opacities=torch.full((len(points),), 0.95),
        colors=torch.from_numpy(splats.colors[chosen]),
        covars=covars,
    )
    camera = Cameras(torch.eye(4)[None], cameras.Ks, cameras.width, cameras.height)
    with torch.no_grad():
        drawn = render(flat, camera, backend="cpu")
    assert drawn.depth is not None
    alpha = drawn.alpha[0, ..., 0].numpy()
    safe = np.maximum(alpha, 1e-3)
    depth = float(plane) - drawn.depth[0, ..., 0].numpy() / safe
    return np.where(alpha > 0.3, depth, np.nan), drawn.rgb[0].numpy() / safe[..., None]


def _levels(image: np.ndarray) -> UInt8[np.ndarray, "H W 3"]:
    if image.dtype == np.uint8:
        return image
    return (np.clip(image, 0, 1) * 255 + 0.5).astype(np.uint8)


def _bytes(plane: np.ndarray) -> UInt8[np.ndarray, "H W"]:
    return (np.clip(plane, 0, 1) * 255 + 0.5).astype(np.uint8)


def _steps(depth: np.ndarray) -> np.ndarray:
    return np.clip((depth - _NEAREST_CM) / _STEP_CM + 0.5, 0, 65535).astype(np.uint16)


def _resized(image: np.ndarray, side: int) -> np.ndarray:
    return np.asarray(cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA))
