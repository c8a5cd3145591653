"""Settings: typed, frozen, read from TOML recipes, with every mistake reported at once.

A setting is found in this order: command-line option, ``--set key=value``, ``--recipe``, default.
"""

from __future__ import annotations

import dataclasses
import difflib
import logging
import reprlib
import typing
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from talkcli import toml
from talkcli.errors import UsageError
from talkcli.files.check import read_document

if TYPE_CHECKING:
    from importlib.abc import Traversable

_log = logging.getLogger(__name__)

#: Beyond this the far side of the face is mostly guessed; see docs/log.md for what it looks like.
MAX_VIEW_YAW_DEG = 45.0
#: Longest side of a view unless --size says otherwise.
DEFAULT_SIZE = 1024
#: Former names of settings that recipes and --set may still use.
_RENAMED = {"motion.weights": "motion.speech_model"}
#: A recipe of every setting with comments is 3 kB.
_RECIPE_BYTES = 1 << 16
#: More mistakes than these at once are no recipe.
_MOST_PROBLEMS = 8
#: The background that asks for an alpha channel.
TRANSPARENT = "transparent"


def setting(
    default: Any,
    *,
    low: float | None = None,
    high: float | None = None,
    choices: Sequence[str] = (),
    even: bool = False,
    least: int = 0,
) -> Any:
    """A dataclass field with the limits that :func:`load_recipe` checks.

    Args:
        default: used when nobody says otherwise.
        low: smallest allowed number, also of each in a list.
        high: largest.
        choices: the only texts allowed.
        even: the number must be even.
        least: smallest allowed number but for 0, which leaves the choice to somebody else.
    """
    limits = {"low": low, "high": high, "choices": tuple(choices), "even": even, "least": least}
    return field(default=default, metadata=limits)


@dataclass(frozen=True)
class VideoConfig:
    """What the pictures look like.

    Attributes:
        fps: frames per second as written: ``25``, ``23.976``, ``30000/1001``.
        size: longest side of one view in pixels, at least 64; 0 takes the source's, at most 1024.
        views: head yaws in degrees, one picture each; empty for the source's own view.
        layout: ``strip`` puts the views side by side, ``files`` writes one file each.
        camera_path: ``orbit`` swings the head to both sides, ``arc`` turns it over once.
        camera_yaw_deg: how far ``camera_path`` turns it.
        bg: ``keep``, ``plate``, ``transparent``, ``#rrggbb`` or the path of a picture.
        crf: quality of H.264, 0 (lossless) to 51.
    """

    fps: str = "25"
    size: int = setting(0, low=0, high=4096, even=True, least=64)
    views: tuple[float, ...] = setting((), low=-MAX_VIEW_YAW_DEG, high=MAX_VIEW_YAW_DEG)
    layout: str = setting("strip", choices=("strip", "files"))
    camera_path: str = setting("none", choices=("none", "orbit", "arc"))
    camera_yaw_deg: float = setting(30.0, low=0, high=MAX_VIEW_YAW_DEG)
    bg: str = "keep"
    crf: int = setting(18, low=0, high=51)


@dataclass(frozen=True)
class MotionConfig:
    """How the head behaves.

    Attributes:
        head_motion: idle head motion, 0 (none) to 1.
        still: no head motion at all; blinks stay.
        blink_rate: blinks per minute.
        lip_strength: factor on the speech expression.
        sync_offset_ms: > 0 lets the mouth move later than the sound.
        expr_scale: factor on the expression of a driver; blinks stay whole.
        pose_scale: factor on the head motion of a driver.
        speech_model: ``speech``, or ``speech-clean``, trained on freely licensed clips alone.
    """

    head_motion: float = setting(1.0, low=0, high=1)
    still: bool = False
    blink_rate: float = setting(17.0, low=0, high=60)
    lip_strength: float = setting(1.0, low=0, high=2)
    sync_offset_ms: float = setting(0.0, low=-1000, high=1000)
    expr_scale: float = setting(1.0, low=0, high=2)
    pose_scale: float = setting(1.0, low=0, high=2)
    speech_model: str = setting("speech", choices=("speech", "speech-clean"))


@dataclass(frozen=True)
class TrackingConfig:
    """How faces are followed in films.

    Attributes:
        landmarks: ``bundled``, the path of a ``face_landmarker.task``, or ``auto``: the file that
            the variable ``TALKCLI_FACE_LANDMARKER`` names, else bundled.
        face: of several faces in a film; 0 is the largest of the first frame that shows any.
    """

    landmarks: str = "auto"
    face: int = setting(0, low=0, high=99)


@dataclass(frozen=True)
class PortraitConfig:
    """How the avatar is built; everything here is part of its key in the project directory.

    Attributes:
        face: ``largest``, or the number of a face, 0 for the largest.
        max_crop: longest side of the head crop in pixels; bounds splats (one per pixel) and time.
        fit_iterations: steps of the colour fit.
    """

    face: str = "largest"
    max_crop: int = setting(1024, low=192, high=2048)
    fit_iterations: int = setting(12, low=0, high=100)


@dataclass(frozen=True)
class Recipe:
    """Every setting of a run.

    Attributes:
        seed: of everything random; the same seed gives the same frames.
        backend: renderer; recorded with what it made, never part of a key.
        engine: what makes the avatar, one of :data:`talkcli.engines.registry.ENGINES`.
    """

    seed: int = setting(0, low=0, high=2**32 - 1)
    backend: str = setting("auto", choices=("auto", "cpu", "cuda", "reference"))
    engine: str = "portrait"
    video: VideoConfig = field(default_factory=VideoConfig)
    motion: MotionConfig = field(default_factory=MotionConfig)
    tracking: TrackingConfig = field(default_factory=TrackingConfig)
    portrait: PortraitConfig = field(default_factory=PortraitConfig)

    def as_json(self) -> dict[str, Any]:
        """Plain nested values."""
        return dataclasses.asdict(self)


