"""Every way of tagging colours comes out as the same sRGB picture."""

from __future__ import annotations

import logging
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from talkcli.errors import InputError
from talkcli.media.colour import ADOBE_RGB_GAMMA, ADOBE_RGB_PRIMARIES, srgb_to_light
from talkcli.media.image import read_image
from talkcli.media.tiff import float_tiff

P3 = ((0.68, 0.32), (0.265, 0.69), (0.15, 0.06), (0.3127, 0.329))
BT709 = ((0.64, 0.33), (0.30, 0.60), (0.15, 0.06), (0.3127, 0.329))
BT2020 = ((0.708, 0.292), (0.17, 0.797), (0.131, 0.046), (0.3127, 0.329))


def xyz_from(primaries: tuple) -> np.ndarray:
    columns = np.array([(x / y, 1, (1 - x - y) / y) for x, y in primaries])
    return columns[:3].T * np.linalg.solve(columns[:3].T, columns[3])


def light(primaries: tuple = BT709) -> np.ndarray:
    """The patches as linear light of other primaries (all of which contain them)."""
    matrix = np.linalg.inv(xyz_from(primaries)) @ xyz_from(BT709)
    return np.clip(srgb_to_light(patches() / 255) @ matrix.T, 0, None)


def patches() -> np.ndarray:
    """``[8, 8, 3]`` uint8: greys, skin, and muted colours, none at the edge of the gamut."""
    values = np.random.default_rng(0).uniform(30, 230, (8, 8, 3))
    values[0] = np.linspace(5, 250, 8)[:, None]
    values[1] = (224, 172, 140)
    return values.round().astype(np.uint8)


def encode_pq(nits: np.ndarray) -> np.ndarray:
    y = (nits / 10000) ** (2610 / 16384)
    return ((3424 / 4096 + 2413 / 128 * y) / (1 + 2392 / 128 * y)) ** (2523 / 32)


def encode_hlg(nits: np.ndarray) -> np.ndarray:
    luminance = nits @ np.array([0.2627, 0.678, 0.0593])
    scene = nits / 1000 * (luminance / 1000)[..., None] ** (1 / 1.2 - 1)
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    curve = a * np.log(np.maximum(12 * scene - b, 1e-9)) + c
    return np.where(scene <= 1 / 12, np.sqrt(3 * scene), curve)


def png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def save_png(path: Path, encoded: np.ndarray, *chunks: tuple[bytes, bytes]) -> Path:
    """Write ``[H, W, 3]`` 0–1 as an 8-bit PNG with chunks after its header."""
    Image.fromarray(np.rint(np.clip(encoded, 0, 1) * 255).astype(np.uint8)).save(path)
    content = path.read_bytes()
    extra = b"".join(png_chunk(kind, data) for kind, data in chunks)
    path.write_bytes(content[:33] + extra + content[33:])
    return path


def gama(value: float) -> tuple[bytes, bytes]:
    return b"gAMA", struct.pack(">I", round(value * 100000))


def chrm(primaries: tuple) -> tuple[bytes, bytes]:
    numbers = [v for point in (primaries[3], *primaries[:3]) for v in point]
    return b"cHRM", struct.pack(">8I", *(round(v * 100000) for v in numbers))


def cicp(primaries: int, transfer: int) -> tuple[bytes, bytes]:
    return b"cICP", bytes([primaries, transfer, 0, 1])


