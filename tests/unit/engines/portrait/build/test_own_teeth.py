"""The person's own teeth on the avatar's rows."""

from __future__ import annotations

import numpy as np
import pytest

from talkcli.engines.portrait.avatar import PortraitAvatar
from talkcli.engines.portrait.build.own_teeth import Looked, edge_shift, paint
from talkcli.engines.portrait.mouth_light import source_pixels
from talkcli.engines.portrait.splats import Layer
from talkcli.face.topology import LIP_OUTLINE
from talkcli.imaging import smoothstep
from tests.support.portraits import as_picture, motion_of, rebuilt, shown

ENAMEL, DARK = np.array([0.8, 0.75, 0.7]), np.array([0.15, 0.05, 0.05])
STEP_CM = 0.05
#: Lines from .6 cm beyond the usual edge to 1.4 cm above it.
BELOW_CM = np.arange(12, -28, -1) * STEP_CM
ACROSS = np.linspace(-1, 1, 41)
TOOTHY = motion_of(
    jawOpen=0.25,
    mouthSmileLeft=0.5,
    mouthSmileRight=0.5,
    mouthUpperUpLeft=0.5,
    mouthUpperUpRight=0.5,
    mouthLowerDownLeft=0.3,
    mouthLowerDownRight=0.3,
)


def looked(tooth: np.ndarray, opened: np.ndarray) -> Looked:
    shape = (len(BELOW_CM), len(ACROSS))
    tooth, opened = (np.broadcast_to(m, shape) for m in (tooth, opened))
    return Looked(np.where(tooth[..., None], ENAMEL, DARK), tooth & opened, opened)


def lines(low: float, high: float) -> np.ndarray:
    """Lines from ``low`` to ``high`` (cm below the usual edge)."""
    middle, reach = (low + high) / 2, (high - low) / 2 + 1e-6
    return (np.abs(BELOW_CM - middle) < reach)[:, None]


@pytest.mark.parametrize("edge", [0.35, 0.0, -0.2])
def test_an_edge_before_the_dark_mouth_is_found(edge: float) -> None:
    shift = edge_shift(looked(lines(-0.5, edge), lines(-0.5, 0.6)), ACROSS, BELOW_CM)
    assert shift == pytest.approx(edge, abs=STEP_CM + 1e-6)


def test_the_line_of_a_closed_bite_is_an_edge() -> None:
    seen = looked(lines(-0.5, 0.6), lines(-0.5, 0.6))
    seen.colors[np.isclose(BELOW_CM, 0.15)] *= 0.8
    assert edge_shift(seen, ACROSS, BELOW_CM) == pytest.approx(0.1, abs=STEP_CM + 1e-6)


def test_an_edge_behind_the_lower_lip_is_there_or_beyond() -> None:
    def shift(lip: float) -> float:
        return edge_shift(looked(lines(-0.5, 0.6), lines(-0.5, lip)), ACROSS, BELOW_CM)

    assert shift(0.3) == pytest.approx(0.3, abs=STEP_CM + 1e-6)
    assert shift(-0.2) == 0
    assert edge_shift(looked(lines(1, 1), lines(1, 1)), ACROSS, BELOW_CM) == 0


def drawn() -> tuple[np.ndarray, np.ndarray]:
    shape = (20, len(ACROSS))
    return np.full((*shape, 3), 0.7), np.full(shape, 0.98)


def row(first: int, end: int) -> np.ndarray:
    """``[20, c]`` bool: the lines from ``first`` up to ``end``."""
    lines = np.zeros((20, len(ACROSS)), bool)
    lines[first:end] = True
    return lines


def seen_row(tooth: np.ndarray, color: np.ndarray) -> Looked:
    opened = row(0, 14)
    return Looked(np.where(tooth[..., None], color, DARK), tooth, opened)


