"""The inside of the mouth: a bag behind the lips, two rows of teeth, a tongue.

Everything is laid out for the neutral face, lips closed, in the head frame (centimetres), and
stored where it stands at the source's expression.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from talkcli.portrait.splats import Layer, SplatGroup, capped, grid_neighbours, grid_tangents
from talkcli.tracking.headfit import HeadPose
from talkcli.tracking.matting import smoothstep
from talkcli.tracking.topology import INNER_CORNERS, INNER_LOWER, INNER_UPPER

#: Widths of central incisor, lateral incisor, canine and two premolars, relative.
_UPPER_TEETH, _LOWER_TEETH = (1.0, 0.80, 0.86, 0.78, 0.78), (0.64, 0.70, 0.80, 0.78, 0.78)
#: How much shorter each is than the longest, as a share of its height.
_UPPER_TIPS, _LOWER_TIPS = (0.0, 0.08, 0.03, 0.13, 0.2), (0.03, 0.02, 0.0, 0.08, 0.12)
_ENAMEL, _ENAMEL_LOWER = np.array([0.95, 0.915, 0.85]), np.array([0.86, 0.82, 0.75])
_GUM, _TONGUE = np.array([0.62, 0.31, 0.29]), np.array([0.60, 0.27, 0.26])
_BAG_FRONT, _BAG_BACK = np.array([0.36, 0.14, 0.13]), np.array([0.07, 0.025, 0.025])
#: Grid steps per centimetre of teeth and tongue, relative to crop pixels per centimetre.
_DENSITY = 1.5


@dataclass(frozen=True)
class MouthFrame:
    """Where the closed mouth lies, head frame in centimetres.

    Attributes:
        face: ``[478, 3]`` neutral face.
        neutral_shift: ``[478, 3]`` from the source expression to the neutral one.
        centre_x: middle between the inner corners.
        width: distance of the inner corners.
        lip_y: height of the closed lip line.
        lip_z: how far the lips stand out at the middle.
        arch: how far the lips stand out at the middle beyond the corners.
        light: brightness of the face relative to a well lit one.
        tint: ``[3]`` colour cast of the picture; grey pictures give grey teeth.
    """

    face: np.ndarray
    neutral_shift: np.ndarray
    centre_x: float
    width: float
    lip_y: float
    lip_z: float
    arch: float
    light: float
    tint: np.ndarray


def mouth_frame(face: np.ndarray, neutral_shift: np.ndarray, skin: np.ndarray) -> MouthFrame:
    """Measure the neutral mouth.

    Args:
        face: ``[478, 3]`` neutral face, head frame.
        neutral_shift: ``[478, 3]`` source expression to neutral.
        skin: ``[n, 3]`` colours of facial skin in the picture.
    """
    right, left = face[list(INNER_CORNERS)]
    middle = face[[13, 14]].mean(0)
    color = np.median(skin, 0)
    brightness = float(color.mean())
    # Average skin is (1.18, .96, .86) of its mean; what deviates is the light's own colour.
    cast = color / max(brightness, 1e-3) / np.array([1.18, 0.96, 0.86])
    tint = np.clip(0.65 + 0.35 * cast, 0.8, 1.15)
    if np.abs(skin - skin.mean(1, keepdims=True)).mean() < 0.01:
        tint = np.full(3, np.nan)
    return MouthFrame(
        face=face,
        neutral_shift=neutral_shift,
        centre_x=float((right + left)[0] / 2),
        width=float(np.linalg.norm(right - left)),
        lip_y=float(middle[1]),
        lip_z=float(middle[2]),
        arch=max(float(middle[2] - (right + left)[2] / 2), 0.4),
        light=float(np.clip(brightness / 0.72, 0.35, 1.08)),
        tint=tint,
    )


def mouth_groups(mouth: MouthFrame, pose: HeadPose) -> list[SplatGroup]:
    """Bag, tongue and teeth as splats in pixel space."""
    return [
        _bag(mouth, pose),
        _tongue(mouth, pose),
        _teeth(mouth, pose, upper=False),
        _teeth(mouth, pose, upper=True),
    ]


def jaw_shift(moved: np.ndarray) -> np.ndarray:
    """``[3]`` shift of the lower teeth for vertex displacements ``moved [478, 3]``.

    A third chin, two thirds lower lip: teeth that follow the chin alone show as a white ball.
    """
    chin = moved[[152, 148, 377, 200, 199, 18, 175]].mean(0)
    lip = moved[[14, 87, 317]].mean(0)
    return np.asarray(0.35 * chin + 0.65 * lip)


def _teeth(mouth: MouthFrame, pose: HeadPose, *, upper: bool) -> SplatGroup:
    height = 0.33 * mouth.width
    across, along = _grid(0.88 * mouth.width, height, pose)
    # along: 0 at the cutting edge, 1 in the gum.
    if upper:
        edge, gum, depth = mouth.lip_y - 0.30 * height, mouth.lip_y + 0.70 * height, 0.75
    else:
        edge, gum, depth = mouth.lip_y - 0.12 * height, mouth.lip_y - 0.85 * height, 1.15
    x = mouth.centre_x + across * 0.44 * mouth.width
    y = edge + (gum - edge) * along
    z = mouth.lip_z - depth - 0.9 * mouth.arch * across**2 - 0.1 * along
    color, opaque = _teeth_texture(across, along, mouth, upper=upper)
    grid = np.stack([x, y, z], -1)
    layer = Layer.UPPER_TEETH if upper else Layer.LOWER_TEETH
    jaw = 0.0 if upper else 1.0
    return _rigid_group(layer, grid, color, opaque, mouth, pose, jaw)


def _teeth_texture(
    across: np.ndarray, along: np.ndarray, mouth: MouthFrame, *, upper: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Colour and coverage of a row of teeth; ``across`` −1…1, ``along`` 0 edge … 1 gum."""
    widths = np.array(_UPPER_TEETH if upper else _LOWER_TEETH)
    tips = np.array(_UPPER_TIPS if upper else _LOWER_TIPS)
    borders = np.concatenate([[0], np.cumsum(widths) / widths.sum()])
    side = np.abs(across)
    tooth = np.clip(np.searchsorted(borders, side, side="right") - 1, 0, 4)
    local = (side - borders[tooth]) / (borders[tooth + 1] - borders[tooth])
    to_gap = 0.5 - np.abs(local - 0.5)
    corner = np.clip(0.22 - to_gap, 0, 0.22) / 0.22
    tip = tips[tooth] + 0.07 * corner**2
    enamel = _ENAMEL if upper else _ENAMEL_LOWER
    rounding = 1 - 0.10 * (2 * local - 1) ** 2
    gap = 1 - 0.20 * np.exp(-((to_gap / 0.05) ** 2))
    recede = 1 - 0.55 * side**2
    lengthwise = 0.86 + 0.14 * np.sin(np.pi * np.clip(along, 0, 1) ** 0.6)
    color = enamel * (rounding * gap * recede * lengthwise)[..., None]
    # Edges are slightly translucent: darker and cooler.
    edge = np.exp(-(((along - tip) / 0.06) ** 2))[..., None]
    color = color * (1 - edge * np.array([0.10, 0.07, 0.04]))
    gum_line = 0.80 - 0.10 * np.sin(np.pi * local)
    gum = smoothstep((along - gum_line) / 0.06)[..., None]
    color = color * (1 - gum) + _GUM * gum * (1 - 0.4 * side[..., None])
    return _lit(color, mouth), np.where(along < tip, 0.0, 0.98)


