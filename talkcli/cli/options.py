"""Options that several commands share, as dataclasses that :func:`expand_options` unfolds.

A command takes a few of these objects instead of twenty parameters; Typer sees every field as a
separate parameter, in a help panel named after the class docstring. A field of None was not given
on the command line and is left to the recipe. Numbers stay text here, so that the recipe's check
is the only one and its messages are the same everywhere.
"""

from __future__ import annotations

import copy
import dataclasses
import functools
import inspect
import typing
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from talkcli.config import Recipe, load_recipe
from talkcli.errors import UsageError

if TYPE_CHECKING:
    from talkcli.api import RunOptions

# Typer resolves these at run time, on Python 3.10 too, where "str | None" has no Annotated twin.
_Text = Optional[str]  # noqa: UP045
_File = Optional[Path]  # noqa: UP045

Portrait = Annotated[Path, typer.Argument(metavar="PORTRAIT", help="A picture with a face.")]
ProjectArgument = Annotated[
    _File, typer.Argument(metavar="PROJECT", help="Project directory; omit it with -p.")
]
ProjectOption = Annotated[_File, typer.Option("-p", "--project", help="Project directory.")]


def _named_output(path: _File) -> _File:
    """Refuse an output without a name, as ``-o "$NAME.mp4"`` gives where NAME is not set.

    A folder of PNGs would else take its place: hidden, or that of the working directory.
    """
    if path is None or (path.name not in ("", "-", "..") and path.name not in _ENDINGS):
        return path
    if path.name == "-":
        raise UsageError("nothing is written to stdout", "name a file")
    raise UsageError(f"-o {path} names no file", "give the output a name, such as talk.mp4")


#: Endings of outputs; a file that is only one of them would be hidden.
_ENDINGS = (".mp4", ".m4v", ".mov", ".png", ".jpg", ".webp", ".csv", ".npz", ".ply")

Output = Annotated[
    _File,
    typer.Option(
        "-o",
        "--output",
        help="Output path (default: beside the input).",
        callback=_named_output,
    ),
]
Overwrite = Annotated[bool, typer.Option("-y", "--overwrite", help="Overwrite existing outputs.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Check the inputs and show the plan only.")]


@dataclass(frozen=True)
class CommonOptions:
    """Messages."""

    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object to stdout.")] = (
        False
    )
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="Print errors only.")] = False
    verbose: Annotated[
        bool, typer.Option("-v", "--verbose", help="Also print back-end and cache decisions.")
    ] = False
    debug: Annotated[bool, typer.Option("--debug", help="Print tracebacks and native logs.")] = (
        False
    )


@dataclass(frozen=True)
class OutputOptions:
    """Output."""

    output: Output = None
    overwrite: Overwrite = False
    dry_run: DryRun = False

    def run(self, project: Path | None) -> RunOptions:
        """How the command runs, without a reporter yet."""
        return run_options(project, self.overwrite, self.dry_run)


@dataclass(frozen=True)
class SpokenOutputOptions(OutputOptions):
    """Output."""

    with_sound: Annotated[
        Optional[bool],  # noqa: UP045
        typer.Option(
            "--with-sound",
            help="Write the sound into a folder of PNGs, too, as sound.wav.",
            show_default=False,
        ),
    ] = None


@dataclass(frozen=True)
class SourceOptions:
    """Portrait."""

    project: Annotated[
        _File, typer.Option("-p", "--project", help="Project directory to keep the avatar in.")
    ] = None
    face: Annotated[
        _Text, typer.Option(metavar="largest|INDEX", help="Which face to use; 0 is the largest.")
    ] = None

    def settings(self) -> dict[str, Any]:
        """Those of the options that are recipe settings."""
        return {"face": self.face}


