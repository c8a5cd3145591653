"""What a project says about its avatar, before anything of it is used."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from talkcli.errors import InputError
from talkcli.pipeline.stages.avatar import _check_stored, load_avatar
from talkcli.project import StageRun


@pytest.mark.parametrize("name", ["unknown", None, 5, ["portrait"], {"portrait": 1}])
def test_an_engine_that_is_no_name_is_an_unknown_one(tmp_path: Path, name: object) -> None:
    (tmp_path / "stage.json").write_text(json.dumps({"recipe": {"engine": name}}))
    _check_stored(tmp_path)
    entry = StageRun("avatar", "0" * 64, tmp_path, False, 0.0, "", {"engine": name})
    with pytest.raises(InputError, match="unknown engine"):
        load_avatar(entry)
