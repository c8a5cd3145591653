"""From where portraits can be trusted."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from talkcli.avatar import TrustedRange
from talkcli.engines.portrait.avatar import PortraitAvatar
from talkcli.engines.portrait.checkpoint import load_avatar, save_avatar
from talkcli.engines.portrait.splats import Layer
from talkcli.engines.portrait.trust import measure_trust
from talkcli.project.trusted import load_trusted, save_trusted


def test_a_frontal_portrait_can_be_trusted_to_both_sides(avatar: PortraitAvatar) -> None:
    trusted = avatar.trusted
    assert trusted is not None and trusted == avatar.info.trusted
    # Degrees; a good portrait holds at 20 on either side, and none to profile.
    assert -60 <= trusted.yaw[0] < -20 and 20 < trusted.yaw[1] <= 60
    assert trusted.pitch[0] < -10 and trusted.pitch[1] > 10


def test_the_range_shrinks_where_more_is_guessed(avatar: PortraitAvatar) -> None:
    layers = avatar.splats.layers.copy()
    # As if the side of the face at image left had not been seen.
    layers[(layers == Layer.SKIN) & (avatar.splats.positions[:, 0] < -4)] = Layer.SHELL
    guessed = replace(avatar.splats, layers=layers)
    assert avatar.trusted is not None
    left, right = measure_trust(avatar, guessed).yaw
    assert right < avatar.trusted.yaw[1] - 5
    assert left < -20


def test_it_is_kept_with_the_avatar(avatar: PortraitAvatar, tmp_path: Path) -> None:
    known = TrustedRange((-31.0, 24.0), (-20.0, 45.0))
    save_avatar(replace(avatar, trusted=known), tmp_path)
    assert load_avatar(tmp_path).trusted == known == load_trusted(tmp_path)
    (tmp_path / "trusted.json").unlink()
    assert load_avatar(tmp_path).trusted is None


def test_a_file_of_something_else_tells_nothing(tmp_path: Path) -> None:
    for text in ("", "[]", '{"yaw_deg": [1]}', '{"yaw_deg": "ab", "pitch_deg": [0, 1]}'):
        (tmp_path / "trusted.json").write_text(text)
        assert load_trusted(tmp_path) is None
    save_trusted(tmp_path, TrustedRange((np.float64(-1.0), 2.0), (0.0, 1.0)))
    assert load_trusted(tmp_path) == TrustedRange((-1.0, 2.0), (0.0, 1.0))