@dataclass(frozen=True)
class ViewOptions:
    """Picture."""

    views: Annotated[
        _Text,
        typer.Option(
            metavar="DEG,DEG,...", help="Head yaws, e.g. -30,0,30 (default: as in the source)."
        ),
    ] = None
    view_mode: Annotated[
        _Text,
        typer.Option(
            metavar="camera|head",
            help="Views: a camera that goes around the person, or a head that turns "
            "(default: camera).",
        ),
    ] = None
    layout: Annotated[
        _Text,
        typer.Option(metavar="strip|files", help="All views side by side, or one file per view."),
    ] = None
    camera_path: Annotated[
        _Text,
        typer.Option(metavar="orbit|arc", help="Move the camera around the head during the video."),
    ] = None
    size: Annotated[
        _Text,
        typer.Option(metavar="PX", help="Longest side; even (default: as source, ≤ 1024)."),
    ] = None
    fps: Annotated[
        _Text,
        typer.Option(
            metavar="RATE", help="Frames per second: 25, 23.976, 30000/1001 (default: 25)."
        ),
    ] = None
    bg: Annotated[
        _Text,
        typer.Option(
            metavar="BG",
            help="keep, plate, transparent, a colour or a picture file (default: keep).",
        ),
    ] = None


@dataclass(frozen=True)
class MotionOptions:
    """Motion."""

    head_motion: Annotated[
        _Text, typer.Option(metavar="0..1", help="Amount of idle head motion (default: 1).")
    ] = None
    still: Annotated[
        Optional[bool],  # noqa: UP045
        typer.Option("--still", help="Keep the head still; it still blinks.", show_default=False),
    ] = None
    still_body: Annotated[
        Optional[bool],  # noqa: UP045
        typer.Option(
            "--still-body",
            help="Keep the shoulders still; they follow the head otherwise.",
            show_default=False,
        ),
    ] = None
    blink_rate: Annotated[
        _Text, typer.Option(metavar="N", help="Blinks per minute (default: 17).")
    ] = None
    lip_strength: Annotated[
        _Text, typer.Option(metavar="0..2", help="Scale the lip motion (default: 1).")
    ] = None
    mood: Annotated[
        _Text, typer.Option(metavar="NAME", help="neutral, warm, serious or bright.")
    ] = None
    expressiveness: Annotated[
        _Text,
        typer.Option(metavar="0..2", help="Scale brows, lids and smiles (default: 1)."),
    ] = None
    sync_offset_ms: Annotated[
        _Text, typer.Option(metavar="MS", help="Delay the mouth against the sound (default: 0).")
    ] = None


@dataclass(frozen=True)
class DriverOptions:
    """Driver."""

    driver: Annotated[
        _File,
        typer.Option(
            "--driver",
            metavar="FILE",
            help="Face to follow: a clip, or curves (Live Link Face .csv, or .npz).",
        ),
    ] = None
    # The old spelling.
    expr: Annotated[_File, typer.Option("--expr", metavar="FILE", hidden=True)] = None
    pose_from: Annotated[
        _File,
        typer.Option(
            "--pose-from", metavar="FILE", help="Clip or curves to take the head pose from."
        ),
    ] = None
    expr_scale: Annotated[
        _Text, typer.Option(metavar="0..2", help="Scale the driver's expression (default: 1).")
    ] = None
    pose_scale: Annotated[
        _Text, typer.Option(metavar="0..2", help="Scale the driver's head motion (default: 1).")
    ] = None
    driver_mode: Annotated[
        _Text, typer.Option(metavar="MODE", help="Pose: relative, absolute or auto (default).")
    ] = None

    def settings(self) -> dict[str, Any]:
        """Those of the options that are motion settings of the recipe."""
        names = ("expr_scale", "pose_scale", "driver_mode")
        return {name: getattr(self, name) for name in names}

    @property
    def file(self) -> Path | None:
        """The driver, by either spelling of the option.

        Raises:
            UsageError: both spellings were used.
        """
        if self.driver is not None and self.expr is not None:
            raise UsageError("the driver is named twice", "use --driver only")
        return self.driver or self.expr


