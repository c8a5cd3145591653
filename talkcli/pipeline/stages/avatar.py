"""The stages from a picture to an avatar, including the choice of a face."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from talkcli.config import DEFAULT_SIZE, Recipe
from talkcli.engines.registry import AUTO, ENGINES, engine
from talkcli.errors import InputError, UsageError
from talkcli.files.check import read_json
from talkcli.pipeline.stages.faces import FoundFace, FoundFaces, choose_face, describe_face
from talkcli.pipeline.stages.inputs import Picture
from talkcli.pipeline.stages.runner import ensure, ensure_and_read
from talkcli.progress import Task
from talkcli.project import ProjectInput, Stage, StageRun
from talkcli.project.run import Run
from talkcli.project.stage import RECORD_NAME

if TYPE_CHECKING:
    import numpy as np

    from talkcli.avatar import Avatar

_log = logging.getLogger(__name__)

#: Increased whenever face detection gives a different result. Engines have their own versions.
PORTRAIT_VERSION = 1
#: Without a face, a picture whose transparent share exceeds this is told of.
_MUCH_HIDDEN = 0.3


@dataclass(frozen=True)
class BuiltAvatar:
    """The stages that lead to an avatar.

    Attributes:
        stages: in order, ending with that of the avatar, which may not exist yet in a plan.
        picture: width and height of its picture, if known without reading the avatar.
    """

    stages: tuple[StageRun, ...]
    picture: tuple[int, int] | None = None

    @cached_property
    def avatar(self) -> Avatar:
        """The avatar, read on first use.

        Raises:
            InputError: its files are damaged, of a newer schema, or from an unknown engine.
        """
        return load_avatar(self.stages[-1])

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of its picture, pixels."""
        if self.picture is not None:
            return self.picture
        return self.avatar.info.width, self.avatar.info.height


def portrait_stage(source: ProjectInput) -> Stage:
    """The stage that finds all faces of a picture."""
    picture = {"picture": source.sha256}
    return Stage("portrait", PORTRAIT_VERSION, {}, picture, FoundFaces.load)


def avatar_stage(
    source: ProjectInput, found: StageRun, faces: FoundFaces, face: int, recipe: Recipe
) -> Stage:
    """The stage that makes the avatar of one face, at the resolution that the recipe sets."""
    maker = engine(recipe.engine)
    values = {
        "engine": maker.name,
        "face": face,
        "output_side": output_side(faces, recipe),
        **maker.key(recipe),
    }
    upstream = {"picture": source.sha256, "portrait": found.output_hash}
    return Stage("avatar", maker.version, values, upstream, maker.check)


def output_side(faces: FoundFaces, recipe: Recipe) -> int:
    """The longest side of the views that an avatar is made for, pixels.

    At most that of the picture, so that an overlarge ``--size`` does not build it again.
    """
    return min(recipe.video.size or DEFAULT_SIZE, max(faces.width, faces.height))


def ensure_avatar(run: Run, picture: Picture) -> BuiltAvatar:
    """Build the avatar of a picture, or reuse the one in the project.

    Args:
        run: supplies the face, size and effort; ``load``, ``track`` and ``build`` are timed.
        picture: the picture file.

    Raises:
        InputError: the picture is unreadable, or has no usable face or not the requested one.
        UsageError: no such engine, or one that needs a clip.
    """
    maker = engine(run.recipe.engine)
    if maker.source != "picture":
        raise UsageError(
            f"the engine {maker.name} makes avatars from clips, not from one picture",
            "choose another one with --engine NAME",
        )
    _log.info("engine %s (--engine %s)", maker.name, run.recipe.engine)
    with run.lock():
        with run.watch.measure("load"):
            source = picture.source
        work = _PictureWork(picture, run)
        found, faces = ensure_and_read(
            run, portrait_stage(source), work.find_faces, "track", FoundFaces.load
        )
        index = choose_face(faces.faces, run.recipe.portrait.face, picture.path, run.reporter)
        stage = avatar_stage(source, found, faces, index, run.recipe)

        def build(directory: Path, task: Task) -> None:
            work.build(faces.faces[index], output_side(faces, run.recipe), directory)

        built = ensure(run, stage, build, "build")
        if not run.dry:
            run.project.set_input("portrait", source)
    return BuiltAvatar((found, built), (faces.width, faces.height))


