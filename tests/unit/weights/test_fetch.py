"""Downloads resume, check what they got, and leave nothing half-written."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from talkcli.errors import InputError, MissingDependencyError
from talkcli.weights import fetch as fetching
from talkcli.weights.fetch import fetch
from talkcli.weights.store import PART, RECORD, adopt, require_model, state_of
from talkcli.weights.table import MODELS, Model, model_named
from tests.support.server import Shop, serving

BODY = np.random.default_rng(3).bytes(1_000_003)


def model_at(url: str, body: bytes = BODY) -> Model:
    return Model(
        "toy", "toy.bin", "tests", url, len(body), "none", hashlib.sha256(body).hexdigest()
    )


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TALKCLI_CACHE", str(tmp_path))
    monkeypatch.delenv(fetching.OFFLINE_VARIABLE, raising=False)
    return tmp_path / "models"


@pytest.fixture
def shop() -> Iterator[Shop]:
    with serving(Shop(BODY)) as open_shop:
        yield open_shop


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_a_download_is_complete_and_leaves_nothing_else(folder: Path, shop: Shop) -> None:
    seen: list[int] = []
    path = fetch(model_at(shop.url), seen.append)
    assert path.read_bytes() == BODY and sum(seen) == len(BODY)
    assert names(folder) == {"toy.bin"} and shop.asked == [""]
    assert state_of(model_at(shop.url), thorough=True) == "installed"


def test_a_broken_connection_is_resumed_within_one_call(folder: Path, shop: Shop) -> None:
    shop.break_after = [300_000, 5, None]
    seen: list[int] = []
    assert fetch(model_at(shop.url), seen.append, pause_s=0).read_bytes() == BODY
    assert shop.asked == ["", "bytes=300000-", "bytes=300005-"] and sum(seen) == len(BODY)


def test_a_later_call_goes_on_where_the_first_gave_up(folder: Path, shop: Shop) -> None:
    shop.break_after = [400_000, 0, 0, 0, 0]
    with pytest.raises(MissingDependencyError, match=r"0\.4 MB have arrived and are kept"):
        fetch(model_at(shop.url), pause_s=0)
    assert state_of(model_at(shop.url)) == "partial"
    shop.asked.clear()
    assert fetch(model_at(shop.url)).read_bytes() == BODY
    assert shop.asked == ["bytes=400000-"] and names(folder) == {"toy.bin"}


def test_a_server_without_ranges_starts_over(folder: Path, shop: Shop) -> None:
    shop.ranges, shop.break_after = False, [400_000, None]
    seen: list[int] = []
    assert fetch(model_at(shop.url), seen.append, pause_s=0).read_bytes() == BODY
    assert sum(seen) == len(BODY) and min(seen) == -400_000


def test_a_file_that_changed_on_the_server_is_not_glued_together(folder: Path, shop: Shop) -> None:
    shop.break_after = [400_000, 0, 0, 0, 0]
    with pytest.raises(MissingDependencyError):
        fetch(model_at(shop.url), pause_s=0)
    shop.body, shop.tag = BODY[::-1], '"two"'
    assert fetch(model_at(shop.url, shop.body)).read_bytes() == shop.body


@pytest.mark.parametrize("body", [BODY[:-1] + b"x", BODY + b"x"])
def test_another_file_is_refused_and_removed(folder: Path, shop: Shop, body: bytes) -> None:
    shop.body = body if body[-1:] != BODY[-1:] else body + b"y"
    with pytest.raises(InputError, match=r"SHA-256|more than"):
        fetch(model_at(shop.url), pause_s=0)
    left = {path.name: path.stat().st_size for path in folder.iterdir()}
    assert "toy.bin" not in left and left.get("toy.bin" + PART, 0) == 0


def test_a_part_longer_than_the_file_starts_over(folder: Path, shop: Shop) -> None:
    shop.break_after = [400_000, 0, 0, 0, 0]
    with pytest.raises(MissingDependencyError):
        fetch(model_at(shop.url), pause_s=0)
    shop.body = BODY[:1000]
    with pytest.raises(MissingDependencyError, match="cannot be downloaded"):
        fetch(model_at(shop.url), pause_s=0)
    shop.body = BODY
    assert fetch(model_at(shop.url)).read_bytes() == BODY


def test_a_busy_server_is_asked_again_and_a_missing_file_is_not(folder: Path, shop: Shop) -> None:
    shop.status = [503, 429]
    assert fetch(model_at(shop.url), pause_s=0).read_bytes() == BODY
    assert len(shop.asked) == 3
    folder.joinpath("toy.bin").unlink()
    shop.status = [404]
    with pytest.raises(MissingDependencyError, match="HTTP 404"):
        fetch(model_at(shop.url), pause_s=0)
    assert len(shop.asked) == 4


def test_redirections_keep_the_place(folder: Path, shop: Shop) -> None:
    # As the download hosts of code forges do.
    moved = model_at(shop.url.replace("model.bin", "elsewhere"))
    shop.break_after = [300_000, None]
    assert fetch(moved, pause_s=0).read_bytes() == BODY
    assert [range_ for range_ in shop.asked if range_] == ["bytes=300000-"] * 2


def test_an_unreachable_server_leaves_nothing(folder: Path) -> None:
    with pytest.raises(MissingDependencyError, match="refused"):
        fetch(model_at("http://127.0.0.1:9/model.bin"), pause_s=0)
    assert names(folder) == set()


def test_only_http_is_spoken(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "toy.bin").write_bytes(BODY)
    with pytest.raises(MissingDependencyError, match="unknown url type"):
        fetch(model_at(f"file://{tmp_path}/toy.bin"), pause_s=0)


def test_offline_nothing_is_asked(
    folder: Path, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(fetching.OFFLINE_VARIABLE, "1")
    with pytest.raises(MissingDependencyError, match=r"forbids downloads.*--from FILE"):
        fetch(model_at(shop.url))
    assert shop.asked == []


class Usage(NamedTuple):
    total: int
    used: int
    free: int


def test_a_full_disk_is_told_before_and_during_the_download(
    folder: Path, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "disk_usage", lambda _: Usage(0, 0, 1000))
        with pytest.raises(InputError, match="no space is left"):
            fetch(model_at(shop.url))
    assert shop.asked == []

    def full(stream: object, block: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(fetching, "_write_all", full)
    with pytest.raises(InputError, match=r"no space is left.*TALKCLI_CACHE"):
        fetch(model_at(shop.url), pause_s=0)
    assert len(shop.asked) == 1


def test_two_downloads_of_one_model_do_not_mix(folder: Path, shop: Shop) -> None:
    folder.mkdir()
    with folder.joinpath("toy.bin" + PART).open("wb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(InputError, match="another process is downloading toy"):
            fetch(model_at(shop.url))


def test_a_file_that_the_user_has(folder: Path, tmp_path: Path) -> None:
    model, source = model_at("http://127.0.0.1:9/"), tmp_path / "mine.pth"
    source.write_bytes(BODY)
    assert adopt(model, source).read_bytes() == BODY and source.exists()
    for wrong in (BODY[:-1], BODY[:-1] + bytes([BODY[-1] ^ 1])):
        source.write_bytes(wrong)
        with pytest.raises(InputError, match="is not the model toy"):
            adopt(model, source)
    with pytest.raises(InputError, match="does not exist"):
        adopt(model, tmp_path / "nowhere")
    assert names(folder) == {"toy.bin"} and state_of(model, thorough=True) == "installed"


def test_a_damaged_model_is_seen(folder: Path) -> None:
    model = model_named("face-landmarker")
    with pytest.raises(MissingDependencyError, match=r"not installed.*models pull face-landmarker"):
        require_model(model.name)
    (folder / model.file).write_bytes(bytes(model.size))
    assert (state_of(model), state_of(model, thorough=True)) == ("installed", "damaged")
    with pytest.raises(MissingDependencyError, match="is damaged"):
        require_model(model.name)


def test_the_table() -> None:
    assert len({model.name for model in MODELS}) == len({model.file for model in MODELS}) == 6
    for model in MODELS:
        assert len(bytes.fromhex(model.sha256)) == 32 and model.size > 1e6
        assert model.url.startswith("https://") and model.purpose and model.licence
        assert not model.file.endswith((PART, RECORD))
    # Publishers put the first digits of the hash into the name.
    for name in ("lpips-alexnet", "fid-inception"):
        model = model_named(name)
        assert model.file.rpartition("-")[2].removesuffix(".pth") == model.sha256[:8]
    assert [model.name for model in MODELS if not model.commercial] == ["arcface"]
