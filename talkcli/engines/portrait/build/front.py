"""The visible surface: one splat per source pixel, bound to the face mesh around it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from talkcli.engines.portrait.build.geometry import HeadGeometry
from talkcli.engines.portrait.build.groups import PIXEL_SPREAD, SplatGroup
from talkcli.engines.portrait.build.images import (
    at,
    blur,
    distance_to,
    erode,
    highest,
    inside_distance,
    lowest,
    nearest,
    unit,
)
from talkcli.engines.portrait.build.rim import neck_cosine, rim_tint, unlike_skin
from talkcli.engines.portrait.lips import lip_side
from talkcli.engines.portrait.splats import Layer
from talkcli.face.model import FaceModel, vertex_normals
from talkcli.face.topology import INNER_CORNERS
from talkcli.imaging import smoothstep
from talkcli.shapes import Float, Integer

#: Above this gap between the inner lips in the picture (face heights), some of the mouth's inside
#: shows and must not stay on the lips when they part.
_INSIDE_SHOWS_FH = 0.0075
#: Eyeballs lie this far behind the lids, so that the lids pass in front of them.
EYE_DEPTH_FH = 0.03
#: What the source's open mouth shows lies this far behind the lips, centimetres.
PICTURE_MOUTH_DEPTH_CM = 0.5
#: Expression fades with the squared distance from the mesh; its scale in face heights.
FALLOFF_FH = 0.16
#: The rim of the hair is seen edge-on. It fades only from 8° of turn, not at the first nod;
#: otherwise soft hair edges would come and go while the head idles.
_LEAST_COSINE = 0.14
#: If the mirrored side's viewing cosine is better by this much, it is certainly the better side.
_SURE_GAIN = 0.2
#: Marks the far rim of a face turned by 10° or more; of other faces, both sides are seen well.
_FAR_GAIN = 0.35
#: Width along contours in which pixels are not trusted; it is larger at the far rim of a turned
#: face, where landmarks behind hair are only guesses.
_CONTOUR_FH, _RIM_FH = 0.06, 0.08
#: Ears end this far from the neck's axis (half widths, soft), and above the jaw (face heights).
_EARS, _EARS_FH = (0.8, 0.2), 0.15
#: Share of trust that a rim loses if it is nothing like the cheek beside it.
_TINTED = 0.9
#: Depth steps of more than this many pixels per pixel are edges of something nearer, not slopes.
_EDGE_STEP, _MAX_STEP = 10.0, 10.0


@dataclass(frozen=True)
class FrontPixels:
    """The source pixels that become splats.

    Attributes:
        layer: ``[S, S]`` int, ``Layer`` of every pixel, -1 where there is none.
        positions: ``[S, S, 3]`` pixel space.
        tangent_u: ``[S, S, 3]``.
        tangent_v: ``[S, S, 3]``.
        triangle: ``[S, S]`` face triangle that moves the pixel.
        barycentric: ``[S, S, 3]`` the pixel's place in it.
        binding: ``[S, S]`` strength of that motion.
        lip_side: ``[S, S]`` +1 above, -1 below the cut between the lips, 0 elsewhere.
        normals: ``[S, S, 3]`` smoothed, unit length, facing the camera.
        cosine: ``[S, S]`` between normal and the direction to the camera.
        contour_trust: ``[S, S]`` 0.1–1, low where a pixel mixes two surfaces.
    """

    layer: Integer[np.ndarray, "S S"]
    positions: Float[np.ndarray, "S S 3"]
    tangent_u: Float[np.ndarray, "S S 3"]
    tangent_v: Float[np.ndarray, "S S 3"]
    triangle: Integer[np.ndarray, "S S"]
    barycentric: Float[np.ndarray, "S S 3"]
    binding: Float[np.ndarray, "S S"]
    lip_side: Integer[np.ndarray, "S S"]
    normals: Float[np.ndarray, "S S 3"]
    cosine: Float[np.ndarray, "S S"]
    contour_trust: Float[np.ndarray, "S S"]


def front_pixels(
    rgb: Float[np.ndarray, "S S 3"],
    alpha: Float[np.ndarray, "S S"],
    geometry: HeadGeometry,
    model: FaceModel,
) -> FrontPixels:
    """Classify the source pixels, place them and bind them to the face.

    Args:
        rgb: ``[S, S, 3]`` float32 crop, 0–1.
        alpha: ``[S, S]`` float32 matte.
        geometry: the measured head.
        model: face template.
    """
    shown = (alpha > 0.04) & (geometry.head_weight > 0.004)
    layer = np.where(shown, np.int8(Layer.SKIN), np.int8(-1))
    triangle, barycentric = geometry.triangle.copy(), geometry.barycentric.copy()
    mouth, eyes = geometry.mouth_mask(), geometry.eye_mask()
    side = _cut_side(triangle, barycentric, geometry, model)
    gap = _mouth_gap_fh(geometry)
    if gap < _INSIDE_SHOWS_FH:
        _bind_to_nearest_lip(triangle, barycentric, side, mouth, geometry.on_face)
        side = _cut_side(triangle, barycentric, geometry, model)
    else:
        layer[mouth] = Layer.PICTURE_MOUTH
    layer[eyes] = Layer.EYE
    depth = geometry.depth.copy()
    depth[eyes] += EYE_DEPTH_FH * geometry.face_height
    depth[layer == Layer.PICTURE_MOUTH] += PICTURE_MOUTH_DEPTH_CM * geometry.pose.scale
    positions = geometry.surface(depth).astype(np.float32)
    falloff = np.exp(-((geometry.face_distance / (FALLOFF_FH * geometry.face_height)) ** 2))
    binding = falloff * smoothstep(1.4 * geometry.head_weight) * (layer == Layer.SKIN)
    gain = mirror_gain(geometry, model)
    from_rim = _from_far_rim(geometry, gain)
    behind = _behind_rim(rgb, geometry, gain, from_rim)
    normals, cosine = smooth_normals(positions, geometry, behind)
    # Where the other side is seen no better, badly seen pixels stay longer and contours are kept.
    rim = 1 - _TINTED * rim_tint(rgb, geometry)
    at_contour = np.minimum(contour_trust(geometry, gain, from_rim), rim)
    trust = np.minimum(1 - np.clip(gain / _SURE_GAIN, 0, 1) * (1 - at_contour), rim)
    cosine = np.clip(cosine, 0.02, 1) * trust * (1 - gain)
    # Islands of trust would stay behind as crumbs, and splats give way at a smooth border.
    cosine = lowest(cosine, int(0.02 * geometry.face_height))
    cosine = blur(cosine, 0.025 * geometry.face_height)
    cosine = np.maximum(cosine, neck_cosine(rgb, geometry, gain / _SURE_GAIN))
    return FrontPixels(
        layer=layer,
        positions=positions,
        tangent_u=surface_tangents(positions, axis=1),
        tangent_v=surface_tangents(positions, axis=0),
        triangle=triangle,
        barycentric=barycentric,
        binding=binding.astype(np.float32),
        lip_side=side,
        normals=normals,
        cosine=cosine,
        contour_trust=at_contour,
    )


def smooth_normals(
    positions: np.ndarray, geometry: HeadGeometry, behind: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """``[S, S, 3]`` unit normals of the smoothed surface and ``[S, S]`` their viewing cosine.

    What the source shows faces the camera, so normals at folds in the depth are bent to do so too.

    Args:
        positions: ``[S, S, 3]`` pixel space.
        geometry: the measured head.
        behind: ``[S, S]`` 0–1, where the picture shows something behind a turned face.
    """
    smooth = blur(positions, 2.5)
    normal = unit(np.cross(np.gradient(smooth, axis=0), np.gradient(smooth, axis=1)))
    toward = unit(np.array([0.0, 0.0, -geometry.camera.distance], np.float32) - positions)
    # At its silhouette a surface is seen edge-on, whatever the depth of the rim pixels.
    from_rim = (geometry.silhouette_distance - 1.5) / (0.03 * geometry.face_height)
    normal = _edge_on(normal, toward, -geometry.silhouette_distance, 1 - smoothstep(from_rim))
    # So is what does not belong to the face at the far rim of a turned one; its depth, which
    # continues the cheek's, is a guess.
    outward = geometry.face_distance - inside_distance(geometry.on_face)
    normal = _aside(_edge_on(normal, toward, outward, behind), geometry)
    cosine = np.einsum("hwk,hwk->hw", normal, toward)
    normal = unit(normal + np.maximum(0, 0.05 - cosine)[..., None] * toward)
    return normal, np.einsum("hwk,hwk->hw", normal, toward)


def _edge_on(
    normal: np.ndarray, toward: np.ndarray, distance: np.ndarray, share: np.ndarray
) -> np.ndarray:
    """Bend normals by ``share`` to lie in the picture plane, the way that ``distance`` grows."""
    rows, columns = np.nonzero(share > 0)
    smooth = blur(distance, 2.0)
    step_x, step_y = np.gradient(smooth, axis=1), np.gradient(smooth, axis=0)
    outward = np.stack([step_x[rows, columns], step_y[rows, columns]], -1)
    edge_on = 0.15 * toward[rows, columns]
    edge_on[:, :2] += unit(outward, 1e-3)
    own, part = normal[rows, columns], share[rows, columns, None]
    bent = normal.copy()
    bent[rows, columns] = unit(own + part * (edge_on - own))
    return bent


def _aside(normal: np.ndarray, geometry: HeadGeometry) -> np.ndarray:
    """Turn normals that face down below an ear to face aside.

    No turn of the head changes what faces down: it would stay, as a bridge from cheek to lobe.
    """
    beside = smoothstep((geometry.neck_across - _EARS[0]) / _EARS[1])
    beside *= smoothstep((geometry.below_jaw + 2 * _EARS_FH) / _EARS_FH)
    down = beside * np.maximum(normal[..., 1], 0)
    side = np.sign(geometry.pixel_x - geometry.landmarks[:468, 0].mean())
    return unit(normal + np.stack([down * side, -down, 0 * down], -1))


def mirror_gain(geometry: HeadGeometry, model: FaceModel) -> Float[np.ndarray, "S S"]:
    """``[S, S]`` 0–0.5: how much better the other side of the face faces the camera."""
    normals = vertex_normals(geometry.vertices, model.triangles)
    toward = np.array([0.0, 0.0, -geometry.camera.distance]) - geometry.vertices
    cosine = (normals * toward).sum(1) / np.linalg.norm(toward, axis=1)
    gain = np.clip(cosine[model.symmetry] - cosine, 0, 0.5)
    corners = gain.astype(np.float32)[model.triangles].take(geometry.triangle, axis=0)
    return np.einsum("hwk,hwk->hw", corners, geometry.barycentric)


def _from_far_rim(geometry: HeadGeometry, gain: np.ndarray) -> np.ndarray:
    """``[S, S]`` pixels to the far rim of a turned face's mesh; infinite if there is none."""
    border = geometry.on_face & ~erode(geometry.on_face)
    return distance_to(border & (gain > _FAR_GAIN))


