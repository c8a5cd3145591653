"""Playback from numpy: frame after frame through a workspace that allocates once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from talkcli import runtime
from talkcli.avatar import Camera
from talkcli.kernels import jit, pool
from talkcli.kernels.simd import LANES
from talkcli.render.cpu.blend import BASE_PLANES, blend
from talkcli.render.cpu.layout import (
    ANTIALIASED,
    CAMERA,
    LAST_COLUMN,
    LAST_ROW,
    RECORD,
    ROW,
    ROWS,
    TILE,
)
from talkcli.render.cpu.project import project
from talkcli.render.cpu.tiles import DIGIT_BITS, SIZE_CLASSES, fill, plan
from talkcli.shapes import Float, Float32
from talkcli.types import SplatArrays

#: Stands for an array that is not there: kernels look at its length.
NOTHING = np.empty(0, np.float32)
_NO_SLOTS = np.empty(0, np.int32)
#: Splats per part under which a second thread costs more than it saves.
_PART_MIN = 4096
#: gsplat linearises the projection at most this fraction of the image beyond its border.
_FRUSTUM_MARGIN = 0.15
_NEAR = 0.01


@dataclass(frozen=True)
class RasterSettings:
    """How frames are drawn.

    Attributes:
        eps2d: px² added to both diagonal elements of the projected covariance.
        rasterize_mode: ``classic`` or ``antialiased``, see :func:`talkcli.render.render`.
        threads: None for one per core (see :func:`talkcli.runtime.thread_count`).
    """

    eps2d: float = 0.3
    rasterize_mode: str = "classic"
    threads: int | None = None


DEFAULTS = RasterSettings()


@dataclass
class FlatSplats:
    """N splats as flat float32 arrays; ``covars``, or ``quats`` and ``scales``, are empty."""

    means: np.ndarray
    quats: np.ndarray
    scales: np.ndarray
    covars: np.ndarray
    opacities: np.ndarray
    colors: np.ndarray

    def __len__(self) -> int:
        return len(self.opacities)

    def arrays(self) -> tuple[np.ndarray, ...]:
        """The fields in order, as kernels take them."""
        return self.means, self.quats, self.scales, self.covars, self.opacities, self.colors

    def padded_tail(self) -> tuple[np.ndarray, ...]:
        """The last N mod 16 splats, filled up to sixteen with invisible ones."""
        whole = len(self) // LANES * LANES
        parts = []
        for array in self.arrays():
            width = len(array) // len(self)
            rest = array[whole * width :]
            parts.append(np.concatenate([rest, np.zeros(LANES * width - len(rest), np.float32)]))
        return tuple(parts)


@dataclass
class Frame:
    """What projection and binning of one frame leave for blending and for its backward pass.

    Attributes:
        camera: ``[CAMERA]`` float32.
        size: image width and height, px.
        tiles_x: tiles per row.
        records: ``[16 N]`` projected splats.
        rects: ``[4 N]`` int16 tile rectangles.
        order, offsets, entries: tiles by falling count; where their lists begin; the lists.
        longest: length of the longest list.
        threads: how many draw.
    """

    camera: np.ndarray
    size: tuple[int, int]
    tiles_x: int
    records: np.ndarray
    rects: np.ndarray
    order: np.ndarray
    offsets: np.ndarray
    entries: np.ndarray
    longest: int
    threads: int

    def projected(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Records, rects, and the records' bits, in which slots are numbered, for kernels."""
        return self.records, self.rects, self.records.view(np.int32)

    def lists(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Order, offsets and entries, as kernels take them."""
        return self.order, self.offsets, self.entries


class Workspace:
    """Buffers that grow to the largest frame seen and are then reused.

    It serves one frame at a time; give each thread that renders its own.
    """

    def __init__(self) -> None:
        self._arrays: dict[str, np.ndarray] = {}

    def take(self, name: str, count: int, dtype: Any) -> np.ndarray:
        """A flat array of ``count`` elements on a cache line, the same memory at every call."""
        held = self._arrays.get(name)
        if held is None or len(held) < count:
            # Growing by a quarter lets a moving head settle after a few frames.
            held = aligned(count + count // 4, dtype)
            self._arrays[name] = held
        return held[:count]


def aligned(count: int, dtype: Any) -> np.ndarray:
    """An uninitialised flat array that starts on a cache line."""
    size = count * np.dtype(dtype).itemsize
    raw = np.empty(size + 64, np.uint8)
    start = -raw.ctypes.data % 64
    return raw[start : start + size].view(dtype)


def flat(array: Any) -> np.ndarray:
    """A flat, writable float32 view, or a copy where there can be none.

    Kernels are compiled for writable arrays only, or a read-only one would compile them anew.
    """
    array = np.ascontiguousarray(array, np.float32).reshape(-1)
    return array if array.flags.writeable else array.copy()


def rasterize(
    splats: SplatArrays,
    camera: Camera,
    workspace: Workspace | None = None,
    *,
    images: tuple[Float32[np.ndarray, "H W 3"], Float32[np.ndarray, "H W"]] | None = None,
    background: Float[np.ndarray, " 3"] | None = None,
    depth: bool = False,
    settings: RasterSettings = DEFAULTS,
) -> tuple[np.ndarray, ...]:
    """Render one frame without torch and, with a workspace, without allocating memory.

    Semantics are those of :func:`talkcli.render.render`. Contiguous arrays are used in place;
    others are copied.

    Args:
        splats: N splats.
        camera: pinhole camera.
        workspace: buffers to reuse. The returned images then belong to it and last until its next
            use.
        images: ``[H, W, 3]`` and ``[H, W]`` contiguous float32 to draw ``rgb`` and ``alpha``
            into, for callers that still read those of the last frame.
        background: ``[3]`` colour, or None for colour premultiplied by coverage.
        depth: also return the alpha-weighted camera z.
        settings: dilation, antialiasing and threads.

    Returns:
        ``rgb [H, W, 3]``, ``alpha [H, W]`` and, if asked for, ``depth [H, W]``, float32.
    """
    jit.announce()
    workspace = workspace or Workspace()
    arrays = (flat(splats.covars), flat(splats.opacities), flat(splats.colors))
    flat_splats = FlatSplats(flat(splats.means), NOTHING, NOTHING, *arrays)
    frame = prepare(flat_splats, camera, workspace, settings)
    height, width = camera.height, camera.width
    if images is None:
        rgb = workspace.take("rgb", height * width * 3, np.float32)
        alpha = workspace.take("alpha", height * width, np.float32)
    else:
        rgb, alpha = (image.reshape(-1) for image in images)
    z = workspace.take("depth", height * width, np.float32) if depth else NOTHING
    behind = np.zeros(3, np.float32) if background is None else flat(background)
    draw(frame, NOTHING, behind, (rgb, alpha, z, NOTHING), workspace)
    drawn = (rgb.reshape(height, width, 3), alpha.reshape(height, width))
    return (*drawn, z.reshape(height, width)) if depth else drawn


def pack_camera(camera: Camera, settings: RasterSettings) -> np.ndarray:
    """One camera as the kernels take it, see ``CAMERA`` in :mod:`talkcli.render.cpu.layout`."""
    K, width, height = camera.K, camera.width, camera.height
    fx, fy, cx, cy = float(K[0, 0]), float(K[1, 1]), float(K[0, 2]), float(K[1, 2])
    margin_x, margin_y = _FRUSTUM_MARGIN * width / fx, _FRUSTUM_MARGIN * height / fy
    packed = np.empty(CAMERA, np.float32)
    packed[:12] = camera.viewmat[:3].reshape(-1)
    packed[12:16] = fx, fy, cx, cy
    packed[16:18] = -cx / fx - margin_x, (width - cx) / fx + margin_x
    packed[18:20] = -cy / fy - margin_y, (height - cy) / fy + margin_y
    packed[20:22] = settings.eps2d, _NEAR
    packed[22:24] = -(-width // TILE), -(-height // TILE)
    packed[LAST_COLUMN], packed[LAST_ROW] = width - 1, height - 1
    packed[ANTIALIASED] = settings.rasterize_mode == "antialiased"
    return packed


def prepare(
    splats: FlatSplats,
    camera: Camera,
    workspace: Workspace,
    settings: RasterSettings = DEFAULTS,
    *,
    slots: bool = False,
) -> Frame:
    """Project the splats and hand them out to tiles.

    Args:
        splats: what to draw.
        camera: pinhole camera.
        workspace: owner of all arrays in the result.
        settings: dilation, antialiasing and threads.
        slots: number the entries for the backward pass.
    """
    threads = settings.threads or runtime.thread_count()
    packed = pack_camera(camera, settings)
    tiles_x, tiles = int(packed[22]), int(packed[22] * packed[23])
    count = len(splats)
    room = -(-count // LANES) * LANES
    # Two parts per thread, so that one that starts late does not hold up the frame.
    parts = max(min(2 * threads, count // _PART_MIN) if threads > 1 else 1, 1)
    counts = workspace.take("counts", parts * tiles, np.int32).reshape(parts, tiles)
    bounds = [count // LANES * part // parts * LANES for part in range(parts + 1)]
    records, keys, rects = outputs = (
        workspace.take("records", room * RECORD, np.float32),
        workspace.take("keys", room, np.float32),
        workspace.take("rects", room * 4, np.int16),
    )
    corners = workspace.take("corners", parts * 64, np.int32).reshape(parts, 64)
    _project_parts(splats, packed, bounds, outputs, (counts, corners), threads)
    order = workspace.take("order", tiles, np.int32)
    offsets = workspace.take("offsets", tiles + 1, np.int64)
    part_sizes = workspace.take("part_sizes", parts, np.int64)
    classes = workspace.take("classes", SIZE_CLASSES, np.int64)
    longest = plan(counts, offsets, order, part_sizes, classes)
    entries = workspace.take("entries", int(offsets[tiles]), np.int64)
    bounds[-1] = room
    starts = np.concatenate([[0], np.cumsum(part_sizes)]).tolist()
    key_bits = keys.view(np.int32)
    numbers = records.view(np.int32) if slots else _NO_SLOTS

    def fill_part(part: int) -> None:
        span = (bounds[part], bounds[part + 1], starts[part])
        fill(span, key_bits, rects, counts[part], tiles_x, entries, numbers)

    pool.run(fill_part, parts, threads)
    size = (camera.width, camera.height)
    return Frame(packed, size, tiles_x, records, rects, order, offsets, entries, longest, threads)


def _project_parts(
    splats: FlatSplats,
    camera: np.ndarray,
    bounds: list[int],
    outputs: tuple[np.ndarray, np.ndarray, np.ndarray],
    scratch: tuple[np.ndarray, np.ndarray],
    threads: int,
) -> None:
    """Project every part of the splats into ``outputs``, see :func:`project`.

    Args:
        splats: what to draw.
        camera: packed.
        bounds: where parts begin and end, multiples of sixteen; a last incomplete sixteen follows.
        outputs: records, keys and rects.
        scratch: counts ``[parts, tiles]``, set, and corners ``[parts, 64]``.
        threads: how many work.
    """
    counts, corners = scratch
    arrays, parts = splats.arrays(), len(counts)

    def project_part(part: int) -> None:
        counts[part] = 0
        span = (bounds[part], bounds[part + 1])
        project(arrays, camera, span, 0, outputs, counts[part], corners[part])
        if part == parts - 1 and len(splats) > bounds[-1]:
            tail, first = splats.padded_tail(), bounds[-1]
            project(tail, camera, (0, LANES), first, outputs, counts[part], corners[part])

    pool.run(project_part, parts, threads)


def draw(
    frame: Frame,
    features: np.ndarray,
    background: np.ndarray,
    outputs: tuple[np.ndarray, ...],
    workspace: Workspace,
) -> None:
    """Blend a prepared frame into ``outputs``: flat image, alpha, depth, features.

    Args:
        frame: of :func:`prepare`.
        features: ``[N F]`` flat extra channels, or empty.
        background: ``[3]``.
        outputs: depth and features may be empty.
        workspace: where scratch memory comes from.
    """
    width, height = frame.size
    extra = len(outputs[3]) // (width * height)
    planes = BASE_PLANES + (len(outputs[2]) > 0) + extra
    scratch = tile_scratch(frame, planes, workspace)
    counter = np.zeros(1, np.int64)
    lists, size = frame.lists(), (width, height, frame.tiles_x, planes)
    extras = features if planes > BASE_PLANES else None

    def blend_part(part: int) -> None:
        blend(counter, lists, frame.records, extras, background, outputs, scratch[part], size)

    pool.run(blend_part, len(scratch), frame.threads)


def buffer_room(planes: int) -> int:
    """Floats of a tile's buffer: its planes, and four vectors for the ends of rows."""
    return ROWS * planes * ROW + 4 * LANES


def tile_scratch(
    frame: Frame, planes: int, workspace: Workspace
) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Per thread: a tile buffer of so many planes, spare entries and a histogram for sorting."""
    threads = min(frame.threads, len(frame.order))
    room = buffer_room(planes)
    buffers = workspace.take("tile buffer", threads * room, np.float32)
    spare = workspace.take("spare entries", threads * frame.longest, np.int64)
    histograms = workspace.take("histogram", threads << DIGIT_BITS, np.int32)
    split = (array.reshape(threads, -1) for array in (buffers, spare, histograms))
    return list(zip(*split, strict=True))
