"""A prepared clip of the sample portrait, whose motion is known, and an avatar fitted to it."""

from __future__ import annotations

import shutil
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np

from talkcli.avatar import ClipSource
from talkcli.config import FitConfig, Recipe
from talkcli.engines.audio_plane.motion import face_pixels
from talkcli.engines.portrait.avatar import PortraitAvatar
from talkcli.engines.registry import engine
from talkcli.face.pose import DEPTH_SCALE
from talkcli.face.topology import LIPS
from talkcli.layers.clip import Box, PreparedClip
from talkcli.layers.pictures import encode_picture
from talkcli.pipeline.stages.prepare_frames import cut_box
from talkcli.progress import SilentReporter, Stopwatch
from talkcli.project import Project, ProjectInput, Stage
from talkcli.project.run import Run
from talkcli.types import ARKIT_NAMES, MotionCurves
from tests.support.portraits import draw_head

FPS, FRAMES, SIDE = 25, 40, 160
#: Share that is held out, and the fit that the fixtures share: too short to be any good.
FIT = FitConfig(crop=192, iterations=12, shapes=4, hidden=8)
RECIPE = Recipe(engine="audio-plane", backend="cpu", fit=FIT)
#: What the rig cannot show: the mouth of the person in the clip is redder the wider it is open.
_JAW = ARKIT_NAMES.index("jawOpen")
_FLUSH = np.array([40.0, -20.0, -20.0])


def known_motion(frames: int = FRAMES) -> MotionCurves:
    """Somebody who talks, blinks, nods and leans, at 25 frames per second."""
    t = (np.arange(frames) + 0.5) / FPS
    expression = np.zeros((frames, 52), np.float32)
    expression[:, ARKIT_NAMES.index("jawOpen")] = 0.3 * np.maximum(0, np.sin(11 * t))
    expression[:, ARKIT_NAMES.index("mouthPucker")] = 0.3 * np.maximum(0, np.sin(7 * t + 2))
    for side in ("Left", "Right"):
        expression[:, ARKIT_NAMES.index(f"eyeBlink{side}")] = np.abs(t - 0.5) < 0.06
    rotation = np.stack([4 * np.sin(4 * t), 2 * np.sin(5 * t + 1), 1.5 * np.sin(3 * t)], 1)
    translation = np.stack([0.3 * np.sin(3 * t), 0.1 * np.cos(4 * t), 0.2 * np.sin(5 * t)], 1)
    return MotionCurves(
        t,
        expression,
        rotation.astype(np.float32),
        translation.astype(np.float32),
        np.zeros((frames, 2), np.float32),
        np.ones(frames, bool),
        frames / FPS,
    )


def filmed(avatar: PortraitAvatar, curves: MotionCurves) -> tuple[np.ndarray, ...]:
    """The crops of an avatar that moves, as pictures of a clip.

    Returns:
        ``[n, S, S, 3]`` uint8 frames, ``[n, S, S]`` uint8 mattes, and ``[n, 478, 3]`` landmarks.
    """
    frame = avatar.frame
    assert avatar.torso is not None
    torso = cut_box(avatar.torso, Box(frame.crop_x, frame.crop_y, frame.crop_side))
    torso = cv2.resize(torso, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    ratio = SIDE / frame.crop_pixels
    pictures, mattes, points = [], [], []
    for motion in curves.frames:
        rgb, alpha = draw_head(avatar, motion)
        whole = 255 * np.clip(rgb + (1 - alpha[..., None]) * avatar.plate, 0, 1)
        small = cv2.resize(whole.astype(np.float32), (SIDE, SIDE), interpolation=cv2.INTER_AREA)
        cover = cv2.resize(alpha, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
        face = face_pixels(avatar, motion)
        depth = (face[:, 2] - face[:, 2].mean()) * avatar.K[0, 0] / face[:, 2].mean() / DEPTH_SCALE
        face = np.column_stack([face[:, :2], depth]).astype(np.float32) * ratio
        rim = cv2.convexHull(face[list(LIPS), :2].astype(np.int32))
        lips = cv2.fillConvexPoly(np.zeros((SIDE, SIDE), np.float32), rim, 1.0)
        small += cv2.GaussianBlur(lips, (0, 0), 2)[..., None] * _FLUSH * motion.expression[_JAW]
        pictures.append(np.clip(small + 0.5, 0, 255).astype(np.uint8))
        mattes.append(np.maximum((255 * cover).astype(np.uint8), torso))
        points.append(face)
    return np.array(pictures), np.array(mattes), np.array(points)


LIP_RING = [
    61,
    185,
    40,
    39,
    37,
    0,
    267,
    269,
    270,
    409,
    291,
    375,
    321,
    405,
    314,
    17,
    84,
    181,
    91,
    146,
]


def save_prepared(avatar: PortraitAvatar, directory: Path, frames: int = FRAMES) -> PreparedClip:
    """Prepare a clip of an avatar, as ``talkcli preprocess`` would, and read it."""
    curves = known_motion(frames)
    pictures, mattes, points = filmed(avatar, curves)
    plate = cv2.resize(avatar.plate, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    best = 2
    clip = PreparedClip(
        fps=Fraction(FPS),
        width=SIDE,
        height=SIDE,
        segment=(0.0, frames / FPS),
        turned=0,
        curves=curves,
        points=points,
        usable=np.ones(frames, bool),
        best=best,
        box=Box(0.0, 0.0, SIDE),
        stored=np.arange(frames),
        plate=(255 * plate + 0.5).astype(np.uint8),
        offset_s=0.0,
        sync_confidence=None,
        sound=False,
        speech=None,
        verdict={},
        _best=pictures[best],
    )
    clip.save(directory, [encode_picture(p) for p in pictures], [encode_picture(m) for m in mattes])
    return PreparedClip.load(directory)


def clip_source(prepared: Path, work: Path, *, resume: bool = False) -> ClipSource:
    """What an engine is given."""
    return ClipSource(prepared, work, SilentReporter(), resume)


def run_in(place: Path, recipe: Recipe = RECIPE) -> Run:
    """A run whose project lies in a folder."""
    return Run(Project.create(place), recipe, SilentReporter(), Stopwatch())


def fitted(prepared: Path, place: Path, recipe: Recipe = RECIPE) -> Path:
    """The directory of an avatar that was fitted to a prepared clip."""
    (place / "avatar").mkdir(parents=True)
    run = run_in(place / "made.talk", recipe)
    engine("audio-plane").make(clip_source(prepared, place / "work"), run, place / "avatar")
    return place / "avatar"


def project_of(prepared: Path, root: Path, clip: Path) -> Project:
    """A project that holds a prepared clip, as ``talkcli preprocess`` leaves it.

    Args:
        prepared: directory of the prepared clip.
        root: of the project.
        clip: the file that it is said to be made from.
    """
    source = ProjectInput.of(clip)
    stage = Stage("prepare", 1, {"made": "up"}, {"clip": source.sha256}, PreparedClip.load)
    project = Project.create(root)
    with project.lock():
        project.run(
            stage, lambda place: shutil.copytree(prepared, place, dirs_exist_ok=True) and None
        )
        project.set_input("clip", source)
    return project