def load_recipe(
    path: str | Path | None = None,
    *,
    sets: Sequence[str] = (),
    options: Mapping[str, Any] | None = None,
) -> Recipe:
    """Settings from a recipe, ``--set`` and options of the command line.

    Args:
        path: a TOML file, or the name of a shipped recipe, or None for the defaults.
        sets: ``section.key=value`` each; the value is read as TOML, else taken as text.
        options: ``{"section.key": value}``; None values are ignored.

    Raises:
        UsageError: names every unknown key and every bad value together.
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
        raise UsageError(
            "; ".join(told), f"{_recipe_folder() / 'portrait.toml'} lists the settings"
        )
    return recipe


def recipe_with(recipe: Recipe | None, settings: Mapping[str, Any]) -> Recipe:
    """A recipe with single settings changed, as Python callers name them.

    Args:
        recipe: None for the defaults.
        settings: by plain name, ``views`` for ``video.views``; with the section and an underscore,
            ``tracking_face``, where the plain name stands in several sections.

    Raises:
        UsageError: names every unknown name and every bad value together.
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
            problems.append(f"setting {name} stands in several sections: write {choices}")
        else:
            near = difflib.get_close_matches(name, names, n=1)
            problems.append(f"unknown setting {name}" + (f" (is it {near[0]}?)" if near else ""))
    if problems:
        raise UsageError("; ".join(problems))
    return load_recipe(options=values)


def shipped_recipes() -> list[str]:
    """Names that ``--recipe`` takes without a path."""
    items = _recipe_folder().iterdir()
    return sorted(Path(item.name).stem for item in items if item.name.endswith(".toml"))


def _recipe_folder() -> Traversable:
    """The shipped recipes: inside an installed package, beside the package in a checkout."""
    inside = resources.files("talkcli") / "recipes"
    return inside if inside.is_dir() else Path(__file__).parents[1] / "recipes"


def _read_recipe(path: str | Path) -> tuple[str, dict[str, Any]]:
    name = str(path)
    try:
        if name in shipped_recipes():
            text = (_recipe_folder() / f"{name}.toml").read_text("utf-8")
        else:
            text = read_document(Path(path), _RECIPE_BYTES)
        return name, toml.loads(text)
    except OSError as error:
        raise UsageError(
            f"the recipe {name} cannot be read ({error.strerror})",
            f"give a TOML file or one of: {', '.join(shipped_recipes())}",
        ) from error
    except toml.TOMLDecodeError as error:
        raise UsageError(f"the recipe {name} is not TOML ({error})", "mend that line") from error
    except ValueError as error:
        raise UsageError(
            f"{name} cannot be a recipe: {error}", "give a TOML file or a shipped recipe's name"
        ) from error


def _current(key: str) -> str:
    """The present name of a setting; an old one is accepted, and said to be old."""
    if key not in _RENAMED:
        return key
    _log.warning("the setting %s is now called %s", key, _RENAMED[key])
    return _RENAMED[key]


def _flatten(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """``section.key`` and value of every setting; no deeper, for nothing is known down there."""
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
            near = difflib.get_close_matches(key, known, n=1)
            problems.append(f"unknown setting {label}" + (f" (is it {near[0]}?)" if near else ""))
            continue
        item, hint = known[key]
        try:
            values[key] = _convert(value, hint)
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


def _convert(value: Any, hint: Any) -> Any:
    """``value`` as the type of a setting, or ValueError with what it should be."""
    if typing.get_origin(hint) is tuple:
        parts = value.split(",") if isinstance(value, str) else value
        if not isinstance(parts, list | tuple):
            parts = [parts]
        return tuple(_convert(part, typing.get_args(hint)[0]) for part in parts)
    if hint is bool:
        if isinstance(value, bool):
            return value
        raise ValueError("must be true or false")
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError(f"must be {_TYPE_NAMES[hint]}")
    try:
        if hint is int and float(value) != int(float(value)):
            raise ValueError
        return int(float(value)) if hint is int else hint(value)
    except (ValueError, OverflowError) as error:
        raise ValueError(f"must be {_TYPE_NAMES[hint]}") from error


_TYPE_NAMES = {int: "a whole number", float: "a number", str: "a text"}


def check_limits(value: Any, limits: Mapping[str, Any]) -> None:
    """Refuse a value outside the limits of its :func:`setting`.

    Args:
        value: of the setting's type; each number of a list is checked.
        limits: the metadata of the dataclass field.

    Raises:
        ValueError: what the value must be.
    """
    if not limits:
        return
    low, high = limits["low"], limits["high"]
    for number in value if isinstance(value, tuple) else (value,):
        # Written so that NaN fails too.
        if (low is not None and not number >= low) or (high is not None and not number <= high):
            raise ValueError(f"must be {_range(low, high)}")
    if limits["choices"] and value not in limits["choices"]:
        raise ValueError(f"must be one of {', '.join(limits['choices'])}")
    if limits["least"] and 0 < value < limits["least"]:
        raise ValueError(f"must be 0 or at least {limits['least']}")
    if limits["even"] and value % 2:
        raise ValueError("must be even")


def _range(low: float | None, high: float | None) -> str:
    if low is None:
        return f"at most {high:g}"
    return f"at least {low:g}" if high is None else f"between {low:g} and {high:g}"
