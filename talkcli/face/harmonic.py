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
        kept = triangles[labels != MOUTH_OPENING]
        edges = np.unique(np.sort(kept[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2), axis=1), axis=0)
        ends = np.asarray(vertices, float)[edges]
        lengths = np.linalg.norm(ends[:, 0] - ends[:, 1], axis=1)
        weights = 1 / np.maximum(lengths, 1e-6)
        # Dense: solving for 300 free vertices takes 1.5 ms, loading scipy's sparse solver .3 s.
        self._laplacian = np.zeros((_SURFACE, _SURFACE))
        self._laplacian[edges[:, 0], edges[:, 1]] = -weights
        self._laplacian += self._laplacian.T
        np.fill_diagonal(self._laplacian, -self._laplacian.sum(1))

    def __call__(
        self, prescribed: Mapping[int, float | Float[np.ndarray, " D"]]
    ) -> Float[np.ndarray, " 478"] | Float[np.ndarray, "478 D"]:
        """Compute the field.

        Args:
            prescribed: values by vertex index (< 468), scalars or vectors of one length.

        Returns:
            ``[478]`` or ``[478, D]`` float64; iris rows are zero (gaze moves them).
        """
        index = np.fromiter(prescribed, int)
        values = np.array([np.atleast_1d(prescribed[i]) for i in index], float)
        free = np.setdiff1d(np.arange(_SURFACE), index)
        field = np.zeros((478, values.shape[1]))
        field[index] = values
        rows = self._laplacian[free]
        field[free] = np.linalg.solve(rows[:, free], -rows[:, index] @ values)
        scalar = np.ndim(next(iter(prescribed.values()))) == 0
        return field[:, 0] if scalar else field
