"""Eyes that turn and lids that close: a completed eyeball, a turning iris, skin behind the lid."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from talkcli.engines.portrait.build.geometry import HeadGeometry
from talkcli.engines.portrait.build.groups import (
    PIXEL_SPREAD,
    SplatGroup,
    grid_neighbours,
    grid_tangents,
)
from talkcli.engines.portrait.build.images import (
    at,
    blur,
    dilate,
    erode,
    fill_smooth,
    mean_color,
    nearest,
    window,
)
from talkcli.engines.portrait.splats import Layer
from talkcli.face.measures import EYEBALL_CM
from talkcli.face.topology import EYE_LEFT, EYE_RIGHT, Eye
from talkcli.imaging import smoothstep
from talkcli.shapes import Bool, Float

#: The iris floats this far above the eyeball's surface, centimetres.
_IRIS_LIFT_CM = 0.12
#: Factor on the landmarks' radius that includes the dark ring around the iris.
_LIMBUS = 1.12
#: Skin behind the lid lies this far under the lid's own skin, centimetres.
_LID_UNDER_CM = 0.10


@dataclass(frozen=True)
class EyeParts:
    """One eye in the picture.

    Attributes:
        eyeball: ``[S, S, 3]`` colours of the eyeball without iris.
        area: ``[S, S]`` bool, pixels of the eyeball layer: the opening and its surroundings.
        surface: ``[S, S, 3]`` points of the eyeball layer, pixel space.
        centre: ``[3]`` eyeball centre, pixel space.
        iris: splats of the iris.
        lid: splats behind the upper lid.
    """

    eyeball: Float[np.ndarray, "S S 3"]
    area: Bool[np.ndarray, "S S"]
    surface: Float[np.ndarray, "S S 3"]
    centre: Float[np.ndarray, " 3"]
    iris: SplatGroup
    lid: SplatGroup


def eye_parts(
    rgb: Float[np.ndarray, "S S 3"], positions: Float[np.ndarray, "S S 3"], geometry: HeadGeometry
) -> list[EyeParts]:
    """Build the right and the left eye.

    Args:
        rgb: ``[S, S, 3]`` crop.
        positions: ``[S, S, 3]`` pixel space, eye openings already set back.
        geometry: the measured head.
    """
    return [_eye(rgb, positions, geometry, eye) for eye in (EYE_RIGHT, EYE_LEFT)]


def _eye(rgb: np.ndarray, positions: np.ndarray, geometry: HeadGeometry, eye: Eye) -> EyeParts:
    opening = _opening(geometry, eye)
    centre_px = geometry.landmarks[eye.iris_centre]
    rim = geometry.landmarks[list(eye.iris_rim)]
    radius = float(np.linalg.norm(rim - centre_px, axis=1).mean()) * _LIMBUS
    reach = max(2, int(0.025 * geometry.face_height))
    area = dilate(opening, reach) & geometry.on_face
    eyeball, surface, depth = np.zeros_like(rgb), np.zeros_like(positions), 0.0
    if opening.any():
        # Nothing further away than the iris, whose centre may lie outside, needs anything of this.
        box = window(opening, reach + int(2 * radius) + 4)
        from_centre = np.hypot(
            geometry.pixel_x[:, box[1]] - centre_px[0], geometry.pixel_y[box[0]] - centre_px[1]
        )
        shown = opening[box]
        eyeball[box] = _without_iris(rgb[box], shown, from_centre / radius)
        surface[..., 2] = depth = float(np.median(positions[opening][:, 2]))
        surface[box] = geometry.camera.unproject(
            geometry.pixel_x[:, box[1]],
            geometry.pixel_y[box[0]],
            at(positions[box][..., 2], nearest(shown)[1]),
        )
    out = geometry.pose.to_image(np.array([0, 0, 1.0])) - geometry.pose.to_image(np.zeros(3))
    front = geometry.camera.unproject(centre_px[0], centre_px[1], np.asarray(depth))
    centre = front - EYEBALL_CM * out
    iris = _iris(rgb, opening, centre_px, radius, surface[..., 2], geometry)
    return EyeParts(eyeball, area, surface, centre, iris, _lid(rgb, geometry, eye))


def _opening(geometry: HeadGeometry, eye: Eye) -> np.ndarray:
    corners = geometry.landmarks[list(eye.corners)]
    middle, reach = corners.mean(0), np.linalg.norm(corners[0] - corners[1])
    near = np.hypot(geometry.pixel_x - middle[0], geometry.pixel_y - middle[1]) < 0.8 * reach
    return np.asarray(geometry.eye_mask() & near)


def _without_iris(rgb: np.ndarray, opening: np.ndarray, from_centre: np.ndarray) -> np.ndarray:
    """The opening, with the sclera continued behind the iris; ``from_centre`` in iris radii."""
    luma = mean_color(rgb)
    white = opening & (from_centre > 1.05)
    if white.sum() < 6:
        white = opening
    # Brighter pixels weigh more, since lashes and the shadow under the lid are not sclera.
    low, high = np.quantile(luma[white], (0.35, 0.9))
    weight = white * (0.02 + smoothstep((luma - low) / max(high - low, 1e-3)))
    completed = fill_smooth(rgb, weight)
    behind = smoothstep((1.0 - from_centre) / 0.08)[..., None]
    inside = np.where(opening[..., None], rgb * (1 - behind) + completed * behind, 0)
    # Around the opening lies what the lids uncover when the eye widens, slightly in their shadow.
    around = 0.85 * at(inside, nearest(opening)[1])
    return np.where(opening[..., None], inside, around).astype(np.float32)


def _iris(
    rgb: np.ndarray,
    opening: np.ndarray,
    centre: np.ndarray,
    radius: float,
    depth: np.ndarray,
    geometry: HeadGeometry,
) -> SplatGroup:
    """A disc of source pixels; parts hidden by lids come from the opposite side of the iris."""
    reach = int(np.ceil(1.2 * radius)) + 1
    base = np.floor(centre).astype(int)
    grid = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    rows, columns = (
        np.clip(grid[0] + base[1], 0, len(rgb) - 1),
        np.clip(grid[1] + base[0], 0, len(rgb) - 1),
    )
    dx, dy = columns + 0.5 - centre[0], rows + 0.5 - centre[1]
    distance = np.hypot(dx, dy)
    clear = erode(opening)
    shown = clear[rows, columns]
    color = rgb[rows, columns]
    for mirror in ((-1, -1), (-1, 1), (1, -1)):
        x = np.clip(np.floor(centre[0] + mirror[0] * dx).astype(int), 0, len(rgb) - 1)
        y = np.clip(np.floor(centre[1] + mirror[1] * dy).astype(int), 0, len(rgb) - 1)
        usable = ~shown & clear[y, x]
        color = np.where(usable[..., None], rgb[y, x], color)
        shown = shown | usable
    disc = distance < radius
    if (disc & shown).any():
        dark = np.quantile(color[disc & shown], 0.3, axis=0)
        color = np.where(shown[..., None], color, dark)
    opacity = 0.98 * (1 - smoothstep((distance - 1.04 * radius) / (0.16 * radius + 0.5)))
    lifted = depth[rows, columns] - _IRIS_LIFT_CM * geometry.pose.scale
    points = geometry.camera.unproject(columns + 0.5, rows + 0.5, lifted)
    kept = (opacity > 0.02).ravel()
    tangent_u, tangent_v = grid_tangents(points)
    return SplatGroup(
        layer=Layer.IRIS,
        positions=points.reshape(-1, 3)[kept],
        tangent_u=tangent_u.reshape(-1, 3)[kept],
        tangent_v=tangent_v.reshape(-1, 3)[kept],
        colors=color.reshape(-1, 3)[kept],
        opacities=opacity.ravel()[kept],
        spread=PIXEL_SPREAD,
    )


def _lid(rgb: np.ndarray, geometry: HeadGeometry, eye: Eye) -> SplatGroup:
    """Skin stretched from the ring above the lid to the lid's rim, always opaque.

    It lies behind the lid's own skin. An open eye folds it away; a closing lid pulls the skin's
    splats apart, and through the gaps this shows instead of the eye.
    """
    ring = np.array([eye.corners[0], *eye.upper_ring, eye.corners[1]])
    rim = np.array([eye.corners[0], *eye.upper, eye.corners[1]])
    width = np.linalg.norm(np.diff(geometry.landmarks[list(eye.corners)], axis=0))
    columns, rows = int(1.5 * width) + 8, int(0.7 * width) + 8
    u, v = np.meshgrid(np.linspace(0.1, 7.9, columns), np.linspace(-0.1, 1, rows))
    k = np.clip(np.floor(u).astype(int), 0, 7)
    f = u - k
    vertices = np.stack([ring[k], ring[k + 1], rim[k], rim[k + 1]], -1).reshape(-1, 4)
    weights = np.stack([(1 - f) * (1 - v), f * (1 - v), (1 - f) * v, f * v], -1).reshape(-1, 4)
    points = np.einsum("nk,nkd->nd", weights, geometry.vertices[vertices])
    out = geometry.pose.to_image(np.array([0, 0, 1.0])) - geometry.pose.to_image(np.zeros(3))
    # The eyeball makes the closed lid bulge, so the skin lies less far behind in the middle.
    bulge = (0.06 * np.sin(np.pi * np.clip(u / 8, 0, 1)) * np.clip(v, 0, 1)).reshape(-1, 1)
    points += (bulge - _LID_UNDER_CM) * out
    color = np.broadcast_to(_lid_color(rgb, geometry, eye), (rows, columns, 3))
    color = color * (1.03 - 0.12 * v)[..., None]
    lash = smoothstep((v - 0.92) / 0.06)[..., None]
    color = color * (1 - 0.45 * lash) + 0.05 * lash
    grid = points.reshape(rows, columns, 3)
    tangent_u, tangent_v = grid_tangents(grid)
    return SplatGroup(
        layer=Layer.LID,
        positions=points,
        tangent_u=tangent_u.reshape(-1, 3),
        tangent_v=tangent_v.reshape(-1, 3),
        colors=color.reshape(-1, 3),
        opacities=np.full(len(points), 0.98),
        vertices=vertices,
        weights=weights,
        neighbours=grid_neighbours(rows, columns),
    )


def _lid_color(rgb: np.ndarray, geometry: HeadGeometry, eye: Eye) -> np.ndarray:
    """Median of the brighter skin between lid and brow; the darker part is lashes and shadow."""
    outline = np.concatenate(
        [geometry.landmarks[list(eye.upper_ring)], geometry.landmarks[list(eye.brow[5:])][::-1]]
    )
    mask = np.zeros(rgb.shape[:2], np.uint8)
    cv2.fillPoly(mask, [np.round(outline).astype(np.int32)], 1)
    box = window(mask > 0, 6)
    pixels = blur(rgb[box], 1.0)[mask[box] > 0] if mask.any() else rgb[:0, 0]
    if len(pixels) < 8:
        pixels = rgb[geometry.on_face]
    brightness = pixels.mean(1)
    return np.asarray(np.median(pixels[brightness >= np.quantile(brightness, 0.45)], 0))