@dataclass(frozen=True)
class RecipeOptions:
    """Settings."""

    recipe: Annotated[
        _Text,
        typer.Option(
            "--recipe", metavar="FILE", help="Recipe: a TOML file or the name of a shipped one."
        ),
    ] = None
    sets: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option("--set", metavar="KEY=VALUE", help="Set one value, e.g. video.crf=14."),
    ] = None
    seed: Annotated[_Text, typer.Option(metavar="N", help="Seed (0: from the files).")] = None
    backend: Annotated[
        _Text,
        typer.Option(
            metavar="NAME", help="auto, cpu, cuda or reference (very slow) (default: auto)."
        ),
    ] = None


def recipe_from(options: RecipeOptions, engine: str | None = None, **sections: Any) -> Recipe:
    """All settings of a command; options override ``--set``, ``--recipe`` and the defaults.

    Args:
        options: recipe, sets, seed, backend.
        engine: of commands that make or pose avatars.
        sections: options that belong to each recipe section, as a dataclass or a dict.

    Raises:
        UsageError: as :func:`talkcli.config.load_recipe`.
    """
    values: dict[str, Any] = {"seed": options.seed, "backend": options.backend, "engine": engine}
    for name, group in sections.items():
        fields = group if isinstance(group, dict) else dataclasses.asdict(group)
        values |= {f"{name}.{field}": value for field, value in fields.items()}
    return load_recipe(options.recipe, sets=options.sets or (), options=values)


def run_options(project: Path | None, overwrite: bool, dry_run: bool) -> RunOptions:
    """How a command runs; its time counts from the start of the process."""
    from talkcli import RunOptions, runtime
    from talkcli.progress import Stopwatch

    watch = Stopwatch(runtime.process_age())
    return RunOptions(project=project, overwrite=overwrite, dry_run=dry_run, watch=watch)


def expand_options(function: Callable[..., None]) -> Callable[..., None]:
    """Present every field of the dataclass parameters to Typer as a parameter of the command.

    A field may be such a dataclass itself.
    """
    hints = typing.get_type_hints(function, include_extras=True)
    groups = {name: hint for name, hint in hints.items() if dataclasses.is_dataclass(hint)}
    parameters: list[inspect.Parameter] = []
    for name, parameter in inspect.signature(function).parameters.items():
        if name in groups:
            parameters.extend(_field_parameters(groups[name]))
        else:
            kind = inspect.Parameter.KEYWORD_ONLY
            hint = _without_implied_optional(hints[name])
            parameters.append(parameter.replace(annotation=hint, kind=kind))

    @functools.wraps(function)
    def command(**values: Any) -> None:
        gathered = {name: _gather(group, values) for name, group in groups.items()}
        function(**values, **gathered)

    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {item.name: item.annotation for item in parameters}
    return command


def _without_implied_optional(hint: Any) -> Any:
    """Remove the extra Optional that Python 3.10 puts around hints of parameters set to None.

    Typer does not look for its options inside it.
    """
    arguments = typing.get_args(hint)
    if arguments and typing.get_origin(arguments[0]) is typing.Annotated:
        return arguments[0]
    return hint


def _field_parameters(cls: Any) -> Iterator[inspect.Parameter]:
    panel = (inspect.getdoc(cls) or "").rstrip(".")
    hints = typing.get_type_hints(cls, include_extras=True)
    for field in dataclasses.fields(cls):
        if dataclasses.is_dataclass(hints[field.name]):
            yield from _field_parameters(hints[field.name])
            continue
        kind, option = typing.get_args(hints[field.name])
        option = copy.copy(option)
        option.rich_help_panel = panel
        yield inspect.Parameter(
            field.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=field.default,
            annotation=Annotated[kind, option],
        )


def _gather(cls: Any, values: dict[str, Any]) -> Any:
    """An object of a group, made of the values of its options, which are taken out."""
    hints = typing.get_type_hints(cls)
    return cls(
        **{
            field.name: _gather(hints[field.name], values)
            if dataclasses.is_dataclass(hints[field.name])
            else values.pop(field.name)
            for field in dataclasses.fields(cls)
        }
    )
