"""From sound to motion: speech features, lips, voice activity, idle motion, curve files."""
