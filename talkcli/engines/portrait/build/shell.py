"""Closes the head: hair, ears and the back of the head as a surface around the head's centre.

The surface is star-shaped, ``radius(elevation, azimuth)``, so that "the other side" is a flip of
the columns, and a missing side is completed by the same soft, gradient-domain blend as the face.
Whatever is added must be invisible to the source camera, or the portrait itself would change:
points that the source could see are moved towards the centre until it cannot.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from talkcli.engines.portrait.build.back_colors import below_hair_line, completed_colors
from talkcli.engines.portrait.build.directions import (
    Measured,
    Sphere,
    measure_directions,
)
from talkcli.engines.portrait.build.front import FALLOFF_FH, FrontPixels
from talkcli.engines.portrait.build.geometry import HeadGeometry, grid_slope
from talkcli.engines.portrait.build.groups import (
    SplatGroup,
    clamp_length,
    grid_neighbours,
    grid_tangents,
    joined,
)
from talkcli.engines.portrait.build.hair import (
    LONGEST_FH,
    Crown,
    HairSurface,
    crown_of,
    curtain,
    fallen_hair,
    strand_group,
)
from talkcli.engines.portrait.build.images import (
    at,
    blur,
    coloured_like,
    dilate,
    erode,
    filled,
    inside_distance,
    lengths,
    lowest,
    nearest,
    shrunk_until,
)
from talkcli.engines.portrait.build.neck import (
    LOWEST_FH,
    below_jaw,
    neck_shape,
    plain_neck,
)
from talkcli.engines.portrait.build.symmetry import FaceTexture, blend_with_mirror
from talkcli.engines.portrait.splats import Layer
from talkcli.face.model import FaceModel
from talkcli.face.skull import CENTRE, HIGHEST_DEG, LOWEST_DEG, skull_radii
from talkcli.face.topology import LIP_OUTLINE
from talkcli.imaging import smoothstep

#: Grid step in crop pixels at a radius of 10 cm.
SHELL_STEP_PX = 1.4
#: At the back, the skull narrows towards the neck from the height of the ears (y, cm) over the
#: length of the nape (cm).
_EAR_CM, _NAPE_CM = 0.5, 7.0
#: Where there is a face, the shell lies this far under it.
_UNDER_FACE_CM = 0.3
#: Around the face, the shell is bent towards the face's border over this distance.
_BEND_CM = 3.0
#: From this far below the centre on, cm, the neck is drawn in towards its axis; narrower than this
#: share, it is none.
_NECK_FROM_CM, _COLLAPSED = 4.0, 0.58
#: The neck's end fades over this length (face heights).
_FADE_FH = 0.1
#: Steps of the grid longer than this many pixels are folds, not surface.
_LONGEST_PX = 4.0
#: So are steps over columns that are left out.
_LONGEST_THINNED_PX = 1.5
#: Nearer to the silhouette of the source than that, steps are shorter, as shares of the distance.
_STICKS_OUT = 0.6


def shell_group(
    pixels: FrontPixels,
    colors: np.ndarray,
    alpha: np.ndarray,
    geometry: HeadGeometry,
    face: FaceTexture,
    step: float = SHELL_STEP_PX,
    textured: bool = True,
) -> SplatGroup:
    """Build the closed head where the source does not show it well, and strands of hair on it.

    Args:
        pixels: the source's own splats.
        colors: ``[S, S, 3]`` foreground colours.
        alpha: ``[S, S]`` matte.
        geometry: the measured head.
        face: the completed face; the shell stays under it and moves with it.
        step: grid step in crop pixels at a radius of 10 cm.
        textured: whether hair that the source does not show has a texture, which takes longest.
    """
    columns = 2 * int(np.pi * 10 * geometry.pose.scale / step)
    sphere = Sphere(int(columns * (HIGHEST_DEG - LOWEST_DEG) / 360), columns)
    head = _closed_head(sphere, pixels, colors, alpha, geometry, textured)
    texels = _texels_by_direction(sphere, face, geometry)
    radius = _meeting_face(head.radius, texels, face, geometry)
    positions, hidden = _drawn_in(CENTRE + radius[..., None] * head.directions, alpha, geometry)
    points = geometry.pose.to_image(positions)
    below = below_jaw(positions, geometry)
    weight = 1 - smoothstep(below / 0.55)
    tangent_u, tangent_v = _tangents(points, sphere, geometry)
    # Seen from outside, azimuth grows to the right in front and v runs down, as in the picture.
    wanted = hidden & (head.seen < 0.85) & (below < head.ends_fh)
    wanted &= ~_behind_openings(points, geometry)
    thinned = np.arange(columns) % sphere.strides()[:, None] == 0
    # Isolated cells would be specks along the jaw.
    kept = np.flatnonzero(dilate(erode(wanted, 2), 2) & thinned)
    vertices, weights = _bound_to_face(points, kept, texels, face, geometry)
    surface = HairSurface(points, tangent_v, tangent_u, head.texture, head.hair, weight)
    strands = strand_group(
        surface, kept, lambda at: _unseen(at, alpha, geometry), geometry.pose.scale
    )
    shell = SplatGroup(
        layer=Layer.SHELL,
        positions=points.reshape(-1, 3)[kept],
        tangent_u=tangent_u.reshape(-1, 3)[kept],
        tangent_v=tangent_v.reshape(-1, 3)[kept],
        colors=head.texture.reshape(-1, 3)[kept],
        # A soft lower edge: the turning part must not end sharply against the part that stays.
        opacities=(0.97 * smoothstep((head.ends_fh - below) / _FADE_FH)).ravel()[kept],
        vertices=vertices,
        weights=weights * weight.ravel()[kept, None],
        head_weight=weight.ravel()[kept],
        weight_slope=grid_slope(weight).reshape(-1, 2)[kept],
        neighbours=_neighbours(kept, sphere),
    )
    return joined(shell, strands)


@dataclass(frozen=True)
class _ClosedHead:
    """The head in all directions, as far as it is known; arrays are ``[rows, columns, ...]``.

    Attributes:
        directions: unit vectors.
        radius: distance from :data:`CENTRE`, cm.
        texture: colours.
        hair: 0–1, where it grows.
        seen: 0–1, how well the source shows it.
        ends_fh: how far it goes on below the jaw, face heights.
    """

    directions: np.ndarray
    radius: np.ndarray
    texture: np.ndarray
    hair: np.ndarray
    seen: np.ndarray
    ends_fh: np.ndarray


def _closed_head(
    sphere: Sphere,
    pixels: FrontPixels,
    colors: np.ndarray,
    alpha: np.ndarray,
    geometry: HeadGeometry,
    textured: bool,
) -> _ClosedHead:
    """Measure the head in all directions, and complete what the source does not show."""
    directions = sphere.directions()
    skull = skull_radii(FaceModel.load().skull, sphere.rows, sphere.columns)
    known = measure_directions(sphere, skull, pixels, colors, alpha, geometry)
    height = CENTRE[1] + directions[..., 1] * skull
    skin = np.median(colors[geometry.on_face], 0)
    like_skin = coloured_like(colors, skin)
    neck = neck_shape(like_skin, alpha, geometry)
    shape = _completed_shape(known, smoothstep((_EAR_CM - height) / _NAPE_CM), neck.width)
    fallen = fallen_hair(directions, geometry.hair_falls_fh)
    radius = np.maximum(shape * skull, fallen * curtain(shape * skull, directions))
    surface = CENTRE + radius[..., None] * directions
    bare = plain_neck(surface, pixels, colors, alpha, geometry, skin, like_skin)
    below_hair = below_hair_line(directions, height) * (1 - fallen)
    crown = crown_of(known, height)
    texture = completed_colors(known, crown, below_hair, bare, textured)
    # Long hair hangs in front of collars.
    ends = np.where(directions[..., 2] < 0, neck.ends_fh, np.float32(LOWEST_FH))
    ends = np.maximum(ends, bare.reaches_fh)
    ends = ends + fallen * np.maximum(min(geometry.hair_falls_fh, LONGEST_FH) - ends, 0)
    hair = _grows(known, crown, below_hair)
    return _ClosedHead(directions, radius, texture, hair, known.seen, ends)


def _tangents(
    points: np.ndarray, sphere: Sphere, geometry: HeadGeometry
) -> tuple[np.ndarray, np.ndarray]:
    """Steps of the grid to the right, over as many columns as are left out, and down."""
    # The columns wrap around: differences across the azimuth's seam are taken on a padded grid.
    padded = np.concatenate([points[:, -1:], points, points[:, :1]], 1)
    longest = _longest_step(points, geometry)
    across, down = (clamp_length(t[:, 1:-1], longest) for t in grid_tangents(padded))
    across = across * sphere.strides()[:, None, None]
    return clamp_length(across, np.minimum(longest, _LONGEST_THINNED_PX)), down


def _longest_step(points: np.ndarray, geometry: HeadGeometry) -> np.ndarray:
    """``[rows, columns, 1]`` pixels: folds are no surface, and none sticks out of the source."""
    inside = geometry.silhouette_distance.take(geometry.pixels_of(points))[..., None]
    return np.clip(_STICKS_OUT * inside, 1.0, _LONGEST_PX)


def _grows(known: Measured, crown: Crown, below_hair: np.ndarray) -> np.ndarray:
    """``[rows, columns]`` 0–1: whether hair grows there, as far as the source tells."""
    if crown.bald:
        return np.zeros_like(below_hair)
    # Also where it is seen at a flat angle, or strands would grow on the cheek before the ear.
    bare = known.covered * (1 - smoothstep((known.hair - 0.2) / 0.4))
    return np.asarray((1 - below_hair) * (1 - np.maximum(bare, bare[:, ::-1])))


def _unseen(points: np.ndarray, alpha: np.ndarray, geometry: HeadGeometry) -> np.ndarray:
    """``[n]`` bool: pixel-space points that lie behind solid pixels of the source."""
    place = geometry.pixels_of(points)
    behind = points[:, 2] > geometry.depth.take(place) + 0.25 * geometry.pose.scale
    return np.asarray((alpha.take(place) > 0.98) & behind & geometry.in_picture(points))


def _neighbours(kept: np.ndarray, sphere: Sphere) -> np.ndarray:
    """``[n, 4]`` neighbours among the cells that are kept, by flat index; itself where none."""
    own = np.arange(len(kept), dtype=np.int32)
    place = np.full(sphere.rows * sphere.columns, -1, np.int32)
    place[kept] = own
    neighbours = place[grid_neighbours(sphere.rows, sphere.columns)[kept]]
    return np.where(neighbours < 0, own[:, None], neighbours)


def _texels_by_direction(sphere: Sphere, face: FaceTexture, geometry: HeadGeometry) -> np.ndarray:
    """``[rows, columns]`` int32 flat index of the innermost texel of the face, -1 where none."""
    valid = np.flatnonzero(face.valid).astype(np.int32)
    offset = _from_centre(face, geometry).take(valid, axis=0)
    # Of several assignments to one cell the last one stays.
    order = np.argsort(-lengths(offset))
    texels = np.full((sphere.rows, sphere.columns), -1, np.int32)
    texels.ravel()[sphere.cells(offset)[order]] = valid[order]
    return texels


def _from_centre(face: FaceTexture, geometry: HeadGeometry) -> np.ndarray:
    """``[T · T, 3]`` the face's texels as seen from ``CENTRE``, cm."""
    return np.asarray(geometry.pose.to_head(face.positions.reshape(-1, 3)) - CENTRE)


