"""Matte of the one person whose face is given: MediaPipe's selfie segmentation, refined by colour.

The network sees 256² pixels and is trusted where several views of the picture agree. Where they
disagree, the picture decides: colour lines carry the sure parts into the unsure ones at a quarter
of the resolution, and then a narrow band along the outline is solved at full resolution.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from talkcli.face.topology import CHIN_TIP, FACE_OVAL, FOREHEAD_TOP, NOSE_TIP
from talkcli.imaging import disc, smoothstep
from talkcli.layers.closed_form import nearest_index, sample_alpha, solve_matte
from talkcli.layers.colors import split_layers
from talkcli.weights.mediapipe import mediapipe_solutions

if TYPE_CHECKING:
    from collections.abc import Iterator

_COARSE_FACE_PX = 46.0  # face height at which unsure regions are solved: long reach, few pixels
_FUSED_FACE_PX = 135.0  # face height at which the network's views are compared
_MODEL_LOCK = threading.Lock()  # MediaPipe graphs are not re-entrant


@dataclass(frozen=True)
class Matte:
    """How much of each pixel belongs to the person, and the person's colour there.

    Attributes:
        alpha: ``[H, W]`` float32 in 0–1.
        foreground: ``[H, W, 3]`` float32 0–1, not premultiplied; equal to the picture where alpha
            is 1, free of background at the rim, and continued outwards where alpha is 0.
        strands: ``[H, W, 4]`` float32 straight colour and coverage of single hairs beside the
            matte, or None where they have not been looked for.
    """

    alpha: np.ndarray
    foreground: np.ndarray
    strands: np.ndarray | None = None


def person_matte(
    rgb: np.ndarray,
    face: np.ndarray,
    face_height_px: float,
    alpha_in: np.ndarray | None = None,
    inside: tuple[int, int, int, int] | None = None,
) -> Matte:
    """Compute the matte of the person whose face is given.

    Args:
        rgb: ``[H, W, 3]`` float32 0–1, sRGB-encoded.
        face: ``[478, 3]`` (or more columns) face points, pixels of ``rgb``.
        face_height_px: distance between points 10 and 152, pixels.
        alpha_in: ``[H, W]`` float32 0–1, the picture's own transparency, if any. A cut-out
            replaces the network's matte; any other transparency only limits it.
        inside: x0, y0, x1, y1 of the real pixels if ``rgb`` is a crop padded beyond the picture;
            the padding takes the values of the nearest real pixel.

    Returns:
        The matte, of the same size as ``rgb``.

    Raises:
        MissingDependencyError: MediaPipe cannot be imported.
    """
    h, w = rgb.shape[:2]
    x0, y0, x1, y1 = inside or (0, 0, w, h)
    colors = np.ascontiguousarray(rgb[y0:y1, x0:x1], np.float32)
    points: np.ndarray = face[:, :2] - np.array([x0, y0], np.float32)
    own = None if alpha_in is None else alpha_in[y0:y1, x0:x1]
    found = _find_person(colors, points, face_height_px, own)
    matte, picture = found.alpha, found.picture
    if own is not None and found.cutout:
        front = _spread(colors, own > 0.9)
    else:
        front, _ = split_layers(picture, matte)
    solid = smoothstep((matte - 0.95) / 0.05)[..., None]
    front = colors * solid + front * (1 - solid)
    pad = ((y0, h - y1), (x0, w - x1))
    matte = np.pad(matte.astype(np.float32), pad, mode="edge")
    front = np.pad(front.astype(np.float32), (*pad, (0, 0)), mode="edge")
    return Matte(_round_off(matte, face[:, :2], face_height_px, (x0, y0, x1)), front)


def person_alpha(
    rgb: np.ndarray,
    face: np.ndarray,
    face_height_px: float,
    alpha_in: np.ndarray | None,
    sharp: np.ndarray,
) -> np.ndarray:
    """The alpha of :func:`person_matte` alone, in full only where it is wanted: beside the head.

    Args:
        rgb: as there, and so are ``face``, ``face_height_px`` and ``alpha_in``.
        face: see above.
        face_height_px: see above.
        alpha_in: see above.
        sharp: ``[H, W]`` bool; elsewhere the outline is as the network sees it.

    Returns:
        ``[H, W]`` float32 in 0–1.

    Raises:
        MissingDependencyError: MediaPipe cannot be imported.
    """
    colors = np.ascontiguousarray(rgb, np.float32)
    found = _find_person(colors, face[:, :2], face_height_px, alpha_in, sharp)
    return found.alpha.astype(np.float32)


def picture_probability(rgb: np.ndarray, face: np.ndarray, face_height_px: float) -> np.ndarray:
    """The probability of a person at every pixel of a picture, from several views of it.

    Other people count, too.

    Args:
        rgb: ``[H, W, 3]`` uint8, sRGB.
        face: ``[478, 2]`` or more columns, face points in its pixels.
        face_height_px: distance between points 10 and 152, pixels.

    Returns:
        ``[H, W]`` float32 in 0–1.

    Raises:
        MissingDependencyError: MediaPipe cannot be imported.
    """
    height, width = rgb.shape[:2]
    scale = min(1.0, _FUSED_FACE_PX / face_height_px)
    size = max(3, round(width * scale)), max(3, round(height * scale))
    small = cv2.resize(rgb, size, interpolation=cv2.INTER_AREA).astype(np.float32) / 255
    found, _ = _segment(small, face[:, :2] * scale, face_height_px * scale, close=True)
    return cv2.resize(found, (width, height), interpolation=cv2.INTER_LINEAR)


@dataclass(frozen=True)
class _Person:
    """Alpha ``[H, W]``, the picture ``[H, W, 3]`` that shows it, and whether it is a cut-out's."""

    alpha: np.ndarray
    picture: np.ndarray
    cutout: bool


