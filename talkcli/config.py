"""Settings: typed, frozen and read from TOML recipes, with all mistakes reported together.

In order of precedence: command-line option, ``--set key=value``, ``--recipe``, default.
"""

from __future__ import annotations

import dataclasses
import logging
import reprlib
import typing
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from talkcli import toml
from talkcli.errors import UsageError, did_you_mean
from talkcli.files.check import read_document
from talkcli.sections import (
    ClipConfig,
    FitConfig,
    MggTalkConfig,
    QcConfig,
    SplatPortraitConfig,
    TrainConfig,
)
from talkcli.settings import check_limits, convert, setting

if TYPE_CHECKING:
    from importlib.abc import Traversable

_log = logging.getLogger(__name__)

#: Beyond this the far side of the face is mostly guessed; see docs/log.md for what it looks like.
MAX_VIEW_YAW_DEG = 45.0
#: Longest side of a view, pixels, unless --size overrides it.
DEFAULT_SIZE = 1024
#: Old names of settings, which recipes and --set may still use.
_RENAMED = {"motion.weights": "motion.speech_model"}
#: Limit on a recipe's size; one with every setting and comments takes 3 kB.
_RECIPE_BYTES = 1 << 16
#: How many mistakes are listed; a file with more is hardly a recipe.
_MOST_PROBLEMS = 8
#: The background that requests an alpha channel.
TRANSPARENT = "transparent"


@dataclass(frozen=True)
class VideoConfig:
    """How the pictures look.

    Attributes:
        fps: frames per second as a string: ``25``, ``23.976``, ``30000/1001``.
        size: longest side of one view in pixels, at least 64; 0 takes the source's, at most 1024.
        views: head yaws in degrees, one picture each; empty for the view of the source.
        view_mode: ``camera`` takes the views from a camera that goes around head and body; ``head``
            turns the head alone.
        layout: ``strip`` puts the views side by side, ``files`` writes one file per view.
        camera_path: ``orbit`` swings the view to both sides, ``arc`` sweeps it across once.
        camera_yaw_deg: largest yaw of ``camera_path``, in degrees.
        bg: ``keep``, ``plate``, ``transparent``, a colour (``#rrggbb`` or a name) or the path of a
            picture.
        crf: H.264 quality, 0 (lossless) to 51.
        with_sound: write the sound into a folder of PNGs, too, as ``sound.wav``.
    """

    fps: str = "25"
    size: int = setting(0, low=0, high=4096, even=True, least=64)
    views: tuple[float, ...] = setting((), low=-MAX_VIEW_YAW_DEG, high=MAX_VIEW_YAW_DEG)
    view_mode: str = setting("camera", choices=("camera", "head"))
    layout: str = setting("strip", choices=("strip", "files"))
    camera_path: str = setting("none", choices=("none", "orbit", "arc"))
    camera_yaw_deg: float = setting(30.0, low=0, high=MAX_VIEW_YAW_DEG)
    bg: str = "keep"
    crf: int = setting(18, low=0, high=51)
    with_sound: bool = False


@dataclass(frozen=True)
class MotionConfig:
    """How the head moves.

    Attributes:
        head_motion: amount of idle head motion, 0 (none) to 1.
        still: no head motion at all; the head still blinks.
        still_body: keep the torso where it is; otherwise it follows the head.
        blink_rate: blinks per minute.
        lip_strength: scale of the speech expression; 1 is the size of real speech.
        mood: ``neutral``, ``warm``, ``serious`` or ``bright``.
        expressiveness: scale of what brows, lids and mouth corners do besides speaking; 1 is the
            median of real speakers.
        sync_offset_ms: delay of the mouth relative to the sound; negative moves it earlier.
        expr_scale: scale of the driver's expression; blinks are not scaled.
        pose_scale: scale of the driver's head motion.
        driver_mode: which pose of the driver the portrait's own is: ``relative``, that of the first
            neutral frame; ``absolute``, the same angles; ``auto``, that of the first frame where
            both are alike, else as ``relative``.
        speech_model: ``speech``, or ``speech-clean``, trained on freely licensed clips only.
    """

    head_motion: float = setting(1.0, low=0, high=1)
    still: bool = False
    still_body: bool = False
    blink_rate: float = setting(26.0, low=0, high=60)
    lip_strength: float = setting(1.0, low=0, high=2)
    mood: str = setting("neutral", choices=("neutral", "warm", "serious", "bright"))
    expressiveness: float = setting(1.0, low=0, high=2)
    sync_offset_ms: float = setting(0.0, low=-1000, high=1000)
    expr_scale: float = setting(1.0, low=0, high=2)
    pose_scale: float = setting(1.0, low=0, high=2)
    driver_mode: str = setting("auto", choices=("relative", "absolute", "auto"))
    speech_model: str = setting("speech", choices=("speech", "speech-clean"))


