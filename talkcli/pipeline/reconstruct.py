"""A picture becomes an avatar in a project directory."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from talkcli import __version__
from talkcli.config import Recipe
from talkcli.pipeline.checks import check_outputs
from talkcli.pipeline.result import stages_as_json
from talkcli.pipeline.stages.avatar import ensure_avatar, plan_avatar
from talkcli.progress import Reporter, SilentReporter, Stopwatch
from talkcli.project import Project, StageRun


@dataclass(frozen=True)
class ReconstructRequest:
    """What ``reconstruct`` was asked for.

    Attributes:
        portrait: picture file.
        project: its directory; None for ``<portrait>.talk`` beside the picture.
        ply: where the neutral head goes as a 3DGS file, or None.
        recipe: all settings.
        overwrite: an existing ``ply`` may be replaced.
        dry_run: check everything, make nothing.
    """

    portrait: Path
    project: Path | None
    ply: Path | None
    recipe: Recipe
    overwrite: bool = False
    dry_run: bool = False


@dataclass(frozen=True)
class ReconstructResult:
    """What ``reconstruct`` made.

    Attributes:
        project: directory that holds the avatar.
        outputs: the ``.ply`` if one was asked for.
        stages: what was executed and what was reused.
        seconds: by part of the work.
        total_seconds: the whole command.
        recipe: all settings.
        dry_run: nothing was made.
    """

    project: Path
    outputs: tuple[Path, ...]
    stages: tuple[StageRun, ...]
    seconds: dict[str, float]
    total_seconds: float
    recipe: Recipe
    dry_run: bool = False

    def as_json(self) -> dict[str, Any]:
        """Plain values, keys as documented in docs/cli.md."""
        return {
            "command": "reconstruct",
            "version": __version__,
            "dry_run": self.dry_run,
            "outputs": [str(path) for path in self.outputs],
            "project": str(self.project),
            "stages": stages_as_json(self.stages, self.dry_run),
            "seconds": {name: round(value, 3) for name, value in self.seconds.items()},
            "total_seconds": round(self.total_seconds, 3),
            "recipe": self.recipe.as_json(),
        }


def reconstruct(request: ReconstructRequest, reporter: Reporter | None = None) -> ReconstructResult:
    """Build the avatar of a picture, or reuse it.

    Args:
        request: picture, project, settings.
        reporter: told about progress.

    Raises:
        InputError: no usable face, or a place that cannot be written.
    """
    from talkcli.files.check import check_readable
    from talkcli.files.output import check_output

    reporter = reporter or SilentReporter()
    watch = Stopwatch()
    portrait = check_readable(request.portrait, "a picture")
    outputs = () if request.ply is None else (request.ply,)
    check_outputs(
        outputs, (portrait,), lambda path: check_output(path, overwrite=request.overwrite)
    )
    root = request.project or portrait.with_name(f"{portrait.stem}.talk")
    if request.dry_run:
        stages = plan_avatar(root, portrait, request.recipe, reporter)
    else:
        avatar = ensure_avatar(Project.create(root), portrait, request.recipe, reporter, watch)
        stages = avatar.stages
        if request.ply is not None:
            with watch.measure("export"):
                _export(avatar.path, request.ply, request.overwrite)
    return ReconstructResult(
        root, outputs, stages, watch.seconds, watch.total(), request.recipe, request.dry_run
    )


def _export(avatar: Path, path: Path, overwrite: bool) -> None:
    from talkcli.engines.portrait.avatar import PortraitAvatar
    from talkcli.export.ply import write_ply

    write_ply(path, PortraitAvatar.load(avatar).neutral_gaussians(), overwrite=overwrite)
