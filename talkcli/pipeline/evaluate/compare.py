"""Compare a made video with the real one: every figure, in one pass over the frames."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from talkcli.config import Recipe
from talkcli.errors import InputError
from talkcli.metrics.expression import performance_scores, yaw_score
from talkcli.metrics.image import PsnrScores, SsimScores
from talkcli.metrics.landmarks import LandmarkScores
from talkcli.metrics.lips import LipScores, LipTracks
from talkcli.metrics.observed import Heard, Observed
from talkcli.metrics.optional import optional_metrics
from talkcli.metrics.pair import FramePair, PairMetric
from talkcli.metrics.result import Metric, shown
from talkcli.metrics.seam import SeamError
from talkcli.metrics.shots import Gallery
from talkcli.metrics.sync import SyncScore, sync_score
from talkcli.metrics.temporal import Flicker, Jitter
from talkcli.pipeline.evaluate.pairs import PairedFrames, Side
from talkcli.pipeline.stages.heard import listen
from talkcli.pipeline.stages.inputs import Clip
from talkcli.pipeline.stages.landmarks import measure_clips
from talkcli.progress import Reporter, Stopwatch
from talkcli.tracking.lips import lips_of
from talkcli.tracking.person import Person
from talkcli.types import MotionCurves

#: Keys of :attr:`Comparison.facts`.
FACTS = (
    *("width", "height", "align", "lag_ms", "made_frames", "real_frames", "made_dropped"),
    *("real_dropped", "apart_ms", "made_fps", "real_fps", "duration_s", "frames_used"),
    "frames_without_face",
)
#: Pairs that metrics may be at while the next one is decoded.
_SHOWN_AT_ONCE = 2
#: Figures that mean nothing where faces are laid over each other in every frame.
_MOVED_BY_ALIGNMENT = {"place_error", "jitter", "flicker_background", "flicker_torso"}


@dataclass(frozen=True)
class EvalSettings:
    """How two videos are compared.

    Attributes:
        lag_s: how much later the real picture shows what the made one shows.
        align: see :class:`talkcli.pipeline.evaluate.pairs.PairedFrames`.
        leave_out: likewise.
    """

    lag_s: float = 0.0
    align: str = "auto"
    leave_out: int | None = None


@dataclass(frozen=True)
class Context:
    """What all comparisons of a command share.

    Attributes:
        recipe: its ``tracking`` settings apply.
        settings: how videos are compared.
        reporter: receives progress and warnings.
        watch: receives the seconds of every part of the work.
        pictures: whether pictures for a report are collected.
        made_here: whether the made videos are this command's own; users are not warned of them.
    """

    recipe: Recipe
    settings: EvalSettings
    reporter: Reporter
    watch: Stopwatch
    pictures: bool = False
    made_here: bool = False


@dataclass(frozen=True)
class Comparison:
    """A made video, judged against the real one.

    Attributes:
        name: what it is called in tables.
        made: the video that was judged.
        real: the video that it should be.
        metrics: the figures.
        facts: frames used and dropped, sizes and alignment, as JSON values by :data:`FACTS`.
        tracks: the lips of both.
        poses: ``[n, 6]`` yaw, pitch and roll of the made and the real head at ``tracks.times``,
            degrees.
        gallery: pictures for a report, or None.
    """

    name: str
    made: Path
    real: Path
    metrics: tuple[Metric, ...]
    facts: dict[str, Any]
    tracks: LipTracks
    poses: np.ndarray
    gallery: Gallery | None = None

    def value(self, name: str) -> float | None:
        """The value of a figure by its name; None if it is missing."""
        return next((row.value for row in self.metrics if row.name == name), None)

    def as_json(self) -> dict[str, Any]:
        """The comparison as JSON values, with the keys documented in docs/cli.md."""
        return {
            "name": self.name,
            "made": str(self.made.absolute()),
            "real": str(self.real.absolute()),
            **self.facts,
            "metrics": [row.as_json() for row in self.metrics],
        }


def compare(name: str, made: Clip, real: Clip, context: Context) -> Comparison:
    """Track both videos, and measure how close they come.

    Args:
        name: what the pair is called in tables.
        made: the video that is judged.
        real: the video that it should be.
        context: settings, progress and times.

    Raises:
        InputError: a file that is no video, shows no face, or has no instant in common.
        MissingDependencyError: the requested landmark network is not available.
    """
    own = (made.path,) if context.made_here else ()
    clips = measure_clips((made, real), context.recipe, context.reporter, context.watch, own)
    return compare_measured(name, clips[0], clips[1], context, (made, real))


def compare_measured(
    name: str, made: Side, real: Side, context: Context, sounds: Sequence[Clip]
) -> Comparison:
    """Measure how close two videos come whose landmarks are known.

    Args:
        name: what the pair is called in tables.
        made: the video that is judged.
        real: the video that it should be.
        context: settings, progress and times.
        sounds: where to look for the sound; the last is the real clip.

    Raises:
        InputError: the videos have no instant in common.
    """
    from talkcli.face.model import FaceModel
    from talkcli.tracking.clip import solve_spool

    settings = context.settings
    with context.watch.measure("solve"):
        person, wanted = solve_spool(real.spool, FaceModel.load())
        _, found = solve_spool(made.spool, FaceModel.load(), person)
        heard = _hear(sounds, person, context)
    pairs = PairedFrames(made, real, settings.lag_s, settings.align, settings.leave_out)
    lips = LipScores(person.rigid, heard)
    gallery = Gallery(len(pairs.pairing)) if context.pictures else None
    seers: list[PairMetric] = [SsimScores(), PsnrScores(), LandmarkScores(), lips]
    seers += [Jitter(), Flicker(), SeamError(), *optional_metrics(_sound_file(sounds, heard))]
    seers += [] if gallery is None else [gallery]
    seen = _look(pairs, seers, context)
    # SSIM, which takes longest, begins first; readers expect PSNR first.
    rows = [row for seer in (seers[1], seers[0], *seers[2:]) for row in seer.finish()]
    if pairs.align == "frame":
        rows = [_unless_aligned(row) for row in rows]
    rows += performance_scores(found, wanted, settings.lag_s)
    facts = {**_facts(pairs, made, real, settings), **seen}
    assert set(facts) == set(FACTS)
    poses = np.concatenate(
        [_pose(found, lips.tracks.times, 0.0), _pose(wanted, lips.tracks.times, settings.lag_s)], 1
    )
    rows.append(yaw_score(poses[:, 0], poses[:, 3]))
    own = _hear(sounds[-1:], person, context)
    rows += [
        _beside(*both)
        for both in zip(
            synchrony(made, person, found, heard).metrics(),
            synchrony(real, person, wanted, own).metrics(),
            strict=True,
        )
    ]
    return Comparison(name, made.path, real.path, tuple(rows), facts, lips.tracks, poses, gallery)


def _unless_aligned(row: Metric) -> Metric:
    """The figure, or none if it is about what aligning every frame takes away or adds."""
    if row.name not in _MOVED_BY_ALIGNMENT:
        return row
    return replace(row, value=None, frames=None, note="not where faces are laid over each other")


def _look(pairs: PairedFrames, seers: Sequence[PairMetric], context: Context) -> dict[str, int]:
    """Show every pair to every metric.

    The first, which takes longest, works beside all the others, and neither waits for the other
    before its next pair; meanwhile, the one after that is decoded.
    """
    task = context.reporter.begin("compare", len(pairs.pairing))
    used = faceless = 0
    begun: deque[tuple[Future[None], ...]] = deque()

    def decoded() -> Iterator[FramePair]:
        # One pair ahead of the metrics.
        frames = iter(pairs)
        coming = decoder.submit(next, frames, None)
        while (pair := coming.result()) is not None:
            coming = decoder.submit(next, frames, None)
            yield pair

    def show(pair: FramePair, some: Sequence[PairMetric]) -> None:
        for seer in some:
            seer.add(pair)

    def wait(most: int) -> None:
        while len(begun) > most:
            for part in begun.popleft():
                part.result()
            task.advance()

    with (
        context.watch.measure("compare"),
        ThreadPoolExecutor(1) as decoder,
        ThreadPoolExecutor(1) as longest,
        ThreadPoolExecutor(1) as others,
    ):
        for pair in decoded():
            begun.append(
                (longest.submit(show, pair, seers[:1]), others.submit(show, pair, seers[1:]))
            )
            used += 1
            faceless += pair.made_points is None or pair.real_points is None
            wait(_SHOWN_AT_ONCE)
        wait(0)
    context.reporter.end(task)
    if not used:
        raise InputError(
            "no pair of frames shows the face in both videos",
            "use --align none to compare the pictures as they are",
        )
    return {"frames_used": used, "frames_without_face": faceless}


def _facts(pairs: PairedFrames, made: Side, real: Side, settings: EvalSettings) -> dict[str, Any]:
    pairing, (height, width) = pairs.pairing, pairs.size
    return {
        "width": width,
        "height": height,
        "align": pairs.align,
        "lag_ms": round(1000 * settings.lag_s, 1),
        "made_frames": len(made.spool),
        "real_frames": len(real.spool),
        "made_dropped": pairing.made_dropped,
        "real_dropped": pairing.real_dropped,
        "apart_ms": round(pairing.apart_ms, 2),
        "made_fps": _rate(made),
        "real_fps": _rate(real),
        "duration_s": round(float(real.spool.duration_s), 3),
    }


def _rate(clip: Side) -> float:
    return round(1.0 / clip.spool.step_s, 3) if clip.spool.step_s > 0 else 0.0


def _pose(curves: MotionCurves, times: np.ndarray, lag_s: float) -> np.ndarray:
    """``[n, 3]`` yaw, pitch and roll at some times."""
    columns = [np.interp(times + lag_s, curves.times, column) for column in curves.rotation.T]
    return np.stack(columns, 1)


def _hear(clips: Sequence[Clip], person: Person, context: Context) -> Heard | None:
    """The sound of the first of some clips that has any."""
    for clip in clips:
        try:
            heard = listen(clip, person, context.recipe.motion.speech_model)
        except InputError:
            # A track that cannot be decoded is treated as absent.
            continue
        if heard is not None:
            return heard
    return None


def _sound_file(sounds: Sequence[Clip], heard: Heard | None) -> Path | None:
    """The file whose sound was heard."""
    if heard is None:
        return None
    return next((clip.path for clip in sounds if clip.info.has_audio), None)


def synchrony(side: Side, person: Person, curves: MotionCurves, heard: Heard | None) -> SyncScore:
    """How well the lips of a video go with the sound."""
    aperture, width = lips_of(side.spool, person)
    still = np.full(len(aperture), np.nan)
    return sync_score(Observed(curves, aperture, width, still, heard))


def _beside(made: Metric, real: Metric) -> Metric:
    """The figure of the made video, with that of the real one in its note."""
    if made.value is None or real.value is None:
        return made
    unit = f" {made.unit}" if made.unit else ""
    return made.with_note(f"real clip: {shown(real.value)}{unit}")
