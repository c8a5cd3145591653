"""Fitted avatars on disk, and what a stranger may have put into one."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import save_file

from talkcli.engines.audio_plane.avatar import SubjectAvatar
from talkcli.engines.audio_plane.checkpoint import (
    SCHEMA,
    check_subject,
    load_subject,
    save_subject,
)
from talkcli.engines.portrait.avatar import PortraitAvatar
from talkcli.errors import InputError
from tests.support.subjects import FRAMES, known_motion

FILE = "subject.safetensors"


@pytest.fixture(scope="module")
def loaded(subject: Path) -> SubjectAvatar:
    return load_subject(subject)


def rewritten(subject: Path, place: Path, tensors: dict, header: dict[str, Any]) -> Path:
    """A copy of an avatar with some arrays and header values replaced; None removes them."""
    shutil.copytree(subject, place)
    with safe_open(place / FILE, "np") as file:
        found = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        about = json.loads(file.metadata()["talkcli"])
    found = {n: a for n, a in (found | tensors).items() if a is not None}
    about = {n: v for n, v in (about | header).items() if v is not None}
    save_file(found, place / FILE, {"talkcli": json.dumps(about)})
    return place


def test_everything_comes_back(loaded: SubjectAvatar, tmp_path: Path) -> None:
    save_subject(loaded, tmp_path)
    again = load_subject(tmp_path)
    assert (again.source, again.held_out) == (loaded.source, loaded.held_out) == (2, 32)
    for name in ("times", "expression", "rotation", "translation", "gaze", "tracked"):
        np.testing.assert_array_equal(getattr(again.clip, name), getattr(loaded.clip, name))
    assert again.clip.relative and again.clip.duration_s == FRAMES / 25
    one, other = loaded.offsets, again.offsets
    np.testing.assert_array_equal(other.index, one.index)
    np.testing.assert_array_equal(other.shapes, one.shapes)
    for name, array in vars(one.mixer).items():
        np.testing.assert_array_equal(getattr(other.mixer, name), array, err_msg=name)
    assert isinstance(loaded.portrait.correction, type(one)), "writing it has not taken it"


def test_the_clip_moves_as_it_was_seen_to(loaded: SubjectAvatar) -> None:
    known = known_motion()
    np.testing.assert_array_equal(loaded.clip.expression, known.expression)
    np.testing.assert_allclose(
        loaded.clip.rotation[:, :2], known.rotation[:, :2] - known.rotation[2, :2], atol=0.2
    )


@pytest.mark.parametrize(
    ("tensors", "header"),
    [
        ({"offsets.index": "beyond"}, {}),
        ({"offsets.index": "negative"}, {}),
        ({"offsets.index": "falling"}, {}),
        ({"offsets.index": "float"}, {}),
        ({"offsets.index": None}, {}),
        ({"offsets.shapes": "short"}, {}),
        ({"offsets.shapes": "nan"}, {}),
        ({"offsets.shapes": "huge"}, {}),
        ({"mixer.scale": np.zeros(57, np.float32)}, {}),
        ({"mixer.mean": np.full(57, np.inf, np.float32)}, {}),
        ({"mixer.mean": np.zeros(56, np.float32)}, {}),
        ({"mixer.bias": np.zeros(3, np.float32)}, {}),
        ({"mixer.hidden_weight": np.zeros((9, 57), np.float32)}, {}),
        ({"clip.times": np.zeros(FRAMES, np.float32)}, {}),
        ({"clip.times": np.arange(FRAMES - 1, dtype=np.float32)}, {}),
        ({"clip.rotation": np.full((FRAMES, 3), np.nan, np.float32)}, {}),
        ({"clip.tracked": np.full(FRAMES, 2, np.uint8)}, {}),
        ({}, {"source": FRAMES}),
        ({}, {"source": -1}),
        ({}, {"source": 1.5}),
        ({}, {"source": None}),
        ({}, {"held_out": FRAMES + 1}),
        ({}, {"held_out": "all"}),
        ({}, {"duration_s": "long"}),
        ({}, {"duration_s": float("nan")}),
        ({}, {"duration_s": float("inf")}),
        ({}, {"duration_s": -1.0}),
        ({}, {"duration_s": 1e12}),
        ({}, {"schema": SCHEMA + 1}),
        ({}, {"schema": None}),
    ],
)
def test_what_no_avatar_holds_is_refused(
    subject: Path, loaded: SubjectAvatar, tmp_path: Path, tensors: dict, header: dict
) -> None:
    index, shapes = loaded.offsets.index, loaded.offsets.shapes
    made = {
        "beyond": np.append(index[:-1], len(loaded.portrait.splats)).astype(np.int32),
        "negative": np.append(-1, index[1:]).astype(np.int32),
        "falling": index[::-1].copy(),
        "float": index.astype(np.float32),
        "short": shapes[:, :-1].astype(np.float16),
        "nan": np.full(shapes.shape, np.nan, np.float16),
        "huge": np.full(shapes.shape, 1e4, np.float16),
    }
    tensors = {n: made[a] if isinstance(a, str) else a for n, a in tensors.items()}
    place = rewritten(subject, tmp_path / "avatar", tensors, header)
    with pytest.raises(InputError, match=r"talkcli fit|update talkcli"):
        load_subject(place)


def test_no_offsets_at_all_is_an_avatar(subject: Path, loaded: SubjectAvatar, tmp_path: Path):
    none = {
        "offsets.index": np.zeros(0, np.int32),
        "offsets.shapes": np.zeros((4, 0, 7), np.float16),
    }
    still = load_subject(rewritten(subject, tmp_path / "avatar", none, {}))
    assert len(still.pose()) == len(loaded.portrait.splats)
    assert len(still.playback().pose()) > 0


def test_the_check_finds_what_is_gone(subject: Path, tmp_path: Path) -> None:
    check_subject(subject)
    place = Path(shutil.copytree(subject, tmp_path / "avatar"))
    (place / FILE).unlink()
    with pytest.raises(InputError, match="talkcli fit"):
        check_subject(place)
    shutil.copy(subject / FILE, place / FILE)
    shutil.rmtree(place / "portrait")
    with pytest.raises(InputError):
        check_subject(place)


def test_a_portrait_of_another_subject_is_found_out(
    subject: Path, avatar: PortraitAvatar, loaded: SubjectAvatar, tmp_path: Path
) -> None:
    """With fewer splats than the offsets move; one with more cannot be told apart."""
    from talkcli.engines.portrait.checkpoint import save_avatar

    place = Path(shutil.copytree(subject, tmp_path / "avatar"))
    shutil.rmtree(place / "portrait")
    (place / "portrait").mkdir()
    save_avatar(avatar.part(np.arange(int(loaded.offsets.index.max()))), place / "portrait")
    with pytest.raises(InputError, match="unknown splats"):
        load_subject(place)
