"""Files of weights: what is written is read, and anything else is refused in one line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.numpy import save_file

from talkcli.config import recipe_with
from talkcli.engines.mggtalk.engine import ENGINE
from talkcli.engines.mggtalk.weights import load_decoder, save_decoder, weights_path
from talkcli.errors import InputError
from talkcli.weights.registry import shipped
from tests.support.decoders import random_decoder


def test_weights_are_read_as_they_were_written(tmp_path: Path) -> None:
    decoder = random_decoder()
    save_decoder(tmp_path / "w.safetensors", decoder, {"people": 3})
    again = load_decoder(tmp_path / "w.safetensors")
    assert again.size == decoder.size and not again.training
    for (name, wrote), read in zip(
        decoder.state_dict().items(), again.state_dict().values(), strict=True
    ):
        # Half precision has eleven bits.
        torch.testing.assert_close(read, wrote, rtol=2**-11, atol=1e-6, msg=name)


def _rewritten(path: Path, change: Callable[[dict, dict], None]) -> None:
    with safe_open(path, framework="np") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        metadata = dict(file.metadata())
    change(tensors, metadata)
    save_file(tensors, path, metadata)


CHANGES = {
    "shape": lambda t, m: t.update(common=t["common"][:, :, :64]),
    "size": lambda t, m: m.update(talkcli=m["talkcli"].replace('"shapes": 3', '"shapes": 5')),
    "huge": lambda t, m: m.update(talkcli=m["talkcli"].replace('"hidden": 8', '"hidden": 99999')),
    "newer": lambda t, m: m.update(talkcli=m["talkcli"].replace('"schema": 1', '"schema": 9')),
    "gone": lambda t, m: t.pop("mix.weight"),
    "nan": lambda t, m: t["mix.bias"].fill(np.nan),
}


@pytest.mark.parametrize("change", CHANGES)
def test_other_weights_are_refused(tmp_path: Path, change: str) -> None:
    path = tmp_path / "w.safetensors"
    save_decoder(path, random_decoder(), {})
    _rewritten(path, CHANGES[change])
    with pytest.raises(InputError, match="train mggtalk") as told:
        load_decoder(path)
    assert "\n" not in str(told.value) and len(str(told.value)) < 400


def test_foreign_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "text.safetensors").write_text("weights")
    for path in (shipped("face"), tmp_path / "text.safetensors"):
        with pytest.raises(InputError, match="train mggtalk"):
            load_decoder(path)
    with pytest.raises(InputError, match="nowhere"):
        weights_path(str(tmp_path / "nowhere.safetensors"))
    assert weights_path("none") is None


def test_other_weights_are_another_avatar(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    keys = []
    for seed in (0, 1):
        save_decoder(path, random_decoder(seed=seed), {})
        keys.append(ENGINE.key(recipe_with(None, {"mggtalk_weights": str(path)})))
    keys.append(ENGINE.key(recipe_with(None, {"mggtalk_weights": "none"})))
    keys.append(ENGINE.key(recipe_with(None, {"mggtalk_weights": "none", "strength": 0.5})))
    assert all(a != b for k, a in enumerate(keys) for b in keys[:k])
