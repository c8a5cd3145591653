"""Puts the rendered head back into its picture, or in front of another background."""

from talkcli.compose.blend import Compositor

__all__ = ["Compositor"]
