"""Tests of talkcli, and the checker that ``--jaxtyping-packages`` in pyproject.toml names."""

from __future__ import annotations

import numpy as np
from beartype import BeartypeConf, FrozenDict, beartype

#: As mypy reads annotations: an int is a float, and so is a number out of an array.
checked = beartype(
    conf=BeartypeConf(
        hint_overrides=FrozenDict(
            {float: float | int | np.floating | np.integer, int: int | np.integer}
        )
    )
)
