"""What is wrong with a file, in words that a user can act on."""

from __future__ import annotations

import codecs
import os
import warnings
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from talkcli.errors import InputError

if TYPE_CHECKING:
    from av.container import InputContainer

#: Still-picture formats that Pillow may open. A list, not "all of them": EPS would run
#: Ghostscript, XBM and XPM are text files, MPEG and HDF5 are stubs that identify and then fail.
PICTURE_FORMATS = (
    *("AVIF", "BMP", "DDS", "DIB", "GIF", "HEIF", "ICNS", "ICO", "JPEG", "JPEG2000"),
    *("PCX", "PNG", "PPM", "PSD", "QOI", "SGI", "TGA", "TIFF", "WEBP"),
)

#: Demuxers that may open a file: containers of video and sound, and raw streams. A list, not "all
#: of them": playlists (hls, concat, dash, imf), descriptions of streams (sdp) and scripts
#: (vapoursynth, lavfi) would make libav read files that the user never named.
_CONTAINERS = (
    "3dostr,aac,ac3,ac4,aiff,amr,amrnb,amrwb,ape,apng,asf,asf_o,au,av1,avi,caf,dsf,dts,dtshd,"
    "dv,eac3,flac,flv,gif,gsm,gxf,h261,h263,h264,hevc,iff,iv8,ivf,kux,live_flv,loas,m4v,"
    "matroska,webm,mjpeg,mjpeg_2000,mlp,mmf,mov,mp4,m4a,3gp,3g2,mj2,mp3,mpc,mpc8,mpeg,mpegts,"
    "mpegvideo,mxf,nistsphere,nsv,nut,nuv,obu,ogg,oma,osq,pmp,pva,qcp,qoa,rm,roq,rso,shn,"
    "smjpeg,sox,swf,tak,truehd,tta,vc1,vivo,voc,vvc,w64,wav,webp_anim,wtv,wv,xa,xwma,"
    "yuv4mpegpipe"
)

#: Options that keep libav from opening any file but the one it is given, and the network.
_LOCAL_MEDIA = {"protocol_whitelist": "file", "format_whitelist": _CONTAINERS}

#: First bytes of playlists that libav would otherwise follow.
_PLAYLISTS = (b"#EXTM3U", b"ffconcat", b"[playlist]", b"file ", b"file:")

#: First bytes of picture formats, to name a file that no decoder could read.
_PICTURE_STARTS = (
    *((0, b"II*\0", "TIFF"), (0, b"MM\0*", "TIFF"), (0, b"II+\0", "BigTIFF")),
    *((0, b"\x89PNG", "PNG"), (0, b"\xff\xd8\xff", "JPEG"), (0, b"GIF8", "GIF")),
    *((4, b"ftypavi", "AVIF"), (4, b"ftyphe", "HEIC"), (4, b"ftypmif1", "HEIF")),
    *((8, b"WEBP", "WebP"), (0, b"DDS ", "DDS"), (0, b"8BPS", "PSD"), (0, b"v/1\x01", "OpenEXR")),
    *((0, b"\xff\x0a", "JPEG XL"), (4, b"JXL ", "JPEG XL")),
)

#: First bytes of documents and archives. libav finds pictures in some of them, or takes them for
#: MPEG.
_DOCUMENTS = {
    b"%PDF-": "a PDF document",
    b"PK\3\4": "a ZIP archive, as .docx and .npz files are",
    b"PK\5\6": "an empty ZIP archive",
    b"\xd0\xcf\x11\xe0": "an office document",
    b"Rar!\x1a": "a RAR archive",
    b"7z\xbc\xaf": "a 7z archive",
    b"\x1f\x8b\x08": "a gzip archive",
}
#: Kinds of pictures whose animations this libav may not play.
_ANIMATED = ("WEBP", "AVIF")


