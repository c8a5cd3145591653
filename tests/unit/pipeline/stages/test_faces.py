"""Faces as the project stores them: what no detector found is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from talkcli.errors import InputError
from talkcli.pipeline.stages.faces import FoundFace, FoundFaces

FACE = FoundFace([[float(k % 300), float(k % 200), 0.5] for k in range(478)], 180.0, -12.5)
FACES = FoundFaces(320, 240, (FACE, FACE))


def changed(**values: object) -> dict:
    face = {"points": FACE.points, "size_px": 180.0, "yaw_deg": 0.0} | values
    return {"faces": [face]}


def test_they_come_back(tmp_path: Path) -> None:
    FACES.save(tmp_path)
    assert FoundFaces.load(tmp_path) == FACES
    FoundFaces(320, 240, ()).save(tmp_path)
    assert FoundFaces.load(tmp_path).faces == ()


@pytest.mark.parametrize(
    "change",
    [
        {"width": 0},
        {"width": 3.5},
        {"height": 10**9},
        {"width": None},
        {"faces": 3},
        {"faces": [3]},
        {"faces": [{}]},
        changed(points=[]),
        changed(points=FACE.points[:-1]),
        changed(points=[[0.0, 0.0]] * 478),
        changed(points=[[0.0, 0.0, "x"]] * 478),
        changed(points=[[0.0, 0.0, 1e9]] * 478),
        changed(points=[[0.0, 0.0, [[1]]]] * 478),
        changed(points=7),
        changed(size_px=-1.0),
        changed(size_px="large"),
        changed(yaw_deg=1e5),
        changed(yaw_deg=None),
        changed(colour="red"),
    ],
)
def test_what_is_no_face_is_refused(tmp_path: Path, change: dict) -> None:
    FACES.save(tmp_path)
    path = tmp_path / "faces.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(InputError, match=r"faces\.json holds no faces"):
        FoundFaces.load(tmp_path)


@pytest.mark.parametrize(
    "text", ["", "[]", "null", "[" * 100_000, '{"width": NaN}', '{"width": 1e999}', "\udcff"]
)
def test_what_is_no_document_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "faces.json").write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(InputError, match=r"faces\.json holds no faces"):
        FoundFaces.load(tmp_path)
