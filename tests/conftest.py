"""Settings for every test: the numeric libraries are configured before the first of them loads."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from talkcli import runtime

if TYPE_CHECKING:
    import numpy as np

    from talkcli.engines.portrait.avatar import PortraitAvatar
    from talkcli.tracking.landmarks import Face

runtime.configure()


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Footage beside the project that is not part of it; the test is skipped without it."""
    folder = Path(__file__).parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("needs footage that is not part of the project")
    return folder


@pytest.fixture(scope="session")
def picture() -> np.ndarray:
    """The sample portrait, ``[H, W, 4]`` uint8, read-only: tests share it."""
    from talkcli.media.image import read_image

    pixels = read_image(Path(__file__).parents[1] / "assets" / "portrait.png")
    pixels.flags.writeable = False
    return pixels


@pytest.fixture(scope="session")
def face(picture: np.ndarray) -> Face:
    """The face in the sample portrait."""
    import numpy as np

    from talkcli.tracking.landmarks import detect_faces

    return detect_faces(np.ascontiguousarray(picture[..., :3]))[0]


@pytest.fixture(scope="session")
def avatar(picture: np.ndarray, face: Face) -> PortraitAvatar:
    """The sample portrait's avatar for videos of 320 pixels; tests share it and change nothing."""
    from talkcli.engines.portrait.build.build import build_portrait
    from tests.support.portraits import SMALL, SMALL_SIDE

    return build_portrait(picture, face, SMALL, SMALL_SIDE)


@pytest.fixture(scope="session")
def prepared(avatar: PortraitAvatar, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Directory of a prepared clip of the sample portrait; tests share it and change nothing."""
    from tests.support.subjects import save_prepared

    place = tmp_path_factory.mktemp("prepared")
    save_prepared(avatar, place)
    return place


@pytest.fixture(scope="session")
def subject(prepared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Directory of an avatar fitted to that clip, likewise shared."""
    from tests.support.subjects import fitted

    return fitted(prepared, tmp_path_factory.mktemp("subject"))
