"""How well and how fast are faces tracked? A table over a folder of clips.

    python -m benchmarks.tracking ../shared/data/clips
    python -m benchmarks.tracking DIR --model face_landmarker.task --every 4

Per clip: the share of the lips' motion in x and y that the weights explain; the correlation of lip
aperture and width between the solved face and the landmarks; the share of frames that were filled
in; the jitter of the weights (root mean square of second differences); frames per second including
decoding, landmarks and solving; and processor time per frame over all threads, which other load
does not distort. The last lines are medians, the worst tenth and the mean share of flagged frames.
The fit is measured against the landmarks themselves, including their errors.
"""

from __future__ import annotations

import argparse
import time
from contextlib import closing
from pathlib import Path

from talkcli import runtime

runtime.configure()

import numpy as np  # noqa: E402

from talkcli.errors import InputError  # noqa: E402
from talkcli.face.alignment import PICTURE_DEPTH, align_heads  # noqa: E402
from talkcli.face.measures import lip_aperture, lip_width  # noqa: E402
from talkcli.face.model import FaceModel  # noqa: E402
from talkcli.face.topology import LIPS  # noqa: E402
from talkcli.tracking.clip import measure_clip, solve_spool  # noqa: E402
from talkcli.tracking.follow import FaceFollower, LandmarkSource, open_landmarks  # noqa: E402
from talkcli.tracking.gaps import fill_gaps  # noqa: E402
from talkcli.tracking.spool import LandmarkSpool  # noqa: E402

SUFFIXES = (".mp4", ".mov", ".mkv", ".webm", ".avi", ".m4v")
COLUMNS = ("lips", "aperture", "width", "flagged", "jitter", "fps", "cpu_ms")
FEWEST = 20


def judge(path: Path, source: LandmarkSource) -> dict[str, float]:
    started, busy = time.perf_counter(), time.process_time()
    with LandmarkSpool() as spool:
        for measured in measure_clip(path, FaceFollower(source)):
            spool.append(measured)
        if spool.found < FEWEST:
            raise InputError(f"{path.name}: a face in only {spool.found} frames")
        person, curves = solve_spool(spool, FaceModel.load())
        seconds, busy = time.perf_counter() - started, time.process_time() - busy
        filled = [frame.points for frame in fill_gaps(iter(spool), person)]
    heads = align_heads(np.array(filled)[curves.tracked], person.rigid, PICTURE_DEPTH)
    shift = heads.points - person.neutral
    weights = curves.expression[curves.tracked]
    solved = np.einsum("tk,kvd->tvd", weights, person.basis)
    moved, rest = (part[:, list(LIPS), :2] for part in (shift, shift - solved))
    return {
        "lips": 1
        - float(((rest - rest.mean(0)) ** 2).sum() / ((moved - moved.mean(0)) ** 2).sum()),
        "aperture": float(np.corrcoef(lip_aperture(shift), lip_aperture(solved))[0, 1]),
        "width": float(np.corrcoef(lip_width(shift), lip_width(solved))[0, 1]),
        "flagged": float(1 - curves.tracked.mean()),
        "jitter": float(np.sqrt((np.diff(curves.expression, 2, axis=0) ** 2).mean())),
        "fps": len(curves) / seconds,
        "cpu_ms": 1000 * busy / len(curves),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", default="auto", help="a face_landmarker.task, or bundled")
    parser.add_argument("--every", type=int, default=1, help="only every n-th clip")
    args = parser.parse_args()
    paths = sorted(p for p in args.folder.iterdir() if p.suffix.lower() in SUFFIXES)
    rows = []
    print(f"{'clip':48s} " + " ".join(f"{name:>8s}" for name in COLUMNS))
    for path in paths[:: args.every]:
        try:
            with closing(open_landmarks(args.model)) as source:
                row = judge(path, source)
        except InputError as error:
            print(f"{path.stem[-48:]:48s} {error}")
            continue
        rows.append(row)
        figures = " ".join(f"{row[name]:8.3f}" for name in COLUMNS)
        print(f"{path.stem[-48:]:48s} {figures}", flush=True)
    table = np.array([[row[name] for name in COLUMNS] for row in rows])
    worst = np.where(np.isin(COLUMNS, ("flagged", "jitter", "cpu_ms")), 0.9, 0.1)
    tenth = [float(np.quantile(table[:, k], q)) for k, q in enumerate(worst)]
    for name, values in (("median", np.median(table, 0)), ("worst tenth", tenth)):
        print(f"{name:48s} " + " ".join(f"{value:8.3f}" for value in values))
    print(f"{len(rows)} clips, {100 * table[:, 3].mean():.2f} % of frames flagged on average")


if __name__ == "__main__":
    main()
