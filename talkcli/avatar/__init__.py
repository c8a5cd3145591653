"""Avatars: what moves and becomes Gaussians for one frame."""
