"""The line between closed lips."""

from __future__ import annotations

import numpy as np
import pytest

from talkcli.engines.portrait.build.lipline import find_lip_line
from talkcli.face.model import FaceModel
from talkcli.face.topology import (
    INNER_CORNERS,
    INNER_LOWER,
    INNER_UPPER,
    LIP_LOWER_ROWS,
    LIP_UPPER_ROWS,
)

SIDE, SCALE = 480, 18.0
MIDDLE = INNER_UPPER[4]


@pytest.fixture(scope="module")
def points() -> np.ndarray:
    """``[478, 3]`` landmarks of the mean face seen from the front, lips touching."""
    face = FaceModel.load().vertices.astype(float)
    seen = np.stack([face[:, 0], -face[:, 1], -face[:, 2]], 1) * SCALE + (SIDE / 2, SIDE / 2, 0)
    meeting = (seen[list(INNER_UPPER), 1] + seen[list(INNER_LOWER), 1]) / 2
    seen[list(INNER_UPPER), 1] = seen[list(INNER_LOWER), 1] = meeting
    return seen


def picture(points: np.ndarray, lower: float, depth: float = 0.3) -> np.ndarray:
    """Lips whose dark line lies ``lower`` pixels below the landmarks', at it in the corners."""
    chain = points[[INNER_CORNERS[0], *INNER_UPPER, INNER_CORNERS[1]], :2]
    x, y = np.meshgrid(np.arange(SIDE), np.arange(SIDE))
    across = (x - chain[0, 0]) / (chain[-1, 0] - chain[0, 0])
    bow = np.sqrt(np.clip(4 * across * (1 - across), 0, 1))
    line = np.interp(x, chain[:, 0], chain[:, 1]) + lower * bow
    dark = depth * np.exp(-(((y - line) / 2.0) ** 2)) * (bow > 0)
    return np.repeat((0.6 - dark)[..., None], 3, -1).astype(np.float32)


@pytest.mark.parametrize("lower", [-5.0, -2.0, 0.0, 3.0, 6.0])
def test_lips_meet_at_the_dark_line(points, lower: float) -> None:
    found = find_lip_line(picture(points, lower), points)
    for line in (INNER_UPPER, INNER_LOWER):
        # The lit edge below belongs to the lower lip: it is .8 to 1.2 px from the line's middle.
        assert found[line[4], 1] - points[line[4], 1] == pytest.approx(lower + 1, abs=0.4)
    np.testing.assert_allclose(found[list(INNER_UPPER), :2], found[list(INNER_LOWER), :2], atol=0.1)


def test_lips_are_not_folded_and_the_rest_of_the_face_stays(points) -> None:
    found = find_lip_line(picture(points, 5.0), points)
    moved = np.abs(found - points).max(1) > 0
    inner_rows = {v for row in (*LIP_UPPER_ROWS[1:], *LIP_LOWER_ROWS[1:]) for v in row}
    assert set(np.flatnonzero(moved)) <= inner_rows
    for rows, sign in ((LIP_UPPER_ROWS, 1), (LIP_LOWER_ROWS, -1)):
        heights = sign * np.array([[found[v, 1] for v in row] for row in rows])
        assert np.all(np.diff(heights, axis=0) > 0)


def test_a_tilted_head_has_its_line_found_across_the_tilt(points) -> None:
    angle = np.radians(25)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    tilted = points.copy()
    tilted[:, :2] = (points[:, :2] - SIDE / 2) @ turn.T + SIDE / 2
    x, y = np.meshgrid(np.arange(SIDE), np.arange(SIDE))
    back = (np.stack([x, y], -1) - SIDE / 2) @ turn + SIDE / 2
    upright = picture(points, 4.0)
    column, row = np.clip(np.round(back).astype(int), 0, SIDE - 1).transpose(2, 0, 1)
    found = find_lip_line(upright[row, column], tilted)
    shift = (found - tilted)[MIDDLE, :2]
    assert shift @ turn[:, 1] == pytest.approx(4.0 + 1, abs=0.6)  # pixels were turned unblended
    assert abs(shift @ turn[:, 0]) < 1e-6


@pytest.mark.parametrize("case", ["flat", "open", "moustache"])
def test_landmarks_are_believed_where_no_line_is_clear(points, case: str) -> None:
    shown, given = picture(points, 3.0), points.copy()
    if case == "flat":
        shown[:] = 0.6
    elif case == "open":
        given[list(INNER_LOWER), 1] += 8
    else:
        shown = picture(points, -9.5)
    np.testing.assert_array_equal(find_lip_line(shown, given), given)
