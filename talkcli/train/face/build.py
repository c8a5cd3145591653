"""Build the face model that ships in talkcli/data: mean face, identity and ARKit shapes.

    python scripts/build_face_model.py --data ../shared/data --cache out/landmarks

1. The mean: every face of portraits and clips is scaled, turned and shifted onto the running mean
   by its 52 rigid vertices, closed mouths and open eyes only, then the mean is made symmetric.
   Orientation, origin and scale of the head frame come from aligning it with the canonical
   468-vertex mesh of MediaPipe (Apache-2.0) by one similarity transform. ``--keep-mean`` takes the
   shipped one (it takes ten minutes to measure anew).
2. ICT-FaceKit's shapes (MIT) sampled at the vertices (``train.ict``).
3. Expression: ICT's shapes refined on how the faces of the clips move (``train.shapes``).
4. Identity: principal shapes of the measured people and of ICT's (``train.people``).

Only numbers leave the data folder. docs/face_model.md says what came out.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import av
import cv2
import numpy as np
from mediapipe.python.solutions.face_mesh_connections import FACEMESH_TESSELATION
from safetensors.numpy import load_file
from scipy.spatial import cKDTree

from talkcli.face.basis import touching
from talkcli.face.harmonic import HarmonicExtension
from talkcli.face.model import DEFAULT_PATH, FaceModel
from talkcli.face.pose import DEPTH_SCALE, fit_similarity
from talkcli.face.topology import (
    EYE_LEFT,
    EYE_RIGHT,
    RIGID,
    SKIN,
    opening_triangles,
    triangles_from_edges,
)
from talkcli.tracking.landmarks import detect_faces
from talkcli.train.face.ict import sample_ict
from talkcli.train.face.people import identity_shapes
from talkcli.train.face.shapes import Motion, prior_basis, read_motions, refine

FRAMES_PER_CLIP = 6
MAX_YAW_DEG = 20.0


def still_pictures(data: Path) -> Iterator[np.ndarray]:
    for path in sorted((data / "portraits").iterdir()):
        image = cv2.imread(str(path))
        if image is not None:
            yield np.ascontiguousarray(image[..., ::-1])


def pictures(data: Path) -> Iterator[np.ndarray]:
    yield from still_pictures(data)
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


def neutral_faces(pictures: Iterator[np.ndarray]) -> np.ndarray:
    """``[n, 478, 3]`` landmarks with y up and z out, closed mouth, open eyes."""
    found = []
    for rgb in pictures:
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


def measured_people(motions: list[Motion], portraits: np.ndarray) -> np.ndarray:
    """One neutral face of every speaker, and the faces of portraits."""
    speakers = {motion.speaker: motion.neutral for motion in motions}
    return np.concatenate([np.array(list(speakers.values())), portraits])


def template(data: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Mean face, triangles, labels, symmetry."""
    frame = head_frame(data / "face_model" / "canonical_face_model.obj")
    twins = cKDTree(frame).query(frame * (-1, 1, 1))[1]
    irises = [473, 476, 475, 474, 477, 468, 471, 470, 469, 472]
    symmetry = np.concatenate([twins, irises]).astype(np.int32)
    mean = mean_face(neutral_faces(pictures(data)), frame, symmetry)
    skin = triangles_from_edges({tuple(sorted(edge)) for edge in FACEMESH_TESSELATION})
    filled, filled_labels = opening_triangles()
    triangles = outward(np.vstack([skin, filled]), mean)
    labels = np.concatenate([np.full(len(skin), SKIN, np.uint8), filled_labels])
    return mean, triangles, labels, symmetry


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--cache", type=Path, required=True, help="keeps landmarks of the clips")
    parser.add_argument("--output", type=Path, default=DEFAULT_PATH)
    parser.add_argument("--keep-mean", action="store_true", help="do not measure the mean again")
    args = parser.parse_args()
    if args.keep_mean:
        kept = load_file(DEFAULT_PATH)
        names = ("vertices", "triangles", "triangle_labels", "symmetry")
        mean, triangles, labels, symmetry = (kept[name] for name in names)
    else:
        mean, triangles, labels, symmetry = template(args.data)
    mean = mean.astype(float)
    ict_path = args.data / "face_model" / "ict_facekit_light.npz"
    ict = sample_ict(ict_path, mean, triangles[labels == SKIN])
    motions = read_motions(args.data, args.cache, mean, progress=print)
    print(f"{len(motions)} clips, {len({m.speaker for m in motions})} people")
    basis = refine(prior_basis(ict.expression, mean, symmetry), motions, mean, symmetry)
    basis = touching(basis, mean, HarmonicExtension(mean, triangles, labels))
    portraits = neutral_faces(still_pictures(args.data))
    identity = identity_shapes(ict, measured_people(motions, portraits), mean, symmetry)
    model = FaceModel(mean, triangles, labels, symmetry, basis, identity)
    model.save(args.output, "measured mean; ICT-FaceKit shapes (MIT) refined on measured faces")
    print(f"{len(triangles)} triangles, face height {np.linalg.norm(mean[10] - mean[152]):.2f} cm")


if __name__ == "__main__":
    main()
