"""The growing set of splats while a portrait is built, in pixel space.

Every splat lies on a surface spanned by two tangents (one grid step each); its covariance is
``spread · (t_u t_uᵀ + t_v t_vᵀ)``. Isotropic splats would triple the holes seen from the side.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace

import numpy as np

from talkcli.engines.portrait.splats import Layer, RestSplats
from talkcli.shapes import Float, Int32, Integer

#: Variance of a splat in units of its grid step squared. The renderer adds 0.3 px² of screen
#: blur, which alone closes a grid seen at its own scale; any more costs sharpness that the colour
#: fit must recover (0.15 → 0.04 gains 3–4 dB in the source view). ``portrait.skin`` widens splats
#: that are stretched.
PIXEL_SPREAD = 0.04
GRID_SPREAD = 0.4


@dataclass
class SplatGroup:
    """Splats of one layer, n of them.

    Attributes:
        layer: their layer.
        positions: ``[n, 3]`` pixel space.
        tangent_u: ``[n, 3]`` one grid step to the right.
        tangent_v: ``[n, 3]`` one grid step down.
        colors: ``[n, 3]`` sRGB-encoded.
        opacities: ``[n]``.
        vertices: ``[n, 4]`` int32 face vertices that move the splat.
        weights: ``[n, 4]`` their weights; splats with zero weights do not move.
        head_weight: ``[n]`` share of the head's rotation.
        weight_slope: ``[n, 2]`` change of ``head_weight`` along the two tangents.
        jaw_weight: ``[n]`` share of the jaw's motion for parts inside the mouth.
        neighbours: ``[n, 4]`` int32 left, right, up, down within the group; itself where none.
        pixels: ``[n, 2]`` row and column in the crop, -1 where not from a pixel.
        normals: ``[n, 3]`` outward surface normals; derived from the tangents if left out.
        source_cosine: ``[n]`` viewing cosine in the source, reduced near contours; 0: never fades.
        spread: covariance per squared tangent.
    """

    layer: Layer
    positions: Float[np.ndarray, "n 3"]
    tangent_u: Float[np.ndarray, "n 3"]
    tangent_v: Float[np.ndarray, "n 3"]
    colors: Float[np.ndarray, "n 3"]
    opacities: Float[np.ndarray, " n"]
    vertices: Integer[np.ndarray, "n k"] | None = None
    weights: Float[np.ndarray, "n k"] | None = None
    head_weight: Float[np.ndarray, " n"] | None = None
    weight_slope: Float[np.ndarray, "n 2"] | None = None
    jaw_weight: float = 0.0
    neighbours: Integer[np.ndarray, "n 4"] | None = None
    pixels: Integer[np.ndarray, "n 2"] | None = None
    normals: Float[np.ndarray, "n 3"] | None = None
    source_cosine: Float[np.ndarray, " n"] | None = None
    spread: float = GRID_SPREAD

    def __len__(self) -> int:
        return len(self.positions)


@dataclass
class SplatBuilder:
    """Collects groups and joins them."""

    groups: list[SplatGroup] = field(default_factory=list)

    def add(self, group: SplatGroup) -> None:
        """Append a group, unless it is empty."""
        if len(group):
            self.groups.append(group)

    def build(self) -> RestSplats:
        """Join all groups, with defaults for what they leave out."""
        offsets = np.cumsum([0, *(len(g) for g in self.groups[:-1])])
        columns: dict[str, list[np.ndarray]] = {f.name: [] for f in fields(RestSplats)}
        for group, offset in zip(self.groups, offsets, strict=True):
            n = len(group)
            row = {**_columns(group), "neighbours": _near(group) + offset}
            row["layers"] = np.full(n, int(group.layer))
            row["spread"] = np.full(n, group.spread)
            row["jaw_weight"] = np.full(n, group.jaw_weight)
            for name, column in row.items():
                columns[name].append(column)
        integers = {"vertices", "neighbours", "layers"}
        return RestSplats(
            **{
                name: np.concatenate(parts).astype(np.int32 if name in integers else np.float32)
                for name, parts in columns.items()
            }
        )

    def pixels(self) -> Int32[np.ndarray, "N 2"]:
        """``[N, 2]`` int32 row and column of each splat of :meth:`build`, -1 if it has no pixel."""
        none = (np.full((len(g), 2), -1) if g.pixels is None else g.pixels for g in self.groups)
        return np.concatenate(list(none)).astype(np.int32)


def joined(first: SplatGroup, second: SplatGroup) -> SplatGroup:
    """Two groups of one layer, spread and jaw weight as one; none of them from pixels."""
    columns = zip(_columns(first).items(), _columns(second).values(), strict=True)
    together = {name: np.concatenate([one, other]) for (name, one), other in columns}
    neighbours = np.concatenate([_near(first), _near(second) + len(first)])
    return replace(first, neighbours=neighbours, **together)


def _columns(group: SplatGroup) -> dict[str, np.ndarray]:
    """What every splat of a group has of its own, with defaults for what is left out."""
    n, still = len(group), np.zeros((len(group), 4), np.int32)
    return {
        "positions": group.positions,
        "tangent_u": group.tangent_u,
        "tangent_v": group.tangent_v,
        "colors": group.colors,
        "opacities": np.broadcast_to(group.opacities, n),
        "vertices": still if group.vertices is None else _four(group.vertices),
        "weights": still if group.weights is None else _four(group.weights),
        "head_weight": np.ones(n) if group.head_weight is None else group.head_weight,
        "weight_slope": np.zeros((n, 2)) if group.weight_slope is None else group.weight_slope,
        "normals": _outward(group) if group.normals is None else group.normals,
        "source_cosine": np.zeros(n) if group.source_cosine is None else group.source_cosine,
    }


def _near(group: SplatGroup) -> np.ndarray:
    """``[n, 4]`` neighbours within the group; itself where there are none."""
    own = np.repeat(np.arange(len(group))[:, None], 4, 1)
    return own if group.neighbours is None else group.neighbours


def grid_neighbours(rows: int, columns: int) -> Int32[np.ndarray, "n 4"]:
    """``[rows · columns, 4]`` left, right, up, down on a full grid; itself at the borders."""
    index = np.arange(rows * columns, dtype=np.int32).reshape(rows, columns)
    left = np.concatenate([index[:, :1], index[:, :-1]], 1)
    right = np.concatenate([index[:, 1:], index[:, -1:]], 1)
    up = np.concatenate([index[:1], index[:-1]], 0)
    down = np.concatenate([index[1:], index[-1:]], 0)
    return np.stack([left, right, up, down], -1).reshape(-1, 4)


def grid_tangents(
    grid: Float[np.ndarray, "rows columns 3"],
) -> tuple[Float[np.ndarray, "rows columns 3"], Float[np.ndarray, "rows columns 3"]]:
    """Central differences along columns and rows of ``[rows, columns, 3]`` points."""
    return np.gradient(grid, axis=1), np.gradient(grid, axis=0)


def clamp_length(
    vectors: Float[np.ndarray, "*n 3"], longest: float | np.ndarray
) -> Float[np.ndarray, "*n 3"]:
    """Shorten vectors ``[..., 3]`` to a length of at most ``longest``, a number or ``[..., 1]``."""
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.asarray(vectors * np.minimum(1, longest / np.maximum(length, 1e-6)))


def _outward(group: SplatGroup) -> np.ndarray:
    # u runs right and v down in the picture, so v × u points to the viewer.
    normal = np.cross(group.tangent_v, group.tangent_u)
    return np.asarray(normal / np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-12))


def _four(columns: np.ndarray) -> np.ndarray:
    if columns.shape[1] == 4:
        return columns
    return np.concatenate([columns, np.zeros((len(columns), 1), columns.dtype)], 1)
