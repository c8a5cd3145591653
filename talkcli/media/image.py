"""Still pictures: any file to upright sRGB with straight alpha, and atomic saving."""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from PIL import ExifTags, Image, ImageCms, ImageOps

from talkcli.errors import InputError, TalkcliError, UsageError
from talkcli.files.check import check_readable
from talkcli.files.output import PendingOutput
from talkcli.media.colour import (
    ADOBE_RGB_GAMMA,
    ADOBE_RGB_PRIMARIES,
    PROFILE_SPACE,
    Space,
    convert,
    lab_to_srgb,
    power,
    profile_to_srgb,
    space_of_codes,
    space_of_gamma,
    space_of_profile,
)
from talkcli.media.identify import MAX_PIXELS, describe, identify
from talkcli.media.tags import colour_codes
from talkcli.media.tiff import FloatTiff, float_tiff

_log = logging.getLogger(__name__)

T = TypeVar("T")

#: Longest side of a picture. MediaPipe, which finds the face, ends the process above 32,766.
MAX_SIDE = 32_000

#: Pictures are converted in pieces of about this many pixels: the largest that is accepted takes
#: 400 MB decoded, and each step of a conversion as much again.
_PIECE_PX = 1 << 22

_SAVE_OPTIONS: dict[str, dict[str, object]] = {
    ".png": {"format": "PNG", "compress_level": 4},
    ".jpg": {"format": "JPEG", "quality": 95, "subsampling": 0},
    ".jpeg": {"format": "JPEG", "quality": 95, "subsampling": 0},
    ".webp": {"format": "WEBP", "lossless": True},
}


def read_image(path: str | Path) -> np.ndarray:
    """Decode a picture of any common kind, upright and in sRGB.

    EXIF orientation is applied. Colours are converted by ICC profile, cICP, nclx, gAMA and cHRM or
    EXIF, HDR (PQ, HLG) is tone-mapped. 16-bit and float samples are scaled to 8 bits; CMYK, palette
    and grey become RGB. Of an animation the first frame is taken.

    Args:
        path: PNG, JPEG, WebP, HEIC, AVIF, TIFF, BMP, GIF, JPEG 2000, PSD, ...

    Returns:
        ``[H, W, 4]`` uint8, sRGB-encoded RGB and straight (not premultiplied) alpha, 255 where the
        file has none. The array is the caller's own.

    Raises:
        InputError: missing, empty, truncated, not a picture, more than ``MAX_PIXELS``, or a side
            beyond ``MAX_SIDE``.
    """
    return _explained(_read, check_readable(path, "a picture"))


def check_image(path: str | Path, what: str = "a picture") -> None:
    """Reject what :func:`read_image` cannot read, as far as the beginning of the file tells.

    Raises:
        InputError: missing, empty, not a picture, or too large.
    """
    _explained(_open, check_readable(path, what))


def _explained(read: Callable[[Path], T], path: Path) -> T:
    """What ``read`` makes of a picture; whatever fails becomes an error that tells what to do."""
    try:
        return read(path)
    except TalkcliError:
        raise
    except MemoryError as error:
        raise InputError(
            f"{path} takes more memory than there is", "resize it to a few megapixels"
        ) from error
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(
            f"{path} is truncated or damaged ({reason})", "copy or export it again"
        ) from error


def _open(path: Path) -> Image.Image | FloatTiff:
    """A picture of an allowed size, of which only the beginning has been read."""
    image = identify(path)
    if image is not None:
        _check_size(image.size, path, MAX_PIXELS)
        return image
    tiff = float_tiff(path)
    if tiff is None:
        raise _not_a_picture(path)
    _check_size(tiff.size, path, MAX_PIXELS // 4)
    return tiff


def _read(path: Path) -> np.ndarray:
    image = _open(path)
    if isinstance(image, FloatTiff):
        return _float_to_srgb(image)
    with image:
        image.load()
        # Read before: the conversion to 8 bits keeps none of it.
        tags: dict[Any, Any] = {**image.info, "adobe_rgb": _names_adobe_rgb(image)}
        _turn_upright(image, path)
        return _to_srgb(_to_8_bit(image), tags, path)


def write_image(path: str | Path, pixels: np.ndarray, *, overwrite: bool = True) -> None:
    """Save a picture; ``path`` is either left as it was or complete.

    Args:
        path: ``.png``, ``.jpg`` or ``.webp`` (lossless); its directory is made when missing.
        pixels: ``[H, W, 3]`` or ``[H, W, 4]`` uint8, sRGB, straight alpha.
        overwrite: replace an existing file; otherwise refuse it.

    Raises:
        UsageError: unknown suffix, or transparency in a JPEG.
        InputError: the place cannot be written to, is full, or is taken.
    """
    path = Path(path)
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] not in (3, 4):
        raise ValueError(f"expected uint8 [H, W, 3 or 4], got {pixels.dtype} {pixels.shape}")
    options = _SAVE_OPTIONS.get(path.suffix.lower())
    if options is None:
        raise UsageError(
            f"pictures cannot be written as '{path.suffix or path.name}'",
            f"use one of {' '.join(_SAVE_OPTIONS)}",
        )
    if pixels.shape[2] == 4 and options["format"] == "JPEG":
        raise UsageError(f"{path.name}: JPEG keeps no transparency", "use .png or .webp")
    # Encoded in memory first, so that a failing encoder never touches the disk.
    encoded = io.BytesIO()
    Image.fromarray(pixels).save(encoded, **options)  # type: ignore[arg-type]
    with PendingOutput(path, overwrite=overwrite) as pending:
        pending.write(encoded.getbuffer())
        pending.commit()


