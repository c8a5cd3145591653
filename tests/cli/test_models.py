"""``talkcli models``: what is listed, installed and checked, and in which words."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from talkcli.weights import table
from talkcli.weights.table import MODELS, Model
from tests.support import docs
from tests.support.server import Shop, serving

BODY = bytes(range(256)) * 4000


@pytest.fixture
def shop(monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    """A server, and a table with one model on it that may not be sold."""
    monkeypatch.delenv("TALKCLI_OFFLINE", raising=False)
    with serving(Shop(BODY)) as shop:
        digest = hashlib.sha256(BODY).hexdigest()
        model = Model("toy", "toy.bin", "tests", shop.url, len(BODY), "not for sale", digest, False)
        monkeypatch.setattr(table, "MODELS", (model,))
        monkeypatch.setattr("talkcli.pipeline.models.MODELS", (model,))
        yield shop


def test_the_list_names_everything_and_asks_nobody(talkcli: Any) -> None:
    answer = talkcli("models", "list")
    assert answer.code == 0
    for model in MODELS:
        for told in (model.name, model.url, model.sha256, model.licence, model.purpose):
            assert told in answer.out
    assert answer.out.count("missing") == len(MODELS)


def test_pull_path_and_verify(talkcli: Any, shop: Shop, tmp_path: Path) -> None:
    missing = talkcli("models", "path", "toy")
    assert missing.code == 4 and "run: talkcli models pull toy" in missing.error
    pulled = talkcli("models", "pull", "toy")
    assert pulled.code == 0 and "licence of toy: not for sale" in pulled.err
    path = Path(pulled.out.strip())
    assert path.read_bytes() == BODY and path.is_relative_to(tmp_path)
    assert talkcli("models", "path", "toy").out.strip() == str(path)
    assert talkcli("models", "verify").code == 0
    assert talkcli("models", "pull", "toy").code == 0 and len(shop.asked) == 1
    path.write_bytes(BODY[::-1])
    damaged = talkcli("models", "verify")
    assert damaged.code == 4 and "toy is damaged" in damaged.error
    assert talkcli("models", "pull", "toy").code == 0 and path.read_bytes() == BODY


def test_from_a_file(talkcli: Any, shop: Shop, tmp_path: Path) -> None:
    mine = tmp_path / "mine.bin"
    mine.write_bytes(BODY + b"x")
    wrong = talkcli("models", "pull", "toy", "--from", mine)
    assert wrong.code == 3 and "is not the model toy" in wrong.error
    mine.write_bytes(BODY)
    assert talkcli("models", "pull", "toy", "--from", mine).code == 0
    assert shop.asked == []


def test_unknown_names_are_usage_errors(talkcli: Any) -> None:
    for command in ("pull", "path", "verify"):
        answer = talkcli("models", command, "synknet")
        assert answer.code == 2 and "is it syncnet?" in answer.error


def test_keys_of_json(talkcli: Any, shop: Shop) -> None:
    text = docs.section(docs.page("cli.md"), "## JSON output")
    row = next(row for row in docs.table(text, "object", "keys") if row[0] == "each of `models`")
    for command in ("list", "verify", "pull", "path"):
        arguments = ("toy",) if command in ("pull", "path") else ()
        answer = json.loads(talkcli("models", command, *arguments, "--json").out)
        documented = {
            docs.quoted(key)[0]
            for key, commands, *_ in docs.table(text, "key", "commands")
            if commands == "all" or f"models {command}" in commands.split(", ")
        }
        assert set(answer) == documented
        keys = set(docs.quoted(row[1].split("(")[0])) | {"state", "path"}
        assert all(set(model) == keys for model in answer["models"])