def _tongue(mouth: MouthFrame, pose: HeadPose) -> SplatGroup:
    across, along = _grid(0.68 * mouth.width, 1.8, pose)
    x = mouth.centre_x + across * 0.34 * mouth.width
    y = mouth.lip_y + 0.05 - 1.6 * along + 0.25 * np.cos(across * np.pi / 2)
    z = mouth.lip_z - 1.75 - 0.8 * across**2 - 0.6 * (1 - along)
    shade = (1 - 0.35 * np.abs(across) - 0.35 * (1 - along)) * (
        1 - 0.18 * np.exp(-((across / 0.07) ** 2))
    )
    color = _lit(_TONGUE * np.clip(shade, 0.1, 1)[..., None], mouth)
    grid = np.stack([x, y, z], -1)
    return _rigid_group(Layer.TONGUE, grid, color, np.full(x.shape, 0.98), mouth, pose, 0.85)


def _bag(mouth: MouthFrame, pose: HeadPose) -> SplatGroup:
    """A ruled surface between the inner lip lines, bound to them, folded back into the head."""
    upper = np.array([INNER_CORNERS[0], *INNER_UPPER, INNER_CORNERS[1]])
    lower = np.array([INNER_CORNERS[0], *INNER_LOWER, INNER_CORNERS[1]])
    wall = max(8, int(2.4 * pose.scale))
    columns = int(mouth.width * pose.scale * 1.2) + 12
    floor = max(24, int(3.2 * pose.scale))
    # Columns crowd towards the corners, where the lip lines bend.
    u = 5 - 5 * np.cos(np.pi * np.linspace(0, 1, columns))
    v = np.concatenate(
        [np.full(wall, 0.004), np.linspace(0.004, 0.996, floor), np.full(wall, 0.996)]
    )
    depth = np.concatenate([np.linspace(0, 1, wall), np.ones(floor), np.linspace(1, 0, wall)])
    u_grid, v_grid = np.meshgrid(u, v)
    k = np.clip(np.floor(u_grid).astype(int), 0, 9)
    f = u_grid - k
    vertices = np.stack([upper[k], upper[k + 1], lower[k], lower[k + 1]], -1).reshape(-1, 4)
    weights = np.stack(
        [(1 - f) * (1 - v_grid), f * (1 - v_grid), (1 - f) * v_grid, f * v_grid], -1
    ).reshape(-1, 4)
    points = np.einsum("nk,nkd->nd", weights, mouth.face[vertices])
    inward = np.repeat(depth, columns)
    bow = np.sin(np.pi * np.clip(u_grid.ravel() / 10, 0, 1)) ** 0.5
    points[:, 1] -= inward * bow * (0.9 * v_grid.ravel() - 0.3 * (1 - v_grid.ravel()))
    points[:, 2] -= 0.20 + 2.8 * inward * bow
    points -= np.einsum("nk,nkd->nd", weights, mouth.neutral_shift[vertices])
    fade = inward[:, None]
    color = _lit(_BAG_FRONT * (1 - fade) + _BAG_BACK * fade, mouth)
    grid = pose.to_image(points).reshape(len(v), columns, 3)
    tangent_u, tangent_v = (capped(t.reshape(-1, 3), 1.3) for t in grid_tangents(grid))
    return SplatGroup(
        layer=Layer.MOUTH_BAG,
        positions=grid.reshape(-1, 3),
        tangent_u=tangent_u,
        tangent_v=tangent_v,
        colors=color,
        opacities=np.full(len(points), 0.98),
        vertices=vertices,
        weights=weights,
        neighbours=grid_neighbours(len(v), columns),
    )


