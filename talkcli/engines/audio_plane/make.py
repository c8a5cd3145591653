"""From a prepared clip to its avatar: the steps in order."""

from __future__ import annotations

import json
import logging
import math
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import cv2
import numpy as np

from talkcli.avatar import ClipSource, PictureFrame
from talkcli.config import PortraitConfig
from talkcli.engines.audio_plane.avatar import SubjectAvatar
from talkcli.engines.audio_plane.field import with_speech
from talkcli.engines.audio_plane.fit import HeldOut, SubjectFit
from talkcli.engines.audio_plane.frames import FitFrames
from talkcli.engines.audio_plane.motion import aligned_motion
from talkcli.engines.audio_plane.voices import learn_voices
from talkcli.engines.portrait.avatar import PortraitAvatar
from talkcli.engines.portrait.build.build import build_portrait
from talkcli.engines.portrait.build.crop import MIN_CROP_PX
from talkcli.engines.portrait.playback import seen_from_the_front
from talkcli.errors import InputError
from talkcli.layers.clip import FEWEST_FITTED, PreparedClip
from talkcli.media.image import write_image
from talkcli.motion.retarget import relative_to
from talkcli.optim.loop import Budget, LoopSettings, Progress, train
from talkcli.progress import describe
from talkcli.project.run import Run
from talkcli.render.backend import choose_backend
from talkcli.shapes import Float32, Integer
from talkcli.tracking.landmarks import Face, crop_rectangle

log = logging.getLogger(__name__)

#: Pixels of the avatar's crop per pixel of the clip, at most.
_FINER = 1.15
#: Where the plate differs this much from the picture, it is made up.
_FILLED = 3 / 255
#: The made-up part of the plate is widened and faded by this share of the crop.
_FEATHER = 0.015
CHECKPOINT, PREVIEW, REPORT = "checkpoint.safetensors", "preview.png", "fit.json"


@dataclass(frozen=True)
class FitReport:
    """How a fit went.

    Attributes:
        frames: number of frames that were fitted.
        held_out: number of frames that were not.
        splats: number of splats that were fitted.
        iterations: steps taken.
        seconds: time that they took.
        before: held-out figures of the portrait avatar under the same motion.
        after: those of the fitted avatar.
    """

    frames: int
    held_out: int
    splats: int
    iterations: int
    seconds: float
    before: HeldOut
    after: HeldOut


def fit_subject(source: ClipSource, run: Run) -> tuple[SubjectAvatar, FitReport]:
    """Fit an avatar to a prepared clip, or go on with a fit that was stopped.

    Args:
        source: the clip, and the folder for checkpoint and preview.
        run: its ``fit`` settings, seed, renderer and progress apply.

    Raises:
        InputError: the clip has too few usable frames, or its checkpoint is of another fit.
    """
    clip, config = PreparedClip.load(source.directory), run.recipe.fit
    fitted, held_out = split_frames(clip, config.held_out)
    with run.watch.measure("build"):
        avatar = _portrait(clip, config.crop)
        motion = aligned_motion(avatar, relative_to(clip.curves, clip.best), clip.points)
        motions = motion.frames
        if config.planes == "speech":
            motions = with_speech(motions, clip)
        frames = FitFrames(avatar, clip, motions)
    fit = SubjectFit(
        avatar,
        frames,
        config,
        fitted,
        held_out,
        seed=run.recipe.seed,
        backend=choose_backend(run.recipe.backend).name,
    )
    with run.watch.measure("fit"):
        progress, before = _train(fit, source, run)
    assert fit.scores is not None
    done = fit.avatar()
    done.seen = seen_from_the_front(done)
    report = FitReport(
        frames=len(fitted),
        held_out=len(held_out),
        splats=len(frames.fitted.keep),
        iterations=progress.iteration,
        seconds=round(progress.seconds, 1),
        before=before,
        after=fit.scores,
    )
    voices = learn_voices(clip, avatar, fitted)
    return SubjectAvatar(done, motion, clip.best, int(held_out[0]), voices), report


def unfitted(clip: PreparedClip, avatar: SubjectAvatar) -> SubjectAvatar:
    """The avatar of the clip's best frame alone, as a fit starts from it.

    Args:
        clip: that the avatar was fitted to.
        avatar: gives size and frames.
    """
    portrait = _portrait(clip, avatar.portrait.frame.crop_pixels)
    motion = aligned_motion(portrait, relative_to(clip.curves, clip.best), clip.points)
    return replace(avatar, portrait=portrait, clip=motion, voices={})


