"""From normals to depth: bilateral normal integration.

After Cao, Santo, Shi, Okura and Matsushita, "Bilateral Normal Integration", ECCV 2022. In each
pixel, the slope of the depth to both sides is to be the one that the normal gives, but a surface is
only *semi-smooth*: where it breaks off on one side, the other side counts. A sigmoid of how much
more the depth changes on one side than on the other weighs them. Weights and depth are found in
turns; a turn is a sparse linear least-squares problem.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import cg

from talkcli.shapes import Bool, Float, Float32

#: Normals seen more obliquely than this cosine give slopes that are as good as infinite.
_LEAST_COSINE = 0.02
#: Keeps what no equation reaches at rest, and the system definite.
_LEAST_PULL = 1e-6


@dataclass(frozen=True)
class Pinhole:
    """A camera whose pixels are square.

    Attributes:
        focal: focal length, pixels.
        centre: column and row of the principal point; pixel centres lie at +0.5.
    """

    focal: float
    centre: tuple[float, float]


@dataclass(frozen=True)
class Prior:
    """Depth that is known before, such as a face model's.

    Attributes:
        depth: ``[H, W]``.
        weight: ``[H, W]`` of its squared error, 0 where it is not known; slopes weigh about 1.
    """

    depth: Float[np.ndarray, "H W"]
    weight: Float[np.ndarray, "H W"]


def integrate_normals(
    normals: Float[np.ndarray, "H W 3"],
    mask: Bool[np.ndarray, "H W"],
    *,
    camera: Pinhole | None = None,
    prior: Prior | None = None,
    stiffness: float = 2.0,
    turns: int = 100,
    settled: float = 1e-4,
) -> Float32[np.ndarray, "H W"]:
    """The depth of a surface whose normals are known.

    Args:
        normals: ``[H, W, 3]`` unit vectors in camera axes (x right, y down, z away), towards the
            camera: z is negative.
        mask: where the surface is; it may have several parts.
        camera: whose picture it is; None for parallel rays, with depth in pixels.
        prior: what is known of the depth.
        stiffness: how sharply a side that disagrees is left out (k of the paper); 0 weighs both
            sides equally, as in plain integration.
        turns: at most so many turns.
        settled: relative change of the energy at which they end.

    Returns:
        ``[H, W]``, NaN outside the mask. Without a prior, its mean is 0 for parallel rays; with a
        camera, the mean of its logarithm is.
    """
    pixels = np.flatnonzero(mask)
    if not len(pixels):
        return np.full(mask.shape, np.nan, np.float32)
    facing, slope_x, slope_y = _slopes(normals, camera)
    sides = _one_sided(mask)
    scale = facing.ravel()[pixels]
    matrices = [sparse.diags(scale) @ side for side in sides]
    wanted = [-slope.ravel()[pixels] for slope in (slope_x, slope_x, slope_y, slope_y)]
    # Where there is no neighbour on a side, there is no equation.
    wanted = [
        np.where(np.diff(side.indptr) > 0, w, 0) for side, w in zip(sides, wanted, strict=True)
    ]
    known, pull = _known(prior, camera, pixels)
    depth = known if prior is not None else np.zeros(len(pixels))
    weights = [np.full(len(pixels), 0.5) for _ in matrices]
    energy = np.inf
    for _ in range(turns):
        depth = _solved(matrices, wanted, weights, (known, pull), depth)
        errors = [(m @ depth - w) ** 2 for m, w in zip(matrices, wanted, strict=True)]
        last, energy = energy, float((pull * (depth - known) ** 2).sum())
        energy += float(sum((w * e).sum() for w, e in zip(weights, errors, strict=True)))
        if abs(last - energy) <= settled * min(last, 1e9) or stiffness == 0:
            break
        ahead = [_believed(matrices[k] @ depth, matrices[k + 1] @ depth, stiffness) for k in (0, 2)]
        weights = [ahead[0], 1 - ahead[0], ahead[1], 1 - ahead[1]]
    if prior is None:
        depth = depth - depth.mean()
    found = np.full(mask.shape, np.nan, np.float32)
    found.ravel()[pixels] = depth if camera is None else np.exp(depth)
    return found


def _slopes(
    normals: np.ndarray, camera: Pinhole | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """``[H, W]`` each: factor and negative result of the equations of both directions.

    Parallel rays: n_z ∂z = -n_x (and -n_y). A camera: of ζ = log z,
    (n_x (u - c_u) + n_y (v - c_v) + n_z f) ∂ζ = -n_x (and -n_y); eq. 5 and 8 of the paper.
    """
    normals = np.asarray(normals, np.float64)
    x, y, z = np.moveaxis(normals, 2, 0)
    if camera is not None:
        height, width = z.shape
        u = np.arange(width) + 0.5 - camera.centre[0]
        v = np.arange(height)[:, None] + 0.5 - camera.centre[1]
        z = x * u + y * v + camera.focal * z
        return np.minimum(z, -_LEAST_COSINE * camera.focal), x, y
    return np.minimum(z, -_LEAST_COSINE), x, y


def _one_sided(mask: np.ndarray) -> list[sparse.csr_matrix]:
    """Differences with the neighbour to the right, left, below and above, of the mask's pixels."""
    number = np.full(mask.shape, -1)
    number[mask] = np.arange(int(mask.sum()))
    padded = np.pad(number, 1, constant_values=-1)
    count = int(mask.sum())
    found = []
    for down, across, sign in ((0, 1, 1), (0, -1, -1), (1, 0, 1), (-1, 0, -1)):
        rows = slice(1 + down, padded.shape[0] - 1 + down)
        columns = slice(1 + across, padded.shape[1] - 1 + across)
        neighbour = padded[rows, columns][mask]
        here = np.flatnonzero(neighbour >= 0)
        ones = np.full(len(here), float(sign))
        entries = np.concatenate([ones, -ones])
        places = (np.tile(here, 2), np.concatenate([neighbour[here], here]))
        found.append(sparse.csr_matrix((entries, places), shape=(count, count)))
    return found


