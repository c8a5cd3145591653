from __future__ import annotations

import io
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms
from PIL.PngImagePlugin import PngImageFile

from talkcli.errors import InputError, UsageError
from talkcli.media.identify import MAX_PIXELS
from talkcli.media.image import read_image, write_image
from tests.support.media import corners, make_audio, make_clip, quadrants, tone

RGB = quadrants(1)[0]
RAMP = np.tile(np.linspace(0, 255, 64).astype(np.uint8), (48, 1))


def png_16_bit(samples: np.ndarray, colour_type: int) -> bytes:
    """Encode ``[H, W, C]`` uint16 as PNG: Pillow writes no 16-bit colour."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        )

    height, width = samples.shape[:2]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in samples)
    header = struct.pack(">IIBBBBB", width, height, 16, colour_type, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


@pytest.mark.parametrize(
    "suffix", ["png", "jpg", "webp", "tif", "bmp", "gif", "jp2", "heic", "avif"]
)
def test_formats(tmp_path: Path, suffix: str) -> None:
    import pillow_heif

    pillow_heif.register_heif_opener()
    path = tmp_path / f"picture.{suffix}"
    Image.fromarray(RGB).save(path)
    pixels = read_image(path)
    assert pixels.shape == (48, 64, 4)
    assert pixels.dtype == np.uint8
    assert pixels.flags.writeable
    assert corners(pixels) == "RGBK"
    assert (pixels[..., 3] == 255).all()


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif"])
def test_exif_orientation(tmp_path: Path, orientation: int, suffix: str) -> None:
    stored = {
        1: RGB, 2: RGB[:, ::-1], 3: RGB[::-1, ::-1], 4: RGB[::-1],
        5: RGB.swapaxes(0, 1), 6: np.rot90(RGB), 7: RGB.swapaxes(0, 1)[::-1, ::-1],
        8: np.rot90(RGB, -1),
    }[orientation]  # fmt: skip
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / f"turned.{suffix}"
    Image.fromarray(np.ascontiguousarray(stored)).save(path, exif=exif)
    pixels = read_image(path)
    assert pixels.shape == (48, 64, 4)
    assert corners(pixels) == "RGBK"


def test_damaged_exif_costs_only_the_rotation(tmp_path: Path) -> None:
    path = tmp_path / "odd.jpg"
    Image.fromarray(RGB).save(path, exif=b"Exif\0\0MM\0*\xff\xff\xff\xff rubbish")
    assert corners(read_image(path)) == "RGBK"


def test_alpha_stays_straight(tmp_path: Path) -> None:
    rgba = np.dstack([RGB, RAMP])
    path = tmp_path / "alpha.png"
    Image.fromarray(rgba).save(path)
    # Equal everywhere, also under alpha 0: nothing was multiplied.
    np.testing.assert_array_equal(read_image(path), rgba)


def in_mode(mode: str) -> Image.Image:
    if mode == "I;16":
        return Image.fromarray(RAMP.astype(np.uint16) * 257)
    if mode == "F":
        return Image.fromarray(RAMP.astype(np.float32) / 255)
    grey = Image.fromarray(RAMP)
    return grey.quantize(64) if mode == "P" else grey.convert("RGB").convert(mode)


@pytest.mark.parametrize(
    ("mode", "suffix"),
    [
        *[(mode, "tif") for mode in ("L", "LA", "RGBA", "P", "CMYK", "I;16", "F")],
        *[(mode, "png") for mode in ("L", "LA", "P", "I;16")],
        *[(mode, "jpg") for mode in ("L", "CMYK", "YCbCr")],
    ],
)
def test_modes(tmp_path: Path, mode: str, suffix: str) -> None:
    path = tmp_path / f"picture.{suffix}"
    in_mode(mode).save(path)
    pixels = read_image(path)
    # CMYK in 8 bits, YCbCr and JPEG are up to two levels off on a ramp; the rest is exact.
    assert np.abs(pixels[..., :3].astype(int) - RAMP[..., None]).max() <= 2
    assert (pixels[..., 3] == 255).all()


@pytest.mark.parametrize("orientation", [1, 6])
@pytest.mark.parametrize(
    ("mode", "suffix"),
    [*[(mode, "tif") for mode in ("L", "LA", "RGBA", "P", "CMYK", "I;16", "F")], ("YCbCr", "jpg")],
)
def test_pieces_give_the_same_picture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: str, suffix: str, orientation: int
) -> None:
    path, exif = tmp_path / f"picture.{suffix}", Image.Exif()
    exif[0x0112] = orientation
    in_mode(mode).save(path, exif=exif)
    whole = read_image(path)
    for pixels in (1, 200):
        monkeypatch.setattr("talkcli.media.image._PIECE_PX", pixels)
        np.testing.assert_array_equal(read_image(path), whole)


_PEAK = """
import resource, sys
from pathlib import Path
from talkcli.media.image import read_image

