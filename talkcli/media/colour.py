"""Colours of any tagged space to sRGB: by ICC profile, code points, or gamma and primaries."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from PIL import Image, ImageCms

#: Colour spaces (the tag in an ICC header) by the Pillow mode whose pixels they describe.
PROFILE_SPACE = {"RGB": "RGB", "L": "GRAY", "CMYK": "CMYK", "LAB": "Lab"}

#: A profile within this many levels of sRGB everywhere is sRGB: through its transform the picture
#: would only come back one level off here and there. A gamma of 2.2 differs by 7 levels.
_SAME_LEVELS = 2

#: Chromaticities x, y of red, green, blue and white by code point (ITU-T H.273, table 2).
_D65, _C, _DCI, _E = (0.3127, 0.329), (0.31, 0.316), (0.314, 0.351), (1 / 3, 1 / 3)
_BT709 = ((0.64, 0.33), (0.30, 0.60), (0.15, 0.06), _D65)
_SMPTE170 = ((0.63, 0.34), (0.31, 0.595), (0.155, 0.07), _D65)
_PRIMARIES = {
    1: _BT709,
    4: ((0.67, 0.33), (0.21, 0.71), (0.14, 0.08), _C),
    5: ((0.64, 0.33), (0.29, 0.60), (0.15, 0.06), _D65),
    6: _SMPTE170,
    7: _SMPTE170,
    9: ((0.708, 0.292), (0.17, 0.797), (0.131, 0.046), _D65),
    10: ((1.0, 0.0), (0.0, 1.0), (0.0, 0.0), _E),
    11: ((0.68, 0.32), (0.265, 0.69), (0.15, 0.06), _DCI),
    12: ((0.68, 0.32), (0.265, 0.69), (0.15, 0.06), _D65),
    22: ((0.63, 0.34), (0.295, 0.605), (0.155, 0.077), _D65),
}

#: Code points of curves that are meant to be shown as sRGB is: BT.709 and its kin, and sRGB.
_LIKE_SRGB = (1, 6, 11, 12, 13, 14, 15)
_UNSPECIFIED = 2
_PQ, _HLG = 16, 18

#: Brightness of white paper in HDR pictures, cd/m² (ITU-R BT.2408), and of an HLG screen.
_PAPER_NITS = 203.0
_HLG_NITS = 1000.0

#: Share of white up to which tone mapping leaves brightness as it is.
_KNEE = 0.75

#: Rows are converted in pieces of about this many pixels, to bound the memory that floats take.
_PIECE_PX = 1 << 20

#: Values between black and white that are told apart when they are encoded. The steepest part of
#: sRGB then moves by 0.05 levels per step.
_STEPS = 65535


@dataclass(frozen=True)
class Space:
    """A colour space by its curve and primaries.

    Attributes:
        decode: encoded 0–1 to light, 1 is white paper; HDR goes beyond.
        primaries: ``((x, y), ...)`` of red, green, blue and white.
        hdr: ``"pq"``, ``"hlg"`` or ``""``.
    """

    decode: Callable[[np.ndarray], np.ndarray]
    primaries: tuple[tuple[float, float], ...] = _BT709
    hdr: str = ""


def space_of_codes(primaries: int, transfer: int) -> Space | None:
    """The space that two code points of ITU-T H.273 name (``cICP``, ``nclx``), or None for sRGB.

    Raises:
        ValueError: a code point that is reserved, or of a space that pictures do not use.
    """
    named = _PRIMARIES.get(1 if primaries == _UNSPECIFIED else primaries)
    if named is None:
        raise ValueError(f"colour primaries {primaries}")
    if transfer in _LIKE_SRGB or transfer == _UNSPECIFIED:
        return None if named == _BT709 else Space(srgb_to_light, named)
    if transfer == _PQ:
        return Space(_pq_to_light, named, "pq")
    if transfer == _HLG:
        return Space(_hlg_to_light, named, "hlg")
    exponent = {4: 2.2, 5: 2.8, 8: 1.0, 17: 2.6}.get(transfer)
    if exponent is None:
        raise ValueError(f"transfer characteristics {transfer}")
    return Space(power(exponent), named)


def space_of_gamma(gamma: float | None, chromaticities: tuple[float, ...] | None) -> Space | None:
    """The space that PNG's ``gAMA`` and ``cHRM`` describe, or None for sRGB.

    Args:
        gamma: exponent that the encoder used, 0.45455 in most files, which means sRGB.
        chromaticities: x, y of white, red, green, blue.

    Raises:
        ValueError: numbers that describe no colours.
    """
    if gamma is not None and not 0.05 < gamma < 20:
        raise ValueError(f"gamma {gamma:g}")
    primaries = _BT709
    if chromaticities is not None:
        white, *colours = zip(chromaticities[::2], chromaticities[1::2], strict=True)
        given = (*colours, white)
        if np.abs(np.array(given) - np.array(_BT709)).max() > 0.003:
            primaries = given  # type: ignore[assignment]
            _to_xyz(primaries)
    if gamma is None or 0.43 < gamma < 0.48:
        return None if primaries == _BT709 else Space(srgb_to_light, primaries)
    return Space(power(1 / gamma), primaries)


#: Adobe RGB (1998), which cameras name in EXIF.
ADOBE_RGB_PRIMARIES = ((0.64, 0.33), (0.21, 0.71), (0.15, 0.06), _D65)
ADOBE_RGB_GAMMA = 563 / 256


def convert(pixels: np.ndarray, space: Space) -> np.ndarray:
    """Convert to sRGB; what lies outside is clipped, HDR is tone-mapped.

    Args:
        pixels: ``[H, W, 3]`` uint8, or float 0–1 as encoded in ``space``.
        space: what they are encoded in.

    Returns:
        ``[H, W, 3]`` uint8, sRGB-encoded.
    """
    matrix = np.linalg.inv(_to_xyz(_BT709)) @ _adapted(space.primaries)
    if pixels.dtype == np.uint8:
        table = space.decode(np.arange(256) / 255).astype(np.float32)

    def light(part: np.ndarray) -> np.ndarray:
        linear = table[part] if part.dtype == np.uint8 else space.decode(part).astype(np.float32)
        if space.hdr == "hlg":
            linear = _hlg_on_screen(linear)
        return linear @ matrix.T.astype(np.float32)

    peak = 1.0
    if space.hdr:
        step = max(1, int(np.sqrt(pixels.shape[0] * pixels.shape[1] / _PIECE_PX)))
        brightest = light(pixels[::step, ::step]).max(2)
        peak = max(1.0, float(np.quantile(brightest, 0.999)))
    result = np.empty(pixels.shape, np.uint8)
    rows = max(1, _PIECE_PX // max(1, pixels.shape[1]))
    for top in range(0, len(pixels), rows):
        linear = light(pixels[top : top + rows])
        if peak > 1:
            linear *= _tone_gain(linear.max(2), peak)[..., None]
        steps = np.nan_to_num(np.clip(linear, 0, 1)) * _STEPS + 0.5
        result[top : top + rows] = _encoding()[steps.astype(np.uint16)]
    return result


def profile_to_srgb(mode: str, profile_bytes: bytes) -> Callable[[Image.Image], Image.Image] | None:
    """How an ICC profile converts pictures to sRGB.

    Args:
        mode: of the pictures: RGB, L, CMYK or LAB.
        profile_bytes: the profile.

    Returns:
        A function from pictures of that mode to RGB, or None when the profile's curves and
        primaries are those of sRGB.

    Raises:
        ValueError: the profile is for other pixels; the message names for which.
        ImageCms.PyCMSError, OSError, TypeError: it is damaged.
    """
    profile = ImageCms.ImageCmsProfile(io.BytesIO(profile_bytes))
    space = profile.profile.xcolor_space.strip()
    taken = "RGB" if mode == "L" and space == "RGB" else mode
    if space != PROFILE_SPACE[taken]:
        raise ValueError(f"it is for {space}")
    transform = ImageCms.buildTransform(profile, _srgb_profile(), taken, "RGB")

    def shown(image: Image.Image) -> Image.Image:
        return transform.apply(image if image.mode == taken else image.convert(taken))

    if taken in ("RGB", "L"):
        patches = _patches().convert(taken)
        off = np.asarray(shown(patches), np.int16) - np.asarray(patches.convert("RGB"), np.int16)
        if np.abs(off).max() <= _SAME_LEVELS:
            return None
    return shown


def space_of_profile(profile_bytes: bytes) -> Space | None:
    """The space of a profile made of curves and primaries, for float pixels; None for sRGB.

    Raises:
        ValueError: damaged, or made of tables.
    """
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(profile_bytes)).profile
        colorants = [profile.red_colorant, profile.green_colorant, profile.blue_colorant]
        curve = _profile_curve(profile_bytes)
    except (ImageCms.PyCMSError, OSError, TypeError, struct.error) as error:
        raise ValueError(f"it is damaged ({error})") from error
    found = [colorant[0] for colorant in colorants if colorant is not None]
    if len(found) < 3:
        raise ValueError("it is made of tables, which are not applied to floating-point pixels")
    # Colorants are adapted to D50; their sum is the white.
    xyz = np.array(found)
    xyz = np.vstack([xyz, xyz.sum(0)])
    if not (np.isfinite(xyz).all() and (xyz.sum(1) > 0).all()):
        raise ValueError("its primaries are no colours")
    primaries = tuple((float(x), float(y)) for x, y in xyz[:, :2] / xyz.sum(1)[:, None])
    _to_xyz(primaries)
    return Space(curve, primaries)


def _profile_curve(data: bytes) -> Callable[[np.ndarray], np.ndarray]:
    """The red curve of a profile, which is that of all three in display profiles."""
    (count,) = struct.unpack_from(">I", data, 128)
    for i in range(min(count, 100)):
        name, offset, _ = struct.unpack_from(">4sII", data, 132 + 12 * i)
        if name == b"rTRC":
            break
    else:
        raise ValueError("it has no curve")
    kind, size = struct.unpack_from(">4s4xI", data, offset)
    if kind == b"curv":
        if size == 0:
            return power(1.0)
        values = np.array(struct.unpack_from(f">{min(size, 65536)}H", data, offset + 12))
        if size == 1:
            return power(values[0] / 256)
        knots = np.linspace(0, 1, len(values))
        return lambda encoded: np.interp(encoded, knots, values / 65535)
    if kind != b"para":
        raise ValueError("its curve is of an unknown kind")
    # ICC.1, 10.18: g; g a b; g a b c; g a b c d; g a b c d e f.
    form = size >> 16
    if form > 4:
        raise ValueError("its curve is of an unknown kind")
    numbers = struct.unpack_from(f">{(1, 3, 4, 5, 7)[form]}i", data, offset + 12)
    g, a, b, c, d, e, f = ([n / 65536 for n in numbers] + [0.0] * 7)[:7]
    if form == 0:
        return power(g)
    if form < 3:
        d, e, f, c = -b / a if a else 0.0, c, c, 0.0
    return lambda encoded: np.where(
        encoded >= d, np.maximum(a * encoded + b, 0) ** g + e, c * encoded + f
    )


def lab_to_srgb(image: Image.Image) -> Image.Image:
    """A LAB picture without a profile as sRGB."""
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB"))
    rgb = ImageCms.profileToProfile(image, lab, _srgb_profile(), outputMode="RGB")
    assert rgb is not None
    return rgb


def srgb_to_light(encoded: np.ndarray) -> np.ndarray:
    """The curve of sRGB, 0–1."""
    return np.where(
        encoded <= 0.04045, encoded / 12.92, ((np.maximum(encoded, 0) + 0.055) / 1.055) ** 2.4
    )


def power(exponent: float) -> Callable[[np.ndarray], np.ndarray]:
    """A plain power curve."""
    return lambda encoded: np.maximum(encoded, 0) ** exponent


@lru_cache(maxsize=1)
def _srgb_profile() -> ImageCms.ImageCmsProfile:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))


@lru_cache(maxsize=1)
def _patches() -> Image.Image:
    """All greys and a cube of colours, 51 levels apart."""
    greys = np.repeat(np.arange(256)[:, None], 3, 1)
    cube = 51 * np.stack(np.meshgrid(*3 * [np.arange(6)]), -1).reshape(-1, 3)
    return Image.fromarray(np.concatenate([greys, cube])[None].astype(np.uint8))


@lru_cache(maxsize=1)
def _encoding() -> np.ndarray:
    """SRGB bytes by light in steps, ``[_STEPS + 1]``."""
    light = np.arange(_STEPS + 1) / _STEPS
    encoded = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    return np.rint(encoded * 255).astype(np.uint8)


def _to_xyz(primaries: tuple[tuple[float, float], ...]) -> np.ndarray:
    """``[3, 3]`` from linear RGB to XYZ, white at Y = 1."""
    try:
        columns = np.array([(x / y, 1, (1 - x - y) / y) if y else (1, 0, 0) for x, y in primaries])
        scale = np.linalg.solve(columns[:3].T, columns[3])
    except (np.linalg.LinAlgError, ZeroDivisionError) as error:
        raise ValueError("primaries on one line") from error
    matrix: np.ndarray = columns[:3].T * scale
    if not np.isfinite(matrix).all() or np.linalg.cond(matrix) > 1e6:
        raise ValueError("primaries on one line")
    return matrix


def _adapted(primaries: tuple[tuple[float, float], ...]) -> np.ndarray:
    """``[3, 3]`` from linear RGB to XYZ, its white adapted to that of sRGB (Bradford)."""
    matrix = _to_xyz(primaries)
    eye = np.array(
        [[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]]
    )
    gain = (eye @ _to_xyz(_BT709).sum(1)) / (eye @ matrix.sum(1))
    adapted: np.ndarray = np.linalg.inv(eye) @ np.diag(gain) @ eye @ matrix
    return adapted


def _pq_to_light(encoded: np.ndarray) -> np.ndarray:
    """SMPTE ST 2084: encoded 0–1 to light, 1 is white paper."""
    m1, m2 = 2610 / 16384, 2523 / 32
    c1, c2, c3 = 3424 / 4096, 2413 / 128, 2392 / 128
    root = np.clip(encoded, 0, 1) ** (1 / m2)
    nits = 10000 * (np.maximum(root - c1, 0) / (c2 - c3 * root)) ** (1 / m1)
    return nits / _PAPER_NITS


def _hlg_to_light(encoded: np.ndarray) -> np.ndarray:
    """ARIB STD-B67: encoded 0–1 to light before the lens, 0–1."""
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    value = np.clip(encoded, 0, 1)
    return np.where(value <= 0.5, value**2 / 3, (np.exp((value - c) / a) + b) / 12)


def _hlg_on_screen(scene: np.ndarray) -> np.ndarray:
    """Light before the lens to that of a screen of 1000 cd/m² (ITU-R BT.2100), 1 is white paper."""
    luminance = scene @ np.array([0.2627, 0.678, 0.0593], np.float32)
    return scene * (np.maximum(luminance, 1e-6) ** 0.2)[..., None] * (_HLG_NITS / _PAPER_NITS)


def _tone_gain(brightest: np.ndarray, peak: float) -> np.ndarray:
    """Factor by which pixels are turned down so that ``peak`` becomes white.

    Up to the knee nothing changes; beyond it runs Reinhard's curve, which begins with slope 1.
    """
    room = (peak - _KNEE) / (1 - _KNEE)
    over = np.maximum(brightest - _KNEE, 0) / (1 - _KNEE)
    shown = _KNEE + (1 - _KNEE) * over * (1 + over / room**2) / (1 + over)
    gain: np.ndarray = np.where(brightest > _KNEE, shown / np.maximum(brightest, _KNEE), 1)
    return gain
