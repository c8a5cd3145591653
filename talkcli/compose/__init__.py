"""Puts the rendered head back into its picture, or in front of another background."""