def _find_person(
    colors: np.ndarray,
    points: np.ndarray,
    fh: float,
    alpha_in: np.ndarray | None,
    sharp: np.ndarray | None = None,
) -> _Person:
    own = None if alpha_in is None else alpha_in.astype(np.float32)
    if own is not None and own.min() > 0.99:
        own = None  # opaque: the alpha channel carries no information
    picture = colors
    if own is not None:
        # Transparent pixels may hold any colour; the network is shown grey there.
        picture = colors * own[..., None] + 0.5 * (1 - own[..., None])
    prior, doubt = _segment(picture, points, fh, close=sharp is None)
    if own is not None and _is_cutout(own, prior, points, fh):
        return _Person(_keep_face(own, points, fh), picture, True)
    alpha = _keep_face(_refine(picture, prior, doubt, fh, sharp), points, fh)
    return _Person(alpha if own is None else alpha * own, picture, False)


@lru_cache(maxsize=2)
def _network(landscape: bool) -> Any:
    segmentation = mediapipe_solutions().selfie_segmentation
    return segmentation.SelfieSegmentation(model_selection=int(landscape))


def _views(
    h: int, w: int, points: np.ndarray, fh: float, *, close: bool
) -> Iterator[tuple[tuple[int, int, int, int], bool, bool]]:
    """Rectangles (x0, y0, x1, y1) shown to the network, each with (landscape model, flipped).

    Those within the standard crop around the head only if ``close``.
    """
    cx, cy = points[list(FACE_OVAL)].mean(0)
    yield (0, 0, w, h), False, False
    yield (0, 0, w, h), False, True
    yield (0, 0, w, h), True, False
    # Half side, and height of the centre above the face's, in face heights: bust, head, hair.
    nearer = ((1.15, 0.0, (True,)), (0.95, 0.12, (False, True))) if close else ()
    for half, lift, flips in ((1.4, -0.1, (False,)), *nearer):
        box = (
            max(0, round(cx - half * fh)), max(0, round(cy - (half + lift) * fh)),
            min(w, round(cx + half * fh)), min(h, round(cy + (half - lift) * fh)),
        )  # fmt: skip
        # A view that is nearly the whole picture adds nothing.
        if (box[2] - box[0]) * (box[3] - box[1]) < 0.85 * h * w:
            for flip in flips:
                yield box, False, flip