def profile(name: str, gamma: float | None, primaries: tuple = BT709) -> bytes:
    """A display profile of one power curve; None for sRGB's own curve as a table."""
    d50 = np.array([0.9642, 1.0, 0.8249])
    eye = np.array(
        [[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]]
    )
    matrix = xyz_from(primaries)
    gain = (eye @ d50) / (eye @ matrix.sum(1))
    matrix = np.linalg.inv(eye) @ np.diag(gain) @ eye @ matrix

    def xyz(values: np.ndarray) -> bytes:
        return b"XYZ \0\0\0\0" + struct.pack(">3i", *(round(v * 65536) for v in values))

    if gamma is None:
        table = np.rint(srgb_to_light(np.linspace(0, 1, 1024)) * 65535).astype(">u2")
        curve = b"curv\0\0\0\0" + struct.pack(">I", 1024) + table.tobytes()
    elif gamma == 1:
        curve = b"curv\0\0\0\0" + struct.pack(">I", 0)
    else:
        curve = b"curv\0\0\0\0" + struct.pack(">IHH", 1, round(gamma * 256), 0)
    text = name.encode() + b"\0"
    tags = {
        b"desc": b"desc\0\0\0\0" + struct.pack(">I", len(text)) + text + bytes(78),
        b"cprt": b"text\0\0\0\0none\0\0\0\0",
        b"wtpt": xyz(d50),
        **{
            name: xyz(column)
            for name, column in zip((b"rXYZ", b"gXYZ", b"bXYZ"), matrix.T, strict=True)
        },
        **dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve),
    }
    body, table_ = b"", struct.pack(">I", len(tags))
    start = 128 + 4 + 12 * len(tags)
    for name_, data in tags.items():
        table_ += name_ + struct.pack(">II", start + len(body), len(data))
        body += data + bytes(-len(data) % 4)
    header = bytearray(128)
    header[8:24] = struct.pack(">I4s4s4s", 0x02400000, b"mntr", b"RGB ", b"XYZ ")
    header[36:40] = b"acsp"
    header[68:80] = struct.pack(">3i", *(round(v * 65536) for v in d50))
    header[0:4] = struct.pack(">I", 128 + len(table_) + len(body))
    return bytes(header) + table_ + body


def check(path: Path, levels: float = 2, reference: np.ndarray | None = None) -> None:
    """The patches come back; one level from 8 bits, one from the way there."""
    expected = patches() if reference is None else reference
    off = np.abs(read_image(path)[..., :3].astype(int) - expected)
    assert off.max() <= levels, off.max()
    assert off.mean() <= levels / 3


def test_code_points_in_png(tmp_path: Path) -> None:
    path = tmp_path / "p.png"
    plain = patches() / 255
    check(save_png(path, plain, cicp(1, 13)), 0)
    check(save_png(path, plain, cicp(1, 1)), 0)
    check(save_png(path, light(P3) ** (1 / 2.4) * 1.055 - 0.055, cicp(12, 13)), 3)
    check(save_png(path, light() ** (1 / 2.2), cicp(1, 4)))
    # They win over everything else, as the standard says.
    check(save_png(path, plain, cicp(1, 13), gama(1.0), chrm(P3)), 0)


def test_high_dynamic_range_is_shown_as_standard_range(tmp_path: Path) -> None:
    """Below white nothing changes. One step of 8-bit PQ is 3 % of light, 3 levels of sRGB, which
    the matrix from BT.2020 multiplies by up to 3 in dark channels of bright colours."""
    path = tmp_path / "p.png"
    nits = light(BT2020) * 203
    check(save_png(path, encode_pq(nits), cicp(9, 16)), 10)
    check(save_png(path, encode_hlg(nits), cicp(9, 18)), 5)
    # With highlights of five times white: darker parts stay, highlights keep their order.
    bright = light(BT2020)
    bright[2, :, :] = np.linspace(0.5, 5, 8)[:, None]
    save_png(path, encode_pq(bright * 203), cicp(9, 16))
    shown = read_image(path)[..., :3].astype(int)
    dim = light().max(2) < 0.7
    dim[2] = False
    assert np.abs(shown - patches())[dim].max() <= 10
    assert (np.diff(shown[2, :, 1]) >= 0).all()
    assert shown[2, -1].min() >= 250


def test_gamma_and_primaries_in_png(tmp_path: Path) -> None:
    path = tmp_path / "p.png"
    plain = patches() / 255
    check(save_png(path, plain, gama(0.45455)), 0)
    check(save_png(path, plain, gama(0.45455), chrm(BT709)), 0)
    check(save_png(path, light() ** (1 / 1.8), gama(1 / 1.8)))
    p3 = np.where(light(P3) <= 0.0031308, 12.92 * light(P3), 1.055 * light(P3) ** (1 / 2.4) - 0.055)
    check(save_png(path, p3, gama(0.45455), chrm(P3)), 3)
    # 8-bit linear light has a step of 13 levels at black: only the brighter half is compared.
    save_png(path, light(), gama(1.0))
    shown = read_image(path)[..., :3].astype(int)
    assert np.abs(shown - patches())[patches() > 110].max() <= 2
    # A chunk that says sRGB settles it.
    check(save_png(path, plain, (b"sRGB", b"\0"), gama(1.0)), 0)