def describe(path: Path) -> str:
    """Name what a readable, non-empty file holds, article included.

    Only asked once something has gone wrong, so it may take its time: it tries the decoders.
    """
    if (document := document_kind(path)) is not None:
        return document
    with path.open("rb") as file:
        head = file.read(4096)
    if _looks_like_text(head):
        if head.removeprefix(codecs.BOM_UTF8).lstrip().startswith(_PLAYLISTS) or b"<MPD" in head:
            return "a playlist, which only names other files"
        return "a text file"
    if _is_picture(path):
        return "a picture"
    found = _video_or_sound(path)
    if found is not None:
        return found
    for offset, start, name in _PICTURE_STARTS:
        if head.startswith(start, offset):
            article = "an" if name[0] in "AO" else "a"  # AVIF, OpenEXR
            return f"{article} {name} picture that is damaged or of a kind not supported"
    return "in no format that is known, or damaged"


def document_kind(path: Path) -> str | None:
    """Name a document or an archive, article included; None for anything else."""
    with path.open("rb") as file:
        head = file.read(8)
    return next((kind for start, kind in _DOCUMENTS.items() if head.startswith(start)), None)


def animated_frames(path: Path) -> int:
    """How many frames an animated WebP or AVIF picture has; 0 for any other file."""
    image = identify(path)
    if image is None:
        return 0
    with image:
        frames = int(getattr(image, "n_frames", 1)) if image.format in _ANIMATED else 0
    return frames if frames > 1 else 0


def file_url(path: Path) -> str:
    """A name that ffmpeg takes for a local file whatever it holds ("a:b", "-x", "%d")."""
    return f"file:{os.path.abspath(path)}"


def open_container(path: Path) -> InputContainer:
    """Open a file of video or sound with libav, and no other file: playlists are refused.

    Raises:
        av.FFmpegError, OSError, ValueError: it is no such file.
    """
    import av

    if (kind := document_kind(path)) is not None:
        raise ValueError(f"it is {kind}")
    try:
        name = file_url(path)
        name.encode()
    except UnicodeEncodeError:
        # libav wants UTF-8. The system opens an open file once more by its number.
        with path.open("rb") as file:
            return av.open(f"file:/dev/fd/{file.fileno()}", options=_LOCAL_MEDIA)
    return av.open(name, options=_LOCAL_MEDIA)


def _looks_like_text(head: bytes) -> bool:
    if b"\0" in head:
        return False
    try:
        # The last three bytes may be the beginning of a character.
        text = head[: max(1, len(head) - 3)].decode("utf-8-sig")
    except UnicodeDecodeError:
        return False
    return all(character.isprintable() or character.isspace() for character in text)


def _is_picture(path: Path) -> bool:

    image = identify(path)
    if image is None:
        return False
    image.close()
    return True


def _video_or_sound(path: Path) -> str | None:
    import av

    try:
        with open_container(path) as container:
            videos = [stream for stream in container.streams.video if not is_cover_art(stream)]
            # One frame must decode: libav takes any bytes with a chance likeness for MPEG.
            next(container.decode((videos or container.streams.audio)[0]))
            return "a video" if videos else "a sound recording"
    except (av.FFmpegError, OSError, ValueError, IndexError, StopIteration):
        return None


def is_cover_art(stream: object) -> bool:
    """Whether a libav video stream is a still picture attached to a recording (album cover)."""
    import av.stream

    disposition = getattr(stream, "disposition", 0)
    return bool(disposition & av.stream.Disposition.attached_pic)


#: Largest picture that is decoded. 100 megapixels are 400 MB as RGBA; phones make 50.
MAX_PIXELS = 100_000_000


def identify(path: Path) -> Image.Image | None:
    """Open a picture lazily (header only), or return None when no decoder knows it."""
    formats = _load_decoders()
    try:
        with warnings.catch_warnings():
            # Of odd tags, which do not matter, and of the size, which the caller checks.
            warnings.simplefilter("ignore")
            return Image.open(path, formats=formats)
    except Image.DecompressionBombError as error:
        raise InputError(
            f"{path} has too many pixels ({error})",
            f"resize it to at most {MAX_PIXELS // 10**6} megapixels",
        ) from error
    except Exception:  # noqa: BLE001 (decoders raise whatever damaged bytes provoke)
        return None


@lru_cache(maxsize=1)
def _load_decoders() -> tuple[str, ...]:
    """Load Pillow's decoders and HEIC's; returns the wanted ones that this build has."""
    import pillow_heif

    Image.init()
    pillow_heif.register_heif_opener()
    return tuple(name for name in PICTURE_FORMATS if name in Image.OPEN)
