"""Crops of any face in any picture: cut out of it, and laid back where they came from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from talkcli.compose.blend import output_size
from talkcli.compose.window import CropWindow
from talkcli.engines.portrait.build.crop import MIN_CROP_PX, SMALL_CROP_PX, cut_crop
from talkcli.face.model import FaceModel
from talkcli.tracking.landmarks import Face, crop_rectangle

MODEL = FaceModel.load()


@dataclass(frozen=True)
class Place:
    crop_x: float
    crop_y: float
    crop_side: float


@st.composite
def windows(draw: st.DrawFn) -> tuple[CropWindow, int, Place, tuple[int, int], tuple[int, int]]:
    """A window with what it was made of: crop side in pixels, place, picture, output."""
    picture = draw(st.integers(16, 300)), draw(st.integers(16, 300))
    output = output_size(*picture, draw(st.none() | st.integers(8, 200).map(lambda n: 2 * n)))
    side = draw(st.integers(8, 400))
    place = Place(draw(st.integers(-side, picture[0])), draw(st.integers(-side, picture[1])), side)
    pixels = draw(st.just(side) | st.integers(8, 300))
    return CropWindow(place, pixels, picture, output), pixels, place, picture, output


@given(windows())
def test_a_box_lies_in_its_output_and_what_is_cut_fits_it(drawn) -> None:
    window, pixels, _, _, (width, height) = drawn
    x0, y0, x1, y1 = window.box
    assert 0 <= x0 <= x1 <= width and 0 <= y0 <= y1 <= height
    image = np.random.default_rng(0).random((pixels, pixels, 3), np.float32)
    cut = window.cut(image)
    assert cut.shape == (y1 - y0, x1 - x0, 3)
    assert cut.min(initial=0) >= 0
    assert window.cut(image[..., 0]).shape == cut.shape[:2]
    if window.exact:
        assert cut.size == 0 or np.shares_memory(cut, image)


@given(windows(), st.floats(1, 40))
def test_a_ramp_is_zero_at_the_crops_border_and_only_there(drawn, margin: float) -> None:
    window, _, _, _, (width, height) = drawn
    x0, y0, x1, y1 = window.box
    ramp = window.ramp(margin)
    assert ramp.shape == (y1 - y0, x1 - x0) and ramp.dtype == np.float32
    if not ramp.size:
        return
    assert ramp.min() >= 0 and ramp.max() <= 1
    inside = {"left": x0 > 0, "top": y0 > 0, "right": x1 < width, "bottom": y1 < height}
    edges = {"left": ramp[:, 0], "top": ramp[0], "right": ramp[:, -1], "bottom": ramp[-1]}
    for name, is_inside in inside.items():
        assert not is_inside or not edges[name].any()
    if not any(inside.values()):
        assert (ramp == 1).all()  # the crop fills the output: nothing fades


@given(st.data())
def test_what_was_cut_out_goes_back_where_it_was(data: st.DataObject) -> None:
    width, height = data.draw(st.integers(8, 80)) * 2, data.draw(st.integers(8, 80)) * 2
    side = data.draw(st.integers(8, 200))
    x, y = data.draw(st.integers(-side, width)), data.draw(st.integers(-side, height))
    picture = np.random.default_rng(side).random((height, width, 3), np.float32)
    rows, columns = np.arange(side) + y, np.arange(side) + x
    crop = picture[np.clip(rows, 0, height - 1)][:, np.clip(columns, 0, width - 1)]
    window = CropWindow(Place(x, y, side), side, (width, height), (width, height))
    assert window.exact
    x0, y0, x1, y1 = window.box
    np.testing.assert_array_equal(window.cut(crop), picture[y0:y1, x0:x1])
    # And the box holds all of the picture that the crop shows.
    shown = (rows >= 0) & (rows < height), (columns >= 0) & (columns < width)
    assert (x1 - x0) * (y1 - y0) == shown[0].sum() * shown[1].sum()


@st.composite
def faces(draw: st.DrawFn) -> tuple[np.ndarray, Face]:
    """A picture of noise, at times with transparency, and a face somewhere in it."""
    width, height = draw(st.integers(64, 700)), draw(st.integers(64, 700))
    rng = np.random.default_rng(draw(st.integers(0, 9)))
    picture = rng.integers(0, 256, (height, width, 4), np.uint8)
    if draw(st.booleans()):
        picture[..., 3] = 255
    flat = MODEL.vertices * (1, -1, -1)
    size = draw(st.integers(24, min(width, height)))
    scale = size / np.ptp(flat[:, 1])
    centre = draw(st.integers(0, width)), draw(st.integers(0, height))
    return picture, Face(flat * scale + (*centre, 0))


@given(faces(), st.integers(32, 1200), st.integers(SMALL_CROP_PX, 1024))
def test_any_face_is_cut(drawn, output_side: int, max_crop: int) -> None:
    picture, face = drawn
    crop = cut_crop(picture, face, output_side, max_crop)
    side, frame = crop.frame.crop_pixels, crop.frame
    assert crop.rgb.shape == (side, side, 3) and crop.rgb.dtype == np.float32
    assert crop.rgb.min() >= 0 and crop.rgb.max() <= 1
    assert MIN_CROP_PX <= side <= max_crop
    assert (crop.alpha is None) == bool((picture[..., 3] == 255).all())
    x0, y0, x1, y1 = crop.inside
    assert 0 <= x0 <= x1 <= side and 0 <= y0 <= y1 <= side
    # Landmarks keep their place: back in the picture they are where they were.
    back = crop.points * (frame.crop_side / side) + (frame.crop_x, frame.crop_y, 0)
    np.testing.assert_allclose(back, face.points, atol=1e-6 * max(picture.shape))
    assert (frame.width, frame.height) == picture.shape[1::-1]
    # Whole pixels next to where the face asks for them.
    wanted = crop_rectangle(face.points)
    np.testing.assert_allclose((frame.crop_x, frame.crop_y, frame.crop_side), wanted, atol=0.5)


@given(faces())
def test_a_crop_at_the_pictures_own_scale_is_the_picture_pixel_by_pixel(drawn) -> None:
    picture, face = drawn
    picture[..., 3] = 255  # what is transparent lies on white
    x, y, side = (round(v) for v in crop_rectangle(face.points))
    if side < SMALL_CROP_PX:  # enlarged instead; see above
        return
    crop = cut_crop(picture, face, max(picture.shape), 4096)
    height, width = picture.shape[:2]
    top, bottom = max(0, -y), max(0, y + side - height)
    padded = np.pad(np.arange(height), (top, 0), mode="edge")
    # Below, the picture is mirrored.
    rows = np.pad(padded, (0, bottom), mode="reflect")[y + top :][:side]
    columns = np.clip(np.arange(side) + x, 0, width - 1)
    wanted = picture[rows][:, columns, :3].astype(np.float32) / 255
    np.testing.assert_array_equal(crop.rgb, wanted)


@given(st.integers(1, 20_000), st.integers(1, 20_000), st.none() | st.integers(2, 4096))
def test_sizes_are_even_as_asked_for_and_keep_the_shape(
    width: int, height: int, longest: int | None
) -> None:
    out = output_size(width, height, longest)
    assert all(side >= 2 and side % 2 == 0 for side in out)
    wanted = longest or min(1024, max(width, height))
    # Even numbers: half a pixel pair off at most, and never less than one pair.
    assert abs(max(out) - wanted) <= 1
    scale = wanted / max(width, height)
    assert all(
        abs(o - max(2.0, s * scale)) <= 1 + 1e-9 for o, s in zip(out, (width, height), strict=True)
    )
