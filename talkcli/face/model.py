"""The face template: 478 vertices in the head frame, triangles, symmetry, ARKit shapes.

Built by ``talkcli train face`` from landmarks measured on real portraits and clips and from
ICT-FaceKit's shapes (docs/face_model.md); shipped as ``talkcli/data/face_model.safetensors``.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from talkcli.files.tensors import Rule, TensorSchema
from talkcli.shapes import Float, Integer
from talkcli.weights.registry import shipped

SCHEMA = 3
DEFAULT_PATH = shipped("face")

_FILE = TensorSchema(
    title="face model",
    version=SCHEMA,
    mend="reinstall talkcli",
    rules={
        "vertices": Rule("478 3"),
        "triangles": Rule("T 3", "i", low=0, high=477),
        "triangle_labels": Rule("T", "u", low=0, high=2),
        "symmetry": Rule("478", "i", low=0, high=477),
        "basis": Rule("52 478 3"),
        "identity": Rule("P 478 3"),
        "skull": Rule("E A", low=1, high=100),
    },
)


@dataclass(frozen=True)
class FaceModel:
    """A mean face, how people differ from it, and how it moves.

    Attributes:
        vertices: ``[478, 3]`` neutral face, head frame, centimetres.
        triangles: ``[898, 3]`` int32, counter-clockwise as seen from outside.
        triangle_labels: ``[898]`` uint8, ``topology.SKIN``, ``EYE_OPENING`` or ``MOUTH_OPENING``.
        symmetry: ``[478]`` int32, index of each vertex's mirror twin.
        basis: ``[52, 478, 3]`` float32 displacements in cm at weight 1, order of ``ARKIT_NAMES``.
        identity: ``[40, 478, 3]`` float32 displacements in cm at one standard deviation.
        skull: ``[35, 48]`` float32 radii of the bald head, cm, see :mod:`talkcli.face.skull`.
    """

    vertices: Float[np.ndarray, "478 3"]
    triangles: Integer[np.ndarray, "T 3"]
    triangle_labels: Integer[np.ndarray, " T"]
    symmetry: Integer[np.ndarray, " 478"]
    basis: Float[np.ndarray, "52 478 3"]
    identity: Float[np.ndarray, "P 478 3"]
    skull: Float[np.ndarray, "E A"]

    @staticmethod
    def load(path: Path = DEFAULT_PATH) -> FaceModel:
        """Read a face model.

        Raises:
            InputError: the file is missing, damaged or of a newer schema.
        """
        return _load(Path(path))

    def save(self, path: Path, description: str) -> None:
        """Write the model with its schema version and a line on its origin."""
        tensors: dict[str, np.ndarray] = {
            "vertices": self.vertices.astype(np.float32),
            "triangles": self.triangles.astype(np.int32),
            "triangle_labels": self.triangle_labels.astype(np.uint8),
            "symmetry": self.symmetry.astype(np.int32),
            "basis": self.basis.astype(np.float32),
            "identity": self.identity.astype(np.float32),
            "skull": self.skull.astype(np.float32),
        }
        _FILE.write(path, tensors, {"description": description})


@lru_cache(maxsize=2)
def _load(path: Path) -> FaceModel:
    tensors, _ = _FILE.read(path)
    return FaceModel(**{name: tensors[name] for name in _FILE.rules})


def vertex_normals(
    vertices: Float[np.ndarray, "V 3"], triangles: Integer[np.ndarray, "T 3"]
) -> Float[np.ndarray, "V 3"]:
    """``[V, 3]`` unit normals of a mesh, pointing out of the face, area-weighted.

    The same in the head frame and in pixel space, since flipping two axes is a rotation.

    Args:
        vertices: ``[V, 3]``.
        triangles: ``[T, 3]``.
    """
    a, b, c = (vertices[triangles[:, k]] for k in range(3))
    facing = np.cross(b - a, c - a)
    normals = np.zeros_like(vertices)
    for k in range(3):
        np.add.at(normals, triangles[:, k], facing)
    return np.asarray(normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-9))
