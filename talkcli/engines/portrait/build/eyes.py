"""Eyes that turn and lids that close: a completed eyeball, a turning iris, skin behind the lid."""

from __future__ import annotations

from dataclasses import dataclass, replace

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
    filled,
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
#: An iris may be larger than that by this; contrast with the white, and pixels, that tell its size.
_LARGEST, _CONTRAST, _LEAST_PX = 1.3, 0.12, 8
#: Iris radii up to which the white is continued, over a width, and from which it is known: the iris
#: itself covers 1.04, and fades out at 1.2.
_CONTINUED, _CONTINUED_OVER, _KNOWN = 1.15, 0.1, 1.18
#: Skin behind the lid lies this far under the lid's own skin, centimetres.
_LID_UNDER_CM = 0.10
#: Lashes lie this far in front of the closed lid's rim, centimetres, hang down to this many heights
#: of the lid, and are this many clusters.
_LASHES_OVER_CM, _LASH_END, _LASHES = 0.08, 1.16, 17


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
        lashes: splats of the lashes of the closed upper lid.
    """

    eyeball: Float[np.ndarray, "S S 3"]
    area: Bool[np.ndarray, "S S"]
    surface: Float[np.ndarray, "S S 3"]
    centre: Float[np.ndarray, " 3"]
    iris: SplatGroup
    lid: SplatGroup
    lashes: SplatGroup


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
        radius = _seen_radius(rgb[box], shown, from_centre, radius)
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
    lid, lashes = _lid(rgb, geometry, eye), _lashes(rgb, geometry, eye)
    return EyeParts(eyeball, area, surface, centre, iris, lid, lashes)


def _opening(geometry: HeadGeometry, eye: Eye) -> np.ndarray:
    corners = geometry.landmarks[list(eye.corners)]
    middle, reach = corners.mean(0), np.linalg.norm(corners[0] - corners[1])
    near = np.hypot(geometry.pixel_x - middle[0], geometry.pixel_y - middle[1]) < 0.8 * reach
    return np.asarray(geometry.eye_mask() & near)


def _seen_radius(
    rgb: np.ndarray, opening: np.ndarray, from_centre: np.ndarray, radius: float
) -> float:
    """Pixels from the iris's centre to where it is half as bright as the white, or ``radius``.

    Some irises are larger than their landmarks, and what is left of one stays when the eye turns.
    """
    luma, clear = mean_color(rgb), erode(opening)
    inside, outside = clear & (from_centre < 0.7 * radius), clear & (from_centre > 1.4 * radius)
    if min(inside.sum(), outside.sum()) < _LEAST_PX:
        return radius
    dark, light = np.median(luma[inside]), np.quantile(luma[outside], 0.7)
    if light - dark < _CONTRAST:
        return radius
    for factor in np.arange(1.0, _LARGEST, 0.04):
        ring = clear & (np.abs(from_centre / radius - factor) < 0.04)
        if ring.sum() >= _LEAST_PX and np.median(luma[ring]) > (dark + light) / 2:
            return radius * float(factor)
    return radius


def _without_iris(rgb: np.ndarray, opening: np.ndarray, from_centre: np.ndarray) -> np.ndarray:
    """The opening, with the sclera continued behind the iris; ``from_centre`` in iris radii."""
    luma = mean_color(rgb)
    white = opening & (from_centre > _KNOWN)
    if white.sum() < 6:
        white = opening
    # Brighter pixels weigh more, since lashes and the shadow under the lid are not sclera.
    low, high = np.quantile(luma[white], (0.35, 0.9))
    weight = white * (0.02 + smoothstep((luma - low) / max(high - low, 1e-3)))
    completed = fill_smooth(rgb, weight)
    behind = smoothstep((_CONTINUED - from_centre) / _CONTINUED_OVER)[..., None]
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
    width = np.linalg.norm(np.diff(geometry.landmarks[list(eye.corners)], axis=0))
    columns, rows = int(1.5 * width) + 8, int(0.7 * width) + 8
    u, v = np.meshgrid(np.linspace(0.1, 7.9, columns), np.linspace(-0.1, 1, rows))
    # The eyeball makes the closed lid bulge, so the skin lies less far behind in the middle.
    bulge = 0.06 * np.sin(np.pi * np.clip(u / 8, 0, 1)) * np.clip(v, 0, 1)
    group = _on_lid(geometry, eye, u, v, bulge - _LID_UNDER_CM)
    color = _lid_texture(rgb, geometry, eye, u, v)
    return replace(group, colors=color.reshape(-1, 3))


def _on_lid(
    geometry: HeadGeometry, eye: Eye, u: np.ndarray, v: np.ndarray, over_cm: np.ndarray
) -> SplatGroup:
    """Splats without colours on an upper lid, which move with it.

    Args:
        geometry: the measured head.
        eye: whose lid.
        u: ``[rows, columns]`` 0 at one corner, 8 at the other.
        v: ``[rows, columns]`` 0 at the ring above the lid, 1 at its rim.
        over_cm: ``[rows, columns]`` how far in front of the lid.
    """
    ring = np.array([eye.corners[0], *eye.upper_ring, eye.corners[1]])
    rim = np.array([eye.corners[0], *eye.upper, eye.corners[1]])
    rows, columns = u.shape
    k = np.clip(np.floor(u).astype(int), 0, 7)
    f = u - k
    vertices = np.stack([ring[k], ring[k + 1], rim[k], rim[k + 1]], -1).reshape(-1, 4)
    weights = np.stack([(1 - f) * (1 - v), f * (1 - v), (1 - f) * v, f * v], -1).reshape(-1, 4)
    points = np.einsum("nk,nkd->nd", weights, geometry.vertices[vertices])
    out = geometry.pose.to_image(np.array([0, 0, 1.0])) - geometry.pose.to_image(np.zeros(3))
    points += over_cm.reshape(-1, 1) * out
    grid = points.reshape(rows, columns, 3)
    tangent_u, tangent_v = grid_tangents(grid)
    return SplatGroup(
        layer=Layer.LID,
        positions=points,
        tangent_u=tangent_u.reshape(-1, 3),
        tangent_v=tangent_v.reshape(-1, 3),
        colors=np.zeros_like(points),
        opacities=np.full(len(points), 0.98),
        vertices=vertices,
        weights=weights,
        neighbours=grid_neighbours(rows, columns),
    )


def _lid_texture(
    rgb: np.ndarray, geometry: HeadGeometry, eye: Eye, u: np.ndarray, v: np.ndarray
) -> np.ndarray:
    """Skin from the crease (``v`` 0) to the rim (1), with the lash line; ``u`` 0–8 across.

    It begins as the skin above the crease is, which stays, and becomes the lid's own.
    """
    own = _lid_color(rgb, geometry, eye)
    ring, brow = geometry.landmarks[list(eye.upper_ring)], geometry.landmarks[list(eye.brow[5:])]
    up = brow.mean(0) - ring.mean(0)
    above = np.clip(np.round(ring + 0.15 * up).astype(int), 0, len(rgb) - 1)
    soft = blur(rgb, max(1.0, 0.012 * geometry.face_height))[above[:, 1], above[:, 0]]
    # Glasses, brows and lashes are not skin.
    soft = own + np.clip(soft - own, -0.3 * own, 0.3 * own)
    middles = np.arange(len(soft)) + 1.0
    skin = np.stack([np.interp(u, middles, soft[:, c]) for c in range(3)], -1)
    down = smoothstep(v / 0.7)[..., None]
    color = skin + 0.2 * down * (own - skin)
    crease = np.exp(-(((v - 0.06) / 0.06) ** 2))
    shade = 1 - 0.05 * np.clip(v, 0, 1) - 0.14 * smoothstep((v - 0.6) / 0.4) - 0.08 * crease
    # A lid goes over into the skin beside it; its ends lie deeper.
    shade -= 0.08 * (1 - smoothstep(np.minimum(u, 8 - u) / 1.5))
    color = color * shade[..., None]
    lash = smoothstep((v - 0.93) / 0.05) * _lashes_across(u / 8)
    dark = _lash_color(rgb, geometry, eye, own)
    return np.asarray(color + 0.5 * lash[..., None] * (dark - color))


def _lashes(rgb: np.ndarray, geometry: HeadGeometry, eye: Eye) -> SplatGroup:
    """The dark line at the rim of a closed lid and the lashes that hang from it."""
    width = np.linalg.norm(np.diff(geometry.landmarks[list(eye.corners)], axis=0))
    columns = int(2 * width) + 8
    u, v = np.meshgrid(np.linspace(0.15, 7.85, columns), np.linspace(0.9, _LASH_END, 24))
    across, hanging = u / 8, np.clip((v - 1) / (_LASH_END - 1), 0, 1)
    # They fan out from the middle, and bunch.
    fan = across + 0.04 * hanging * (across - 0.5)
    strands = 0.65 + 0.35 * np.sin(2 * np.pi * _LASHES * fan + 1.5 * np.sin(11 * across))
    line = np.exp(-(((v - 0.99) / 0.025) ** 2))
    opacity = np.maximum(line, 0.5 * (v > 1) * (1 - hanging) ** 1.5 * strands)
    opacity *= 0.7 * _lashes_across(across)
    skin = _lid_color(rgb, geometry, eye)
    color = np.broadcast_to(_lash_color(rgb, geometry, eye, skin), (*u.shape, 3))
    group = _on_lid(geometry, eye, u, v, np.full(u.shape, _LASHES_OVER_CM))
    return replace(
        group, layer=Layer.LASHES, colors=color.reshape(-1, 3), opacities=opacity.ravel()
    )


def _lashes_across(across: np.ndarray) -> np.ndarray:
    """0-1 how dense lashes are, from the outer corner (0) to the inner one (1)."""
    outer = np.clip(across, 0, 1)
    return np.asarray(0.25 + 0.75 * smoothstep((1 - outer) / 0.4) * smoothstep(outer / 0.08))


def _lash_color(rgb: np.ndarray, geometry: HeadGeometry, eye: Eye, skin: np.ndarray) -> np.ndarray:
    """Between the darkest of what is at the upper rim and skin in deep shade."""
    rim = np.zeros(rgb.shape[:2], np.uint8)
    line = np.round(geometry.landmarks[list(eye.upper)]).astype(np.int32)
    cv2.polylines(rim, [line], False, 1, max(1, round(0.015 * geometry.face_height)))
    pixels = rgb[rim > 0]
    dark = np.quantile(pixels, 0.15, axis=0) if len(pixels) else skin
    return np.asarray(0.5 * np.minimum(dark, 0.45 * skin) + 0.5 * 0.45 * skin)


def _lid_color(rgb: np.ndarray, geometry: HeadGeometry, eye: Eye) -> np.ndarray:
    """Median of the brighter skin between lid and brow; the darker part is lashes and shadow."""
    outline = np.concatenate(
        [geometry.landmarks[list(eye.upper_ring)], geometry.landmarks[list(eye.brow[5:])][::-1]]
    )
    mask = filled(outline, rgb.shape)
    box = window(mask, 6)
    pixels = blur(rgb[box], 1.0)[mask[box]] if mask.any() else rgb[:0, 0]
    if len(pixels) < 8:
        pixels = rgb[geometry.on_face]
    brightness = pixels.mean(1)
    return np.asarray(np.median(pixels[brightness >= np.quantile(brightness, 0.45)], 0))