def split_frames(
    clip: PreparedClip, held_out: float
) -> tuple[Integer[np.ndarray, " n"], Integer[np.ndarray, " k"]]:
    """Numbers of the stored frames that are fitted, and of those held out: the end of the clip.

    Args:
        clip: the clip.
        held_out: share that is held out.

    Raises:
        InputError: too few frames are left.
    """
    stored = clip.stored[clip.usable[clip.stored]]
    first = round(len(clip) * (1 - held_out))
    fitted, rest = stored[stored < first], stored[stored >= first]
    if len(fitted) < FEWEST_FITTED:
        raise InputError(
            f"the clip has {len(fitted)} frames to fit to, {FEWEST_FITTED} are needed",
            "film more, or make an avatar of one picture: talkcli reconstruct",
        )
    return fitted, rest if len(rest) else fitted[-1:]


def save_report(report: FitReport, directory: Path) -> None:
    """Write a report beside the avatar that it is about."""
    text = json.dumps({"schema": 1, **asdict(report)}, indent=1)
    (directory / REPORT).write_text(text + "\n", encoding="utf-8")


def _portrait(clip: PreparedClip, size: int) -> PortraitAvatar:
    picture = clip.best_picture()
    opaque = np.full(picture.shape[:2], 255, np.uint8)
    face = Face(clip.points[clip.best])
    # Much finer splats than the clip has pixels would cost time and show nothing more.
    own = round(_FINER * crop_rectangle(face.points).side)
    config = PortraitConfig(max_crop=min(size, max(MIN_CROP_PX, own)))
    rgba = np.dstack([picture, opaque])
    avatar = build_portrait(rgba, face, config, max(picture.shape[:2]))
    avatar.plate = _uncovered_plate(avatar, clip)
    return avatar


def _uncovered_plate(avatar: PortraitAvatar, clip: PreparedClip) -> Float32[np.ndarray, "S S 3"]:
    """The avatar's plate, with what other frames of the clip show behind the head."""
    frame, plate = avatar.frame, avatar.plate
    picture, seen = (
        _cut(whole, frame) for whole in (np.ascontiguousarray(avatar.source[..., :3]), clip.plate)
    )
    torso = np.zeros(plate.shape[:2]) if avatar.torso is None else _cut(avatar.torso, frame)
    filled = np.abs(plate - picture).max(-1) > _FILLED
    reach = max(1, round(_FEATHER * frame.crop_pixels))
    soft = cv2.dilate(filled.astype(np.float32), np.ones((reach, reach), np.uint8))
    share = (cv2.GaussianBlur(soft, (0, 0), reach / 2) * (1 - torso))[..., None]
    return np.asarray(plate + share * (seen - plate), np.float32)


def _cut(whole: np.ndarray, frame: PictureFrame) -> Float32[np.ndarray, "*shape"]:
    """The crop of a picture of the avatar's size, 0–1."""
    scale = frame.crop_pixels / frame.crop_side
    half = 0.5 * (scale - 1)
    move = np.array(
        [[scale, 0, half - scale * frame.crop_x], [0, scale, half - scale * frame.crop_y]]
    )
    side = (frame.crop_pixels, frame.crop_pixels)
    cut = cv2.warpAffine(whole, move, side, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(cut, np.float32) / 255


def _train(fit: SubjectFit, source: ClipSource, run: Run) -> tuple[Progress, HeldOut]:
    config = run.recipe.fit
    budget = Budget(config.iterations, 60 * config.minutes or math.inf)
    settings = LoopSettings(run.recipe.seed, patience=config.patience)

    def report(progress: Progress) -> None:
        assert fit.scores is not None
        told = f"held-out face {fit.scores.face:.1f} mouth {fit.scores.mouth:.1f} dB"
        describe(source.task, told)
        log.info("fit: step %d, loss %.2f, %s", progress.iteration, progress.loss, told)
        write_image(source.work / PREVIEW, fit.preview(), overwrite=True)

    source.work.mkdir(parents=True, exist_ok=True)
    fit.evaluate(0)
    before = fit.scores
    assert before is not None
    checkpoint = source.work / CHECKPOINT
    progress = train(
        fit, budget, settings, checkpoint, source.task, report=report, beyond=source.resume
    )
    return progress, before
