"""Avatars in files that other programs open."""
