"""Smooth fields over the face mesh from a few prescribed vertices (harmonic extension).

The field minimises the Dirichlet energy of the edge graph with weights 1/length. The mouth
opening is cut, so that upper and lower lip move independently; the eye openings are filled.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from talkcli.face.topology import MOUTH_OPENING
from talkcli.shapes import Float, Integer

_SURFACE = 468


class HarmonicExtension:
    """Extends values from some vertices to all 478.

    Args:
        vertices: ``[478, 3]`` rest positions, from which the edge lengths are taken.
        triangles: ``[T, 3]``.
        labels: ``[T]`` labels of the triangles, as in ``topology``.
    """

    def __init__(
        self,
        vertices: Float[np.ndarray, "478 3"],
        triangles: Integer[np.ndarray, "T 3"],
        labels: Integer[np.ndarray, " T"],
    ) -> None:
        # Imported here, since it takes a third of a second and playing an avatar solves nothing.
        from scipy import sparse

        kept = triangles[labels != MOUTH_OPENING]
        edges = np.unique(np.sort(kept[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2), axis=1), axis=0)
        ends = np.asarray(vertices, float)[edges]
        lengths = np.linalg.norm(ends[:, 0] - ends[:, 1], axis=1)
        weights = 1 / np.maximum(lengths, 1e-6)
        shape = (_SURFACE, _SURFACE)
        adjacency = sparse.coo_matrix((weights, (edges[:, 0], edges[:, 1])), shape=shape)
        adjacency = (adjacency + adjacency.T).tocsr()
        self._laplacian = (sparse.diags(np.asarray(adjacency.sum(1)).ravel()) - adjacency).tocsr()

    def __call__(
        self, prescribed: Mapping[int, float | Float[np.ndarray, " D"]]
    ) -> Float[np.ndarray, " 478"] | Float[np.ndarray, "478 D"]:
        """Compute the field.

        Args:
            prescribed: values by vertex index (< 468), scalars or vectors of one length.

        Returns:
            ``[478]`` or ``[478, D]`` float64; iris rows are zero (gaze moves them).
        """
        from scipy.sparse.linalg import splu

        index = np.fromiter(prescribed, int)
        values = np.array([np.atleast_1d(prescribed[i]) for i in index], float)
        free = np.setdiff1d(np.arange(_SURFACE), index)
        field = np.zeros((478, values.shape[1]))
        field[index] = values
        solve = splu(self._laplacian[free][:, free].tocsc())
        field[free] = solve.solve(-(self._laplacian[free][:, index] @ values))
        scalar = np.ndim(next(iter(prescribed.values()))) == 0
        return field[:, 0] if scalar else field
