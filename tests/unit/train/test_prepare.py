"""A pack of the avatars of pictures: maps that fit together, and a run that goes on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from talkcli.progress import SilentReporter
from talkcli.train.avatar_views import ALPHA, FRONT, load_views
from talkcli.train.prepare import make_pack, plan_pack

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two pictures, one of them without a face."""
    place = tmp_path_factory.mktemp("pictures")
    Image.open(ROOT / "assets/portrait.png").convert("RGB").resize((320, 320)).save(place / "a.png")
    Image.new("RGB", (200, 200), "grey").save(place / "b.png")
    return place


def test_maps_of_three_views(folder: Path, tmp_path: Path) -> None:
    files = plan_pack(folder, ["any"])
    made = make_pack(folder, files, tmp_path / "pack", SilentReporter())
    assert (made.used, made.skipped, made.left) == (1, 1, 0)
    again = make_pack(folder, files, tmp_path / "pack", SilentReporter())
    assert (again.used, again.skipped, again.left) == (0, 0, 0)
    (person,) = load_views(tmp_path / "pack", "train")
    turns = [view.seen.turn[0, 0].item() * 45 for view in person.views]
    assert abs(turns[1] - turns[0]) > 11
    for view in person.views:
        alpha, front = view.maps[ALPHA].float().numpy(), view.maps[FRONT].float().numpy()
        nose = view.vertices[1]
        column, row = ((nose[:2] / nose[2] * view.focal + 0.5) * len(alpha)).astype(int)
        assert alpha[row, column] > 0.9
        origin = 44.0 * view.focal / float(view.seen.scale)
        # The nose's vertex lies on the surface that its pixel shows, to a pixel's slope there.
        assert front[row, column] + origin == pytest.approx(nose[2], abs=0.5)
        assert np.isfinite(view.maps.float().numpy()).all()
