"""L1 + SSIM and its gradient in one pass over the image, 3 to 6 times faster than by torch.

Fitting calls it every iteration, where torch's separable convolutions would take longer than
rendering and differentiating together. SSIM needs four blurred maps, of x, y, x² + y² and xy; its
gradient is three maps blurred once more. Strips of rows go from ticket to ticket; a block of 64
columns keeps the half-blurred rows of a strip in the first-level cache.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from talkcli import runtime
from talkcli.kernels import jit, pool
from talkcli.kernels.jit import helper, kernel
from talkcli.kernels.memory import load, load_columns, store, store_columns, take_ticket
from talkcli.kernels.simd import LANES, absolute, lane_numbers, select, splat, total
from talkcli.render.cpu.raster import aligned, flat

#: The window of SSIM as 3D Gaussian splatting uses it: 11 taps, sigma 1.5 px, zero padding.
REACH = 5
_window = np.exp(-(np.arange(-REACH, REACH + 1) ** 2) / (2 * 1.5**2))
_TAPS = tuple(np.float32(w) for w in (_window / _window.sum())[: REACH + 1])
_C1, _C2 = np.float32(0.01**2), np.float32(0.03**2)

#: Empty columns left and right of a plane, and rows and columns worked on at a time.
_MARGIN = LANES
_STRIP = 64
_BLOCK = 128
_STRIP_MAP = (_STRIP + 2 * REACH) * _BLOCK
_ROW_ROOM = _BLOCK + 2 * LANES
_SCRATCH = 4 * _STRIP_MAP + 2 * _ROW_ROOM


@helper
def _blur(source: Any, place: int, step: int) -> Any:
    """The window's weighted sum of vectors that lie ``step`` floats apart."""
    blurred = _TAPS[5] * load(source, place)
    for k in range(1, REACH + 1):
        pair = load(source, place - k * step) + load(source, place + k * step)
        blurred = blurred + _TAPS[REACH - k] * pair
    return blurred


@helper
def _plane_geometry(size: Any) -> Any:
    """Floats per padded row, and per padded plane."""
    stride = (size[0] + LANES - 1) // LANES * LANES + 2 * _MARGIN
    return stride, stride * (size[1] + 2 * REACH)


