"""The backward pass of one frame: kernels in order, over the forward pass's buffers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from talkcli.kernels import pool
from talkcli.kernels.simd import LANES
from talkcli.render.cpu.backward import BASE_PLANES, blend_backward
from talkcli.render.cpu.layout import CHUNK, GRADIENTS
from talkcli.render.cpu.project_backward import project_backward, sum_features
from talkcli.render.cpu.raster import NOTHING, FlatSplats, Frame, Workspace, buffer_room


@dataclass
class Gradients:
    """Gradients of a frame's inputs, flat float32.

    Attributes:
        splats: of means, quats, scales, covars, opacities and colors; empty where those are.
        features: ``[N F]`` or empty.
        background: ``[3]``.
        viewmat: ``[4, 4]``; the last row is zero.
    """

    splats: list[np.ndarray]
    features: np.ndarray
    background: np.ndarray
    viewmat: np.ndarray


def differentiate(
    splats: FlatSplats,
    features: np.ndarray,
    frame: Frame,
    images: tuple[np.ndarray, ...],
    gradients: Sequence[np.ndarray | None],
    workspace: Workspace,
) -> Gradients:
    """Gradients of everything a frame was drawn from.

    Args:
        splats: as given to the forward pass.
        features: likewise; may be empty.
        frame: the forward pass's, prepared with slots.
        images: its outputs: flat image, alpha, depth, features.
        gradients: of the scalar to differentiate, towards each of them; None where it does not
            depend on one.
        workspace: the forward pass's, unused since.
    """
    # Colour and alpha always have planes; depth and features only where they matter.
    to_rgb, to_alpha = (
        np.zeros(len(image), np.float32) if gradient is None else gradient
        for image, gradient in zip(images[:2], gradients[:2], strict=True)
    )
    to_extra = [NOTHING if gradient is None else gradient for gradient in gradients[2:]]
    extra = (image[: len(to)] for image, to in zip(images[2:], to_extra, strict=True))
    pixels = ((*images[:2], *extra), (to_rgb, to_alpha, *to_extra))
    width, height = frame.size
    channels = len(to_extra[1]) // (width * height)
    count = len(frame.entries)
    slots = workspace.take("slots", count * GRADIENTS, np.float32)
    feature_slots = workspace.take("feature slots", count * channels, np.float32)
    tile_slots = workspace.take("tile slots", len(frame.order) * 4, np.float32)
    _blend(frame, features, pixels, (slots, feature_slots, tile_slots), workspace)
    to_background = tile_slots.reshape(-1, 4).sum(axis=0, dtype=np.float64)[:3]
    to_splats, viewmat = _project(splats, frame, slots, workspace)
    to_features = np.zeros(len(features), np.float32)
    if channels:
        parts, projected = frame.threads, frame.projected()

        def sum_part(part: int) -> None:
            span = (len(splats) * part // parts, len(splats) * (part + 1) // parts)
            sum_features(span, projected, feature_slots, channels, to_features)

        pool.run(sum_part, parts, frame.threads)
    return Gradients(to_splats, to_features, to_background.astype(np.float32), viewmat)


def _blend(
    frame: Frame,
    features: np.ndarray,
    pixels: tuple[tuple[np.ndarray, ...], tuple[np.ndarray, ...]],
    slots: tuple[np.ndarray, np.ndarray, np.ndarray],
    workspace: Workspace,
) -> None:
    """Fill the slots of every entry and tile; ``pixels`` holds images and their gradients."""
    images = pixels[0]
    width, height = frame.size
    channels = len(images[3]) // (width * height)
    planes = BASE_PLANES + (len(images[2]) > 0) + channels
    threads = min(frame.threads, len(frame.order))
    room = buffer_room(planes)
    buffers = workspace.take("backward buffer", threads * room, np.float32).reshape(threads, -1)
    sums = workspace.take("backward sums", threads * (channels + 1) * LANES, np.float32)
    sums = sums.reshape(threads, -1)
    counter = np.zeros(1, np.int64)
    lists, projected = frame.lists(), frame.projected()
    size = (width, height, frame.tiles_x, planes)
    extras = features if planes > BASE_PLANES else None

    def blend_part(part: int) -> None:
        scratch = (buffers[part], sums[part])
        blend_backward(counter, lists, projected, extras, pixels, slots, scratch, size)

    pool.run(blend_part, threads, frame.threads)


def _project(
    splats: FlatSplats, frame: Frame, slots: np.ndarray, workspace: Workspace
) -> tuple[list[np.ndarray], np.ndarray]:
    """Gradients of the splats' arrays and of the view matrix."""
    count = len(splats)
    arrays = splats.arrays()
    gradients = [np.empty(len(array), np.float32) for array in arrays]
    whole = count // LANES * LANES
    chunks = -(-whole // CHUNK)
    # One row more for the last splats, which go through padded copies.
    camera_sums = np.zeros((chunks + 1, LANES), np.float32)
    parts = min(2 * frame.threads, chunks) or 1
    scratch = workspace.take("project backward", parts * 512, np.float32).reshape(parts, -1)
    projected = frame.projected()
    outputs = tuple(gradients)

    def project_part(part: int) -> None:
        begin, end = chunks * part // parts, chunks * (part + 1) // parts
        span = (begin * CHUNK, min(end * CHUNK, whole))
        results = (outputs, camera_sums)
        project_backward(arrays, frame.camera, span, 0, projected, slots, results, scratch[part])

    pool.run(project_part, parts, frame.threads)
    if whole < count:
        tail = splats.padded_tail()
        padded = tuple(np.empty(len(array), np.float32) for array in tail)
        results = (padded, camera_sums[chunks:])
        span = (0, LANES)
        project_backward(tail, frame.camera, span, whole, projected, slots, results, scratch[0])
        for gradient, rows in zip(gradients, padded, strict=True):
            width = len(gradient) // count
            gradient[whole * width :] = rows[: (count - whole) * width]
    viewmat = np.zeros((4, 4), np.float32)
    viewmat[:3] = camera_sums.sum(axis=0, dtype=np.float64)[:12].reshape(3, 4)
    return gradients, viewmat