def contour_trust(geometry: HeadGeometry, gain: np.ndarray, from_rim: np.ndarray) -> np.ndarray:
    """``[S, S]`` 0.1–1: trust in pixels, low at occluding contours, where they mix two surfaces.

    Contours are the matte's edge, steps in depth (the nose in front of the far cheek) and the far
    rim of a turned face, which may have hair in front of it or behind it. The jaw is none, since
    chin and neck are one skin.

    Args:
        geometry: the measured head.
        gain: ``[S, S]`` from ``mirror_gain``.
        from_rim: ``[S, S]`` distance to the far rim, pixels.
    """
    step = np.maximum(
        np.abs(np.gradient(geometry.depth, axis=0)), np.abs(np.gradient(geometry.depth, axis=1))
    )
    from_step = distance_to((step > 0.8 * geometry.pose.scale) & (geometry.below_jaw < -0.06))
    from_rim = from_rim * _CONTOUR_FH / _RIM_FH
    outside = np.where(gain > _FAR_GAIN, np.float32(0), np.float32(np.inf))
    from_rim = np.where(geometry.on_face, from_rim, outside)
    distance = np.minimum(geometry.silhouette_distance - 1.5, np.minimum(from_step, from_rim))
    return np.asarray(
        0.1 + 0.9 * smoothstep(distance / (_CONTOUR_FH * geometry.face_height)), np.float32
    )