@kernel
def split_planes(image: Any, planes: Any, span: Any, size: Any) -> None:
    """Copy rows of a flat ``[H, W, 3]`` image into three zero-padded planes.

    Args:
        image: flat.
        planes: three padded planes, flat; their padding is left as it is.
        span: first row and end.
        size: width and height.
    """
    width = size[0]
    stride, plane = _plane_geometry(size)
    for y in range(span[0], span[1]):
        source = y * width * 3
        target = (y + REACH) * stride + _MARGIN
        for x in range(0, width - LANES + 1, LANES):
            red, green, blue = load_columns(image, source + x * 3, 3)
            store(planes, target + x, red)
            store(planes, target + plane + x, green)
            store(planes, target + 2 * plane + x, blue)
        for x in range(width // LANES * LANES, width):
            for channel in range(3):
                planes[target + channel * plane + x] = image[source + x * 3 + channel]


@helper
def _walk(
    counter: Any, size: Any, sums: Any, scratch: Any, blur: Any, finish: Any, planes: Any
) -> None:
    """Visit all three channels strip by strip until none is left, sixteen pixels at a time.

    Args:
        counter: ``[1]`` int64 ticket machine over the strips.
        size: width and height.
        sums: ``[strips]`` float64, set to each strip's sum of what ``finish`` returns.
        scratch: of this thread alone.
        blur: blurs a row of a block into ``scratch``; called with ``planes``, the row's place, the
            padded plane's size, ``scratch``, and the row's place there.
        finish: called for sixteen pixels with ``planes``, their place there, the padded plane's
            size, ``scratch``, their place there, and how many columns are left.
        planes: what both of them read and write.
    """
    width, height = size
    stride, plane = _plane_geometry(size)
    strips = (height + _STRIP - 1) // _STRIP
    while True:
        ticket = take_ticket(counter)
        if ticket >= 3 * strips:
            break
        channel, top = ticket // strips, ticket % strips * _STRIP
        rows = min(_STRIP, height - top)
        sums[ticket] = 0.0
        for left in range(0, width, _BLOCK):
            start = channel * plane + top * stride + _MARGIN + left
            for row in range(2 * REACH):
                blur(planes, start + row * stride, plane, scratch, row * _BLOCK)
            # A row is blurred just before the last of those that need it: eleven stay in the cache.
            for row in range(rows):
                last = row + 2 * REACH
                blur(planes, start + last * stride, plane, scratch, last * _BLOCK)
                row_sum = splat(0.0)
                for i in range(0, min(_BLOCK, width - left), LANES):
                    place = start + (row + REACH) * stride + i
                    blurred = (row + REACH) * _BLOCK + i
                    row_sum = row_sum + finish(
                        planes, place, plane, scratch, blurred, width - left - i
                    )
                sums[ticket] += total(row_sum)


@helper
def _blur_images(planes: Any, place: int, _plane: int, scratch: Any, target: int) -> None:
    """Blur x, y, x² + y² and xy of a block's row, into ``scratch`` map after map."""
    x, y, _ = planes
    squares = 4 * _STRIP_MAP
    products = squares + _ROW_ROOM
    for i in range(0, _ROW_ROOM, LANES):
        a, b = load(x, place - LANES + i), load(y, place - LANES + i)
        store(scratch, squares + i, a * a + b * b)
        store(scratch, products + i, a * b)
    for i in range(0, _BLOCK, LANES):
        store(scratch, target + i, _blur(x, place + i, 1))
        store(scratch, target + _STRIP_MAP + i, _blur(y, place + i, 1))
        store(scratch, target + 2 * _STRIP_MAP + i, _blur(scratch, squares + LANES + i, 1))
        store(scratch, target + 3 * _STRIP_MAP + i, _blur(scratch, products + LANES + i, 1))


@helper
def _similarity(mean_x: Any, mean_y: Any, squares: Any, products: Any) -> Any:
    """SSIM and its derivatives by mean_x, squares and products, from the four blurred maps."""
    square_x, square_y = mean_x * mean_x, mean_y * mean_y
    product = mean_x * mean_y
    a1, a2 = 2.0 * product + _C1, 2.0 * (products - product) + _C2
    b1, b2 = square_x + square_y + _C1, squares - (square_x + square_y) + _C2
    inverse = 1.0 / (b1 * b2)
    ssim = a1 * a2 * inverse
    by_products = 2.0 * a1 * inverse
    by_squares = -(ssim * b1 * inverse)
    by_mean = 2.0 * (mean_y * a2 * inverse - mean_x * ssim * b2 * inverse)
    by_mean = by_mean - mean_y * by_products - 2.0 * mean_x * by_squares
    return ssim, by_mean, by_squares, by_products


@helper
def _finish_similarity(
    planes: Any, place: int, plane: int, scratch: Any, blurred: int, columns: int
) -> Any:
    """Write SSIM's derivatives for sixteen pixels; returns SSIM, zero beyond the last column."""
    maps = planes[2]
    ssim, by_mean, by_squares, by_products = _similarity(
        _blur(scratch, blurred, _BLOCK),
        _blur(scratch, blurred + _STRIP_MAP, _BLOCK),
        _blur(scratch, blurred + 2 * _STRIP_MAP, _BLOCK),
        _blur(scratch, blurred + 3 * _STRIP_MAP, _BLOCK),
    )
    inside = lane_numbers() < np.float32(columns)
    store(maps, place, select(inside, by_mean, 0.0))
    store(maps, place + 3 * plane, select(inside, by_squares, 0.0))
    store(maps, place + 6 * plane, select(inside, by_products, 0.0))
    return select(inside, ssim, 0.0)


@kernel
def similarity_maps(counter: Any, planes: Any, sums: Any, scratch: Any, size: Any) -> None:
    """SSIM's sum and its three derivative maps.

    Args:
        counter: ``[1]`` int64 ticket machine over strips of all three channels.
        planes: padded planes of the image, of the target, and of the maps, three per derivative;
            the maps' padding stays zero.
        sums: ``[strips]`` float64, set.
        scratch: of this thread alone.
        size: width and height.
    """
    _walk(counter, size, sums, scratch, _blur_images, _finish_similarity, planes)


@helper
def _blur_maps(planes: Any, place: int, plane: int, scratch: Any, target: int) -> None:
    """Blur the three derivative maps of one channel of a block's row."""
    maps = planes[2]
    for i in range(0, _BLOCK, LANES):
        store(scratch, target + i, _blur(maps, place + i, 1))
        store(scratch, target + _STRIP_MAP + i, _blur(maps, place + i + 3 * plane, 1))
        store(scratch, target + 2 * _STRIP_MAP + i, _blur(maps, place + i + 6 * plane, 1))


@helper
def _finish_gradient(
    planes: Any, place: int, plane: int, scratch: Any, blurred: int, columns: int
) -> Any:
    """Write the gradient of sixteen pixels; returns absolute differences, zero in the padding."""
    x, y, _, gradient, of_ssim, of_sign = planes
    a, b = load(x, place), load(y, place)
    slope = _blur(scratch, blurred, _BLOCK)
    slope = slope + 2.0 * a * _blur(scratch, blurred + _STRIP_MAP, _BLOCK)
    slope = slope + b * _blur(scratch, blurred + 2 * _STRIP_MAP, _BLOCK)
    difference = a - b
    sign = select(difference > 0.0, 1.0, select(difference < 0.0, -1.0, 0.0))
    store(gradient, place, of_ssim * slope + of_sign * sign)
    return absolute(difference)


@kernel
def loss_gradient(counter: Any, planes: Any, sums: Any, scratch: Any, size: Any) -> None:
    """Gradient of the loss towards the image, and the sum of absolute differences.

    Args:
        counter: ``[1]`` int64 ticket machine over strips of all three channels.
        planes: padded planes of the image, of the target, of the derivative maps and of the
            gradient, which is set; then the weights of SSIM's gradient and of the sign of the
            difference.
        sums: ``[strips]`` float64, set.
        scratch: of this thread alone.
        size: width and height.
    """
    _walk(counter, size, sums, scratch, _blur_maps, _finish_gradient, planes)


@kernel
def join_planes(planes: Any, image: Any, span: Any, size: Any) -> None:
    """The inverse of :func:`split_planes`.

    Args:
        planes: three padded planes, flat.
        image: flat ``[H, W, 3]``, rows of it set.
        span: first row and end.
        size: width and height.
    """
    width = size[0]
    stride, plane = _plane_geometry(size)
    for y in range(span[0], span[1]):
        target = y * width * 3
        source = (y + REACH) * stride + _MARGIN
        for x in range(0, width - LANES + 1, LANES):
            red, green = load(planes, source + x), load(planes, source + plane + x)
            blue = load(planes, source + 2 * plane + x)
            store_columns(image, target + x * 3, (red, green, blue))
        for x in range(width // LANES * LANES, width):
            for channel in range(3):
                image[target + x * 3 + channel] = planes[source + channel * plane + x]


class _Planes:
    """Zero-padded planes for one image size; kernels leave the padding alone."""

    def __init__(self, width: int, height: int) -> None:
        stride = -(-width // LANES) * LANES + 2 * _MARGIN
        # A block may read past the end of its last row.
        room = 3 * stride * (height + 2 * REACH) + _BLOCK + 2 * LANES
        self.x, self.y, self.gradient = (_zeros(room) for _ in range(3))
        self.maps = _zeros(3 * room)
        self.strips = 3 * -(-height // _STRIP)


#: Planes that no call uses at the moment, by image size.
_free: dict[tuple[int, int], list[_Planes]] = {}


def _take_planes(size: tuple[int, int]) -> _Planes:
    try:
        return _free.setdefault(size, []).pop()
    except IndexError:
        return _Planes(*size)


def _zeros(count: int) -> np.ndarray:
    array = aligned(count, np.float32)
    array.fill(0)
    return array


def l1_ssim(image: Tensor, target: Tensor, ssim_weight: float = 0.2) -> Tensor:
    """(1 - w) · mean |image - target| + w · (1 - SSIM), as 3D Gaussian splatting is fitted.

    SSIM has an 11-tap Gaussian window (sigma 1.5 px), zero padding, and values taken as 0–1.

    Args:
        image: ``[H, W, 3]``, the only one that the loss is differentiable in.
        target: ``[H, W, 3]``.
        ssim_weight: w.

    Raises:
        ValueError: the two are not images of one size.
    """
    if image.shape != target.shape or image.ndim != 3 or image.shape[-1] != 3:
        raise ValueError(f"images have shapes {tuple(image.shape)} and {tuple(target.shape)}")
    jit.announce()
    loss: Tensor = _L1Ssim.apply(image, target, ssim_weight)
    return loss


class _L1Ssim(torch.autograd.Function):
    """Value and gradient are found together and the gradient kept."""

    @staticmethod
    def forward(ctx: Any, image: Tensor, target: Tensor, ssim_weight: float) -> Tensor:
        arrays = [flat(t.detach().to("cpu", torch.float32).numpy()) for t in (image, target)]
        height, width = image.shape[:2]
        value, gradient = evaluate(arrays[0], arrays[1], (width, height), ssim_weight)
        ctx.gradient = torch.from_numpy(gradient).reshape(image.shape).to(image)
        return image.new_tensor(value)

    @staticmethod
    def backward(ctx: Any, to_loss: Tensor) -> tuple[Tensor, None, None]:
        return ctx.gradient * to_loss, None, None


def evaluate(
    image: np.ndarray, target: np.ndarray, size: tuple[int, int], ssim_weight: float
) -> tuple[float, np.ndarray]:
    """The loss of flat float32 images, and its gradient towards the first.

    Args:
        image: ``[H W 3]``.
        target: ``[H W 3]``.
        size: width and height.
        ssim_weight: w in :func:`l1_ssim`.
    """
    width, height = size
    planes = _take_planes(size)
    threads = min(runtime.thread_count(), planes.strips)
    scratch = aligned(threads * _SCRATCH, np.float32).reshape(threads, -1)
    similarity, difference = np.empty(planes.strips), np.empty(planes.strips)
    gradient = np.empty(len(image), np.float32)
    tickets = np.zeros((2, 1), np.int64)
    count = width * height * 3
    weights = (np.float32(-ssim_weight / count), np.float32((1 - ssim_weight) / count))

    def spans(part: int) -> tuple[int, int]:
        return height * part // threads, height * (part + 1) // threads

    def split(part: int) -> None:
        split_planes(image, planes.x, spans(part), size)
        split_planes(target, planes.y, spans(part), size)

    sources = (planes.x, planes.y, planes.maps)

    def compare(part: int) -> None:
        similarity_maps(tickets[0], sources, similarity, scratch[part], size)

    def differentiate(part: int) -> None:
        everything = (*sources, planes.gradient, *weights)
        loss_gradient(tickets[1], everything, difference, scratch[part], size)

    for job in (split, compare, differentiate):
        pool.run(job, threads, threads)
    pool.run(
        lambda part: join_planes(planes.gradient, gradient, spans(part), size), threads, threads
    )
    _free[size].append(planes)
    similar, different = similarity.sum() / count, difference.sum() / count
    return float((1 - ssim_weight) * different + ssim_weight * (1 - similar)), gradient