assert read_image(Path(sys.argv[1])).shape == (10_000, 10_000, 4)
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(peak // (1 << 20 if sys.platform == "darwin" else 1 << 10))
"""


@pytest.mark.slow
@pytest.mark.parametrize("name", ["grey.png", "alpha.png", "p.jpg", "p.webp", "float.tif"])
def test_the_largest_picture_takes_less_than_two_gigabytes(tmp_path: Path, name: str) -> None:
    """0.8, 0.9, 0.9, 1.6 and 1.2 GB measured."""
    path, size = tmp_path / name, (10_000, 10_000)
    if name == "float.tif":
        picture = Image.new("F", size, 0.5)
    elif name == "grey.png":
        picture = Image.new("I;16", size, 999)
    else:
        picture = Image.new("RGBA" if name == "alpha.png" else "RGB", size, (9, 99, 200))
    picture.save(path, **({"method": 0} if name == "p.webp" else {}))
    done = subprocess.run(
        [sys.executable, "-c", _PEAK, path], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 2000


def test_one_bit(tmp_path: Path) -> None:
    path = tmp_path / "picture.png"
    Image.fromarray(RAMP > 127).save(path)
    np.testing.assert_array_equal(read_image(path)[..., 1], (RAMP > 127) * 255)


def test_palette_with_transparency(tmp_path: Path) -> None:
    image = Image.fromarray((RAMP > 127).astype(np.uint8))
    image.putpalette([10, 20, 30, 200, 210, 220])
    path = tmp_path / "palette.png"
    image.save(path, transparency=0)
    pixels = read_image(path)
    np.testing.assert_array_equal(pixels[0, 0], [10, 20, 30, 0])
    np.testing.assert_array_equal(pixels[0, -1], [200, 210, 220, 255])


@pytest.mark.parametrize(("channels", "colour_type"), [(1, 0), (2, 4), (3, 2), (4, 6)])
def test_16_bit_png(tmp_path: Path, channels: int, colour_type: int) -> None:
    samples = np.dstack([RAMP.astype(np.uint16) * 257] * channels)
    path = tmp_path / "deep.png"
    path.write_bytes(png_16_bit(samples, colour_type))
    pixels = read_image(path)
    np.testing.assert_array_equal(pixels[..., :3], np.dstack([RAMP] * 3))
    np.testing.assert_array_equal(pixels[..., 3], RAMP if channels in (2, 4) else 255)


@pytest.mark.parametrize("channels", [1, 3])
def test_16_bit_tiff(tmp_path: Path, channels: int) -> None:
    cv2 = pytest.importorskip("cv2")
    samples = np.dstack([RAMP.astype(np.uint16) * 257] * channels)
    path = tmp_path / "deep.tif"
    cv2.imwrite(str(path), samples)
    np.testing.assert_array_equal(read_image(path)[..., :3], np.dstack([RAMP] * 3))


def test_icc_profile_is_converted(tmp_path: Path) -> None:
    """A picture in a profile with swapped red and blue primaries must come back unswapped."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    tags = {bytes(profile[i : i + 4]): i for i in range(132, 132 + 12 * profile[131], 12)}
    for a, b in ((b"rXYZ", b"bXYZ"),):
        i, j = tags[a] + 4, tags[b] + 4
        profile[i : i + 8], profile[j : j + 8] = profile[j : j + 8], profile[i : i + 8]
    path = tmp_path / "swapped.png"
    rgba = np.dstack([RGB[..., ::-1], RAMP])
    Image.fromarray(rgba).save(path, icc_profile=bytes(profile))
    pixels = read_image(path)
    # lcms rounds once per table look-up: one level measured.
    assert np.abs(pixels[..., :3].astype(int) - RGB).max() <= 2
    np.testing.assert_array_equal(pixels[..., 3], RAMP)


def test_sides_are_limited_before_a_decoder_meets_them(tmp_path: Path) -> None:
    """MediaPipe ends the process at sides above 32,766 pixels."""
    path = tmp_path / "long.png"
    for size in ((32_001, 1), (1, 40_000)):
        Image.new("L", size).save(path)
        with pytest.raises(InputError, match="at most 32,000"):
            read_image(path)
    Image.new("L", (32_000, 2)).save(path)
    assert read_image(path).shape == (2, 32_000, 4)


@pytest.mark.parametrize(("white", "seen"), [(65535, 255), (2**31 - 1, 255), (2**30, 128)])
def test_grey_of_32_bits_is_scaled_by_what_it_holds(tmp_path: Path, white: int, seen: int) -> None:
    ramp = np.array([[0, white // 2, white]], np.int32)
    Image.fromarray(ramp).save(tmp_path / "grey.tif")
    levels = read_image(tmp_path / "grey.tif")[0, :, 0].astype(int)
    assert np.abs(levels - [0, seen // 2, seen]).max() <= 1


def test_whatever_a_decoder_raises_is_told_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "p.png"
    Image.new("L", (8, 8)).save(path)
    for error in (RuntimeError("inside"), KeyError(3), NotImplementedError(), RecursionError()):

        def fail(*_: object, error: Exception = error) -> None:
            raise error

        for method in ("load", "convert"):
            with monkeypatch.context() as patch:
                patch.setattr(Image.Image, method, fail)
                patch.setattr(PngImageFile, method, fail)
                with pytest.raises(InputError, match="truncated or damaged"):
                    read_image(path)


@pytest.mark.parametrize("profile", [b"rubbish", b"\0" * 200])
def test_damaged_profile_is_ignored(tmp_path: Path, profile: bytes) -> None:
    path = tmp_path / "odd.png"
    Image.fromarray(RGB).save(path, icc_profile=profile)
    np.testing.assert_array_equal(read_image(path)[..., :3], RGB)


def test_srgb_profile_changes_nothing(tmp_path: Path) -> None:
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    noise = np.random.default_rng(0).integers(0, 256, (32, 32, 3)).astype(np.uint8)
    path = tmp_path / "srgb.png"
    Image.fromarray(noise).save(path, icc_profile=srgb)
    np.testing.assert_array_equal(read_image(path)[..., :3], noise)


def test_grey_profile_of_another_kind_is_ignored(tmp_path: Path) -> None:
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    path = tmp_path / "grey.png"
    Image.fromarray(RAMP).save(path, icc_profile=srgb)
    np.testing.assert_array_equal(read_image(path)[..., 0], RAMP)


def png_header(width: int, height: int) -> bytes:
    body = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunk = struct.pack(">I", 13) + b"IHDR" + body + struct.pack(">I", zlib.crc32(b"IHDR" + body))
    return b"\x89PNG\r\n\x1a\n" + chunk + struct.pack(">I", 4) + b"IDAT" + b"\0" * 8


@pytest.mark.parametrize("side", [12_000, 60_000])
def test_bombs_are_refused_before_decoding(tmp_path: Path, side: int) -> None:
    path = tmp_path / "bomb.png"
    path.write_bytes(png_header(side, side))
    with pytest.raises(InputError, match=f"resize it to at most {MAX_PIXELS // 10**6} megapixels"):
        read_image(path)


def bad_inputs(folder: Path) -> dict[str, tuple[Path, str]]:
    png = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)).save(
        png, "PNG"
    )
    noise = np.random.default_rng(1).bytes(3000)
    files = {
        "empty": (b"", "is empty"),
        "text": ("Grüße, this is no picture\n".encode() * 9, "a text file"),
        "binary": (noise, "in no format that is known"),
        "truncated": (png.getvalue()[:2000], "truncated or damaged"),
        "header": (png.getvalue()[:20], "a PNG picture that is damaged"),
        "bitrot": (png.getvalue()[:3000] + noise[:999] + png.getvalue()[3999:], "damaged"),
    }
    made: dict[str, tuple[Path, str]] = {}
    for name, (content, message) in files.items():
        made[name] = (folder / f"{name}.png", message)
        made[name][0].write_bytes(content)
    made["missing"] = (folder / "missing.png", "does not exist")
    made["directory"] = (folder, "is a directory")
    made["nul"] = (Path("a\0b.png"), "a\0b.png")
    made["document"] = (folder / "document.pdf", "a PDF document; save its page as a picture")
    Image.fromarray(RGB).save(made["document"][0])
    made["video"] = (make_clip(folder / "clip.mp4", quadrants()), "a video")
    made["sound"] = (
        make_audio(folder / "voice.wav", tone(0.2, 8000), 8000),
        "portrait comes first",
    )
    return made


def test_bad_inputs_are_explained(tmp_path: Path) -> None:
    for name, (path, message) in bad_inputs(tmp_path).items():
        with pytest.raises(InputError) as caught:
            read_image(path)
        assert message in str(caught.value), name
        assert caught.value.fix, name


def test_first_frame_of_an_animation(tmp_path: Path) -> None:
    path = tmp_path / "moving.gif"
    first, second = Image.fromarray(RGB), Image.fromarray(RGB[::-1].copy())
    first.save(path, save_all=True, append_images=[second])
    assert corners(read_image(path)) == "RGBK"


@pytest.mark.parametrize("suffix", [".png", ".webp"])
@pytest.mark.parametrize("channels", [3, 4])
def test_write_image_is_lossless(tmp_path: Path, suffix: str, channels: int) -> None:
    pixels = np.dstack([RGB, np.maximum(RAMP, 1)])[..., :channels]
    path = tmp_path / "deep" / f"out{suffix}"
    write_image(path, pixels)
    np.testing.assert_array_equal(read_image(path)[..., :channels], pixels)
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_write_image_refuses(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"\.txt"):
        write_image(tmp_path / "out.txt", RGB)
    with pytest.raises(UsageError, match="transparency"):
        write_image(tmp_path / "out.jpg", np.dstack([RGB, RAMP]))
    write_image(tmp_path / "out.png", RGB)
    with pytest.raises(InputError, match="use -y"):
        write_image(tmp_path / "out.png", RGB, overwrite=False)
    with pytest.raises(ValueError, match="float64"):
        write_image(tmp_path / "out.png", RGB / 255.0)


def test_real_portraits(shared_data: Path) -> None:
    for path in sorted((shared_data / "portraits").glob("*.jpg"))[::16]:
        pixels = read_image(path)
        assert pixels.shape[2] == 4
        assert min(pixels.shape[:2]) >= 64
