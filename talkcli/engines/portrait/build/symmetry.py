"""Completes the face that the source hides, in texture space, from the face's own mirror image.

Texture space is the template unwrapped around a vertical axis (u azimuth, v height), so that
mirroring is a flip of the columns. The mirrored texture is not simply pasted: a smooth field that
equals its difference from the source along the seam is added to it (gradient-domain blending), so
that the light continues from the visible side without a step.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from talkcli.engines.portrait.build.geometry import HeadGeometry
from talkcli.engines.portrait.build.groups import (
    SplatGroup,
    clamp_length,
    grid_neighbours,
    grid_tangents,
)
from talkcli.engines.portrait.build.images import (
    at,
    blur,
    distance_to,
    erode,
    fill_smooth,
    highest,
    highest_color,
    lengths,
    nearest,
    shrunk_mean,
    shrunk_until,
    unit,
)
from talkcli.engines.portrait.build.raster import rasterize_triangles
from talkcli.engines.portrait.lips import lip_side
from talkcli.engines.portrait.splats import Layer
from talkcli.face.model import FaceModel, vertex_normals
from talkcli.face.topology import INNER_CORNERS, INNER_LOWER, INNER_UPPER, SKIN
from talkcli.imaging import smoothstep
from talkcli.shapes import Bool, Float, Integer

#: Axis of the unwrapping, behind the face (cm, head frame).
_AXIS_Z = -4.0
#: Viewing cosines up to which a surface counts as unseen, and from which it counts as fully seen.
_UNSEEN, _SEEN = 0.15, 0.5
#: Added to colours before taking logarithms, so that black stays finite.
_BLACK = 0.05
#: Weight of what is seen at a flat angle: negligible beside a good view, but better than a guess.
_POOR = 0.1
#: Share of the mirror image's light that gives way to the light of what is seen, continued, and the
#: scale of light (a share of the texture): lit from aside, a mirrored cheek is too bright or dark.
_LEVEL, _SHADE = 0.8, 0.1
#: Trust up to which a pixel is no colour of the face at all, and from which it counts as seen.
_USABLE, _LEAST = (0.3, 0.9), 0.12
#: Near the rim of what is seen (better than the first value; the second, and the scale of colours
#: inside it, are shares of the texture), colours are the face's own if they differ from those
#: inside by less than the first of these logarithms, and not from the second on; features of the
#: face are darker than what is around them by the third. What is brighter counts by the fourth.
_RIM_SEEN, _RIM, _AVERAGE = 0.2, 0.12, 0.04
_USUAL, _STRANGE, _FEATURES, _LIT, _SHADED, _CERTAIN = 0.18, 0.4, 0.25, 0.2, 0.5, 0.8
#: If more of a side's rim than this is strange, that side is in shadow.
_SIDE = 0.28
#: The completion lies this far under the skin (cm), so that the source covers it where opaque.
_UNDER_CM = 0.08
#: No completion lies this near to the line between the lips (a share of the texture), unless the
#: other side faces the camera better by more than this (cosine).
_LIPS, _FAR_GAIN = 0.06, 0.2
#: Width over which the completed face fades into the shell, relative to the texture's height.
_FEATHER = 0.07
#: A texel is about a pixel wide; longer steps than this cross a gap.
_LONGEST_PX = 2.5


@dataclass(frozen=True)
class FaceTexture:
    """The face in texture space, ``[T, T]`` texels.

    Attributes:
        colors: ``[T, T, 3]`` completed colours.
        positions: ``[T, T, 3]`` pixel space, just under the skin and never beside the head.
        vertices: ``[T, T, 3]`` face vertices of each texel.
        weights: ``[T, T, 3]`` their barycentric weights.
        seen: ``[T, T]`` 0–1, how well the source shows the texel.
        valid: ``[T, T]`` bool, the texel lies on skin, and solid source pixels show or hide it.
    """

    colors: Float[np.ndarray, "T T 3"]
    positions: Float[np.ndarray, "T T 3"]
    vertices: Integer[np.ndarray, "T T 3"]
    weights: Float[np.ndarray, "T T 3"]
    seen: Float[np.ndarray, "T T"]
    valid: Bool[np.ndarray, "T T"]


def complete_face(
    colors: np.ndarray,
    alpha: np.ndarray,
    trust: np.ndarray,
    geometry: HeadGeometry,
    model: FaceModel,
) -> FaceTexture:
    """Unwrap the source and fill what it hides.

    Args:
        colors: ``[S, S, 3]`` foreground colours.
        alpha: ``[S, S]`` matte; the mesh is moved inwards where the source shows background.
        trust: ``[S, S]`` low at contours; see ``front.contour_trust``.
        geometry: the measured head.
        model: face template.
    """
    size = int(np.clip(1.3 * geometry.face_height, 128, 640))
    triangle, barycentric = _unwrap(model, size)
    valid = (triangle >= 0) & (model.triangle_labels[triangle] == SKIN)
    corners = model.triangles[np.maximum(triangle, 0)]
    vertices = geometry.vertices.astype(np.float32)
    positions = _interpolated(vertices, corners, barycentric)
    normal = _interpolated(vertex_normals(vertices, model.triangles), corners, barycentric)
    seen, covered, gain = (v * valid for v in _visibility(positions, normal, geometry, trust))
    place = geometry.camera.project(positions) - np.float32(0.5)
    source = cv2.remap(
        np.ascontiguousarray(colors, np.float32),
        np.ascontiguousarray(place[..., 0]),
        np.ascontiguousarray(place[..., 1]),
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )
    own, plain = _own_skin(source, seen, gain)
    usable = covered * own * blur(erode(covered > 0.5, 2), 1.0)
    completed = blend_colors_with_mirror(source, seen * own, usable, wrap=False, plain=plain)
    under = positions - unit(normal) * np.float32(_UNDER_CM * geometry.pose.scale)
    solid = erode(alpha > 0.9, beyond=True)
    surface, inside = _drawn_in(under, valid, solid, geometry)
    surface = _behind_source(surface, geometry)
    # The lips' own rim is no badly seen skin: completed, it would show between closed lips.
    inner = np.isin(corners, (*INNER_CORNERS, *INNER_UPPER, *INNER_LOWER))
    between = valid & ((barycentric * inner).sum(-1) > 0.7)
    lips = 1 - smoothstep(2 * distance_to(between) / (_LIPS * size) - 1)
    seen = np.maximum(seen, lips * (1 - smoothstep((gain - _FAR_GAIN) / 0.1)))
    return FaceTexture(completed, surface, corners, barycentric, seen, valid & inside)


def _own_skin(
    source: np.ndarray, seen: np.ndarray, gain: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """How far colours near the rim of what is seen are those of the skin inside it.

    Hair that hangs over a temple, shadow and light from behind would be drawn out over the cheek,
    and over its mirror image. On the far side of a turned face, brows and nose are at that rim, and
    the mirror image is better anyway.

    Args:
        source: ``[T, T, 3]`` colours.
        seen: ``[T, T]`` 0-1, how well a texel is seen.
        gain: ``[T, T]`` how much better the other side faces the camera.

    Returns:
        ``[T, T]`` 0-1, and ``[T, T]`` bool: what is no brow, lip or nostril.
    """
    size = len(source)
    from_rim = _from_outside(seen > _RIM_SEEN)
    logs = np.log(np.clip(source, 0, None) + np.float32(_BLACK))
    inside = from_rim > 0
    around = blur(logs * inside[..., None], _RIM * size)
    around /= np.maximum(blur(inside, _RIM * size), 1e-3)[..., None]
    core = from_rim > _RIM * size
    plain = ~core | (highest_color(around - logs) < _FEATURES)
    core &= plain
    if not core.any():
        return np.ones(seen.shape, np.float32), inside
    sigma = _AVERAGE * size
    inner = blur(logs * core[..., None], sigma) / np.maximum(blur(core, sigma), 1e-3)[..., None]
    # Light from aside is the face's own more often than not.
    change = logs - at(inner, nearest(core)[1])
    off = blur(highest_color(np.maximum(-change, _LIT * change)), 0.25 * sigma)
    # Faces darken towards their contour, and hair has edges.
    off = off - _SHADED * np.clip(1 - from_rim / (_RIM * size), 0, 1)
    strange = smoothstep((off - _USUAL) / (_STRANGE - _USUAL)) * inside
    strange = strange * (1 - smoothstep(from_rim / (_RIM * size) - 0.5))
    ring = inside & (from_rim < 0.8 * _RIM * size)
    for half in (slice(None, size // 2), slice(size // 2, None)):
        if strange[:, half].sum() > _SIDE * ring[:, half].sum():
            strange[:, half] = 0
    strange = blur(highest(strange, round(0.25 * sigma)), 0.25 * sigma)
    own = 1 - strange * (1 - smoothstep(gain / _FAR_GAIN))
    # Half of it would be a seam, to which the mirror image is made to fit.
    return np.where(own > _CERTAIN, own, 0).astype(np.float32), plain


def _from_outside(inside: np.ndarray) -> np.ndarray:
    """``[T, T]`` distance to what lies around a region, and not in its holes."""
    # Padded, since a region may reach the border.
    outside = np.pad(~inside, 1, constant_values=True).astype(np.uint8)
    cv2.floodFill(outside, None, (0, 0), 2)
    return distance_to(outside == 2)[1:-1, 1:-1]


def _interpolated(values: np.ndarray, corners: np.ndarray, barycentric: np.ndarray) -> np.ndarray:
    """``[T, T, 3]`` values ``[478, 3]`` of the corners ``[T, T, 3]``, mixed by their weights."""
    parts = (values.take(corners[..., k], axis=0) * barycentric[..., k, None] for k in range(3))
    return np.asarray(sum(parts))


def blend_colors_with_mirror(
    source: np.ndarray,
    seen: np.ndarray,
    covered: np.ndarray,
    *,
    wrap: bool,
    plain: np.ndarray | None = None,
) -> np.ndarray:
    """Like ``blend_with_mirror``, but for colours, which different light multiplies, not shifts.

    In logarithms the difference along the seam is a factor, which darkens bright hair and keeps
    dark hair as it is instead of driving it to black.
    """
    logs = np.log(np.clip(source, 0, None) + _BLACK)
    blended = blend_with_mirror(logs, seen, covered, wrap=wrap, plain=plain)
    return np.asarray(np.clip(np.exp(blended) - _BLACK, 0, 1))


def blend_with_mirror(
    source: np.ndarray,
    seen: np.ndarray,
    covered: np.ndarray,
    *,
    wrap: bool,
    plain: np.ndarray | None = None,
) -> np.ndarray:
    """Gradient-domain blend of a texture with its left–right mirror image.

    Args:
        source: ``[H, W, C]`` texture, meaningless where ``covered`` is 0.
        seen: ``[H, W]`` 0–1, how well a texel is seen.
        covered: ``[H, W]`` 0–1, whether it is seen at all, at however flat an angle.
        wrap: whether the columns form a ring.
        plain: ``[H, W]`` bool, what is continued smoothly; all of it by default.

    Returns:
        ``[H, W, C]``: the source where it is well seen, else the mirror image shifted to fit at
        the seam, else what is badly seen on either side, else a smooth continuation.
    """
    mirrored, mirror_seen = source[:, ::-1], seen[:, ::-1]
    if not wrap:
        shade, near = _shade(source, seen)
        mirrored = mirrored + np.float32(_LEVEL) * near * (shade - shade[:, ::-1])
    # The seam, where the source is half seen, dominates; the rest only stabilises the fill.
    overlap = mirror_seen**2 * ((4 * seen * (1 - seen)) ** 2 + 0.01 * seen)
    # A small weight for no difference everywhere makes the offset fade far from the overlap.
    weight = overlap + 0.01
    difference = (source - mirrored) * (overlap / weight)[..., None]
    fitted = mirrored + fill_smooth(difference, weight, wrap=wrap)
    own = np.maximum(seen, _POOR * covered)
    other = np.maximum(mirror_seen, 0.5 * _POOR * covered[:, ::-1]) * (1 - own)
    total = np.maximum(own + other, 1e-6)[..., None]
    known = (own[..., None] * source + other[..., None] * fitted) / total
    certain = np.clip((own + other) / _POOR, 0, 1)
    weight = certain * (certain > 0.5)
    smooth = fill_smooth(known, weight if plain is None else weight * plain, wrap=wrap)
    trust = smoothstep(certain)[..., None]
    return np.asarray(trust * known + (1 - trust) * smooth)


def _shade(values: np.ndarray, seen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """``[H, W, C]`` smooth mean of what is seen, continued; ``[H, W, 1]`` 0-1, how near that is."""
    sigma, weight = _SHADE * len(values) / 4, np.asarray(seen**2, np.float32)
    rows, columns = weight.shape
    size = (max(2, columns // 4), max(2, rows // 4))
    mean, share = shrunk_mean(values, weight, size, sigma)
    filled = fill_smooth(mean, np.clip(4 * share, 0, 1))
    near = np.clip(4 * blur(share, 2 * sigma), 0, 1)
    large = cv2.resize(np.dstack([filled, near]), (columns, rows), interpolation=cv2.INTER_LINEAR)
    return large[..., :-1], large[..., -1:]


def completion_group(texture: FaceTexture) -> SplatGroup:
    """Build splats just under the skin of the face where the source shows it badly."""
    size = len(texture.seen)
    grid = texture.positions
    # Texels of the two lips are neighbours, no matter how far apart the source's lips are.
    tangent_u, tangent_v = (clamp_length(t, _LONGEST_PX) for t in grid_tangents(grid))
    # Differences at the border of the mesh reach beyond it; such texels would only be a fringe.
    inner = blur(texture.valid.astype(np.float32), 1.0) > 0.98
    kept = np.flatnonzero((inner & (texture.seen < 0.96)).ravel())
    place = np.full(size * size, -1, np.int32)
    place[kept] = np.arange(len(kept))
    side = lip_side(texture.vertices, texture.weights).ravel()
    around = grid_neighbours(size, size)[kept]
    cut = side[around] * side[kept, None] < 0
    neighbours = np.where(cut, -1, place[around])
    own = np.arange(len(kept), dtype=np.int32)[:, None]
    return SplatGroup(
        layer=Layer.COMPLETION,
        positions=grid.reshape(-1, 3)[kept],
        tangent_u=tangent_u.reshape(-1, 3)[kept],
        tangent_v=tangent_v.reshape(-1, 3)[kept],
        colors=texture.colors.reshape(-1, 3)[kept],
        opacities=0.97 * _feathered(texture.valid).ravel()[kept],
        vertices=texture.vertices.reshape(-1, 3)[kept],
        weights=texture.weights.reshape(-1, 3)[kept],
        neighbours=np.where(neighbours < 0, own, neighbours),
    )


def _feathered(valid: np.ndarray) -> np.ndarray:
    """``[T, T]`` 0–1: fades towards the mesh's outer border, where the shell takes over.

    The two are completed independently, so their light may differ.
    """
    border = _from_outside(valid)
    return smoothstep((border - 2) / (_FEATHER * len(valid)))


def _drawn_in(
    grid: np.ndarray, valid: np.ndarray, solid: np.ndarray, geometry: HeadGeometry
) -> tuple[np.ndarray, np.ndarray]:
    """Move the mesh towards the head's middle wherever the source shows background instead.

    Landmarks on the far side of a turned face are guesses and extend beyond the silhouette; kept
    there they would show, and left out they would tear the cheek.

    Returns:
        ``[T, T, 3]`` points and ``[T, T]`` whether solid source pixels cover them.
    """
    middle = geometry.pose.to_image(np.array([0.0, 0.0, _AXIS_Z], np.float32))
    spokes = (grid - middle).reshape(-1, 3)

    def covered(factor: np.ndarray, which: np.ndarray) -> np.ndarray:
        points = middle + factor[:, None] * spokes.take(which, axis=0)
        return np.asarray(solid.take(geometry.pixels_of(points)))

    # Neighbours follow; otherwise the surface would be creased where the silhouette crosses it.
    shrink = shrunk_until(covered, ~valid, 0.7, reach=max(2, len(valid) // 60))
    inside = covered(shrink.ravel(), np.arange(shrink.size)).reshape(shrink.shape)
    return middle + shrink[..., None] * (grid - middle), inside


def _behind_source(surface: np.ndarray, geometry: HeadGeometry) -> np.ndarray:
    """Push points ``[T, T, 3]`` that lie in front of the source's own surface behind it.

    At the rim that surface departs from the mesh to meet its surroundings.
    """
    place = geometry.camera.project(surface)
    # Behind all that its own width covers: on a steep rim the next pixel lies millimetres deeper.
    deepest = cv2.dilate(np.ascontiguousarray(geometry.depth, np.float32), np.ones((3, 3)))
    seen = cv2.remap(
        deepest,
        np.ascontiguousarray(place[..., 0] - 0.5),
        np.ascontiguousarray(place[..., 1] - 0.5),
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )
    depth = np.maximum(surface[..., 2], seen + _UNDER_CM * geometry.pose.scale)
    return geometry.camera.unproject(place[..., 0], place[..., 1], depth)


def _unwrap(model: FaceModel, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Triangle and barycentrics of each texel; columns k and size-1-k are mirror images."""
    azimuth = np.arctan2(model.vertices[:, 0], model.vertices[:, 2] - _AXIS_Z)
    height = model.vertices[:, 1]
    u = azimuth / (2.05 * np.abs(azimuth[:468]).max()) + 0.5
    v = (height[:468].max() - height) / np.ptp(height[:468]) * 0.98 + 0.01
    # Around the nose the unwrapped surface overlaps itself; the outermost layer wins.
    radius = np.hypot(model.vertices[:, 0], model.vertices[:, 2] - _AXIS_Z)
    flat = np.column_stack([u * size, v * size, -radius])
    triangle, barycentric, _ = rasterize_triangles(flat, model.triangles, size, size)
    return triangle, barycentric


