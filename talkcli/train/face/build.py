"""Building the face model that ships in ``talkcli/data``: mean face, identity and ARKit shapes.

1. The mean: every face of portraits and clips with a closed mouth and open eyes is aligned to the
   running mean by its 52 rigid vertices and a similarity transform; the mean is made symmetric.
   Orientation, origin and scale of the head frame come from aligning it with the canonical
   468-vertex mesh of MediaPipe (Apache-2.0). Measuring takes ten minutes.
2. ICT-FaceKit's shapes (MIT) sampled at the vertices, and its head (``train.face.ict``).
3. Expression: ICT's shapes refined on how the faces in the clips move (``train.face.shapes``).
4. Identity: principal components of the measured people and of ICT's (``train.face.people``).

Only numbers leave the data folder. docs/face_model.md describes the result.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from mediapipe.python.solutions.face_mesh_connections import FACEMESH_TESSELATION
from scipy.spatial import cKDTree

from talkcli.errors import InputError
from talkcli.face.basis import touching
from talkcli.face.harmonic import HarmonicExtension
from talkcli.face.measures import face_height
from talkcli.face.model import FaceModel
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
_ROUNDS = 8  # of the Procrustes mean
#: A face is neutral with the mouth closed and the eyes open this far, shares of the face height,
#: and is measured well enough from this height on, pixels.
_CLOSED, _AWAKE, _LEAST_PX = 0.015, 0.035, 90
#: Inside the head, behind the mouth (cm): triangles face away from it.
_CENTRE = (0.0, -2.0, -6.0)
#: Mirror twins of the iris vertices 468 to 477, which the canonical mesh lacks.
_IRIS_TWINS = (473, 476, 475, 474, 477, 468, 471, 470, 469, 472)
_DESCRIPTION = "measured mean; ICT-FaceKit shapes (MIT) refined on measured faces"

Report = Callable[[str], None]


@dataclass(frozen=True)
class Template:
    """The mean face and its mesh.

    Attributes:
        mean: ``[478, 3]`` neutral face, mouth closed, head frame, cm.
        triangles: ``[T, 3]`` counter-clockwise from outside.
        labels: ``[T]`` uint8: skin, eye or mouth opening.
        symmetry: ``[478]`` mirror twin of every vertex.
    """

    mean: np.ndarray
    triangles: np.ndarray
    labels: np.ndarray
    symmetry: np.ndarray


def build_face_model(
    data: Path, cache: Path, output: Path, report: Report, keep_mean: bool = False
) -> FaceModel:
    """Build the face model and write it.

    Args:
        data: folder with ``face_model/ict_facekit_light.npz``, ``speech_clips.json`` and, unless
            the mean is kept, ``face_model/canonical_face_model.obj``; and with ``portraits``.
        cache: folder that keeps the landmarks of the clips.
        output: file for the model.
        report: called with lines of progress.
        keep_mean: take mean face and mesh from the shipped model instead of measuring them.

    Raises:
        InputError: a file of the data folder is missing or cannot be read.
    """
    for name in ("face_model/ict_facekit_light.npz", "speech_clips.json", "portraits"):
        if not (data / name).exists():
            raise InputError(f"{data} holds no {name}", "docs/face_model.md lists what is needed")
    template = shipped_template() if keep_mean else measured_template(data, report)
    mean, symmetry = template.mean, template.symmetry
    skin = template.triangles[template.labels == SKIN]
    ict = sample_ict(data / "face_model" / "ict_facekit_light.npz", mean, skin)
    motions = read_motions(data, cache, mean, progress=report)
    report(f"{len(motions)} clips, {len({m.speaker for m in motions})} people")
    basis = refine(prior_basis(ict.expression, mean, symmetry), motions, mean, symmetry)
    basis = touching(basis, mean, HarmonicExtension(mean, template.triangles, template.labels))
    people = measured_people(motions, neutral_faces(still_pictures(data)))
    identity = identity_shapes(ict, people, mean, symmetry)
    model = FaceModel(
        mean, template.triangles, template.labels, symmetry, basis, identity, ict.skull
    )
    output.parent.mkdir(parents=True, exist_ok=True)
    model.save(output, _DESCRIPTION)
    height = face_height(mean)
    report(f"wrote {output}: {len(template.triangles)} triangles, face height {height:.2f} cm")
    return model


def shipped_template() -> Template:
    """Mean face and mesh of the shipped model."""
    model = FaceModel.load()
    return Template(
        model.vertices.astype(float), model.triangles, model.triangle_labels, model.symmetry
    )


def measured_template(data: Path, report: Report) -> Template:
    """Mean face and mesh measured from the portraits and clips of a data folder."""
    frame = head_frame(data / "face_model" / "canonical_face_model.obj")
    twins = cKDTree(frame).query(frame * (-1, 1, 1))[1]
    symmetry = np.concatenate([twins, _IRIS_TWINS]).astype(np.int32)
    mean = mean_face(neutral_faces(pictures(data)), frame, symmetry, report)
    skin = triangles_from_edges({tuple(sorted(edge)) for edge in FACEMESH_TESSELATION})
    filled, filled_labels = opening_triangles()
    triangles = outward(np.vstack([skin, filled]), mean)
    labels = np.concatenate([np.full(len(skin), SKIN, np.uint8), filled_labels])
    return Template(mean, triangles, labels, symmetry)


def head_frame(path: Path) -> np.ndarray:
    """``[468, 3]`` vertices of an OBJ file.

    Raises:
        InputError: the file cannot be read.
    """
    try:
        rows = [line.split() for line in path.read_text(encoding="utf-8").splitlines()]
        return np.array([row[1:4] for row in rows if row[:1] == ["v"]], float)
    except (OSError, ValueError) as error:
        raise InputError(f"{path} is no readable mesh ({error})") from error


def pictures(data: Path) -> Iterator[np.ndarray]:
    """``[H, W, 3]`` uint8 portraits and frames of the clips in a data folder."""
    yield from still_pictures(data)
    for path in sorted((data / "clips").glob("*.mp4")):
        yield from clip_frames(path)


def still_pictures(data: Path) -> Iterator[np.ndarray]:
    """``[H, W, 3]`` uint8 portraits of a data folder."""
    for path in sorted((data / "portraits").iterdir()):
        image = cv2.imread(str(path))
        if image is not None:
            yield np.ascontiguousarray(image[..., ::-1])


def clip_frames(path: Path) -> Iterator[np.ndarray]:
    """``[H, W, 3]`` uint8 frames, evenly spread over a clip."""
    import av

    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        total = stream.frames or 100
        wanted = set(np.linspace(0, total - 1, FRAMES_PER_CLIP).astype(int))
        for index, frame in enumerate(container.decode(stream)):
            if index in wanted:
                yield frame.to_ndarray(format="rgb24")


def neutral_faces(pictures: Iterator[np.ndarray]) -> np.ndarray:
    """``[n, 478, 3]`` landmarks of neutral faces in pixels, y up and z towards the viewer."""
    found = []
    for rgb in pictures:
        faces = detect_faces(rgb)
        if not faces:
            continue
        points = faces[0].points * (1, -1, -DEPTH_SCALE)
        height = face_height(points)
        mouth = np.linalg.norm(points[13] - points[14]) / height
        lids = min(
            np.linalg.norm(points[eye.upper[3]] - points[eye.lower[3]])
            for eye in (EYE_LEFT, EYE_RIGHT)
        )
        if mouth < _CLOSED and lids / height > _AWAKE and height > _LEAST_PX:
            found.append(points)
    return np.array(found)


def mean_face(
    faces: np.ndarray, frame: np.ndarray, symmetry: np.ndarray, report: Report
) -> np.ndarray:
    """``[478, 3]`` symmetric generalised Procrustes mean in the head frame, cm.

    Args:
        faces: ``[n, 478, 3]`` neutral faces; those turned by more than 20° are left out.
        frame: ``[468, 3]`` mesh that defines the head frame.
        symmetry: ``[478]`` mirror twins.
        report: called with the number of faces used.
    """
    rigid = list(RIGID)
    mean = np.vstack([frame, np.zeros((10, 3))])
    for _ in range(_ROUNDS):
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
    report(f"{len(aligned)} of {len(faces)} neutral faces within {MAX_YAW_DEG:.0f}° of yaw")
    return np.asarray(mean)


def outward(triangles: np.ndarray, vertices: np.ndarray) -> np.ndarray:
    """``[T, 3]`` triangles, flipped where they face into the head."""
    a, b, c = (vertices[triangles[:, k]] for k in range(3))
    flip = ((a - np.array(_CENTRE)) * np.cross(b - a, c - a)).sum(1) < 0
    triangles = triangles.copy()
    triangles[flip] = triangles[flip][:, [0, 2, 1]]
    return triangles


def measured_people(motions: list[Motion], portraits: np.ndarray) -> np.ndarray:
    """``[n, 478, 3]`` one neutral face of every speaker, then the faces of the portraits."""
    speakers = {motion.speaker: motion.neutral for motion in motions}
    return np.concatenate([np.array(list(speakers.values())), portraits])