def _check_size(size: tuple[int, int], path: Path, most: int) -> None:
    width, height = size
    if max(size) > MAX_SIDE:
        raise InputError(
            f"{path} is {width} x {height}", f"cut or resize it to sides of at most {MAX_SIDE:,}"
        )
    if width * height > most:
        raise InputError(
            f"{path} is {width} x {height}, {width * height / 1e6:.0f} megapixels",
            f"resize it to at most {most // 10**6} megapixels",
        )


def _not_a_picture(path: Path) -> InputError:
    kind = describe(path)
    fix = {
        "a text file": "give a picture such as .png or .jpg",
        "a PDF document": f"save its page as a picture: pdftoppm -png -r 300 {path} page",
        "a video": "save one of its frames as .png and give that",
        "a sound recording": "the portrait comes first, the speech second",
    }.get(kind, "open it in a viewer and export it as .png or .jpg")
    return InputError(f"{path} is not a picture that can be read: it is {kind}", fix)


def _to_8_bit(image: Image.Image) -> Image.Image:
    """Scale the samples of 16-bit, 32-bit and float grey to 0–255; other modes are 8-bit already.

    Pillow itself reduces 16-bit *colour* to 8 bits while decoding.
    """
    if not (image.mode.startswith("I") or image.mode == "F"):
        return image
    # Grey has 16 bits, or 32 where a number is larger.
    white = 65535.0 if image.mode != "I" or _highest(image) <= 65535 else 2.0**31 - 1
    if image.mode == "F":
        thin = 1 + image.width * image.height // (4 * _PIECE_PX)
        white = _white_of(_finite(np.asarray(image).ravel()[::thin]))
    result = np.empty((image.height, image.width), np.uint8)
    for rows, piece in _pieces(image):
        result[rows] = np.rint(np.clip(_finite(np.asarray(piece)) / white, 0, 1) * 255)
    return Image.fromarray(result)


def _highest(image: Image.Image) -> float:
    return float(image.getextrema()[1])  # type: ignore[arg-type]


def _finite(samples: np.ndarray) -> np.ndarray:
    """The samples as float64, what is no number as black."""
    return np.nan_to_num(samples.astype(np.float64), posinf=np.inf, neginf=0.0)