def _behind_rim(
    rgb: np.ndarray, geometry: HeadGeometry, gain: np.ndarray, from_rim: np.ndarray
) -> np.ndarray:
    """``[S, S]`` 0–1: what lies in front of or behind a turned face's far rim, usually hair.

    Everything outside the rim; but below the jaw, where the neck curves round to the far side, and
    just inside the rim, whose position is a guess, only what does not look like skin.
    """
    if not (gain > _FAR_GAIN).any():
        return np.zeros(gain.shape, np.float32)
    strange = highest(unlike_skin(rgb, geometry), int(0.03 * geometry.face_height))
    inside = strange * (1 - smoothstep(from_rim / (_RIM_FH * geometry.face_height) - 0.5))
    outside = smoothstep(geometry.face_distance / (0.02 * geometry.face_height))
    outside = outside * np.where(geometry.below_jaw < 0, 1, strange)
    return np.where(geometry.on_face, inside, outside) * smoothstep((gain - _FAR_GAIN) / 0.1)


def front_group(
    pixels: FrontPixels,
    wanted: Layer,
    colors: Float[np.ndarray, "S S 3"],
    opacity: Float[np.ndarray, "S S"],
    geometry: HeadGeometry,
    model: FaceModel,
) -> SplatGroup:
    """The splats of one front layer.

    Args:
        pixels: classified pixels.
        wanted: the layer.
        colors: ``[S, S, 3]`` foreground colours.
        opacity: ``[S, S]``.
        geometry: the measured head.
        model: face template.
    """
    place = np.flatnonzero(pixels.layer == wanted)
    binding = at(pixels.binding, place)[:, None]
    weight = at(geometry.head_weight, place)
    # Badly seen splats may give way to the head's completion only where it lies underneath.
    backed = (wanted == Layer.SKIN) & (weight > 0.25)
    cosine = np.where(backed, np.maximum(at(pixels.cosine, place), _LEAST_COSINE), 0)
    return SplatGroup(
        layer=wanted,
        positions=at(pixels.positions, place),
        tangent_u=at(pixels.tangent_u, place),
        tangent_v=at(pixels.tangent_v, place),
        colors=at(colors, place),
        opacities=np.float32(0.99) * at(opacity, place),
        vertices=model.triangles.take(at(pixels.triangle, place), axis=0),
        weights=at(pixels.barycentric, place) * binding,
        head_weight=weight,
        weight_slope=at(geometry.weight_slope, place),
        neighbours=_pixel_neighbours(place, pixels.lip_side),
        pixels=np.stack(np.unravel_index(place, pixels.layer.shape), 1),
        normals=at(pixels.normals, place),
        source_cosine=cosine,
        spread=PIXEL_SPREAD,
    )


