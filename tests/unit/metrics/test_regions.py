"""The regions lie where the face is and hold each other."""

from __future__ import annotations

import numpy as np

from talkcli.face.model import FaceModel
from talkcli.face.topology import CHIN_TIP, EARS, FOREHEAD_TOP, LIPS, NOSE_TIP
from talkcli.metrics.regions import face_regions


def test_the_head_holds_the_face_ears_and_hair() -> None:
    # The mean face, 10 pixels to the centimetre, in the middle of a picture.
    points = FaceModel.load().vertices * (10, -10, -10) + (200, 200, 0)
    regions = face_regions(points, 400, 400)
    face, head = regions["face"], regions["head"]

    def holds(mask: np.ndarray, point: np.ndarray) -> bool:
        return bool(mask[int(point[1]), int(point[0])])

    assert holds(face, points[NOSE_TIP]) and not (face & ~head).any()
    for vertex in EARS:
        assert holds(head, points[vertex])
    height = points[CHIN_TIP, 1] - points[FOREHEAD_TOP, 1]
    crown = points[FOREHEAD_TOP] - (0, 0.3 * height, 0)
    below = points[CHIN_TIP] + (0, 0.3 * height, 0)
    assert holds(head, crown) and not holds(face, crown)
    assert not holds(head, below)
    mouth, cheeks = regions["mouth"], regions["cheeks"]
    for vertex in LIPS:
        assert holds(mouth, points[vertex]) and not holds(cheeks, points[vertex])
    assert holds(cheeks, points[NOSE_TIP]) and not holds(cheeks, points[FOREHEAD_TOP] + (0, 9, 0))
    assert not (cheeks & ~face).any() and mouth.sum() < cheeks.sum() < face.sum()
    flat = face_regions(points[:, :2], 400, 400)
    assert all((flat[name] == regions[name]).all() for name in regions)


def test_a_face_outside_the_picture_leaves_empty_regions() -> None:
    points = FaceModel.load().vertices * (10, -10, -10) + (2000, 200, 0)
    assert not any(mask.any() for mask in face_regions(points, 100, 100).values())
