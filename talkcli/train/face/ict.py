"""ICT-FaceKit's identity and expression shapes, carried over to the 478-vertex topology.

The source is the light model of ICT-FaceKit (MIT licence, see NOTICE) as one ``.npz``: ``neutral
[26719, 3]``, ``quads [F, 4]`` (-1 in the last column for triangles), ``identity [100, 26719, 3]``,
``expression [57, 26719, 3]`` and ``expression_names``, centimetres. It is read when the face model
is built and never shipped.

Every landmark vertex gets one point on the surface of the ICT face. Vertices with a meaning come
first: lip lines and lid rims are traced along the surface between the 68 known landmark pairs, each
vertex at its share of the arc. A thin-plate spline through those and the remaining pairs carries
the other vertices over; they are projected onto the nearest surface that faces the same way, upper
lip on upper lip and lower on lower.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import scipy.sparse as sparse
from scipy.interpolate import RBFInterpolator
from scipy.sparse.csgraph import dijkstra
from scipy.spatial import cKDTree

from talkcli.errors import InputError
from talkcli.face.model import vertex_normals
from talkcli.face.pose import fit_similarity
from talkcli.face.topology import (
    EYE_LEFT,
    EYE_RIGHT,
    INNER_CORNERS,
    INNER_LOWER,
    INNER_UPPER,
    LIP_LOWER,
    LIP_LOWER_ROWS,
    LIP_UPPER,
    LIP_UPPER_ROWS,
    OUTER_CORNERS,
)
from talkcli.train.face.skull import skull_table

_SURFACE = 468
#: The first quads and vertices of the model are the face without neck, eye sockets and teeth.
_FACE_QUADS, _FACE_VERTICES = 9230, 9409
#: The first vertices are the face, the head and the neck.
_HEAD_VERTICES = 11248
_EYEBALLS = {"Left": slice(21451, 23021), "Right": slice(23021, 24591)}
# fmt: off
#: The 68 landmarks in both topologies (17 of the outline of the jaw, brows, nose, eyes, outer and
#: inner lips): our vertex and ICT's.
PAIRS = np.array([
    (162, 1225), (234, 1888), (93, 1052), (58, 367), (172, 1719), (136, 1722), (149, 2199),
    (148, 1447), (152, 966), (377, 3661), (378, 4390), (365, 3927), (397, 3924), (288, 2608),
    (323, 3272), (454, 4088), (389, 3443), (71, 268), (63, 493), (105, 1914), (66, 2044),
    (107, 1401), (336, 3615), (296, 4240), (334, 4114), (293, 2734), (301, 2509), (168, 978),
    (197, 4527), (5, 4942), (4, 4857), (75, 1140), (97, 2075), (2, 1147), (326, 4269), (305, 3360),
    (33, 1507), (160, 1542), (158, 1537), (133, 1528), (153, 1518), (144, 1511), (362, 3742),
    (385, 3751), (387, 3756), (263, 3721), (373, 3725), (380, 3732), (61, 5708), (39, 5695),
    (37, 2081), (0, 0), (267, 4275), (269, 6200), (291, 6213), (405, 6346), (314, 6461),
    (17, 5518), (84, 5957), (181, 5841), (78, 5702), (82, 5711), (13, 5533), (312, 6216),
    (308, 6207), (317, 6470), (14, 5517), (87, 5966),
])
# fmt: on
_JAW_PAIRS = 17
#: The outline of the jaw is not a fixed line on the surface: its pairs only attract.
_JAW_SMOOTHING = 0.3
#: Cosine of 60°: a surface point must face the same way within that.
_LEAST_COSINE = 0.5
#: Number of nearest triangles among which the surface point is chosen.
_CANDIDATES = 60


@dataclass(frozen=True)
class IctShapes:
    """The ICT model on our 478-vertex topology, in the head frame, cm.

    Attributes:
        neutral: ``[468, 3]``.
        identity: ``[100, 468, 3]`` displacements at one standard deviation.
        expression: ``[468, 3]`` displacements at weight 1, by ICT's names (``mouthSmile_L``).
        eye_centres: ``[2, 3]`` centres of the right and left eyeball.
        skull: ``[ROWS, COLUMNS]`` radii of the bald head, see :mod:`talkcli.face.skull`.
    """

    neutral: np.ndarray
    identity: np.ndarray
    expression: dict[str, np.ndarray]
    eye_centres: np.ndarray
    skull: np.ndarray


@dataclass(frozen=True)
class _Surface:
    vertices: np.ndarray
    triangles: np.ndarray
    normals: np.ndarray
    edges: sparse.csr_matrix
    lip_side: np.ndarray


def sample_ict(path: Path, mean: np.ndarray, triangles: np.ndarray) -> IctShapes:
    """Read ICT-FaceKit and sample it at the landmark vertices.

    Args:
        path: the ``.npz`` described above.
        mean: ``[478, 3]`` mean face, closed mouth, head frame.
        triangles: ``[T, 3]`` of its skin, counter-clockwise from outside.

    Raises:
        InputError: the file is not a readable ICT model.
    """
    try:
        with np.load(path) as raw:
            arrays = {key: raw[key] for key in ("neutral", "quads", "identity", "expression")}
            names = [str(name) for name in raw["expression_names"]]
    except (OSError, KeyError, ValueError) as error:
        raise InputError(
            f"{path} is not an ICT face model ({error})", "give the .npz file"
        ) from error
    surface = _surface(arrays["neutral"].astype(float), arrays["quads"])
    binding, weights = correspondence(mean, triangles, surface)

    def sampled(field: np.ndarray) -> np.ndarray:
        return np.einsum("vk,...vkd->...vd", weights, field[..., binding, :].astype(float))

    neutral = sampled(arrays["neutral"])
    scale, turn, shift = fit_similarity(neutral, mean[:_SURFACE])
    balls = [arrays["neutral"][_EYEBALLS[side]].mean(0) for side in ("Right", "Left")]
    return IctShapes(
        neutral=scale * neutral @ turn.T + shift,
        identity=scale * sampled(arrays["identity"]) @ turn.T,
        expression={
            name: scale * sampled(arrays["expression"][k]) @ turn.T for k, name in enumerate(names)
        },
        eye_centres=scale * np.array(balls) @ turn.T + shift,
        skull=skull_table(
            # In its own centimetres: the measured face is deeper than ICT's by a tenth, and a head
            # scaled by that would be 22 cm long instead of 20.
            (arrays["neutral"][:_HEAD_VERTICES] - neutral.mean(0)) @ turn.T
            + mean[:_SURFACE].mean(0),
            _triangles(arrays["quads"][(arrays["quads"] < _HEAD_VERTICES).all(1)]),
        ),
    )


def correspondence(
    mean: np.ndarray, triangles: np.ndarray, surface: _Surface
) -> tuple[np.ndarray, np.ndarray]:
    """Surface point of every vertex: ``[468, 3]`` ICT vertices and ``[468, 3]`` their weights."""
    ours, theirs = PAIRS.T
    pairs = slice(_JAW_PAIRS, None)
    scale, turn, shift = fit_similarity(mean[ours[pairs]], surface.vertices[theirs[pairs]])
    placed = scale * mean[:_SURFACE] @ turn.T + shift
    exact = _curve_points(mean, surface)
    for vertex, target in zip(ours[pairs], theirs[pairs], strict=True):
        exact.setdefault(int(vertex), surface.vertices[target])
    jaw = ours[:_JAW_PAIRS]
    index = np.array([*exact, *jaw])
    wanted = np.concatenate([list(exact.values()), surface.vertices[theirs[:_JAW_PAIRS]]])
    smoothing = np.concatenate([np.full(len(exact), 1e-4), np.full(len(jaw), _JAW_SMOOTHING)])
    spline = RBFInterpolator(
        placed[index], wanted - placed[index], kernel="thin_plate_spline", smoothing=smoothing
    )
    warped = placed + spline(placed)
    normals = vertex_normals(warped, triangles)
    for vertex, point in exact.items():
        warped[vertex] = point
    side = np.zeros(_SURFACE, int)
    side[list(LIP_UPPER)], side[list(LIP_LOWER)] = 1, -1
    normals[list(exact)] = 0
    return _nearest_on_surface(warped, normals, side, surface)


def _surface(vertices: np.ndarray, quads: np.ndarray) -> _Surface:
    faces = quads[:_FACE_QUADS]
    triangles = _triangles(faces)
    a, b, c = (vertices[triangles[:, k]] for k in range(3))
    normals = np.cross(b - a, c - a)
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
    # A triangle has its first corner again in place of a fourth.
    closed = np.where(faces < 0, faces[:, :1], faces)
    ends = np.concatenate([closed[:, [k, (k + 1) % 4]] for k in range(4)])
    ends = np.unique(np.sort(ends[(ends >= 0).all(1)], axis=1), axis=0)
    ends = ends[ends[:, 0] != ends[:, 1]]
    lengths = np.linalg.norm(vertices[ends[:, 0]] - vertices[ends[:, 1]], axis=1)
    shape = (_FACE_VERTICES, _FACE_VERTICES)
    edges = sparse.csr_matrix((lengths, (ends[:, 0], ends[:, 1])), shape=shape)
    edges = edges + edges.T
    return _Surface(vertices, triangles, normals, edges, _lip_side(edges))


def _triangles(quads: np.ndarray) -> np.ndarray:
    """``[t, 3]`` triangles of quads ``[F, 4]``, of which some are triangles."""
    four = quads[quads[:, 3] >= 0]
    return np.concatenate([quads[:, :3], four[:, [0, 2, 3]]])


def _lip_side(edges: sparse.csr_matrix) -> np.ndarray:
    """``[n]`` bool: closer along the surface to the middle of the upper than of the lower lip."""
    there = dict(PAIRS)
    upper, lower = (dijkstra(edges, indices=there[v]) for v in (13, 14))
    return np.asarray(upper < lower)


def _curve_points(mean: np.ndarray, surface: _Surface) -> dict[int, np.ndarray]:
    """Positions on the ICT surface of the vertices on lip lines and lid rims."""
    right, left = OUTER_CORNERS
    inner_right, inner_left = INNER_CORNERS
    curves: list[tuple[int, ...]] = [
        (right, *LIP_UPPER_ROWS[0], left),
        (right, *LIP_LOWER_ROWS[0], left),
        (inner_right, *INNER_UPPER, inner_left),
        (inner_right, *INNER_LOWER, inner_left),
    ]
    for eye in (EYE_RIGHT, EYE_LEFT):
        curves += [(eye.corners[0], *row, eye.corners[1]) for row in (eye.upper, eye.lower)]
    there = dict(PAIRS)
    points: dict[int, np.ndarray] = {}
    for curve in curves:
        knots = [k for k, v in enumerate(curve) if v in there]
        for first, last in pairwise(knots):
            part = curve[first : last + 1]
            path = surface.vertices[_shortest(surface.edges, there[part[0]], there[part[-1]])]
            points |= dict(zip(part, _along(path, _arc(mean[list(part)])), strict=True))
    return points


def _shortest(edges: sparse.csr_matrix, start: int, end: int) -> list[int]:
    _, before = dijkstra(edges, indices=start, return_predecessors=True)
    path = [end]
    while path[-1] != start:
        path.append(int(before[path[-1]]))
    return path[::-1]


def _arc(points: np.ndarray) -> np.ndarray:
    """Share of the arc at each point of a polyline, 0–1."""
    steps = np.linalg.norm(np.diff(points, axis=0), axis=1)
    arc = np.concatenate([[0], np.cumsum(steps)])
    return np.asarray(arc / arc[-1])


def _along(path: np.ndarray, shares: np.ndarray) -> np.ndarray:
    arc = _arc(path)
    return np.stack([np.interp(shares, arc, path[:, d]) for d in range(3)], 1)


def _nearest_on_surface(
    points: np.ndarray, normals: np.ndarray, side: np.ndarray, surface: _Surface
) -> tuple[np.ndarray, np.ndarray]:
    """Nearest surface points facing the same way (any way for zero normals), on the same lip."""
    corners = surface.vertices[surface.triangles]
    _, near = cKDTree(corners.mean(1)).query(points, k=_CANDIDATES)
    binding, weights = np.zeros((len(points), 3), int), np.zeros((len(points), 3))
    above = surface.lip_side[surface.triangles].mean(1) > 0.5
    for i, point in enumerate(points):
        candidates = near[i]
        fits = np.ones(len(candidates), bool)
        if normals[i].any():
            fits &= surface.normals[candidates] @ normals[i] > _LEAST_COSINE
        if side[i]:
            fits &= above[candidates] == (side[i] > 0)
        chosen = candidates[fits] if fits.any() else candidates
        shares = _closest_barycentric(point, corners[chosen])
        found = np.einsum("tk,tkd->td", shares, corners[chosen])
        best = int(np.linalg.norm(found - point, axis=1).argmin())
        binding[i], weights[i] = surface.triangles[chosen[best]], shares[best]
    return binding, weights


def _closest_barycentric(point: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """``[t, 3]`` weights of the nearest point of each triangle ``[t, 3, 3]``.

    The projection onto the plane or, if that lies outside, the best projection onto an edge.
    """
    a, b, c = triangles[:, 0], triangles[:, 1], triangles[:, 2]
    ab, ac, ap = b - a, c - a, point - a
    d00, d01, d11 = (ab * ab).sum(1), (ab * ac).sum(1), (ac * ac).sum(1)
    e0, e1 = (ab * ap).sum(1), (ac * ap).sum(1)
    area = np.maximum(d00 * d11 - d01 * d01, 1e-15)
    v, w = (d11 * e0 - d01 * e1) / area, (d00 * e1 - d01 * e0) / area
    best = np.stack([1 - v - w, v, w], 1)
    outside = (best < 0).any(1)
    distance = np.where(outside, np.inf, 0.0)
    for i, j in ((0, 1), (1, 2), (2, 0)):
        edge = triangles[:, j] - triangles[:, i]
        t = ((point - triangles[:, i]) * edge).sum(1) / np.maximum((edge**2).sum(1), 1e-15)
        t = np.clip(t, 0, 1)
        away = np.linalg.norm(triangles[:, i] + t[:, None] * edge - point, axis=1)
        shares = np.zeros_like(best)
        shares[:, i], shares[:, j] = 1 - t, t
        take = outside & (away < distance)
        best[take], distance[take] = shares[take], away[take]
    return best
