"""Settings for every test: the numeric libraries are configured before the first of them loads."""

from __future__ import annotations

from pathlib import Path

import pytest

from talkcli import runtime

runtime.configure()


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Footage beside the project that is not part of it; the test is skipped without it."""
    folder = Path(__file__).parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("needs footage that is not part of the project")
    return folder