@dataclass(frozen=True)
class TrackingConfig:
    """How faces are followed in clips.

    Attributes:
        landmarks: ``bundled``, the path of a ``face_landmarker.task``, or ``auto``: the file named
            by the variable ``TALKCLI_FACE_LANDMARKER``, or else bundled.
        face: which of several faces in a clip; 0 is the largest in the first frame with a face.
    """

    landmarks: str = "auto"
    face: int = setting(0, low=0, high=99)


@dataclass(frozen=True)
class PortraitConfig:
    """How the avatar is built; every setting is part of its key in the project directory.

    Attributes:
        face: ``largest``, or the index of a face, where 0 is the largest.
        max_crop: longest side of the head crop in pixels; bounds the number of splats (one per
            pixel) and the build time.
        fit_iterations: number of steps of the colour fit.
    """

    face: str = "largest"
    max_crop: int = setting(1024, low=192, high=2048)
    fit_iterations: int = setting(12, low=0, high=100)


@dataclass(frozen=True)
class Recipe:
    """Every setting of a run.

    Attributes:
        seed: random seed of everything that speech leaves open; 0 takes one from the portrait and
            the sound, so that two videos differ and the same command repeats its frames.
        backend: renderer; recorded with the results, but never part of a key.
        engine: engine that makes the avatar, one of :data:`talkcli.engines.registry.ENGINES`;
            ``auto`` takes the best one, and an avatar that is already there.
    """

    seed: int = setting(0, low=0, high=2**32 - 1)
    backend: str = setting("auto", choices=("auto", "cpu", "cuda", "reference"))
    engine: str = "auto"
    video: VideoConfig = field(default_factory=VideoConfig)
    motion: MotionConfig = field(default_factory=MotionConfig)
    tracking: TrackingConfig = field(default_factory=TrackingConfig)
    clip: ClipConfig = field(default_factory=ClipConfig)
    portrait: PortraitConfig = field(default_factory=PortraitConfig)
    fit: FitConfig = field(default_factory=FitConfig)
    mggtalk: MggTalkConfig = field(default_factory=MggTalkConfig)
    qc: QcConfig = field(default_factory=QcConfig)
    splat_portrait: SplatPortraitConfig = field(default_factory=SplatPortraitConfig)
    train: TrainConfig = field(default_factory=TrainConfig)

    def as_json(self) -> dict[str, Any]:
        """All settings as nested dictionaries of JSON values."""
        return dataclasses.asdict(self)


def load_recipe(
    path: str | Path | None = None,
    *,
    sets: Sequence[str] = (),
    options: Mapping[str, Any] | None = None,
) -> Recipe:
    """Combine a recipe, ``--set`` and command-line options into settings.

    Args:
        path: a TOML file, the name of a shipped recipe, or None for the defaults.
        sets: strings of the form ``section.key=value``; the value is read as TOML if possible, and
            otherwise taken as a string.
        options: ``{"section.key": value}``; None values are ignored.

    Raises:
        UsageError: unknown keys or bad values; the message lists all of them.
    """
    problems: list[str] = []
    flat: dict[str, tuple[str, Any]] = {}
    if path is not None:
        label, document = _read_recipe(path)
        for key, value in _flatten(document):
            flat[_current(key)] = (f"{key} in {label}", value)
    for text in sets:
        key, equals, value = text.partition("=")
        if not equals:
            problems.append(f"--set {text} has no '='")
            continue
        flat[_current(key.strip())] = (key.strip(), _read_value(value.strip()))
    for key, value in (options or {}).items():
        if value is not None:
            flat[key] = (f"--{key.rpartition('.')[2].replace('_', '-')}", value)
    recipe = _build(flat, problems)
    if problems:
        told = problems[:_MOST_PROBLEMS]
        if len(problems) > len(told):
            told.append(f"and {len(problems) - len(told)} more")
        raise UsageError("; ".join(told), f"{_listing(flat, problems)} lists the settings")
    return recipe


def _listing(flat: Mapping[str, tuple[str, Any]], problems: Sequence[str]) -> str:
    """Path of the shipped recipe that lists the settings which problems are about."""
    words = {word for problem in problems for word in problem.split()}
    fits = any(key.startswith("fit.") and words & {key, told} for key, (told, _) in flat.items())
    return str(_recipe_folder() / ("audio-plane.toml" if fits else "portrait.toml"))