def stored_avatar(run: Run) -> BuiltAvatar:
    """The avatar in a project; rebuilt from its picture if it is damaged, or of another engine.

    Raises:
        InputError: there is none, or it is damaged and its picture is gone or has changed.
        UsageError: an engine is asked for that there is not, or that needs a clip.
    """
    project = run.project
    current = project.current("avatar", _check_stored)
    if current is not None:
        made_by = current.recipe.get("engine")
        if run.recipe.engine in (AUTO, made_by):
            return BuiltAvatar((current,))
        if "portrait" not in project.inputs:
            raise InputError(
                f"the avatar in {project.root} is of the engine {made_by}, and the project has no "
                f"picture to make one of {run.recipe.engine} from",
                "leave out --engine",
            )
    source = project.inputs.get("portrait")
    if source is None:
        raise InputError(
            f"{project.root} holds no avatar",
            f"make one with: talkcli reconstruct PORTRAIT -p {project.root}",
        )
    if not source.unchanged():
        raise InputError(
            f"the avatar in {project.root} is damaged, and its portrait {source.path} is gone",
            f"rebuild it with: talkcli reconstruct PORTRAIT -p {project.root}",
        )
    return ensure_avatar(run, Picture(source.path))


def _check_stored(directory: Path) -> None:
    """Let the engine that made an entry check it; an unknown engine passes unchecked."""
    name = read_json(directory / RECORD_NAME)["recipe"].get("engine")
    if isinstance(name, str) and name in ENGINES:
        engine(name).check(directory)


def load_avatar(entry: StageRun) -> Avatar:
    """Read the avatar in a stage entry, with the engine that made it.

    Raises:
        InputError: its files are damaged, of a newer schema, or from an unknown engine.
    """
    name = entry.recipe.get("engine")
    if not isinstance(name, str) or name not in ENGINES:
        raise InputError(
            f"the avatar in {entry.path} was made by an unknown engine, {name!r}",
            "update talkcli, or rebuild it with: talkcli reconstruct PORTRAIT",
        )
    return engine(name).load(entry.path)


class _PictureWork:
    """Decodes the picture at most once, and not at all if every stage is reused."""

    def __init__(self, picture: Picture, run: Run) -> None:
        self._picture, self._run = picture, run
        self._rgba: np.ndarray | None = None

    def _decoded(self) -> np.ndarray:
        if self._rgba is None:
            with self._run.watch.measure("load"):
                self._rgba = self._picture.decode()
        return self._rgba

    def find_faces(self, directory: Path, task: Task) -> None:
        rgba = self._decoded()
        if not rgba[..., 3].any():
            path = self._picture.path
            raise InputError(
                f"{path} is fully transparent: no part of the picture can be seen",
                f"show its colours with: magick {path} -alpha off {path.stem}-opaque.png",
            )
        with self._run.watch.measure("track"):
            import numpy as np

            from talkcli.imaging import over_white
            from talkcli.tracking.landmarks import detect_faces

            # Contiguous, or OpenCV and MediaPipe would each copy it for every search.
            rgb = np.ascontiguousarray(over_white(rgba))
            faces = tuple(describe_face(face) for face in detect_faces(rgb))
        hidden = float((rgba[..., 3] == 0).mean())
        if not faces and hidden > _MUCH_HIDDEN:
            self._run.reporter.warn(
                f"{hidden:.0%} of {self._picture.path} is transparent, which counts as white"
            )
        FoundFaces(rgba.shape[1], rgba.shape[0], faces).save(directory)

    def build(self, found: FoundFace, side: int, directory: Path) -> None:
        rgba = self._decoded()
        # A 16-megapixel photograph would occupy a gigabyte during the build.
        self._rgba = None
        with self._run.watch.measure("build"):
            import numpy as np

            from talkcli.avatar import PictureSource

            rgba, points = fit_picture(rgba, np.array(found.points), side)
            source = PictureSource(rgba, points, side)
            engine(self._run.recipe.engine).make(source, self._run, directory)


def fit_picture(
    rgba: np.ndarray, points: np.ndarray, longest: int
) -> tuple[np.ndarray, np.ndarray]:
    """Reduce a picture that is larger than the video; more detail would never be seen.

    Args:
        rgba: ``[H, W, 4]`` uint8, straight alpha.
        points: ``[n, 3]`` landmarks, in pixels of ``rgba``.
        longest: limit on both sides, pixels.

    Returns:
        The picture and the landmarks in its pixels; a reduced picture has even sides.
    """
    import numpy as np
    from PIL import Image

    from talkcli.compose.blend import output_size

    height, width = rgba.shape[:2]
    if max(height, width) <= longest:
        return rgba, points
    size = output_size(width, height, longest)
    # Pillow premultiplies alpha for this, so that hidden colours do not bleed into the edges; a
    # filter without negative lobes avoids ringing there.
    picture = Image.fromarray(rgba).resize(size, Image.Resampling.HAMMING)
    scale = size[0] / width, size[1] / height, longest / max(height, width)
    return np.array(picture), points * scale
