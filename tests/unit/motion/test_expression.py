from __future__ import annotations

import numpy as np
import pytest

from talkcli.face.measures import lid_opening, lip_aperture
from talkcli.face.model import FaceModel
from talkcli.face.topology import BROW_LEFT, BROW_RIGHT
from talkcli.motion.expression import MOODS, Expression, Voice
from talkcli.types import ARKIT_NAMES, shape_columns

FPS = 25.0
USUAL = Voice(0.85, 0.3)
#: Shapes that part or press the lips.
LIPS = [i for i, name in enumerate(ARKIT_NAMES)
        if name.startswith(("jaw", "mouthClose", "mouthFunnel", "mouthUpper", "mouthLower",
                            "mouthRoll", "mouthShrug"))]  # fmt: skip


def faces(amount: float = 1.0, mood: str = "neutral", voice: Voice = USUAL) -> list[np.ndarray]:
    """``[375, 52]`` fifteen seconds of each of 30 faces."""
    made = []
    for seed in range(30):
        face = Expression(np.random.SeedSequence(seed), mood, amount)
        made.append(np.array([face.at((k + 0.5) / FPS, voice) for k in range(375)]))
    return made


def brows(weights: np.ndarray) -> np.ndarray:
    """Height in distances of the outer eye corners."""
    model = FaceModel.load()
    unit = np.linalg.norm(model.vertices[33] - model.vertices[263])
    ways = model.basis[:, BROW_LEFT + BROW_RIGHT, 1].mean(1) / unit
    return np.asarray(weights @ ways)


def test_brows_and_lids_move_as_much_as_real_ones() -> None:
    made = faces()
    spread = np.median([brows(weights).std() for weights in made])
    assert (
        0.010 < spread < 0.022
    )  # real: .013 [.007-.014] in ten seconds, .018 [.010-.028] elsewhere
    model = FaceModel.load()
    rest = lid_opening(model.vertices)
    opened = np.array([(lid_opening(model.vertices + part) - rest) for part in model.basis])
    lids = np.median([((w @ opened) / rest).mean(1).std() for w in made])
    assert 0.08 < lids < 0.20  # real: a tenth of the opening, of which films show two thirds


def test_every_face_is_another_and_repeats_itself() -> None:
    one, other = faces()[:2]
    again = faces()[0]
    np.testing.assert_array_equal(one, again)
    assert abs(np.corrcoef(brows(one), brows(other))[0, 1]) < 0.5


def test_nothing_parts_the_lips() -> None:
    for mood in MOODS:
        for weights in faces(2.0, mood)[:5]:
            assert not weights[:, LIPS].any()
        assert not Expression(np.random.SeedSequence(0), mood, 1.0).constant[LIPS].any()


def test_amount_scales_and_zero_is_none() -> None:
    plain, half, none = (faces(amount)[3] for amount in (1.0, 0.5, 0.0))
    brow = ARKIT_NAMES.index("browInnerUp")
    np.testing.assert_allclose(half[:, brow], 0.5 * plain[:, brow], atol=1e-6)
    assert not none.any()


def test_moods_look_like_their_names() -> None:
    warm, serious, bright = (
        Expression(np.random.SeedSequence(0), mood, 1.0).constant
        for mood in ("warm", "serious", "bright")
    )
    smile, down = shape_columns("mouthSmile"), shape_columns("browDown")
    assert bright[smile].min() > warm[smile].min() > 0.1
    assert serious[down].min() > 0.1
    assert not Expression(np.random.SeedSequence(0), "neutral", 1.0).constant.any()


def test_lively_and_stressed_voices_move_the_face_more() -> None:
    flat, lively = (
        np.mean([brows(w).std() for w in faces(voice=Voice(0.9, 0.0, amount))])
        for amount in (0.0, 1.0)
    )
    assert lively > 1.5 * flat
    calm, up = (
        np.mean([brows(w).mean() for w in faces(voice=Voice(0.9, stress))]) for stress in (0.0, 1.0)
    )
    assert up > calm + 0.005


def test_sides_differ_and_the_opening_does_not() -> None:
    model = FaceModel.load()
    face = Expression(np.random.SeedSequence(4), "neutral", 1.0)
    lips = np.zeros(52, np.float32)
    for name, value in (("jawOpen", 0.3), ("mouthSmile", 0.3), ("mouthPress", 0.2)):
        lips[shape_columns(name)] = value
    plain = lip_aperture(np.einsum("k,kvd->vd", lips, model.basis))
    left, right = shape_columns("mouthSmile")
    apart = []
    for k in range(500):
        uneven = face.uneven(lips, k / FPS)
        apart.append(uneven[left] - uneven[right])
        assert uneven[left] + uneven[right] == pytest.approx(0.6, abs=1e-5)
        seen = lip_aperture(np.einsum("k,kvd->vd", uneven, model.basis))
        assert seen == pytest.approx(plain, abs=0.02)  # cm
    assert 0.03 < np.std(apart) < 0.3


def test_levels_do_not_depend_on_the_frame_rate_and_do_not_jump() -> None:
    slow, fast = (Expression(np.random.SeedSequence(2), "neutral", 1.0) for _ in range(2))
    coarse = np.array([slow.at((k + 0.5) / 20, USUAL) for k in range(400)])
    fine = np.array([fast.at((k + 0.5) / 60, USUAL) for k in range(1200)])
    np.testing.assert_allclose(coarse, fine[1::3], atol=1e-6)
    # The largest change, of lids from wide to narrow (1.8), takes at least .35 s and is quickest in
    # its middle (by 1.875), where brows may add to it.
    assert np.abs(np.diff(fine, axis=0)).max() < 1.8 * 1.875 / (0.35 * 60) + 0.04
