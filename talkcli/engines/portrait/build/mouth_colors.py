"""Colours inside a mouth, from the colour of the face around it.

Measured on the open mouths of 44 speakers, relative to the median skin beside them: the brightest
and darkest twentieths of the pixels between the lips. Teeth follow the light, and thus the colour
of the skin, only partly: teeth beside dark skin are brighter than its colour suggests.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

#: The median skin of those pictures: its mean (0–1), and its channels relative to the mean.
_SKIN_MEAN, _SKIN_CHROMA = 0.57, np.array([1.298, 0.928, 0.795])
#: With the hue of the skin, everything inside changes by this power of the difference.
_FOLLOW_CHROMA = 0.5
#: No channel of the teeth is brighter than this. All channels are scaled down together; otherwise
#: the teeth would turn green.
_BRIGHTEST = 0.97
#: Brightness of the lower teeth, which stand further back in the shade, relative to the upper.
_LOWER_SHADE = 0.84
#: Pictures whose channels differ by less than this are grey.
_GREY = 0.01


@dataclass(frozen=True)
class _Tissue:
    """Beside the median skin: brightness, relative channels, and how far it follows the skin's."""

    mean: float
    chroma: tuple[float, float, float]
    follow: float = 1.0

    def beside(self, skin: np.ndarray) -> np.ndarray:
        mean = float(skin.mean())
        chroma = np.array(self.chroma) * (skin / mean / _SKIN_CHROMA) ** _FOLLOW_CHROMA
        level = self.mean * (mean / _SKIN_MEAN) ** self.follow
        return np.asarray(level * chroma / chroma.mean())


_TEETH = _Tissue(0.80, (1.165, 0.965, 0.870), follow=0.6)
_TONGUE, _GUM = _Tissue(0.43, (1.49, 0.77, 0.74)), _Tissue(0.35, (1.55, 0.75, 0.70))
_CHEEK, _THROAT = _Tissue(0.22, (1.55, 0.76, 0.69)), _Tissue(0.06, (2.00, 0.55, 0.45))


@dataclass(frozen=True)
class MouthColors:
    """The colours inside a mouth, ``[3]`` each, sRGB-encoded, in the picture's light.

    Attributes:
        enamel: upper teeth where they are brightest.
        lower_enamel: lower teeth.
        gum: gums.
        tongue: the tongue where it is brightest.
        cheek: the inside near the lips and the corners.
        throat: the back of the mouth.
    """

    enamel: np.ndarray
    lower_enamel: np.ndarray
    gum: np.ndarray
    tongue: np.ndarray
    cheek: np.ndarray
    throat: np.ndarray


def mouth_colors(skin: np.ndarray) -> MouthColors:
    """Colours for the inside of a mouth.

    Args:
        skin: ``[n, 3]`` colours of facial skin in the picture.
    """
    color = np.maximum(np.median(skin, 0), 0.02)
    grey = float(np.abs(skin - skin.mean(1, keepdims=True)).mean()) < _GREY
    enamel = _TEETH.beside(color)
    enamel *= min(1.0, _BRIGHTEST / float(enamel.max()))

    def shown(value: np.ndarray) -> np.ndarray:
        return np.full(3, value.mean()) if grey else value

    return MouthColors(
        enamel=shown(enamel),
        lower_enamel=shown(_LOWER_SHADE * enamel),
        gum=shown(_GUM.beside(color)),
        tongue=shown(_TONGUE.beside(color)),
        cheek=shown(_CHEEK.beside(color)),
        throat=shown(_THROAT.beside(color)),
    )