def _meeting_face(
    radius: np.ndarray, texels: np.ndarray, face: FaceTexture, geometry: HeadGeometry
) -> np.ndarray:
    """Lay the shell under the completed face, which looks and moves better, and join the two.

    Around the face's border, the shell is bent by its distance from the face there.
    """
    distance = lengths(_from_centre(face, geometry))
    surface = np.where(texels < 0, np.float32(np.inf), distance.take(texels))
    # Not every cell contains a texel.
    surface = lowest(surface, 1)
    inside = erode(np.isfinite(surface))
    cell_cm = 2 * np.pi * 10 / radius.shape[1]
    depth = _UNDER_FACE_CM * smoothstep((inside_distance(inside) * cell_cm - 0.2) / 0.8) + 0.05
    excess = np.where(inside, radius - (np.where(inside, surface, 0) - depth), 0)
    distance, border = nearest(inside)
    bend = blur(at(excess, border), 0.15 / cell_cm)
    bend *= 1 - smoothstep(distance * cell_cm / _BEND_CM)
    return np.asarray(radius - np.where(inside, excess, bend))


def _bound_to_face(
    points: np.ndarray,
    kept: np.ndarray,
    texels: np.ndarray,
    face: FaceTexture,
    geometry: HeadGeometry,
) -> tuple[np.ndarray, np.ndarray]:
    """Vertices and weights that move points like the nearest bit of face, or less.

    The nearest one in direction, seen from the head's middle, is near enough.

    Args:
        points: ``[rows, columns, 3]`` pixel space.
        kept: ``[n]`` flat indices of those that are wanted.
        texels: ``[rows, columns]`` from :func:`_texels_by_direction`.
        face: the completed face.
        geometry: the measured head.

    Returns:
        ``[n, 3]`` vertices and ``[n, 3]`` weights.
    """
    texel = at(texels, nearest(texels >= 0)[1].ravel()[kept])
    away = lengths(points.reshape(-1, 3)[kept] - face.positions.reshape(-1, 3).take(texel, axis=0))
    ratio = away / (FALLOFF_FH * geometry.face_height)
    # Beyond this, less than a hundredth is left: nothing moves visibly, and still splats cost less.
    near = ((texel >= 0) & (ratio < np.sqrt(np.log(100))))[:, None]
    weights = face.weights.reshape(-1, 3).take(texel, axis=0) * np.exp(-(ratio**2))[:, None]
    return np.where(near, face.vertices.reshape(-1, 3).take(texel, axis=0), 0), near * weights