def test_hidden_parts_go_on_as_the_tooth_below() -> None:
    tooth = row(3, 14)
    color = np.broadcast_to(ENAMEL, (*tooth.shape, 3)).copy()
    color[:, 18:23] *= 0.8
    painted = paint(*drawn(), seen_row(tooth, color), STEP_CM, light=1.0)
    assert painted.gain is not None
    np.testing.assert_allclose(painted.color[8], color[8], atol=0.01)
    np.testing.assert_allclose(painted.color[19], color[19], atol=0.01)
    # Below the edge the mouth is seen; above the lip nothing is.
    assert np.all(painted.opaque[:2] == 0) and np.all(painted.opaque[4:] == 0.98)


def test_less_light_in_the_source_is_made_up_for() -> None:
    tooth = row(3, 14)
    color = np.broadcast_to(0.8 * ENAMEL, (*tooth.shape, 3))
    painted = paint(*drawn(), seen_row(tooth, color), STEP_CM, light=0.8)
    np.testing.assert_allclose(painted.color[8, 20], ENAMEL, atol=0.01)


@pytest.mark.parametrize(
    ("height", "color"),
    [(2, ENAMEL), (10, np.array([0.7, 0.4, 0.4])), (10, 0.3 * ENAMEL)],
    ids=["light on a lip", "tongue", "dark"],
)
def test_what_is_no_row_of_teeth_is_not_painted(height: int, color: np.ndarray) -> None:
    tooth = row(4, 4 + height)
    before = drawn()
    painted = paint(*before, seen_row(tooth, color), STEP_CM, light=1.0)
    assert painted.gain is None
    np.testing.assert_array_equal(painted.color, before[0])
    np.testing.assert_array_equal(painted.opaque, before[1])


def test_a_dim_strip_only_tints() -> None:
    tooth = row(8, 13)
    color = np.broadcast_to(0.8 * ENAMEL, (*tooth.shape, 3)).copy()
    color[:, ::4] *= 0.7
    painted = paint(*drawn(), seen_row(tooth, color), STEP_CM, light=1.0)
    assert painted.gain is not None and np.ptp(painted.color, axis=(0, 1)).max() < 1e-6
    assert painted.color.mean() == pytest.approx(0.8 * ENAMEL.mean(), rel=0.02)
    np.testing.assert_array_equal(painted.opaque, drawn()[1])


def test_teeth_of_the_picture_are_the_avatars(avatar: PortraitAvatar) -> None:
    picture = shown(avatar, TOOTHY)[0]
    teeth = avatar.splats.layers == Layer.UPPER_TEETH

    def yellow(of: PortraitAvatar) -> float:
        colors = of.splats.colors[of.splats.layers == Layer.UPPER_TEETH]
        bright = colors[colors.mean(1) > np.median(colors.mean(1))]
        return float(bright[:, 2].mean() / bright[:, :2].mean())

    white = rebuilt(as_picture(picture))
    # The same picture with yellow teeth: only what is bright and grey between the lips changes.
    place = source_pixels(avatar.pose(TOOTHY).means[teeth], avatar.viewmat, avatar.K)
    low, high = place.min(0), place.max(0)
    box = picture[low[0] : high[0], low[1] : high[1]]
    enamel = smoothstep((box.min(-1) / box.max(-1) - 0.6) / 0.1) * (box.mean(-1) > 0.4)
    box[..., 2] *= 1 - 0.2 * enamel
    tinted = rebuilt(as_picture(picture))
    assert yellow(tinted) < 0.93 * yellow(white)


def test_no_hidden_skin_stands_behind_the_lips(avatar: PortraitAvatar) -> None:
    turned = rebuilt(as_picture(shown(avatar, motion_of(), yaw=-22.0)[0]))
    points = turned.splats.positions[turned.splats.layers == Layer.SHELL]
    lips = turned.vertices[list(LIP_OUTLINE)]
    before = points[:, 2] > lips[:, 2].min() - 2
    rows, columns = source_pixels(points[before], turned.viewmat, turned.K).T
    outline = source_pixels(lips, turned.viewmat, turned.K)
    low, high = outline.min(0), outline.max(0)
    middle = (low[0] + high[0]) / 2
    within = (np.abs(rows - middle) < 2) & (columns > low[1]) & (columns < high[1])
    assert not within.any()
