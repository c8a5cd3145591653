"""Feed-forward avatars of one picture, after Splat-Portrait."""
