"""The inside of the mouth: a bag behind the lips, two rows of teeth and a tongue.

Everything is laid out for the neutral face with closed lips, in the head frame (centimetres), and
stored at its position for the source's expression.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from talkcli.engines.portrait.build.groups import (
    SplatGroup,
    clamp_length,
    grid_neighbours,
    grid_tangents,
)
from talkcli.engines.portrait.build.mouth_colors import MouthColors, mouth_colors
from talkcli.engines.portrait.build.own_teeth import SeenTeeth, edge_shift, paint
from talkcli.engines.portrait.lips import jaw_shift
from talkcli.engines.portrait.mouth_light import mouth_light
from talkcli.engines.portrait.splats import Layer
from talkcli.face.pose import HeadPose
from talkcli.face.topology import INNER_CORNERS, INNER_LOWER, INNER_UPPER
from talkcli.imaging import smoothstep

#: Relative widths of central incisor, lateral incisor, canine and two premolars.
_UPPER_TEETH, _LOWER_TEETH = (1.0, 0.80, 0.86, 0.78, 0.78), (0.64, 0.70, 0.80, 0.78, 0.78)
#: How much shorter each tooth is than the longest, relative to that one's height.
_UPPER_TIPS, _LOWER_TIPS = (0.0, 0.045, 0.015, 0.07, 0.12), (0.02, 0.01, 0.0, 0.05, 0.08)
#: Height of a row of teeth with its gum and, in units of it, where edge and gum lie relative to the
#: closed lip line. In the open mouths of 57 speakers, .6 cm of the upper teeth show below the lip
#: if any do, and .4 cm of the lower teeth show in a third of the frames.
_TEETH_CM = 1.5
_UPPER_SPAN, _LOWER_SPAN = (-0.16, 0.84), (-0.04, -0.77)
#: Seen teeth may be longer than these by this share of a row.
_BEYOND = 0.4
#: The upper lip's shadow on the teeth: its length, how far behind the lip it hangs (between the
#: source's own mouth interior, .5 cm, and the synthetic teeth, .75 cm), and how dark it is.
_SHADOW_CM, _SHADOW_BACK_CM, _SHADOW = 0.3, 0.62, 0.35
#: The inner lip lines, from corner to corner.
_UPPER_LINE = np.array([INNER_CORNERS[0], *INNER_UPPER, INNER_CORNERS[1]])
_LOWER_LINE = np.array([INNER_CORNERS[0], *INNER_LOWER, INNER_CORNERS[1]])
#: Blur of the teeth in pixels of the picture: edges from cameras and codecs are no sharper.
_SOFT_PX = 0.45
#: Grid steps per centimetre of teeth and tongue, relative to crop pixels per centimetre.
_DENSITY = 1.5


@dataclass(frozen=True)
class MouthFrame:
    """Position and size of the closed mouth, head frame, centimetres.

    Attributes:
        face: ``[478, 3]`` neutral face.
        neutral_shift: ``[478, 3]`` from the source expression to the neutral one.
        centre_x: middle between the inner corners.
        width: distance between the inner corners.
        lip_y: height of the closed lip line.
        lip_z: how far forward the middle of the lips is.
        arch: how much further forward the middle of the lips is than the corners.
        colors: colours of everything inside, in the picture's light.
        soft_px: blur of the teeth, crop pixels, to match the picture around them.
    """

    face: np.ndarray
    neutral_shift: np.ndarray
    centre_x: float
    width: float
    lip_y: float
    lip_z: float
    arch: float
    colors: MouthColors
    soft_px: float


def mouth_frame(
    face: np.ndarray, neutral_shift: np.ndarray, skin: np.ndarray, enlarged: float = 1.0
) -> MouthFrame:
    """Measure the neutral mouth.

    Args:
        face: ``[478, 3]`` neutral face, head frame.
        neutral_shift: ``[478, 3]`` source expression to neutral.
        skin: ``[n, 3]`` colours of facial skin in the picture.
        enlarged: crop pixels per pixel of the picture.
    """
    right, left = face[list(INNER_CORNERS)]
    middle = face[[13, 14]].mean(0)
    return MouthFrame(
        face=face,
        neutral_shift=neutral_shift,
        centre_x=float((right + left)[0] / 2),
        width=float(np.linalg.norm(right - left)),
        lip_y=float(middle[1]),
        lip_z=float(middle[2]),
        arch=max(float(middle[2] - (right + left)[2] / 2), 0.4),
        colors=mouth_colors(skin),
        soft_px=_SOFT_PX * max(1.0, enlarged),
    )


def mouth_groups(
    mouth: MouthFrame, pose: HeadPose, seen: SeenTeeth | None = None
) -> list[SplatGroup]:
    """Build bag, tongue, teeth and the lip's shadow on them, as splats in pixel space.

    Args:
        mouth: the neutral mouth.
        pose: of the source.
        seen: the person's own teeth, if the source shows some.
    """
    teeth = _teeth(mouth, pose, seen)
    return [_bag(mouth, pose), _tongue(mouth, pose), *teeth, _lip_shadow(mouth, pose)]


def _teeth(mouth: MouthFrame, pose: HeadPose, seen: SeenTeeth | None) -> list[SplatGroup]:
    """Both rows; where the picture shows teeth, they are these."""
    light = mouth_light(mouth.face - mouth.neutral_shift)
    groups, gain = [], np.ones(3)
    for upper in (True, False):
        across, along = _grid(0.88 * mouth.width, _TEETH_CM, pose)
        shift = 0.0
        if seen is not None:
            beyond = _beyond_edge(along)
            looked = seen.at(_stored_row(mouth, pose, across[0], beyond, upper=upper))
            length = abs(np.subtract(*_span(upper))) * _TEETH_CM
            shift = edge_shift(looked, across[0], -beyond[:, 0] * length)
        color, gum, opaque = _teeth_texture(across, along, mouth, upper=upper)
        stored = _stored_row(mouth, pose, across[0], along, upper=upper, shift=shift)
        if seen is not None:
            step_cm = 0.88 * mouth.width / across.shape[1]
            painted = paint(color, opaque, seen.at(stored), step_cm, light)
            if painted.gain is not None:
                color, opaque, gain = painted.color, painted.opaque, painted.gain
            else:
                # Lower teeth that are not seen are like the upper ones.
                color = color * gain
            seen = seen.beyond(stored[0])
        color = color * (1 - gum) + mouth.colors.gum * gum * (1 - 0.4 * np.abs(across)[..., None])
        sigma = mouth.soft_px * _DENSITY
        color, opaque = (
            cv2.GaussianBlur(image, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE)
            for image in (np.asarray(color, np.float64), opaque)
        )
        layer = Layer.UPPER_TEETH if upper else Layer.LOWER_TEETH
        groups.append(_rigid_group(layer, stored, color, opaque, 0.0 if upper else 1.0))
    return groups[::-1]


def _span(upper: bool) -> tuple[float, float]:
    return _UPPER_SPAN if upper else _LOWER_SPAN


def _beyond_edge(along: np.ndarray) -> np.ndarray:
    """The rows ``along`` and as many beyond their edge as it may be moved by."""
    step = along[1, 0] - along[0, 0]
    rows = np.arange(-round(_BEYOND / step), 0)[:, None] * step
    return np.concatenate([np.broadcast_to(rows, (len(rows), along.shape[1])), along])


def _stored_row(
    mouth: MouthFrame,
    pose: HeadPose,
    across: np.ndarray,
    along: np.ndarray,
    *,
    upper: bool,
    shift: float = 0.0,
) -> np.ndarray:
    """``[r, c, 3]`` points of a row at the source's expression, pixel space.

    Args:
        mouth: the closed mouth.
        pose: of the source.
        across: ``[c]`` -1 to 1.
        along: ``[r, c]`` 0 at the cutting edge, 1 at the gum.
        upper: which row.
        shift: how far the row is moved beyond its usual edge, cm.
    """
    across = np.broadcast_to(across, along.shape)
    depth = 0.75 if upper else 1.15
    edge, gum = (mouth.lip_y + share * _TEETH_CM for share in _span(upper))
    x = mouth.centre_x + across * 0.44 * mouth.width
    y = edge + (gum - edge) * along - np.sign(gum - edge) * shift
    z = mouth.lip_z - depth - 0.9 * mouth.arch * across**2 - 0.1 * along
    return _stored(np.stack([x, y, z], -1), mouth, pose, 0.0 if upper else 1.0)


def _teeth_texture(
    across: np.ndarray, along: np.ndarray, mouth: MouthFrame, *, upper: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Enamel, share of gum and coverage of a row of teeth.

    ``across`` is -1 to 1, ``along`` 0 (edge) to 1 (gum).
    """
    widths = np.array(_UPPER_TEETH if upper else _LOWER_TEETH)
    tips = np.array(_UPPER_TIPS if upper else _LOWER_TIPS)
    borders = np.concatenate([[0], np.cumsum(widths) / widths.sum()])
    side = np.abs(across)
    tooth = np.clip(np.searchsorted(borders, side, side="right") - 1, 0, 4)
    local = (side - borders[tooth]) / (borders[tooth + 1] - borders[tooth])
    to_gap = 0.5 - np.abs(local - 0.5)
    corner = np.clip(0.22 - to_gap, 0, 0.22) / 0.22
    tip = tips[tooth] + 0.07 * corner**2
    enamel = mouth.colors.enamel if upper else mouth.colors.lower_enamel
    rounding = 1 - 0.10 * (2 * local - 1) ** 2
    gap = 1 - 0.18 * np.exp(-((to_gap / 0.05) ** 2))
    recede = 1 - 0.55 * side**2
    lengthwise = 0.86 + 0.14 * np.sin(np.pi * np.clip(along, 0, 1) ** 0.6)
    color = enamel * (rounding * gap * recede * lengthwise)[..., None]
    # Edges are slightly translucent: darker and cooler.
    edge = np.exp(-(((along - tip) / 0.06) ** 2))[..., None]
    color = color * (1 - edge * np.array([0.10, 0.07, 0.04]))
    gum_line = 0.80 - 0.10 * np.sin(np.pi * local)
    gum = smoothstep((along - gum_line) / 0.06)[..., None]
    return color, gum, np.where(along < tip, 0.0, 0.98)


