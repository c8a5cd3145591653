"""Functions about clips of people, for Python programs; see ``docs/guide/python.md``.

They are available as ``talkcli.preprocess``, ``talkcli.fit`` and ``talkcli.evaluate``.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from talkcli.api import Name, RunOptions, Subject
from talkcli.config import Recipe, load_recipe, recipe_with

if TYPE_CHECKING:
    from talkcli.pipeline.evaluate.run import Evaluation

#: Settings of a fit that is given none.
FIT_RECIPE = "audio-plane"


def preprocess(
    clip: Name,
    *,
    recipe: Recipe | None = None,
    run: RunOptions | None = None,
    **settings: Any,
) -> Subject:
    """Prepare a clip of one person in a project directory, so that :func:`fit` can use it.

    Args:
        clip: a video of a face.
        recipe: all settings; None for the defaults.
        run: project directory (default: ``<clip>.talk`` beside the clip) and so on.
        **settings: individual settings by name, such as ``segment="12-40"``.

    Returns:
        The project; ``result.facts["prepared"]`` has the verdict on the clip.

    Raises:
        UsageError: unknown settings.
        InputError: not a clip, or too little of a face in it.
    """
    from talkcli.pipeline.preprocess import preprocess as prepare
    from talkcli.pipeline.stages.inputs import Clip

    run = run or RunOptions()
    request = run.request("preprocess", recipe_with(recipe, settings), None)
    _, result = prepare(request, Clip(Path(clip)), run.reporter, run.watch)
    return Subject(result.project, result)


def fit(
    source: Name | Subject,
    *,
    resume: bool = False,
    recipe: Recipe | None = None,
    run: RunOptions | None = None,
    **settings: Any,
) -> Subject:
    """Fit an avatar to the prepared clip of a project; one that was stopped goes on.

    Args:
        source: project directory, or what :func:`preprocess` returned.
        resume: go on from a finished fit of the same kind, to a larger limit.
        recipe: all settings; None for those of the recipe ``audio-plane``.
        run: reporter and so on; its project is not used.
        **settings: individual settings by name, such as ``minutes=5``.

    Returns:
        The project; ``result.facts["fit"]`` has the held-out figures.

    Raises:
        UsageError: unknown settings, or an engine that makes avatars of one picture.
        InputError: no prepared clip, or one with too few usable frames.
    """
    from talkcli.pipeline.fit import fit as fitted

    root = source.project if isinstance(source, Subject) else Path(source)
    run = replace(run or RunOptions(), project=root)
    recipe = recipe_with(recipe or load_recipe(FIT_RECIPE), settings)
    result = fitted(run.request("fit", recipe, None), run.reporter, run.watch, resume=resume)
    return Subject(result.project, result)


def evaluate(
    made: Name,
    real: Name,
    *,
    recipe: Recipe | None = None,
    run: RunOptions | None = None,
    **settings: Any,
) -> Evaluation:
    """Measure how close a made video comes to the real one.

    Args:
        made: the video that is judged, or a folder of them.
        real: the video that it should be, or a folder with files of the same names.
        recipe: all settings; None for the defaults.
        run: reporter and so on; its project is not used.
        **settings: individual settings by name.

    Returns:
        The figures; ``as_json()`` has them as ``talkcli eval --json`` prints them.

    Raises:
        UsageError: unknown settings, or a file and a folder.
        InputError: nothing can be compared.
    """
    from talkcli.pipeline.evaluate.run import EvalRequest
    from talkcli.pipeline.evaluate.run import evaluate as judged

    run = run or RunOptions()
    request = EvalRequest((Path(made), Path(real)), recipe_with(recipe, settings))
    return judged(request, run.reporter, run.watch)
