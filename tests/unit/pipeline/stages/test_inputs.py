from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from talkcli.errors import InputError
from talkcli.pipeline.stages.inputs import Clip
from tests.support.media import make_clip


def test_pictures_and_single_frames_move_nothing(tmp_path: Path) -> None:
    frames = np.full((5, 48, 64, 3), 90, np.uint8)
    picture = tmp_path / "p.png"
    Image.fromarray(frames[0]).save(picture)
    with pytest.raises(InputError, match=r"p\.png is a picture, which contains no motion"):
        _ = Clip(picture).info
    # MP4 counts its frames, Matroska and GIF do not.
    for suffix in ("mp4", "mkv", "gif"):
        single = make_clip(tmp_path / f"one.{suffix}", frames[:1])
        with pytest.raises(InputError, match="has only one frame: nothing moves in it"):
            _ = Clip(single).info
        assert Clip(make_clip(tmp_path / f"five.{suffix}", frames)).info.has_video
