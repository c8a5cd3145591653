"""How close a video comes to its reference."""