def _known(
    prior: Prior | None, camera: Pinhole | None, pixels: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """``[n]`` the prior's depth, or its logarithm, and its weight."""
    if prior is None:
        return np.zeros(len(pixels)), np.zeros(len(pixels))
    weight = prior.weight.ravel()[pixels].astype(np.float64)
    depth = np.where(weight > 0, prior.depth.ravel()[pixels], 1.0)
    if camera is not None:
        depth = np.log(np.maximum(depth, 1e-9))
    return np.where(weight > 0, depth, 0.0), weight


def _solved(
    matrices: list[sparse.csr_matrix],
    wanted: list[np.ndarray],
    weights: list[np.ndarray],
    known: tuple[np.ndarray, np.ndarray],
    start: np.ndarray,
) -> np.ndarray:
    """The depth of least weighted squared error, by conjugate gradients."""
    depth, pull = known
    total = sparse.diags(pull + _LEAST_PULL)
    right = pull * depth + _LEAST_PULL * start
    for matrix, slope, weight in zip(matrices, wanted, weights, strict=True):
        weighted = matrix.T @ sparse.diags(weight)
        total = total + weighted @ matrix
        right = right + weighted @ slope
    diagonal = sparse.diags(1 / total.diagonal())
    found, _ = cg(total, right, x0=start, rtol=1e-6, maxiter=4000, M=diagonal)
    return np.asarray(found)


def _believed(ahead: np.ndarray, behind: np.ndarray, stiffness: float) -> np.ndarray:
    """``[n]`` weight of the side ahead: the larger, the more the depth changes behind; eq. 15."""
    away = np.clip(stiffness * (behind**2 - ahead**2), -50, 50)
    return np.asarray(1 / (1 + np.exp(-away)))