def recipe_with(recipe: Recipe | None, settings: Mapping[str, Any]) -> Recipe:
    """Change individual settings of a recipe, by the names that Python callers use.

    Args:
        recipe: None for the defaults.
        settings: values by plain name, such as ``views`` for ``video.views``. A name that occurs in
            several sections needs its section and an underscore: ``tracking_face``.

    Raises:
        UsageError: unknown names or bad values; the message lists all of them.
    """
    recipe = recipe or Recipe()
    if not settings:
        return recipe
    known = _known_fields()
    names: dict[str, list[str]] = {}
    for key in known:
        names.setdefault(key.rpartition(".")[2], []).append(key)
        names.setdefault(key.replace(".", "_"), []).append(key)
    values: dict[str, Any] = dict(_flatten(recipe.as_json()))
    problems = []
    for name, value in settings.items():
        keys = sorted(set(names.get(name, [])))
        if len(keys) == 1:
            values[keys[0]] = value
        elif keys:
            choices = " or ".join(key.replace(".", "_") for key in keys)
            problems.append(f"setting {name} occurs in several sections: write {choices}")
        else:
            problems.append(f"unknown setting {name}{did_you_mean(name, names)}")
    if problems:
        raise UsageError("; ".join(problems))
    return load_recipe(options=values)


def shipped_recipes() -> list[str]:
    """Names of recipes that ``--recipe`` accepts without a path."""
    items = _recipe_folder().iterdir()
    return sorted(Path(item.name).stem for item in items if item.name.endswith(".toml"))


def _recipe_folder() -> Traversable:
    """The folder of shipped recipes: inside an installed package, beside it in a checkout."""
    inside = resources.files("talkcli") / "recipes"
    return inside if inside.is_dir() else Path(__file__).parents[1] / "recipes"


def _read_recipe(path: str | Path) -> tuple[str, dict[str, Any]]:
    name = str(path)
    try:
        if name in shipped_recipes():
            text = (_recipe_folder() / f"{name}.toml").read_text("utf-8")
        else:
            text = read_document(Path(path), _RECIPE_BYTES)
        return name, toml.loads(text.removeprefix("\ufeff"))  # as some Windows editors begin
    except OSError as error:
        raise UsageError(
            f"the recipe {name} cannot be read ({error.strerror})",
            f"give a TOML file or one of: {', '.join(shipped_recipes())}",
        ) from error
    except toml.TOMLDecodeError as error:
        raise UsageError(f"the recipe {name} is not TOML ({error})", "fix that line") from error
    except ValueError as error:
        raise UsageError(
            f"{name} cannot be a recipe: {error}", "give a TOML file or a shipped recipe's name"
        ) from error


def _current(key: str) -> str:
    """The current name of a setting; an old name is accepted with a warning."""
    if key not in _RENAMED:
        return key
    _log.warning("the setting %s is now called %s", key, _RENAMED[key])
    return _RENAMED[key]


def _flatten(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """``section.key`` and value of every setting; sections are not nested any deeper."""
    for key, value in table.items():
        if isinstance(value, dict) and not prefix:
            yield from _flatten(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value


def _read_value(text: str) -> Any:
    try:
        return toml.loads(f"value = {text}")["value"]
    except toml.TOMLDecodeError:
        return text


def _known_fields(cls: type = Recipe, prefix: str = "") -> dict[str, tuple[Any, Any]]:
    """``{"section.key": (dataclass field, resolved type)}`` of a settings class."""
    known = {}
    hints = typing.get_type_hints(cls)
    for item in dataclasses.fields(cls):
        hint = hints[item.name]
        if dataclasses.is_dataclass(hint):
            known.update(_known_fields(typing.cast(type, hint), f"{prefix}{item.name}."))
        else:
            known[prefix + item.name] = (item, hint)
    return known


def _build(flat: Mapping[str, tuple[str, Any]], problems: list[str]) -> Recipe:
    known = _known_fields()
    values: dict[str, Any] = {}
    for key, (label, value) in flat.items():
        if key not in known:
            problems.append(f"unknown setting {label}{did_you_mean(key, known)}")
            continue
        item, hint = known[key]
        try:
            values[key] = convert(value, hint)
            check_limits(values[key], item.metadata)
        except ValueError as error:
            problems.append(f"{label} {error}, not {reprlib.repr(value)}")
    if problems:
        return Recipe()
    return _assemble(Recipe, values)


def _assemble(cls: Any, values: Mapping[str, Any], prefix: str = "") -> Any:
    hints = typing.get_type_hints(cls)
    chosen = {}
    for item in dataclasses.fields(cls):
        if dataclasses.is_dataclass(hints[item.name]):
            chosen[item.name] = _assemble(hints[item.name], values, f"{prefix}{item.name}.")
        elif prefix + item.name in values:
            chosen[item.name] = values[prefix + item.name]
    return cls(**chosen)
