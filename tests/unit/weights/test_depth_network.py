"""Depth networks in ONNX files, tested with tiny ones that the tests write."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from talkcli.errors import InputError, MissingDependencyError
from talkcli.weights.depth_network import DepthNetwork, fitted_depth
from tests.support.onnx import write_network

ANY = [1, 3, "height", "width"]


@pytest.fixture
def picture() -> np.ndarray:
    """``[30, 40, 3]``, lighter to the right."""
    across = np.linspace(0, 255, 40).astype(np.uint8)
    return np.repeat(np.tile(across, (30, 1))[..., None], 3, 2)


@pytest.mark.parametrize("sizes", [ANY, [1, 3, 28, 42]])
def test_a_network_gives_a_map_of_the_picture(
    tmp_path: Path, picture: np.ndarray, sizes: list[int | str]
) -> None:
    pytest.importorskip("onnxruntime")
    found = DepthNetwork(write_network(tmp_path / "tiny.onnx", sizes)).inverse_depth(picture)
    assert found.shape == (30, 40) and found.dtype == np.float32
    # The mean over the channels of the normalised picture.
    wanted = (picture / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    # A small fixed size blurs the ramp by half a pixel.
    np.testing.assert_allclose(found[5:-5, 5:-5], wanted.mean(2)[5:-5, 5:-5], atol=0.06)


def test_other_networks_are_refused(tmp_path: Path, picture: np.ndarray) -> None:
    pytest.importorskip("onnxruntime")
    (tmp_path / "text.onnx").write_text("no network")
    for path in (tmp_path / "text.onnx", write_network(tmp_path / "flat.onnx", [1, 8])):
        with pytest.raises(InputError, match="Depth Anything") as told:
            DepthNetwork(path)
        assert "\n" not in str(told.value)
    same = DepthNetwork(write_network(tmp_path / "same.onnx", ANY, "Identity"))
    with pytest.raises(InputError, match="gives no map"):
        same.inverse_depth(picture)


def test_what_is_missing_is_told_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match=r"nowhere\.onnx"):
        DepthNetwork(tmp_path / "nowhere.onnx")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    path = write_network(tmp_path / "tiny.onnx", ANY)
    with pytest.raises(MissingDependencyError, match=r"talkcli\[depth\]"):
        DepthNetwork(path)


def test_factor_and_offset_come_from_what_is_known() -> None:
    depth = np.random.default_rng(0).uniform(80, 120, (20, 20))
    mask = np.zeros((20, 20), bool)
    mask[5:15, 5:15] = True
    inverse = (1 / depth - 0.001) * 700
    np.testing.assert_allclose(fitted_depth(inverse, depth, mask), depth, rtol=1e-5)
    with pytest.raises(InputError, match="inside out"):
        fitted_depth(-inverse, depth, mask)
    with pytest.raises(InputError, match="too few"):
        fitted_depth(inverse, depth, np.zeros((20, 20), bool))
    far = fitted_depth(np.where(mask, inverse, -1e6), depth, mask)
    assert far[~mask] == pytest.approx(10 * depth[mask].max())
