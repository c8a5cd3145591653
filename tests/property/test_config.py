"""Settings: what is accepted survives being written and read; what is refused is named."""

from __future__ import annotations

import dataclasses
import json
import math
import tempfile
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from talkcli.config import Recipe, load_recipe
from talkcli.errors import UsageError
from talkcli.toml import quote


def settings_of(cls: type, prefix: str = "") -> dict[str, tuple[Any, Mapping[str, Any]]]:
    """``{"section.key": (type, limits)}`` of every setting, limits as ``setting`` wrote."""
    hints = typing.get_type_hints(cls)
    found: dict[str, tuple[Any, Mapping[str, Any]]] = {}
    for item in dataclasses.fields(cls):
        hint = hints[item.name]
        if dataclasses.is_dataclass(hint):
            found |= settings_of(typing.cast(type, hint), f"{prefix}{item.name}.")
        else:
            found[prefix + item.name] = (hint, item.metadata)
    return found


SETTINGS = settings_of(Recipe)
#: Texts that mean something of their own where they are read; their readers have their own tests.
TEXTS = {"video.fps": st.sampled_from(["25", "23.976", "30000/1001"])}
#: Values of every type that TOML has.
ANYTHING = st.one_of(
    st.integers(-(2**63), 2**63 - 1),
    st.floats(),
    st.booleans(),
    st.text(max_size=8),
    st.lists(st.integers(-9, 9) | st.text(max_size=3), max_size=3),
)


def numbers(hint: Any, limits: Mapping[str, Any]) -> st.SearchStrategy[Any]:
    low, high = limits.get("low"), limits.get("high")
    if hint is int:
        whole = st.integers(int(low or 0), int(2**31 if high is None else high))
        if limits.get("least"):
            whole = st.just(0) | st.integers(int(limits["least"]), int(high))
        return whole.map(lambda n: n - n % 2) if limits.get("even") else whole
    return st.floats(-1e9 if low is None else low, 1e9 if high is None else high)


def allowed(key: str) -> st.SearchStrategy[Any]:
    """Values that a setting takes."""
    hint, limits = SETTINGS[key]
    if key in TEXTS:
        return TEXTS[key]
    if limits.get("choices"):
        return st.sampled_from(limits["choices"])
    if typing.get_origin(hint) is tuple:
        return st.lists(numbers(typing.get_args(hint)[0], limits), max_size=4).map(tuple)
    if hint is bool:
        return st.booleans()
    if hint is str:
        return st.text(max_size=12)
    return numbers(hint, limits)


RECIPES = st.fixed_dictionaries({}, optional={key: allowed(key) for key in SETTINGS})


def flat(nested: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in nested.items():
        inner = isinstance(value, dict)
        found |= flat(value, f"{prefix}{key}.") if inner else {prefix + key: value}
    return found


def as_toml(values: Mapping[str, Any]) -> str:
    """A recipe file."""

    def literal(value: Any) -> str:
        if isinstance(value, str):
            return quote(value)
        if isinstance(value, float) and not math.isfinite(value):
            return str(value)  # TOML writes nan and inf as Python does, JSON otherwise
        if isinstance(value, list | tuple):
            return f"[{', '.join(literal(part) for part in value)}]"
        return json.dumps(value)

    return "".join(f"{key} = {literal(value)}\n" for key, value in values.items())


def read_back(text: str) -> Recipe:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "recipe.toml"
        path.write_text(text, encoding="utf-8")
        return load_recipe(path)


@given(RECIPES)
def test_what_is_accepted_survives_being_written_and_read(values: dict[str, Any]) -> None:
    recipe = load_recipe(options=values)
    shown = flat(recipe.as_json())
    for key, value in values.items():
        assert shown[key] == value and type(shown[key]) is type(value), key
    assert load_recipe(options=shown) == recipe
    assert read_back(as_toml(shown)) == recipe
    sets = [line.replace(" = ", "=", 1) for line in as_toml(shown).split("\n")[:-1]]
    assert load_recipe(sets=sets) == recipe
    # As JSON too, which has no tuples.
    assert load_recipe(options=flat(json.loads(json.dumps(recipe.as_json())))) == recipe


@given(st.sampled_from(sorted(SETTINGS)), ANYTHING)
def test_any_value_of_any_setting_is_taken_or_named(key: str, value: Any) -> None:
    for read in (
        lambda: load_recipe(options={key: value}),
        lambda: read_back(as_toml({key: value})),
        lambda: load_recipe(sets=[as_toml({key: value}).strip().replace(" = ", "=", 1)]),
    ):
        try:
            recipe = read()
        except UsageError as error:
            told = str(error).replace("-", "_")
            assert key in told or f"__{key.rpartition('.')[2]}" in told
            assert "\n" not in str(error)
        else:
            assert load_recipe(options=flat(recipe.as_json())) == recipe


@given(st.dictionaries(st.sampled_from(sorted(SETTINGS)), ANYTHING, max_size=4))
def test_bad_values_are_named_all_together(values: dict[str, Any]) -> None:
    def is_bad(key: str) -> bool:
        try:
            load_recipe(options={key: values[key]})
        except UsageError:
            return True
        return False

    bad = [key for key in values if is_bad(key)]
    if not bad:
        load_recipe(options=values)
        return
    with pytest.raises(UsageError) as caught:
        load_recipe(options=values)
    told = str(caught.value)
    options = {key: f"--{key.rpartition('.')[2].replace('_', '-')} " for key in values}
    assert all(options[key] in told for key in bad)


@given(
    st.from_regex(r"(video|motion|portrait)?\.?[a-z_]{1,12}", fullmatch=True).filter(
        lambda key: key not in SETTINGS
    ),
    ANYTHING,
)
def test_a_setting_that_nobody_knows_is_named(key: str, value: Any) -> None:
    if key == "motion.weights":  # the old name of a setting is still read
        return
    with pytest.raises(UsageError, match="unknown setting") as caught:
        load_recipe(options={key: value})
    assert key.rpartition(".")[2].replace("_", "-") in str(caught.value)


@given(st.text(max_size=60))
def test_any_text_as_a_recipe_is_read_or_refused_in_one_line(text: str) -> None:
    try:
        read_back(text.replace("\r", ""))
    except UsageError as error:
        assert "\n" not in str(error)
