"""Closes the head: hair, ears and the back of the head as a surface around the head's centre.

The surface is star-shaped, ``radius(elevation, azimuth)``, so that "the other side" is a flip of
the columns, and a missing side is completed by the same soft, gradient-domain blend as the face.
Whatever is added must be invisible to the source camera, or the portrait itself would change:
points that the source could see are moved towards the centre until it cannot.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage
from scipy.spatial import cKDTree

from talkcli.engines.portrait.build.directions import (
    ABOVE_EARS_CM,
    CENTRE,
    HIGHEST_DEG,
    LOWEST_DEG,
    Measured,
    Sphere,
    measure_directions,
)
from talkcli.engines.portrait.build.front import FALLOFF_FH, FrontPixels, weight_slope
from talkcli.engines.portrait.build.geometry import HeadGeometry
from talkcli.engines.portrait.build.groups import (
    SplatGroup,
    clamp_length,
    grid_neighbours,
    grid_tangents,
)
from talkcli.engines.portrait.build.images import blur, inside_distance, nearest, shrunk_until
from talkcli.engines.portrait.build.symmetry import (
    FaceTexture,
    blend_colors_with_mirror,
    blend_with_mirror,
)
from talkcli.engines.portrait.splats import Layer
from talkcli.face.measures import face_height
from talkcli.face.topology import JAW_LINE
from talkcli.imaging import smoothstep

#: Semi-axes of a bald head about CENTRE (half width, height, depth), centimetres.
_SKULL = np.array([7.6, 10.8, 9.0])
#: Grid step in crop pixels at a radius of 10 cm.
_STEP_PX = 1.4
#: At the back, the skull narrows towards the neck from the height of the ears (y, cm) over the
#: length of the nape (cm).
_EAR_CM, _NAPE_CM = 0.5, 7.0
#: Unless the source shows longer hair, it ends at the earlobes and, at the back, at the nape (y in
#: cm), with a slanted line between them from the first to the second azimuth (degrees). What shows
#: below an ear when the chin is raised is neck.
_LOBE_CM, _HAIRLINE_CM, _BEHIND_DEG = -0.5, -4.5, (120.0, 165.0)
#: The surface ends this far below the jaw (face heights), where collars begin.
_ENDS_FH = 0.35
#: Radius of a neck about the vertical axis through CENTRE.
_NECK_CM = 5.6
#: Where there is a face, the shell lies this far under it.
_UNDER_FACE_CM = 0.3
#: Around the face, the shell is bent towards the face's border over this distance.
_BEND_CM = 3.0
#: Specks are parts of the neck's texture narrower than this (cm) and darker or brighter than a
#: plain neck by this (natural logarithm).
_SPECK_CM, _STRANGE_LOG = 1.6, 0.3
#: Relative brightness of the back of a neck, and of a neck that the source does not show.
_SHADED = 0.72
#: Steps of the grid longer than this many pixels are folds, not surface.
_LONGEST_PX = 4.0


def shell_group(
    pixels: FrontPixels,
    colors: np.ndarray,
    alpha: np.ndarray,
    geometry: HeadGeometry,
    face: FaceTexture,
) -> SplatGroup:
    """Build the splats of the closed head where the source does not show it well.

    Args:
        pixels: the source's own splats.
        colors: ``[S, S, 3]`` foreground colours.
        alpha: ``[S, S]`` matte.
        geometry: the measured head.
        face: the completed face; the shell stays under it and moves with it.
    """
    columns = 2 * int(np.pi * 10 * geometry.pose.scale / _STEP_PX)
    sphere = Sphere(int(columns * (HIGHEST_DEG - LOWEST_DEG) / 360), columns)
    directions = sphere.directions()
    skull = 1 / np.linalg.norm(directions / _SKULL, axis=-1)
    known = measure_directions(sphere, skull, pixels, colors, alpha, geometry)
    seen = known.seen
    height = CENTRE[1] + directions[..., 1] * skull
    neck = _NECK_CM / np.maximum(np.linalg.norm(directions[..., [0, 2]], axis=-1), 0.2)
    shape = _completed_shape(known, neck / skull, smoothstep((_EAR_CM - height) / _NAPE_CM))
    surface = CENTRE + (shape * skull)[..., None] * directions
    neck_colors = _neck_colors(surface, pixels, colors, alpha, geometry)
    texture = _completed_colors(known, height, _below_hair(directions, height), neck_colors)
    radius = _meeting_face(shape * skull, sphere, face, geometry)
    radius, hidden = _hidden_radius(radius, directions, alpha, geometry)
    positions = CENTRE + radius[..., None] * directions
    points = geometry.pose.to_image(positions)
    below = _below_jaw(positions, geometry)
    weight = 1 - smoothstep(below / 0.55)
    # The columns wrap around: differences across the azimuth's seam are taken on a padded grid.
    padded = np.concatenate([points[:, -1:], points, points[:, :1]], 1)
    tangent_u, tangent_v = (clamp_length(t[:, 1:-1], _LONGEST_PX) for t in grid_tangents(padded))
    # Seen from outside, azimuth grows to the right in front and v runs down, as in the picture.
    wanted = hidden & (seen < 0.85) & (below < _ENDS_FH) & ~_behind_openings(points, geometry)
    # Isolated cells would be specks along the jaw.
    kept = np.flatnonzero(ndimage.binary_opening(wanted, iterations=2).ravel())
    place = np.full(sphere.rows * sphere.columns, -1, np.int32)
    place[kept] = np.arange(len(kept))
    neighbours = place[grid_neighbours(sphere.rows, sphere.columns)[kept]]
    own = np.arange(len(kept), dtype=np.int32)[:, None]
    vertices, weights = _bound_to_face(points.reshape(-1, 3)[kept], face, geometry)
    return SplatGroup(
        layer=Layer.SHELL,
        positions=points.reshape(-1, 3)[kept],
        tangent_u=tangent_u.reshape(-1, 3)[kept],
        tangent_v=tangent_v.reshape(-1, 3)[kept],
        colors=texture.reshape(-1, 3)[kept],
        # A soft lower edge: the turning part must not end sharply against the part that stays.
        opacities=(0.97 * smoothstep((_ENDS_FH - below) / 0.15)).ravel()[kept],
        vertices=vertices,
        weights=weights * weight.ravel()[kept, None],
        head_weight=weight.ravel()[kept],
        weight_slope=weight_slope(weight).reshape(-1, 2)[kept],
        neighbours=np.where(neighbours < 0, own, neighbours),
    )


def _meeting_face(
    radius: np.ndarray, sphere: Sphere, face: FaceTexture, geometry: HeadGeometry
) -> np.ndarray:
    """Lay the shell under the completed face, which looks and moves better, and join the two.

    Around the face's border, the shell is bent by its distance from the face there.
    """
    offset = geometry.pose.to_head(face.positions[face.valid]) - CENTRE
    cells = sphere.cells(offset)
    surface = np.full(radius.shape, np.inf)
    np.minimum.at(surface, cells, np.linalg.norm(offset, axis=-1))
    # Not every cell contains a texel.
    surface = ndimage.minimum_filter(surface, 3)
    inside = ndimage.binary_erosion(np.isfinite(surface), iterations=1)
    cell_cm = 2 * np.pi * 10 / sphere.columns
    depth = _UNDER_FACE_CM * smoothstep((inside_distance(inside) * cell_cm - 0.2) / 0.8) + 0.05
    excess = np.where(inside, radius - (np.where(inside, surface, 0) - depth), 0)
    distance, border = nearest(inside)
    bend = blur(excess[border], 0.15 / cell_cm) * (1 - smoothstep(distance * cell_cm / _BEND_CM))
    return np.asarray(radius - np.where(inside, excess, bend))


def _bound_to_face(
    points: np.ndarray, face: FaceTexture, geometry: HeadGeometry
) -> tuple[np.ndarray, np.ndarray]:
    """``[n, 3]`` vertices and weights that move points like the nearest bit of face, or less."""
    # Every other texel in both directions, since texels lie half a pixel to a pixel apart.
    valid = face.valid[::2, ::2]
    tree = cKDTree(face.positions[::2, ::2][valid])
    width = FALLOFF_FH * geometry.face_height
    # Beyond this, less than a hundredth is left: nothing moves visibly, and still splats cost less.
    distance, index = tree.query(points, distance_upper_bound=width * np.sqrt(np.log(100)))
    near = np.isfinite(distance)
    vertices = np.zeros((len(points), 3), np.int32)
    weights = np.zeros((len(points), 3))
    strength = np.exp(-((distance[near] / width) ** 2))[:, None]
    vertices[near] = face.vertices[::2, ::2][valid][index[near]]
    weights[near] = face.weights[::2, ::2][valid][index[near]] * strength
    return vertices, weights


def _completed_shape(known: Measured, neck: np.ndarray, low: np.ndarray) -> np.ndarray:
    """Radius ratio everywhere: measured, mirrored, or, at the back of the neck, of a bare neck."""
    ratio = blend_with_mirror(known.ratio[..., None], known.seen, known.covered, wrap=True)[..., 0]
    both = np.maximum(known.covered, known.covered[:, ::-1])
    bare = low * (1 - both)
    return np.asarray(ratio * (1 - bare) + np.minimum(neck, ratio) * bare)


def _below_hair(directions: np.ndarray, height: np.ndarray) -> np.ndarray:
    """``[rows, columns]`` 0 where hair grows, 1 on the neck; ``height`` is y of the skull, cm."""
    azimuth = np.degrees(np.abs(np.arctan2(directions[..., 0], directions[..., 2])))
    begin, end = _BEHIND_DEG
    ends = _LOBE_CM + (_HAIRLINE_CM - _LOBE_CM) * smoothstep((azimuth - begin) / (end - begin))
    return smoothstep((ends - height) / 2.0)


def _completed_colors(
    known: Measured, height: np.ndarray, below_hair: np.ndarray, neck_colors: np.ndarray
) -> np.ndarray:
    """Mirror what one side shows, and fill the rest with continued hair, or with neck below it.

    Args:
        known: what the source shows in each direction.
        height: ``[rows, columns]`` y of the bare skull, cm.
        below_hair: ``[rows, columns]`` 0 where hair grows, 1 on the neck.
        neck_colors: ``[rows, columns, 3]``.
    """
    blended = blend_colors_with_mirror(known.color, known.seen, known.covered, wrap=True)
    both = np.maximum(known.covered, known.covered[:, ::-1])
    above_ears = height > ABOVE_EARS_CM
    hair = np.maximum(known.hair * known.covered, (known.hair * known.covered)[:, ::-1])
    source = above_ears & (hair > 0.6)
    if source.sum() < 0.05 * (above_ears & (both > 0.5)).sum():
        source = above_ears & (both > 0.5)  # a bald head continues its skin
    hair_color = _continued(blended, source)
    low = below_hair[..., None]
    guess = hair_color * (1 - low) + neck_colors * low
    # The visible neck ends raggedly at hair and collars; only its well-seen middle is kept.
    well = np.maximum(known.seen, known.seen[:, ::-1])
    well = blur(ndimage.grey_erosion(well, size=5), 4.0)
    both = both * (1 - low[..., 0]) + well * low[..., 0]
    both = both * (1 - _specks(blended, neck_colors, below_hair))
    unknown = 1 - smoothstep((both - 0.1) / 0.6)[..., None]
    return np.asarray(blended * (1 - unknown) + guess * unknown)


def _specks(texture: np.ndarray, neck_colors: np.ndarray, below_hair: np.ndarray) -> np.ndarray:
    """``[rows, columns]`` 0–1: remnants of collar and hair on the neck, too small to keep."""
    light = np.log((texture.mean(-1) + 0.05) / (neck_colors.mean(-1) + 0.05))
    strange = (np.abs(light) > _STRANGE_LOG) & (below_hair > 0.3)
    reach = max(1, round(_SPECK_CM / 2 * texture.shape[1] / (2 * np.pi * 10)))
    large = ndimage.distance_transform_edt(strange) > reach
    large = ndimage.distance_transform_edt(~large) <= 2 * reach
    grown = ndimage.binary_dilation(strange & ~large, iterations=max(1, reach // 3))
    return np.clip(2 * blur(grown.astype(float), max(1.0, reach / 4)), 0, 1)


def _continued(texture: np.ndarray, source: np.ndarray) -> np.ndarray:
    """Extend a texture beyond its border by repeated reflection, darker further round.

    A mean of hair and skin would look like a shadow behind the head, and the nearest hair alone
    like a smooth cape; reflection keeps the strands.
    """
    distance, (row, column) = nearest(source)
    rows, columns = np.indices(source.shape)
    depth = max(6.0, 0.06 * source.shape[1])
    # 0 at the border, growing inwards to ``depth``, back again, and so on.
    inward = depth - np.abs(distance % (2 * depth) - depth)
    step = inward / np.maximum(distance, 1e-6)
    r = np.clip(np.round(row - (rows - row) * step).astype(int), 0, source.shape[0] - 1)
    c = np.round(column - (columns - column) * step).astype(int) % source.shape[1]
    strands = np.where(source[r, c][..., None], texture[r, c], texture[row, column])
    drawn = blur(texture[row, column], 6.0)
    shade = 0.95 - 0.2 * smoothstep(distance / (0.2 * source.shape[1]))[..., None]
    return np.asarray((0.6 * blur(strands, 0.7) + 0.4 * drawn) * shade)


def _neck_colors(
    positions: np.ndarray,
    pixels: FrontPixels,
    colors: np.ndarray,
    alpha: np.ndarray,
    geometry: HeadGeometry,
) -> np.ndarray:
    """Colours of a plain neck at head-frame points ``[..., 3]``: smooth light on skin or cloth.

    Logarithms of the visible neck's colours are fitted linearly in height and width, so that the
    shadow under the chin and light from one side continue around it. If no neck is visible, it gets
    the face's skin in shadow.
    """
    region = (geometry.below_jaw > 0.03) & (geometry.below_jaw < 0.3)
    region &= (geometry.neck_across < 0.85) & (alpha > 0.9)
    skin = np.median(colors[geometry.on_face], 0)
    chroma = colors / np.maximum(colors.sum(-1, keepdims=True), 0.05) - skin / skin.sum()
    light = colors.mean(-1) / skin.mean()
    bare = region & (np.abs(chroma).max(-1) < 0.06) & (light > 0.3) & (light < 1.3)
    # With a scarf or a beard, the neck continues in what covers it.
    seen = bare if bare.sum() > 0.3 * region.sum() else region
    if seen.sum() < 30:
        return np.broadcast_to(_SHADED * skin, positions.shape)
    across = geometry.pose.to_head(pixels.positions[seen])[:, 0] / _NECK_CM
    known = np.column_stack([np.ones(len(across)), geometry.below_jaw[seen] / 0.15, across])
    logs = np.log(colors[seen] + 0.05)
    middle = np.median(logs, 0)
    # The ridge is a tenth of the pixels: slopes seen only on a sliver of neck are not trusted.
    normal = known.T @ known + 0.1 * len(across) * np.eye(3)
    slopes = np.linalg.solve(normal, known.T @ (logs - middle))
    below = np.clip(_below_jaw(positions, geometry), 0, 0.3) / 0.15
    around = np.clip(positions[..., 0] / _NECK_CM, -1, 1)
    asked = np.stack([np.ones_like(below), below, around], -1)
    fitted = np.exp(np.clip(asked @ slopes, -0.5, 0.3) + middle) - 0.05
    behind = smoothstep((CENTRE[2] + 3.0 - positions[..., 2]) / 6.0)
    return np.asarray(fitted * (1 - (1 - _SHADED) * behind)[..., None])


def _below_jaw(positions: np.ndarray, geometry: HeadGeometry) -> np.ndarray:
    """Height below the jaw line, in face heights, of head-frame points ``[..., 3]``.

    The same measure as ``HeadGeometry.below_jaw``, but in space: the back of the neck must turn
    by as much as its front, and it appears in the source at the height of the face.
    """
    face = geometry.pose.to_head(geometry.vertices)
    jaw = face[list(JAW_LINE)]
    order = np.argsort(jaw[:, 0])
    line = np.interp(positions[..., 0], jaw[order, 0], jaw[order, 1])
    return np.asarray((line - positions[..., 1]) / face_height(face))


def _behind_openings(points: np.ndarray, geometry: HeadGeometry) -> np.ndarray:
    """Directions through eyes and mouth, whose insides are built elsewhere and must show."""
    openings = geometry.eye_mask() | geometry.mouth_mask()
    reach = max(2, int(0.03 * geometry.face_height))
    openings = ndimage.binary_dilation(openings, iterations=reach)
    place = np.floor(geometry.camera.project(points)).astype(int)
    place = np.clip(place, 0, len(openings) - 1)
    front = points[..., 2] < geometry.depth[place[..., 1], place[..., 0]] + 4 * geometry.pose.scale
    return np.asarray(openings[place[..., 1], place[..., 0]] & front)


def _hidden_radius(
    radius: np.ndarray, directions: np.ndarray, alpha: np.ndarray, geometry: HeadGeometry
) -> tuple[np.ndarray, np.ndarray]:
    """The largest radius at which the source camera does not see a point, smoothed inwards.

    Returns:
        ``[rows, columns]`` radius in cm, and whether the point is hidden there.
    """

    def hidden(factor: np.ndarray | float) -> np.ndarray:
        points = geometry.pose.to_image(CENTRE + (factor * radius)[..., None] * directions)
        place = np.floor(geometry.camera.project(points)).astype(int)
        inside = ((place >= 0) & (place < len(alpha))).all(-1)
        row, column = (np.clip(place[..., k], 0, len(alpha) - 1) for k in (1, 0))
        behind = points[..., 2] > geometry.depth[row, column] + 0.25 * geometry.pose.scale
        return np.asarray(~inside | ((alpha[row, column] > 0.9) & behind))

    # Single deep cells would form spikes and a rough edge, so their neighbours follow them.
    reach = max(2, radius.shape[1] // 120)
    shrink = shrunk_until(hidden, np.zeros(radius.shape, bool), 0.55, reach=reach, wrap=True)
    # Where the surface would have to collapse beside the neck, there is no neck.
    collapsed = (shrink < 0.7) & (directions[..., 1] * radius < -7)
    return shrink * radius, hidden(shrink) & ~collapsed
