"""Measure how real people move, and write the reference that ships with talkcli.

    python -m scripts.motion_reference --data ../shared/data

Takes every talking person in ``DIR/manifest.json`` whose clip is long enough. A person with several
clips counts once, by the mean of the clips. Only percentiles over all people are written: no
picture, sound, landmark or figure of a single person.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from pathlib import Path

import numpy as np

from talkcli import runtime
from talkcli.config import Recipe
from talkcli.errors import InputError
from talkcli.files.atomic import write_text_atomic
from talkcli.metrics.motion import motion_statistics
from talkcli.metrics.reference import SCHEMA, summarise
from talkcli.progress import SilentReporter, Stopwatch
from talkcli.weights.registry import shipped

#: Shorter clips have no statistics, seconds.
SHORTEST_S = 4.0


def measure(data: Path) -> tuple[list[dict[str, float | None]], int]:
    """Statistics of every person, and the number of clips."""
    from talkcli.pipeline.observe import observe
    from talkcli.pipeline.stages.inputs import Clip

    people: dict[str, list[dict[str, float | None]]] = defaultdict(list)
    for entry in json.loads((data / "manifest.json").read_text("utf-8")):
        fits = entry["file"].startswith("clips/") and entry["kind"].startswith("talking")
        if not fits or entry["duration_s"] < SHORTEST_S:
            continue
        try:
            clip = Clip(data / entry["file"])
            observed = observe(clip, Recipe(), SilentReporter(), Stopwatch())
        except InputError as error:
            print(f"left out: {error}")
            continue
        statistics = motion_statistics(observed)
        if statistics["yaw_amount"] is None:
            continue
        people[entry["identity"]].append(statistics)
        print(f"{entry['file']}: {len(observed.times)} frames")
    clips = sum(len(each) for each in people.values())
    return [mean(each) for each in people.values()], clips


def mean(clips: list[dict[str, float | None]]) -> dict[str, float | None]:
    """Mean of every statistic over the clips of one person that have it."""
    found: dict[str, float | None] = {}
    for name in clips[0]:
        values = [value for clip in clips if (value := clip[name]) is not None]
        found[name] = float(np.mean(values)) if values else None
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with manifest.json")
    parser.add_argument("-o", "--output", type=Path, default=shipped("motion-reference"))
    options = parser.parse_args()
    runtime.configure()
    runtime.silence_native_logs()
    people, clips = measure(options.data)
    document = {
        "schema": SCHEMA,
        "people": len(people),
        "clips": clips,
        "statistics": summarise(people),
    }
    write_text_atomic(options.output, json.dumps(document, indent=1) + "\n")
    print(f"{len(people)} people in {clips} clips: {options.output}")


if __name__ == "__main__":
    main()
