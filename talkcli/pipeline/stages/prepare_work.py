"""How a clip is prepared: looked at, cut to its best segment, heard, taken apart into layers."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np

from talkcli.errors import InputError
from talkcli.face.measures import face_height
from talkcli.face.model import FaceModel
from talkcli.layers.clip import HELD_OUT, Box, PreparedClip
from talkcli.layers.contact_sheet import SHEET, write_sheet
from talkcli.metrics.observed import HEARD_HZ, Heard, Observed
from talkcli.metrics.sync import SyncScore, sync_score
from talkcli.pipeline.stages.heard import listen, speech_between
from talkcli.pipeline.stages.inputs import Clip
from talkcli.pipeline.stages.prepare_frames import FramePlan, Frames, make_mattes, read_segment
from talkcli.pipeline.stages.prepare_verdict import Evidence, verdict
from talkcli.project.run import Run
from talkcli.tracking.clip import Seen, solve_spool, spool_clip
from talkcli.tracking.faults import FrameFaults, find_faults
from talkcli.tracking.framing import best_frame, head_box, spread_frames
from talkcli.tracking.gaps import fill_gaps
from talkcli.tracking.lips import lips_of
from talkcli.tracking.person import Person
from talkcli.tracking.segment import choose_segment, parse_segment
from talkcli.tracking.spool import LandmarkSpool
from talkcli.tracking.survey import SceneWatch, Survey, survey
from talkcli.types import MotionCurves

#: Most frames whose crops are stored; a minute at 25 per second.
MOST_STORED = 1500
#: Fewest frames that an avatar can be fitted to.
FEWEST_USABLE = 3
#: An offset between lips and sound is corrected if it is that certain and they fit that well.
_SURE, _FITS = 0.9, 0.2
#: Landmarks are smoothed by a parabola through this many frames; motion of the lips survives it.
_SMOOTHED = 5


@dataclass(frozen=True)
class _Look:
    """The whole clip at a first look: how the face was found, and figures of every frame."""

    seen: Seen
    survey: Survey
    size: tuple[int, int]


@dataclass(frozen=True)
class _Performance:
    """The segment: who it is, how they move, ``[n, 478, 3]`` landmarks, figures and faults."""

    person: Person
    curves: MotionCurves
    points: np.ndarray
    part: Survey
    faults: FrameFaults


def prepare(run: Run, clip: Clip, directory: Path) -> None:
    """Prepare a clip.

    Args:
        run: its settings apply; its reporter shows progress and is warned.
        clip: the clip.
        directory: receives the files of :class:`talkcli.layers.clip.PreparedClip`.

    Raises:
        InputError: no clip, no face in it, or too few frames that show it well.
        MissingDependencyError: the requested landmark network is not available.
    """
    with LandmarkSpool() as whole, LandmarkSpool() as spool:
        look = _look(run, clip, whole)
        first, end = choose_segment(look.survey, parse_segment(run.recipe.clip.segment))
        whole.copy_to(spool, first, end)
        starts = whole.starts
        segment = float(starts[first]), float(starts[first]) + spool.duration_s
        with run.watch.measure("solve"):
            performance = _perform(spool, look.survey.part(first, end))
            sync = _sync(run, clip, spool, performance, segment)
    plan = _plan(clip, look, first, performance)
    with run.watch.measure("crops"):
        task = run.reporter.begin("crops", len(plan.points))
        frames = read_segment(plan, task.advance)
        run.reporter.end(task)
    with run.watch.measure("mattes"):
        task = run.reporter.begin("mattes", len(plan.stored))
        mattes = make_mattes(plan, frames, task.advance)
        run.reporter.end(task)
    prepared = _assembled(clip, look, plan, performance, frames, sync, segment)
    prepared.save(directory, frames.crops, mattes)
    write_sheet(PreparedClip.load(directory), directory / SHEET)


def _look(run: Run, clip: Clip, spool: LandmarkSpool) -> _Look:
    tracking, onlooker = run.recipe.tracking, SceneWatch()
    with run.watch.measure("track"):
        task = run.reporter.begin("track", clip.info.n_frames or None)
        seen = spool_clip(
            clip.path,
            spool,
            face=tracking.face,
            landmarks=tracking.landmarks,
            progress=task.advance,
            onlooker=onlooker,
        )
        run.reporter.end(task)
        return _Look(seen, survey(spool, onlooker), onlooker.size)


def _perform(spool: LandmarkSpool, part: Survey) -> _Performance:
    if spool.found < FEWEST_USABLE:
        raise InputError(
            "the segment shows the face in fewer than three frames",
            "choose another --segment, or use a clip that shows one face for some seconds",
        )
    model = FaceModel.load()
    person, curves = solve_spool(spool, model)
    filled = np.array([frame.points for frame in fill_gaps(iter(spool), person)], np.float32)
    faults = find_faults(part, curves.tracked)
    return _Performance(person, curves, _smoothed(filled), part, faults)


def _smoothed(points: np.ndarray) -> np.ndarray:
    from scipy.signal import savgol_filter

    if len(points) < _SMOOTHED:
        return points
    flat = points.reshape(len(points), -1)
    return np.asarray(savgol_filter(flat, _SMOOTHED, 2, axis=0), np.float32).reshape(points.shape)


def _sync(
    run: Run,
    clip: Clip,
    spool: LandmarkSpool,
    performance: _Performance,
    segment: tuple[float, float],
) -> SyncScore:
    """How lips and sound of the segment fit together."""
    heard = listen(clip, performance.person, run.recipe.motion.speech_model)
    if heard is not None:
        first, end = (round(time * HEARD_HZ) for time in segment)
        heard = Heard(heard.aperture[first:end], heard.silent[first:end])
        if not len(heard.aperture):
            heard = None
    aperture, width = lips_of(spool, performance.person)
    unknown = np.full(len(aperture), np.nan)
    return sync_score(Observed(performance.curves, aperture, width, unknown, heard))


def _plan(clip: Clip, look: _Look, first: int, performance: _Performance) -> FramePlan:
    from talkcli.media.read import read_frames
    from talkcli.tracking.upright import turned

    whole = turned(next(iter(read_frames(clip.path))).rgb, look.seen.turned)
    enlarge = np.array([whole.shape[1] / look.size[0], whole.shape[0] / look.size[1]])
    points = performance.points * np.array([*enlarge, enlarge.mean()], np.float32)
    usable = performance.faults.usable
    if usable.sum() < FEWEST_USABLE:
        raise InputError(
            f"only {usable.sum()} frames of {clip.path} show the face well",
            "use a clip in which the face is sharp, whole and not covered",
        )
    best = best_frame(performance.curves, performance.part, usable, 1.0 - HELD_OUT)
    stored = spread_frames(performance.part, usable, MOST_STORED, HELD_OUT)
    face_px = float(np.median([face_height(face) for face in points[usable]]))
    return FramePlan(
        path=clip.path,
        first=first,
        turned=look.seen.turned,
        points=points,
        box=Box(*head_box(points, usable, best)),
        stored=stored,
        usable=usable,
        best=best,
        face_px=face_px,
    )


def _assembled(
    clip: Clip,
    look: _Look,
    plan: FramePlan,
    performance: _Performance,
    frames: Frames,
    sync: SyncScore,
    segment: tuple[float, float],
) -> PreparedClip:
    believed = (sync.confidence or 0.0) >= _SURE and (sync.peak or 0.0) >= _FITS
    offset_s = (sync.offset_ms or 0.0) / 1000 if believed else 0.0
    speech = None
    if clip.info.has_audio:
        speech = speech_between(clip, segment[0] - offset_s, segment[1] - offset_s)
    assert frames.plate is not None
    height, width = frames.best.shape[:2]
    evidence = Evidence(
        seen=look.seen,
        cuts=int(look.survey.cut[1:].sum()),
        part=performance.part,
        curves=performance.curves,
        faults=performance.faults,
        face_px=plan.face_px,
        unrest=frames.plate.unrest,
        sound=clip.info.has_audio,
        sync=sync,
        believed=believed,
    )
    return PreparedClip(
        fps=_rate(clip, performance.curves),
        width=width,
        height=height,
        segment=segment,
        turned=look.seen.turned,
        curves=performance.curves,
        points=plan.points,
        usable=plan.usable,
        best=plan.best,
        box=plan.box,
        stored=plan.stored,
        plate=frames.plate.picture,
        offset_s=offset_s,
        sync_confidence=sync.confidence,
        sound=clip.info.has_audio,
        speech=speech,
        verdict=verdict(evidence),
        _best=frames.best,
    )


def _rate(clip: Clip, curves: MotionCurves) -> Fraction:
    """Mean frames per second: the header's if it is right within a percent."""
    measured = len(curves) / curves.duration_s
    stated = clip.info.fps
    if stated and abs(float(stated) / measured - 1.0) < 0.01:
        return stated
    return Fraction(measured).limit_denominator(1001)
