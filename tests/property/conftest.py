"""How many examples Hypothesis tries, and which.

By default always the same ones, so that the quick tests are reproducible; with
``HYPOTHESIS_PROFILE=search`` new ones every time, and many more.
"""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

# Kernels compile in a first example, and two cores may be shared: no deadline per example.
settings.register_profile(
    "ci",
    derandomize=True,
    max_examples=60,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile("search", max_examples=3000, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))