@pytest.mark.parametrize("chunk", [cicp(200, 13), cicp(1, 9), gama(0.0001), chrm(4 * (P3[0],))])
def test_useless_tags_cost_one_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, chunk: tuple[bytes, bytes]
) -> None:
    path = save_png(tmp_path / "p.png", patches() / 255, chunk)
    with caplog.at_level(logging.WARNING):
        check(path, 0)
    assert len(caplog.records) == 1
    assert "colour tags are ignored" in caplog.text


@pytest.mark.parametrize("name", ["sRGB linear", "Display P3", "c2"])
def test_profiles_are_judged_by_what_they_do(tmp_path: Path, name: str) -> None:
    path = tmp_path / "p.png"
    picture = Image.fromarray(patches())
    picture.save(path, icc_profile=profile(name, None))
    check(path, 0)
    picture = Image.fromarray(np.rint(light() ** (1 / 1.8) * 255).astype(np.uint8))
    picture.save(path, icc_profile=profile(name, 1.8))
    check(path)
    picture = Image.fromarray(np.rint(light(P3) ** (1 / 2.2) * 255).astype(np.uint8))
    picture.save(path, icc_profile=profile(name, 2.2, P3))
    check(path, 3)


def test_grey_picture_with_a_profile_for_colour(tmp_path: Path) -> None:
    path = tmp_path / "p.png"
    grey = np.arange(40, 250, dtype=np.uint8)[None]
    linear = srgb_to_light(grey / 255)
    encoded = np.rint(linear ** (1 / 1.8) * 255).astype(np.uint8)
    Image.fromarray(encoded).save(path, icc_profile=profile("x", 1.8))
    check(path, 2, grey[..., None].astype(int))


def test_camera_that_names_adobe_rgb_in_exif(tmp_path: Path) -> None:
    path = tmp_path / "p.png"
    exif = Image.Exif()
    exif[0x8769] = {0xA001: 65535, 0xA005: {1: "R03"}}
    encoded = light(ADOBE_RGB_PRIMARIES) ** (1 / ADOBE_RGB_GAMMA)
    Image.fromarray(np.rint(encoded * 255).astype(np.uint8)).save(path, exif=exif)
    check(path, 3)


@pytest.mark.parametrize(("codes", "primaries"), [((12, 13), P3), ((1, 13), BT709)])
def test_code_points_in_heif(tmp_path: Path, codes: tuple[int, int], primaries: tuple) -> None:
    pillow_heif = pytest.importorskip("pillow_heif")
    values = light(primaries)
    encoded = np.where(values <= 0.0031308, 12.92 * values, 1.055 * values ** (1 / 2.4) - 0.055)
    large = np.rint(encoded * 255).astype(np.uint8).repeat(16, 0).repeat(16, 1)
    heif = pillow_heif.from_pillow(Image.fromarray(large))
    path = tmp_path / "p.heic"
    heif.save(
        path, quality=-1, chroma=444,
        color_primaries=codes[0], transfer_characteristics=codes[1], matrix_coefficients=0,
    )  # fmt: skip
    shown = read_image(path)[8::16, 8::16, :3].astype(int)
    assert np.abs(shown - patches()).max() <= 3


