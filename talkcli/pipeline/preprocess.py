"""Prepare a clip of one person, so that an avatar can be fitted to it."""

from __future__ import annotations

from typing import Any

from talkcli.layers.clip import PreparedClip
from talkcli.layers.contact_sheet import SHEET
from talkcli.pipeline.request import Request
from talkcli.pipeline.result import Result
from talkcli.pipeline.stages.inputs import Clip
from talkcli.pipeline.stages.kernels import ensure_kernels
from talkcli.pipeline.stages.prepare import Prepared, ensure_prepared
from talkcli.progress import Reporter, Stopwatch


def preprocess(
    request: Request, clip: Clip, reporter: Reporter, watch: Stopwatch
) -> tuple[Prepared, Result]:
    """Prepare a clip, or reuse what the project holds.

    Args:
        request: ``project`` defaults to ``<clip>.talk`` beside the clip.
        clip: a clip of a face.
        reporter: receives progress and warnings.
        watch: receives the seconds of every part of the work.

    Raises:
        UsageError: ``clip.segment`` is no segment.
        InputError: not a clip, or too little of a face in it.
        MissingDependencyError: the requested landmark network is not available.
    """
    _ = clip.info  # reading it checks the clip
    root = request.project or clip.path.with_name(f"{clip.path.stem}.talk")
    run = request.begin(root, reporter, watch)
    if not request.dry_run:
        ensure_kernels(reporter, watch)
    prepared = ensure_prepared(run, clip)
    return prepared, Result.of(request, run, (), (prepared.stage,), _facts(prepared))


def _facts(prepared: Prepared) -> dict[str, Any]:
    clip = prepared.clip
    if clip is None:
        return {"prepared": None, "contact_sheet": None}
    sheet = (prepared.stage.path / SHEET).absolute()
    return {"prepared": _described(clip), "contact_sheet": str(sheet)}


def _described(clip: PreparedClip) -> dict[str, Any]:
    return {
        "segment_s": [round(time, 3) for time in clip.segment],
        "frames": len(clip),
        "usable": int(clip.usable.sum()),
        "stored": len(clip.stored),
        "width": clip.width,
        "height": clip.height,
        "fps": str(clip.fps),
        "turned": clip.turned,
        "best_frame": clip.best,
        "box": list(clip.box),
        "crop_px": clip.crop_pixels,
        "sound": clip.sound,
        "offset_s": round(clip.offset_s, 4),
        "sync_confidence": clip.sync_confidence,
        "verdict": dict(clip.verdict),
    }
