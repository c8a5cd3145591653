"""Turn a clip of a face into a file of curves."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from talkcli.errors import UsageError
from talkcli.motion.curves import CURVE_SUFFIXES
from talkcli.pipeline.checks import check_files
from talkcli.pipeline.request import Request
from talkcli.pipeline.result import Result
from talkcli.pipeline.stages.inputs import Clip
from talkcli.pipeline.stages.track import ensure_track
from talkcli.progress import Reporter, Stopwatch
from talkcli.project import cached_project_root

if TYPE_CHECKING:
    from talkcli.types import MotionCurves


def track(
    request: Request, clip: Clip, reporter: Reporter, watch: Stopwatch
) -> tuple[MotionCurves | None, Result]:
    """Track the performance in a clip, or reuse it, and write it to the output, if there is one.

    Args:
        request: ``output`` is ``.csv`` or ``.npz``, or None for no file; ``project`` keeps the
            stage, and None keeps it in the user's cache.
        clip: the clip of a face.
        reporter: receives progress and warnings.
        watch: receives the seconds of every part of the work.

    Returns:
        The curves, which are None in a plan if the clip has not been tracked yet, and the result.

    Raises:
        UsageError: an output that is neither .csv nor .npz.
        InputError: not a video, no face in it, or an output that cannot be written.
        MissingDependencyError: the requested landmark network is not available.
    """
    _ = clip.info  # reading it checks the clip
    outputs = () if request.output is None else (request.output,)
    _check_outputs(outputs, clip.path, request.overwrite)
    root = request.project or cached_project_root(clip.source.sha256)
    run = request.begin(root, reporter, watch)
    performance = ensure_track(run, clip)
    if performance.curves is not None and not request.dry_run:
        with watch.measure("encode"):
            for output in outputs:
                _write(output, performance.curves, request.overwrite)
    facts = {"clip": performance.about}
    return performance.curves, Result.of(request, run, outputs, (performance.stage,), facts)


def _check_outputs(outputs: tuple[Path, ...], clip: Path, overwrite: bool) -> None:
    for output in outputs:
        if output.suffix.lower() not in CURVE_SUFFIXES:
            raise UsageError(
                f"curves cannot be written as '{output.suffix}'",
                "give a .csv or .npz file with -o",
            )
    check_files(outputs, (clip,), overwrite=overwrite)


def _write(path: Path, curves: MotionCurves, overwrite: bool) -> None:
    """Write curves as CSV at a constant whole frame rate, or as NPZ exactly as tracked."""
    import numpy as np

    from talkcli.motion.curves import resample, write_csv, write_npz

    if path.suffix.lower() == ".npz":
        write_npz(path, curves, overwrite=overwrite)
        return
    # Timecodes count whole frames: 29.97 would drift by a frame in half a minute.
    step = float(np.median(np.diff(curves.times))) if len(curves) > 1 else 0.04
    fps = Fraction(max(1, round(1.0 / step)))
    write_csv(path, resample(curves, fps).frames, fps, overwrite=overwrite)