def _visibility(
    points: np.ndarray, normal: np.ndarray, geometry: HeadGeometry, trust: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """How well the source shows points, whether at all, and how much better the other side.

    Considers the viewing angle, contours, and whether something is in front.
    """
    toward = np.array([0.0, 0.0, -geometry.camera.distance], np.float32) - points
    cosine = np.einsum("hwk,hwk->hw", normal, toward)
    cosine = cosine / np.maximum(lengths(normal) * lengths(toward), 1e-9)
    place, inside = geometry.pixels_of(points), geometry.in_picture(points)
    trust = trust.take(place)
    hidden = points[..., 2] > geometry.depth.take(place) + 0.25 * geometry.pose.scale
    # The better the other side is seen, the sooner it is preferred.
    gain = np.clip(cosine[:, ::-1] - cosine, 0, 0.5)
    unseen, full = _UNSEEN + 0.2 * gain, _SEEN + 0.4 * gain
    facing = smoothstep((cosine - unseen) / (full - unseen))
    # Soft edges, so that the blend has no step where the nose stops hiding the far cheek.
    # What is least trusted is another surface, and no colour of the face.
    sure = np.clip((trust - _LEAST) / (1 - _LEAST), 0, 1)
    seen = blur((facing * sure * inside * ~hidden).astype(np.float32), 2.0) * ~hidden
    usable = smoothstep((trust - _USABLE[0]) / (_USABLE[1] - _USABLE[0]))
    covered = inside * ~hidden * smoothstep(cosine / 0.1) * usable
    return np.asarray(seen), np.asarray(covered, np.float32), np.asarray(gain, np.float32)
