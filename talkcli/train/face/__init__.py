"""Building the face model from measured landmarks and openly licensed shapes."""
