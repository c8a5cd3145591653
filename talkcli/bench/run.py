"""The measurements of ``talkcli bench``."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from talkcli import __version__
from talkcli.bench.cost import Cost, cheapest, film_cost, film_lengths
from talkcli.bench.machine import describe_machine
from talkcli.bench.renderer import SCENES, SceneTimings, time_renderer
from talkcli.bench.video import VideoJob, VideoTimings, repeat_speech, time_video
from talkcli.bench.yardstick import Yardsticks
from talkcli.errors import UsageError
from talkcli.progress import Reporter, SilentReporter
from talkcli.render import choose_backend

#: The sample is next to the package in a checkout and not part of an installation.
SAMPLE = Path(__file__).parents[2] / "assets"
_THREE_VIEWS = (-30.0, 0.0, 30.0)


@dataclass(frozen=True)
class BenchRequest:
    """What to measure.

    Attributes:
        backend: name of the renderer, or ``auto``.
        scenes: number of splats and side of the picture (px) of each head to draw.
        repeats: number of timed rounds.
        portrait: picture for the videos; None for the sample, if it is there.
        speech: sound for the videos; likewise.
        seconds: length of the videos; 0 for none.
        size: longest side of one view, px.
        three_views: also make a video of three views side by side.
        cost_rounds: how often the films are made whose parts are timed; the least time counts.
    """

    backend: str = "auto"
    scenes: tuple[tuple[int, int], ...] = SCENES
    repeats: int = 40
    portrait: Path | None = None
    speech: Path | None = None
    seconds: float = 60.0
    size: int = 512
    three_views: bool = True
    cost_rounds: int = 2

    def quick(self) -> BenchRequest:
        """A shorter version for a first idea."""
        return replace(
            self, repeats=5, seconds=min(self.seconds, 5.0), three_views=False, cost_rounds=1
        )


@dataclass(frozen=True)
class BenchResult:
    """What was measured.

    Attributes:
        machine: see :func:`talkcli.bench.machine.describe_machine`.
        backend: renderer that was used.
        reason: why that one.
        speed: of one core, in turns with the rest.
        renderer: timings of each scene.
        cost: of a second of film, one view; None without videos.
        build: the video of a new picture, including its avatar; None without videos.
        videos: with the avatar in the cache.
    """

    machine: dict[str, Any]
    backend: str
    reason: str
    speed: Yardsticks
    renderer: list[SceneTimings]
    build: VideoTimings | None
    videos: list[VideoTimings]
    cost: Cost | None

    def as_json(self) -> dict[str, Any]:
        """Plain values, keys as documented in docs/cli.md."""
        return {
            "command": "bench",
            "version": __version__,
            "machine": self.machine,
            "backend": self.backend,
            "reason": self.reason,
            "speed": self.speed.as_json(),
            "renderer": [scene.as_json() for scene in self.renderer],
            "build": None if self.build is None else _build_as_json(self.build),
            "cost": self.cost and self.cost.as_json(self.speed.sgemm_gflops),
            "animate": [video.as_json() for video in self.videos],
        }


def run_bench(request: BenchRequest, reporter: Reporter | None = None) -> BenchResult:
    """Measure the renderer, the build of a portrait and videos, as requested.

    Raises:
        UsageError: the reference renderer was requested.
        MissingDependencyError: the requested renderer is not available.
        InputError: portrait or speech cannot be used.
        TalkcliError: a process that measures has failed.
    """
    reporter = reporter or SilentReporter()
    choice = choose_backend(request.backend)
    if choice.name == "reference":
        raise UsageError("the reference renderer is not made for speed", "use --backend cpu")
    machine, speed = describe_machine(), Yardsticks()
    task = reporter.begin("renderer")
    speed.take_turn()
    renderer = time_renderer(choice.name, request.scenes, request.repeats)
    speed.take_turn()
    reporter.end(task)
    result = BenchResult(machine, choice.name, choice.reason, speed, renderer, None, [], None)
    sources = _sources(request, reporter) if request.seconds else None
    if sources is None:
        return result
    task = reporter.begin("videos")
    build, cost, videos = _time_videos(request, sources, choice.name, speed)
    reporter.end(task)
    return replace(result, build=build, cost=cost, videos=videos)


def _sources(request: BenchRequest, reporter: Reporter) -> tuple[Path, Path] | None:
    from talkcli.files.check import check_readable

    portrait = request.portrait or SAMPLE / "portrait.png"
    speech = request.speech or SAMPLE / "speech.wav"
    for given, path in ((request.portrait, portrait), (request.speech, speech)):
        if given is None and not path.is_file():
            reporter.warn(
                "videos are not timed: give a picture and speech with --portrait and --speech"
            )
            return None
    return check_readable(portrait, "a picture"), check_readable(speech, "a recording")


def _time_videos(
    request: BenchRequest, sources: tuple[Path, Path], backend: str, speed: Yardsticks
) -> tuple[VideoTimings, Cost, list[VideoTimings]]:
    """The video that builds the avatar, the cost of films, and videos that reuse it."""
    portrait, speech = sources
    with tempfile.TemporaryDirectory(prefix="talkcli-bench-") as name:
        folder = Path(name)

        def sound(seconds: float) -> str:
            path = folder / f"{seconds}.wav"
            repeat_speech(speech, seconds, path)
            return str(path)

        job = VideoJob(
            portrait=str(portrait.resolve()),
            speech=sound(min(1.0, request.seconds)),
            project=str(folder / "warm"),
            output=str(folder / "video.mp4"),
            size=request.size,
            backend=backend,
        )
        # The first one may compile kernels, and finds no library in the system's cache.
        time_video(job)
        job = replace(job, project=str(folder / "avatar"))
        build = time_video(job)
        speed.take_turn()
        films = [replace(job, speech=sound(s)) for s in film_lengths(request.seconds)]
        made = []
        for _ in range(request.cost_rounds):
            made.append([time_video(film, single=True).film for film in films])
            speed.take_turn()
        cost = film_cost(*(cheapest(same) for same in zip(*made, strict=True)))
        job = replace(job, speech=sound(request.seconds))
        videos = [time_video(job)]
        if request.three_views:
            speed.take_turn()
            videos.append(time_video(replace(job, views=_THREE_VIEWS)))
    return build, cost, videos


def _build_as_json(video: VideoTimings) -> dict[str, Any]:
    """What a new picture costs before its first frame, as plain values."""
    parts = {name: video.seconds[name] for name in ("track", "build") if name in video.seconds}
    return {"seconds": round(sum(parts.values()), 3), "parts": parts,
            "first_frame_s": round(video.first_frame_s, 3)}  # fmt: skip