def _segment(
    picture: np.ndarray, points: np.ndarray, fh: float, *, close: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Probability of the person, from all views but outliers, and the views' spread in logits."""
    h, w = picture.shape[:2]
    scale = min(1.0, _FUSED_FACE_PX / fh)  # the sharpest view has no more pixels than this
    size = (max(3, round(w * scale)), max(3, round(h * scale)))
    image = (np.clip(picture, 0, 1) * 255 + 0.5).astype(np.uint8)
    logits, weights = [], []
    for (x0, y0, x1, y1), landscape, flip in _views(h, w, points, fh, close=close):
        part = image[y0:y1, x0:x1]
        p = person_probability(part[:, ::-1], landscape)[:, ::-1] if flip else (
            person_probability(part, landscape)
        )  # fmt: skip
        logit, weight = np.zeros((2, h, w), np.float32)
        logit[y0:y1, x0:x1] = np.log(p / (1 - p))
        weight[y0:y1, x0:x1] = _inner_weight((x0, y0, x1, y1), (h, w), 0.25 * fh)
        logits.append(cv2.resize(logit, size, interpolation=cv2.INTER_AREA))
        weights.append(cv2.resize(weight, size, interpolation=cv2.INTER_AREA))
    stack, trust = np.stack(logits), np.stack(weights)
    mean = (trust * stack).sum(0) / trust.sum(0)
    for _ in range(2):
        vote = trust / (1 + np.square((stack - mean) / 1.5))
        mean = (vote * stack).sum(0) / vote.sum(0)
    spread = np.sqrt((trust * np.square(stack - mean)).sum(0) / trust.sum(0))
    mean, spread = cv2.resize(mean, (w, h)), cv2.resize(spread, (w, h))
    hull = np.zeros((h, w), np.uint8)
    outline = cv2.convexHull(np.round(points[list(FACE_OVAL)]).astype(np.int32))
    cv2.fillConvexPoly(hull, outline, 1)
    inner = cv2.erode(hull, disc(0.04 * fh)) > 0
    mean[inner], spread[inner] = 4.6, 0.0  # the face itself is never background
    return 1 / (1 + np.exp(-mean)), spread


def person_probability(image: np.ndarray, landscape: bool = False) -> np.ndarray:
    """What the network alone says about a picture: the probability of a person at every pixel.

    Args:
        image: ``[H, W, 3]`` uint8, sRGB; the network sees 256² pixels of it.
        landscape: use the network that sees 144 x 256 pixels.

    Returns:
        ``[H, W]`` float32 in .01 to .99.

    Raises:
        MissingDependencyError: MediaPipe cannot be imported.
    """
    with _MODEL_LOCK:
        result = _network(landscape).process(np.ascontiguousarray(image))
    return np.clip(result.segmentation_mask, 0.01, 0.99)


def _inner_weight(
    box: tuple[int, int, int, int], shape: tuple[int, int], ramp: float
) -> np.ndarray:
    """1 inside the box, fading over ``ramp`` pixels towards sides that are not picture borders.

    A cut through the shoulders misleads the network near the cut.
    """
    (x0, y0, x1, y1), (h, w) = box, shape
    x, y = np.arange(x1 - x0), np.arange(y1 - y0)
    far = np.float32(ramp)
    dx = np.minimum(x + 1 if x0 else far, x[::-1] + 1 if x1 < w else far)
    dy = np.minimum(y + 1 if y0 else far, y[::-1] + 1 if y1 < h else far)
    dx, dy = np.broadcast_to(dx, x.shape), np.broadcast_to(dy, y.shape)
    return np.clip(np.minimum(dx, dy[:, None]) / ramp, 0, 1)


def _refine(
    picture: np.ndarray,
    prior: np.ndarray,
    doubt: np.ndarray,
    fh: float,
    sharp: np.ndarray | None,
) -> np.ndarray:
    """Alpha from the network's probability, its doubt and, where wanted, the picture's colours."""
    h, w = prior.shape
    scale = min(1.0, _COARSE_FACE_PX / fh)
    size = (max(3, round(w * scale)), max(3, round(h * scale)))
    small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    p = cv2.resize(prior, size, interpolation=cv2.INTER_AREA)
    d = cv2.dilate(cv2.resize(doubt, size, interpolation=cv2.INTER_AREA), np.ones((3, 3)))
    sure = (np.square(2 * p - 1) * np.exp(-np.square(d / 0.7))) ** 2
    everywhere = np.ones(p.shape, bool)
    settled = solve_matte(small, p, 3 * sure, everywhere, p, eps=1e-4, iterations=60)
    settled = np.clip(cv2.resize(settled, (w, h), interpolation=cv2.INTER_CUBIC), 0, 1)
    open_ = cv2.GaussianBlur(cv2.resize(1 - np.exp(-np.square(d / 0.7)), (w, h)), (0, 0), 0.01 * fh)
    judged = prior + (settled - prior) * open_

    band = disc(0.03 * fh)
    front = cv2.erode((judged > 0.9).astype(np.uint8), band) > 0
    back = cv2.dilate((judged > 0.1).astype(np.uint8), band) == 0
    guess, trust = sample_alpha(picture, front, back, 0.08 * fh, sharp)
    color = 0.5 * trust
    firm = np.square(2 * prior - 1) * np.exp(-np.square(doubt / 0.7))
    firm = cv2.erode(firm, disc(0.02 * fh))
    shape = 0.03 + 0.3 * (1 - trust) + 0.5 * firm**2
    target = (shape * smoothstep((judged - 0.2) / 0.6) + color * guess) / (shape + color)
    start = np.where(front, 1, np.where(back, 0, target)).astype(np.float32)
    unknown = ~(front | back)
    if sharp is not None:
        unknown &= sharp
    alpha = solve_matte(picture, target, shape + color, unknown, start, eps=1e-5, iterations=25)
    # Doubtful regions far from anything solid are haze, not hair: strands reach 0.1 face heights.
    solid = cv2.morphologyEx((alpha > 0.8).astype(np.uint8), cv2.MORPH_OPEN, disc(0.012 * fh))
    far = cv2.distanceTransform(1 - solid, cv2.DIST_L2, 5) / fh
    alpha = alpha * (1 - smoothstep((far - 0.05) / 0.07))
    # A residue of a few percent would leave a veil of the old background on a new one.
    return np.clip((alpha - 0.03) / 0.94, 0, 1)


def _round_off(
    alpha: np.ndarray, points: np.ndarray, fh: float, limits: tuple[int, int, int]
) -> np.ndarray:
    """Round off a head that the picture's border cuts: a dome above, a short fade at the sides.

    Args:
        alpha: ``[H, W]``, replicated from the border beyond the picture.
        points: ``[478, 2]`` face points.
        fh: face height, pixels.
        limits: x0, y0, x1 of the picture.
    """
    x0, y0, x1 = limits
    h, w = alpha.shape
    x, y = np.arange(w, dtype=np.float32), np.arange(h, dtype=np.float32)[:, None]
    height = np.zeros(w, np.float32)
    edges = np.flatnonzero(np.diff(np.pad(alpha[y0] > 0.5, 1).astype(np.int8)))
    # Hair ends about 0.3 face heights above the top of the face; a cut through it would look flat.
    rise = max(y0 - (float(points[FOREHEAD_TOP, 1]) - 0.3 * fh), 0.08 * fh)
    for start, stop in zip(edges[::2], edges[1::2], strict=True):
        half = 0.5 * (stop - start) + 1
        span = 1 - np.square((x - 0.5 * (start + stop - 1)) / half)
        height = np.maximum(height, min(rise, 0.6 * half) * np.sqrt(np.clip(span, 0, 1)))
    above = np.where(y < y0, np.clip(height - (y0 - y) + 0.5, 0, 1), 1)
    beyond = np.maximum(np.maximum(x0 - x, x - x1 + 1), 0) / fh
    beside = np.where(y < points[CHIN_TIP, 1], 1 - smoothstep(beyond / 0.12), 1)
    return (alpha * above * beside).astype(np.float32)


def _keep_face(alpha: np.ndarray, points: np.ndarray, fh: float) -> np.ndarray:
    """The part of the matte that is connected to the face."""
    h, w = alpha.shape
    body = (alpha > 0.3).astype(np.uint8)
    _, labels = cv2.connectedComponents(body)
    x, y = np.clip(np.round(points[NOSE_TIP]).astype(int), 0, (w - 1, h - 1))
    if not labels[y, x]:
        return alpha
    near = cv2.dilate((labels == labels[y, x]).astype(np.uint8), disc(0.03 * fh))
    return alpha * near


def _is_cutout(own: np.ndarray, prior: np.ndarray, points: np.ndarray, fh: float) -> bool:
    """Whether the picture's own alpha already separates the person from the background.

    A picture with rounded corners does not, since it is opaque beside the head.
    """
    x = np.abs(np.arange(own.shape[1]) - points[NOSE_TIP, 0]) > 0.9 * fh
    y = np.arange(own.shape[0]) < points[CHIN_TIP, 1]
    for outside in (y[:, None] & x, prior < 0.1):
        if outside.sum() > 0.02 * own.size and own[outside].mean() < 0.2:
            return True
    return False


def _spread(colors: np.ndarray, known: np.ndarray) -> np.ndarray:
    """The colours where known, and those of the nearest known pixel elsewhere."""
    if not known.any():
        return colors
    return colors.reshape(-1, 3)[nearest_index(known)]