def _rigid_group(
    layer: Layer,
    grid: np.ndarray,
    color: np.ndarray,
    opacity: np.ndarray,
    mouth: MouthFrame,
    pose: HeadPose,
    jaw: float,
) -> SplatGroup:
    stored = pose.to_image(grid - jaw * jaw_shift(mouth.neutral_shift))
    tangent_u, tangent_v = grid_tangents(stored)
    return SplatGroup(
        layer=layer,
        positions=stored.reshape(-1, 3),
        tangent_u=tangent_u.reshape(-1, 3),
        tangent_v=tangent_v.reshape(-1, 3),
        colors=color.reshape(-1, 3),
        opacities=opacity.ravel(),
        jaw_weight=jaw,
    )


def _grid(width: float, height: float, pose: HeadPose) -> tuple[np.ndarray, np.ndarray]:
    """−1…1 across and 0…1 along for a patch of ``width × height`` centimetres."""
    columns = int(width * pose.scale * _DENSITY) + 8
    rows = int(height * pose.scale * _DENSITY) + 6
    across, along = np.meshgrid(np.linspace(-1, 1, columns), np.linspace(0, 1, rows))
    return across, along


def _lit(color: np.ndarray, mouth: MouthFrame) -> np.ndarray:
    color = color * mouth.light
    if np.isnan(mouth.tint).any():
        return np.repeat(color.mean(-1, keepdims=True), 3, -1)
    return np.asarray(color * mouth.tint)
