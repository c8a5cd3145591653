"""From one picture to a head of Gaussians: depth, completion, mouth, eyes, colour fit."""
