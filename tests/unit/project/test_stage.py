"""Keys of stages: one form, and every part of a stage changes them."""

from __future__ import annotations

import pytest

from talkcli.project import Stage
from talkcli.project.stage import canonical_json, digest_json
from tests.support.projects import STAGE


def test_keys_are_pinned() -> None:
    # A change here means that every stored avatar is built again: raise a stage version instead.
    assert STAGE.key == "b262fe8a4b8cefa79533c631fe5fe0f0f77b64f9c08e68be366b0c1d8dba9d5e"
    value = {"b": 1, "a": [1.0, None, True]}
    assert digest_json(value) == (
        "0b6ab0f46ae115da689170b375044cb9420bee4e8cd12755e9f82007dd31e96d"
    )


def test_canonical_json_has_one_form() -> None:
    assert canonical_json({"b": (1, 2), "a": "ü"}) == '{"a":"\\u00fc","b":[1,2]}'
    with pytest.raises(ValueError):
        canonical_json(float("nan"))


@pytest.mark.parametrize(
    "other",
    [
        Stage("track", 3, STAGE.recipe, STAGE.upstream),
        Stage("avatar", 4, STAGE.recipe, STAGE.upstream),
        Stage("avatar", 3, {"views": [1, 2.5]}, STAGE.upstream),
        Stage("avatar", 3, STAGE.recipe, {"portrait": "ac" * 32}),
    ],
)
def test_every_part_changes_the_key(other: Stage) -> None:
    assert other.key != STAGE.key
