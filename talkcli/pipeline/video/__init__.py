"""From motion to encoded frames."""
