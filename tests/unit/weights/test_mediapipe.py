"""Loading MediaPipe without what only its charts need."""

from __future__ import annotations

import subprocess
import sys

CODE = """
import sys
from talkcli import runtime
runtime.configure()
from talkcli.weights.mediapipe import mediapipe_solutions
solutions = mediapipe_solutions()
assert "matplotlib" not in sys.modules and "matplotlib.pyplot" not in sys.modules
charts = sys.modules["mediapipe.python.solutions.drawing_utils"].plt
import matplotlib.pyplot
assert type(matplotlib) is not type(charts)
assert charts.figure is matplotlib.pyplot.figure
assert mediapipe_solutions() is solutions
print("fine", hasattr(solutions, "face_mesh"))
"""


def test_charts_wait_until_somebody_draws_one() -> None:
    run = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, timeout=120)
    assert run.stdout == "fine True\n", run.stderr
