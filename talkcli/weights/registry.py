"""The tables and weights that are part of the package, by name.

``NOTICE`` says what each was trained on and under which licence.
"""

from __future__ import annotations

from pathlib import Path

#: The folder of all bundled files.
DATA = Path(__file__).parents[1] / "data"
#: Name to file; the names of the speech models are the values of ``motion.speech_model``.
SHIPPED = {
    "face": "face_model.safetensors",
    "speech": "speech.safetensors",
    "speech-clean": "speech_clean.safetensors",
    "splat-portrait": "splat_portrait.safetensors",
    "mggtalk-research": "mggtalk_research.safetensors",
    "motion-reference": "motion_reference.json",
}


def shipped(name: str) -> Path:
    """The path of a bundled file.

    Args:
        name: a key of :data:`SHIPPED`.
    """
    return DATA / SHIPPED[name]