def _pieces(image: Image.Image) -> Iterator[tuple[slice, Image.Image]]:
    """Rows of a picture, a few million pixels at a time, and which they are."""
    height = max(1, _PIECE_PX // image.width)
    for top in range(0, image.height, height):
        bottom = min(top + height, image.height)
        yield slice(top, bottom), image.crop((0, top, image.width, bottom))


def _white_of(samples: np.ndarray) -> float:
    """White in float samples: the smallest usual value that nearly all of them stay below.

    Float files state no range, and sharpening or highlights may leave any.
    """
    finite = samples[np.isfinite(samples)]
    most = float(np.quantile(finite, 0.98)) if finite.size else 0.0
    # Half of them may be lit beyond white; but 1.5 of 255 would be black throughout.
    return next((white for white in (1.0, 255.0, 65535.0) if most <= 1.5 * white), most)


def _turn_upright(image: Image.Image, path: Path) -> None:
    """Apply the EXIF orientation. A damaged EXIF block costs the rotation, not the picture."""
    try:
        with warnings.catch_warnings():
            # Pillow warns of each odd tag; none but the orientation matters here.
            warnings.simplefilter("ignore")
            ImageOps.exif_transpose(image, in_place=True)
    except Exception as error:  # noqa: BLE001 (the parser raises whatever the bytes provoke)
        _log.warning("%s: its EXIF data is damaged (%s), orientation ignored", path, error)


def _to_srgb(image: Image.Image, tags: dict[Any, Any], path: Path) -> np.ndarray:
    """Convert any 8-bit mode to ``[H, W, 4]`` uint8 RGBA in sRGB."""
    mode, profile = _opaque(image.crop((0, 0, 1, 1))).mode, tags.get("icc_profile")
    shown = _by_profile(mode, profile, path)
    if shown is None and mode == "LAB":
        shown = lab_to_srgb
    whole = None
    if shown is None and mode in ("RGB", "L") and not profile:
        space = _tagged_space(tags, path)
        if space is not None:  # HDR is tone-mapped by its brightest parts
            whole = convert(_rgb(_opaque(image)), space)
    result = np.full((image.height, image.width, 4), 255, np.uint8)
    for rows, piece in _pieces(image):
        if whole is not None:
            result[rows, :, :3] = whole[rows]
        else:
            opaque = _opaque(piece)
            result[rows, :, :3] = _rgb(opaque if shown is None else shown(opaque))
        if image.has_transparency_data:
            result[rows, :, 3] = np.asarray(piece.convert("RGBA").getchannel("A"))
    return result


def _opaque(image: Image.Image) -> Image.Image:
    """A picture without its alpha, in a mode that a profile may be for; itself if it has one."""
    if image.mode in PROFILE_SPACE:
        return image
    has_alpha = image.has_transparency_data
    if image.mode in ("1", "LA", "La"):
        return image.convert("LA").getchannel("L") if has_alpha else image.convert("L")
    return (image.convert("RGBA") if has_alpha else image).convert("RGB")


def _rgb(image: Image.Image) -> np.ndarray:
    """``[H, W, 3]`` uint8."""
    return np.asarray(image if image.mode == "RGB" else image.convert("RGB"))


def _by_profile(
    mode: str, profile: bytes | None, path: Path
) -> Callable[[Image.Image], Image.Image] | None:
    """The ICC profile's conversion; None without one, or when it changes nothing or is useless."""
    if not profile:
        return None
    try:
        return profile_to_srgb(mode, profile)
    except ValueError as error:
        _log.warning("%s: its colour profile is ignored: %s", path, error)
    except (ImageCms.PyCMSError, OSError, TypeError) as error:
        _log.warning("%s: its colour profile is damaged (%s), sRGB assumed", path, error)
    return None


def _tagged_space(tags: dict[Any, Any], path: Path) -> Space | None:
    """What the file says about its colours without an ICC profile; None for sRGB."""
    try:
        codes = colour_codes(path)
        if codes is not None:
            return space_of_codes(*codes)
        if "srgb" not in tags and ("gamma" in tags or "chromaticity" in tags):
            return space_of_gamma(tags.get("gamma"), tags.get("chromaticity"))
    except ValueError as error:
        _log.warning("%s: its colour tags are ignored, sRGB assumed: %s", path, error)
        return None
    if tags["adobe_rgb"]:
        return Space(power(ADOBE_RGB_GAMMA), ADOBE_RGB_PRIMARIES)
    return None


def _names_adobe_rgb(image: Image.Image) -> bool:
    """Whether a camera says in EXIF alone that it was set to Adobe RGB (DCF 2.0: "R03")."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            names = image.getexif().get_ifd(ExifTags.IFD.Interop)
    except Exception:  # noqa: BLE001 (of damaged EXIF data :func:`_upright` warns)
        return False
    return names.get(ExifTags.Interop.InteropIndex) == "R03"


def _float_to_srgb(tiff: FloatTiff) -> np.ndarray:
    """A TIFF of floating-point colours as ``[H, W, 4]`` uint8 RGBA in sRGB."""
    samples = np.nan_to_num(tiff.read(), nan=0.0, posinf=np.inf, neginf=0.0)
    colours = np.clip(samples[..., :3] / _white_of(samples[..., :3]), 0, None)
    space = None
    if tiff.profile is not None:
        try:
            space = space_of_profile(tiff.profile)
        except ValueError as error:
            _log.warning("%s: its colour profile is ignored: %s", tiff.path, error)
    result = np.full((*samples.shape[:2], 4), 255, np.uint8)
    if space is None:
        result[..., :3] = np.rint(np.clip(colours, 0, 1) * 255)
    else:
        result[..., :3] = convert(colours, space)
    if samples.shape[2] == 4:
        result[..., 3] = np.rint(np.clip(samples[..., 3], 0, 1) * 255)
    return result
