"""An empty project."""

from __future__ import annotations

from pathlib import Path

import pytest

from talkcli.project import Project


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project.create(tmp_path / "project")
