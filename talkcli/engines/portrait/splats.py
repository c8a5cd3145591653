"""The splats of a portrait avatar at rest, as plain arrays."""

from __future__ import annotations

from dataclasses import dataclass, fields
from enum import IntEnum

import numpy as np

from talkcli.kernels.simd import LANES
from talkcli.shapes import Bool, Float, Integer


class Layer(IntEnum):
    """What a splat shows; determines its culling and how it reacts to the mouth and the lids."""

    SKIN = 0  # source pixels of face, hair, neck
    EYE = 1  # eyeball behind the lids
    IRIS = 2
    PICTURE_MOUTH = 4  # the source's mouth interior, shown only while the lips are as in it
    COMPLETION = 5  # face surface completed by symmetry
    SHELL = 6  # hair, ears and back of the head, completed
    UPPER_TEETH = 7
    LOWER_TEETH = 8
    TONGUE = 9
    MOUTH_BAG = 10
    LID = 11  # skin behind the lids' skin, so that a blink never shows the eye
    GLASSES = 12  # dark frames, which move only with the head
    LASHES = 13  # of closing upper lids; not there while the eyes are open


def renumbered(
    index: Integer[np.ndarray, " m"], order: Integer[np.ndarray, " M"]
) -> tuple[Bool[np.ndarray, " m"], Integer[np.ndarray, " k"]]:
    """Which of the splats ``index`` are among ``order``, and their int32 places there.

    Args:
        index: ``[m]`` numbers of splats.
        order: ``[M]`` rising numbers of those that are kept.
    """
    kept = np.isin(index, order)
    return kept, np.searchsorted(order, index[kept]).astype(np.int32)


def spans_of(numbers: Integer[np.ndarray, " n"]) -> list[tuple[int, int]]:
    """Ranges that contain all ``numbers``; their ends are multiples of 16."""
    blocks = np.unique(numbers // LANES)
    starts = np.flatnonzero(np.diff(blocks, prepend=-2) > 1)
    ends = np.append(starts, len(blocks))[1:] - 1
    return [
        (int(blocks[a]) * LANES, (int(blocks[b]) + 1) * LANES)
        for a, b in zip(starts, ends, strict=True)
    ]


@dataclass
class RestSplats:
    """All splats of a head as plain arrays; see ``SplatGroup``. Neighbours are global indices."""

    positions: Float[np.ndarray, "N 3"]
    tangent_u: Float[np.ndarray, "N 3"]
    tangent_v: Float[np.ndarray, "N 3"]
    colors: Float[np.ndarray, "N 3"]
    opacities: Float[np.ndarray, " N"]
    spread: Float[np.ndarray, " N"]
    vertices: Integer[np.ndarray, "N 4"]
    weights: Float[np.ndarray, "N 4"]
    head_weight: Float[np.ndarray, " N"]
    weight_slope: Float[np.ndarray, "N 2"]
    jaw_weight: Float[np.ndarray, " N"]
    neighbours: Integer[np.ndarray, "N 4"]
    normals: Float[np.ndarray, "N 3"]
    source_cosine: Float[np.ndarray, " N"]
    layers: Integer[np.ndarray, " N"]

    def __len__(self) -> int:
        return len(self.positions)

    def select(self, order: Integer[np.ndarray, " M"]) -> RestSplats:
        """The splats ``order`` (indices), neighbours renumbered; itself where one is left out."""
        place = np.full(len(self), -1, np.int32)
        place[order] = np.arange(len(order), dtype=np.int32)
        chosen = {f.name: np.ascontiguousarray(getattr(self, f.name)[order]) for f in fields(self)}
        mapped = place[chosen["neighbours"]]
        own = np.arange(len(order), dtype=np.int32)[:, None]
        chosen["neighbours"] = np.where(mapped < 0, own, mapped)
        return RestSplats(**chosen)
