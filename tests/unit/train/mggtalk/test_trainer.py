"""A short training on two people, people held out, and prepared clips on disk."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from talkcli.engines.mggtalk.nets import DecoderSize
from talkcli.engines.portrait.avatar import PortraitAvatar
from talkcli.engines.portrait.checkpoint import save_avatar
from talkcli.errors import InputError
from talkcli.train.mggtalk.pairs import load_pairs, save_frames
from talkcli.train.mggtalk.people import filmed_people
from talkcli.train.mggtalk.recipe import DecoderRecipe
from talkcli.train.mggtalk.trainer import DecoderTraining, Person, tinted
from tests.support.decoders import flushing_pairs

RECIPE = DecoderRecipe(
    size=DecoderSize(4, 16, (8, 16), shades=True, inside=True),
    frames=1,
    rates=(2e-2, 3e-3, 1e-3),
    pull=1e-3,
)


def test_the_loss_of_two_people_falls(avatar: PortraitAvatar) -> None:
    dark = replace(avatar, splats=replace(avatar.splats, colors=0.6 * avatar.splats.colors))
    people = [Person(flushing_pairs(head)) for head in (avatar, dark)]
    training = DecoderTraining(people, people[:1], RECIPE)
    assert training.evaluate(0) == 0
    losses = []
    for number in range(60):
        loss = training.step(number, np.random.default_rng((0, number)))
        training.optimizer.zero_grad()
        loss.backward()
        training.optimizer.step()
        losses.append(float(loss.detach()))
    assert np.mean(losses[-10:]) < 0.7 * np.mean(losses[:10])
    assert training.evaluate(60) > 0.5
    assert training.gain is not None and "mouth" in training.gain.told()


def test_prepared_clips_are_read_as_they_were_written(
    avatar: PortraitAvatar, tmp_path: Path
) -> None:
    pairs = flushing_pairs(avatar, frames=2)
    save_avatar(avatar, tmp_path)
    save_frames(tmp_path, pairs)
    again = load_pairs(tmp_path)
    np.testing.assert_array_equal(again.pictures, pairs.pictures)
    np.testing.assert_array_equal(again.keep, pairs.keep)
    np.testing.assert_array_equal(again.motions[1].expression, pairs.motions[1].expression)
    assert (again.window, again.person, again.free) == (pairs.window, "one", True)
    (tmp_path / "frames.safetensors").write_bytes(b"cut")
    with pytest.raises(InputError, match="train mggtalk"):
        load_pairs(tmp_path)


def test_tinted_maps_are_those_of_a_tinted_source() -> None:
    maps = torch.rand(20, 4, 4)
    color = torch.tensor([0.5, 1.0, 2.0])
    found = tinted(maps, color)
    torch.testing.assert_close(found[0] / 4 + 0.5, 0.5 * (maps[0] / 4 + 0.5))
    torch.testing.assert_close(found[16] / 4 + 0.5, 2 * (maps[16] / 4 + 0.5))
    torch.testing.assert_close(found[3:14], maps[3:14])


def test_people_take_turns_and_some_are_held_out(tmp_path: Path) -> None:
    names = [("a", "GRID_C"), ("b", "somebody"), ("c", "somebody"), ("d", "somebody")]
    files = [{"file": f"clips/{file}.mp4", "identity": who} for file, who in names]
    (tmp_path / "manifest.json").write_text(json.dumps(files))
    spoken = [
        {
            "file": f"clips/{file}.mp4",
            "speaker": who,
            "licence": "CC BY 4.0" if who[0] == "G" else "-",
        }
        for file, who in names
    ]
    (tmp_path / "speech_clips.json").write_text(json.dumps(spoken))
    found = filmed_people(tmp_path, 2)
    assert [clip.name for clip in found] == ["a", "b", "d"]
    assert [clip.held_out for clip in found] == [True, False, False]
    assert [clip.free for clip in found] == [True, False, False]
    with pytest.raises(InputError, match="data folder"):
        filmed_people(tmp_path / "nowhere", 2)
