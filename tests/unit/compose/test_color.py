"""Colours by name, as CSS reads them."""

from __future__ import annotations

import pytest

from talkcli.compose.color import named_color


@pytest.mark.parametrize(
    ("text", "rgb"),
    [
        ("#1e90ff", (30, 144, 255)),
        ("DodgerBlue", (30, 144, 255)),
        ("rgb(300, 0, 0)", (255, 0, 0)),
        ("hsl(1000, 200%, 300%)", (255, 255, 0)),
        ("picture.png", None),
    ],
)
def test_levels_are_bytes(text: str, rgb: tuple[int, int, int] | None) -> None:
    assert named_color(text) == rgb