def _mouth_gap_fh(geometry: HeadGeometry) -> float:
    """Distance between the middles of the inner lips in the picture, face heights."""
    gap = np.linalg.norm((geometry.landmarks[13] - geometry.landmarks[14])[:2])
    return float(gap / geometry.face_height)


def _cut_side(
    triangle: np.ndarray, barycentric: np.ndarray, geometry: HeadGeometry, model: FaceModel
) -> np.ndarray:
    """The lip of each pixel, found only between the inner corners, where the mouth is cut."""
    first, last = geometry.landmarks[list(INNER_CORNERS)]
    axis = (last - first) / np.linalg.norm(last - first)
    along = (geometry.pixel_x - first[0]) * axis[0] + (geometry.pixel_y - first[1]) * axis[1]
    near = (along > 0) & (along < np.linalg.norm(last - first)) & geometry.on_face
    side = np.zeros(near.shape, np.int8)
    side[near] = lip_side(model.triangles[triangle[near]], barycentric[near])
    return side


def _bind_to_nearest_lip(
    triangle: np.ndarray,
    barycentric: np.ndarray,
    side: np.ndarray,
    mouth: np.ndarray,
    on_face: np.ndarray,
) -> None:
    """Bind the few inner pixels of a closed mouth, which has no inside, to the nearer lip."""
    to_upper, upper = nearest(on_face & ~mouth & (side > 0))
    to_lower, lower = nearest(on_face & ~mouth & (side < 0))
    source = np.where(to_upper <= to_lower, upper, lower)[mouth]
    triangle[mouth] = triangle.ravel()[source]
    barycentric[mouth] = barycentric.reshape(-1, 3)[source]


def surface_tangents(positions: np.ndarray, axis: int) -> np.ndarray:
    """``[S, S, 3]`` grid steps of pixel-space points along an axis (1 right, 0 down).

    At a depth edge, the step on the pixel's own side is used.
    """
    along = np.moveaxis(positions, axis, 0)
    steps = np.diff(along, axis=0)
    backward, forward = steps[:-1], steps[1:]
    step_b, step_f = np.abs(backward[..., 2]), np.abs(forward[..., 2])
    ahead = (step_f < step_b).astype(positions.dtype)
    ahead[(step_f < _EDGE_STEP) & (step_b < _EDGE_STEP)] = 0.5
    tangent = np.empty_like(along)
    tangent[0], tangent[-1] = steps[0], steps[-1]
    tangent[1:-1] = backward + ahead[..., None] * (forward - backward)
    tangent[..., 2] = np.clip(tangent[..., 2], -_MAX_STEP, _MAX_STEP)
    return np.ascontiguousarray(np.moveaxis(tangent, 0, axis), np.float32)


def _pixel_neighbours(place: np.ndarray, side: np.ndarray) -> np.ndarray:
    """Left, right, upper and lower neighbours within the layer, never across the lip cut.

    Args:
        place: ``[n]`` flat indices of the layer's pixels.
        side: ``[S, S]`` lip of each pixel.
    """
    # A frame of one pixel, so that no neighbour lies outside.
    rows, columns = np.divmod(place, side.shape[1])
    width = side.shape[1] + 2
    place = (rows + 1) * width + columns + 1
    index = np.full((side.shape[0] + 2) * width, -1, np.int32)
    own = np.arange(len(place), dtype=np.int32)
    index[place] = own
    side = np.pad(side, 1).ravel()
    found = np.empty((len(place), 4), np.int32)
    for k, step in enumerate((-1, 1, -width, width)):
        beside = index[place + step]
        cut = side[place] * side[place + step] < 0
        found[:, k] = np.where((beside >= 0) & ~cut, beside, own)
    return found
