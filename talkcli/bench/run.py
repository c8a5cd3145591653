"""Everything that ``talkcli bench`` measures, one after the other."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from talkcli import __version__
from talkcli.bench.machine import describe_machine
from talkcli.bench.renderer import SCENES, SceneTimings, time_renderer
from talkcli.bench.video import Film, FilmTimings, repeat_speech, time_film
from talkcli.errors import UsageError
from talkcli.progress import Reporter, SilentReporter
from talkcli.render import choose_backend

#: The sample lies beside the package in a checkout, and is not part of an installation.
SAMPLE = Path(__file__).parents[2] / "assets"
_THREE_VIEWS = (-30.0, 0.0, 30.0)


@dataclass(frozen=True)
class BenchRequest:
    """What is to be measured.

    Attributes:
        backend: renderer, as asked for.
        scenes: splats and side in px of each head that the renderer draws.
        repeats: rounds that count.
        portrait: picture for the films; None for the sample, where it is at hand.
        speech: likewise.
        seconds: length of the films; 0 for no films.
        size: longest side of one view, px.
        three_views: also film three views side by side.
    """

    backend: str = "auto"
    scenes: tuple[tuple[int, int], ...] = SCENES
    repeats: int = 40
    portrait: Path | None = None
    speech: Path | None = None
    seconds: float = 60.0
    size: int = 512
    three_views: bool = True

    def quick(self) -> BenchRequest:
        """The same in a fraction of the time, for a first idea."""
        return replace(self, repeats=5, seconds=min(self.seconds, 5.0), three_views=False)


@dataclass(frozen=True)
class BenchResult:
    """What was measured.

    Attributes:
        machine: of :func:`talkcli.bench.machine.describe_machine`.
        backend: renderer that drew.
        reason: why it.
        renderer: per scene.
        build: the film of a picture that was never seen before; None without films.
        films: with the avatar in the cache.
    """

    machine: dict[str, Any]
    backend: str
    reason: str
    renderer: list[SceneTimings]
    build: FilmTimings | None
    films: list[FilmTimings]

    def as_json(self) -> dict[str, Any]:
        """Plain values, keys as documented in docs/cli.md."""
        return {
            "command": "bench",
            "version": __version__,
            "machine": self.machine,
            "backend": self.backend,
            "reason": self.reason,
            "renderer": [scene.as_json() for scene in self.renderer],
            "build": None if self.build is None else _build_as_json(self.build),
            "animate": [film.as_json() for film in self.films],
        }


def run_bench(request: BenchRequest, reporter: Reporter | None = None) -> BenchResult:
    """Measure the renderer, the build of a portrait and films, as far as asked for.

    Raises:
        UsageError: the slow reference was asked for.
        MissingDependencyError: the renderer asked for is not there.
        InputError: portrait or speech cannot be used.
    """
    reporter = reporter or SilentReporter()
    choice = choose_backend(request.backend)
    if choice.name == "reference":
        raise UsageError("the reference renderer is not made for speed", "use --backend cpu")
    machine = describe_machine()
    task = reporter.begin("renderer")
    renderer = time_renderer(choice.name, request.scenes, request.repeats)
    reporter.end(task)
    build, films = None, []
    sources = _sources(request, reporter) if request.seconds else None
    if sources is not None:
        task = reporter.begin("films")
        build, *films = _time_films(request, *sources, choice.name)
        reporter.end(task)
    return BenchResult(machine, choice.name, choice.reason, renderer, build, films)


def _sources(request: BenchRequest, reporter: Reporter) -> tuple[Path, Path] | None:
    from talkcli.files.check import check_readable

    portrait = request.portrait or SAMPLE / "portrait.png"
    speech = request.speech or SAMPLE / "speech.wav"
    for given, path in ((request.portrait, portrait), (request.speech, speech)):
        if given is None and not path.is_file():
            reporter.warn(
                "films are not timed: name a picture and speech with --portrait, --speech"
            )
            return None
    return check_readable(portrait, "a picture"), check_readable(speech, "a recording")


def _time_films(
    request: BenchRequest, portrait: Path, speech: Path, backend: str
) -> Iterator[FilmTimings]:
    """First the film that builds the avatar, then those that find it."""
    with tempfile.TemporaryDirectory(prefix="talkcli-bench-") as name:
        folder = Path(name)
        sounds = {}
        for label, seconds in (("short", min(1.0, request.seconds)), ("whole", request.seconds)):
            sounds[label] = folder / f"{label}.wav"
            repeat_speech(speech, seconds, sounds[label])
        film = Film(
            portrait=str(portrait.resolve()),
            speech=str(sounds["short"]),
            project=str(folder / "warm"),
            output=str(folder / "film.mp4"),
            size=request.size,
            backend=backend,
        )
        # The first one may compile kernels, and finds no library in the system's cache.
        time_film(film)
        film = replace(film, project=str(folder / "avatar"))
        yield time_film(film)
        film = replace(film, speech=str(sounds["whole"]))
        yield time_film(film)
        if request.three_views:
            yield time_film(replace(film, views=_THREE_VIEWS))


def _build_as_json(film: FilmTimings) -> dict[str, Any]:
    """What a new picture costs before its first frame."""
    parts = {name: film.seconds[name] for name in ("track", "build") if name in film.seconds}
    return {"seconds": round(sum(parts.values()), 3), "parts": parts,
            "first_frame_s": round(film.first_frame_s, 3)}  # fmt: skip
