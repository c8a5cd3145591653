"""Average the face template from landmarks of real portraits and clips, and add the basis.

    python scripts/build_face_model.py --data ../shared/data

Every face is scaled, turned and shifted onto the running mean by its 52 rigid vertices, closed
mouths and open eyes only, then the mean is made symmetric. Only numbers leave the data folder.
Orientation, origin and scale of the head frame come from aligning the mean with the canonical
468-vertex mesh of MediaPipe (Apache-2.0) by one similarity transform.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import av
import cv2
import numpy as np
from mediapipe.python.solutions.face_mesh_connections import FACEMESH_TESSELATION
from scipy.spatial import cKDTree

from talkcli.tracking.expressions import expression_basis
from talkcli.tracking.facemodel import DEFAULT_PATH, FaceModel
from talkcli.tracking.harmonic import HarmonicExtension
from talkcli.tracking.headfit import DEPTH_SCALE, fit_similarity
from talkcli.tracking.landmarks import detect_faces
from talkcli.tracking.topology import (
    EYE_LEFT,
    EYE_RIGHT,
    RIGID,
    SKIN,
    opening_triangles,
    triangles_from_edges,
)

FRAMES_PER_CLIP = 6
MAX_YAW_DEG = 20.0


def pictures(data: Path) -> Iterator[np.ndarray]:
    for path in sorted((data / "portraits").iterdir()):
        image = cv2.imread(str(path))
        if image is not None:
            yield np.ascontiguousarray(image[..., ::-1])
    for path in sorted((data / "clips").glob("*.mp4")):
        yield from clip_frames(path)


def clip_frames(path: Path) -> Iterator[np.ndarray]:
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        total = stream.frames or 100
        wanted = set(np.linspace(0, total - 1, FRAMES_PER_CLIP).astype(int))
        for index, frame in enumerate(container.decode(stream)):
            if index in wanted:
                yield frame.to_ndarray(format="rgb24")


def neutral_faces(data: Path) -> np.ndarray:
    """``[n, 478, 3]`` landmarks with y up and z out, closed mouth, open eyes."""
    found = []
    for rgb in pictures(data):
        faces = detect_faces(rgb)
        if not faces:
            continue
        points = faces[0].points * (1, -1, -DEPTH_SCALE)
        height = np.linalg.norm(points[10] - points[152])
        mouth = np.linalg.norm(points[13] - points[14]) / height
        lids = min(
            np.linalg.norm(points[e.upper[3]] - points[e.lower[3]]) for e in (EYE_LEFT, EYE_RIGHT)
        )
        if mouth < 0.015 and lids / height > 0.035 and height > 90:
            found.append(points)
    return np.array(found)


def mean_face(faces: np.ndarray, frame: np.ndarray, symmetry: np.ndarray) -> np.ndarray:
    """Generalised Procrustes mean of ``faces`` in the head frame given by ``frame [468, 3]``."""
    rigid = list(RIGID)
    mean = np.vstack([frame, np.zeros((10, 3))])
    for _ in range(8):
        aligned = []
        for face in faces:
            scale, rotation, shift = fit_similarity(face[rigid], mean[rigid])
            yaw = np.degrees(np.arctan2(rotation[0, 2], rotation[2, 2]))
            if abs(yaw) < MAX_YAW_DEG:
                aligned.append(scale * face @ rotation.T + shift)
        mean = np.median(aligned, axis=0)
        mean = (mean + mean[symmetry] * (-1, 1, 1)) / 2
        scale, rotation, shift = fit_similarity(mean[rigid], frame[rigid])
        mean = scale * mean @ rotation.T + shift
    print(f"{len(aligned)} of {len(faces)} neutral faces within {MAX_YAW_DEG:.0f} degrees of yaw")
    return mean


def head_frame(path: Path) -> np.ndarray:
    rows = [line.split() for line in path.read_text().splitlines()]
    return np.array([row[1:4] for row in rows if row[:1] == ["v"]], float)


def outward(triangles: np.ndarray, vertices: np.ndarray) -> np.ndarray:
    a, b, c = (vertices[triangles[:, k]] for k in range(3))
    normals = np.cross(b - a, c - a)
    centre = np.array([0.0, -2.0, -6.0])
    flip = ((a - centre) * normals).sum(1) < 0
    triangles = triangles.copy()
    triangles[flip] = triangles[flip][:, [0, 2, 1]]
    return triangles


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--output", type=Path, default=DEFAULT_PATH)
    args = parser.parse_args()
    frame = head_frame(args.data / "face_model" / "canonical_face_model.obj")
    twins = cKDTree(frame).query(frame * (-1, 1, 1))[1]
    irises = [473, 476, 475, 474, 477, 468, 471, 470, 469, 472]
    symmetry = np.concatenate([twins, irises]).astype(np.int32)
    mean = mean_face(neutral_faces(args.data), frame, symmetry)
    skin = triangles_from_edges({tuple(sorted(edge)) for edge in FACEMESH_TESSELATION})
    filled, filled_labels = opening_triangles()
    triangles = outward(np.vstack([skin, filled]), mean)
    labels = np.concatenate([np.full(len(skin), SKIN, np.uint8), filled_labels])
    basis = expression_basis(mean, HarmonicExtension(mean, triangles, labels))
    model = FaceModel(mean, triangles, labels, symmetry, basis)
    model.save(args.output, "mean of measured landmarks, hand-made ARKit shapes")
    print(f"{len(triangles)} triangles, face height {np.linalg.norm(mean[10] - mean[152]):.2f} cm")


if __name__ == "__main__":
    main()
