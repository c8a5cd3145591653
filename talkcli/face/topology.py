# ruff: noqa: E501
"""Names for groups of the 478 face landmarks: 468 of the face surface and 2 × 5 of the irises.

"Left" and "right" are the subject's. Rings run along the lid or lip from the outer right to the
left as the subject's face is seen, upper and lower rows in the same order, so that
``UPPER[k]`` lies above ``LOWER[k]``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from talkcli.shapes import Int32, UInt8

# fmt: off
#: Vertices that hardly move with expression: upper oval, temples, nose, eye corners, cheekbones.
RIGID = (10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 234, 93, 127, 162, 21, 54, 103, 67, 109,
         151, 9, 8, 168, 6, 197, 195, 5, 4, 1, 19, 94, 2, 33, 133, 263, 362, 98, 327, 48, 278,
         116, 345, 117, 346, 123, 352, 143, 372, 34, 264, 227, 447)
#: Rows of lip vertices between the corners; upper and lower lip, each from outside to inside.
LIP_UPPER_ROWS = ((185, 40, 39, 37, 0, 267, 269, 270, 409), (184, 74, 73, 72, 11, 302, 303, 304, 408),
                  (183, 42, 41, 38, 12, 268, 271, 272, 407), (191, 80, 81, 82, 13, 312, 311, 310, 415))
LIP_LOWER_ROWS = ((146, 91, 181, 84, 17, 314, 405, 321, 375), (77, 90, 180, 85, 16, 315, 404, 320, 307),
                  (96, 89, 179, 86, 15, 316, 403, 319, 325), (95, 88, 178, 87, 14, 317, 402, 318, 324))
LIP_CORNERS = (61, 291, 76, 306, 62, 292, 78, 308)
INNER_UPPER, INNER_LOWER, INNER_CORNERS = LIP_UPPER_ROWS[3], LIP_LOWER_ROWS[3], (78, 308)
OUTER_CORNERS = (61, 291)
#: The outline of the lips, all the way round.
LIP_OUTLINE = (61, *LIP_UPPER_ROWS[0], 291, *LIP_LOWER_ROWS[0][::-1])
LIP_UPPER = tuple(v for row in LIP_UPPER_ROWS for v in row)
LIP_LOWER = tuple(v for row in LIP_LOWER_ROWS for v in row)
LIPS = LIP_UPPER + LIP_LOWER + LIP_CORNERS
NOSE = (1, 2, 4, 5, 195, 197, 6, 168, 98, 327, 97, 326, 94, 19, 164, 48, 278, 64, 294, 115, 344, 129, 358)
CHIN = (152, 148, 377, 176, 400, 199, 200, 201, 421, 175, 171, 396, 18, 83, 313, 182, 406, 208, 428)
BROW_RIGHT = (70, 63, 105, 66, 107, 46, 53, 52, 65, 55)
BROW_LEFT = (300, 293, 334, 296, 336, 276, 283, 282, 295, 285)
FACE_OVAL = (10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377,
             152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109)
#: The jaw line: the lower part of the oval, from ear to ear.
JAW_LINE = (132, 58, 172, 136, 150, 149, 176, 148, 152, 377, 400, 378, 379, 365, 397, 288, 361)
EARS = (234, 127, 454, 356)
FOREHEAD_TOP, CHIN_TIP, NOSE_TIP = 10, 152, 1
# fmt: on


@dataclass(frozen=True)
class Eye:
    """One eye: lid rims, the rings around them, corners and iris."""

    upper: tuple[int, ...]
    lower: tuple[int, ...]
    corners: tuple[int, int]
    upper_ring: tuple[int, ...]
    lower_ring: tuple[int, ...]
    brow: tuple[int, ...]
    iris_centre: int
    iris_rim: tuple[int, ...]

    @property
    def rim(self) -> tuple[int, ...]:
        """All vertices of the opening."""
        return self.upper + self.lower + self.corners


# fmt: off
EYE_RIGHT = Eye((246, 161, 160, 159, 158, 157, 173), (7, 163, 144, 145, 153, 154, 155), (33, 133),
                (247, 30, 29, 27, 28, 56, 190), (25, 110, 24, 23, 22, 26, 112), BROW_RIGHT,
                468, (469, 470, 471, 472))
EYE_LEFT = Eye((466, 388, 387, 386, 385, 384, 398), (249, 390, 373, 374, 380, 381, 382), (263, 362),
               (467, 260, 259, 257, 258, 286, 414), (255, 339, 254, 253, 252, 256, 341), BROW_LEFT,
               473, (474, 475, 476, 477))
# fmt: on

#: Values of ``FaceModel.triangle_labels``.
SKIN, EYE_OPENING, MOUTH_OPENING = 0, 1, 2


def opening_triangles() -> tuple[Int32[np.ndarray, "46 3"], UInt8[np.ndarray, " 46"]]:
    """Triangles that fill the openings of eyes and mouth, which the tessellation leaves out.

    Returns:
        ``[46, 3]`` vertex indices and ``[46]`` labels (``EYE_OPENING`` or ``MOUTH_OPENING``).
    """
    triangles: list[tuple[int, int, int]] = []
    labels: list[int] = []
    openings = [
        (EYE_RIGHT.upper, EYE_RIGHT.lower, EYE_RIGHT.corners, EYE_OPENING),
        (EYE_LEFT.upper, EYE_LEFT.lower, EYE_LEFT.corners, EYE_OPENING),
        (INNER_UPPER, INNER_LOWER, INNER_CORNERS, MOUTH_OPENING),
    ]
    for upper, lower, (first, last), label in openings:
        strip = [(first, upper[0], lower[0]), (last, lower[-1], upper[-1])]
        for k in range(len(upper) - 1):
            strip += [(upper[k], upper[k + 1], lower[k]), (lower[k], upper[k + 1], lower[k + 1])]
        triangles += strip
        labels += [label] * len(strip)
    return np.array(triangles, np.int32), np.array(labels, np.uint8)


def triangles_from_edges(edges: set[tuple[int, int]]) -> Int32[np.ndarray, "T 3"]:
    """``[T, 3]`` faces of a triangulated disc, given all its edges as vertex pairs.

    Every closed triple is a face unless it separates the mesh (a degree-3 vertex inside); such a
    triple is recognised because its three edges belong to two other faces each.
    """
    neighbours: dict[int, set[int]] = {}
    for a, b in edges:
        neighbours.setdefault(a, set()).add(b)
        neighbours.setdefault(b, set()).add(a)
    triples = sorted(
        (a, b, c)
        for a in neighbours
        for b in neighbours[a]
        if b > a
        for c in neighbours[a] & neighbours[b]
        if c > b
    )
    count: dict[tuple[int, int], int] = {}
    for a, b, c in triples:
        for edge in ((a, b), (b, c), (a, c)):
            count[edge] = count.get(edge, 0) + 1
    faces = [
        t for t in triples if min(count[e] for e in ((t[0], t[1]), (t[1], t[2]), (t[0], t[2]))) <= 2
    ]
    return np.array(faces, np.int32)
