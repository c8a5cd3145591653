"""From clips to what the decoder is trained on: an avatar of one frame, and targets from others.

The source is the first neutral frame, as in ``talkcli eval``. The motion of the other frames is
corrected until the avatar's rigid landmarks lie on the measured ones, so that what is left to learn
is how faces look, not where they are.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np

from talkcli.config import PortraitConfig
from talkcli.engines.audio_plane.motion import aligned_motion
from talkcli.engines.audio_plane.offsets import motion_features
from talkcli.engines.portrait.avatar import PortraitAvatar
from talkcli.engines.portrait.build.build import build_unrounded
from talkcli.engines.portrait.build.crop import MIN_CROP_PX
from talkcli.engines.portrait.checkpoint import load_avatar, save_avatar
from talkcli.errors import InputError, TalkcliError
from talkcli.face.model import FaceModel
from talkcli.face.topology import FACE_OVAL
from talkcli.media.read import read_frames
from talkcli.motion.retarget import reference_frame, relative_to
from talkcli.render.cpu import Workspace, backproject
from talkcli.shapes import Float, UInt8
from talkcli.tracking.clip import MAX_SIDE, solve_spool, spool_clip
from talkcli.tracking.landmarks import Face, crop_rectangle
from talkcli.tracking.spool import LandmarkSpool
from talkcli.train.mggtalk.pairs import FRAMES, FramePairs, save_frames, window_camera
from talkcli.train.mggtalk.people import FilmedPerson
from talkcli.types import MotionCurves

#: Frames kept of a clip, the most different ones.
MOST_FRAMES = 32
#: Pixels of the avatar's crop: the face is 145 high in the larger ones.
_LARGEST_CROP, _FINER = 400, 1.15
#: Frames turned further from the source are no targets, degrees.
_MOST_TURN_DEG = 25.0
#: The window holds the faces and this margin, crop sides.
_MARGIN = 0.035
#: A splat that adds up to less in all frames is left out.
_LEAST_WEIGHT = 0.05
#: Of longer clips, the first frames are enough.
_MOST_READ = 750


@dataclass(frozen=True)
class _Clip:
    """Pictures ``[H, W, 3]``, landmarks ``[n, 478, 3]`` in their pixels, and tracked curves."""

    pictures: Sequence[np.ndarray]
    points: np.ndarray
    curves: MotionCurves


def prepare_clips(
    clips: Sequence[FilmedPerson], folder: Path, report: Callable[[str], None]
) -> list[Path]:
    """Prepare clips, each in a folder of its own; those that are complete are left alone.

    Args:
        clips: what to prepare.
        folder: where.
        report: is told of every clip, and why one cannot be used.

    Returns:
        The folders of the usable ones.
    """
    folder.mkdir(parents=True, exist_ok=True)
    done = []
    for number, clip in enumerate(clips, 1):
        place = folder / clip.name
        if not (place / FRAMES).is_file():
            refused = folder / f"{clip.name}.refused"
            if refused.exists():
                continue
            try:
                frames = _prepare(clip, place)
            except TalkcliError as error:
                refused.write_text(f"{error}\n", encoding="utf-8")
                report(f"{number}/{len(clips)} {clip.name}: left out, {error}")
                continue
            report(f"{number}/{len(clips)} {clip.name}: {frames} frames of {clip.person}")
        done.append(place)
    return done


def _prepare(clip: FilmedPerson, place: Path) -> int:
    """Prepare one clip in ``place``, and return how many frames it gives."""
    read = _read(clip.path)
    source = reference_frame(read.curves)
    picture = read.pictures[source]
    rgba = np.dstack([picture, np.full(picture.shape[:2], 255, np.uint8)])
    face = Face(read.points[source])
    own = round(_FINER * crop_rectangle(face.points).side)
    config = PortraitConfig(max_crop=min(_LARGEST_CROP, max(MIN_CROP_PX, own)))
    part = place.with_name(f"{place.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir()
    save_avatar(build_unrounded(rgba, face, config, max(picture.shape[:2])), part)
    avatar = load_avatar(part)
    curves = aligned_motion(avatar, relative_to(read.curves, source), read.points)
    pairs = _paired(clip, avatar, replace(read, curves=curves))
    save_frames(part, pairs)
    shutil.rmtree(place, ignore_errors=True)
    part.rename(place)
    return len(pairs)


def _read(path: Path) -> _Clip:
    """Track a clip and read its frames."""
    with LandmarkSpool() as whole, LandmarkSpool() as spool:
        seen = spool_clip(path, whole)
        if seen.turned:
            raise InputError(f"the face in {path} is not upright", "use another clip")
        whole.copy_to(spool, 0, min(len(whole), _MOST_READ))
        _, curves = solve_spool(spool, FaceModel.load())
        points = [spool.points(k) for k in range(len(spool))]
    pictures = []
    for frame in read_frames(path, max_side=MAX_SIDE):
        pictures.append(frame.rgb)
        if len(pictures) == len(points):
            break
    nearest = _nearest([found is not None for found in points])
    filled = np.array([points[k] for k in nearest[: len(pictures)]], np.float32)
    return _Clip(pictures, filled, curves)


def _nearest(known: Sequence[bool]) -> list[int]:
    """For every frame, the nearest one that is known."""
    places = np.flatnonzero(known)
    return [int(places[np.abs(places - k).argmin()]) for k in range(len(known))]


def _paired(clip: FilmedPerson, avatar: PortraitAvatar, read: _Clip) -> FramePairs:
    """Choose frames, cut them, and find the splats that show in them."""
    curves = read.curves
    turned = np.abs(curves.rotation[:, :2]).max(1)
    usable = np.flatnonzero(curves.tracked & (turned < _MOST_TURN_DEG))
    usable = usable[usable < len(read.pictures)]
    if len(usable) < 8:
        raise InputError(f"{clip.path} shows the face in too few frames", "use a longer clip")
    motions = curves.frames
    features = np.array([motion_features(motions[k]) for k in usable])
    chosen = usable[_most_different(features, MOST_FRAMES)]
    frame = avatar.frame
    scale = frame.crop_pixels / frame.crop_side
    points = (read.points[chosen, :, :2] - (frame.crop_x, frame.crop_y)) * scale
    outline = points[:, list(FACE_OVAL)].reshape(-1, 2)
    margin, side = _MARGIN * frame.crop_pixels, frame.crop_pixels
    x0, y0 = np.maximum(np.floor(outline.min(0) - margin), 0).astype(int)
    x1, y1 = np.minimum(np.ceil(outline.max(0) + margin), side).astype(int)
    window = int(x0), int(y0), int(x1), int(y1)
    pictures = [_cut(read.pictures[k], avatar)[y0:y1, x0:x1] for k in chosen]
    camera, workspace = window_camera(avatar, window), Workspace()
    nothing = np.zeros((camera.height, camera.width, 1), np.float32)
    most = np.zeros(len(avatar.splats), np.float32)
    for k in chosen:
        _, weight = backproject(avatar.pose(motions[k]), nothing, camera, workspace)
        np.maximum(most, weight, out=most)
    return FramePairs(
        avatar=avatar,
        keep=np.flatnonzero(most > _LEAST_WEIGHT).astype(np.int32),
        window=window,
        motions=tuple(motions[k] for k in chosen),
        pictures=np.array(pictures),
        points=(points - (x0, y0)).astype(np.float32),
        person=clip.person,
        free=clip.free,
    )


def _most_different(features: Float[np.ndarray, "n F"], count: int) -> np.ndarray:
    """Rising numbers of frames, each as far as can be from those chosen before."""
    chosen = [int(np.linalg.norm(features, axis=1).argmin())]
    away = np.linalg.norm(features - features[chosen[0]], axis=1)
    while len(chosen) < min(count, len(features)):
        chosen.append(int(away.argmax()))
        away = np.minimum(away, np.linalg.norm(features - features[chosen[-1]], axis=1))
    return np.sort(chosen)


def _cut(picture: UInt8[np.ndarray, "H W 3"], avatar: PortraitAvatar) -> UInt8[np.ndarray, "S S 3"]:
    """A frame in the pixels of the avatar's crop, resampled as the source was."""
    frame = avatar.frame
    x, y, side = round(frame.crop_x), round(frame.crop_y), round(frame.crop_side)
    left, top = max(0, -x), max(0, -y)
    right, bottom = max(0, x + side - frame.width), max(0, y + side - frame.height)
    padded = cv2.copyMakeBorder(picture, top, bottom, left, right, cv2.BORDER_REPLICATE)
    cut = padded[y + top : y + top + side, x + left : x + left + side]
    pixels = frame.crop_pixels
    how = cv2.INTER_AREA if pixels < side else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(np.ascontiguousarray(cut), (pixels, pixels), interpolation=how))
