"""The stages that lead from a picture to an avatar, and the choice of the face in it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from talkcli.config import DEFAULT_SIZE, Recipe
from talkcli.engines.registry import ENGINES, engine
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

#: Raised whenever finding faces gives another result. Engines have versions of their own.
PORTRAIT_VERSION = 1


@dataclass(frozen=True)
class BuiltAvatar:
    """The stages that led to an avatar.

    Attributes:
        stages: in order, the avatar's own last; in a plan it need not be there yet.
        picture: width and height of its picture, where they are known without reading it.
    """

    stages: tuple[StageRun, ...]
    picture: tuple[int, int] | None = None

    @cached_property
    def avatar(self) -> Avatar:
        """The avatar, read when it is first asked for.

        Raises:
            InputError: its files are damaged, of a newer schema, or of an engine not known here.
        """
        return load_avatar(self.stages[-1])

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of its picture, pixels."""
        if self.picture is not None:
            return self.picture
        return self.avatar.info.width, self.avatar.info.height


def portrait_stage(source: ProjectInput) -> Stage:
    """All faces of a picture."""
    picture = {"picture": source.sha256}
    return Stage("portrait", PORTRAIT_VERSION, {}, picture, FoundFaces.load)


def avatar_stage(
    source: ProjectInput, found: StageRun, faces: FoundFaces, face: int, recipe: Recipe
) -> Stage:
    """The avatar of one of the faces, at the resolution that the recipe asks for."""
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
    """Longest side of a view that the avatar is made for, pixels.

    Never larger than the picture, so that a generous ``--size`` does not build it twice.
    """
    return min(recipe.video.size or DEFAULT_SIZE, max(faces.width, faces.height))


def ensure_avatar(run: Run, picture: Picture) -> BuiltAvatar:
    """The avatar of a picture, built now or reused from the project.

    Args:
        run: face, size and effort are read; ``load``, ``track`` and ``build`` are timed.
        picture: the file.

    Raises:
        InputError: the picture is unreadable, holds no usable face, or not the one asked for.
        UsageError: no such engine, or one that needs a clip.
    """
    maker = engine(run.recipe.engine)
    if maker.source != "picture":
        raise UsageError(
            f"the engine {maker.name} makes avatars from clips, not from one picture",
            "choose another with --set engine=NAME",
        )
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
    """The avatar that a project holds; built again from its picture when it is damaged.

    Raises:
        InputError: there is none, or it is damaged and the picture is gone or another one now.
    """
    project = run.project
    current = project.current("avatar", _check_stored)
    if current is not None:
        return BuiltAvatar((current,))
    source = project.inputs.get("portrait")
    if source is None:
        raise InputError(
            f"{project.root} holds no avatar",
            f"make one with: talkcli reconstruct PORTRAIT -p {project.root}",
        )
    if not source.unchanged():
        raise InputError(
            f"the avatar in {project.root} is damaged and its portrait {source.path} is gone",
            f"make it again with: talkcli reconstruct PORTRAIT -p {project.root}",
        )
    return ensure_avatar(run, Picture(source.path))


def _check_stored(directory: Path) -> None:
    """Let the engine judge that made what is there; one that is not known here cannot."""
    name = read_json(directory / RECORD_NAME)["recipe"].get("engine")
    if name in ENGINES:
        engine(name).check(directory)


def load_avatar(entry: StageRun) -> Avatar:
    """Read the avatar in an entry of its stage, with the engine that made it.

    Raises:
        InputError: its files are damaged, of a newer schema, or of an engine not known here.
    """
    name = entry.recipe.get("engine")
    if not isinstance(name, str) or name not in ENGINES:
        raise InputError(
            f"the avatar in {entry.path} is of an engine that is not known here, {name!r}",
            "update talkcli, or build it again with: talkcli reconstruct PORTRAIT",
        )
    return engine(name).load(entry.path)


class _PictureWork:
    """Decodes the picture at most once, and not at all when every stage is reused."""

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
        with self._run.watch.measure("track"):
            from talkcli.imaging import over_white
            from talkcli.tracking.landmarks import detect_faces

            faces = tuple(describe_face(face) for face in detect_faces(over_white(rgba)))
        FoundFaces(rgba.shape[1], rgba.shape[0], faces).save(directory)

    def build(self, found: FoundFace, side: int, directory: Path) -> None:
        rgba = self._decoded()
        # A photograph of 16 megapixels would hold a gigabyte through the build.
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
    """A picture at the size of the video, where it is larger; nothing beyond that is ever shown.

    Args:
        rgba: ``[H, W, 4]`` uint8, straight alpha.
        points: ``[n, 3]`` landmarks in its pixels.
        longest: of both sides, pixels.

    Returns:
        Picture and landmarks in its pixels; both sides are even when it was reduced.
    """
    import numpy as np
    from PIL import Image

    from talkcli.compose.blend import output_size

    height, width = rgba.shape[:2]
    if max(height, width) <= longest:
        return rgba, points
    size = output_size(width, height, longest)
    # Pillow multiplies by alpha for this, so that nothing hidden bleeds into the rim; a filter
    # without negative lobes keeps it from ringing there.
    picture = Image.fromarray(rgba).resize(size, Image.Resampling.HAMMING)
    scale = size[0] / width, size[1] / height, longest / max(height, width)
    return np.array(picture), points * scale
