"""The whole way from a picture and speech to a video, timed in separate processes.

A user starts a fresh process, so importing libraries and loading models counts. Run as a module,
this file is that process.
"""

from __future__ import annotations

import json
import sys
import time
import wave
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from talkcli import runtime
from talkcli.bench.cost import CpuStopwatch, Film
from talkcli.bench.worker import answer, ask
from talkcli.bench.yardstick import children_seconds, one_thread
from talkcli.config import load_recipe
from talkcli.progress import SilentReporter
from talkcli.speech.sound import RATE_HZ


@dataclass(frozen=True)
class VideoJob:
    """A video for one process to make.

    Attributes:
        portrait: picture file.
        speech: sound file.
        project: directory of the avatar.
        output: file of the video; replaced if it exists.
        size: longest side of one view, px; 0 for the picture's own.
        views: head yaws in degrees; empty for the picture's own view.
        backend: renderer.
    """

    portrait: str
    speech: str
    project: str
    output: str
    size: int = 512
    views: tuple[float, ...] = ()
    backend: str = "auto"


@dataclass(frozen=True)
class VideoTimings:
    """How long one process took.

    Attributes:
        views: number of views side by side.
        duration_s: length of the video.
        first_frame_s: from the start of the process until the first frame was handed to the
            encoder.
        total_s: from the start of the process until the video was complete.
        seconds: by part of the work; parts overlap, so their sum exceeds the total.
        peak_memory_mb: of the process, without ffmpeg's.
        frames: number of frames.
        cpu: CPU seconds of each of :data:`talkcli.bench.cost.PARTS`; the time of helping threads is
            in ``other``.
    """

    views: int
    duration_s: float
    first_frame_s: float
    total_s: float
    seconds: dict[str, float]
    peak_memory_mb: float | None
    frames: int
    cpu: dict[str, float]

    @property
    def film(self) -> Film:
        """What :func:`talkcli.bench.cost.film_cost` compares."""
        return Film(self.duration_s, self.frames, self.cpu)

    @property
    def real_time_factor(self) -> float:
        """Seconds of work per second of video; below 1 is faster than real time."""
        return self.total_s / self.duration_s

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        values: dict[str, Any] = {}
        values |= {k: round(v, 3) if isinstance(v, float) else v for k, v in asdict(self).items()}
        values["cpu_s"] = round(sum(values.pop("cpu").values()), 3)
        return {**values, "real_time_factor": round(self.real_time_factor, 3)}


def time_video(job: VideoJob, *, single: bool = False) -> VideoTimings:
    """Make a video in a fresh process and time it.

    Args:
        job: the video.
        single: with one compute thread, so that the CPU time of every part is known.

    Raises:
        InputError: a file cannot be used.
        MissingDependencyError: the requested renderer is not available.
        TalkcliError: the process failed in another way.
    """
    started = time.time()
    told = ask(
        "talkcli.bench.video",
        json.dumps(asdict(job)),
        failure="no video could be made for timing",
        environment=one_thread() if single else None,
    )
    return VideoTimings(views=len(job.views) or 1, total_s=time.time() - started, **told)


def repeat_speech(speech: Path, seconds: float, target: Path) -> None:
    """Write 16 kHz mono sound of a given length, the speech over and over or cut short.

    Raises:
        InputError: no sound can be read from ``speech``.
    """
    import numpy as np

    from talkcli.media.audio import stream_pcm

    once = np.concatenate(list(stream_pcm(speech, RATE_HZ)))
    samples = np.resize(once, round(seconds * RATE_HZ))
    with wave.open(str(target), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE_HZ)
        file.writeframes((samples.clip(-1, 1) * 32767).astype("<i2").tobytes())


def make_video(job: VideoJob) -> Iterator[tuple[str, Any]]:
    """Make the video in this process; yields names and values for :func:`time_video`."""
    from talkcli.bench.machine import peak_memory_mb
    from talkcli.pipeline.animate import animate
    from talkcli.pipeline.request import Request
    from talkcli.pipeline.stages.inputs import DriveInputs

    recipe = load_recipe(options={"backend": job.backend, "video.size": job.size})
    recipe = replace(recipe, video=replace(recipe.video, views=tuple(job.views)))
    request = Request("animate", recipe, Path(job.project), Path(job.output), overwrite=True)
    inputs, portrait = DriveInputs(job.speech), Path(job.portrait)
    watch = CpuStopwatch(runtime.process_age())
    result = animate(request, inputs, portrait, SilentReporter(), watch)
    yield "duration_s", result.facts["duration_s"]
    yield "first_frame_s", result.facts["first_frame_s"]
    yield "seconds", {name: round(value, 3) for name, value in result.seconds.items()}
    yield "peak_memory_mb", peak_memory_mb()
    yield "frames", result.facts["frames"]
    yield "cpu", watch.parts(time.process_time(), children_seconds())


def main(arguments: Sequence[str]) -> int:
    """The process: a job as JSON in its argument, what it took as JSON on stdout."""
    return answer(lambda: dict(make_video(VideoJob(**json.loads(arguments[0])))))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