def _tongue(mouth: MouthFrame, pose: HeadPose) -> SplatGroup:
    across, along = _grid(0.68 * mouth.width, 1.8, pose)
    x = mouth.centre_x + across * 0.34 * mouth.width
    y = mouth.lip_y - 0.25 - 1.6 * along + 0.25 * np.cos(across * np.pi / 2)
    z = mouth.lip_z - 1.75 - 0.8 * across**2 - 0.6 * (1 - along)
    shade = (1 - 0.35 * np.abs(across) - 0.35 * (1 - along)) * (
        1 - 0.18 * np.exp(-((across / 0.07) ** 2))
    )
    color = mouth.colors.tongue * np.clip(shade, 0.1, 1)[..., None]
    grid = np.stack([x, y, z], -1)
    stored = _stored(grid, mouth, pose, 0.85)
    return _rigid_group(Layer.TONGUE, stored, color, np.full(x.shape, 0.98), 0.85)


def _bag(mouth: MouthFrame, pose: HeadPose) -> SplatGroup:
    """A ruled surface between the inner lip lines, bound to them and folded back into the head."""
    wall = max(8, int(2.4 * pose.scale))
    floor = max(24, int(3.2 * pose.scale))
    u = _across_lips(mouth, pose)
    columns = len(u)
    v = np.concatenate(
        [np.full(wall, 0.004), np.linspace(0.004, 0.996, floor), np.full(wall, 0.996)]
    )
    depth = np.concatenate([np.linspace(0, 1, wall), np.ones(floor), np.linspace(1, 0, wall)])
    u_grid, v_grid = np.meshgrid(u, v)
    ends = [_on_line(line, u_grid.ravel()) for line in (_UPPER_LINE, _LOWER_LINE)]
    vertices = np.concatenate([end[0] for end in ends], 1)
    share = v_grid.reshape(-1, 1)
    weights = np.concatenate([ends[0][1] * (1 - share), ends[1][1] * share], 1)
    points = np.einsum("nk,nkd->nd", weights, mouth.face[vertices])
    inward = np.repeat(depth, columns)
    bow = _bow(u_grid.ravel())
    points[:, 1] -= inward * bow * (0.9 * v_grid.ravel() - 0.3 * (1 - v_grid.ravel()))
    points[:, 2] -= 0.20 + 2.8 * inward * bow
    points -= np.einsum("nk,nkd->nd", weights, mouth.neutral_shift[vertices])
    # At the corners the bag is shallow, and light falls in.
    fade = (inward * bow)[:, None]
    color = mouth.colors.cheek * (1 - fade) + mouth.colors.throat * fade
    grid = pose.to_image(points).reshape(len(v), columns, 3)
    tangent_u, tangent_v = (clamp_length(t.reshape(-1, 3), 1.3) for t in grid_tangents(grid))
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


