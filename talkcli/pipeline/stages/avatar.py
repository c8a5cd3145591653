"""The stages that lead from a picture to an avatar, and the choice of the face in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from talkcli.config import DEFAULT_SIZE, Recipe
from talkcli.errors import InputError
from talkcli.pipeline.stages.faces import FoundFace, FoundFaces, choose_face, describe_face
from talkcli.pipeline.stages.runner import _pending, _run
from talkcli.progress import Reporter, Stopwatch
from talkcli.project import Project, ProjectInput, Stage, StageRun
from talkcli.project.store import PROJECT_FILE

if TYPE_CHECKING:
    import numpy as np

#: Raise one whenever the code behind a stage gives another result.
PORTRAIT_VERSION = 1
AVATAR_VERSION = 28


@dataclass(frozen=True)
class BuiltAvatar:
    """Where an avatar lies and which stages it took.

    Attributes:
        path: directory that :meth:`talkcli.engines.portrait.avatar.PortraitAvatar.load` reads.
        stages: in order.
    """

    path: Path
    stages: tuple[StageRun, ...]


def portrait_stage(source: ProjectInput) -> Stage:
    """All faces of a picture."""
    picture = {"picture": source.sha256}
    return Stage("portrait", PORTRAIT_VERSION, {}, picture, FoundFaces.load)


def avatar_stage(source: ProjectInput, found: StageRun, face: int, recipe: Recipe) -> Stage:
    """The avatar of one of the faces, at the resolution that the recipe asks for."""
    faces = FoundFaces.load(found.path)
    wanted = recipe.video.size or DEFAULT_SIZE
    values = {
        "engine": "portrait",
        "face": face,
        # Never larger than the picture, so that a generous --size does not build it twice.
        "output_side": min(wanted, max(faces.width, faces.height)),
        "max_crop": recipe.portrait.max_crop,
        "fit_iterations": recipe.portrait.fit_iterations,
    }
    upstream = {"picture": source.sha256, "portrait": found.output_hash}
    return Stage("avatar", AVATAR_VERSION, values, upstream, _check_avatar)


def _check_avatar(directory: Path) -> None:
    from talkcli.engines.portrait.checkpoint import check_avatar

    check_avatar(directory)


def ensure_avatar(
    project: Project, portrait: Path, recipe: Recipe, reporter: Reporter, watch: Stopwatch
) -> BuiltAvatar:
    """The avatar of a picture, built now or reused from the project.

    Args:
        project: holds or receives the stages.
        portrait: picture file.
        recipe: face, size and effort are read.
        reporter: told about progress and doubts.
        watch: gets the seconds of ``load``, ``track`` and ``build``.

    Raises:
        InputError: the picture is unreadable, holds no usable face, or not the one asked for.
    """
    with project.lock(on_wait=reporter.warn):
        with watch.measure("load"):
            source = ProjectInput.of(portrait)
        picture = _Picture(portrait, watch)
        found = _run(project, portrait_stage(source), picture.find_faces, reporter, "track")
        faces = FoundFaces.load(found.path).faces
        index = choose_face(faces, recipe.portrait.face, portrait, reporter)
        stage = avatar_stage(source, found, index, recipe)

        def build(directory: Path) -> None:
            picture.build(faces[index], stage.recipe, directory)

        recorded = {"seed": recipe.seed, "backend": recipe.backend}
        avatar = _run(project, stage, build, reporter, "build", recorded)
        project.set_input("portrait", source)
    return BuiltAvatar(avatar.path, (found, avatar))


def stored_avatar(
    project: Project, recipe: Recipe, reporter: Reporter, watch: Stopwatch
) -> BuiltAvatar:
    """The avatar that a project holds; built again from its picture when it is damaged.

    Raises:
        InputError: there is none, or it is damaged and the picture is gone or another one now.
    """
    current = project.current("avatar", _check_avatar)
    if current is not None:
        return BuiltAvatar(current.path, (current,))
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
    return ensure_avatar(project, source.path, recipe, reporter, watch)


def plan_avatar(
    root: Path, portrait: Path | None, recipe: Recipe, reporter: Reporter
) -> tuple[StageRun, ...]:
    """The stages that :func:`ensure_avatar` would run or reuse, without running or writing any.

    Where a stage would run, those behind it are not known yet and are taken to run too.
    """
    if portrait is None:
        current = Project.open(root).current("avatar")
        return (current,) if current is not None else ()
    project = Project.open(root) if (root / PROJECT_FILE).is_file() else Project(root, {})
    source = ProjectInput.of(portrait)
    stage = portrait_stage(source)
    found = project.lookup(stage)
    if found is None:
        return _pending(project, stage), _pending(project, Stage("avatar", AVATAR_VERSION))
    faces = FoundFaces.load(found.path).faces
    index = choose_face(faces, recipe.portrait.face, portrait, reporter)
    stage = avatar_stage(source, found, index, recipe)
    return found, project.lookup(stage) or _pending(project, stage)


class _Picture:
    """Reads the file at most once, and not at all when every stage is reused."""

    def __init__(self, path: Path, watch: Stopwatch) -> None:
        self._path = path
        self._watch = watch
        self._rgba: np.ndarray | None = None

    def rgba(self) -> np.ndarray:
        from talkcli.media.image import read_image

        if self._rgba is None:
            with self._watch.measure("load"):
                self._rgba = read_image(self._path)
        return self._rgba

    def find_faces(self, directory: Path) -> None:
        rgba = self.rgba()
        with self._watch.measure("track"):
            from talkcli.imaging import over_white
            from talkcli.tracking.landmarks import detect_faces

            faces = tuple(describe_face(face) for face in detect_faces(over_white(rgba)))
        FoundFaces(rgba.shape[1], rgba.shape[0], faces).save(directory)

    def build(self, found: FoundFace, recipe: Mapping[str, Any], directory: Path) -> None:
        rgba = self.rgba()
        # A photograph of 16 megapixels would hold a gigabyte through the build.
        self._rgba = None
        with self._watch.measure("build"):
            import numpy as np

            from talkcli.engines.portrait.build.build import PortraitConfig, build_portrait
            from talkcli.tracking.landmarks import Face

            rgba, points = fit_picture(rgba, np.array(found.points), recipe["output_side"])
            config = PortraitConfig(
                output_side=recipe["output_side"],
                max_crop=recipe["max_crop"],
                fit_iterations=recipe["fit_iterations"],
            )
            build_portrait(rgba, Face(points), config).save(directory)


def fit_picture(
    rgba: np.ndarray, points: np.ndarray, longest: int
) -> tuple[np.ndarray, np.ndarray]:
    """A picture at the size of the film, where it is larger; nothing beyond that is ever shown.

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