def _completed_shape(known: Measured, low: np.ndarray, neck: float) -> np.ndarray:
    """Radius ratio everywhere: measured, mirrored, or, at the back of the neck, of a bare neck."""
    ratio = blend_with_mirror(known.ratio[..., None], known.seen, known.covered, wrap=True)[..., 0]
    both = np.maximum(known.covered, known.covered[:, ::-1])
    bare = low * (1 - both)
    return np.asarray(ratio * (1 - bare) + np.minimum(neck, ratio) * bare)


def _behind_openings(points: np.ndarray, geometry: HeadGeometry) -> np.ndarray:
    """Directions through eyes and lips, whose insides are built elsewhere and must show.

    All of the lips: what a closed mouth shows of its opening is not what it shows once it opens.
    """
    outline = geometry.landmarks[list(LIP_OUTLINE), :2]
    openings = geometry.eye_mask() | filled(outline, geometry.depth.shape)
    reach = max(2, int(0.03 * geometry.face_height))
    place = geometry.pixels_of(points)
    front = points[..., 2] < geometry.depth.take(place) + 4 * geometry.pose.scale
    return np.asarray(dilate(openings, reach).take(place) & front)


def _drawn_in(
    positions: np.ndarray, alpha: np.ndarray, geometry: HeadGeometry
) -> tuple[np.ndarray, np.ndarray]:
    """Move points ``[rows, columns, 3]`` inwards until the source camera does not see them.

    Towards the head's middle, but towards its axis at the neck: otherwise a neck that is wider than
    the picture's would be lifted behind the jaw, and leave a hole.

    Returns:
        The points, in head-frame cm, and ``[rows, columns]`` whether they are hidden there.
    """
    solid = alpha > 0.9
    behind = geometry.depth + np.float32(0.25 * geometry.pose.scale)
    pivots = np.repeat(CENTRE[None, None], len(positions), 0).repeat(positions.shape[1], 1)
    pivots[..., 1] += np.minimum(0, positions[..., 1] - CENTRE[1] + _NECK_FROM_CM)
    middle = geometry.pose.to_image(pivots).reshape(-1, 3)
    spokes = geometry.pose.to_image(positions).reshape(-1, 3) - middle

    def hidden(factor: np.ndarray, which: np.ndarray) -> np.ndarray:
        points = middle.take(which, axis=0) + factor[:, None] * spokes.take(which, axis=0)
        place = geometry.pixels_of(points)
        covered = solid.take(place) & (points[:, 2] > behind.take(place))
        return np.asarray(covered | ~geometry.in_picture(points))

    # Single deep cells would form spikes and a rough edge, so their neighbours follow them.
    shape = positions.shape[:2]
    reach = max(2, shape[1] // 120)
    shrink = shrunk_until(hidden, np.zeros(shape, bool), 0.55, reach=reach, wrap=True)
    # Where the surface would have to collapse beside the neck, there is no neck.
    collapsed = (shrink < _COLLAPSED) & (positions[..., 1] < CENTRE[1] - 7)
    unseen = hidden(shrink.ravel(), np.arange(shrink.size)).reshape(shape)
    return pivots + shrink[..., None] * (positions - pivots), unseen & ~collapsed
