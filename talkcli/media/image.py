"""Still pictures: any file to upright sRGB with straight alpha, and back to disk whole or not."""

from __future__ import annotations

import io
import logging
import warnings
from pathlib import Path

import numpy as np
from PIL import Image, ImageCms, ImageOps

from talkcli.errors import InputError, UsageError
from talkcli.files.check import check_readable, output_error
from talkcli.files.output import PendingOutput
from talkcli.media.identify import MAX_PIXELS, describe, identify

_log = logging.getLogger(__name__)


_SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))

#: Colour spaces (the tag in an ICC header) by the Pillow mode whose pixels they describe.
_PROFILE_SPACE = {"RGB": "RGB", "L": "GRAY", "CMYK": "CMYK", "LAB": "Lab"}

_SAVE_OPTIONS: dict[str, dict[str, object]] = {
    ".png": {"format": "PNG", "compress_level": 4},
    ".jpg": {"format": "JPEG", "quality": 95, "subsampling": 0},
    ".jpeg": {"format": "JPEG", "quality": 95, "subsampling": 0},
    ".webp": {"format": "WEBP", "lossless": True},
}


def read_image(path: str | Path) -> np.ndarray:
    """Decode a picture of any common kind, upright and in sRGB.

    EXIF orientation is applied, an embedded ICC profile converted, 16-bit and float samples are
    scaled to 8 bits, CMYK, palette and grey become RGB. Of an animation the first frame is taken.

    Args:
        path: PNG, JPEG, WebP, HEIC, AVIF, TIFF, BMP, GIF, JPEG 2000, PSD, ...

    Returns:
        ``[H, W, 4]`` uint8, sRGB-encoded RGB and straight (not premultiplied) alpha, 255 where the
        file has none. The array is the caller's own.

    Raises:
        InputError: missing, empty, truncated, not a picture, or more than ``MAX_PIXELS``.
    """
    path = check_readable(path, "a picture")
    image = identify(path)
    if image is None:
        raise _not_a_picture(path)
    with image:
        _check_size(image, path)
        try:
            image.load()
            return np.array(_to_srgb(_to_8_bit(_upright(image, path)), path))
        except MemoryError as error:
            raise _too_large(image.size, path) from error
        except (OSError, SyntaxError, ValueError, IndexError, EOFError) as error:
            # Pillow's decoders report damage with any of these.
            raise InputError(
                f"{path} is truncated or damaged ({error})", "copy or export it again"
            ) from error


def write_image(path: str | Path, pixels: np.ndarray, *, overwrite: bool = True) -> None:
    """Save a picture so that ``path`` is either untouched or whole.

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
    # Encoded in memory first: a failing encoder then never touches the disk.
    encoded = io.BytesIO()
    Image.fromarray(pixels).save(encoded, **options)  # type: ignore[arg-type]
    with PendingOutput(path, overwrite=overwrite) as pending:
        try:
            pending.temp.write_bytes(encoded.getbuffer())
        except OSError as error:
            raise output_error(error, path) from error
        pending.commit()


def _check_size(image: Image.Image, path: Path) -> None:
    if image.width * image.height > MAX_PIXELS:
        raise _too_large(image.size, path)


def _too_large(size: tuple[int, int], path: Path) -> InputError:
    width, height = size
    return InputError(
        f"{path} is {width} x {height}, {width * height / 1e6:.0f} megapixels",
        f"resize it to at most {MAX_PIXELS // 10**6} megapixels",
    )


def _not_a_picture(path: Path) -> InputError:
    kind = describe(path)
    fix = {
        "a text file": "give a picture such as .png or .jpg",
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
    samples = np.nan_to_num(np.asarray(image).astype(np.float64), posinf=np.inf, neginf=0.0)
    if image.mode == "F":
        # Float files carry no range: take the smallest usual one that holds the brightest pixel.
        top = float(np.nanmax(samples, initial=0.0))
        white = next((limit for limit in (1.0, 255.0, 65535.0) if top <= limit), top)
    else:
        white = 65535.0
    grey = Image.fromarray(np.rint(np.clip(samples / white, 0, 1) * 255).astype(np.uint8))
    grey.info = {key: image.info[key] for key in ("icc_profile",) if key in image.info}
    return grey


def _upright(image: Image.Image, path: Path) -> Image.Image:
    """Apply the EXIF orientation. A damaged EXIF block costs the rotation, not the picture."""
    try:
        with warnings.catch_warnings():
            # Pillow warns of each odd tag; none but the orientation matters here.
            warnings.simplefilter("ignore")
            return ImageOps.exif_transpose(image)
    except Exception as error:  # noqa: BLE001 (the parser raises whatever the bytes provoke)
        _log.warning("%s: its EXIF data is damaged (%s), orientation ignored", path, error)
        return image


def _to_srgb(image: Image.Image, path: Path) -> Image.Image:
    """Convert any mode to RGBA in sRGB."""
    profile_bytes = image.info.get("icc_profile")
    has_alpha = image.has_transparency_data
    alpha = image.convert("RGBA").getchannel("A") if has_alpha else None
    if image.mode in ("1", "LA", "La"):
        image = image.convert("LA").getchannel("L") if has_alpha else image.convert("L")
    elif image.mode not in _PROFILE_SPACE:
        image = (image.convert("RGBA") if has_alpha else image).convert("RGB")
    rgb = _apply_profile(image, profile_bytes, path) if profile_bytes else None
    if rgb is None and image.mode == "LAB":
        lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB"))
        rgb = ImageCms.profileToProfile(image, lab, _SRGB, outputMode="RGB")
    rgba = (rgb or image.convert("RGB")).convert("RGBA")
    if alpha is not None:
        rgba.putalpha(alpha)
    return rgba


def _apply_profile(image: Image.Image, profile_bytes: bytes, path: Path) -> Image.Image | None:
    """Convert to sRGB, or None when the profile is sRGB already, foreign to the mode, or broken."""
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(profile_bytes))
        space = profile.profile.xcolor_space.strip()
        if space != _PROFILE_SPACE[image.mode]:
            _log.warning("%s: its colour profile is for %s, ignored", path, space)
            return None
        if (profile.profile.profile_description or "").startswith("sRGB"):
            # Through the transform sRGB would come back one level off here and there.
            return None
        return ImageCms.profileToProfile(image, profile, _SRGB, outputMode="RGB")
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError) as error:
        _log.warning("%s: its colour profile is damaged (%s), sRGB assumed", path, error)
        return None
