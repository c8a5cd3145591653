"""The tables and weights that travel inside the package, by name.

``NOTICE`` says for each what it was trained on and under which licence.
"""

from __future__ import annotations

from pathlib import Path

#: Folder of everything that ships.
DATA = Path(__file__).parents[1] / "data"
#: Name to file. Names of speech models are what ``motion.speech_model`` takes.
SHIPPED = {
    "face": "face_model.safetensors",
    "speech": "speech.safetensors",
    "speech-clean": "speech_clean.safetensors",
}


def shipped(name: str) -> Path:
    """Where a shipped file lies.

    Args:
        name: a key of :data:`SHIPPED`.
    """
    return DATA / SHIPPED[name]
