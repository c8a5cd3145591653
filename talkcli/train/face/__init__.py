"""Building the face model from measured landmarks and open shapes."""
