"""Training the speech network."""