def _across_lips(mouth: MouthFrame, pose: HeadPose) -> np.ndarray:
    """``[columns]`` positions 0–10 on a lip line, denser towards the corners, where it bends."""
    columns = int(mouth.width * pose.scale * 1.2) + 12
    return np.asarray(5 - 5 * np.cos(np.pi * np.linspace(0, 1, columns)))


def _bow(u: np.ndarray) -> np.ndarray:
    """Relative opening of the mouth at ``u`` on a lip line: 0 at the corners, 1 in the middle."""
    return np.asarray(np.sin(np.pi * np.clip(u / 10, 0, 1)) ** 0.5)


def _on_line(line: np.ndarray, u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """``[n, 2]`` neighbouring vertices on a line of 11, and their weights, at ``u`` in 0–10."""
    k = np.clip(np.floor(u).astype(int), 0, 9)
    return np.stack([line[k], line[k + 1]], -1), np.stack([1 - (u - k), u - k], -1)


def _lip_shadow(mouth: MouthFrame, pose: HeadPose) -> SplatGroup:
    """A dark veil hanging from the upper lip in front of the teeth, where little light falls."""
    rows = max(6, int(_SHADOW_CM * pose.scale * _DENSITY))
    across = _across_lips(mouth, pose)
    u, along = (grid.ravel() for grid in np.meshgrid(across, np.linspace(0, 1, rows)))
    vertices, weights = _on_line(_UPPER_LINE, u)
    points = np.einsum("nk,nkd->nd", weights, (mouth.face - mouth.neutral_shift)[vertices])
    points[:, 1] -= _SHADOW_CM * along * _bow(u)
    points[:, 2] -= _SHADOW_BACK_CM
    grid = pose.to_image(points).reshape(rows, len(across), 3)
    tangent_u, tangent_v = (clamp_length(t.reshape(-1, 3), 1.3) for t in grid_tangents(grid))
    none = np.zeros((len(u), 2), int)
    return SplatGroup(
        layer=Layer.MOUTH_BAG,
        positions=grid.reshape(-1, 3),
        tangent_u=tangent_u,
        tangent_v=tangent_v,
        colors=np.tile(mouth.colors.throat, (len(u), 1)),
        opacities=_SHADOW * (1 - along) ** 1.5,
        vertices=np.concatenate([vertices, none], 1),
        weights=np.concatenate([weights, none], 1),
        neighbours=grid_neighbours(rows, len(across)),
    )


def _stored(grid: np.ndarray, mouth: MouthFrame, pose: HeadPose, jaw: float) -> np.ndarray:
    """Points of the closed mouth ``[..., 3]`` in pixel space at the source's expression."""
    return pose.to_image(grid - jaw * jaw_shift(mouth.neutral_shift))


def _rigid_group(
    layer: Layer, stored: np.ndarray, color: np.ndarray, opacity: np.ndarray, jaw: float
) -> SplatGroup:
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
