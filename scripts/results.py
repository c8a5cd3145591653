"""Measure the tool on real clips, and write docs/results.md.

    python -m scripts.results --data ../shared/data                  # 3 s of every clip, an hour
    python -m scripts.results --data ../shared/data --seconds 0      # whole clips, a night

Every clip with confirmed synchrony is made again from one of its frames, by its sound and by its
face, beside two baselines; the three cameras of a recording are compared with the avatar of one of
them. Figures of finished clips are kept in ``--work``, so that an interrupted run goes on.
"""

from __future__ import annotations

import argparse
import json
import subprocess
from pathlib import Path
from typing import Any

from talkcli import runtime

runtime.configure()

from scripts.results_page import page  # noqa: E402
from talkcli.config import load_recipe  # noqa: E402
from talkcli.errors import TalkcliError  # noqa: E402
from talkcli.media.encoder import find_ffmpeg  # noqa: E402
from talkcli.pipeline.evaluate.compare import EvalSettings  # noqa: E402
from talkcli.pipeline.evaluate.reenact import BY, Reenactment  # noqa: E402
from talkcli.pipeline.evaluate.run import EvalRequest, evaluate  # noqa: E402
from talkcli.pipeline.evaluate.views import Views  # noqa: E402
from talkcli.progress import SilentReporter, Stopwatch  # noqa: E402

#: Larger clips are reduced to this, the longer side in pixels, as papers do.
SIDE = 512
CAMERAS = tuple(f"multiview/nersemble_038_cam{k}.mp4" for k in range(3))
SOURCE_CAMERA = 1


def confirmed(data: Path) -> list[dict[str, Any]]:
    """Clips whose speaker is known to be heard in them, with the lag of their picture."""
    rows = json.loads((data / "manifest.json").read_text(encoding="utf-8"))
    clips = json.loads((data / "speech_clips.json").read_text(encoding="utf-8"))
    lags = {row["file"]: row["lag_s"] for row in clips}
    return [
        {"file": row["file"], "lag_s": lags.get(row["file"]) or 0.0}
        for row in rows
        if row["file"].startswith("clips/")
        and str(row.get("own_speech", "")).startswith("confirmed")
    ]


def excerpt(source: Path, target: Path, seconds: float) -> None:
    """The beginning of a clip, its longer side at most ``SIDE`` pixels, nearly without loss."""
    scale = f"scale='min({SIDE},iw)':'min({SIDE},ih)':force_original_aspect_ratio=decrease"
    length = ("-t", str(seconds)) if seconds else ()
    command = [
        *(find_ffmpeg(), "-loglevel", "error", "-y", "-i", str(source), *length),
        *("-vf", f"{scale}:force_divisible_by=2:flags=area", "-c:v", "libx264", "-crf", "8"),
        *("-preset", "veryfast", "-c:a", "copy", str(target)),
    ]
    subprocess.run(command, check=True)


def measured(place: Path, request: EvalRequest) -> dict[str, Any] | None:
    """The answer of ``talkcli eval``, kept in a file; None where a clip cannot be evaluated."""
    if place.is_file():
        return dict(json.loads(place.read_text(encoding="utf-8")))
    try:
        answer = evaluate(request, SilentReporter(), Stopwatch()).as_json()
    except TalkcliError as error:
        print(f"{place.stem}: {error}", flush=True)
        return None
    place.write_text(json.dumps(answer), encoding="utf-8")
    return answer


def reenactments(data: Path, work: Path, seconds: float) -> list[dict[str, Any]]:
    recipe = load_recipe(None)
    rows = []
    for clip in confirmed(data):
        source = data / clip["file"]
        short = work / f"{source.stem}_{seconds:g}.mp4"
        if not short.is_file():
            excerpt(source, short, seconds)
        row: dict[str, Any] = {"clip": source.stem, "lag_ms": round(1000 * clip["lag_s"])}
        for by in BY:
            settings = EvalSettings(lag_s=clip["lag_s"] if by == "speech" else 0.0)
            task = Reenactment(short, by, baselines=by == "speech")
            request = EvalRequest((), recipe, settings, reenact=task)
            row[by] = measured(work / f"{short.stem}_{by}.json", request)
        print(source.stem, flush=True)
        rows.append(row)
    return rows


def novel_views(data: Path, work: Path) -> dict[str, Any] | None:
    cameras = tuple(data / name for name in CAMERAS)
    request = EvalRequest((), load_recipe(None), views=Views(cameras, SOURCE_CAMERA))
    return measured(work / "views.json", request)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, required=True, help="folder with manifest.json")
    parser.add_argument("--seconds", type=float, default=3.0, help="of every clip; 0 for all of it")
    parser.add_argument("--work", type=Path, default=Path("out/results"), help="what is measured")
    parser.add_argument("--bench", type=Path, help="answer of: talkcli bench --json")
    parser.add_argument("--rivals", type=Path, help="answer of: python -m benchmarks.rivals --json")
    parser.add_argument("--fitted", type=Path, help="answer of: python -m benchmarks.fitted --json")
    parser.add_argument("-o", "--output", type=Path, default=Path("docs/results.md"))
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    views = novel_views(args.data, args.work)
    rows = reenactments(args.data, args.work, args.seconds)
    bench, rivals, fitted = (
        None if path is None else json.loads(path.read_text(encoding="utf-8"))
        for path in (args.bench, args.rivals, args.fitted)
    )
    text = page(rows, views, bench, args.seconds, rivals=rivals, fitted=fitted or ())
    args.output.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
