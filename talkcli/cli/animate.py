"""``talkcli animate`` and ``talkcli drive``."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from talkcli.cli.engine_option import EngineOptions
from talkcli.cli.options import (
    CommonOptions,
    DriverOptions,
    MotionOptions,
    Portrait,
    ProjectOption,
    SourceOptions,
    SpokenOutputOptions,
    ViewOptions,
    expand_options,
    recipe_from,
)
from talkcli.cli.projects import project_and_rest
from talkcli.cli.qc import QualityOptions
from talkcli.cli.show import running
from talkcli.errors import UsageError

if TYPE_CHECKING:
    from talkcli import Subject
    from talkcli.pipeline.qc import QcReport

# Typer resolves these at run time, on Python 3.10 too.
Speech = Annotated[
    Optional[Path],  # noqa: UP045
    typer.Argument(
        metavar="SPEECH", help="Audio file, or a clip with sound; optional with --driver."
    ),
]
Names = Annotated[
    Optional[list[Path]],  # noqa: UP045
    typer.Argument(
        metavar="[PROJECT] [SPEECH]",
        help="Project directory (omit with -p), then an audio file or a clip with sound.",
    ),
]


@dataclass(frozen=True)
class VideoOptions:
    """What ``animate`` and ``drive`` have in common."""

    driver: DriverOptions
    output: SpokenOutputOptions
    view: ViewOptions
    motion: MotionOptions
    recipe: EngineOptions
    quality: QualityOptions
    common: CommonOptions

    def make(
        self,
        source: Path | Subject,
        speech: Path | None,
        project: Path | None = None,
        **sections: dict[str, object],
    ) -> None:
        """Make the video and show the result; ``sections`` are further settings of the recipe."""
        from talkcli import animate
        from talkcli.pipeline.qc import missed

        video = {**dataclasses.asdict(self.view), "with_sound": self.output.with_sound}
        motion = {**dataclasses.asdict(self.motion), **self.driver.settings()}
        recipe = recipe_from(
            self.recipe, self.recipe.engine, video=video, motion=motion, **sections
        )
        self.quality.refuse(recipe, self.output.output)
        reports: list[QcReport] = []
        with running(self.common, self.output.run(project)) as run:
            result = animate(
                source,
                speech,
                driver=self.driver.file,
                pose_from=self.driver.pose_from,
                output=self.output.output,
                recipe=recipe,
                run=run.options,
            )
            result, reports = self.quality.checked(result, run.options)
            run.show(result)
        if error := missed(reports):
            raise error


@expand_options
def animate_command(
    portrait: Portrait, speech: Speech = None, *, source: SourceOptions, options: VideoOptions
) -> None:
    """Turn a portrait into a video in which it speaks, or follows another face."""
    from talkcli.files.check import check_readable

    if portrait.is_dir():
        # The API would take it for a project.
        check_readable(portrait, "a picture")
    options.make(portrait, speech, source.project, portrait=source.settings())


@expand_options
def drive_command(
    names: Names = None, *, project: ProjectOption = None, options: VideoOptions
) -> None:
    """Make a video in which a project's avatar speaks, or follows another face."""
    from talkcli import Subject

    place, rest = project_and_rest("drive", names, project)
    if len(rest) > 1:
        raise UsageError(f"drive takes one project and one speech file, not {rest[1]} as well")
    options.make(Subject(place), rest[0] if rest else None)