def save_float_tiff(path: Path, pixels: np.ndarray, **how: object) -> Path:
    """Write ``[H, W, C]`` floats; ``how``: order, bits, deflate, predict, planar, icc."""
    order, bits = how.get("order", "<"), how.get("bits", 32)
    samples = pixels.astype(f"{order}f{bits // 8}")
    height, width, count = pixels.shape
    planes = np.moveaxis(samples, 2, 0) if how.get("planar") else samples[None]
    strips = []
    for plane in planes:
        data = np.ascontiguousarray(plane).tobytes()
        if how.get("predict"):
            big = plane.astype(f">f{bits // 8}").reshape(height, -1)
            raw = np.frombuffer(big.tobytes(), np.uint8).reshape(height, -1, bits // 8)
            rows = raw.swapaxes(1, 2).reshape(height, -1, count)
            data = np.diff(rows, axis=1, prepend=np.uint8(0)).tobytes()
        strips.append(zlib.compress(data) if how.get("deflate") else data)
    fields: list[tuple[int, str, list[int]]] = [
        (256, "H", [width]), (257, "H", [height]), (258, "H", [bits] * count),
        (259, "H", [8 if how.get("deflate") else 1]), (262, "H", [2]), (273, "I", []),
        (277, "H", [count]), (278, "H", [height]), (279, "I", [len(s) for s in strips]),
        (284, "H", [2 if how.get("planar") else 1]), (317, "H", [3 if how.get("predict") else 1]),
        (339, "H", [3] * count),
    ]  # fmt: skip
    if "icc" in how:
        fields.append((34675, "B", list(how["icc"])))
    start = 8 + 2 + 12 * len(fields) + 4
    body = b""
    offsets = []
    for strip in strips:
        offsets.append(start + len(body))
        body += strip
    entries = b""
    for tag, kind, values in fields:
        values = offsets if tag == 273 else values
        data = struct.pack(f"{order}{len(values)}{kind}", *values)
        if len(data) > 4:
            body += bytes(-len(body) % 4)
            place, body = struct.pack(f"{order}I", start + len(body)), body + data
        else:
            place = data.ljust(4, b"\0")
        number = {"B": 7, "H": 3, "I": 4}[kind]
        entries += struct.pack(f"{order}HHI", tag, number, len(values)) + place
    magic = b"II*\0" if order == "<" else b"MM\0*"
    count_ = struct.pack(f"{order}H", len(fields))
    path.write_bytes(magic + struct.pack(f"{order}I", 8) + count_ + entries + bytes(4) + body)
    return path


@pytest.mark.parametrize(
    "how",
    [
        {}, {"order": ">"}, {"bits": 16}, {"bits": 64}, {"deflate": True}, {"planar": True},
        {"deflate": True, "predict": True}, {"deflate": True, "planar": True, "order": ">"},
    ],
)  # fmt: skip
def test_float_colours_in_tiff(tmp_path: Path, how: dict) -> None:
    path = save_float_tiff(tmp_path / "f.tif", patches() / 255, **how)
    tiff = float_tiff(path)
    assert tiff is not None
    np.testing.assert_allclose(tiff.read(), patches() / 255, atol=3e-4)
    check(path, 0)


def test_float_colours_that_are_tagged_or_transparent(tmp_path: Path) -> None:
    path = tmp_path / "f.tif"
    check(save_float_tiff(path, light(), icc=profile("linear", 1.0)), 1)
    check(save_float_tiff(path, light(P3) ** (1 / 2.2), icc=profile("p3", 2.2, P3)), 1)
    check(save_float_tiff(path, np.clip(patches() / 255, 0, None), icc=profile("s", None)), 1)
    check(save_float_tiff(path, patches().astype(float)), 0)  # 0–255
    rgba = np.dstack([patches() / 255, np.full((8, 8), 0.5)])
    save_float_tiff(path, rgba)
    assert (read_image(path)[..., 3] == 128).all()
    odd = patches() / 255
    odd[0, 0], odd[3, 3, 0] = np.nan, np.inf
    shown = read_image(save_float_tiff(path, odd))
    assert shown[0, 0].tolist() == [0, 0, 0, 255]
    assert shown[3, 3, 0] == 255


def test_float_tiff_that_cannot_be_read_says_why(tmp_path: Path) -> None:
    path = save_float_tiff(tmp_path / "f.tif", patches() / 255)
    content = path.read_bytes()
    plain = struct.pack("<HHI", 259, 3, 1)
    path.write_bytes(content.replace(plain + b"\1", plain + b"\5"))
    with pytest.raises(InputError, match=r"32-bit floating-point .*compression 5"):
        read_image(path)
    content = save_float_tiff(path, patches() / 255, deflate=True).read_bytes()
    path.write_bytes(content[:200] + bytes(100) + content[300:])
    with pytest.raises(InputError, match="truncated or damaged"):
        read_image(path)
