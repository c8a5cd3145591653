"""Tests of talkcli, and the checker that ``--jaxtyping-packages`` in pyproject.toml names."""

from __future__ import annotations

import numpy as np
from beartype import BeartypeConf, FrozenDict, beartype

#: Annotations as mypy reads them: an int is a float, so is a number taken from an array, and such a
#: number is an array of no dimensions.
checked = beartype(
    conf=BeartypeConf(
        hint_overrides=FrozenDict(
            {
                float: float | int | np.floating | np.integer,
                int: int | np.integer,
                np.ndarray: np.ndarray | np.generic,
            }
        )
    )
)
